/* Copies of what tiles read, in the order in which they read it. */

/* B as panels 2 L wide, one after the other, `depth` rows each; the last panel's missing columns are 0. */
static void FP(pack)(T *panels, const T *b, I b_row_stride, I depth, I width)
{
    for (I k = 0; k < depth; k++, b += b_row_stride) { /* along the rows, as the CPU fetches ahead */
        T *to = panels + 2 * L * k;
        I j = 0;
        for (; j + 2 * L <= width; j += 2 * L, to += 2 * L * depth) {
            FP_FETCH_TO_READ(b + j + FP_PACK_AHEAD * b_row_stride); /* which no CPU does by itself across pages */
            FP_FETCH_TO_READ(b + j + L + FP_PACK_AHEAD * b_row_stride);
            V(store)(to, V(load)(b + j));
            V(store)(to + L, V(load)(b + j + L));
        }
        if (j < width) {
            V(store)(to, FP(load_left)(b + j, width - j));
            V(store)(to + L, FP(load_left)(b + j + L, width - j - L));
        }
    }
}

/* An L x L block, or its first k elements of j rows, from_stride apart: transposed, `wide` of them, to rows to_stride apart. */
FP_INLINE void FP(transpose_block)(T *to, I to_stride, const T *from, I from_stride, I k, I j, I wide)
{
    V(t) block[L];
    FP_OPAQUE(from); /* else each row would have a pointer of its own, more than there are registers */
    FP_UNROLL for (int r = 0; r < L; r++)
        block[r] = r < j ? FP(load_left)(from + r * from_stride, k) : V(set1)(0);
    V(transpose)(block);
    FP_UNROLL for (int r = 0; r < L; r++)
        if (r < k)
            FP(store_left)(to + r * to_stride, block[r], wide);
}

/* to (rows, columns) = from^T. */
static void FP(transpose)(T *to, I to_stride, const T *from, I from_stride, I rows, I columns)
{
    for (I i = 0; i < rows; i += L)
        for (I j = 0; j < columns; j += L)
            FP(transpose_block)(to + i * to_stride + j, to_stride, from + j * from_stride + i, from_stride, rows - i, columns - j,
                                columns - j);
}

/* The panels of B where its columns are what is adjacent in memory. */
static void FP(pack_transposed)(T *panels, const T *b, I b_col_stride, I depth, I width)
{
    for (I j = 0; j < width; j += L) { /* half a panel */
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

/* A tile's rows of A, which lie beside one another (a_row_stride is 1), as mr numbers for each k. */
static void FP(pack_tile)(T *tile, const T *a, I a_col_stride, I depth, I mr)
{
    for (I k = 0; k < depth; k++, a += a_col_stride, tile += mr)
        for (I r = 0; r < mr; r += L) /* what is stored beyond the last row, the next k overwrites */
            V(store)(tile + r, FP(load_left)(a + r, mr - r));
}
