/* The few atomic operations that the thread pool needs, for compilers with and without GCC's builtins. */
#ifndef FP_ATOMIC_H
#define FP_ATOMIC_H

#include <stdint.h>

#if defined(_MSC_VER)
#include <intrin.h>

static __inline int64_t fp_atomic_load(volatile int64_t *x) { return _InterlockedOr64(x, 0); }
static __inline void fp_atomic_store(volatile int64_t *x, int64_t value) { _InterlockedExchange64(x, value); }
static __inline int64_t fp_atomic_add(volatile int64_t *x, int64_t value) { return _InterlockedExchangeAdd64(x, value) + value; }
static __inline int fp_atomic_swap_if(volatile int64_t *x, int64_t old, int64_t value)
{
    return _InterlockedCompareExchange64(x, value, old) == old;
}
#if defined(_M_X64)
static __inline void fp_relax(void) { _mm_pause(); }
#else
static __inline void fp_relax(void) { __yield(); }
#endif

#else

static inline int64_t fp_atomic_load(volatile int64_t *x) { return __atomic_load_n(x, __ATOMIC_SEQ_CST); }
static inline void fp_atomic_store(volatile int64_t *x, int64_t value) { __atomic_store_n(x, value, __ATOMIC_SEQ_CST); }
static inline int64_t fp_atomic_add(volatile int64_t *x, int64_t value) { return __atomic_add_fetch(x, value, __ATOMIC_SEQ_CST); }

/* x = value if x is old; true if it was */
static inline int fp_atomic_swap_if(volatile int64_t *x, int64_t old, int64_t value)
{
    return __atomic_compare_exchange_n(x, &old, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Tells the core that this is a waiting loop. */
static inline void fp_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
#endif
