/* The kernel table of one ISA and dtype, derived from kernels.def. */
const fp_kernels FP(table) = {
    .isa = FP_STRING(FP_ISA),
    .dtype = FP_DTYPE,
    .size = sizeof(T),
    .lanes = L,
#ifndef FP_SMALL_NETWORKS
#define FP_KERNEL(name, args) .name = (fp_##name *)FP(name),
#endif
#define FP_ACTIVATION(name, saves) \
    .forward[FP_ACTIVATION_##name] = (fp_activation_forward *)FP(name##_forward), \
    .backward[FP_ACTIVATION_##name] = (fp_activation_backward *)FP(name##_backward),
#define FP_LOSS(name) .loss[FP_LOSS_##name] = (fp_loss *)FP(name),
#define FP_OPTIMIZER(name) .optimizer[FP_OPTIMIZER_##name] = (fp_optimizer *)FP(name),
#include "../kernels.def"
};
