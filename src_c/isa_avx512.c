/* The kernels in AVX-512, compiled with the flags of setup.py's table. */
#include "fastprop.h"
#define FP_ISA avx512
#include "simd/avx512.h"
#include "kernels/float32.h"
#include "kernels/float64.h"

const fp_kernels *const fp_kernels_avx512[2] = {&fp_table_f32__avx512, &fp_table_f64__avx512};
