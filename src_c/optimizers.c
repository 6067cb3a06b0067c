/* What of an optimiser changes from step to step: a few numbers, in double and without libm, so that every build gets the
 * same. The kernels (kernels/optimizer.h) say what they read. */
#include "fastprop.h"

#include <math.h>
#include <string.h>

int fp_optimizer_begin(int optimizer, double *now, double *after, const double *memory, const double *hyper)
{
    memcpy(now, hyper, FP_HYPER * sizeof *now);
    memcpy(after, memory, FP_MEMORY * sizeof *after);
    switch (optimizer) {
    case FP_OPTIMIZER_adam:
    case FP_OPTIMIZER_amsgrad: { /* hyper: ..., beta1, beta2, epsilon; memory: beta1^t, beta2^t */
        after[0] = memory[0] * hyper[2];
        after[1] = memory[1] * hyper[3];
        double root = sqrt(1 - after[1]);
        now[4] = root / (1 - after[0]);
        now[5] = root * hyper[4];
        return 1;
    }
    case FP_OPTIMIZER_adamax: /* hyper: ..., beta1, beta2, epsilon; memory: beta1^t */
        after[0] = memory[0] * hyper[2];
        now[4] = 1 / (1 - after[0]);
        now[5] = hyper[4];
        return 1;
    case FP_OPTIMIZER_nadam: { /* hyper: ..., beta1, beta2, epsilon, d; memory: mu[1] ... mu[t], beta2^t, d^t */
        after[1] = memory[1] * hyper[3];
        after[2] = memory[2] * hyper[5];
        double mu = hyper[2] * (1 - 0.5 * after[2]), mu_next = hyper[2] * (1 - 0.5 * after[2] * hyper[5]);
        after[0] = memory[0] * mu;
        double root = sqrt(1 - after[1]);
        now[4] = root * (1 - mu) / (1 - after[0]);
        now[5] = root * hyper[4];
        now[6] = root * mu_next / (1 - after[0] * mu_next);
        return 1;
    }
    default:
        return 0;
    }
}
