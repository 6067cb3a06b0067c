/* Compiler-specific macros that the SIMD wrappers and the kernels share. */
#ifndef FP_SIMD_COMMON_H
#define FP_SIMD_COMMON_H

#include <stddef.h>

/* FP_INLINE is for functions that must be inlined: SIMD operations, and code that is specialised by constant
 * arguments. */
#if defined(_MSC_VER)
#define FP_INLINE static __forceinline
#define FP_UNROLL_FOR(...) for (__VA_ARGS__)
#define FP_PREFETCH_READ(p)
#define FP_PREFETCH_WRITE(p)
#define FP_OPAQUE(x)
#else
#define FP_INLINE static inline __attribute__((always_inline, unused))
#define FP_UNROLL_FOR(...) _Pragma("GCC unroll 16") for (__VA_ARGS__) /* at most 16 iterations */
#define FP_PREFETCH_READ(p) __builtin_prefetch(p, 0, 2)               /* into the L2 cache */
#define FP_PREFETCH_WRITE(p) __builtin_prefetch(p, 1)
/* Hides from the compiler where the value of x comes from. */
#define FP_OPAQUE(x) __asm__("" : "+r"(x))
#endif

#endif
