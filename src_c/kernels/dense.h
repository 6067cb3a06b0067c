/* The three products of a dense layer; kernels.def describes the arguments. Every field of a product is initialised by
 * name, since compilers fill the whole struct with zeros if one is left out, which takes 3% of a step 32 wide. */

static void FP(dense_forward)(T *a, T *saved, const T *x, const T *w, const T *b, T *scratch, I rows, I n_in, I n_out,
                              I a_stride, I saved_stride, I x_stride, I w_stride, int activation, const double *hyper)
{
    /* clang-format off */
    FP(multiply)(&(FP(product)){
        .c = a, .c_stride = a_stride, .m = rows, .n = n_out, .k = n_in,
        .a = x, .a_row_stride = x_stride, .a_col_stride = 1,
        .b = w, .b_row_stride = w_stride, .b_col_stride = 1,
        .bias = b, .accumulate = 0,
        .saved = NULL, .save_to = saved, .saved_stride = saved_stride,
        .epilogue = activation == FP_ACTIVATION_identity ? FP_EPILOGUE_NONE : FP_EPILOGUE_FORWARD,
        .activation = activation,
        .hyper = hyper,
    }, scratch);
    /* clang-format on */
}

static void FP(dense_input_gradient)(T *dx, const T *dz, const T *w, const T *saved, T *scratch, I rows, I n_in,
                                     I n_out, I dx_stride, I dz_stride, I w_stride, I saved_stride, int activation,
                                     const double *hyper)
{
    /* clang-format off */
    FP(multiply)(&(FP(product)){
        .c = dx, .c_stride = dx_stride, .m = rows, .n = n_in, .k = n_out,
        .a = dz, .a_row_stride = dz_stride, .a_col_stride = 1,
        .b = w, .b_row_stride = 1, .b_col_stride = w_stride, /* w^T */
        .bias = NULL, .accumulate = 0,
        .saved = saved, .save_to = NULL, .saved_stride = saved_stride,
        .epilogue = activation == FP_ACTIVATION_identity ? FP_EPILOGUE_NONE : FP_EPILOGUE_BACKWARD,
        .activation = activation,
        .hyper = hyper,
    }, scratch);
    /* clang-format on */
}

/* db[j] = sum over rows of dz[., j], in row order, for n columns, which fill nv vectors */
FP_INLINE void FP(column_sums)(T *db, const T *dz, I rows, I n, I dz_stride, int accumulate, int nv)
{
    V(t) sum[8];
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        sum[v] = accumulate ? FP(load_tail)(db + v * L, n - v * L) : V(set1)(0);
    for (I i = 0; i < rows; i++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            sum[v] = V(add)(sum[v], FP(load_tail)(dz + i * dz_stride + v * L, n - v * L));
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        FP(store_tail)(db + v * L, sum[v], n - v * L);
}

FP_INLINE void FP(bias_gradient)(T *db, const T *dz, I rows, I n_out, I dz_stride, int accumulate)
{
    I j = 0; /* many vectors at once, since each addition waits for the one before it in the same sum */
    for (; n_out - j >= 8 * L; j += 8 * L)
        FP(column_sums)(db + j, dz + j, rows, 8 * L, dz_stride, accumulate, 8);
    I n = n_out - j, vectors = (n + L - 1) / L;
    if (vectors > 6)
        FP(column_sums)(db + j, dz + j, rows, n, dz_stride, accumulate, 8);
    else if (vectors > 4)
        FP(column_sums)(db + j, dz + j, rows, n, dz_stride, accumulate, 6);
    else if (vectors > 3)
        FP(column_sums)(db + j, dz + j, rows, n, dz_stride, accumulate, 4);
    else if (vectors > 2)
        FP(column_sums)(db + j, dz + j, rows, n, dz_stride, accumulate, 3);
    else if (vectors > 1)
        FP(column_sums)(db + j, dz + j, rows, n, dz_stride, accumulate, 2);
    else if (vectors > 0)
        FP(column_sums)(db + j, dz + j, rows, n, dz_stride, accumulate, 1);
}

/* dw = x^T dz */
FP_INLINE FP(product) FP(weight_gradient)(T *dw, const T *x, const T *dz, I rows, I n_in, I n_out, I dw_stride,
                                          I x_stride, I dz_stride, int accumulate)
{
    /* clang-format off */
    return (FP(product)){
        .c = dw, .c_stride = dw_stride, .m = n_in, .n = n_out, .k = rows,
        .a = x, .a_row_stride = 1, .a_col_stride = x_stride, /* x^T */
        .b = dz, .b_row_stride = dz_stride, .b_col_stride = 1,
        .bias = NULL, .accumulate = accumulate,
        .saved = NULL, .save_to = NULL, .saved_stride = 0,
        .epilogue = FP_EPILOGUE_NONE, .activation = FP_ACTIVATION_identity, .hyper = NULL,
    };
    /* clang-format on */
}

static void FP(dense_weight_gradient)(T *dw, T *db, const T *x, const T *dz, T *scratch, I rows, I n_in, I n_out,
                                      I dw_stride, I x_stride, I dz_stride, int accumulate)
{
    FP(product) p = FP(weight_gradient)(dw, x, dz, rows, n_in, n_out, dw_stride, x_stride, dz_stride, accumulate);
    if (db)
        FP(bias_gradient)(db, dz, rows, n_out, dz_stride, accumulate);
    FP(multiply)(&p, scratch);
}

static void FP(dense_sgd_step)(T *w, T *dw, T *db, const T *x, const T *dz, T *scratch, I rows, I n_in, I n_out,
                               I x_stride, I dz_stride, int accumulate, double rate, const double *hyper)
{
    FP(product) p = FP(weight_gradient)(dw, x, dz, rows, n_in, n_out, n_out, x_stride, dz_stride, accumulate);
    if (db)
        FP(bias_gradient)(db, dz, rows, n_out, dz_stride, accumulate);
    if (FP(is_scalar)(&p) || FP(is_narrow)(&p)) { /* the other two variants do not update weights */
        FP(multiply)(&p, scratch);
        FP(sgd)(w, NULL, dw, n_in * n_out, 0, rate, hyper);
    } else {
        p.epilogue = FP_EPILOGUE_SGD;
        p.weights = w;
        p.hyper = (const double[]){rate, hyper[0], 1 - rate * hyper[1]};
        FP(multiply_tiles)(&p, scratch);
    }
}
