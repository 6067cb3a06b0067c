/* The kernels in AVX2 and FMA, compiled with the flags of setup.py's table. */
#include "fastprop.h"
#define FP_ISA avx2
#include "simd/avx2.h"
#include "kernels/float32.h"
#include "kernels/float64.h"

const fp_kernels *const fp_kernels_avx2[2] = {&fp_table_f32__avx2, &fp_table_f64__avx2};
