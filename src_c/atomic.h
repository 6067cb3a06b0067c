/* The atomic operations that the thread pool and the engine need, sequentially consistent, for compilers with GCC's
 * builtins and for MSVC. */
#ifndef FP_ATOMIC_H
#define FP_ATOMIC_H

#include <stdint.h>

#if defined(_MSC_VER)
#include <intrin.h>

static __inline int64_t fp_atomic_load(volatile int64_t *x) { return _InterlockedOr64(x, 0); }
static __inline void fp_atomic_store(volatile int64_t *x, int64_t value) { _InterlockedExchange64(x, value); }
static __inline int64_t fp_atomic_add(volatile int64_t *x, int64_t value)
{
    return _InterlockedExchangeAdd64(x, value) + value;
}
static __inline int fp_atomic_compare_exchange(volatile int64_t *x, int64_t old, int64_t value)
{
    return _InterlockedCompareExchange64(x, value, old) == old;
}
#if defined(_M_X64)
static __inline void fp_cpu_pause(void) { _mm_pause(); }
#else
static __inline void fp_cpu_pause(void) { __yield(); }
#endif

#else

static inline int64_t fp_atomic_load(volatile int64_t *x) { return __atomic_load_n(x, __ATOMIC_SEQ_CST); }
static inline void fp_atomic_store(volatile int64_t *x, int64_t value) { __atomic_store_n(x, value, __ATOMIC_SEQ_CST); }
/* Returns the new value. */
static inline int64_t fp_atomic_add(volatile int64_t *x, int64_t value)
{
    return __atomic_add_fetch(x, value, __ATOMIC_SEQ_CST);
}

/* If *x is old, sets it to value and returns 1; else returns 0. */
static inline int fp_atomic_compare_exchange(volatile int64_t *x, int64_t old, int64_t value)
{
    return __atomic_compare_exchange_n(x, &old, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Tells the CPU that this is a spin loop. */
static inline void fp_cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
#endif
