/* The three products of a dense layer; kernels.def says what each argument is. */

static void FP(dense_forward)(T *a, const T *x, const T *w, const T *b, T *scratch, I rows, I n_in, I n_out,
                              I a_row, I x_row, I w_row, int activation)
{
    FP(multiply)(&(FP(product)){
        .c = a, .c_row = a_row, .m = rows, .n = n_out, .k = n_in,
        .a = x, .a_row = x_row, .a_col = 1,
        .b = w, .b_row = w_row, .b_col = 1,
        .bias = b,
        .finish = activation == FP_ACTIVATION_identity ? FP_FINISH_NONE : FP_FINISH_FORWARD,
        .activation = activation,
    }, scratch);
}

static void FP(dense_input_gradient)(T *dx, const T *dz, const T *w, const T *kept, T *scratch, I rows, I n_in, I n_out,
                                     I dx_row, I dz_row, I w_row, I kept_row, int activation)
{
    FP(multiply)(&(FP(product)){
        .c = dx, .c_row = dx_row, .m = rows, .n = n_in, .k = n_out,
        .a = dz, .a_row = dz_row, .a_col = 1,
        .b = w, .b_row = 1, .b_col = w_row, /* w^T */
        .kept = kept, .kept_row = kept_row,
        .finish = activation == FP_ACTIVATION_identity ? FP_FINISH_NONE : FP_FINISH_BACKWARD,
        .activation = activation,
    }, scratch);
}

/* db = sum over rows of dz, in row order */
FP_INLINE void FP(column_sums)(T *db, const T *dz, I rows, I n, I dz_row, int accumulate)
{
    for (I j = 0; j < n; j += 4 * L) {
        V(t) sum[4];
        FP_UNROLL for (int v = 0; v < 4; v++)
            sum[v] = accumulate ? FP(load_left)(db + j + v * L, n - j - v * L) : V(set1)(0);
        for (I i = 0; i < rows; i++)
            FP_UNROLL for (int v = 0; v < 4; v++)
                sum[v] = V(add)(sum[v], FP(load_left)(dz + i * dz_row + j + v * L, n - j - v * L));
        FP_UNROLL for (int v = 0; v < 4; v++)
            FP(store_left)(db + j + v * L, sum[v], n - j - v * L);
    }
}

static void FP(dense_weight_gradient)(T *dw, T *db, const T *x, const T *dz, T *scratch, I rows, I n_in, I n_out,
                                      I dw_row, I x_row, I dz_row, int accumulate)
{
    if (db)
        FP(column_sums)(db, dz, rows, n_out, dz_row, accumulate);
    FP(multiply)(&(FP(product)){
        .c = dw, .c_row = dw_row, .m = n_in, .n = n_out, .k = rows,
        .a = x, .a_row = 1, .a_col = x_row, /* x^T */
        .b = dz, .b_row = dz_row, .b_col = 1,
        .add = accumulate,
    }, scratch);
}
