/* Compiles every kernel for float32. T is the type of an element, L the number of lanes of a vector, V(operation) a
 * SIMD operation, FP(name) the full name of a kernel; the constants are those of vmath.h. */
#include "names.h"

#define T float
#define L F32_LANES
#define V(operation) FP_PASTE2(f32_, operation)
#define FP(name) FP_PASTE4(fp_, name, _f32__, FP_ISA)
#define FP_DTYPE "float32"
#define FP_FMA fmaf
#define FP_SQRT sqrtf
/* clang-format off */
#define FP_LN2_HIGH 0x1.62e4p-1f     /* ln 2 to 15 bits, so that n * high is exact for |n| < 2^9 */
#define FP_LN2_LOW 0x1.7f7d1cp-20f   /* ln 2 - high */
#define FP_EXP_TERMS 7               /* r^8 / 8! < 2^-24 for |r| <= ln(2) / 2 */
#define FP_EXP_MIN (-87.33654f)      /* ln of the smallest normal: below it exp is flushed to 0 */
#define FP_EXP_MAX 89.0f             /* above ln of the largest: exp overflows to infinity by itself */
#define FP_LOG_TERMS 5               /* s^10 / 11 < 2^-24 for |s| <= 3 - 2 sqrt(2) */
#define FP_TANH_MAX 9.02f            /* from 9.011 on tanh x rounds to 1, and FP(tanh) is 1 here */
#define FP_TANH_P 0.0297693729f, 0.000114166842f
#define FP_TANH_Q 0.226205316f, 0.00241219474f, 2.45478542e-06f /* error 2^-27, up to x = 9.02 */
#define FP_HALF_PI_1 0x1.921fb6p+0f   /* pi / 2 in three parts: each is the remainder of those before it, rounded */
#define FP_HALF_PI_2 (-0x1.777a5cp-25f)
#define FP_HALF_PI_3 (-0x1.ee59dap-50f)
#define FP_SIN_TERMS 4               /* r^10 / 11! < 2^-24 for |r| <= pi / 4 */
#define FP_COS_TERMS 5               /* r^12 / 12! < 2^-24 */
#define FP_WHOLE 0x1p48f             /* from here on a product of two numbers of 24 bits is an integer */
#define FP_SMALLEST 0x1p-126f         /* the smallest positive normal number */
#define FP_ROUND_MAGIC 0x1.8p23f     /* adding and subtracting this rounds to an integer */
#define FP_DECAY_MAX 87.5f           /* e^-x of this x is denormal, by less than half a power of 2 */
#define FP_GAUSS_MAX 9.354f          /* sqrt(FP_DECAY_MAX) */
#define FP_NORMAL_MAX 13.228f        /* sqrt(2 FP_DECAY_MAX) */
#define FP_GELU_TANH_MAX 10.008f     /* where the argument of gelu_tanh's sigmoid is FP_DECAY_MAX */
#define FP_TAIL_SERIES 0.153838608f, -0.133076486f, 0.0990612946f, -0.0627071053f, 0.0330010012f, -0.0138208198f, \
    0.00417870844f, -0.000596637235f, -0.000204083394f, 7.65803637e-05f /* error 2^-26.2, up to x = 14 */
#define FP_LOG1P_SERIES 0.810930216f, -0.144263337f, 0.0331523735f, -0.00846389833f, 0.00228910037f, -0.000632198143f, \
    0.000181868365f, -6.69504384e-05f, 2.00238365e-05f /* error 2^-24.8 */
/* clang-format on */
#include "all_kernels.h"
