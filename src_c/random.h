/* Counter-based random numbers: the i-th number of (seed, stream, step) is a function of these four alone. So it does
 * not depend on threads, and a resumed run draws the numbers of an uninterrupted run.
 *
 * The function is the mixer of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
 * generators"), a bijection of a counter, which needs no state. */
#ifndef FP_RANDOM_H
#define FP_RANDOM_H

#include <stdint.h>

#define FP_GOLDEN 0x9E3779B97F4A7C15u /* 2^64 / golden ratio: the odd increment of the counter in that paper */

/* A stream for each purpose, so that no two share numbers; dropout layers have one each, from FP_STREAM_DROPOUT on. */
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

static inline uint64_t fp_random(uint64_t key, uint64_t i) { return fp_mix64(key + (i + 1) * FP_GOLDEN); }

/* An integer in [0, n), 1 <= n < 2^32, by a multiplication instead of a division (Lemire 2019, "Fast random integer
 * generation in an interval"). Without the rejection step the bias is below n / 2^32, too small to be seen in a shuffle
 * of data. */
static inline int64_t fp_random_below(uint64_t key, uint64_t i, int64_t n)
{
    return (int64_t)(((fp_random(key, i) >> 32) * (uint64_t)n) >> 32);
}

/* Calls for consecutive ranges [begin, end) from 0 to n make order[0..n) a random permutation of 0..n-1, by the
 * "inside-out" shuffle of Fisher and Yates. */
static inline void fp_shuffle(int64_t *order, int64_t begin, int64_t end, uint64_t key)
{
    for (int64_t i = begin; i < end; i++) {
        int64_t j = fp_random_below(key, (uint64_t)i, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

#endif
