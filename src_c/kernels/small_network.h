/* Forward and backward pass of a small network in one kernel, by plain loops: in a network of a few parameters, calls
 * and masks would take longer than the arithmetic. Sums have the order and the FMAs of the other kernels, so the
 * results have equal bits. */

/* A call of an activation or a loss would take longer than its arithmetic. So relu, identity and half_mse are computed
 * in the loops, and tanh and sigmoid too where layers have one neuron each; the others are called. */
FP_INLINE void FP(small_forward)(T *a, const T *x, const T *w, const T *b, I n_in, I n_out, int activation,
                                 const double *hyper)
{
    for (I j = 0; j < n_out; j++) {
        T sum = b[j];
        for (I i = 0; i < n_in; i++)
            sum = FP_FMA(x[i], w[i * n_out + j], sum);
        a[j] = activation == FP_ACTIVATION_relu && 0 > sum ? 0 : sum;
    }
    if (activation != FP_ACTIVATION_relu && activation != FP_ACTIVATION_identity)
        FP(table).forward[activation](a, NULL, n_out, hyper);
}

FP_INLINE void FP(small_backward)(T *dx, T *dw, T *db, const T *dz, const T *x, const T *w, I n_in, I n_out,
                                  int activation, const double *hyper, int accumulate)
{
    for (I i = 0; i < n_in; i++) {
        T sum = 0;
        for (I j = 0; j < n_out; j++) {
            T *slope = &dw[i * n_out + j];
            *slope = FP_FMA(x[i], dz[j], accumulate ? *slope : 0);
            sum = FP_FMA(dz[j], w[i * n_out + j], sum);
        }
        if (dx)
            dx[i] = activation == FP_ACTIVATION_relu && !(x[i] > 0) ? 0 : sum;
    }
    for (I j = 0; j < n_out; j++)
        db[j] = (accumulate ? db[j] : 0) + dz[j];
    if (dx && activation != FP_ACTIVATION_relu && activation != FP_ACTIVATION_identity)
        FP(table).backward[activation](dx, x, n_in, hyper);
}

/* Adds the loss of one row to *cost, and sets da = scale * dL/da. */
FP_INLINE void FP(small_loss)(double *cost, T *da, const T *a, const T *y, const int64_t *label, I n, int loss,
                              double scale, const double *hyper)
{
    if (loss == FP_LOSS_half_mse)
        FP(half_mse)(cost, da, a, y, NULL, NULL, 1, n, n, scale, NULL);
    else
        FP(table).loss[loss](cost, da, a, y, label, NULL, 1, n, n, scale, hyper);
}

/* g(z) of one element; scalar_slope is da g'(z). */
FP_INLINE T FP(scalar_activation)(T z, int activation, const double *hyper)
{
    V(t) vector = V(set1)(z);
    FP(params) none = FP(load_params)(NULL);
    switch (activation) {
    case FP_ACTIVATION_identity:
        return z;
    case FP_ACTIVATION_relu:
        return 0 > z ? 0 : z;
    case FP_ACTIVATION_tanh:
        return FP(first_lane)(FP(tanh_a)(vector, none));
    case FP_ACTIVATION_sigmoid:
        return FP(first_lane)(FP(sigmoid_a)(vector, none));
    default:;
        T a = z; /* a variable of its own, so that z stays in a register in the other cases */
        FP(table).forward[activation](&a, NULL, 1, hyper);
        return a;
    }
}

FP_INLINE T FP(scalar_slope)(T da, T a, int activation, const double *hyper)
{
    V(t) vector = V(set1)(da), saved = V(set1)(a);
    FP(params) none = FP(load_params)(NULL);
    /* Before the switch, so that the compiler makes no branch of it, which random data would mispredict. */
    T of_relu = a > 0 ? da : 0;
    switch (activation) {
    case FP_ACTIVATION_identity:
        return da;
    case FP_ACTIVATION_relu:
        return of_relu;
    case FP_ACTIVATION_tanh:
        return FP(first_lane)(FP(tanh_dz)(vector, saved, none));
    case FP_ACTIVATION_sigmoid:
        return FP(first_lane)(FP(sigmoid_dz)(vector, saved, none));
    default:;
        T dz = da, a_saved = a;
        FP(table).backward[activation](&dz, &a_saved, 1, hyper);
        return dz;
    }
}

/* The formula of sgd without momentum: w - rate (slope + coupled w), with w scaled by shrink. */
typedef struct {
    T rate, coupled, shrink;
} FP(scalar_sgd);

FP_INLINE T FP(scalar_update)(T w, T slope, FP(scalar_sgd) sgd)
{
    return FP_FMA(-sgd.rate, FP_FMA(sgd.coupled, w, slope), sgd.shrink * w);
}

/* Both passes of one row through layers of one neuron each: what passes from layer to layer is one element in a
 * register. Each parameter is updated as soon as its slope is known, unless `sgd` is NULL or the cost is not finite. */
FP_INLINE void FP(scalar_chain)(double *cost, T *gradient, T *work, T *theta, T x, const T *y, const int64_t *label,
                                const int *activations, I layers, int loss, double scale, const double *hyper,
                                int accumulate, const FP(scalar_sgd) *sgd)
{
    T a = x;
    for (I k = 0; k < layers; k++) {
        work[k] = a; /* the layer's input */
        a = FP(scalar_activation)(FP_FMA(a, theta[2 * k], theta[2 * k + 1]), activations[k], hyper + k * FP_HYPER);
    }
    T output = a, slope;
    FP(small_loss)(cost, &slope, &output, y, label, 1, loss, scale, hyper + layers * FP_HYPER);
    T da = slope;
    int updates = sgd && isfinite(*cost);
    for (I k = layers - 1; k >= 0; k--) {
        T dz = FP(scalar_slope)(da, a, activations[k], hyper + k * FP_HYPER), *dw = &gradient[2 * k], *db = dw + 1;
        a = work[k];
        *dw = FP_FMA(a, dz, accumulate ? *dw : 0);
        *db = (accumulate ? *db : 0) + dz;
        T w = theta[2 * k], b = theta[2 * k + 1];
        da = FP_FMA(dz, w, 0);
        if (updates) {
            theta[2 * k] = FP(scalar_update)(w, *dw, *sgd);
            theta[2 * k + 1] = FP(scalar_update)(b, *db, *sgd);
        }
    }
}

FP_INLINE int FP(is_chain)(const I *widths, I layers)
{
    I ones = 0;
    while (ones <= layers && widths[ones] == 1)
        ones++;
    return ones > layers;
}

static void FP(fused_small_network)(double *cost, T *gradient, T *work, const T *theta, const T *x, const T *y,
                                    const int64_t *label, const int64_t *index, const I *widths, const int *activations,
                                    I layers, I rows, int loss, double scale, const double *hyper)
{
    int chain = FP(is_chain)(widths, layers);
    for (I r = 0; r < rows && chain; r++) {
        I row = index ? index[r] : r;
        FP(scalar_chain)(cost, gradient, work, (T *)theta, x[row], y ? y + row : NULL, label ? label + row : NULL,
                         activations, layers, loss, scale, hyper, r > 0, NULL);
    }
    for (I r = 0; r < rows && !chain; r++) {
        I row = index ? index[r] : r, n_out = widths[layers], start = 0;
        const T *input = x + row * widths[0], *below = input;
        T *a = work;
        for (I k = 0; k < layers; k++) { /* a[1], a[2], ... are stored one after another in `work` */
            const T *w = theta + start, *b = w + widths[k] * widths[k + 1];
            FP(small_forward)(a, below, w, b, widths[k], widths[k + 1], activations[k], hyper + k * FP_HYPER);
            start += (widths[k] + 1) * widths[k + 1];
            below = a;
            a += widths[k + 1];
        }
        T *dz = a; /* dz_K, ..., dz_1 are stored after them */
        FP(small_loss)(cost, dz, below, y ? y + row * n_out : NULL, label ? label + row : NULL, n_out, loss, scale,
                       hyper + layers * FP_HYPER);
        if (activations[layers - 1] != FP_ACTIVATION_identity)
            FP(table).backward[activations[layers - 1]](dz, below, n_out, hyper + (layers - 1) * FP_HYPER);
        for (I k = layers - 1; k >= 0; k--) {
            I n_in = widths[k];
            n_out = widths[k + 1];
            start -= (n_in + 1) * n_out;
            below = k > 0 ? below - n_in : input;
            T *dw = gradient + start;
            FP(small_backward)(k > 0 ? dz + n_out : NULL, dw, dw + n_in * n_out, dz, below, theta + start, n_in, n_out,
                               k > 0 ? activations[k - 1] : FP_ACTIVATION_identity,
                               k > 0 ? hyper + (k - 1) * FP_HYPER : NULL, r > 0);
            dz += n_out;
        }
    }
}

static void FP(small_network_sgd)(double *cost, int *steps, T *theta, T *gradient, T *work, const T *x, const T *y,
                                  const int64_t *label, const int64_t *index, const I *widths, const int *activations,
                                  I layers, I rows, I most_steps, int loss, double rate, const double *hyper,
                                  const double *step_hyper)
{
    FP(scalar_sgd) sgd = {(T)rate, (T)step_hyper[0], (T)(1 - rate * step_hyper[1])};
    int chain = rows == 1 && FP(is_chain)(widths, layers);
    I step = 0, n = 0;
    for (I k = 0; k < layers; k++)
        n += (widths[k] + 1) * widths[k + 1];
    for (; step < most_steps; step++, index += rows) {
        double cost_of_step = 0;
        if (chain) {
            I row = index[0];
            FP(scalar_chain)(&cost_of_step, gradient, work, theta, x[row], y ? y + row : NULL,
                             label ? label + row : NULL, activations, layers, loss, 1, hyper, 0, &sgd);
        } else {
            FP(fused_small_network)(&cost_of_step, gradient, work, theta, x, y, label, index, widths, activations,
                                    layers, rows, loss, 1.0 / (double)rows, hyper);
        }
        if (!isfinite(cost_of_step))
            break;
        if (!chain)
            FP(sgd)(theta, NULL, gradient, n, 0, rate, step_hyper);
        *cost += cost_of_step;
    }
    *steps = (int)step;
}
