/* Normalisation: the mean and variance of rows or columns, a = (x - mean) rstd gamma + beta, and its gradients. */

/* Two sweeps, since the mean of squares less the square of the mean cancels where the mean is large. */
static void FP(row_statistics)(T *mean, T *rstd, const T *x, I rows, I n, I x_row, double epsilon)
{
    for (I i = 0; i < rows; i++, x += x_row) {
        FP(lanes) sum = FP(lanes_set1)(0), squares = sum;
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++)
                sum.lane[q] = V(add)(sum.lane[q], FP(load_left)(x + j + q * L, n - j - q * L));
        mean[i] = FP(lanes_sum)(sum) / (T)n;
        V(t) center = V(set1)(mean[i]);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                if (left <= 0)
                    break;
                V(t) error = V(sub)(FP(load_left)(x + at, left), center);
                if (left < L)
                    error = V(keep_n)(error, left);
                squares.lane[q] = V(fma)(error, error, squares.lane[q]);
            }
        rstd[i] = FP(lanes_sum)(squares) / (T)n;
    }
    for (I i = 0; i < rows; i++)
        rstd[i] = 1 / FP_SQRT(rstd[i] + (T)epsilon);
}

/* for nv vectors of columns */
FP_INLINE void FP(column_statistics_of)(T *mean, T *variance, const T *x, I rows, I n, I x_row, int nv)
{
    V(t) sum[4], center[4], count = V(set1)((T)rows);
    FP_UNROLL for (int v = 0; v < nv; v++)
        sum[v] = V(set1)(0);
    for (I i = 0; i < rows; i++)
        FP_UNROLL for (int v = 0; v < nv; v++)
            sum[v] = V(add)(sum[v], FP(load_left)(x + i * x_row + v * L, n - v * L));
    FP_UNROLL for (int v = 0; v < nv; v++) {
        center[v] = V(div)(sum[v], count);
        sum[v] = V(set1)(0);
    }
    for (I i = 0; i < rows; i++)
        FP_UNROLL for (int v = 0; v < nv; v++) {
            V(t) error = V(sub)(FP(load_left)(x + i * x_row + v * L, n - v * L), center[v]);
            sum[v] = V(fma)(error, error, sum[v]);
        }
    FP_UNROLL for (int v = 0; v < nv; v++) {
        FP(store_left)(mean + v * L, center[v], n - v * L);
        FP(store_left)(variance + v * L, V(div)(sum[v], count), n - v * L);
    }
}

static void FP(column_statistics)(T *mean, T *variance, const T *x, I rows, I n, I x_row)
{
    I j = 0;
    for (; n - j >= 4 * L; j += 4 * L)
        FP(column_statistics_of)(mean + j, variance + j, x + j, rows, 4 * L, x_row, 4);
    for (; n - j >= 2 * L; j += 2 * L)
        FP(column_statistics_of)(mean + j, variance + j, x + j, rows, 2 * L, x_row, 2);
    for (; j < n; j += L)
        FP(column_statistics_of)(mean + j, variance + j, x + j, rows, n - j < L ? n - j : L, x_row, 1);
}

/* Numbers of the columns from j on, of which `left` are left, or `otherwise` where there are none. */
FP_INLINE V(t) FP(column_or)(const T *numbers, I j, I left, T otherwise)
{
    return numbers ? FP(load_left)(numbers + j, left) : V(set1)(otherwise);
}

/* The statistics of row i, if rows have theirs, in place of those of its columns. */
FP_INLINE V(t) FP(row_or)(const T *numbers, I i, V(t) otherwise) { return numbers ? V(set1)(numbers[i]) : otherwise; }

static void FP(scale_forward)(T *a, const T *x, const T *mean, const T *rstd, const T *gamma, const T *beta, I rows, I n,
                              I a_row, I x_row, int by_row)
{
    const T *row_mean = by_row ? mean : NULL, *row_rstd = by_row ? rstd : NULL;
    const T *column_mean = by_row ? NULL : mean, *column_rstd = by_row ? NULL : rstd;
    for (I first = 0; first < rows; first += FP_SHARE_ROWS)
        for (I j = 0; j < n; j += L) {
            V(t) g = FP(column_or)(gamma, j, n - j, 1), b = FP(column_or)(beta, j, n - j, 0);
            V(t) m = FP(column_or)(column_mean, j, n - j, 0), r = FP(column_or)(column_rstd, j, n - j, 1);
            for (I i = first; i < FP_SHARE_END(first, rows); i++) {
                V(t) error = V(sub)(FP(load_left)(x + i * x_row + j, n - j), FP(row_or)(row_mean, i, m));
                V(t) xhat = V(mul)(error, FP(row_or)(row_rstd, i, r));
                FP(store_left)(a + i * a_row + j, V(fma)(xhat, g, b), n - j);
            }
        }
}

/* for nv vectors of columns, from j on */
FP_INLINE void FP(scale_gradient_of)(T *dgamma, T *dbeta, const T *da, const T *x, const T *mean, const T *rstd,
                                     I rows, I j, I n, I da_row, I x_row, int by_row, int accumulate, int nv)
{
    const T *row_mean = by_row ? mean : NULL, *row_rstd = by_row ? rstd : NULL;
    V(t) product[4], sum[4], m[4], r[4];
    FP_UNROLL for (int v = 0; v < nv; v++) {
        I at = j + v * L;
        product[v] = FP(column_or)(accumulate ? dgamma : NULL, at, n - at, 0);
        sum[v] = FP(column_or)(accumulate ? dbeta : NULL, at, n - at, 0);
        m[v] = FP(column_or)(by_row ? NULL : mean, at, n - at, 0);
        r[v] = FP(column_or)(by_row ? NULL : rstd, at, n - at, 1);
    }
    for (I i = 0; i < rows; i++)
        FP_UNROLL for (int v = 0; v < nv; v++) {
            I at = j + v * L;
            V(t) d = FP(load_left)(da + i * da_row + at, n - at);
            V(t) error = V(sub)(FP(load_left)(x + i * x_row + at, n - at), FP(row_or)(row_mean, i, m[v]));
            product[v] = V(fma)(d, V(mul)(error, FP(row_or)(row_rstd, i, r[v])), product[v]);
            sum[v] = V(add)(sum[v], d);
        }
    FP_UNROLL for (int v = 0; v < nv; v++) {
        I at = j + v * L;
        if (dgamma)
            FP(store_left)(dgamma + at, product[v], n - at);
        if (dbeta)
            FP(store_left)(dbeta + at, sum[v], n - at);
    }
}

static void FP(scale_gradient)(T *dgamma, T *dbeta, const T *da, const T *x, const T *mean, const T *rstd, I rows, I n,
                               I da_row, I x_row, int by_row, int accumulate)
{
    I j = 0;
    for (; n - j >= 4 * L; j += 4 * L)
        FP(scale_gradient_of)(dgamma, dbeta, da, x, mean, rstd, rows, j, j + 4 * L, da_row, x_row, by_row, accumulate, 4);
    for (; n - j >= 2 * L; j += 2 * L)
        FP(scale_gradient_of)(dgamma, dbeta, da, x, mean, rstd, rows, j, j + 2 * L, da_row, x_row, by_row, accumulate, 2);
    for (; j < n; j += L)
        FP(scale_gradient_of)(dgamma, dbeta, da, x, mean, rstd, rows, j, n - j < L ? n : j + L, da_row, x_row, by_row,
                              accumulate, 1);
}

static void FP(scale_backward)(T *dx, const T *da, const T *gamma, const T *rstd, I rows, I n, I dx_row, I da_row)
{
    for (I first = 0; first < rows; first += FP_SHARE_ROWS)
        for (I j = 0; j < n; j += L) {
            V(t) scale = V(mul)(FP(column_or)(gamma, j, n - j, 1), FP(column_or)(rstd, j, n - j, 1));
            for (I i = first; i < FP_SHARE_END(first, rows); i++)
                FP(store_left)(dx + i * dx_row + j, V(mul)(scale, FP(load_left)(da + i * da_row + j, n - j)), n - j);
        }
}

static void FP(layer_norm_backward)(T *dx, const T *da, const T *x, const T *mean, const T *rstd, const T *gamma,
                                    I rows, I n, I dx_row, I da_row, I x_row)
{
    for (I i = 0; i < rows; i++, dx += dx_row, da += da_row, x += x_row) {
        V(t) m = V(set1)(mean[i]), r = V(set1)(rstd[i]);
        FP(lanes) sum = FP(lanes_set1)(0), product = sum;
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at; /* beyond the row da is 0, and so is g */
                V(t) g = V(mul)(FP(load_left)(da + at, left), FP(column_or)(gamma, at, left, 1));
                V(t) xhat = V(mul)(V(sub)(FP(load_left)(x + at, left), m), r);
                sum.lane[q] = V(add)(sum.lane[q], g);
                product.lane[q] = V(fma)(g, xhat, product.lane[q]);
            }
        V(t) mean_g = V(set1)(FP(lanes_sum)(sum) / (T)n), slope = V(set1)(FP(lanes_sum)(product) / (T)n);
        for (I j = 0; j < n; j += L) {
            V(t) g = V(mul)(FP(load_left)(da + j, n - j), FP(column_or)(gamma, j, n - j, 1));
            V(t) xhat = V(mul)(V(sub)(FP(load_left)(x + j, n - j), m), r);
            FP(store_left)(dx + j, V(mul)(r, V(fnma)(xhat, slope, V(sub)(g, mean_g))), n - j);
        }
    }
}

static void FP(batch_norm_backward)(T *dx, const T *da, const T *x, const T *mean, const T *rstd, const T *gamma,
                                    const T *dgamma, const T *dbeta, I rows, I n, I dx_row, I da_row, I x_row,
                                    double batch_rows)
{
    V(t) share = V(set1)((T)(1 / batch_rows));
    for (I first = 0; first < rows; first += FP_SHARE_ROWS)
        for (I j = 0; j < n; j += L) {
            V(t) m = FP(load_left)(mean + j, n - j), r = FP(load_left)(rstd + j, n - j);
            V(t) scale = V(mul)(r, FP(column_or)(gamma, j, n - j, 1));
            V(t) mean_da = V(mul)(share, FP(load_left)(dbeta + j, n - j));
            V(t) slope = V(mul)(share, FP(load_left)(dgamma + j, n - j));
            for (I i = first; i < FP_SHARE_END(first, rows); i++) {
                V(t) xhat = V(mul)(V(sub)(FP(load_left)(x + i * x_row + j, n - j), m), r);
                V(t) d = V(sub)(FP(load_left)(da + i * da_row + j, n - j), mean_da);
                FP(store_left)(dx + i * dx_row + j, V(mul)(scale, V(fnma)(xhat, slope, d)), n - j);
            }
        }
}
