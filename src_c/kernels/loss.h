/* Losses that compare outputs with targets. One pass adds the loss of each row to *cost, in double and in row order,
 * and computes da = scale * dL/da. Sums over a row are taken in the 16 virtual lanes of reduce.h. */

/* The loss coefficient * sum (a - y)^2; its derivative times scale is slope (a - y). */
FP_INLINE void FP(squared_errors)(double *cost, T *da, const T *a, const T *y, const T *weight, I rows, I n,
                                  T coefficient, T slope)
{
    double total = *cost; /* in a register, since da might be cost for all that a compiler knows */
    if (n == 1) {         /* one output: there is no sum over a row */
        for (I i = 0; i < rows; i++) {
            T error = a[i] - y[i], w = weight ? weight[i] : 1;
            total += (double)(w * (coefficient * (error * error)));
            if (da)
                da[i] = w * slope * error;
        }
        *cost = total;
        return;
    }
    for (I i = 0; i < rows; i++, a += n, y += n) {
        T w = weight ? weight[i] : 1;
        V(t) factor = V(set1)(w * slope);
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I left = n - j - q * L;
                if (left <= 0)
                    break;
                V(t) error = V(sub)(FP(load_tail)(a + j + q * L, left), FP(load_tail)(y + j + q * L, left));
                sum.lane[q] = V(fma)(error, error, sum.lane[q]);
                if (da)
                    FP(store_tail)(da + i * n + j + q * L, V(mul)(factor, error), left);
            }
        total += (double)(w * (coefficient * FP(lanes_sum)(sum)));
    }
    *cost = total;
}

static void FP(half_mse) FP_LOSS_ARGS
{
    (void)label, (void)n_y, (void)hyper;
    FP(squared_errors)(cost, da, a, y, weight, rows, n, (T)0.5, (T)scale);
}

static void FP(squared_error) FP_LOSS_ARGS
{
    (void)label, (void)n_y, (void)hyper;
    FP(squared_errors)(cost, da, a, y, weight, rows, n, 1, (T)(2 * scale));
}

static void FP(mse) FP_LOSS_ARGS
{
    (void)label, (void)n_y, (void)hyper;
    FP(squared_errors)(cost, da, a, y, weight, rows, n, (T)(1.0 / (double)n), (T)(2 * scale / (double)n));
}

/* Loads the first min(n, L) of the elements p[0], p[stride], ...; the other lanes are 0. */
FP_INLINE V(t) FP(load_strided)(const T *p, I stride, I n)
{
    if (stride == 1)
        return FP(load_tail)(p, n);
    T lane[L];
    for (int i = 0; i < L; i++)
        lane[i] = i < n ? p[i * stride] : 0;
    return V(load)(lane);
}

FP_INLINE void FP(store_strided)(T *p, I stride, V(t) x, I n)
{
    if (stride == 1) {
        FP(store_tail)(p, x, n);
        return;
    }
    T lane[L];
    V(store)(lane, x);
    for (int i = 0; i < L && i < n; i++)
        p[i * stride] = lane[i];
}

/* The kernel of a loss that is a sum over targets. `block` returns the losses of min(left, L) targets at y, each with
 * `outputs` = n / n_y outputs at a, and stores factor times their derivatives at da, unless da is NULL. `params` are
 * the loss's hyperparameters in the form that its block uses. */
FP_INLINE void FP(sum_over_targets)(double *cost, T *da, const T *a, const T *y, const T *weight, I rows, I n, I n_y,
                                    double scale, const T *params,
                                    V(t) (*block)(T *da, const T *a, const T *y, I left, I outputs, V(t) factor,
                                                  const T *params))
{
    I outputs = n / n_y;
    if (n_y == 1) { /* there is no sum over a row, so each lane is a row */
        for (I i = 0; i < rows; i += L) {
            I left = rows - i;
            V(t) w = weight ? FP(load_tail)(weight + i, left) : V(set1)(1);
            V(t) loss = block(da ? da + i * outputs : NULL, a + i * outputs, y + i, left, outputs,
                              V(mul)(w, V(set1)((T)scale)), params);
            T lane[L];
            V(store)(lane, V(mul)(w, loss));
            for (int k = 0; k < L && k < left; k++)
                *cost += (double)lane[k];
        }
        return;
    }
    for (I i = 0; i < rows; i++, a += n, y += n_y) {
        T w = weight ? weight[i] : 1;
        V(t) factor = V(set1)(w * (T)scale);
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n_y; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n_y - at;
                if (left <= 0)
                    break;
                T *slopes = da ? da + i * n + at * outputs : NULL;
                V(t) loss = block(slopes, a + at * outputs, y + at, left, outputs, factor, params);
                sum.lane[q] = V(add)(sum.lane[q], left < L ? V(keep_n)(loss, left) : loss);
            }
        *cost += (double)(w * FP(lanes_sum)(sum));
    }
}

/* Defines the kernel of a loss NAME that is a sum over targets, from NAME_block; the other arguments become
 * `params`. */
#define FP_TARGETS_KERNEL(name, ...) \
    static void FP(name) FP_LOSS_ARGS \
    { \
        (void)label, (void)hyper; \
        const T params[] = {__VA_ARGS__}; \
        FP(sum_over_targets)(cost, da, a, y, weight, rows, n, n_y, scale, params, FP(name##_block)); \
    }

/* Defines the kernel of a loss NAME that has one output per target, from NAME_of(a, y, params, &slope), which returns
 * the losses and sets slope to their derivatives; the other arguments become `params`. */
#define FP_OUTPUTS_KERNEL(name, ...) \
    FP_INLINE V(t) FP(name##_block)(T *da, const T *a, const T *y, I left, I outputs, V(t) factor, const T *params) \
    { \
        (void)outputs; \
        V(t) slope, loss = FP(name##_of)(FP(load_tail)(a, left), FP(load_tail)(y, left), params, &slope); \
        if (da) \
            FP(store_tail)(da, V(mul)(factor, slope), left); \
        return loss; \
    } \
    FP_TARGETS_KERNEL(name, __VA_ARGS__)

/* `positive` where x > 0, `negative` where x < 0, else x: 0 at the kink, and NaN stays NaN */
FP_INLINE V(t) FP(by_sign)(V(t) x, V(t) positive, V(t) negative)
{
    V(t) zero = V(set1)(0);
    return V(select)(V(gt)(x, zero), positive, V(select)(V(gt)(zero, x), negative, x));
}

/* |a - y| */
FP_INLINE V(t) FP(mae_of)(V(t) a, V(t) y, const T *params, V(t) *slope)
{
    (void)params;
    V(t) error = V(sub)(a, y);
    *slope = FP(by_sign)(error, V(set1)(1), V(set1)(-1));
    return V(abs)(error);
}
FP_OUTPUTS_KERNEL(mae, 0)

/* With e = a - y and c = e clamped to [-delta, delta], c (e - c / 2): e^2 / 2 where |e| <= delta, else
 * delta (|e| - delta / 2). The slope is c. */
FP_INLINE V(t) FP(huber_of)(V(t) a, V(t) y, const T *params, V(t) *slope)
{
    V(t) error = V(sub)(a, y), delta = V(set1)(params[0]);
    *slope = V(min)(delta, V(max)(V(set1)(-params[0]), error));
    return V(mul)(*slope, V(fnma)(V(set1)((T)0.5), *slope, error));
}
FP_OUTPUTS_KERNEL(huber, (T)hyper[0])

/* ln cosh e = |e| + ln(1 + e^(-2 |e|)) - ln 2 with e = a - y, without overflow; the slope is tanh e. */
FP_INLINE V(t) FP(log_cosh_of)(V(t) a, V(t) y, const T *params, V(t) *slope)
{
    (void)params;
    V(t) error = V(sub)(a, y), size = V(abs)(error);
    *slope = FP(tanh)(error);
    V(t) below = FP(log1p)(FP(exp)(V(mul)(V(set1)(-2), size)));
    return V(add)(size, V(sub)(below, V(set1)((T)0.6931471805599453)));
}
FP_OUTPUTS_KERNEL(log_cosh, 0)

/* The pinball loss for each level q of a target: q (y - a) where a < y, else (1 - q) (a - y). params: the levels. */
FP_INLINE V(t) FP(quantile_block)(T *da, const T *a, const T *y, I left, I outputs, V(t) factor, const T *params)
{
    V(t) target = FP(load_tail)(y, left), loss = V(set1)(0);
    for (I q = 0; q < outputs; q++) {
        V(t) over = V(sub)(FP(load_strided)(a + q, outputs, left), target);
        V(t) above = V(set1)(1 - params[q]), below = V(set1)(-params[q]);
        loss = V(add)(loss, V(max)(V(mul)(above, over), V(mul)(below, over)));
        if (da)
            FP(store_strided)(da + q, outputs, V(mul)(factor, FP(by_sign)(over, above, below)), left);
    }
    return loss;
}
static void FP(quantile) FP_LOSS_ARGS
{
    (void)label;
    T level[FP_HYPER];
    for (I q = 0; q < n / n_y; q++)
        level[q] = (T)hyper[q];
    FP(sum_over_targets)(cost, da, a, y, weight, rows, n, n_y, scale, level, FP(quantile_block));
}

/* e^a - y a: the negative log-likelihood of y under Poisson's distribution with mean e^a, without ln y!. */
FP_INLINE V(t) FP(poisson_of)(V(t) a, V(t) y, const T *params, V(t) *slope)
{
    (void)params;
    V(t) mean = FP(exp)(a);
    *slope = V(sub)(mean, y);
    return V(fnma)(y, a, mean);
}
FP_OUTPUTS_KERNEL(poisson, 0)

/* 2 (ln(m / y) + y / m - 1) with m = e^a: the deviance of the gamma distribution; y > 0. */
FP_INLINE V(t) FP(gamma_of)(V(t) a, V(t) y, const T *params, V(t) *slope)
{
    (void)params;
    V(t) ratio = V(mul)(y, FP(exp)(V(sub)(V(set1)(0), a))), two = V(set1)(2);
    *slope = V(fnma)(two, ratio, two);
    return V(mul)(two, V(add)(V(sub)(a, FP(log)(y)), V(sub)(ratio, V(set1)(1))));
}
FP_OUTPUTS_KERNEL(gamma, 0)

/* Tweedie's deviance 2 (y^(2-p) / ((1-p) (2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)) with m = e^a, 1 < p < 2, y >= 0.
 * params: 1 - p, 2 - p, 2 / (1-p), 2 / (2-p), 2 / ((1-p) (2-p)). */
FP_INLINE V(t) FP(tweedie_of)(V(t) a, V(t) y, const T *params, V(t) *slope)
{
    V(t) one_less = V(set1)(params[0]), two_less = V(set1)(params[1]), two = V(set1)(2);
    V(t) falling = V(mul)(y, FP(exp)(V(mul)(one_less, a))), rising = FP(exp)(V(mul)(two_less, a));
    V(t) y_power = V(keep)(V(gt)(y, V(set1)(0)), FP(exp)(V(mul)(two_less, FP(log)(y))));
    *slope = V(mul)(two, V(sub)(rising, falling));
    V(t) loss = V(fnma)(V(set1)(params[2]), falling, V(mul)(V(set1)(params[4]), y_power));
    return V(fma)(V(set1)(params[3]), rising, loss);
}
FP_OUTPUTS_KERNEL(tweedie, (T)(1 - hyper[0]), (T)(2 - hyper[0]), (T)(2 / (1 - hyper[0])), (T)(2 / (2 - hyper[0])),
                  (T)(2 / ((1 - hyper[0]) * (2 - hyper[0]))))

/* (v + (m - y)^2 e^-v) / 2 with the mean m and the log variance v: the negative log-likelihood of y under a normal
 * distribution, without ln(2 pi) / 2. */
FP_INLINE V(t) FP(gaussian_nll_block)(T *da, const T *a, const T *y, I left, I outputs, V(t) factor, const T *params)
{
    (void)params;
    V(t) half = V(set1)((T)0.5), log_variance = FP(load_strided)(a + 1, outputs, left);
    V(t) error = V(sub)(FP(load_strided)(a, outputs, left), FP(load_tail)(y, left));
    V(t) precise = V(mul)(error, FP(exp)(V(sub)(V(set1)(0), log_variance))), square = V(mul)(error, precise);
    if (da) {
        V(t) low, high;
        V(zip)(V(mul)(factor, precise), V(mul)(factor, V(fnma)(half, square, half)), &low, &high);
        FP(store_tail)(da, low, 2 * left);
        FP(store_tail)(da + L, high, 2 * left - L);
    }
    return V(mul)(half, V(add)(log_variance, square));
}
FP_TARGETS_KERNEL(gaussian_nll, 0)
