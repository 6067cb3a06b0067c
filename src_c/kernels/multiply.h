/* The ways to a product: plain loops, tiles, or tiles of its transpose. All sum in the same order. */

/* For products of a few numbers. */
FP_INLINE void FP(multiply_scalars)(const FP(product) *p)
{
    for (I i = 0; i < p->m; i++) {
        T *c = p->c + i * p->c_stride;
        for (I j = 0; j < p->n; j++) {
            T sum = p->add ? c[j] : p->bias ? p->bias[j] : 0;
            for (I k = 0; k < p->k; k++)
                sum = FP_FMA(p->a[i * p->a_row_stride + k * p->a_col_stride], p->b[k * p->b_row_stride + j * p->b_col_stride], sum);
            if (p->activation == FP_ACTIVATION_relu) {
                int off = p->finish == FP_FINISH_FORWARD ? 0 > sum
                        : p->finish == FP_FINISH_BACKWARD && !(p->saved[i * p->saved_stride + j] > 0);
                sum = off ? 0 : sum;
            }
            c[j] = sum;
        }
    }
    if (p->activation != FP_ACTIVATION_relu)
        FP(finish_rows)(p, 0, p->m, 0, p->n);
}

/* Whether C^T fills more lanes than C, whose rows end in a vector with few of them in use. C^T costs a copy of A and one of
 * C, which is little beside 32 k. One column always is a row. */
FP_INLINE int FP(is_narrow)(const FP(product) *p)
{
    I vectors = (p->n + L - 1) / L, across = (p->m + L - 1) / L;
    if (p->finish == FP_FINISH_BACKWARD || p->n >= FP_NARROW)
        return 0;
    if (p->n == 1 && p->c_stride == 1)
        return 1;
    return p->k >= FP_NARROW_K && 4 * p->n * across <= 3 * p->m * vectors;
}

/* C^T = B^T A^T, transposed into place. */
FP_INLINE void FP(multiply_narrow)(const FP(product) *p, T *scratch)
{
    int in_place = p->n == 1 && p->c_stride == 1 && (!p->keep || p->saved_stride == 1);
    I row = in_place ? 0 : (p->m + L - 1) / L * L;
    FP(product) t = {
        .c = in_place ? p->c : scratch, .c_stride = row, .m = p->n, .n = p->m, .k = p->k,
        .a = p->b, .a_row_stride = p->b_col_stride, .a_col_stride = p->b_row_stride,
        .b = p->a, .b_row_stride = p->a_col_stride, .b_col_stride = p->a_row_stride,
        .keep = in_place || !p->keep ? p->keep : scratch + p->n * row, .saved_stride = row,
        .bias = NULL, .saved = NULL, .add = p->add || p->bias,
        .finish = p->finish, .activation = p->activation, .hyper = p->hyper,
    };
    for (I j = 0; j < p->n && p->bias; j++)
        for (I i = 0; i < p->m; i += L)
            FP(store_left)(t.c + j * row + i, V(set1)(p->bias[j]), p->m - i);
    if (p->add && !in_place)
        FP(transpose)(t.c, row, p->c, p->c_stride, p->n, p->m);
    FP(multiply_tiles)(&t, in_place ? scratch : scratch + 2 * p->n * row);
    if (in_place)
        return;
    FP(transpose)(p->c, p->c_stride, t.c, row, p->m, p->n);
    if (p->keep)
        FP(transpose)(p->keep, p->saved_stride, t.keep, row, p->m, p->n);
}

FP_INLINE int FP(is_tiny)(const FP(product) *p) { return p->m * p->n * p->k <= FP_SCALAR_PRODUCT; }

FP_INLINE void FP(multiply)(const FP(product) *p, T *scratch)
{
    if (FP(is_tiny)(p))
        FP(multiply_scalars)(p);
    else if (p->m > 0 && FP(is_narrow)(p))
        FP(multiply_narrow)(p, scratch);
    else if (p->m > 0)
        FP(multiply_tiles)(p, scratch);
}
