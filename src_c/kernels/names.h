/* Macros that build the full name of a kernel, such as fp_dense_forward_f32__avx2, and headers that kernels need. */
#ifndef FP_KERNELS_NAMES_H
#define FP_KERNELS_NAMES_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "../random.h"

#define I ptrdiff_t

#define FP_PASTE2_(a, b) a##b
#define FP_PASTE2(a, b) FP_PASTE2_(a, b)
#define FP_PASTE4_(a, b, c, d) a##b##c##d
#define FP_PASTE4(a, b, c, d) FP_PASTE4_(a, b, c, d)
#define FP_STRING_(x) #x
#define FP_STRING(x) FP_STRING_(x)

#endif
