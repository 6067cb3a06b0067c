/* The kernels of one dtype in NEON, which needs no flags. */
#include "fastprop.h"
#define FP_ISA neon
#include "simd/neon.h"
#include "kernels/dtype.h"
