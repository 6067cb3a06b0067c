/* Reductions. A sum over a row is taken in 16 virtual lanes: element j is added to lane j % 16, and then the lanes are
 * added in a fixed tree. The order depends on the row's length alone, so every vector width gives the same bits. */
#define FP_LANES (16 / L)

typedef struct {
    V(t) lane[FP_LANES];
} FP(lanes);

/* Loads the first min(n, L) elements at p; the other lanes are 0. n may be negative. */
FP_INLINE V(t) FP(load_tail)(const T *p, I n) { return n >= L ? V(load)(p) : n > 0 ? V(load_n)(p, n) : V(set1)(0); }

/* The first lane. A single element is loaded by set1 and stored through this, since a masked load would have to wait
 * until the scalar store that wrote the element has reached the cache. */
FP_INLINE T FP(first_lane)(V(t) x)
{
    T lane[L];
    V(store)(lane, x);
    return lane[0];
}

FP_INLINE void FP(store_tail)(T *p, V(t) x, I n)
{
    if (n >= L)
        V(store)(p, x);
    else if (n > 0)
        V(store_n)(p, x, n);
}

FP_INLINE FP(lanes) FP(lanes_set1)(T x)
{
    FP(lanes) s;
    for (int q = 0; q < FP_LANES; q++)
        s.lane[q] = V(set1)(x);
    return s;
}

FP_INLINE T FP(lanes_sum)(FP(lanes) s)
{
    FP_UNROLL_FOR (int half = FP_LANES / 2; half >= 1; half /= 2)
        FP_UNROLL_FOR (int q = 0; q < half; q++)
            s.lane[q] = V(add)(s.lane[q], s.lane[q + half]);
    return V(reduce_sum)(s.lane[0]);
}

/* The largest of n >= 1 elements. If one is NaN, the result may be NaN or not. Lanes beyond the row hold x[0]. */
FP_INLINE T FP(row_max)(const T *x, I n)
{
    V(t) first_element = V(set1)(x[0]), max = first_element;
    I j = 0;
    for (; j + L <= n; j += L)
        max = V(max)(max, V(load)(x + j));
    if (j < n) {
        V(mask) is_valid = V(gt)(V(keep_n)(V(set1)(1), n - j), V(set1)(0));
        max = V(max)(max, V(select)(is_valid, V(load_n)(x + j, n - j), first_element));
    }
    return V(reduce_max)(max);
}

/* A finite number times 0 is 0; any other is NaN, which every sum preserves. */
static void FP(all_finite)(int *ok, const T *x, I n)
{
    /* Four sums, since each addition waits for the one before it in the same sum. */
    V(t) zero = V(set1)(0), sum = zero, sums[3] = {zero, zero, zero};
    I j = 0;
    for (; n - j >= 4 * L; j += 4 * L) {
        sum = V(fma)(zero, V(load)(x + j), sum);
        FP_UNROLL_FOR (int q = 0; q < 3; q++)
            sums[q] = V(fma)(zero, V(load)(x + j + (q + 1) * L), sums[q]);
    }
    for (; j < n; j += L)
        sum = V(fma)(zero, FP(load_tail)(x + j, n - j), sum);
    sum = V(add)(V(add)(sum, sums[0]), V(add)(sums[1], sums[2]));
    T lane[L];
    V(store)(lane, sum);
    *ok = 1;
    for (int i = 0; i < L; i++)
        *ok &= lane[i] == 0;
}

/* The arguments of sums over rows, one for each column. */
typedef struct {
    T *sum, *second_sum;  /* (n,) */
    const T *x, *y;       /* (rows, n) */
    const T *mean, *rstd; /* (n,), or (rows,) */
    I rows, x_stride, y_stride;
    int accumulate; /* add to what the sums hold */
} FP(columns);

/* The number of rows of n elements that are summed for some columns before the next columns. A block of 4096 elements
 * stays in L1, and comes from L2 in the order of its rows. It has 4 rows at least, since each block loads and stores
 * the sums. */
#define FP_SUM_BLOCK_ROWS(n) ((n) < 1024 ? 4096 / (n) : 4)

/* Calls `part`, block after block in row order, for rows [begin, end) and nv vectors of columns from j on, in which
 * there are `left` columns. */
FP_INLINE void FP(over_columns)(const FP(columns) *s, I n,
                                void (*part)(const FP(columns) *s, I begin, I end, I j, I left, int nv))
{
    I begin = 0, block_rows = n > 0 ? FP_SUM_BLOCK_ROWS(n) : s->rows;
    do {
        I end = s->rows - begin < block_rows ? s->rows : begin + block_rows, j = 0;
        for (; n - j >= 4 * L; j += 4 * L)
            part(s, begin, end, j, 4 * L, 4);
        for (; n - j >= 2 * L; j += 2 * L)
            part(s, begin, end, j, 2 * L, 2);
        if (n - j >= L) {
            part(s, begin, end, j, L, 1);
            j += L;
        }
        if (j < n)
            part(s, begin, end, j, n - j, 1);
        begin = end;
    } while (begin < s->rows);
}

/* The initial value of a part's sum: that of the rows before it, or 0. */
FP_INLINE V(t) FP(sum_so_far)(const FP(columns) *s, const T *sum, I begin, I j, I left)
{
    return sum && (s->accumulate || begin) ? FP(load_tail)(sum + j, left) : V(set1)(0);
}
