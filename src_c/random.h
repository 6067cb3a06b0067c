/* Counter-based randomness: the i-th number of (seed, stream, step) is a function of those four alone, so that it does
 * not depend on threads, and a resumed run draws what the unbroken run would have drawn.
 *
 * The mixer is SplitMix64's (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), which is
 * a bijection of a counter: hence no state. */
#ifndef FP_RANDOM_H
#define FP_RANDOM_H

#include <stdint.h>

#define FP_GOLDEN 0x9E3779B97F4A7C15u /* 2^64 / golden ratio: the counter's odd increment in that paper */

/* One number for each use, so that two uses never share draws; of dropout, one for each layer from there on. */
enum { FP_STREAM_SHUFFLE = 1, FP_STREAM_DROPOUT = 1000 };

static inline uint64_t fp_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint64_t fp_random_key(uint64_t seed, uint64_t stream, uint64_t step)
{
    return fp_mix64(fp_mix64(fp_mix64(seed + FP_GOLDEN) + stream * FP_GOLDEN) + step * FP_GOLDEN);
}

static inline uint64_t fp_random(uint64_t key, uint64_t i)
{
    return fp_mix64(key + (i + 1) * FP_GOLDEN);
}

/* An integer in [0, n), 1 <= n < 2^32, by a multiplication in place of a division (Lemire 2019). Without the
 * rejection step the bias is below n / 2^32, which no shuffle of data can show. */
static inline int64_t fp_random_below(uint64_t key, uint64_t i, int64_t n)
{
    return (int64_t)(((fp_random(key, i) >> 32) * (uint64_t)n) >> 32);
}

/* order[0..n) becomes a random permutation of 0..n-1, in calls for 0..n piece by piece: Fisher and Yates, inside out. */
static inline void fp_shuffle(int64_t *order, int64_t first, int64_t last, uint64_t key)
{
    for (int64_t i = first; i < last; i++) {
        int64_t j = fp_random_below(key, (uint64_t)i, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

#endif
