/* The scalars of an optimiser that change from step to step, such as Adam's bias corrections. They are computed in
 * double and without libm, so that every build gets the same bits. kernels/optimizer.h says which ones each kernel
 * reads. */
#include "core.h"

#include <math.h>
#include <string.h>

int fp_optimizer_begin(int optimizer, double *step_hyper, double *next_memory, const double *memory,
                       const double *hyper)
{
    memcpy(step_hyper, hyper, FP_HYPER * sizeof *step_hyper);
    memcpy(next_memory, memory, FP_MEMORY * sizeof *next_memory);
    switch (optimizer) {
    case FP_OPTIMIZER_adam:
    case FP_OPTIMIZER_amsgrad: { /* hyper: ..., beta1, beta2, epsilon; memory: beta1^t, beta2^t */
        next_memory[0] = memory[0] * hyper[2];
        next_memory[1] = memory[1] * hyper[3];
        double root = sqrt(1 - next_memory[1]);
        step_hyper[4] = root / (1 - next_memory[0]);
        step_hyper[5] = root * hyper[4];
        return 1;
    }
    case FP_OPTIMIZER_adamax: /* hyper: ..., beta1, beta2, epsilon; memory: beta1^t */
        next_memory[0] = memory[0] * hyper[2];
        step_hyper[4] = 1 / (1 - next_memory[0]);
        step_hyper[5] = hyper[4];
        return 1;
    case FP_OPTIMIZER_nadam: { /* hyper: ..., beta1, beta2, epsilon, d; memory: mu[1] ... mu[t], beta2^t, d^t */
        next_memory[1] = memory[1] * hyper[3];
        next_memory[2] = memory[2] * hyper[5];
        double mu = hyper[2] * (1 - 0.5 * next_memory[2]), mu_next = hyper[2] * (1 - 0.5 * next_memory[2] * hyper[5]);
        next_memory[0] = memory[0] * mu;
        double root = sqrt(1 - next_memory[1]);
        step_hyper[4] = root * (1 - mu) / (1 - next_memory[0]);
        step_hyper[5] = root * hyper[4];
        step_hyper[6] = root * mu_next / (1 - next_memory[0] * mu_next);
        return 1;
    }
    default:
        return 0;
    }
}
