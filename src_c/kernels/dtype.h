/* Compiles the kernels for one dtype: setup.py defines FP_BITS, and compiles each ISA's source once for each. */
#if FP_BITS == 32
#include "float32.h"
#else
#include "float64.h"
#endif
