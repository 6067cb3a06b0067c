/* Layers that process each row, or each element, independently: softmax, PReLU, dropout, sums, products and copies. */

/* Returns the sum of e^(x - max), and stores the terms in e unless it is NULL. */
FP_INLINE T FP(exp_row)(T *e, const T *x, T max, I n)
{
    V(t) shift = V(set1)(max);
    FP(lanes) sum = FP(lanes_set1)(0);
    for (I j = 0; j < n; j += 16)
        for (int q = 0; q < FP_LANES; q++) {
            I at = j + q * L, left = n - at;
            if (left <= 0)
                break;
            V(t) power = FP(exp_below_0)(V(sub)(FP(load_tail)(x + at, left), shift));
            if (left < L)
                power = V(keep_n)(power, left);
            sum.lane[q] = V(add)(sum.lane[q], power);
            if (e)
                FP(store_tail)(e + at, power, left);
        }
    return FP(lanes_sum)(sum);
}

/* Computed from x - max x, so that nothing overflows. Each step is done for L rows before the next step, since within a
 * row the maximum, the exponentials and their sum depend on each other. */
static void FP(softmax_forward)(T *a, const T *x, I rows, I n, I a_stride, I x_stride, int logarithm)
{
    for (I begin = 0; begin < rows; begin += L) {
        int count = rows - begin < L ? (int)(rows - begin) : L;
        T max[L], total[L];
        V(store)(total, V(set1)(1));
        for (int i = 0; i < count; i++)
            max[i] = FP(row_max)(x + (begin + i) * x_stride, n);
        for (int i = 0; i < count; i++)
            total[i] =
                FP(exp_row)(logarithm ? NULL : a + (begin + i) * a_stride, x + (begin + i) * x_stride, max[i], n);
        V(t) totals = V(load)(total);
        V(store)(total, logarithm ? FP(log)(totals) : V(div)(V(set1)(1), totals));
        for (int i = 0; i < count; i++) {
            T *out = a + (begin + i) * a_stride;
            const T *in = x + (begin + i) * x_stride;
            V(t) shift = V(set1)(max[i]), normalizer = V(set1)(total[i]);
            for (I j = 0; j < n; j += L)
                FP(store_tail)(out + j,
                               logarithm ? V(sub)(V(sub)(FP(load_tail)(in + j, n - j), shift), normalizer)
                                         : V(mul)(FP(load_tail)(out + j, n - j), normalizer),
                               n - j);
        }
    }
}

static void FP(softmax_backward)(T *dx, const T *da, const T *a, I rows, I n, I dx_stride, I da_stride, I a_stride,
                                 int logarithm)
{
    for (I i = 0; i < rows; i++, dx += dx_stride, da += da_stride, a += a_stride) {
        FP(lanes) sum = FP(lanes_set1)(0);
        for (I j = 0; j < n; j += 16)
            for (int q = 0; q < FP_LANES; q++) {
                I at = j + q * L, left = n - at;
                V(t) d = FP(load_tail)(da + at, left);
                sum.lane[q] = logarithm ? V(add)(sum.lane[q], d) : V(fma)(d, FP(load_tail)(a + at, left), sum.lane[q]);
            }
        V(t) total = V(set1)(FP(lanes_sum)(sum));
        for (I j = 0; j < n; j += L) {
            I left = n - j;
            V(t) d = FP(load_tail)(da + j, left), p = FP(load_tail)(a + j, left);
            d = logarithm ? V(fnma)(FP(exp_below_0)(p), total, d) : V(mul)(p, V(sub)(d, total));
            FP(store_tail)(dx + j, d, left);
        }
    }
}

static void FP(prelu_forward)(T *a, const T *x, const T *slope, I rows, I n, I a_stride, I x_stride)
{
    for (I i = 0; i < rows; i++, a += a_stride, x += x_stride)
        for (I j = 0; j < n; j += L) {
            V(t) z = FP(load_tail)(x + j, n - j), below = V(mul)(FP(load_tail)(slope + j, n - j), z);
            FP(store_tail)(a + j, V(select)(V(gt)(z, V(set1)(0)), z, below), n - j);
        }
}

static void FP(prelu_backward)(T *dx, const T *da, const T *x, const T *slope, I rows, I n, I dx_stride, I da_stride,
                               I x_stride)
{
    for (I i = 0; i < rows; i++, dx += dx_stride, da += da_stride, x += x_stride)
        for (I j = 0; j < n; j += L) {
            V(t) d = FP(load_tail)(da + j, n - j), below = V(mul)(FP(load_tail)(slope + j, n - j), d);
            FP(store_tail)(dx + j, V(select)(V(gt)(FP(load_tail)(x + j, n - j), V(set1)(0)), d, below), n - j);
        }
}

FP_INLINE void FP(prelu_gradient_part)(const FP(columns) *s, I begin, I end, I j, I left, int nv)
{
    V(t) sum[4];
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        sum[v] = FP(sum_so_far)(s, s->sum, begin, j + v * L, left - v * L);
    for (I i = begin; i < end; i++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++) {
            V(t) x = FP(load_tail)(s->x + i * s->x_stride + j + v * L, left - v * L);
            V(t) da = FP(load_tail)(s->y + i * s->y_stride + j + v * L, left - v * L);
            sum[v] = V(fma)(da, V(min)(V(set1)(0), x), sum[v]); /* with the operands in this order NaN stays NaN */
        }
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        FP(store_tail)(s->sum + j + v * L, sum[v], left - v * L);
}

static void FP(prelu_gradient)(T *dslope, const T *da, const T *x, I rows, I n, I da_stride, I x_stride, int accumulate)
{
    FP(columns) s = {.sum = dslope,
                     .x = x,
                     .x_stride = x_stride,
                     .y = da,
                     .y_stride = da_stride,
                     .rows = rows,
                     .accumulate = accumulate};
    FP(over_columns)(&s, n, FP(prelu_gradient_part));
}

/* 32 random bits from a counter: the hash lowbias32 of Wellons 2018, "Prospecting for hash functions"
 * (nullprogram.com), with two changes. Half of the key enters between its rounds: if all of it were added to the
 * counter, one key would draw the numbers of another, shifted. And its last xor-shift is left out, since it does not
 * change the high bits. */
FP_INLINE uint32_t FP(draw)(uint32_t counter, uint32_t key, uint32_t other_key)
{
    uint32_t x = counter + key;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    return (x ^ (x >> 15) ^ other_key) * 0x846ca68bu;
}

/* The first loop over j is plain C on integers, which compilers vectorise. */
static void FP(dropout)(T *a, T *saved, const T *x, I rows, I n, I a_stride, I saved_stride, I x_stride, I row_offset,
                        double rate, I key)
{
    uint64_t mixed = fp_mix64((uint64_t)key + FP_GOLDEN); /* keys may be 0, 1, 2, ... */
    uint32_t low = (uint32_t)mixed, high = (uint32_t)(mixed >> 32), threshold = (uint32_t)(rate * 0x1p32);
    T scale = (T)(1 / (1 - rate));
    uint32_t counter = (uint32_t)row_offset * (uint32_t)n;
    /* Contiguous rows are one long row, with the same counters. */
    if (a_stride == n && saved_stride == n && x_stride == n)
        n *= rows, rows = rows > 0;
    for (I i = 0; i < rows; i++, counter += (uint32_t)n, a += a_stride, saved += saved_stride, x += x_stride) {
        for (I j = 0; j < n; j++)
            saved[j] = FP(draw)(counter + (uint32_t)j, low, high) < threshold ? 0 : scale;
        for (I j = 0; j < n; j += L)
            FP(store_tail)(a + j, V(mul)(FP(load_tail)(x + j, n - j), FP(load_tail)(saved + j, n - j)), n - j);
    }
}

static void FP(multiply_rows)(T *a, const T *x, const T *y, I rows, I n, I a_stride, I x_stride, I y_stride)
{
    for (I i = 0; i < rows; i++, a += a_stride, x += x_stride, y += y_stride)
        for (I j = 0; j < n; j += L)
            FP(store_tail)(a + j, V(mul)(FP(load_tail)(x + j, n - j), FP(load_tail)(y + j, n - j)), n - j);
}

static void FP(add_rows)(T *a, const T *x, const T *y, I rows, I n, I a_stride, I x_stride, I y_stride)
{
    for (I i = 0; i < rows; i++, a += a_stride, x += x_stride)
        for (I j = 0; j < n; j += L) {
            V(t) sum = FP(load_tail)(x + j, n - j);
            if (y)
                sum = V(add)(sum, FP(load_tail)(y + i * y_stride + j, n - j));
            FP(store_tail)(a + j, sum, n - j);
        }
}

static void FP(repeat_rows)(T *a, const T *x, I rows, I n, I copies, I a_stride, I x_stride)
{
    for (I i = 0; i < rows; i++, a += a_stride, x += x_stride)
        for (I j = 0; j < n; j += L) {
            V(t) part = FP(load_tail)(x + j, n - j);
            for (I c = 0; c < copies; c++)
                FP(store_tail)(a + c * n + j, part, n - j);
        }
}

static void FP(sum_copies)(T *dx, const T *da, I rows, I n, I copies, I dx_stride, I da_stride)
{
    for (I i = 0; i < rows; i++, dx += dx_stride, da += da_stride)
        for (I j = 0; j < n; j += L) {
            V(t) sum = V(set1)(0);
            for (I c = 0; c < copies; c++)
                sum = V(add)(sum, FP(load_tail)(da + c * n + j, n - j));
            FP(store_tail)(dx + j, sum, n - j);
        }
}
