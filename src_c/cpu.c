/* The features and the name of this CPU, its floating-point state, and a clock. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#define _DARWIN_C_SOURCE        /* sysctlbyname */
#endif
#include "core.h"
#include "kernels/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

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

/* ---- the sizes of the caches ---- */

fp_cache_sizes fp_caches = {32 * 1024, 512 * 1024}; /* those of many CPUs, and less than others have */

void fp_set_caches(ptrdiff_t l1, ptrdiff_t l2)
{
    /* at least a row of the widest tile; at most what fp_scratch counts on */
    fp_caches.l1 = l1 < 1024 ? 1024 : l1 > FP_MOST_L1 ? FP_MOST_L1 : l1;
    fp_caches.l2 = l2 < 1024 ? 1024 : l2;
}

/* The size in bytes of the data cache of a level, or 0. */
static ptrdiff_t cache_size(int level)
{
#if defined(FP_X86)
    static const uint32_t leaves[] = {4, 0x8000001Du}; /* of Intel and of AMD: the same format */
    uint32_t r[4];
    for (int i = 0; i < 2; i++) {
        cpuid(leaves[i] & 0x80000000u, 0, r);
        if (r[0] < leaves[i]) /* the last leaf that this CPU has */
            continue;
        for (uint32_t cache = 0; cache < 16; cache++) {
            cpuid(leaves[i], cache, r);
            uint32_t kind = r[0] & 31; /* 0: no more, 1: data, 2: instructions, 3: both */
            if (kind == 0)
                break;
            if (kind != 2 && (int)(r[0] >> 5 & 7) == level) /* ways, partitions, bytes of a line, sets */
                return (ptrdiff_t)((r[1] >> 22) + 1) * ((r[1] >> 12 & 1023) + 1) * ((r[1] & 4095) + 1) *
                       ((ptrdiff_t)r[2] + 1);
        }
    }
    return 0;
#elif defined(__APPLE__)
    int64_t size = 0;
    size_t bytes = sizeof size;
    sysctlbyname(level == 1 ? "hw.l1dcachesize" : "hw.l2cachesize", &size, &bytes, NULL, 0);
    return (ptrdiff_t)size;
#elif defined(__linux__)
    for (int i = 0; i < 8; i++) {
        char path[] = "/sys/devices/system/cpu/cpu0/cache/index0/level", text[3][16] = {"", "", ""};
        static const char *const fields[] = {"level", "type", "size"};
        size_t end = strlen(path) - strlen(fields[0]);
        path[end - 2] = (char)('0' + i);
        for (int field = 0; field < 3; field++) {
            memcpy(path + end, fields[field], strlen(fields[field]) + 1);
            FILE *file = fopen(path, "r");
            if (!file)
                return 0;
            if (!fgets(text[field], sizeof text[field], file))
                text[field][0] = 0;
            fclose(file);
        }
        if (atoi(text[0]) == level && text[1][0] != 'I') /* Instruction, else Data or Unified */
            return (ptrdiff_t)atoi(text[2]) * 1024;      /* written as 32K */
    }
    return 0;
#else
    (void)level;
    return 0;
#endif
}

void fp_caches_init(void)
{
    ptrdiff_t l1 = cache_size(1), l2 = cache_size(2);
    if (l1 > 0 && l2 > 0)
        fp_set_caches(l1, l2);
}

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
