/* Products of a piecewise-linear encoding (embeddings.h) with a matrix, without the encoding. In a row it is 1 below the
 * bin that contains x, a fraction in this bin, and 0 above. So the row's product is the sum of the rows of w below the
 * bin, which all rows of the bin share, and the fraction times one more. */

/* Rows that are sorted by bin together: their numbers fit in the first-level cache beside those of a matrix. */
#define FP_SORTED_ROWS 256

typedef struct FP(sorted) {
    int32_t end[FP_MOST_BINS];   /* where the rows of each bin end in `row`; those of the next bin begin there */
    int32_t row[FP_SORTED_ROWS]; /* the rows of each bin, in their order */
    T fraction[FP_SORTED_ROWS];  /* of each row of `row` */
} FP(sorted);

/* Sorts at most SORTED_ROWS rows of a column by the bin that contains x: e_t <= x < e_t+1. NaN is in the last one. */
FP_INLINE void FP(sort_rows)(FP(sorted) *s, const T *x, const T *edges, I rows, I bins, I x_stride)
{
    T value[FP_SORTED_ROWS], bin[FP_SORTED_ROWS];
    for (I i = 0; i < rows; i++)
        value[i] = x[i * x_stride];
    for (I i = 0; i < rows; i += 4 * L) { /* four vectors, since each waits for its last sum */
        V(t) v[4], count[4];
        for (int q = 0; q < 4; q++) {
            v[q] = FP(load_tail)(value + i + q * L, rows - i - q * L);
            count[q] = V(set1)(0);
        }
        for (I t = 1; t < bins; t++)
            for (int q = 0; q < 4; q++)
                count[q] = V(add)(count[q], V(select)(V(gt)(V(set1)(edges[t]), v[q]), V(set1)(0), V(set1)(1)));
        for (int q = 0; q < 4; q++)
            V(store)(bin + i + q * L, count[q]);
    }
    for (I t = 0; t < bins; t++)
        s->end[t] = 0;
    for (I i = 0; i < rows; i++)
        s->end[(I)bin[i]]++;
    for (int32_t t = 0, at = 0, n; t < bins; t++, at += n) {
        n = s->end[t];
        s->end[t] = at; /* where the bin begins */
    }
    for (I i = 0; i < rows; i++) {
        I t = (I)bin[i], at = s->end[t]++;
        s->row[at] = (int32_t)i;
        s->fraction[at] = (value[i] - edges[t]) / (edges[t + 1] - edges[t]);
    }
}

/* Adds the product to min(left, vectors L) columns of a. */
FP_INLINE void FP(add_product)(T *a, const FP(sorted) *s, const T *w, I rows, I bins, I n_out, I a_stride, I left,
                               const int vectors)
{
    V(t) below[4], weight[4];
    for (int q = 0; q < vectors; q++)
        below[q] = V(set1)(0);
    for (I t = 0, i = 0; t < bins && i < rows; t++, w += n_out) {
        for (int q = 0; q < vectors; q++)
            weight[q] = FP(load_tail)(w + q * L, left - q * L);
        for (; i < s->end[t]; i++) {
            T *to = a + s->row[i] * a_stride;
            V(t) fraction = V(set1)(s->fraction[i]);
            for (int q = 0; q < vectors; q++) {
                V(t) sum = V(add)(FP(load_tail)(to + q * L, left - q * L), below[q]);
                FP(store_tail)(to + q * L, V(fma)(fraction, weight[q], sum), left - q * L);
            }
        }
        for (int q = 0; q < vectors; q++)
            below[q] = V(add)(below[q], weight[q]);
    }
}

static void FP(piecewise_product)(T *a, const T *x, const T *edges, const T *w, I rows, I bins, I n_out, I a_stride,
                                  I x_stride)
{
    FP(sorted) s;
    for (I first = 0, count; first < rows; first += count) {
        count = rows - first < FP_SORTED_ROWS ? rows - first : FP_SORTED_ROWS;
        FP(sort_rows)(&s, x + first * x_stride, edges, count, bins, x_stride);
        T *to = a + first * a_stride;
        I j = 0;
        for (; j + 4 * L <= n_out; j += 4 * L)
            FP(add_product)(to + j, &s, w + j, count, bins, n_out, a_stride, 4 * L, 4);
        for (; j < n_out; j += L)
            FP(add_product)(to + j, &s, w + j, count, bins, n_out, a_stride, n_out - j, 1);
    }
}

/* min(left, vectors L) columns of dw and sums. */
FP_INLINE void FP(add_gradient)(T *dw, T *sums, const FP(sorted) *s, const T *dz, I bins, I n_out, I dz_stride, I left,
                                int accumulate, int last, const int vectors)
{
    V(t) above[4];
    for (int q = 0; q < vectors; q++)
        above[q] = V(set1)(0);
    for (I t = bins - 1; t >= 0; t--) {
        T *fractions_at = dw + t * n_out, *sums_at = sums + t * n_out;
        V(t) fractions[4], sum[4];
        for (int q = 0; q < vectors; q++) {
            fractions[q] = accumulate ? FP(load_tail)(fractions_at + q * L, left - q * L) : V(set1)(0);
            sum[q] = accumulate ? FP(load_tail)(sums_at + q * L, left - q * L) : V(set1)(0);
        }
        for (I i = t ? s->end[t - 1] : 0; i < s->end[t]; i++) {
            const T *from = dz + s->row[i] * dz_stride;
            V(t) fraction = V(set1)(s->fraction[i]);
            for (int q = 0; q < vectors; q++) {
                V(t) each = FP(load_tail)(from + q * L, left - q * L);
                fractions[q] = V(fma)(fraction, each, fractions[q]);
                sum[q] = V(add)(sum[q], each);
            }
        }
        for (int q = 0; q < vectors; q++) {
            if (!last)
                FP(store_tail)(sums_at + q * L, sum[q], left - q * L);
            FP(store_tail)(fractions_at + q * L, last ? V(add)(fractions[q], above[q]) : fractions[q], left - q * L);
            above[q] = V(add)(above[q], sum[q]);
        }
    }
}

static void FP(piecewise_product_gradient)(T *dw, T *sums, const T *x, const T *dz, const T *edges, I rows, I bins,
                                           I n_out, I x_stride, I dz_stride, int accumulate, int last)
{
    FP(sorted) s;
    I first = 0;
    do {
        I left = rows - first, count = left < FP_SORTED_ROWS ? left : FP_SORTED_ROWS, j = 0;
        int ends = last && count == left, goes_on = accumulate || first > 0;
        FP(sort_rows)(&s, x + first * x_stride, edges, count, bins, x_stride);
        const T *from = dz + first * dz_stride;
        for (; j + 4 * L <= n_out; j += 4 * L)
            FP(add_gradient)(dw + j, sums + j, &s, from + j, bins, n_out, dz_stride, 4 * L, goes_on, ends, 4);
        for (; j < n_out; j += L)
            FP(add_gradient)(dw + j, sums + j, &s, from + j, bins, n_out, dz_stride, n_out - j, goes_on, ends, 1);
        first += count;
    } while (first < rows);
}
