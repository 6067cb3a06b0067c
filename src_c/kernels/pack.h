/* Packing: copies of parts of A and B in the order in which a tile reads them. */

/* Copies B (depth, width) to rows `stride` apart, a multiple of a vector. */
static void FP(pack)(T *to, I stride, const T *b, I b_row_stride, I depth, I width)
{
    for (I k = 0; k < depth; k++, b += b_row_stride, to += stride)
        for (I j = 0; j < width; j += L)
            V(store)(to + j, FP(load_tail)(b + j, width - j));
}

/* Transposes the first k elements of the first j rows at `from` (at most L each), and stores up to `wide` elements of
 * each row of the result; elements beyond row j are 0. */
FP_INLINE void FP(transpose_block)(T *to, I to_stride, const T *from, I from_stride, I k, I j, I wide)
{
    V(t) block[L];
    /* Opaque, since the compiler would else make a pointer for each row, which are more than it has registers. */
    FP_OPAQUE(from);
    FP_OPAQUE(to);
    if (j >= L && k >= L) {
        V(load_transposed)(block, from, from_stride);
    } else {
        FP_UNROLL_FOR (int r = 0; r < L; r++)
            block[r] = r < j ? FP(load_tail)(from + r * from_stride, k) : V(set1)(0);
        V(transpose)(block);
    }
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

/* The same where the columns of B, b_col_stride apart, are contiguous in memory. */
static void FP(pack_transposed)(T *to, I stride, const T *b, I b_col_stride, I depth, I width)
{
    for (I j = 0; j < width; j += L)
        for (I k = 0; k < depth; k += L) {
            const T *from = b + j * b_col_stride + k;
            if (depth - k >= L && width - j >= L)
                FP(transpose_block)(to + k * stride + j, stride, from, b_col_stride, L, L, L);
            else
                FP(transpose_block)(to + k * stride + j, stride, from, b_col_stride, depth - k, width - j, L);
        }
}

/* Stores L elements of each of 4 rows as 4 elements of L columns. */
FP_INLINE void FP(interleave)(T *to, const T *a, I a_row_stride)
{
    V(t) x[4], even_low, even_high, odd_low, odd_high;
    FP_UNROLL_FOR (int r = 0; r < 4; r++)
        x[r] = V(load)(a + r * a_row_stride);
    V(zip)(x[0], x[2], &even_low, &even_high);
    V(zip)(x[1], x[3], &odd_low, &odd_high);
    V(zip)(even_low, odd_low, &x[0], &x[1]);
    V(zip)(even_high, odd_high, &x[2], &x[3]);
    FP_UNROLL_FOR (int r = 0; r < 4; r++)
        V(store)(to + r * L, x[r]);
}

/* Copies a tile's mr rows of A, which are contiguous along k, as mr elements for each k. Elements beyond the last row are
 * overwritten by the next k: so the upper rows come first. */
FP_INLINE void FP(pack_tile)(T *to, const T *a, I a_row_stride, I depth, I mr)
{
    I k = 0;
    for (; mr == 4 && k + L <= depth; k += L)
        FP(interleave)(to + 4 * k, a + k, a_row_stride);
    for (; k + L <= depth; k += L)
        for (I r = (mr - 1) / L * L; r >= 0; r -= L)
            FP(transpose_block)(to + k * mr + r, mr, a + r * a_row_stride + k, a_row_stride, L, mr - r, L);
    for (I r = (mr - 1) / L * L; r >= 0; r -= L)
        FP(transpose_block)(to + k * mr + r, mr, a + r * a_row_stride + k, a_row_stride, depth - k, mr - r, L);
}

/* The distance between the copies of two tiles of mr rows of A. The L elements between them are where the last column's
 * vectors end; and since copies are then no multiple of 2048 bytes apart, a column of many tiles is in many sets of L1. */
FP_INLINE I FP(packed_tile)(I mr, I depth) { return mr * depth + L; }

FP_INLINE void FP(pack_columns)(T *to, const T *a, I a_col_stride, I depth, I tiles, I mr)
{
    for (I k = 0; k < depth; k++, a += a_col_stride, to += mr)
        for (I t = 0; t < tiles; t++)
            for (I r = (mr - 1) / L * L; r >= 0; r -= L)
                V(store)(to + t * FP(packed_tile)(mr, depth) + r, FP(load_tail)(a + t * mr + r, (tiles - t) * mr - r));
}

/* Copies the rows of A of `tiles` tiles of mr rows, one tile after another, each as mr elements for each k. */
FP_INLINE void FP(pack_rows_of)(T *to, const T *a, I a_row_stride, I a_col_stride, I depth, I tiles, I mr)
{
    if (a_row_stride == 1)
        FP(pack_columns)(to, a, a_col_stride, depth, tiles, mr);
    else
        for (I t = 0; t < tiles; t++, to += FP(packed_tile)(mr, depth), a += mr * a_row_stride)
            FP(pack_tile)(to, a, a_row_stride, depth, mr);
}

/* The same; the numbers of rows of full tiles are constants, which makes them faster. */
static void FP(pack_rows)(T *to, const T *a, I a_row_stride, I a_col_stride, I depth, I tiles, I mr)
{
    if (mr == FP_MR)
        FP(pack_rows_of)(to, a, a_row_stride, a_col_stride, depth, tiles, FP_MR);
    else if (mr == 4)
        FP(pack_rows_of)(to, a, a_row_stride, a_col_stride, depth, tiles, 4);
    else
        FP(pack_rows_of)(to, a, a_row_stride, a_col_stride, depth, tiles, mr);
}
