/* Packing: copies of parts of A and B in the order in which a tile reads them. */

/* Copies B (depth, width) into panels of `depth` rows and 2 L columns, one after another; columns beyond `width` are
 * 0. */
static void FP(pack)(T *panels, const T *b, I b_row_stride, I depth, I width)
{
    for (I k = 0; k < depth; k++, b += b_row_stride) { /* along the rows, which the CPU's own prefetching follows */
        T *to = panels + 2 * L * k;
        I j = 0;
        for (; j + 2 * L <= width; j += 2 * L, to += 2 * L * depth) {
            /* The CPU itself does not prefetch across pages. */
            FP_PREFETCH_READ(b + j + FP_PACK_PREFETCH * b_row_stride);
            FP_PREFETCH_READ(b + j + L + FP_PACK_PREFETCH * b_row_stride);
            V(store)(to, V(load)(b + j));
            V(store)(to + L, V(load)(b + j + L));
        }
        if (j < width) {
            V(store)(to, FP(load_tail)(b + j, width - j));
            V(store)(to + L, FP(load_tail)(b + j + L, width - j - L));
        }
    }
}

/* Transposes the first k elements of the first j rows at `from` (at most L each), and stores up to `wide` elements of
 * each row of the result; elements beyond row j are 0. */
FP_INLINE void FP(transpose_block)(T *to, I to_stride, const T *from, I from_stride, I k, I j, I wide)
{
    V(t) block[L];
    FP_OPAQUE(from); /* else the compiler makes a pointer for each row, which are more than it has registers */
    FP_UNROLL_FOR (int r = 0; r < L; r++)
        block[r] = r < j ? FP(load_tail)(from + r * from_stride, k) : V(set1)(0);
    V(transpose)(block);
    FP_UNROLL_FOR (int r = 0; r < L; r++)
        if (r < k)
            FP(store_tail)(to + r * to_stride, block[r], wide);
}

/* to (rows, columns) = from^T. */
static void FP(transpose)(T *to, I to_stride, const T *from, I from_stride, I rows, I columns)
{
    for (I i = 0; i < rows; i += L)
        for (I j = 0; j < columns; j += L)
            FP(transpose_block)(to + i * to_stride + j, to_stride, from + j * from_stride + i, from_stride, rows - i,
                                columns - j, columns - j);
}

/* Copies B into panels as above where its columns, b_col_stride apart, are contiguous in memory. */
static void FP(pack_transposed)(T *panels, const T *b, I b_col_stride, I depth, I width)
{
    for (I j = 0; j < width; j += L) { /* half of a panel */
        T *half = panels + j / (2 * L) * (2 * L) * depth + j % (2 * L);
        for (I k = 0; k < depth; k += L) {
            const T *from = b + j * b_col_stride + k;
            if (depth - k >= L && width - j >= L)
                FP(transpose_block)(half + k * 2 * L, 2 * L, from, b_col_stride, L, L, L);
            else
                FP(transpose_block)(half + k * 2 * L, 2 * L, from, b_col_stride, depth - k, width - j, L);
        }
    }
}

/* Copies a tile's mr rows of A, whose columns are contiguous (a_row_stride is 1), as mr elements for each k. */
static void FP(pack_tile)(T *tile, const T *a, I a_col_stride, I depth, I mr)
{
    for (I k = 0; k < depth; k++, a += a_col_stride, tile += mr)
        for (I r = 0; r < mr; r += L) /* elements stored beyond the last row are overwritten by the next k */
            V(store)(tile + r, FP(load_tail)(a + r, mr - r));
}
