/* Compiles every kernel for float64; float32.h explains the macros. */
#include "names.h"

#define T double
#define L F64_LANES
#define V(operation) FP_PASTE2(f64_, operation)
#define FP(name) FP_PASTE4(fp_, name, _f64__, FP_ISA)
#define FP_DTYPE "float64"
#ifndef FP_FMA
#define FP_FMA fma
#endif
#define FP_SQRT sqrt
/* clang-format off */
#define FP_LN2_HIGH 0x1.62e42fefap-1      /* ln 2 to 36 bits, so that n * high is exact for |n| < 2^17 */
#define FP_LN2_LOW 0x1.cf79abc9e3b3ap-40  /* ln 2 - high */
#define FP_EXP_TERMS 13                   /* r^14 / 14! < 2^-53 for |r| <= ln(2) / 2 */
#define FP_EXP_MIN (-708.3964185322641)   /* ln of the smallest normal */
#define FP_EXP_MAX 710.0                  /* above ln of the largest */
#define FP_LOG_TERMS 10                   /* s^20 / 21 < 2^-53 for |s| <= 3 - 2 sqrt(2) */
#define FP_TANH_MAX 19.07                 /* from 19.062 on tanh x rounds to 1, and FP(tanh) is 1 here */
#define FP_TANH_P 0.03648897006478842, 0.00031976677459299389, 9.8413018589027858e-07, 1.131008346493293e-09, \
    4.084593948026041e-13, 2.0745769719088954e-17
#define FP_TANH_Q 0.23964460679624347, 0.0039432507822063237, 2.0042038761523392e-05, 3.7895191322338323e-08, \
    2.5441753707079531e-11, 4.192244661866921e-15 /* error 2^-59.3, up to x = 19.1 */
#define FP_HALF_PI_1 0x1.921fb54442d18p+0 /* pi / 2 in three parts: each is the remainder of those before it, rounded */
#define FP_HALF_PI_2 0x1.1a62633145c07p-54
#define FP_HALF_PI_3 (-0x1.f1976b7ed8fbcp-110)
#define FP_SIN_TERMS 8                    /* r^18 / 19! < 2^-53 for |r| <= pi / 4 */
#define FP_COS_TERMS 8                    /* r^18 / 18! < 2^-53 */
#define FP_WHOLE 0x1p106              /* from here on a product of two numbers of 53 bits is an integer */
#define FP_SMALLEST 0x1p-1022         /* the smallest positive normal number */
#define FP_ROUND_MAGIC 0x1.8p52           /* adding and subtracting this rounds to an integer */
#define FP_DECAY_MAX 708.55               /* e^-x of this x is denormal, by less than half a power of 2 */
#define FP_GAUSS_MAX 26.6185              /* sqrt(FP_DECAY_MAX) */
#define FP_NORMAL_MAX 37.6444             /* sqrt(2 FP_DECAY_MAX) */
#define FP_GELU_TANH_MAX 21.1471          /* where the argument of gelu_tanh's sigmoid is FP_DECAY_MAX */
#define FP_TAIL_SERIES 0.15383860995001258, -0.13307650057801135, 0.099061123193995265, -0.062706631334260854, \
    0.033004073234077703, -0.013823727741263487, 0.0041590133599601004, -0.00059867535408727091, \
    -0.00015957387951055497, 0.00010897981290887859, -1.1875146757153577e-05, -9.9525630592182797e-06, \
    3.336247152107241e-06, 7.9618265078966823e-07, -5.5386357881316457e-07, -6.7331068680123587e-08, \
    8.6641629018922286e-08, 8.4697377302160076e-09, -1.319667611513478e-08, -1.876657884596321e-09, \
    1.5325036885069637e-09, 3.5598514823050561e-10, -2.9934031890292213e-11 /* error 2^-56.2, up to x = 38.6 */
#define FP_LOG1P_SERIES 0.81093021621632877, -0.14426354954966195, 0.033152438438550938, -0.0084610804138705361, \
    0.0022882409076902767, -0.0006421503724725223, 0.00018490300180466052, -5.4260898242074321e-05, \
    1.6156949099580387e-05, -4.8668773335915286e-06, 1.4798682669311618e-06, -4.5354366598033807e-07, \
    1.3990346886420576e-07, -4.3313047830935527e-08, 1.3500470517435648e-08, -4.3365485504147428e-09, \
    1.3631139231596789e-09, -3.4201387979303409e-10, 1.0787232813120478e-10, -7.3170422461702817e-11, \
    2.3305868099766681e-11 /* error 2^-56.4 */
/* clang-format on */
#include "all_kernels.h"
