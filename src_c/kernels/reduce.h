/* Sums along a row, in 16 virtual lanes: element j is added to lane j % 16, and the lanes are added in a fixed tree. The
 * order depends on the row's length alone, so every vector width gives the same bits. */
#define FP_LANES (16 / L)

typedef struct {
    V(t) lane[FP_LANES];
} FP(lanes);

/* L elements of a row at p of which n are left: what lies beyond the row reads as 0. */
FP_INLINE V(t) FP(load_left)(const T *p, I n) { return n >= L ? V(load)(p) : n > 0 ? V(load_n)(p, n) : V(set1)(0); }

/* The first lane alone. A number by itself goes through set1 and this: a masked load would have to wait until the store that
 * made the number has reached the cache. */
FP_INLINE T FP(first)(V(t) x)
{
    T lane[L];
    V(store)(lane, x);
    return lane[0];
}

FP_INLINE void FP(store_left)(T *p, V(t) x, I n)
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
    T lane[16];
    for (int q = 0; q < FP_LANES; q++)
        V(store)(lane + q * L, s.lane[q]);
    for (int width = 8; width >= 1; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

/* The largest of n >= 1 elements; NaN among them may or may not be returned. Lanes beyond the row hold x[0]. */
FP_INLINE T FP(row_max)(const T *x, I n)
{
    T lane[L];
    V(t) first = V(set1)(x[0]), most = first;
    I j = 0;
    for (; j + L <= n; j += L)
        most = V(max)(most, V(load)(x + j));
    if (j < n)
        most = V(max)(most, V(add)(V(load_n)(x + j, n - j), V(sub)(first, V(keep_n)(first, n - j))));
    V(store)(lane, most);
    for (int width = L / 2; width >= 1; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] = lane[i + width] > lane[i] ? lane[i + width] : lane[i];
    return lane[0];
}

/* finite numbers times 0 are 0, the others NaN, which no addition loses */
static void FP(all_finite)(int *ok, const T *x, I n)
{
    V(t) zero = V(set1)(0), sum = zero;
    for (I j = 0; j < n; j += L)
        sum = V(fma)(zero, FP(load_left)(x + j, n - j), sum);
    T lane[L];
    V(store)(lane, sum);
    *ok = 1;
    for (int i = 0; i < L; i++)
        *ok &= lane[i] == 0;
}
