/* Compiles every body for float64; see float32.h. */
#include "names.h"

#define T double
#define L F64_LANES
#define V(word) FP_PASTE2(f64_, word)
#define FP(name) FP_PASTE4(fp_, name, _f64__, FP_ISA)
#define FP_DTYPE "float64"
#define FP_FMA fma
#define FP_SQRT sqrt
#define FP_LN2_HIGH 0x1.62e42fefap-1      /* ln 2 to 36 bits, so that n * high is exact for |n| < 2^17 */
#define FP_LN2_LOW 0x1.cf79abc9e3b3ap-40  /* ln 2 - high */
#define FP_EXP_TERMS 13                   /* r^14 / 14! < 2^-53 for |r| <= ln(2) / 2 */
#define FP_EXP_MIN (-708.3964185322641)   /* ln of the smallest normal */
#define FP_EXP_MAX 710.0                  /* above ln of the largest */
#define FP_LOG_TERMS 10                   /* s^20 / 21 < 2^-53 for |s| <= 3 - 2 sqrt(2) */
#define FP_TANH_MAX 19.1                  /* from 19.07 on tanh rounds to 1 */
#define FP_HALF_PI_1 0x1.921fb54442d18p+0    /* pi / 2 in three parts, each what the ones before leave of it */
#define FP_HALF_PI_2 0x1.1a62633145c07p-54
#define FP_HALF_PI_3 (-0x1.f1976b7ed8fbcp-110)
#define FP_SIN_TERMS 8                    /* r^18 / 19! < 2^-53 for |r| <= pi / 4 */
#define FP_COS_TERMS 8                    /* r^18 / 18! < 2^-53 */
#define FP_SMALLEST 0x1p-1022         /* normal number above 0 */
#include "bodies.h"
#include "undefine.h"
