/* The features and the name of this CPU, its floating-point state, and a clock. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#endif
#include "core.h"

#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#define FP_X86 1
#include <immintrin.h>
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

int fp_cpu_has_any(void) { return 1; }

#ifdef FP_X86

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
#if defined(_MSC_VER)
    int out[4];
    __cpuidex(out, (int)leaf, (int)subleaf);
    for (int i = 0; i < 4; i++)
        r[i] = (uint32_t)out[i];
#else
    if (!__get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]))
        memset(r, 0, 4 * sizeof r[0]);
#endif
}

/* The registers that the operating system saves at a context switch (XCR0): bit 1 xmm, 2 ymm, 5 to 7 zmm and masks. */
static uint64_t saved_registers(void)
{
    uint32_t r[4];
    cpuid(1, 0, r);
    if (!(r[2] >> 27 & 1)) /* OSXSAVE */
        return 0;
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high; /* assembly, since the intrinsic _xgetbv would need -mxsave for this file */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
#endif
}

static int has_bits(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

int fp_cpu_has_avx2(void)
{
    uint32_t one[4], seven[4], extended[4];
    cpuid(1, 0, one);
    cpuid(7, 0, seven);
    cpuid(0x80000001u, 0, extended);
    return has_bits(one[2], 1u << 12 | 1u << 22 | 1u << 28 | 1u << 29) && /* FMA, MOVBE, AVX, F16C */
           has_bits(seven[1], 1u << 3 | 1u << 5 | 1u << 8) &&             /* BMI1, AVX2, BMI2 */
           has_bits(extended[2], 1u << 5) &&                              /* LZCNT */
           (saved_registers() & 0x6) == 0x6;
}

int fp_cpu_has_avx512(void)
{
    uint32_t seven[4];
    cpuid(7, 0, seven);
    return fp_cpu_has_avx2() &&
           has_bits(seven[1], 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) && /* F, DQ, CD, BW, VL */
           (saved_registers() & 0xe6) == 0xe6;
}

int fp_cpu_has_neon(void) { return 0; }

void fp_cpu_name(char name[49])
{
    for (uint32_t i = 0; i < 3; i++)
        cpuid(0x80000002u + i, 0, (uint32_t *)(void *)(name + 16 * i));
    name[48] = 0;
}

#define FP_MXCSR_FTZ_DAZ 0x8040u /* bit 15 flushes denormal results, bit 6 denormal operands */

uint64_t fp_denormals_flush(void)
{
    unsigned state = _mm_getcsr();
    _mm_setcsr(state | FP_MXCSR_FTZ_DAZ);
    return state;
}

void fp_denormals_restore(uint64_t state) { _mm_setcsr((unsigned)state); }

#else

int fp_cpu_has_avx2(void) { return 0; }
int fp_cpu_has_avx512(void) { return 0; }

#if defined(__aarch64__) || defined(_M_ARM64)
int fp_cpu_has_neon(void) { return 1; } /* part of every ARMv8-A */

void fp_cpu_name(char name[49]) { strcpy(name, "64-bit ARM"); } /* programs cannot read the CPU's own name */
#else
int fp_cpu_has_neon(void) { return 0; }
void fp_cpu_name(char name[49]) { strcpy(name, "unknown"); }
#endif

#if defined(__aarch64__) && !defined(_MSC_VER)
/* Flushes denormal operands and results. ARM tests a result before rounding, x86 after it: they differ only for a
 * result that is below the smallest normal number by at most half a unit in the last place. */
#define FP_FPCR_FZ (1u << 24)

uint64_t fp_denormals_flush(void)
{
    uint64_t state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    __asm__ volatile("msr fpcr, %0" : : "r"(state | FP_FPCR_FZ));
    return state;
}

void fp_denormals_restore(uint64_t state) { __asm__ volatile("msr fpcr, %0" : : "r"(state)); }
#else
uint64_t fp_denormals_flush(void) { return 0; } /* an unknown CPU computes with denormals: slower, never wrong */
void fp_denormals_restore(uint64_t state) { (void)state; }
#endif

#endif

#if defined(_WIN32)
#include <windows.h>
double fp_clock(void)
{
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    return (double)ticks.QuadPart / (double)frequency.QuadPart;
}
#else
#include <time.h>
double fp_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
#endif
