/* The kernels of one dtype in AVX2 and FMA, compiled with the flags of setup.py's table. */
#include "fastprop.h"
#define FP_ISA avx2
#include "simd/avx2.h"
#include "kernels/dtype.h"
