/* Layers that embed the network's input columns: the choice of columns, tables for categories, piecewise-linear and
 * periodic encodings of numbers. */

/* to = from (rows, n), or `fill` where from is NULL */
FP_INLINE void FP(copy_columns)(T *to, const T *from, T fill, I rows, I n, I to_stride, I from_stride)
{
    for (I i = 0; i < rows; i++)
        for (I j = 0; j < n; j += L)
            FP(store_tail)(to + i * to_stride + j,
                           from ? FP(load_tail)(from + i * from_stride + j, n - j) : V(set1)(fill), n - j);
}

static void FP(select_forward)(T *a, const T *x, const int64_t *columns, I rows, I n, I a_stride, I x_stride)
{
    for (I j = 0, end; j < n; j = end) {
        for (end = j + 1; end < n && columns[end] == columns[end - 1] + 1;) /* adjacent columns together */
            end++;
        FP(copy_columns)(a + j, x + columns[j], 0, rows, end - j, a_stride, x_stride);
    }
}

static void FP(select_backward)(T *dx, const T *da, const int64_t *columns, I rows, I n, I dx_stride, I da_stride)
{
    for (I i = 0; i < rows; i++, dx += dx_stride, da += da_stride) {
        for (I j = 0; j < n; j++)
            dx[columns[j]] = 0;
        for (I j = 0; j < n; j++)
            dx[columns[j]] += da[j];
    }
}

/* The index that x holds, or -1 if it is not in [0, n). */
FP_INLINE I FP(category)(const T *x, int64_t n) { return FP_PASTE2(fp_category_, T)(x, n); }

/* The number of adjacent columns from c on that are all indices of categories (if `indices`) or all numbers. */
FP_INLINE I FP(run_length)(const int64_t *categories, I c, I n_in, int indices)
{
    I end = c;
    while (end < n_in && (categories[end] > 0) == indices)
        end++;
    return end - c;
}

static void FP(embed_forward)(T *a, const T *x, const T *tables, const int64_t *categories, const int64_t *width,
                              I rows, I n_in, I a_stride, I x_stride)
{
    for (I c = 0, n; c < n_in; c += n ? n : 1, a += n) {
        n = FP(run_length)(categories, c, n_in, 0);
        FP(copy_columns)(a, x + c, 0, rows, n, a_stride, x_stride);
    }
    for (I c = 0; c < n_in; c++) {
        /* copies, since for the compiler a store may change the arrays */
        const int64_t count = categories[c], n = width[c];
        for (I i = 0; i < rows && count; i++) {
            I index = FP(category)(x + i * x_stride + c, count);
            if (index >= 0)
                FP(copy_columns)(a + i * a_stride, tables + index * n, 0, 1, n, a_stride, 0);
            else
                FP(copy_columns)(a + i * a_stride, NULL, (T)NAN, 1, n, a_stride, 0);
        }
        a += count ? n : 0;
        tables += count * n;
    }
}

static void FP(embed_gradient)(T *dtables, const T *da, const T *x, const int64_t *categories, const int64_t *width,
                               I rows, I n_in, I n_tables, I da_stride, I x_stride, int accumulate)
{
    if (!accumulate)
        FP(copy_columns)(dtables, NULL, 0, 1, n_tables, 0, 0);
    for (I c = 0; c < n_in; c++)
        da += !categories[c]; /* embeddings come after the numbers */
    for (I c = 0; c < n_in; c++) {
        const int64_t count = categories[c], n = width[c];
        for (I i = 0; i < rows && count; i++) {
            I index = FP(category)(x + i * x_stride + c, count);
            if (index < 0)
                continue;
            T *sum = dtables + index * n;
            for (I j = 0; j < n; j += L) {
                I left = n - j;
                V(t) more = FP(load_tail)(da + i * da_stride + j, left);
                FP(store_tail)(sum + j, V(add)(FP(load_tail)(sum + j, left), more), left);
            }
        }
        da += count ? n : 0;
        dtables += count * n;
    }
}

static void FP(embed_backward)(T *dx, const T *da, const int64_t *categories, I rows, I n_in, I dx_stride, I da_stride)
{
    for (I c = 0, n; c < n_in; c += n) {
        n = FP(run_length)(categories, c, n_in, 0);
        FP(copy_columns)(dx + c, da, 0, rows, n, dx_stride, da_stride);
        da += n, c += n;
        n = FP(run_length)(categories, c, n_in, 1);
        FP(copy_columns)(dx + c, NULL, 0, rows, n, dx_stride, 0);
    }
}

/* The piecewise-linear encoding is that of Gorishniy, Rubachev and Babenko 2022, "On embeddings for numerical features
 * in tabular deep learning". */
static void FP(piecewise_forward)(T *a, const T *x, const T *edges, const int64_t *bins, I rows, I n_in, I a_stride,
                                  I x_stride)
{
    for (I c = 0; c < n_in; a += bins[c], edges += bins[c] + 1, c++)
        for (I t = 0; t < bins[c]; t += L) {
            I left = bins[c] - t;
            T lower_bounds[L], upper_bounds[L];
            V(store)(lower_bounds, V(set1)(0));
            V(store)(upper_bounds, V(set1)(1));
            if (t == 0)
                lower_bounds[0] = -INFINITY;
            if (left <= L)
                upper_bounds[left - 1] = INFINITY;
            V(t) low = FP(load_tail)(edges + t, left), size = V(sub)(FP(load_tail)(edges + t + 1, left), low);
            V(t) lower = V(load)(lower_bounds), upper = V(load)(upper_bounds);
            for (I i = 0; i < rows; i++) {
                V(t) fraction = V(div)(V(sub)(V(set1)(x[i * x_stride + c]), low), size);
                fraction = V(min)(upper, V(max)(lower, fraction)); /* with the operands in this order NaN stays NaN */
                FP(store_tail)(a + i * a_stride + t, fraction, left);
            }
        }
}

/* All bins but one contribute 0, so the order of the sum does not matter. */
static void FP(piecewise_backward)(T *dx, const T *da, const T *x, const T *edges, const int64_t *bins, I rows, I n_in,
                                   I dx_stride, I da_stride, I x_stride)
{
    for (I c = 0; c < n_in; da += bins[c], edges += bins[c] + 1, c++)
        for (I t = 0; t < bins[c]; t += L) {
            I left = bins[c] - t;
            T from[L], to[L];
            V(t) low = FP(load_tail)(edges + t, left), high = FP(load_tail)(edges + t + 1, left);
            V(t) size = V(sub)(high, low);
            V(store)(from, low);
            V(store)(to, high);
            if (t == 0)
                from[0] = -INFINITY;
            if (left <= L)
                to[left - 1] = INFINITY;
            low = V(load)(from), high = V(load)(to);
            for (I i = 0; i < rows; i++) {
                V(t) value = V(set1)(x[i * x_stride + c]),
                     slope = V(div)(FP(load_tail)(da + i * da_stride + t, left), size);
                slope = V(select)(V(gt)(low, value), V(set1)(0), V(keep)(V(gt)(high, value), slope));
                T *out = dx + i * dx_stride + c;
                *out = (t ? *out : 0) + V(reduce_sum)(slope);
            }
        }
}

/* sin(2 pi f x) and, into *cosine, cos(2 pi f x), from f x minus the nearest integer, which an FMA computes exactly. If
 * f x is so large that it is an integer after rounding, the rounding error may exceed one turn, so whole turns are
 * subtracted again. From FP_WHOLE on, the exact product is a whole number of turns, even where it overflows. */
FP_INLINE V(t) FP(periodic)(V(t) f, V(t) x, V(t) *cosine)
{
    V(t) zero = V(set1)(0), turns = V(round)(V(mul)(f, x)), rest = V(fma)(f, x, V(sub)(zero, turns));
    V(t) nan_or_zero = V(fma)(f, zero, V(mul)(x, zero)); /* NaN where f or x is infinite */
    rest = V(select)(V(gt)(V(abs)(turns), V(set1)(FP_WHOLE)), nan_or_zero, V(sub)(rest, V(round)(rest)));
    return FP(sincos)(V(mul)(rest, V(set1)((T)6.283185307179586)), cosine);
}

static void FP(periodic_forward)(T *a, const T *x, const T *frequency, I rows, I n_in, I n_frequencies, I a_stride,
                                 I x_stride)
{
    for (I i = 0; i < rows; i++, x += x_stride)
        for (I c = 0; c < n_in; c++) {
            T *cosines = a + i * a_stride + 2 * c * n_frequencies, *sines = cosines + n_frequencies;
            for (I k = 0; k < n_frequencies; k += L) {
                I left = n_frequencies - k;
                V(t) cosine, sine;
                sine = FP(periodic)(FP(load_tail)(frequency + c * n_frequencies + k, left), V(set1)(x[c]), &cosine);
                FP(store_tail)(cosines + k, cosine, left);
                FP(store_tail)(sines + k, sine, left);
            }
        }
}

/* cos dsin - sin dcos for min(left, L) frequencies, whose cosines are at a and da and whose sines are n elements
 * further on */
FP_INLINE V(t) FP(periodic_slope)(const T *da, const T *a, I n, I left)
{
    V(t) product = V(mul)(FP(load_tail)(a, left), FP(load_tail)(da + n, left));
    return V(fnma)(FP(load_tail)(a + n, left), FP(load_tail)(da, left), product);
}

static void FP(periodic_backward)(T *dx, const T *da, const T *a, const T *frequency, I rows, I n_in, I n_frequencies,
                                  I dx_stride, I da_stride, I a_stride)
{
    for (I i = 0; i < rows; i++, dx += dx_stride)
        for (I c = 0; c < n_in; c++) {
            const T *here = a + i * a_stride + 2 * c * n_frequencies, *d = da + i * da_stride + 2 * c * n_frequencies;
            FP(lanes) sum = FP(lanes_set1)(0);
            for (I k = 0; k < n_frequencies; k += 16)
                for (int q = 0; q < FP_LANES; q++) {
                    I at = k + q * L, left = n_frequencies - at;
                    if (left <= 0)
                        break;
                    V(t) slope = FP(periodic_slope)(d + at, here + at, n_frequencies, left);
                    sum.lane[q] = V(fma)(FP(load_tail)(frequency + c * n_frequencies + at, left), slope, sum.lane[q]);
                }
            dx[c] = (T)6.283185307179586 * FP(lanes_sum)(sum);
        }
}

static void FP(periodic_gradient)(T *dfrequency, const T *da, const T *a, const T *x, I rows, I n_in, I n_frequencies,
                                  I da_stride, I a_stride, I x_stride, int accumulate)
{
    for (I c = 0; c < n_in; c++, dfrequency += n_frequencies, da += 2 * n_frequencies, a += 2 * n_frequencies)
        for (I k = 0; k < n_frequencies; k += L) {
            I left = n_frequencies - k;
            V(t) sum = accumulate ? FP(load_tail)(dfrequency + k, left) : V(set1)(0);
            for (I i = 0; i < rows; i++) {
                V(t) slope = FP(periodic_slope)(da + i * da_stride + k, a + i * a_stride + k, n_frequencies, left);
                /* 2 pi times the slope, since 2 pi x may overflow where the product does not */
                slope = V(mul)(V(set1)((T)6.283185307179586), slope);
                sum = V(fma)(V(set1)(x[i * x_stride + c]), slope, sum);
            }
            FP(store_tail)(dfrequency + k, sum, left);
        }
}
