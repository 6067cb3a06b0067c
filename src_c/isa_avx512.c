/* The kernels of one dtype in AVX-512, compiled with the flags of setup.py's table. */
#include "fastprop.h"
#define FP_ISA avx512
#include "simd/avx512.h"
#include "kernels/dtype.h"
