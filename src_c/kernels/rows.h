/* Layers that treat each row, or each element, by itself: softmax, PReLU, dropout, sums, products and copies of rows. */

/* Rows for which a column's numbers are loaded once: 8 rows of 1024 floats still fit the first-level cache. */
#define FP_SHARE_ROWS 8
#define FP_SHARE_END(first, rows) ((rows) - (first) < FP_SHARE_ROWS ? (rows) : (first) + FP_SHARE_ROWS)

/* As cross_entropy does, from x - max x, so that nothing overflows; e^(x - max x) waits in a for its sum. */
static void FP(softmax_forward)(T *a, const T *x, I rows, I n, I a_row, I x_row, int logarithm)
{
    for (I i = 0; i < rows; i++, a += a_row, x += x_row) {
        V(t) most = V(set1)(FP(row_max)(x, n));
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                if (left <= 0)
                    break;
                V(t) e = FP(exp)(V(sub)(FP(load_left)(x + at, left), most));
                if (left < L)
                    e = V(keep_n)(e, left);
                sum.lane[q] = V(add)(sum.lane[q], e);
                if (!logarithm)
                    FP(store_left)(a + at, e, left);
            }
        T total = FP(lanes_sum)(sum);
        if (logarithm) {
            V(t) log_total = FP(log)(V(set1)(total));
            for (I j = 0; j < n; j += L)
                FP(store_left)(a + j, V(sub)(V(sub)(FP(load_left)(x + j, n - j), most), log_total), n - j);
        } else {
            V(t) share = V(set1)(1 / total);
            for (I j = 0; j < n; j += L)
                FP(store_left)(a + j, V(mul)(FP(load_left)(a + j, n - j), share), n - j);
        }
    }
}

static void FP(softmax_backward)(T *dx, const T *da, const T *a, I rows, I n, I dx_row, I da_row, I a_row, int logarithm)
{
    for (I i = 0; i < rows; i++, dx += dx_row, da += da_row, a += a_row) {
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                V(t) d = FP(load_left)(da + at, left);
                sum.lane[q] = logarithm ? V(add)(sum.lane[q], d) : V(fma)(d, FP(load_left)(a + at, left), sum.lane[q]);
            }
        V(t) total = V(set1)(FP(lanes_sum)(sum));
        for (I j = 0; j < n; j += L) {
            I left = n - j;
            V(t) d = FP(load_left)(da + j, left), p = FP(load_left)(a + j, left);
            d = logarithm ? V(fnma)(FP(exp)(p), total, d) : V(mul)(p, V(sub)(d, total));
            FP(store_left)(dx + j, d, left);
        }
    }
}

static void FP(prelu_forward)(T *a, const T *x, const T *slope, I rows, I n, I a_row, I x_row)
{
    for (I first = 0; first < rows; first += FP_SHARE_ROWS)
        for (I j = 0; j < n; j += L) {
            V(t) s = FP(load_left)(slope + j, n - j);
            for (I i = first; i < FP_SHARE_END(first, rows); i++) {
                V(t) z = FP(load_left)(x + i * x_row + j, n - j);
                FP(store_left)(a + i * a_row + j, V(select)(V(gt)(z, V(set1)(0)), z, V(mul)(s, z)), n - j);
            }
        }
}

static void FP(prelu_backward)(T *dx, const T *da, const T *x, const T *slope, I rows, I n, I dx_row, I da_row, I x_row)
{
    for (I first = 0; first < rows; first += FP_SHARE_ROWS)
        for (I j = 0; j < n; j += L) {
            V(t) s = FP(load_left)(slope + j, n - j);
            for (I i = first; i < FP_SHARE_END(first, rows); i++) {
                V(t) z = FP(load_left)(x + i * x_row + j, n - j), d = FP(load_left)(da + i * da_row + j, n - j);
                FP(store_left)(dx + i * dx_row + j, V(select)(V(gt)(z, V(set1)(0)), d, V(mul)(s, d)), n - j);
            }
        }
}

/* for nv vectors of columns */
FP_INLINE void FP(prelu_gradient_of)(T *dslope, const T *da, const T *x, I rows, I n, I da_row, I x_row, int accumulate, int nv)
{
    V(t) sum[4];
    FP_UNROLL for (int v = 0; v < nv; v++)
        sum[v] = accumulate ? FP(load_left)(dslope + v * L, n - v * L) : V(set1)(0);
    for (I i = 0; i < rows; i++)
        FP_UNROLL for (int v = 0; v < nv; v++) {
            V(t) below = V(min)(V(set1)(0), FP(load_left)(x + i * x_row + v * L, n - v * L)); /* in this order NaN stays */
            sum[v] = V(fma)(FP(load_left)(da + i * da_row + v * L, n - v * L), below, sum[v]);
        }
    FP_UNROLL for (int v = 0; v < nv; v++)
        FP(store_left)(dslope + v * L, sum[v], n - v * L);
}

static void FP(prelu_gradient)(T *dslope, const T *da, const T *x, I rows, I n, I da_row, I x_row, int accumulate)
{
    I j = 0;
    for (; n - j >= 4 * L; j += 4 * L)
        FP(prelu_gradient_of)(dslope + j, da + j, x + j, rows, 4 * L, da_row, x_row, accumulate, 4);
    for (; n - j >= 2 * L; j += 2 * L)
        FP(prelu_gradient_of)(dslope + j, da + j, x + j, rows, 2 * L, da_row, x_row, accumulate, 2);
    for (; j < n; j += L)
        FP(prelu_gradient_of)(dslope + j, da + j, x + j, rows, n - j < L ? n - j : L, da_row, x_row, accumulate, 1);
}

/* 32 random bits of a counter: lowbias32 of Wellons 2018 ("Prospecting for hash functions", nullprogram.com/blog/2018/07/31)
 * with half of the key between its rounds, since of two keys added to the counter one draws the other's numbers shifted; and
 * without its last xor-shift, which leaves the high bits as they are. */
FP_INLINE uint32_t FP(draw)(uint32_t counter, uint32_t key, uint32_t other_key)
{
    uint32_t x = counter + key;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    return (x ^ (x >> 15) ^ other_key) * 0x846ca68bu;
}

/* The first loop is plain C, of integers, which compilers make vectors of. */
static void FP(dropout)(T *a, T *kept, const T *x, I rows, I n, I a_row, I kept_row, I x_row, I first, double rate, I key)
{
    uint64_t mixed = fp_mix64((uint64_t)key + FP_GOLDEN); /* keys may be 0, 1, 2, ... */
    uint32_t low = (uint32_t)mixed, high = (uint32_t)(mixed >> 32), threshold = (uint32_t)(rate * 0x1p32);
    T share = (T)(1 / (1 - rate));
    for (I i = 0; i < rows; i++, a += a_row, kept += kept_row, x += x_row) {
        uint32_t counter = (uint32_t)(first + i) * (uint32_t)n;
        for (I j = 0; j < n; j++)
            kept[j] = FP(draw)(counter + (uint32_t)j, low, high) < threshold ? 0 : share;
        for (I j = 0; j < n; j += L)
            FP(store_left)(a + j, V(mul)(FP(load_left)(x + j, n - j), FP(load_left)(kept + j, n - j)), n - j);
    }
}

static void FP(multiply_rows)(T *a, const T *x, const T *y, I rows, I n, I a_row, I x_row, I y_row)
{
    for (I i = 0; i < rows; i++, a += a_row, x += x_row, y += y_row)
        for (I j = 0; j < n; j += L)
            FP(store_left)(a + j, V(mul)(FP(load_left)(x + j, n - j), FP(load_left)(y + j, n - j)), n - j);
}

static void FP(add_rows)(T *a, const T *x, const T *y, I rows, I n, I a_row, I x_row, I y_row)
{
    for (I i = 0; i < rows; i++, a += a_row, x += x_row)
        for (I j = 0; j < n; j += L) {
            V(t) sum = FP(load_left)(x + j, n - j);
            if (y)
                sum = V(add)(sum, FP(load_left)(y + i * y_row + j, n - j));
            FP(store_left)(a + j, sum, n - j);
        }
}

static void FP(repeat_rows)(T *a, const T *x, I rows, I n, I copies, I a_row, I x_row)
{
    for (I i = 0; i < rows; i++, a += a_row, x += x_row)
        for (I j = 0; j < n; j += L) {
            V(t) part = FP(load_left)(x + j, n - j);
            for (I c = 0; c < copies; c++)
                FP(store_left)(a + c * n + j, part, n - j);
        }
}

static void FP(sum_copies)(T *dx, const T *da, I rows, I n, I copies, I dx_row, I da_row)
{
    for (I i = 0; i < rows; i++, dx += dx_row, da += da_row)
        for (I j = 0; j < n; j += L) {
            V(t) sum = V(set1)(0);
            for (I c = 0; c < copies; c++)
                sum = V(add)(sum, FP(load_left)(da + c * n + j, n - j));
            FP(store_left)(dx + j, sum, n - j);
        }
}
