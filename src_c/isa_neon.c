/* The kernels of one dtype (FP_BITS) in NEON, which needs no compiler flags. */
#include "core.h"
#define FP_ISA neon
#include "simd/neon.h"
#include "kernels/dtype.h"
