/* The parts of an optimiser step beside the optimiser itself: penalties, gradient clipping, averages of the parameters,
 * a limit on the norms of columns. */

/* gradient += l1 sign(theta) + l2 theta */
static void FP(penalize)(T *gradient, const T *theta, I n, double l1, double l2)
{
    V(t) lasso = V(set1)((T)l1), ridge = V(set1)((T)l2);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_tail)(theta + j, n - j), g = FP(load_tail)(gradient + j, n - j);
        FP(store_tail)(gradient + j, V(fma)(lasso, FP(sign)(w), V(fma)(ridge, w, g)), n - j);
    }
}

/* x = min(max(x, -limit), limit), with x as the last operand of both, so that NaN stays NaN */
static void FP(clip)(T *x, I n, double limit)
{
    V(t) upper = V(set1)((T)limit), lower = V(set1)((T)-limit);
    for (I j = 0; j < n; j += L)
        FP(store_tail)(x + j, V(min)(upper, V(max)(lower, FP(load_tail)(x + j, n - j))), n - j);
}

static void FP(shrink)(T *x, I n, double factor)
{
    V(t) scale = V(set1)((T)factor);
    for (I j = 0; j < n; j += L)
        FP(store_tail)(x + j, V(mul)(scale, FP(load_tail)(x + j, n - j)), n - j);
}

static void FP(sum_squares)(double *sum, const T *x, I n)
{
    FP(lanes) s = FP(lanes_set1)(0);
    for (I j = 0; j < n; j += 16)
        for (int q = 0; q < FP_LANES; q++) {
            V(t) a = FP(load_tail)(x + j + q * L, n - j - q * L);
            s.lane[q] = V(fma)(a, a, s.lane[q]);
        }
    *sum = (double)FP(lanes_sum)(s);
}

/* mean += weight (theta - mean) */
static void FP(average)(T *mean, const T *theta, I n, double weight)
{
    V(t) fraction = V(set1)((T)weight);
    for (I j = 0; j < n; j += L) {
        V(t) m = FP(load_tail)(mean + j, n - j);
        FP(store_tail)(mean + j, V(fma)(fraction, V(sub)(FP(load_tail)(theta + j, n - j), m), m), n - j);
    }
}

/* One vector of columns at a time; squares are summed in row order. */
static void FP(max_norm)(T *w, I n_in, I n_out, I w_stride, double limit)
{
    V(t) upper = V(set1)((T)limit), one = V(set1)(1);
    for (I j = 0; j < n_out; j += L) {
        V(t) sum = V(set1)(0);
        for (I i = 0; i < n_in; i++) {
            V(t) x = FP(load_tail)(w + i * w_stride + j, n_out - j);
            sum = V(fma)(x, x, sum);
        }
        V(t) norm = V(sqrt)(sum), factor = V(select)(V(gt)(norm, upper), V(div)(upper, norm), one);
        for (I i = 0; i < n_in; i++) {
            T *x = w + i * w_stride + j;
            FP(store_tail)(x, V(mul)(factor, FP(load_tail)(x, n_out - j)), n_out - j);
        }
    }
}
