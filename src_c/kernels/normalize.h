/* Normalisation: means and variances of rows or columns, a = (x - mean) rstd gamma + beta, and its gradients. */

/* Two passes, since the mean of the squares minus the square of the mean cancels where the mean is large. */
static void FP(row_statistics)(T *mean, T *rstd, const T *x, I rows, I n, I x_stride, double epsilon)
{
    for (I i = 0; i < rows; i++, x += x_stride) {
        FP(lanes) sum = FP(lanes_set1)(0), squares = sum;
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++)
                sum.lane[q] = V(add)(sum.lane[q], FP(load_tail)(x + j + q * L, n - j - q * L));
        mean[i] = FP(lanes_sum)(sum) / (T)n;
        V(t) center = V(set1)(mean[i]);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                if (left <= 0)
                    break;
                V(t) centered = V(sub)(FP(load_tail)(x + at, left), center);
                if (left < L)
                    centered = V(keep_n)(centered, left);
                squares.lane[q] = V(fma)(centered, centered, squares.lane[q]);
            }
        rstd[i] = FP(lanes_sum)(squares) / (T)n;
    }
    for (I i = 0; i < rows; i++)
        rstd[i] = 1 / FP_SQRT(rstd[i] + (T)epsilon);
}

/* Adds the rows [begin, end) of x to sum, which after the last row becomes the mean. */
FP_INLINE void FP(mean_part)(const FP(columns) *s, I begin, I end, I j, I left, int nv)
{
    V(t) sum[4], count = V(set1)((T)s->rows);
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        sum[v] = FP(sum_so_far)(s, s->sum, begin, j + v * L, left - v * L);
    for (I i = begin; i < end; i++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            sum[v] = V(add)(sum[v], FP(load_tail)(s->x + i * s->x_stride + j + v * L, left - v * L));
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        FP(store_tail)(s->sum + j + v * L, end == s->rows ? V(div)(sum[v], count) : sum[v], left - v * L);
}

/* Adds (x - mean)^2 of the rows [begin, end) to sum, which after the last row becomes the variance. */
FP_INLINE void FP(variance_part)(const FP(columns) *s, I begin, I end, I j, I left, int nv)
{
    V(t) sum[4], center[4], count = V(set1)((T)s->rows);
    FP_UNROLL_FOR (int v = 0; v < nv; v++) {
        sum[v] = FP(sum_so_far)(s, s->sum, begin, j + v * L, left - v * L);
        center[v] = FP(load_tail)(s->mean + j + v * L, left - v * L);
    }
    for (I i = begin; i < end; i++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++) {
            V(t) centered = V(sub)(FP(load_tail)(s->x + i * s->x_stride + j + v * L, left - v * L), center[v]);
            sum[v] = V(fma)(centered, centered, sum[v]);
        }
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        FP(store_tail)(s->sum + j + v * L, end == s->rows ? V(div)(sum[v], count) : sum[v], left - v * L);
}

static void FP(column_statistics)(T *mean, T *variance, const T *x, I rows, I n, I x_stride)
{
    FP(columns) s = {.sum = mean, .x = x, .x_stride = x_stride, .rows = rows};
    FP(over_columns)(&s, n, FP(mean_part));
    s.sum = variance, s.mean = mean;
    FP(over_columns)(&s, n, FP(variance_part));
}

/* The number of rows that share a load of the columns' statistics. With 1 or 2 rows, batch_norm_backward takes half as
 * long again at 32 columns; 8 rows that are 4096 bytes apart map to one set of L1, and evict each other. */
#define FP_ROW_BLOCK 4
#define FP_ROW_BLOCK_END(begin, rows) ((rows) - (begin) < FP_ROW_BLOCK ? (rows) : (begin) + FP_ROW_BLOCK)

/* The values of the columns from j on, or `fill` if values is NULL. */
FP_INLINE V(t) FP(column_or)(const T *values, I j, I left, T fill)
{
    return values ? FP(load_tail)(values + j, left) : V(set1)(fill);
}

/* Computes the rows [begin, end) of one vector of columns. */
FP_INLINE void FP(scale_forward_part)(T *a, const T *x, const T *mean, const T *rstd, const T *gamma, const T *beta,
                                      I begin, I end, I j, I left, I a_stride, I x_stride, int by_row)
{
    V(t) g = FP(column_or)(gamma, j, left, 1), b = FP(column_or)(beta, j, left, 0);
    V(t) m = FP(column_or)(by_row ? NULL : mean, j, left, 0), r = FP(column_or)(by_row ? NULL : rstd, j, left, 1);
    for (I i = begin; i < end; i++) {
        V(t) centered = V(sub)(FP(load_tail)(x + i * x_stride + j, left), by_row ? V(set1)(mean[i]) : m);
        V(t) xhat = V(mul)(centered, by_row ? V(set1)(rstd[i]) : r);
        FP(store_tail)(a + i * a_stride + j, V(fma)(xhat, g, b), left);
    }
}

FP_INLINE void FP(scale_forward_rows)(T *a, const T *x, const T *mean, const T *rstd, const T *gamma, const T *beta,
                                      I rows, I n, I a_stride, I x_stride, int by_row)
{
    for (I begin = 0; begin < rows; begin += FP_ROW_BLOCK) {
        I end = FP_ROW_BLOCK_END(begin, rows), j = 0;
        for (; j + L <= n; j += L)
            FP(scale_forward_part)(a, x, mean, rstd, gamma, beta, begin, end, j, L, a_stride, x_stride, by_row);
        if (j < n)
            FP(scale_forward_part)(a, x, mean, rstd, gamma, beta, begin, end, j, n - j, a_stride, x_stride, by_row);
    }
}

static void FP(scale_forward)(T *a, const T *x, const T *mean, const T *rstd, const T *gamma, const T *beta, I rows,
                              I n, I a_stride, I x_stride, int by_row)
{
    if (by_row && mean)
        FP(scale_forward_rows)(a, x, mean, rstd, gamma, beta, rows, n, a_stride, x_stride, 1);
    else
        FP(scale_forward_rows)(a, x, mean, rstd, gamma, beta, rows, n, a_stride, x_stride, 0);
}

FP_INLINE void FP(scale_gradient_part)(const FP(columns) *s, I begin, I end, I j, I left, int nv, int by_row)
{
    V(t) product[4], sum[4], m[4], r[4];
    FP_UNROLL_FOR (int v = 0; v < nv; v++) {
        I at = j + v * L;
        product[v] = FP(sum_so_far)(s, s->sum, begin, at, left - v * L);
        sum[v] = FP(sum_so_far)(s, s->second_sum, begin, at, left - v * L);
        m[v] = s->mean && !by_row ? FP(load_tail)(s->mean + at, left - v * L) : V(set1)(0);
        r[v] = s->mean && !by_row ? FP(load_tail)(s->rstd + at, left - v * L) : V(set1)(1);
    }
    for (I i = begin; i < end; i++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++) {
            I at = j + v * L;
            V(t) da = FP(load_tail)(s->y + i * s->y_stride + at, left - v * L);
            V(t) x = FP(load_tail)(s->x + i * s->x_stride + at, left - v * L);
            V(t) centered = V(sub)(x, by_row ? V(set1)(s->mean[i]) : m[v]);
            product[v] = V(fma)(da, V(mul)(centered, by_row ? V(set1)(s->rstd[i]) : r[v]), product[v]);
            sum[v] = V(add)(sum[v], da);
        }
    FP_UNROLL_FOR (int v = 0; v < nv; v++) {
        if (s->sum)
            FP(store_tail)(s->sum + j + v * L, product[v], left - v * L);
        if (s->second_sum)
            FP(store_tail)(s->second_sum + j + v * L, sum[v], left - v * L);
    }
}

FP_INLINE void FP(scale_gradient_by_column)(const FP(columns) *s, I begin, I end, I j, I left, int nv)
{
    FP(scale_gradient_part)(s, begin, end, j, left, nv, 0);
}

FP_INLINE void FP(scale_gradient_by_row)(const FP(columns) *s, I begin, I end, I j, I left, int nv)
{
    FP(scale_gradient_part)(s, begin, end, j, left, nv, 1);
}

static void FP(scale_gradient)(T *dgamma, T *dbeta, const T *da, const T *x, const T *mean, const T *rstd, I rows, I n,
                               I da_stride, I x_stride, int by_row, int accumulate)
{
    FP(columns) s = {.sum = dgamma,
                     .second_sum = dbeta,
                     .x = x,
                     .x_stride = x_stride,
                     .y = da,
                     .y_stride = da_stride,
                     .mean = mean,
                     .rstd = rstd,
                     .rows = rows,
                     .accumulate = accumulate};
    if (by_row && mean)
        FP(over_columns)(&s, n, FP(scale_gradient_by_row));
    else
        FP(over_columns)(&s, n, FP(scale_gradient_by_column));
}

static void FP(scale_backward)(T *dx, const T *da, const T *gamma, const T *rstd, I rows, I n, I dx_stride, I da_stride)
{
    for (I begin = 0; begin < rows; begin += FP_ROW_BLOCK)
        for (I j = 0; j < n; j += L) {
            V(t) scale = V(mul)(FP(column_or)(gamma, j, n - j, 1), FP(column_or)(rstd, j, n - j, 1));
            for (I i = begin; i < FP_ROW_BLOCK_END(begin, rows); i++)
                FP(store_tail)(dx + i * dx_stride + j, V(mul)(scale, FP(load_tail)(da + i * da_stride + j, n - j)),
                               n - j);
        }
}

static void FP(layer_norm_backward)(T *dx, const T *da, const T *x, const T *mean, const T *rstd, const T *gamma,
                                    I rows, I n, I dx_stride, I da_stride, I x_stride)
{
    for (I i = 0; i < rows; i++, dx += dx_stride, da += da_stride, x += x_stride) {
        V(t) m = V(set1)(mean[i]), r = V(set1)(rstd[i]);
        FP(lanes) sum = FP(lanes_set1)(0), product = sum;
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at; /* beyond the row da is 0, so g is 0 */
                V(t) g = V(mul)(FP(load_tail)(da + at, left), FP(column_or)(gamma, at, left, 1));
                V(t) xhat = V(mul)(V(sub)(FP(load_tail)(x + at, left), m), r);
                sum.lane[q] = V(add)(sum.lane[q], g);
                product.lane[q] = V(fma)(g, xhat, product.lane[q]);
            }
        V(t) mean_g = V(set1)(FP(lanes_sum)(sum) / (T)n), slope = V(set1)(FP(lanes_sum)(product) / (T)n);
        for (I j = 0; j < n; j += L) {
            V(t) g = V(mul)(FP(load_tail)(da + j, n - j), FP(column_or)(gamma, j, n - j, 1));
            V(t) xhat = V(mul)(V(sub)(FP(load_tail)(x + j, n - j), m), r);
            FP(store_tail)(dx + j, V(mul)(r, V(fnma)(xhat, slope, V(sub)(g, mean_g))), n - j);
        }
    }
}

/* Computes the rows [begin, end) of one vector of columns. */
FP_INLINE void FP(batch_norm_part)(T *dx, const T *da, const T *x, const T *mean, const T *rstd, const T *gamma,
                                   const T *dgamma, const T *dbeta, V(t) inverse_rows, I begin, I end, I j, I left,
                                   I dx_stride, I da_stride, I x_stride)
{
    V(t) m = FP(load_tail)(mean + j, left), r = FP(load_tail)(rstd + j, left);
    V(t) gain = V(mul)(r, FP(column_or)(gamma, j, left, 1));
    V(t) mean_da = V(mul)(inverse_rows, FP(load_tail)(dbeta + j, left));
    V(t) slope = V(mul)(inverse_rows, FP(load_tail)(dgamma + j, left));
    for (I i = begin; i < end; i++) {
        V(t) xhat = V(mul)(V(sub)(FP(load_tail)(x + i * x_stride + j, left), m), r);
        V(t) d = V(sub)(FP(load_tail)(da + i * da_stride + j, left), mean_da);
        FP(store_tail)(dx + i * dx_stride + j, V(mul)(gain, V(fnma)(xhat, slope, d)), left);
    }
}

static void FP(batch_norm_backward)(T *dx, const T *da, const T *x, const T *mean, const T *rstd, const T *gamma,
                                    const T *dgamma, const T *dbeta, I rows, I n, I dx_stride, I da_stride, I x_stride,
                                    double batch_rows)
{
    V(t) inverse_rows = V(set1)((T)(1 / batch_rows));
    for (I begin = 0; begin < rows; begin += FP_ROW_BLOCK) {
        I end = FP_ROW_BLOCK_END(begin, rows), j = 0;
        for (; j + L <= n; j += L)
            FP(batch_norm_part)(dx, da, x, mean, rstd, gamma, dgamma, dbeta, inverse_rows, begin, end, j, L, dx_stride,
                                da_stride, x_stride);
        if (j < n)
            FP(batch_norm_part)(dx, da, x, mean, rstd, gamma, dgamma, dbeta, inverse_rows, begin, end, j, n - j,
                                dx_stride, da_stride, x_stride);
    }
}
