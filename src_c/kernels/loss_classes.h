/* Losses for classification: one class out of n, from softmax(a) or from the scores a, and n independent binary
 * classes. */

/* The class of a row, or 0 where y holds the targets. A label that is not in [0, n) sets the row's weight to NaN: then
 * the cost is NaN, and no optimiser step follows. */
FP_INLINE I FP(class_of)(const int64_t *label, I row, I n, T *weight)
{
    I class_index = label ? fp_label(label + row, n) : 0;
    if (class_index >= 0)
        return class_index;
    *weight = (T)NAN;
    return 0;
}

/* The state of up to L rows after the first pass of a loss of softmax(a). */
typedef struct {
    I class_index[L]; /* the label, or 0 where y holds the targets */
    T weight[L];      /* the row's weight */
    T sum_exp[L];     /* sum_k e^(a_k - max a) */
    T sum_y_score[L]; /* sum_j y_j (a_j - max a); with `entropy` sum_j y_j (a_j - max a - ln y_j) */
    T sum_y[L];       /* sum_j y_j, which is 1 for targets that are probabilities */
    T sum_score[L];   /* sum_j (a_j - max a) with `smooth`, else 0 */
} FP(softmax_rows);

/* The first pass over row i: computes its sums, and stores e^(a - max a) in exps (capacity,), which may be a, unless it
 * is NULL. */
FP_INLINE void FP(softmax_row)(FP(softmax_rows) *s, int i, T *exps, I capacity, const T *a, const T *y, I n, int smooth,
                               int entropy)
{
    T max = FP(row_max)(a, n), chosen_score = y ? 0 : a[s->class_index[i]] - max; /* before a is overwritten */
    V(t) shift = V(set1)(max);
    FP(lanes) sum = FP(lanes_set1)(0), weighted = sum, weight = sum, scores = sum;
    for (I j = 0; j < n; j += 16)
        for (int q = 0; q < FP_LANES; q++) {
            I at = j + q * L, left = n - at;
            if (left <= 0)
                break;
            V(t) score = V(sub)(FP(load_tail)(a + at, left), shift), e = FP(exp)(score);
            if (left < L)
                e = V(keep_n)(e, left);
            sum.lane[q] = V(add)(sum.lane[q], e);
            if (smooth)
                scores.lane[q] = V(add)(scores.lane[q], left < L ? V(keep_n)(score, left) : score);
            if (y) {
                V(t) target = FP(load_tail)(y + at, left);
                if (entropy) /* 0 ln 0 = 0 */
                    score = V(sub)(score, V(keep)(V(gt)(target, V(set1)(0)), FP(log)(target)));
                weighted.lane[q] = V(fma)(target, score, weighted.lane[q]);
                weight.lane[q] = V(add)(weight.lane[q], target);
            }
            if (exps)
                FP(store_tail)(exps + at, e, capacity - at);
        }
    s->sum_exp[i] = FP(lanes_sum)(sum);
    s->sum_y_score[i] = y ? FP(lanes_sum)(weighted) : chosen_score;
    s->sum_y[i] = y ? FP(lanes_sum)(weight) : 1;
    s->sum_score[i] = smooth ? FP(lanes_sum)(scores) : 0;
}

/* The loss of a row is sum_j y_j (ln sum_k e^a_k - a_j), computed from a - max a so that nothing overflows. Its
 * derivative is softmax(a) sum_j y_j - y. A label stands for the y that is 1 there and 0 elsewhere. Smoothing replaces
 * y by (1 - smoothing) y + smoothing / n; `entropy` adds sum_j y_j ln y_j. Logarithms are computed for L rows at
 * once. */
FP_INLINE void FP(softmax_losses)(double *cost, T *da, const T *a, const T *y, const int64_t *label, const T *weight,
                                  I rows, I n, double scale, T smoothing, int entropy)
{
    T rest = 1 - smoothing, each = smoothing / (T)n;
    for (I begin = 0; begin < rows; begin += L) {
        int count = rows - begin < L ? (int)(rows - begin) : L;
        FP(softmax_rows) s;
        /* Short rows are stored here as whole vectors, so that a load need not wait for the stores of a part of one. */
        T short_exps[L * L];
        I capacity = n <= L ? L : n;
        V(store)(s.sum_exp, V(set1)(1));
        for (int i = 0; i < count; i++) {
            I row = begin + i;
            T *exps = !da ? NULL : n <= L ? short_exps + i * L : da + row * n;
            s.weight[i] = weight ? weight[row] : 1;
            s.class_index[i] = FP(class_of)(label, row, n, &s.weight[i]);
            FP(softmax_row)(&s, i, exps, capacity, a + row * n, y ? y + row * n : NULL, n, smoothing != 0, entropy);
        }
        T log_sum_exp[L];
        V(store)(log_sum_exp, FP(log)(V(load)(s.sum_exp)));
        for (int i = 0; i < count; i++) {
            I row = begin + i;
            T w = s.weight[i], slope_of_1 = w * (T)scale, sum_y = s.sum_y[i], sum_score = s.sum_y_score[i];
            if (smoothing != 0) {
                sum_y = rest * sum_y + smoothing;
                sum_score = rest * sum_score + each * s.sum_score[i];
            }
            *cost += (double)(w * (sum_y * log_sum_exp[i] - sum_score));
            if (!da)
                continue;
            T *out = da + row * n, *exps = n <= L ? short_exps + i * L : out;
            T scale_e = slope_of_1 * sum_y / s.sum_exp[i], less = slope_of_1 * rest, less_each = slope_of_1 * each;
            T at_label = y ? 0 : scale_e * exps[s.class_index[i]] - (smoothing != 0 ? less_each : 0) - less;
            for (I j = 0; j < n; j += L) {
                V(t) slope = V(mul)(V(set1)(scale_e), FP(load_tail)(exps + j, capacity - j));
                if (smoothing != 0)
                    slope = V(sub)(slope, V(set1)(less_each));
                if (y)
                    slope = V(fnma)(V(set1)(less), FP(load_tail)(y + row * n + j, n - j), slope);
                FP(store_tail)(out + j, slope, n - j);
            }
            if (!y)
                out[s.class_index[i]] = at_label;
        }
    }
}

/* hyper: label_smoothing (Szegedy et al. 2016) */
static void FP(cross_entropy) FP_LOSS_ARGS
{
    (void)n_y;
    if (hyper[0] == 0)
        FP(softmax_losses)(cost, da, a, y, label, weight, rows, n, scale, 0, 0);
    else
        FP(softmax_losses)(cost, da, a, y, label, weight, rows, n, scale, (T)hyper[0], 0);
}

/* sum_j y_j (ln y_j - ln softmax(a)_j) */
static void FP(kl_divergence) FP_LOSS_ARGS
{
    (void)n_y, (void)hyper;
    FP(softmax_losses)(cost, da, a, y, label, weight, rows, n, scale, 0, 1);
}

/* The targets of min(left, L) outputs from `at` on: y, or the one-hot vector of class_index. */
FP_INLINE V(t) FP(targets)(const T *y, I class_index, I at, I left)
{
    if (y)
        return FP(load_tail)(y + at, left);
    T lane[L] = {0};
    if (class_index >= at && class_index < at + L)
        lane[class_index - at] = 1;
    return V(load)(lane);
}

/* The focal loss of outputs with the targets y: y (1 - p)^gamma (-ln p). Sets p_slope to p times its derivative by p,
 * which is y (1 - p)^gamma (gamma p ln p / (1 - p) - 1). */
FP_INLINE V(t) FP(focal_of)(V(t) target, V(t) log_p, V(t) p, V(t) gamma, V(t) *p_slope)
{
    /* 1 - p without cancellation: 1 - e^x = -2 t / (1 - t) with t = tanh(x / 2); above 0, so that it has a logarithm */
    V(t) half = FP(tanh)(V(mul)(V(set1)((T)0.5), log_p)), one = V(set1)(1);
    V(t) rest = V(div)(V(mul)(V(set1)(-2), half), V(sub)(one, half));
    rest = V(max)(V(set1)(FP_SMALLEST), rest);
    V(t) share = V(mul)(target, FP(exp)(V(mul)(gamma, FP(log)(rest))));
    V(t) ratio = V(div)(V(mul)(p, log_p), rest);
    *p_slope = V(mul)(share, V(sub)(V(mul)(gamma, ratio), one));
    return V(mul)(share, V(sub)(V(set1)(0), log_p));
}

/* alpha sum_j y_j (1 - p_j)^gamma (-ln p_j) with p = softmax(a) (Lin et al. 2017); hyper: gamma, alpha. The derivative
 * is p_slope_j - p_j sum_k p_slope_k. p_slope is computed twice, since da may be a. */
static void FP(focal) FP_LOSS_ARGS
{
    (void)n_y;
    V(t) gamma = V(set1)((T)hyper[0]);
    for (I i = 0; i < rows; i++, a += n, y = y ? y + n : NULL) {
        T w = (weight ? weight[i] : 1) * (T)hyper[1];
        I class_index = FP(class_of)(label, i, n, &w);
        V(t) shift = V(set1)(FP(row_max)(a, n)), sum_exp = V(set1)(0), sum_p_slope = sum_exp;
        for (int pass = 0; pass < (da ? 3 : 2); pass++) { /* 0: sum e^(a - max a); 1: the loss and sum p_slope; 2: da */
            FP(lanes) sum = FP(lanes_set1)(0), p_slopes = sum;
            for (I j = 0; j < n; j += 16)
                for (int q = 0; q < FP_LANES; q++) {
                    I at = j + q * L, left = n - at;
                    if (left <= 0)
                        break;
                    V(t) log_p = V(sub)(V(sub)(FP(load_tail)(a + at, left), shift), sum_exp);
                    V(t) p = FP(exp)(log_p), p_slope = p, loss = p;
                    if (pass > 0)
                        loss = FP(focal_of)(FP(targets)(y, class_index, at, left), log_p, p, gamma, &p_slope);
                    if (pass == 2) {
                        V(t) slope = V(mul)(V(set1)(w * (T)scale), V(fnma)(p, sum_p_slope, p_slope));
                        FP(store_tail)(da + i * n + at, slope, left);
                        continue;
                    }
                    sum.lane[q] = V(add)(sum.lane[q], left < L ? V(keep_n)(loss, left) : loss);
                    if (pass == 1)
                        p_slopes.lane[q] = V(add)(p_slopes.lane[q], left < L ? V(keep_n)(p_slope, left) : p_slope);
                }
            if (pass == 0)
                sum_exp = FP(log)(V(set1)(FP(lanes_sum)(sum)));
            if (pass == 1) {
                *cost += (double)(w * FP(lanes_sum)(sum));
                sum_p_slope = V(set1)(FP(lanes_sum)(p_slopes));
            }
        }
    }
}

/* max_j (a_j + 1 - y_j) - sum_j y_j a_j; for a label c this is max(0, 1 + max_{j != c} a_j - a_c) (Crammer and Singer
 * 2001). Its derivative is -y, and 1 - y at the first j that is largest. 0 a is added so that NaN is not lost. */
static void FP(hinge) FP_LOSS_ARGS
{
    (void)n_y, (void)hyper;
    V(t) zero = V(set1)(0), one = V(set1)(1);
    for (I i = 0; i < rows; i++, a += n, y = y ? y + n : NULL) {
        T w = weight ? weight[i] : 1;
        I class_index = FP(class_of)(label, i, n, &w), top = 0;
        T max = 0;
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                if (left <= 0)
                    break;
                V(t) score = FP(load_tail)(a + at, left), target = FP(targets)(y, class_index, at, left);
                sum.lane[q] = V(fma)(target, score, sum.lane[q]);
                T margin[L];
                V(store)(margin, V(add)(score, V(sub)(one, target)));
                for (int k = 0; k < L && k < left; k++)
                    if (at + k == 0 || margin[k] > max) {
                        max = margin[k];
                        top = at + k;
                    }
            }
        *cost += (double)(w * (max - FP(lanes_sum)(sum)));
        if (!da)
            continue;
        T slope_of_1 = w * (T)scale, *out = da + i * n;
        for (I j = 0; j < n; j += L) {
            V(t) nan_or_zero = V(mul)(zero, FP(load_tail)(a + j, n - j));
            V(t) slope = V(fnma)(V(set1)(slope_of_1), FP(targets)(y, class_index, j, n - j), nan_or_zero);
            FP(store_tail)(out + j, slope, n - j);
        }
        out[top] += slope_of_1;
    }
}

/* max(z, 0) - z y + ln(1 + e^-|z|), which is -[y ln s(z) + (1 - y) ln(1 - s(z))] without overflow; derivative s(z) -
 * y. */
FP_INLINE V(t) FP(binary_cross_entropy_of)(V(t) z, V(t) y, const T *params, V(t) *slope)
{
    (void)params;
    V(t) zero = V(set1)(0);
    V(t) loss = FP(log1p)(FP(exp)(V(sub)(zero, V(abs)(z))));
    *slope = V(sub)(FP(sigmoid)(z), y);
    return V(add)(loss, V(fnma)(z, y, V(max)(zero, z)));
}
FP_OUTPUTS_KERNEL(binary_cross_entropy, 0)

/* y on_1 (1 - s)^gamma (-ln s) + (1 - y) on_0 s^gamma (-ln(1 - s)) with s = s(z) (Lin et al. 2017); params: gamma,
 * on_1, on_0. With nll_1 = -ln s and nll_0 = -ln(1 - s), (1 - s)^gamma is e^(-gamma nll_0). */
FP_INLINE V(t) FP(binary_focal_of)(V(t) z, V(t) y, const T *params, V(t) *slope)
{
    V(t) zero = V(set1)(0), gamma = V(set1)(params[0]), minus = V(sub)(zero, z);
    V(t) both = FP(log1p)(FP(exp)(V(sub)(zero, V(abs)(z))));
    V(t) nll_1 = V(add)(both, V(max)(zero, minus)), nll_0 = V(add)(both, V(max)(zero, z));
    V(t) s = FP(sigmoid)(z), rest = FP(sigmoid)(minus);
    V(t) on_1 = V(mul)(V(mul)(V(set1)(params[1]), y), FP(exp)(V(mul)(gamma, V(sub)(zero, nll_0))));
    V(t) on_0 = V(mul)(V(mul)(V(set1)(params[2]), V(sub)(V(set1)(1), y)), FP(exp)(V(mul)(gamma, V(sub)(zero, nll_1))));
    V(t) slope_0 = V(mul)(on_0, V(fma)(V(mul)(gamma, rest), nll_0, s));
    *slope = V(fnma)(on_1, V(fma)(V(mul)(gamma, s), nll_1, rest), slope_0);
    return V(fma)(on_1, nll_1, V(mul)(on_0, nll_0));
}
FP_OUTPUTS_KERNEL(binary_focal, (T)hyper[0], (T)hyper[1], (T)hyper[2])

/* max(0, 1 - y a) with y = -1 or 1. 0 a is added so that NaN and infinity are not lost. */
FP_INLINE V(t) FP(binary_hinge_of)(V(t) a, V(t) y, const T *params, V(t) *slope)
{
    (void)params;
    V(t) zero = V(set1)(0), margin = V(fnma)(y, a, V(set1)(1));
    *slope = V(fma)(zero, a, V(keep)(V(gt)(margin, zero), V(sub)(zero, y)));
    return V(fma)(zero, a, V(max)(zero, margin));
}
FP_OUTPUTS_KERNEL(binary_hinge, 0)
#undef FP_TARGETS_KERNEL
#undef FP_OUTPUTS_KERNEL
