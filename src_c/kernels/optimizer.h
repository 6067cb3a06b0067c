/* Optimisers: one pass over the flat vectors of parameters, gradient and state. The formulas are those of the classes
 * in optimizers.py, which name their sources. hyper is what fp_optimizer_begin wrote for this step; for all but rprop
 * it begins with the weight decay:
 *     hyper[0]  coupled: it is added to the gradient, g = gradient + hyper[0] theta
 *     hyper[1]  decoupled: it scales the parameters, theta (1 - rate hyper[1]) */

FP_INLINE V(t) FP(broadcast)(double x) { return V(set1)((T)x); }

/* Updates an exponential moving average: x = beta x + rest new with rest = 1 - beta; stores and returns it. */
FP_INLINE V(t) FP(ema_update)(T *x, V(t) new, V(t) beta, V(t) rest, I left)
{
    V(t) mean = V(fma)(beta, FP(load_tail)(x, left), V(mul)(rest, new));
    FP(store_tail)(x, mean, left);
    return mean;
}

/* The sign of x: -1, 0 or 1; NaN stays NaN. */
FP_INLINE V(t) FP(sign)(V(t) x)
{
    V(t) zero = V(set1)(0);
    return V(select)(V(gt)(x, zero), V(set1)(1), V(select)(V(gt)(zero, x), V(set1)(-1), x));
}

/* What a step of sgd does to weights w, along g; `decays` is a constant, 0 without weight decay. */
FP_INLINE V(t) FP(sgd_step)(V(t) w, V(t) g, V(t) rate, V(t) shrink, int decays)
{
    return V(fnma)(rate, g, decays ? V(mul)(shrink, w) : w);
}
FP_INLINE V(t) FP(sgd_gradient)(V(t) w, V(t) g, V(t) decay, int decays) { return decays ? V(fma)(decay, w, g) : g; }

/* Whether sgd decays weights, for hyper and 1 - rate hyper[1]. */
FP_INLINE int FP(sgd_decays)(double decay, double shrink) { return decay != 0 || shrink != 1; }

/* One function for each kind, since a branch for each vector would take as long as the update. */
FP_INLINE void FP(sgd_pass)(T *theta, T *state, const T *gradient, I n, double rate, const double *hyper, int decays,
                            int has_momentum, int nesterov)
{
    V(t) eta = FP(broadcast)(rate), mu = FP(broadcast)(hyper[2]);
    V(t) decay = FP(broadcast)(hyper[0]), shrink = FP(broadcast)(1 - rate * hyper[1]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j);
        V(t) g = FP(sgd_gradient)(w, FP(load_tail)(gradient + j, n - j), decay, decays);
        if (has_momentum) {
            V(t) v = V(fma)(mu, FP(load_tail)(state + j, n - j), g);
            FP(store_tail)(state + j, v, n - j);
            g = nesterov ? V(fma)(mu, v, g) : v;
        }
        FP(store_tail)(theta + j, FP(sgd_step)(w, g, eta, shrink, decays), n - j);
    }
}

/* hyper: ..., momentum, nesterov. state: v, which is not read if momentum is 0. */
static void FP(sgd)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    (void)stride;
    int has_momentum = hyper[2] != 0, nesterov = hyper[3] != 0;
    if (has_momentum && nesterov)
        FP(sgd_pass)(theta, state, gradient, n, rate, hyper, 1, 1, 1);
    else if (has_momentum)
        FP(sgd_pass)(theta, state, gradient, n, rate, hyper, 1, 1, 0);
    else if (n <= 16) /* vector loads would wait for fused_small_network's scalar stores: 4 ns of 20 */
        for (I j = 0; j < n; j++) {
            T w = theta[j], g = FP_FMA((T)hyper[0], w, gradient[j]);
            theta[j] = FP_FMA(-(T)rate, g, (T)(1 - rate * hyper[1]) * w);
            FP_OPAQUE(j);
        }
    else if (FP(sgd_decays)(hyper[0], 1 - rate * hyper[1]))
        FP(sgd_pass)(theta, state, gradient, n, rate, hyper, 1, 0, 0);
    else
        FP(sgd_pass)(theta, state, gradient, n, rate, hyper, 0, 0, 0);
}

/* hyper: ..., epsilon. state: s. */
static void FP(adagrad)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    (void)stride;
    V(t) eta = FP(broadcast)(rate), epsilon = FP(broadcast)(hyper[2]);
    V(t) decay = FP(broadcast)(hyper[0]), shrink = FP(broadcast)(1 - rate * hyper[1]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j);
        V(t) g = V(fma)(decay, w, FP(load_tail)(gradient + j, n - j));
        V(t) s = V(fma)(g, g, FP(load_tail)(state + j, n - j));
        FP(store_tail)(state + j, s, n - j);
        V(t) step = V(div)(g, V(add)(V(sqrt)(s), epsilon));
        FP(store_tail)(theta + j, V(fnma)(eta, step, V(mul)(shrink, w)), n - j);
    }
}

/* hyper: ..., alpha, epsilon, momentum, centered. state: s; then u if momentum is not 0; then m if centered. */
static void FP(rmsprop)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    int has_momentum = hyper[4] != 0, centered = hyper[5] != 0;
    T *velocity = has_momentum ? state + stride : NULL, *mean = centered ? state + (1 + has_momentum) * stride : NULL;
    V(t) eta = FP(broadcast)(rate), epsilon = FP(broadcast)(hyper[3]), mu = FP(broadcast)(hyper[4]);
    V(t) alpha = FP(broadcast)(hyper[2]), rest = FP(broadcast)(1 - hyper[2]);
    V(t) decay = FP(broadcast)(hyper[0]), shrink = FP(broadcast)(1 - rate * hyper[1]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j);
        V(t) g = V(fma)(decay, w, FP(load_tail)(gradient + j, n - j));
        V(t) s = FP(ema_update)(state + j, V(mul)(g, g), alpha, rest, n - j);
        if (centered) {
            V(t) m = FP(ema_update)(mean + j, g, alpha, rest, n - j);
            s = V(max)(V(set1)(0), V(fnma)(m, m, s)); /* a variance, which rounding may make negative */
        }
        V(t) step = V(div)(g, V(add)(V(sqrt)(s), epsilon));
        if (has_momentum) {
            step = V(fma)(mu, FP(load_tail)(velocity + j, n - j), step);
            FP(store_tail)(velocity + j, step, n - j);
        }
        FP(store_tail)(theta + j, V(fnma)(eta, step, V(mul)(shrink, w)), n - j);
    }
}

/* With c1 = 1 - beta1^t and c2 = 1 - beta2^t, rate (m / c1) / (sqrt(v / c2) + epsilon) is rate (sqrt(c2) / c1) m /
 * (sqrt(v) + sqrt(c2) epsilon), which takes one division. max_square is NULL, or AMSGrad's largest v so far. */
FP_INLINE void FP(adam_pass)(T *theta, T *m, T *v, T *max_square, const T *gradient, I n, double rate,
                             const double *hyper)
{
    V(t) eta = FP(broadcast)(rate * hyper[4]), epsilon = FP(broadcast)(hyper[5]);
    V(t) beta1 = FP(broadcast)(hyper[2]), rest1 = FP(broadcast)(1 - hyper[2]);
    V(t) beta2 = FP(broadcast)(hyper[3]), rest2 = FP(broadcast)(1 - hyper[3]);
    V(t) decay = FP(broadcast)(hyper[0]), shrink = FP(broadcast)(1 - rate * hyper[1]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j);
        V(t) g = V(fma)(decay, w, FP(load_tail)(gradient + j, n - j));
        V(t) mean = FP(ema_update)(m + j, g, beta1, rest1, n - j);
        V(t) square = FP(ema_update)(v + j, V(mul)(g, g), beta2, rest2, n - j);
        if (max_square) {
            square = V(max)(FP(load_tail)(max_square + j, n - j), square);
            FP(store_tail)(max_square + j, square, n - j);
        }
        V(t) step = V(div)(mean, V(add)(V(sqrt)(square), epsilon));
        FP(store_tail)(theta + j, V(fnma)(eta, step, V(mul)(shrink, w)), n - j);
    }
}

/* hyper: ..., beta1, beta2, sqrt(c2) / c1, sqrt(c2) epsilon. state: m, v. */
static void FP(adam)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    FP(adam_pass)(theta, state, state + stride, NULL, gradient, n, rate, hyper);
}

/* hyper: as for adam. state: m, v, and the largest v so far. */
static void FP(amsgrad)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    FP(adam_pass)(theta, state, state + stride, state + 2 * stride, gradient, n, rate, hyper);
}

/* hyper: ..., beta1, beta2, 1 / c1, epsilon. state: m, u. */
static void FP(adamax)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    T *u = state + stride;
    V(t) eta = FP(broadcast)(rate * hyper[4]), beta2 = FP(broadcast)(hyper[3]), epsilon = FP(broadcast)(hyper[5]);
    V(t) beta1 = FP(broadcast)(hyper[2]), rest1 = FP(broadcast)(1 - hyper[2]);
    V(t) decay = FP(broadcast)(hyper[0]), shrink = FP(broadcast)(1 - rate * hyper[1]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j);
        V(t) g = V(fma)(decay, w, FP(load_tail)(gradient + j, n - j));
        V(t) mean = FP(ema_update)(state + j, g, beta1, rest1, n - j);
        V(t) size = V(max)(V(mul)(beta2, FP(load_tail)(u + j, n - j)), V(add)(V(abs)(g), epsilon));
        FP(store_tail)(u + j, size, n - j);
        FP(store_tail)(theta + j, V(fnma)(eta, V(div)(mean, size), V(mul)(shrink, w)), n - j);
    }
}

/* hyper: ..., beta1, beta2, the factor of the gradient, sqrt(c2) epsilon, the factor of m. state: m, v. */
static void FP(nadam)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    V(t) eta = FP(broadcast)(rate * hyper[4]), mean_rate = FP(broadcast)(rate * hyper[6]),
         epsilon = FP(broadcast)(hyper[5]);
    V(t) beta1 = FP(broadcast)(hyper[2]), rest1 = FP(broadcast)(1 - hyper[2]);
    V(t) beta2 = FP(broadcast)(hyper[3]), rest2 = FP(broadcast)(1 - hyper[3]);
    V(t) decay = FP(broadcast)(hyper[0]), shrink = FP(broadcast)(1 - rate * hyper[1]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j);
        V(t) g = V(fma)(decay, w, FP(load_tail)(gradient + j, n - j));
        V(t) mean = FP(ema_update)(state + j, g, beta1, rest1, n - j);
        V(t) square = FP(ema_update)(state + stride + j, V(mul)(g, g), beta2, rest2, n - j);
        V(t) step = V(div)(V(fma)(mean_rate, mean, V(mul)(eta, g)), V(add)(V(sqrt)(square), epsilon));
        FP(store_tail)(theta + j, V(sub)(V(mul)(shrink, w), step), n - j);
    }
}

/* hyper: ..., beta1, beta2. state: m. */
static void FP(lion)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    (void)stride;
    V(t) eta = FP(broadcast)(rate);
    V(t) beta1 = FP(broadcast)(hyper[2]), rest1 = FP(broadcast)(1 - hyper[2]);
    V(t) beta2 = FP(broadcast)(hyper[3]), rest2 = FP(broadcast)(1 - hyper[3]);
    V(t) decay = FP(broadcast)(hyper[0]), shrink = FP(broadcast)(1 - rate * hyper[1]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j);
        V(t) g = V(fma)(decay, w, FP(load_tail)(gradient + j, n - j));
        V(t) direction = V(fma)(beta1, FP(load_tail)(state + j, n - j), V(mul)(rest1, g));
        FP(ema_update)(state + j, g, beta2, rest2, n - j);
        FP(store_tail)(theta + j, V(fnma)(eta, FP(sign)(direction), V(mul)(shrink, w)), n - j);
    }
}

/* hyper: shrink, grow, the smallest and the largest step. state: the previous gradient, the steps. rate is not read. */
static void FP(rprop)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    (void)rate;
    V(t) zero = V(set1)(0), one = V(set1)(1), shrink = FP(broadcast)(hyper[0]), grow = FP(broadcast)(hyper[1]);
    V(t) min_step = FP(broadcast)(hyper[2]), max_step = FP(broadcast)(hyper[3]);
    for (I j = 0; j < n; j += L) {
        V(t) g = FP(load_tail)(gradient + j, n - j), step = FP(load_tail)(state + stride + j, n - j);
        /* signs, since the product of two small gradients may be 0 */
        V(t) agree = V(mul)(FP(sign)(g), FP(sign)(FP(load_tail)(state + j, n - j)));
        V(mask) turned = V(gt)(zero, agree);
        step = V(mul)(step, V(select)(turned, shrink, V(select)(V(gt)(agree, zero), grow, one)));
        step = V(min)(max_step, V(max)(min_step, step));
        g = V(select)(turned, zero, g);
        FP(store_tail)(state + j, g, n - j);
        FP(store_tail)(state + stride + j, step, n - j);
        FP(store_tail)(theta + j, V(fnma)(FP(sign)(g), step, FP(load_tail)(theta + j, n - j)), n - j);
    }
}
