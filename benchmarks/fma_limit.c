/* The most multiply-adds a second that this CPU can do in registers: the limit that every kernel is held against.
 *
 * cc -O2 -march=... -DISA_AVX512|ISA_AVX2|ISA_NEON -pthread fma_limit.c -o fma_limit && ./fma_limit THREADS SECONDS
 * prints "f32 GFLOP/s" and "f64 GFLOP/s", the sum over the threads. benchmarks/fma_limit.py compiles and runs it.
 *
 * CHAINS independent accumulators hide the latency of an FMA (4 cycles on all cores of interest, two ports: 8 chains suffice;
 * 12 leave a margin). The empty asm makes every accumulator opaque, so that the compiler can neither fold nor spill the loop.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHAINS 12
#define INNER 4096

#if defined(ISA_AVX512) || defined(ISA_AVX2)
#include <immintrin.h>
#ifdef ISA_AVX512
#define OPAQUE(sum) "+v"(sum)
typedef __m512 f32v;
typedef __m512d f64v;
#define SET_F32 _mm512_set1_ps
#define SET_F64 _mm512_set1_pd
#define FMA_F32 _mm512_fmadd_ps
#define FMA_F64 _mm512_fmadd_pd
#else
#define OPAQUE(sum) "+x"(sum)
typedef __m256 f32v;
typedef __m256d f64v;
#define SET_F32 _mm256_set1_ps
#define SET_F64 _mm256_set1_pd
#define FMA_F32 _mm256_fmadd_ps
#define FMA_F64 _mm256_fmadd_pd
#endif
#elif defined(ISA_NEON)
#include <arm_neon.h>
#define OPAQUE(sum) "+w"(sum)
typedef float32x4_t f32v;
typedef float64x2_t f64v;
#define SET_F32 vdupq_n_f32
#define SET_F64 vdupq_n_f64
#define FMA_F32(x, y, sum) vfmaq_f32(sum, x, y)
#define FMA_F64(x, y, sum) vfmaq_f64(sum, x, y)
#else
#error "define ISA_AVX512, ISA_AVX2 or ISA_NEON"
#endif

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The body once for both dtypes. Multiplying by 0.5 and adding 1 converges to 2: no denormals, no infinities. The sums are
 * twelve variables and not an array, which gcc -O2 would keep in memory. */
#define DEFINE_RUN(name, element, vector, set, fma)                                                             \
    static double name(double seconds)                                                                          \
    {                                                                                                           \
        vector x = set(0.5), y = set(1.0);                                                                      \
        vector a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;              \
        double best = 0.0, end = now() + seconds;                                                               \
        while (now() < end) {                                                                                   \
            double start = now();                                                                               \
            for (int n = 0; n < INNER; n++) {                                                                   \
                a = fma(a, x, y), b = fma(b, x, y), c = fma(c, x, y), d = fma(d, x, y);                         \
                e = fma(e, x, y), f = fma(f, x, y), g = fma(g, x, y), h = fma(h, x, y);                         \
                i = fma(i, x, y), j = fma(j, x, y), k = fma(k, x, y), l = fma(l, x, y);                         \
                __asm__ volatile("" : OPAQUE(a), OPAQUE(b), OPAQUE(c), OPAQUE(d), OPAQUE(e), OPAQUE(f),         \
                                 OPAQUE(g), OPAQUE(h), OPAQUE(i), OPAQUE(j), OPAQUE(k), OPAQUE(l));             \
            }                                                                                                   \
            double rate = 2.0 * CHAINS * INNER * (double)(sizeof(vector) / sizeof(element)) / (now() - start);  \
            best = rate > best ? rate : best;                                                                   \
        }                                                                                                       \
        return best * 1e-9;                                                                                     \
    }

DEFINE_RUN(run_f32, float, f32v, SET_F32, FMA_F32)
DEFINE_RUN(run_f64, double, f64v, SET_F64, FMA_F64)

struct job {
    double (*run)(double);
    double seconds, rate;
};

static void *work(void *argument)
{
    struct job *job = argument;
    job->rate = job->run(job->seconds);
    return NULL;
}

static double total(double (*run)(double), int threads, double seconds)
{
    pthread_t thread[256];
    struct job job[256];
    double sum = 0.0;
    for (int t = 0; t < threads; t++) {
        job[t] = (struct job){run, seconds, 0.0};
        if (pthread_create(&thread[t], NULL, work, &job[t]) != 0)
            exit(1);
    }
    for (int t = 0; t < threads; t++) {
        pthread_join(thread[t], NULL);
        sum += job[t].rate;
    }
    return sum;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    double seconds = argc > 2 ? atof(argv[2]) : 0.2;
    if (threads < 1 || threads > 256)
        return 2;
    printf("f32 %.2f\n", total(run_f32, threads, seconds));
    printf("f64 %.2f\n", total(run_f64, threads, seconds));
    return 0;
}
