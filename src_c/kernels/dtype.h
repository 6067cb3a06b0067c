/* The bodies for the dtype that is compiled: setup.py defines FP_BITS, so that both compile side by side. */
#if FP_BITS == 32
#include "float32.h"
#else
#include "float64.h"
#endif
