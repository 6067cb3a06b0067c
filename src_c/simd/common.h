/* What every vocabulary shares. */
#ifndef FP_SIMD_COMMON_H
#define FP_SIMD_COMMON_H

#include <stddef.h>

/* The words of a vocabulary, and what is written once for many constant sizes, must disappear into their callers. */
#if defined(_MSC_VER)
#define FP_INLINE static __forceinline
#define FP_UNROLL
#define FP_FETCH_TO_READ(p)
#define FP_FETCH_TO_WRITE(p)
#define FP_OPAQUE(x)
#else
#define FP_INLINE static inline __attribute__((always_inline, unused))
#define FP_UNROLL _Pragma("GCC unroll 16")
#define FP_FETCH_TO_READ(p) __builtin_prefetch(p, 0, 2) /* into the second-level cache */
#define FP_FETCH_TO_WRITE(p) __builtin_prefetch(p, 1)
#define FP_OPAQUE(x) __asm__("" : "+r"(x)) /* x, of which the compiler shall assume nothing */
#endif

#endif
