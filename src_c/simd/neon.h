/* The SIMD wrapper for NEON (part of every ARMv8-A): 4 floats or 2 doubles. simd/README.md describes the operations. */
#ifndef FP_SIMD_NEON_H
#define FP_SIMD_NEON_H

#include <arm_neon.h>
#include <stdint.h>

#include "common.h"

/* A tile of 8 x 2 vectors has 16 accumulators, as many as the widest cores have FMAs in flight (4 pipes of 4 cycles).
 * The other 16 registers hold vectors of B and broadcasts of A. From 10 rows on, GCC 12 loads more of these in
 * advance than there are registers, and accumulators spill to memory. */
#define FP_MR 8
#define FP_EACH_MR(use) use(3) use(4) use(5) use(6) use(7) use(8)

/* Clang (14 at least) compiles a > b ? a : b with a = 0, as in ReLU, to vmaxq, which turns -0 into +0. This hides from
 * it where a mask comes from. */
#if defined(__clang__)
#define FP_OPAQUE_MASK(mask) __asm__("" : "+w"(mask))
#else
#define FP_OPAQUE_MASK(mask) (void)0
#endif

typedef float32x4_t f32_t;
typedef uint32x4_t f32_mask;
#define F32_LANES 4

static const uint32_t fp_first_lanes_32[8] = {~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0};

FP_INLINE f32_t f32_set1(float x) { return vdupq_n_f32(x); }
FP_INLINE f32_t f32_load(const float *p) { return vld1q_f32(p); }
FP_INLINE void f32_store(float *p, f32_t x) { vst1q_f32(p, x); }
FP_INLINE f32_t f32_load_n(const float *p, ptrdiff_t n) /* two lanes, then one: NEON has no masked loads */
{
    if (n >= 4)
        return vld1q_f32(p);
    f32_t x = vdupq_n_f32(0);
    if (n == 1)
        return vld1q_lane_f32(p, x, 0);
    if (n >= 2)
        x = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    return n == 3 ? vld1q_lane_f32(p + 2, x, 2) : x;
}
FP_INLINE void f32_store_n(float *p, f32_t x, ptrdiff_t n)
{
    if (n >= 4)
        vst1q_f32(p, x);
    else if (n == 1)
        vst1q_lane_f32(p, x, 0);
    else if (n >= 2) {
        vst1_f32(p, vget_low_f32(x));
        if (n == 3)
            vst1q_lane_f32(p + 2, x, 2);
    }
}
FP_INLINE f32_t f32_add(f32_t a, f32_t b) { return vaddq_f32(a, b); }
FP_INLINE f32_t f32_sub(f32_t a, f32_t b) { return vsubq_f32(a, b); }
FP_INLINE f32_t f32_mul(f32_t a, f32_t b) { return vmulq_f32(a, b); }
FP_INLINE f32_t f32_div(f32_t a, f32_t b) { return vdivq_f32(a, b); }
FP_INLINE f32_t f32_sqrt(f32_t a) { return vsqrtq_f32(a); }
FP_INLINE f32_t f32_fma(f32_t a, f32_t b, f32_t c) { return vfmaq_f32(c, a, b); }
FP_INLINE f32_t f32_fnma(f32_t a, f32_t b, f32_t c) { return vfmsq_f32(c, a, b); }
/* comparisons, since vmaxq and vminq treat NaN and zeros of different signs in other ways */
FP_INLINE f32_t f32_max(f32_t a, f32_t b)
{
    f32_mask a_wins = vcgtq_f32(a, b);
    FP_OPAQUE_MASK(a_wins);
    return vbslq_f32(a_wins, a, b);
}
FP_INLINE f32_t f32_min(f32_t a, f32_t b)
{
    f32_mask a_wins = vcltq_f32(a, b);
    FP_OPAQUE_MASK(a_wins);
    return vbslq_f32(a_wins, a, b);
}
FP_INLINE f32_t f32_abs(f32_t a) { return vabsq_f32(a); }
FP_INLINE f32_t f32_copysign(f32_t a, f32_t sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, a); }
FP_INLINE f32_mask f32_gt(f32_t a, f32_t b) { return vcgtq_f32(a, b); }
FP_INLINE int f32_any(f32_mask m) { return vmaxvq_u32(m) != 0; }
FP_INLINE f32_t f32_keep(f32_mask m, f32_t a) { return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(a))); }
FP_INLINE f32_t f32_keep_n(f32_t a, ptrdiff_t n) { return f32_keep(vld1q_u32(fp_first_lanes_32 + 4 - n), a); }
FP_INLINE f32_t f32_select(f32_mask m, f32_t a, f32_t b) { return vbslq_f32(m, a, b); }
FP_INLINE f32_t f32_round(f32_t a) { return vrndnq_f32(a); }
FP_INLINE f32_t f32_pow2(f32_t n)
{
    uint32x4_t biased = vreinterpretq_u32_f32(vaddq_f32(n, vdupq_n_f32(0x1p23f + 127)));
    return vreinterpretq_f32_u32(vshlq_n_u32(biased, 23));
}
FP_INLINE f32_t f32_exponent(f32_t a)
{
    uint32x4_t bits = vshrq_n_u32(vreinterpretq_u32_f32(a), 23);
    uint32x4_t shifted = vorrq_u32(bits, vreinterpretq_u32_f32(vdupq_n_f32(0x1p23f)));
    return vsubq_f32(vreinterpretq_f32_u32(shifted), vdupq_n_f32(0x1p23f + 127));
}
FP_INLINE f32_t f32_mantissa(f32_t a)
{
    uint32x4_t bits = vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0x007fffff));
    return vreinterpretq_f32_u32(vorrq_u32(bits, vreinterpretq_u32_f32(vdupq_n_f32(1.0f))));
}
FP_INLINE float f32_reduce_sum(f32_t a)
{
    float32x2_t x = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(x, 0) + vget_lane_f32(x, 1);
}
FP_INLINE float f32_reduce_max(f32_t a)
{
    f32_t x = f32_max(vextq_f32(a, a, 2), a);
    return vgetq_lane_f32(f32_max(vextq_f32(x, x, 1), x), 0);
}
FP_INLINE void f32_zip(f32_t a, f32_t b, f32_t *low, f32_t *high)
{
    *low = vzip1q_f32(a, b);
    *high = vzip2q_f32(a, b);
}
FP_INLINE void f32_transpose(f32_t x[F32_LANES])
{
    f32_t low, high, more_low, more_high;
    f32_zip(x[0], x[2], &low, &high);
    f32_zip(x[1], x[3], &more_low, &more_high);
    f32_zip(low, more_low, &x[0], &x[1]);
    f32_zip(high, more_high, &x[2], &x[3]);
}
FP_INLINE void f32_load_transposed(f32_t x[F32_LANES], const float *p, ptrdiff_t stride)
{
    FP_UNROLL_FOR (int r = 0; r < F32_LANES; r++)
        x[r] = f32_load(p + r * stride);
    f32_transpose(x);
}

typedef float64x2_t f64_t;
typedef uint64x2_t f64_mask;
#define F64_LANES 2

static const uint64_t fp_first_lanes_64[4] = {~(uint64_t)0, ~(uint64_t)0, 0, 0};

FP_INLINE f64_t f64_set1(double x) { return vdupq_n_f64(x); }
FP_INLINE f64_t f64_load(const double *p) { return vld1q_f64(p); }
FP_INLINE void f64_store(double *p, f64_t x) { vst1q_f64(p, x); }
FP_INLINE f64_t f64_load_n(const double *p, ptrdiff_t n)
{
    if (n >= 2)
        return vld1q_f64(p);
    return n == 1 ? vcombine_f64(vld1_f64(p), vdup_n_f64(0)) : vdupq_n_f64(0);
}
FP_INLINE void f64_store_n(double *p, f64_t x, ptrdiff_t n)
{
    if (n >= 2)
        vst1q_f64(p, x);
    else if (n == 1)
        vst1q_lane_f64(p, x, 0);
}
FP_INLINE f64_t f64_add(f64_t a, f64_t b) { return vaddq_f64(a, b); }
FP_INLINE f64_t f64_sub(f64_t a, f64_t b) { return vsubq_f64(a, b); }
FP_INLINE f64_t f64_mul(f64_t a, f64_t b) { return vmulq_f64(a, b); }
FP_INLINE f64_t f64_div(f64_t a, f64_t b) { return vdivq_f64(a, b); }
FP_INLINE f64_t f64_sqrt(f64_t a) { return vsqrtq_f64(a); }
FP_INLINE f64_t f64_fma(f64_t a, f64_t b, f64_t c) { return vfmaq_f64(c, a, b); }
FP_INLINE f64_t f64_fnma(f64_t a, f64_t b, f64_t c) { return vfmsq_f64(c, a, b); }
FP_INLINE f64_t f64_max(f64_t a, f64_t b)
{
    f64_mask a_wins = vcgtq_f64(a, b);
    FP_OPAQUE_MASK(a_wins);
    return vbslq_f64(a_wins, a, b);
}
FP_INLINE f64_t f64_min(f64_t a, f64_t b)
{
    f64_mask a_wins = vcltq_f64(a, b);
    FP_OPAQUE_MASK(a_wins);
    return vbslq_f64(a_wins, a, b);
}
FP_INLINE f64_t f64_abs(f64_t a) { return vabsq_f64(a); }
FP_INLINE f64_t f64_copysign(f64_t a, f64_t sign) { return vbslq_f64(vdupq_n_u64(0x8000000000000000u), sign, a); }
FP_INLINE f64_mask f64_gt(f64_t a, f64_t b) { return vcgtq_f64(a, b); }
FP_INLINE int f64_any(f64_mask m) { return vmaxvq_u32(vreinterpretq_u32_u64(m)) != 0; }
FP_INLINE f64_t f64_keep(f64_mask m, f64_t a) { return vreinterpretq_f64_u64(vandq_u64(m, vreinterpretq_u64_f64(a))); }
FP_INLINE f64_t f64_keep_n(f64_t a, ptrdiff_t n) { return f64_keep(vld1q_u64(fp_first_lanes_64 + 2 - n), a); }
FP_INLINE f64_t f64_select(f64_mask m, f64_t a, f64_t b) { return vbslq_f64(m, a, b); }
FP_INLINE f64_t f64_round(f64_t a) { return vrndnq_f64(a); }
FP_INLINE f64_t f64_pow2(f64_t n)
{
    uint64x2_t biased = vreinterpretq_u64_f64(vaddq_f64(n, vdupq_n_f64(0x1p52 + 1023)));
    return vreinterpretq_f64_u64(vshlq_n_u64(biased, 52));
}
FP_INLINE f64_t f64_exponent(f64_t a)
{
    uint64x2_t bits = vshrq_n_u64(vreinterpretq_u64_f64(a), 52);
    uint64x2_t shifted = vorrq_u64(bits, vreinterpretq_u64_f64(vdupq_n_f64(0x1p52)));
    return vsubq_f64(vreinterpretq_f64_u64(shifted), vdupq_n_f64(0x1p52 + 1023));
}
FP_INLINE f64_t f64_mantissa(f64_t a)
{
    uint64x2_t bits = vandq_u64(vreinterpretq_u64_f64(a), vdupq_n_u64(0x000fffffffffffff));
    return vreinterpretq_f64_u64(vorrq_u64(bits, vreinterpretq_u64_f64(vdupq_n_f64(1.0))));
}
FP_INLINE double f64_reduce_sum(f64_t a) { return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1); }
FP_INLINE double f64_reduce_max(f64_t a) { return vgetq_lane_f64(f64_max(vextq_f64(a, a, 1), a), 0); }
FP_INLINE void f64_zip(f64_t a, f64_t b, f64_t *low, f64_t *high)
{
    *low = vzip1q_f64(a, b);
    *high = vzip2q_f64(a, b);
}
FP_INLINE void f64_transpose(f64_t x[F64_LANES]) { f64_zip(x[0], x[1], &x[0], &x[1]); }
FP_INLINE void f64_load_transposed(f64_t x[F64_LANES], const double *p, ptrdiff_t stride)
{
    FP_UNROLL_FOR (int r = 0; r < F64_LANES; r++)
        x[r] = f64_load(p + r * stride);
    f64_transpose(x);
}

#endif
