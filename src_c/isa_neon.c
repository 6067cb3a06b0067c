/* The kernels in NEON, which needs no flags. */
#include "fastprop.h"
#define FP_ISA neon
#include "simd/neon.h"
#include "kernels/float32.h"
#include "kernels/float64.h"

const fp_kernels *const fp_kernels_neon[2] = {&fp_table_f32__neon, &fp_table_f64__neon};
