/* Takes back what float32.h or float64.h and the bodies defined, so that the other can follow. */
#undef T
#undef L
#undef V
#undef FP
#undef FP_DTYPE
#undef FP_FMA
#undef FP_SQRT
#undef FP_LN2_HIGH
#undef FP_LN2_LOW
#undef FP_EXP_TERMS
#undef FP_EXP_MIN
#undef FP_EXP_MAX
#undef FP_LOG_TERMS
#undef FP_TANH_MAX
#undef FP_LANES
