/* The SIMD wrapper for WebAssembly's SIMD128: 2 doubles. simd/README.md describes the operations. It has no floats, since
 * the playground, the one program that is compiled for WebAssembly, computes in float64, and no tiles of products. */
#ifndef FP_SIMD_WASM_H
#define FP_SIMD_WASM_H

#include <math.h>
#include <stdint.h>
#include <wasm_simd128.h>

#include "common.h"

typedef v128_t f64_t;
typedef v128_t f64_mask;
#define F64_LANES 2

FP_INLINE f64_t f64_set1(double x) { return wasm_f64x2_splat(x); }
FP_INLINE f64_t f64_load(const double *p) { return wasm_v128_load(p); }
FP_INLINE void f64_store(double *p, f64_t x) { wasm_v128_store(p, x); }
FP_INLINE f64_t f64_load_n(const double *p, ptrdiff_t n)
{
    if (n >= 2)
        return wasm_v128_load(p);
    return n == 1 ? wasm_v128_load64_zero(p) : wasm_f64x2_const_splat(0);
}
FP_INLINE void f64_store_n(double *p, f64_t x, ptrdiff_t n)
{
    if (n >= 2)
        wasm_v128_store(p, x);
    else if (n == 1)
        wasm_v128_store64_lane(p, x, 0);
}
FP_INLINE f64_t f64_add(f64_t a, f64_t b) { return wasm_f64x2_add(a, b); }
FP_INLINE f64_t f64_sub(f64_t a, f64_t b) { return wasm_f64x2_sub(a, b); }
FP_INLINE f64_t f64_mul(f64_t a, f64_t b) { return wasm_f64x2_mul(a, b); }
FP_INLINE f64_t f64_div(f64_t a, f64_t b) { return wasm_f64x2_div(a, b); }
FP_INLINE f64_t f64_sqrt(f64_t a) { return wasm_f64x2_sqrt(a); }
FP_INLINE f64_t f64_abs(f64_t a) { return wasm_f64x2_abs(a); }
FP_INLINE f64_mask f64_gt(f64_t a, f64_t b) { return wasm_f64x2_gt(a, b); }
FP_INLINE int f64_any(f64_mask m) { return wasm_v128_any_true(m); }
FP_INLINE f64_t f64_select(f64_mask m, f64_t a, f64_t b) { return wasm_v128_bitselect(a, b, m); }
FP_INLINE f64_t f64_keep(f64_mask m, f64_t a) { return wasm_v128_and(m, a); }
FP_INLINE f64_t f64_keep_n(f64_t a, ptrdiff_t n)
{
    return f64_keep(wasm_i64x2_lt(wasm_i64x2_const(0, 1), wasm_i64x2_splat(n)), a);
}
/* pmax(b, a) is b < a ? a : b, as on x86; wasm_f64x2_max treats NaN and zeros of different signs in another way. */
FP_INLINE f64_t f64_max(f64_t a, f64_t b) { return wasm_f64x2_pmax(b, a); }
FP_INLINE f64_t f64_min(f64_t a, f64_t b) { return wasm_f64x2_pmin(b, a); }
FP_INLINE f64_t f64_copysign(f64_t a, f64_t sign)
{
    return wasm_v128_or(a, wasm_v128_and(sign, wasm_f64x2_const_splat(-0.0)));
}

/* SIMD128 has no FMA, and that of Relaxed SIMD may round twice. So product and sum are computed exactly, each as the
 * rounded result and its error, and the errors are added to the sum. Of these additions both round, which changes the last
 * bit of one result in 10^15: where the sum of the errors rounds to half a unit in the last place of the result.
 * Not inlined, since the kernels would be six times as large. */
static __attribute__((noinline)) f64_t f64_fma(f64_t a, f64_t b, f64_t c)
{
    f64_t product = f64_mul(a, b), sum = f64_add(product, c);
    /* Two halves of 26 bits each, whose products are exact (Veltkamp), and the error of the product (Dekker) */
    f64_t factor = f64_set1(0x1p27 + 1), a_scaled = f64_mul(a, factor), b_scaled = f64_mul(b, factor);
    f64_t a_high = f64_sub(a_scaled, f64_sub(a_scaled, a)), b_high = f64_sub(b_scaled, f64_sub(b_scaled, b));
    f64_t a_low = f64_sub(a, a_high), b_low = f64_sub(b, b_high);
    f64_t error = f64_sub(f64_mul(a_high, b_high), product);
    error = f64_add(f64_add(error, f64_mul(a_high, b_low)), f64_mul(a_low, b_high));
    error = f64_add(error, f64_mul(a_low, b_low));
    /* The error of the sum (Knuth) */
    f64_t of_c = f64_sub(sum, product);
    f64_t sum_error = f64_add(f64_sub(product, f64_sub(sum, of_c)), f64_sub(c, of_c));
    f64_t exact = f64_add(sum, f64_add(sum_error, error));
    /* Rounded twice where the halves overflow, from 2^996 on, and where the result is 0, whose sign the errors lose. */
    f64_t magnitude = f64_abs(exact);
    f64_mask proper = wasm_v128_and(f64_gt(magnitude, f64_set1(0)), f64_gt(f64_set1(INFINITY), magnitude));
    return f64_select(proper, exact, sum);
}
FP_INLINE f64_t f64_fnma(f64_t a, f64_t b, f64_t c) { return f64_fma(wasm_f64x2_neg(a), b, c); }

/* libm's fma computes with integers, which takes several times as long. */
FP_INLINE double f64_fma_of_one(double a, double b, double c)
{
    return wasm_f64x2_extract_lane(f64_fma(f64_set1(a), f64_set1(b), f64_set1(c)), 0);
}
#define FP_FMA f64_fma_of_one

FP_INLINE f64_t f64_round(f64_t a) { return wasm_f64x2_nearest(a); }
FP_INLINE f64_t f64_pow2(f64_t n)
{
    return wasm_i64x2_shl(wasm_f64x2_add(n, wasm_f64x2_const_splat(0x1p52 + 1023)), 52);
}
FP_INLINE f64_t f64_exponent(f64_t a)
{
    f64_t shifted = wasm_v128_or(wasm_u64x2_shr(a, 52), wasm_f64x2_const_splat(0x1p52));
    return f64_sub(shifted, wasm_f64x2_const_splat(0x1p52 + 1023));
}
FP_INLINE f64_t f64_mantissa(f64_t a)
{
    return wasm_v128_or(wasm_v128_and(a, wasm_i64x2_const_splat(0x000fffffffffffff)), wasm_f64x2_const_splat(1.0));
}
FP_INLINE double f64_reduce_sum(f64_t a) { return wasm_f64x2_extract_lane(a, 0) + wasm_f64x2_extract_lane(a, 1); }
FP_INLINE double f64_reduce_max(f64_t a)
{
    double low = wasm_f64x2_extract_lane(a, 0), high = wasm_f64x2_extract_lane(a, 1);
    return high > low ? high : low;
}
FP_INLINE void f64_zip(f64_t a, f64_t b, f64_t *low, f64_t *high)
{
    *low = wasm_i64x2_shuffle(a, b, 0, 2);
    *high = wasm_i64x2_shuffle(a, b, 1, 3);
}

#endif
