/* The SIMD wrapper for AVX-512 (x86-64-v4): 16 floats or 8 doubles. simd/README.md describes the operations. */
#ifndef FP_SIMD_AVX512_H
#define FP_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "common.h"

/* A tile of 14 x 2 vectors has 28 accumulators, which with 2 vectors of B and a broadcast of A take 31 of 32
 * registers. */
#define FP_MR 14
#define FP_EACH_MR(use) use(3) use(4) use(5) use(6) use(7) use(8) use(9) use(10) use(11) use(12) use(13) use(14)

#define FP_ROUND_NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

typedef __m512 f32_t;
typedef __mmask16 f32_mask;
#define F32_LANES 16

FP_INLINE __mmask16 f32_first(ptrdiff_t n) { return (__mmask16)_bzhi_u32(0xffff, (unsigned)n); }
FP_INLINE f32_t f32_set1(float x) { return _mm512_set1_ps(x); }
FP_INLINE f32_t f32_load(const float *p) { return _mm512_loadu_ps(p); }
FP_INLINE void f32_store(float *p, f32_t x) { _mm512_storeu_ps(p, x); }
FP_INLINE f32_t f32_load_n(const float *p, ptrdiff_t n) { return _mm512_maskz_loadu_ps(f32_first(n), p); }
FP_INLINE void f32_store_n(float *p, f32_t x, ptrdiff_t n) { _mm512_mask_storeu_ps(p, f32_first(n), x); }
FP_INLINE f32_t f32_add(f32_t a, f32_t b) { return _mm512_add_ps(a, b); }
FP_INLINE f32_t f32_sub(f32_t a, f32_t b) { return _mm512_sub_ps(a, b); }
FP_INLINE f32_t f32_mul(f32_t a, f32_t b) { return _mm512_mul_ps(a, b); }
FP_INLINE f32_t f32_div(f32_t a, f32_t b) { return _mm512_div_ps(a, b); }
FP_INLINE f32_t f32_sqrt(f32_t a) { return _mm512_sqrt_ps(a); }
FP_INLINE f32_t f32_fma(f32_t a, f32_t b, f32_t c) { return _mm512_fmadd_ps(a, b, c); }
FP_INLINE f32_t f32_fnma(f32_t a, f32_t b, f32_t c) { return _mm512_fnmadd_ps(a, b, c); }
FP_INLINE f32_t f32_max(f32_t a, f32_t b) { return _mm512_max_ps(a, b); }
FP_INLINE f32_t f32_min(f32_t a, f32_t b) { return _mm512_min_ps(a, b); }
FP_INLINE f32_t f32_abs(f32_t a) { return _mm512_abs_ps(a); }
FP_INLINE f32_t f32_copysign(f32_t a, f32_t sign)
{
    return _mm512_or_ps(a, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}
FP_INLINE f32_mask f32_gt(f32_t a, f32_t b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
FP_INLINE int f32_any(f32_mask m) { return m; }
FP_INLINE f32_t f32_keep(f32_mask m, f32_t a) { return _mm512_maskz_mov_ps(m, a); }
FP_INLINE f32_t f32_keep_n(f32_t a, ptrdiff_t n) { return _mm512_maskz_mov_ps(f32_first(n), a); }
FP_INLINE f32_t f32_select(f32_mask m, f32_t a, f32_t b) { return _mm512_mask_blend_ps(m, b, a); }
FP_INLINE f32_t f32_round(f32_t a) { return _mm512_roundscale_ps(a, FP_ROUND_NEAREST); }
FP_INLINE f32_t f32_pow2(f32_t n)
{
    __m512i biased = _mm512_castps_si512(_mm512_add_ps(n, _mm512_set1_ps(0x1p23f + 127)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
FP_INLINE f32_t f32_exponent(f32_t a)
{
    __m512i bits = _mm512_srli_epi32(_mm512_castps_si512(a), 23);
    __m512 shifted = _mm512_or_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(0x1p23f));
    return _mm512_sub_ps(shifted, _mm512_set1_ps(0x1p23f + 127));
}
FP_INLINE f32_t f32_mantissa(f32_t a)
{
    __m512i bits = _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x007fffff));
    return _mm512_or_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(1.0f));
}
FP_INLINE float f32_reduce_sum(f32_t a)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
FP_INLINE float f32_reduce_max(f32_t a)
{
    __m256 half = _mm256_max_ps(_mm512_extractf32x8_ps(a, 1), _mm512_castps512_ps256(a));
    __m128 x = _mm_max_ps(_mm256_extractf128_ps(half, 1), _mm256_castps256_ps128(half));
    x = _mm_max_ps(_mm_movehl_ps(x, x), x);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(x), x));
}
FP_INLINE void f32_zip(f32_t a, f32_t b, f32_t *low, f32_t *high)
{
    __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *low = _mm512_permutex2var_ps(a, first, b);
    *high = _mm512_permutex2var_ps(a, _mm512_add_epi32(first, _mm512_set1_epi32(8)), b);
}
/* Transposes the 4 x 4 matrix whose rows are four vectors, `step` apart, and whose elements are their quarters of 128
 * bits. */
FP_INLINE void fp_transpose_quarters(__m512 *x, int step)
{
    __m512 even = _mm512_shuffle_f32x4(x[0], x[step], 0x88), odd = _mm512_shuffle_f32x4(x[0], x[step], 0xdd);
    __m512 more_even = _mm512_shuffle_f32x4(x[2 * step], x[3 * step], 0x88);
    __m512 more_odd = _mm512_shuffle_f32x4(x[2 * step], x[3 * step], 0xdd);
    x[0] = _mm512_shuffle_f32x4(even, more_even, 0x88);
    x[step] = _mm512_shuffle_f32x4(odd, more_odd, 0x88);
    x[2 * step] = _mm512_shuffle_f32x4(even, more_even, 0xdd);
    x[3 * step] = _mm512_shuffle_f32x4(odd, more_odd, 0xdd);
}
FP_INLINE void f32_transpose(f32_t x[F32_LANES])
{
    __m512d pair[16]; /* pair[i] and pair[i + 1]: rows i and i + 1 interleaved, within each 128 bits */
    FP_UNROLL_FOR (int i = 0; i < 16; i += 2) {
        pair[i] = _mm512_castps_pd(_mm512_unpacklo_ps(x[i], x[i + 1]));
        pair[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(x[i], x[i + 1]));
    }
    FP_UNROLL_FOR (int i = 0; i < 16; i += 4) /* x[i + c]: columns c, c + 4, c + 8, c + 12 of rows i to i + 3 */
        FP_UNROLL_FOR (int c = 0; c < 4; c += 2) {
            x[i + c] = _mm512_castpd_ps(_mm512_unpacklo_pd(pair[i + c / 2], pair[i + c / 2 + 2]));
            x[i + c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pair[i + c / 2], pair[i + c / 2 + 2]));
        }
    FP_UNROLL_FOR (int c = 0; c < 4; c++)
        fp_transpose_quarters(x + c, 4);
}
FP_INLINE void f32_load_transposed(f32_t x[F32_LANES], const float *p, ptrdiff_t stride)
{
    FP_UNROLL_FOR (int r = 0; r < F32_LANES; r++)
        x[r] = f32_load(p + r * stride);
    f32_transpose(x);
}

typedef __m512d f64_t;
typedef __mmask8 f64_mask;
#define F64_LANES 8

FP_INLINE __mmask8 f64_first(ptrdiff_t n) { return (__mmask8)_bzhi_u32(0xff, (unsigned)n); }
FP_INLINE f64_t f64_set1(double x) { return _mm512_set1_pd(x); }
FP_INLINE f64_t f64_load(const double *p) { return _mm512_loadu_pd(p); }
FP_INLINE void f64_store(double *p, f64_t x) { _mm512_storeu_pd(p, x); }
FP_INLINE f64_t f64_load_n(const double *p, ptrdiff_t n) { return _mm512_maskz_loadu_pd(f64_first(n), p); }
FP_INLINE void f64_store_n(double *p, f64_t x, ptrdiff_t n) { _mm512_mask_storeu_pd(p, f64_first(n), x); }
FP_INLINE f64_t f64_add(f64_t a, f64_t b) { return _mm512_add_pd(a, b); }
FP_INLINE f64_t f64_sub(f64_t a, f64_t b) { return _mm512_sub_pd(a, b); }
FP_INLINE f64_t f64_mul(f64_t a, f64_t b) { return _mm512_mul_pd(a, b); }
FP_INLINE f64_t f64_div(f64_t a, f64_t b) { return _mm512_div_pd(a, b); }
FP_INLINE f64_t f64_sqrt(f64_t a) { return _mm512_sqrt_pd(a); }
FP_INLINE f64_t f64_fma(f64_t a, f64_t b, f64_t c) { return _mm512_fmadd_pd(a, b, c); }
FP_INLINE f64_t f64_fnma(f64_t a, f64_t b, f64_t c) { return _mm512_fnmadd_pd(a, b, c); }
FP_INLINE f64_t f64_max(f64_t a, f64_t b) { return _mm512_max_pd(a, b); }
FP_INLINE f64_t f64_min(f64_t a, f64_t b) { return _mm512_min_pd(a, b); }
FP_INLINE f64_t f64_abs(f64_t a) { return _mm512_abs_pd(a); }
FP_INLINE f64_t f64_copysign(f64_t a, f64_t sign) { return _mm512_or_pd(a, _mm512_and_pd(_mm512_set1_pd(-0.0), sign)); }
FP_INLINE f64_mask f64_gt(f64_t a, f64_t b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ); }
FP_INLINE int f64_any(f64_mask m) { return m; }
FP_INLINE f64_t f64_keep(f64_mask m, f64_t a) { return _mm512_maskz_mov_pd(m, a); }
FP_INLINE f64_t f64_keep_n(f64_t a, ptrdiff_t n) { return _mm512_maskz_mov_pd(f64_first(n), a); }
FP_INLINE f64_t f64_select(f64_mask m, f64_t a, f64_t b) { return _mm512_mask_blend_pd(m, b, a); }
FP_INLINE f64_t f64_round(f64_t a) { return _mm512_roundscale_pd(a, FP_ROUND_NEAREST); }
FP_INLINE f64_t f64_pow2(f64_t n)
{
    __m512i biased = _mm512_castpd_si512(_mm512_add_pd(n, _mm512_set1_pd(0x1p52 + 1023)));
    return _mm512_castsi512_pd(_mm512_slli_epi64(biased, 52));
}
FP_INLINE f64_t f64_exponent(f64_t a)
{
    __m512i bits = _mm512_srli_epi64(_mm512_castpd_si512(a), 52);
    __m512d shifted = _mm512_or_pd(_mm512_castsi512_pd(bits), _mm512_set1_pd(0x1p52));
    return _mm512_sub_pd(shifted, _mm512_set1_pd(0x1p52 + 1023));
}
FP_INLINE f64_t f64_mantissa(f64_t a)
{
    __m512i bits = _mm512_and_si512(_mm512_castpd_si512(a), _mm512_set1_epi64(0x000fffffffffffff));
    return _mm512_or_pd(_mm512_castsi512_pd(bits), _mm512_set1_pd(1.0));
}
FP_INLINE double f64_reduce_sum(f64_t a)
{
    __m256d half = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    __m128d x = _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
    return _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)));
}
FP_INLINE double f64_reduce_max(f64_t a)
{
    __m256d half = _mm256_max_pd(_mm512_extractf64x4_pd(a, 1), _mm512_castpd512_pd256(a));
    __m128d x = _mm_max_pd(_mm256_extractf128_pd(half, 1), _mm256_castpd256_pd128(half));
    return _mm_cvtsd_f64(_mm_max_sd(_mm_unpackhi_pd(x, x), x));
}
FP_INLINE void f64_zip(f64_t a, f64_t b, f64_t *low, f64_t *high)
{
    __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    *low = _mm512_permutex2var_pd(a, first, b);
    *high = _mm512_permutex2var_pd(a, _mm512_add_epi64(first, _mm512_set1_epi64(4)), b);
}
FP_INLINE void f64_transpose(f64_t x[F64_LANES])
{
    FP_UNROLL_FOR (int i = 0; i < 8; i += 2) { /* x[i + c]: columns c, c + 2, c + 4, c + 6 of rows i and i + 1 */
        f64_t low = _mm512_unpacklo_pd(x[i], x[i + 1]);
        x[i + 1] = _mm512_unpackhi_pd(x[i], x[i + 1]);
        x[i] = low;
    }
    FP_UNROLL_FOR (int c = 0; c < 2; c++) {
        __m512 column[4];
        FP_UNROLL_FOR (int q = 0; q < 4; q++)
            column[q] = _mm512_castpd_ps(x[c + 2 * q]);
        fp_transpose_quarters(column, 1);
        FP_UNROLL_FOR (int q = 0; q < 4; q++)
            x[c + 2 * q] = _mm512_castps_pd(column[q]);
    }
}
FP_INLINE void f64_load_transposed(f64_t x[F64_LANES], const double *p, ptrdiff_t stride)
{
    FP_UNROLL_FOR (int r = 0; r < F64_LANES; r++)
        x[r] = f64_load(p + r * stride);
    f64_transpose(x);
}

#endif
