/* The three products of a dense layer; kernels.def says what each argument is. Every field of a product is named: what is
 * not named would be cleared by filling all of it with zeros first, 3% of a step 32 wide. */

static void FP(dense_forward)(T *a, T *kept, const T *x, const T *w, const T *b, T *scratch, I rows, I n_in, I n_out,
                              I a_row, I kept_row, I x_row, I w_row, int activation, const double *hyper)
{
    FP(multiply)(&(FP(product)){
        .c = a, .c_row = a_row, .m = rows, .n = n_out, .k = n_in,
        .a = x, .a_row = x_row, .a_col = 1,
        .b = w, .b_row = w_row, .b_col = 1,
        .bias = b, .add = 0,
        .kept = NULL, .keep = kept, .kept_row = kept_row,
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
        .bias = NULL, .add = 0,
        .kept = kept, .keep = NULL, .kept_row = kept_row,
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

FP_INLINE void FP(bias_gradient)(T *db, const T *dz, I rows, I n_out, I dz_row, int accumulate)
{
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

/* dw = x^T dz */
FP_INLINE FP(product) FP(weight_gradient)(T *dw, const T *x, const T *dz, I rows, I n_in, I n_out, I dw_row, I x_row,
                                          I dz_row, int accumulate)
{
    return (FP(product)){
        .c = dw, .c_row = dw_row, .m = n_in, .n = n_out, .k = rows,
        .a = x, .a_row = 1, .a_col = x_row, /* x^T */
        .b = dz, .b_row = dz_row, .b_col = 1,
        .bias = NULL, .add = accumulate,
        .kept = NULL, .keep = NULL, .kept_row = 0,
        .finish = FP_FINISH_NONE, .activation = FP_ACTIVATION_identity, .hyper = NULL,
    };
}

static void FP(dense_weight_gradient)(T *dw, T *db, const T *x, const T *dz, T *scratch, I rows, I n_in, I n_out,
                                      I dw_row, I x_row, I dz_row, int accumulate)
{
    FP(product) p = FP(weight_gradient)(dw, x, dz, rows, n_in, n_out, dw_row, x_row, dz_row, accumulate);
    if (db)
        FP(bias_gradient)(db, dz, rows, n_out, dz_row, accumulate);
    FP(multiply)(&p, scratch);
}

static void FP(dense_descent)(T *w, T *dw, T *db, const T *x, const T *dz, T *scratch, I rows, I n_in, I n_out,
                              I x_row, I dz_row, int accumulate, double rate, const double *hyper)
{
    FP(product) p = FP(weight_gradient)(dw, x, dz, rows, n_in, n_out, n_out, x_row, dz_row, accumulate);
    if (db)
        FP(bias_gradient)(db, dz, rows, n_out, dz_row, accumulate);
    if (FP(is_tiny)(&p) || FP(is_narrow)(&p)) { /* the other two ways know of no weights */
        FP(multiply)(&p, scratch);
        FP(sgd)(w, NULL, dw, n_in * n_out, 0, rate, hyper);
    } else {
        p.finish = FP_FINISH_DESCENT;
        p.keep = w;
        p.hyper = (const double[]){rate, hyper[0], 1 - rate * hyper[1]};
        FP(multiply_tiles)(&p, scratch);
    }
}
