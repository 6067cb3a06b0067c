/* Losses: the cost of each row is added to *cost in double, in row order, and da = scale * dLoss/da in the same sweep. The
 * sum over a row runs in reduce.h's 16 virtual lanes. */

/* half * 2 sum (a - y)^2 / 2 and its derivative: `weight` is 1/2 with slope 1, or 1 with slope 2. */
FP_INLINE void FP(squares)(double *cost, T *da, const T *a, const T *y, I rows, I n, T weight, T slope)
{
    V(t) factor = V(set1)(slope);
    for (I i = 0; i < rows; i++, a += n, y += n) {
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I left = n - j - q * L;
                V(t) error = V(sub)(FP(load_left)(a + j + q * L, left), FP(load_left)(y + j + q * L, left));
                sum.lane[q] = V(fma)(error, error, sum.lane[q]);
                if (da)
                    FP(store_left)(da + i * n + j + q * L, V(mul)(factor, error), left);
            }
        *cost += (double)(weight * FP(lanes_sum)(sum));
    }
}

static void FP(half_mse)(double *cost, T *da, const T *a, const T *y, const int64_t *label, I rows, I n, double scale)
{
    (void)label;
    FP(squares)(cost, da, a, y, rows, n, (T)0.5, (T)scale);
}

static void FP(squared_error)(double *cost, T *da, const T *a, const T *y, const int64_t *label, I rows, I n, double scale)
{
    (void)label;
    FP(squares)(cost, da, a, y, rows, n, 1, (T)(2 * scale));
}

/* The loss of a row is sum_j y_j (ln sum_k e^a_k - a_j), computed from a - max a so that nothing overflows. Its derivative
 * is softmax(a) sum_j y_j - y; a label is the y that is 1 there and 0 elsewhere. */
static void FP(cross_entropy)(double *cost, T *da, const T *a, const T *y, const int64_t *label, I rows, I n, double scale)
{
    for (I i = 0; i < rows; i++, a += n) {
        T most = FP(row_max)(a, n), *out = da ? da + i * n : NULL;
        const T *target = y ? y + i * n : NULL;
        T chosen = label ? a[label[i]] - most : 0; /* before `out`, which may be `a`, is written */
        V(t) shift = V(set1)(most), zero = V(set1)(0);
        FP(lanes) sum = FP(lanes_set1)(0), weighted = sum, weights = sum;
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                if (left <= 0)
                    break;
                V(t) score = V(sub)(FP(load_left)(a + at, left), shift), e = FP(exp)(score);
                if (target) {
                    V(t) wanted = FP(load_left)(target + at, left);
                    weighted.lane[q] = V(fma)(wanted, score, weighted.lane[q]);
                    weights.lane[q] = V(add)(weights.lane[q], wanted);
                }
                if (left < L) { /* lanes beyond the row hold e^-max */
                    T lane[L];
                    V(store)(lane, e);
                    e = V(load_n)(lane, left);
                }
                sum.lane[q] = V(add)(sum.lane[q], e);
                if (out)
                    FP(store_left)(out + at, e, left);
            }
        T total = FP(lanes_sum)(sum), log_total = FP(first)(FP(log)(V(set1)(total)));
        T weight = target ? FP(lanes_sum)(weights) : 1;
        *cost += (double)(weight * log_total - (target ? FP(lanes_sum)(weighted) : chosen));
        if (!out)
            continue;
        V(t) factor = V(set1)((T)scale * weight / total), minus = V(set1)((T)scale);
        for (I j = 0; j < n; j += L) {
            V(t) wanted = target ? FP(load_left)(target + j, n - j) : zero;
            FP(store_left)(out + j, V(fnma)(minus, wanted, V(mul)(factor, FP(load_left)(out + j, n - j))), n - j);
        }
        if (label)
            out[label[i]] -= (T)scale;
    }
}

/* max(z, 0) - z y + ln(1 + e^-|z|), which is -[y ln s(z) + (1 - y) ln(1 - s(z))] without overflow; derivative s(z) - y. */
static void FP(binary_cross_entropy)(double *cost, T *da, const T *a, const T *y, const int64_t *label, I rows, I n, double scale)
{
    (void)label;
    V(t) zero = V(set1)(0), factor = V(set1)((T)scale);
    for (I i = 0; i < rows; i++, a += n, y += n) {
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                if (left <= 0)
                    break;
                V(t) z = FP(load_left)(a + at, left), wanted = FP(load_left)(y + at, left);
                V(t) loss = FP(log1p)(FP(exp)(V(sub)(zero, V(abs)(z))));
                loss = V(add)(loss, V(fnma)(z, wanted, V(max)(zero, z)));
                if (left < L) { /* lanes beyond the row hold ln 2 */
                    T lane[L];
                    V(store)(lane, loss);
                    loss = V(load_n)(lane, left);
                }
                sum.lane[q] = V(add)(sum.lane[q], loss);
                if (da)
                    FP(store_left)(da + i * n + at, V(mul)(factor, V(sub)(FP(sigmoid)(z), wanted)), left);
            }
        *cost += (double)FP(lanes_sum)(sum);
    }
}
