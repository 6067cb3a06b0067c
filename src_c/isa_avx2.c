/* The kernels of one dtype (FP_BITS) in AVX2 and FMA, compiled with the flags of the table ISAS in setup.py. */
#include "core.h"
#define FP_ISA avx2
#include "simd/avx2.h"
#include "kernels/dtype.h"
