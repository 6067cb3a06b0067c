/* The kernels of one dtype (FP_BITS) in AVX-512, compiled with the flags of the table ISAS in setup.py. */
#include "core.h"
#define FP_ISA avx512
#include "simd/avx512.h"
#include "kernels/dtype.h"
