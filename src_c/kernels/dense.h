/* The three products of a dense layer; kernels.def says what each argument is. */

static void FP(dense_forward)(T *a, T *kept, const T *x, const T *w, const T *b, T *scratch, I rows, I n_in, I n_out,
                              I a_row, I kept_row, I x_row, I w_row, int activation, const double *hyper)
{
    FP(multiply)(&(FP(product)){
        .c = a, .c_row = a_row, .m = rows, .n = n_out, .k = n_in,
        .a = x, .a_row = x_row, .a_col = 1,
        .b = w, .b_row = w_row, .b_col = 1,
        .bias = b,
        .keep = kept, .kept_row = kept_row,
        .finish = activation == FP_ACTIVATION_identity ? FP_FINISH_NONE : FP_FINISH_FORWARD,
        .activation = activation,
        .hyper = hyper,
    }, scratch);
}

static void FP(dense_input_gradient)(T *dx, const T *dz, const T *w, const T *kept, T *scratch, I rows, I n_in, I n_out,
                                     I dx_row, I dz_row, I w_row, I kept_row, int activation,
                                     const double *hyper)
{
    FP(multiply)(&(FP(product)){
        .c = dx, .c_row = dx_row, .m = rows, .n = n_in, .k = n_out,
        .a = dz, .a_row = dz_row, .a_col = 1,
        .b = w, .b_row = 1, .b_col = w_row, /* w^T */
        .kept = kept, .kept_row = kept_row,
        .finish = activation == FP_ACTIVATION_identity ? FP_FINISH_NONE : FP_FINISH_BACKWARD,
        .activation = activation,
        .hyper = hyper,
    }, scratch);
}

/* db[j] = sum over rows of dz, in row order, for n columns that are nv vectors */
FP_INLINE void FP(column_sums)(T *db, const T *dz, I rows, I n, I dz_row, int accumulate, int nv)
{
    V(t) sum[4];
    FP_UNROLL for (int v = 0; v < nv; v++)
        sum[v] = accumulate ? FP(load_left)(db + v * L, n - v * L) : V(set1)(0);
    for (I i = 0; i < rows; i++)
        FP_UNROLL for (int v = 0; v < nv; v++)
            sum[v] = V(add)(sum[v], FP(load_left)(dz + i * dz_row + v * L, n - v * L));
    FP_UNROLL for (int v = 0; v < nv; v++)
        FP(store_left)(db + v * L, sum[v], n - v * L);
}

static void FP(dense_weight_gradient)(T *dw, T *db, const T *x, const T *dz, T *scratch, I rows, I n_in, I n_out,
                                      I dw_row, I x_row, I dz_row, int accumulate)
{
    if (db) {
        I j = 0; /* 4 vectors at once: one by one, each addition would wait for the one before */
        for (; n_out - j >= 4 * L; j += 4 * L)
            FP(column_sums)(db + j, dz + j, rows, 4 * L, dz_row, accumulate, 4);
        if (n_out - j > 2 * L)
            FP(column_sums)(db + j, dz + j, rows, n_out - j, dz_row, accumulate, 4);
        else if (n_out - j > L)
            FP(column_sums)(db + j, dz + j, rows, n_out - j, dz_row, accumulate, 2);
        else if (n_out > j)
            FP(column_sums)(db + j, dz + j, rows, n_out - j, dz_row, accumulate, 1);
    }
    FP(multiply)(&(FP(product)){
        .c = dw, .c_row = dw_row, .m = n_in, .n = n_out, .k = rows,
        .a = x, .a_row = 1, .a_col = x_row, /* x^T */
        .b = dz, .b_row = dz_row, .b_col = 1,
        .add = accumulate,
    }, scratch);
}
