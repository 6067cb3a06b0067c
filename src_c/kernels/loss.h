/* Losses: the cost of each row is added to *cost in double, in row order, and da = scale * dLoss/da in the same sweep. The
 * sum over a row runs in reduce.h's 16 virtual lanes. */

/* share sum (a - y)^2 and its derivative times scale, which is slope (a - y). */
FP_INLINE void FP(squares)(double *cost, T *da, const T *a, const T *y, const T *weight, I rows, I n, T share, T slope)
{
    if (n == 1) { /* one output: nothing to sum along a row */
        for (I i = 0; i < rows; i++) {
            T error = a[i] - y[i], w = weight ? weight[i] : 1;
            *cost += (double)(w * (share * (error * error)));
            if (da)
                da[i] = w * slope * error;
        }
        return;
    }
    for (I i = 0; i < rows; i++, a += n, y += n) {
        T w = weight ? weight[i] : 1;
        V(t) factor = V(set1)(w * slope);
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I left = n - j - q * L;
                V(t) error = V(sub)(FP(load_left)(a + j + q * L, left), FP(load_left)(y + j + q * L, left));
                sum.lane[q] = V(fma)(error, error, sum.lane[q]);
                if (da)
                    FP(store_left)(da + i * n + j + q * L, V(mul)(factor, error), left);
            }
        *cost += (double)(w * (share * FP(lanes_sum)(sum)));
    }
}

static void FP(half_mse)(double *cost, T *da, const T *a, const T *y, const int64_t *label, const T *weight,
    I rows, I n, I n_y, double scale, const double *hyper)
{
    (void)label, (void)n_y, (void)hyper;
    FP(squares)(cost, da, a, y, weight, rows, n, (T)0.5, (T)scale);
}

static void FP(squared_error)(double *cost, T *da, const T *a, const T *y, const int64_t *label, const T *weight,
    I rows, I n, I n_y, double scale, const double *hyper)
{
    (void)label, (void)n_y, (void)hyper;
    FP(squares)(cost, da, a, y, weight, rows, n, 1, (T)(2 * scale));
}

/* What cross_entropy knows of a row after its first sweep. */
typedef struct {
    T total[L];    /* sum_k e^(a_k - max a) */
    T weighted[L]; /* sum_j y_j (a_j - max a) */
    T weight[L];   /* sum_j y_j, which is 1 */
} FP(softmax_rows);

/* First sweep over row i: e^(a - max a), summed, and kept in da if there is one. */
FP_INLINE void FP(softmax_row)(FP(softmax_rows) *s, int i, T *da, const T *a, const T *y, I chosen, I n)
{
    T most = FP(row_max)(a, n), chosen_score = y ? 0 : a[chosen] - most; /* before da, which may be a, is written */
    V(t) shift = V(set1)(most);
    FP(lanes) sum = FP(lanes_set1)(0), weighted = sum, weight = sum;
    for (I j = 0; j < n; j += 16)
        for (int q = 0; q < FP_LANES; q++) {
            I at = j + q * L, left = n - at;
            if (left <= 0)
                break;
            V(t) score = V(sub)(FP(load_left)(a + at, left), shift), e = FP(exp)(score);
            if (left < L)
                e = V(keep_n)(e, left);
            sum.lane[q] = V(add)(sum.lane[q], e);
            if (y) {
                V(t) wanted = FP(load_left)(y + at, left);
                weighted.lane[q] = V(fma)(wanted, score, weighted.lane[q]);
                weight.lane[q] = V(add)(weight.lane[q], wanted);
            }
            if (da)
                FP(store_left)(da + at, e, left);
        }
    s->total[i] = FP(lanes_sum)(sum);
    s->weighted[i] = y ? FP(lanes_sum)(weighted) : chosen_score;
    s->weight[i] = y ? FP(lanes_sum)(weight) : 1;
}

/* The loss of a row is sum_j y_j (ln sum_k e^a_k - a_j), computed from a - max a so that nothing overflows. Its derivative
 * is softmax(a) sum_j y_j - y; a label is the y that is 1 there and 0 elsewhere. Logarithms are taken of L rows at once. */
static void FP(cross_entropy)(double *cost, T *da, const T *a, const T *y, const int64_t *label, const T *weight,
    I rows, I n, I n_y, double scale, const double *hyper)
{
    (void)n_y, (void)hyper;
    for (I first = 0; first < rows; first += L) {
        int count = rows - first < L ? (int)(rows - first) : L;
        FP(softmax_rows) s;
        V(store)(s.total, V(set1)(1));
        for (int i = 0; i < count; i++) {
            I row = first + i;
            FP(softmax_row)(&s, i, da ? da + row * n : NULL, a + row * n, y ? y + row * n : NULL, label ? label[row] : 0, n);
        }
        T log_total[L];
        V(store)(log_total, FP(log)(V(load)(s.total)));
        for (int i = 0; i < count; i++) {
            I row = first + i;
            T w = weight ? weight[row] : 1, slope_of_1 = w * (T)scale;
            *cost += (double)(w * (s.weight[i] * log_total[i] - s.weighted[i]));
            if (!da)
                continue;
            T *out = da + row * n;
            V(t) factor = V(set1)(slope_of_1 * s.weight[i] / s.total[i]), minus = V(set1)(slope_of_1);
            for (I j = 0; j < n; j += L) {
                V(t) slope = V(mul)(factor, FP(load_left)(out + j, n - j));
                if (y)
                    slope = V(fnma)(minus, FP(load_left)(y + row * n + j, n - j), slope);
                FP(store_left)(out + j, slope, n - j);
            }
            if (!y)
                out[label[row]] -= slope_of_1;
        }
    }
}

/* max(z, 0) - z y + ln(1 + e^-|z|), which is -[y ln s(z) + (1 - y) ln(1 - s(z))] without overflow; derivative s(z) - y. */
static void FP(binary_cross_entropy)(double *cost, T *da, const T *a, const T *y, const int64_t *label, const T *weight,
    I rows, I n, I n_y, double scale, const double *hyper)
{
    (void)label, (void)n_y, (void)hyper;
    V(t) zero = V(set1)(0);
    for (I i = 0; i < rows; i++, a += n, y += n) {
        T w = weight ? weight[i] : 1;
        V(t) factor = V(set1)(w * (T)scale);
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                if (left <= 0)
                    break;
                V(t) z = FP(load_left)(a + at, left), wanted = FP(load_left)(y + at, left);
                V(t) loss = FP(log1p)(FP(exp)(V(sub)(zero, V(abs)(z))));
                loss = V(add)(loss, V(fnma)(z, wanted, V(max)(zero, z)));
                if (left < L)
                    loss = V(keep_n)(loss, left);
                sum.lane[q] = V(add)(sum.lane[q], loss);
                if (da)
                    FP(store_left)(da + i * n + at, V(mul)(factor, V(sub)(FP(sigmoid)(z), wanted)), left);
            }
        *cost += (double)(w * FP(lanes_sum)(sum));
    }
}
