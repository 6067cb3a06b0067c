/* The SIMD wrapper for AVX2 and FMA (x86-64-v3): 8 floats or 4 doubles. simd/README.md describes the operations. */
#ifndef FP_SIMD_AVX2_H
#define FP_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#include "common.h"

/* A tile of 6 x 2 vectors has 12 accumulators, which with 2 vectors of B and a broadcast of A take 15 of 16
 * registers. */
#define FP_MR 6
#define FP_EACH_MR(use) use(3) use(4) use(5) use(6)
/* A tile of 4 x 3 vectors has as many, and loads 7 vectors and elements for 12 FMAs, not 8. */
#define FP_WIDE_MR 4
#define FP_EACH_WIDE_MR(use) use(1) use(2) use(3) use(4)

typedef __m256 f32_t;
typedef __m256 f32_mask;
#define F32_LANES 8

static const int32_t fp_first_lanes_32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

FP_INLINE __m256i f32_first(ptrdiff_t n) { return _mm256_loadu_si256((const __m256i *)(fp_first_lanes_32 + 8 - n)); }
FP_INLINE f32_t f32_set1(float x) { return _mm256_set1_ps(x); }
FP_INLINE f32_t f32_load(const float *p) { return _mm256_loadu_ps(p); }
FP_INLINE void f32_store(float *p, f32_t x) { _mm256_storeu_ps(p, x); }
FP_INLINE f32_t f32_load_n(const float *p, ptrdiff_t n) { return _mm256_maskload_ps(p, f32_first(n)); }
/* In stores of 8, 4, 2 and 1 lanes: a masked store takes AMD's CPUs 3.5 to 4 ns, a full one 1, those of 4 + 2 + 1 lanes
 * 1.5. */
FP_INLINE void f32_store_n(float *p, f32_t x, ptrdiff_t n)
{
    __m128 part = _mm256_castps256_ps128(x);
    if (n >= 8) {
        _mm256_storeu_ps(p, x);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(x, 1);
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(p + (n & 4)), part);
        part = _mm_movehl_ps(part, part);
    }
    if (n & 1)
        _mm_store_ss(p + (n & 6), part);
}
FP_INLINE f32_t f32_add(f32_t a, f32_t b) { return _mm256_add_ps(a, b); }
FP_INLINE f32_t f32_sub(f32_t a, f32_t b) { return _mm256_sub_ps(a, b); }
FP_INLINE f32_t f32_mul(f32_t a, f32_t b) { return _mm256_mul_ps(a, b); }
FP_INLINE f32_t f32_div(f32_t a, f32_t b) { return _mm256_div_ps(a, b); }
FP_INLINE f32_t f32_sqrt(f32_t a) { return _mm256_sqrt_ps(a); }
FP_INLINE f32_t f32_fma(f32_t a, f32_t b, f32_t c) { return _mm256_fmadd_ps(a, b, c); }
FP_INLINE f32_t f32_fnma(f32_t a, f32_t b, f32_t c) { return _mm256_fnmadd_ps(a, b, c); }
FP_INLINE f32_t f32_max(f32_t a, f32_t b) { return _mm256_max_ps(a, b); }
FP_INLINE f32_t f32_min(f32_t a, f32_t b) { return _mm256_min_ps(a, b); }
FP_INLINE f32_t f32_abs(f32_t a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
FP_INLINE f32_t f32_copysign(f32_t a, f32_t sign)
{
    return _mm256_or_ps(a, _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}
FP_INLINE f32_mask f32_gt(f32_t a, f32_t b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
FP_INLINE int f32_any(f32_mask m) { return _mm256_movemask_ps(m); }
FP_INLINE f32_t f32_keep(f32_mask m, f32_t a) { return _mm256_and_ps(m, a); }
FP_INLINE f32_t f32_keep_n(f32_t a, ptrdiff_t n) { return _mm256_and_ps(_mm256_castsi256_ps(f32_first(n)), a); }
FP_INLINE f32_t f32_select(f32_mask m, f32_t a, f32_t b) { return _mm256_blendv_ps(b, a, m); }
FP_INLINE f32_t f32_round(f32_t a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FP_INLINE f32_t f32_pow2(f32_t n)
{
    __m256i biased = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(0x1p23f + 127)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
FP_INLINE f32_t f32_exponent(f32_t a)
{
    __m256i bits = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
    __m256 shifted = _mm256_or_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(0x1p23f));
    return _mm256_sub_ps(shifted, _mm256_set1_ps(0x1p23f + 127));
}
FP_INLINE f32_t f32_mantissa(f32_t a)
{
    __m256i bits = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x007fffff));
    return _mm256_or_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(1.0f));
}
FP_INLINE float f32_reduce_sum(f32_t a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
FP_INLINE float f32_reduce_max(f32_t a)
{
    __m128 x = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    x = _mm_max_ps(_mm_movehl_ps(x, x), x);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(x), x));
}
FP_INLINE void f32_zip(f32_t a, f32_t b, f32_t *low, f32_t *high)
{
    __m256 even = _mm256_unpacklo_ps(a, b), odd = _mm256_unpackhi_ps(a, b); /* interleaved within each 128-bit half */
    *low = _mm256_permute2f128_ps(even, odd, 0x20);
    *high = _mm256_permute2f128_ps(even, odd, 0x31);
}
/* Transposes the 4 x 4 elements of both halves of four vectors. */
FP_INLINE void fp_transpose_halves_32(f32_t x[4])
{
    __m256d low[2], high[2]; /* rows 0 and 1, and 2 and 3, interleaved: columns 0 and 1, and 2 and 3 */
    FP_UNROLL_FOR (int i = 0; i < 2; i++) {
        low[i] = _mm256_castps_pd(_mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]));
        high[i] = _mm256_castps_pd(_mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]));
    }
    x[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low[0], low[1]));
    x[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low[0], low[1]));
    x[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high[0], high[1]));
    x[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high[0], high[1]));
}
FP_INLINE void f32_transpose(f32_t x[F32_LANES])
{
    FP_UNROLL_FOR (int r = 0; r < 4; r++) {
        f32_t low = _mm256_permute2f128_ps(x[r], x[r + 4], 0x20);
        x[r + 4] = _mm256_permute2f128_ps(x[r], x[r + 4], 0x31);
        x[r] = low;
    }
    fp_transpose_halves_32(x);
    fp_transpose_halves_32(x + 4);
}
/* A vector takes its halves from two rows as they are loaded, which saves a third of the shuffles. */
FP_INLINE void f32_load_transposed(f32_t x[F32_LANES], const float *p, ptrdiff_t stride)
{
    FP_UNROLL_FOR (int i = 0; i < 8; i++) {
        const float *from = p + i % 4 * stride + i / 4 * 4;
        x[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps(from + 4 * stride), 1);
    }
    fp_transpose_halves_32(x);
    fp_transpose_halves_32(x + 4);
}

typedef __m256d f64_t;
typedef __m256d f64_mask;
#define F64_LANES 4

static const int64_t fp_first_lanes_64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

FP_INLINE __m256i f64_first(ptrdiff_t n) { return _mm256_loadu_si256((const __m256i *)(fp_first_lanes_64 + 4 - n)); }
FP_INLINE f64_t f64_set1(double x) { return _mm256_set1_pd(x); }
FP_INLINE f64_t f64_load(const double *p) { return _mm256_loadu_pd(p); }
FP_INLINE void f64_store(double *p, f64_t x) { _mm256_storeu_pd(p, x); }
FP_INLINE f64_t f64_load_n(const double *p, ptrdiff_t n) { return _mm256_maskload_pd(p, f64_first(n)); }
FP_INLINE void f64_store_n(double *p, f64_t x, ptrdiff_t n) /* as f32_store_n */
{
    __m128d part = _mm256_castpd256_pd128(x);
    if (n >= 4) {
        _mm256_storeu_pd(p, x);
        return;
    }
    if (n & 2) {
        _mm_storeu_pd(p, part);
        part = _mm256_extractf128_pd(x, 1);
    }
    if (n & 1)
        _mm_store_sd(p + (n & 2), part);
}
FP_INLINE f64_t f64_add(f64_t a, f64_t b) { return _mm256_add_pd(a, b); }
FP_INLINE f64_t f64_sub(f64_t a, f64_t b) { return _mm256_sub_pd(a, b); }
FP_INLINE f64_t f64_mul(f64_t a, f64_t b) { return _mm256_mul_pd(a, b); }
FP_INLINE f64_t f64_div(f64_t a, f64_t b) { return _mm256_div_pd(a, b); }
FP_INLINE f64_t f64_sqrt(f64_t a) { return _mm256_sqrt_pd(a); }
FP_INLINE f64_t f64_fma(f64_t a, f64_t b, f64_t c) { return _mm256_fmadd_pd(a, b, c); }
FP_INLINE f64_t f64_fnma(f64_t a, f64_t b, f64_t c) { return _mm256_fnmadd_pd(a, b, c); }
FP_INLINE f64_t f64_max(f64_t a, f64_t b) { return _mm256_max_pd(a, b); }
FP_INLINE f64_t f64_min(f64_t a, f64_t b) { return _mm256_min_pd(a, b); }
FP_INLINE f64_t f64_abs(f64_t a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
FP_INLINE f64_t f64_copysign(f64_t a, f64_t sign) { return _mm256_or_pd(a, _mm256_and_pd(_mm256_set1_pd(-0.0), sign)); }
FP_INLINE f64_mask f64_gt(f64_t a, f64_t b) { return _mm256_cmp_pd(a, b, _CMP_GT_OQ); }
FP_INLINE int f64_any(f64_mask m) { return _mm256_movemask_pd(m); }
FP_INLINE f64_t f64_keep(f64_mask m, f64_t a) { return _mm256_and_pd(m, a); }
FP_INLINE f64_t f64_keep_n(f64_t a, ptrdiff_t n) { return _mm256_and_pd(_mm256_castsi256_pd(f64_first(n)), a); }
FP_INLINE f64_t f64_select(f64_mask m, f64_t a, f64_t b) { return _mm256_blendv_pd(b, a, m); }
FP_INLINE f64_t f64_round(f64_t a) { return _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FP_INLINE f64_t f64_pow2(f64_t n)
{
    __m256i biased = _mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(0x1p52 + 1023)));
    return _mm256_castsi256_pd(_mm256_slli_epi64(biased, 52));
}
FP_INLINE f64_t f64_exponent(f64_t a)
{
    __m256i bits = _mm256_srli_epi64(_mm256_castpd_si256(a), 52);
    __m256d shifted = _mm256_or_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(0x1p52));
    return _mm256_sub_pd(shifted, _mm256_set1_pd(0x1p52 + 1023));
}
FP_INLINE f64_t f64_mantissa(f64_t a)
{
    __m256i bits = _mm256_and_si256(_mm256_castpd_si256(a), _mm256_set1_epi64x(0x000fffffffffffff));
    return _mm256_or_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(1.0));
}
FP_INLINE double f64_reduce_sum(f64_t a)
{
    __m128d x = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)));
}
FP_INLINE double f64_reduce_max(f64_t a)
{
    __m128d x = _mm_max_pd(_mm256_extractf128_pd(a, 1), _mm256_castpd256_pd128(a));
    return _mm_cvtsd_f64(_mm_max_sd(_mm_unpackhi_pd(x, x), x));
}
FP_INLINE void f64_zip(f64_t a, f64_t b, f64_t *low, f64_t *high)
{
    __m256d even = _mm256_unpacklo_pd(a, b), odd = _mm256_unpackhi_pd(a, b);
    *low = _mm256_permute2f128_pd(even, odd, 0x20);
    *high = _mm256_permute2f128_pd(even, odd, 0x31);
}
/* Transposes the 2 x 2 elements of both halves of two vectors. */
FP_INLINE void fp_transpose_halves_64(f64_t x[2])
{
    f64_t first = _mm256_unpacklo_pd(x[0], x[1]);
    x[1] = _mm256_unpackhi_pd(x[0], x[1]);
    x[0] = first;
}
FP_INLINE void f64_transpose(f64_t x[F64_LANES])
{
    FP_UNROLL_FOR (int r = 0; r < 2; r++) {
        f64_t low = _mm256_permute2f128_pd(x[r], x[r + 2], 0x20);
        x[r + 2] = _mm256_permute2f128_pd(x[r], x[r + 2], 0x31);
        x[r] = low;
    }
    fp_transpose_halves_64(x);
    fp_transpose_halves_64(x + 2);
}
FP_INLINE void f64_load_transposed(f64_t x[F64_LANES], const double *p, ptrdiff_t stride) /* as f32_load_transposed */
{
    FP_UNROLL_FOR (int i = 0; i < 4; i++) {
        const double *from = p + i % 2 * stride + i / 2 * 2;
        x[i] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(from)), _mm_loadu_pd(from + 2 * stride), 1);
    }
    fp_transpose_halves_64(x);
    fp_transpose_halves_64(x + 2);
}

#endif
