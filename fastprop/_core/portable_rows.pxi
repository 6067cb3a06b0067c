# The kernels of rowwise.h and normalize.h: operations on single rows or elements, and normalisation.
# Part of _portable.pyx.
from fastprop._core._capi cimport (
    FP_GOLDEN, fp_add_rows, fp_batch_norm_backward, fp_column_statistics, fp_dropout, fp_layer_norm_backward,
    fp_mix64, fp_multiply_rows, fp_prelu_backward, fp_prelu_forward, fp_prelu_gradient, fp_repeat_rows,
    fp_row_statistics, fp_scale_backward, fp_scale_forward, fp_scale_gradient, fp_softmax_backward,
    fp_softmax_forward, fp_sum_copies,
)


cdef inline real value_or(const real *array, ptrdiff_t i, real default) noexcept nogil:
    """array[i], or `default` if the array is NULL."""
    return array[i] if array != NULL else default


cdef void softmax_forward(
    real *a, const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t x_stride, int logarithm,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef double largest, total
    for i in range(rows):
        largest = x[i * x_stride]
        for j in range(1, n):
            largest = max(largest, <double>x[i * x_stride + j])
        total = 0
        for j in range(n):
            total += exp(x[i * x_stride + j] - largest)
        for j in range(n):
            if logarithm:
                a[i * a_stride + j] = <real>(x[i * x_stride + j] - largest - log(total))
            else:
                a[i * a_stride + j] = <real>(exp(x[i * x_stride + j] - largest) / total)


cdef void softmax_backward(
    real *dx, const real *da, const real *a, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t a_stride, int logarithm,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef double total
    for i in range(rows):
        total = 0
        for j in range(n):
            total += da[i * da_stride + j] if logarithm else <double>da[i * da_stride + j] * a[i * a_stride + j]
        for j in range(n):
            if logarithm:
                dx[i * dx_stride + j] = <real>(da[i * da_stride + j] - exp(<double>a[i * a_stride + j]) * total)
            else:
                dx[i * dx_stride + j] = <real>(a[i * a_stride + j] * (da[i * da_stride + j] - total))


cdef void prelu_forward(
    real *a, const real *x, const real *slope, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef real z
    for i in range(rows):
        for j in range(n):
            z = x[i * x_stride + j]
            a[i * a_stride + j] = z if z > 0 else slope[j] * z


cdef void prelu_backward(
    real *dx, const real *da, const real *x, const real *slope, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef real d
    for i in range(rows):
        for j in range(n):
            d = da[i * da_stride + j]
            dx[i * dx_stride + j] = d if x[i * x_stride + j] > 0 else slope[j] * d


cdef void prelu_gradient(
    real *dslope, const real *da, const real *x, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t da_stride, ptrdiff_t x_stride, int accumulate,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for j in range(n):
        if not accumulate:
            dslope[j] = 0
    for i in range(rows):
        for j in range(n):
            if not x[i * x_stride + j] > 0:  # so that a NaN counts
                dslope[j] += da[i * da_stride + j] * x[i * x_stride + j]


cdef void dropout(
    real *a, real *saved, const real *x, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t a_stride, ptrdiff_t saved_stride, ptrdiff_t x_stride, ptrdiff_t row_offset, double rate, ptrdiff_t key,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef uint64_t mixed = fp_mix64(<uint64_t>key + FP_GOLDEN)
    cdef uint32_t draw
    for i in range(rows):
        for j in range(n):  # rowwise.h names the source of the hash
            draw = <uint32_t>((row_offset + i) * n + j) + <uint32_t>mixed
            draw = (draw ^ (draw >> 16)) * <uint32_t>0x7feb352d
            draw = (draw ^ (draw >> 15) ^ <uint32_t>(mixed >> 32)) * <uint32_t>0x846ca68b
            saved[i * saved_stride + j] = 0 if draw < rate * 4294967296.0 else <real>(1 / (1 - rate))
            a[i * a_stride + j] = x[i * x_stride + j] * saved[i * saved_stride + j]


cdef void multiply_rows(
    real *a, const real *x, const real *y, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t a_stride, ptrdiff_t x_stride, ptrdiff_t y_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(n):
            a[i * a_stride + j] = x[i * x_stride + j] * y[i * y_stride + j]


cdef void add_rows(
    real *a, const real *x, const real *y, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t a_stride, ptrdiff_t x_stride, ptrdiff_t y_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(n):
            a[i * a_stride + j] = x[i * x_stride + j] + y[i * y_stride + j] if y != NULL else x[i * x_stride + j]


cdef void repeat_rows(
    real *a, const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t copies, ptrdiff_t a_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j, c
    for i in range(rows):
        for c in range(copies):
            for j in range(n):
                a[i * a_stride + c * n + j] = x[i * x_stride + j]


cdef void sum_copies(
    real *dx, const real *da, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t copies, ptrdiff_t dx_stride, ptrdiff_t da_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j, c
    for i in range(rows):
        for j in range(n):
            dx[i * dx_stride + j] = 0
            for c in range(copies):
                dx[i * dx_stride + j] += da[i * da_stride + c * n + j]


# Normalisation: xhat = (x - mean) * rstd with the statistics of each row or column, and a = xhat * gamma + beta.

cdef void row_statistics(
    real *mean, real *rstd, const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t x_stride, double epsilon,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef double total, squares
    for i in range(rows):
        total, squares = 0, 0
        for j in range(n):
            total += x[i * x_stride + j]
        for j in range(n):
            squares += (x[i * x_stride + j] - total / n) * (x[i * x_stride + j] - total / n)
        mean[i], rstd[i] = <real>(total / n), <real>(1 / sqrt(squares / n + epsilon))


cdef void column_statistics(
    real *mean, real *variance, const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef double total, squares
    for j in range(n):
        total, squares = 0, 0
        for i in range(rows):
            total += x[i * x_stride + j]
        for i in range(rows):
            squares += (x[i * x_stride + j] - total / rows) * (x[i * x_stride + j] - total / rows)
        mean[j], variance[j] = <real>(total / rows), <real>(squares / rows)


cdef inline real normalized(
    real x, const real *mean, const real *rstd, ptrdiff_t i, ptrdiff_t j, int by_row,
) noexcept nogil:
    """xhat of an element of row i and column j."""
    cdef ptrdiff_t k = i if by_row else j
    return (x - mean[k]) * rstd[k] if mean != NULL else x


cdef void scale_forward(
    real *a, const real *x, const real *mean, const real *rstd, const real *gamma, const real *beta,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t x_stride, int by_row,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef real xhat
    for i in range(rows):
        for j in range(n):
            xhat = normalized(x[i * x_stride + j], mean, rstd, i, j, by_row)
            a[i * a_stride + j] = xhat * value_or(gamma, j, <real>1) + value_or(beta, j, <real>0)


cdef void scale_gradient(
    real *dgamma, real *dbeta, const real *da, const real *x, const real *mean, const real *rstd,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t da_stride, ptrdiff_t x_stride, int by_row, int accumulate,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for j in range(n):
        if not accumulate and dgamma != NULL:
            dgamma[j] = 0
        if not accumulate and dbeta != NULL:
            dbeta[j] = 0
    for i in range(rows):
        for j in range(n):
            if dgamma != NULL:
                dgamma[j] += da[i * da_stride + j] * normalized(x[i * x_stride + j], mean, rstd, i, j, by_row)
            if dbeta != NULL:
                dbeta[j] += da[i * da_stride + j]


cdef void scale_backward(
    real *dx, const real *da, const real *gamma, const real *rstd, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t dx_stride, ptrdiff_t da_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(n):
            dx[i * dx_stride + j] = da[i * da_stride + j] * value_or(gamma, j, <real>1) * value_or(rstd, j, <real>1)


cdef void layer_norm_backward(
    real *dx, const real *da, const real *x, const real *mean, const real *rstd, const real *gamma,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef double g, total, slope
    cdef real xhat
    for i in range(rows):
        total, slope = 0, 0
        for j in range(n):
            g = da[i * da_stride + j] * value_or(gamma, j, <real>1)
            total += g
            slope += g * normalized(x[i * x_stride + j], mean, rstd, i, j, 1)
        for j in range(n):
            g = da[i * da_stride + j] * value_or(gamma, j, <real>1)
            xhat = normalized(x[i * x_stride + j], mean, rstd, i, j, 1)
            dx[i * dx_stride + j] = <real>(rstd[i] * (g - total / n - xhat * slope / n))


cdef void batch_norm_backward(
    real *dx, const real *da, const real *x, const real *mean, const real *rstd, const real *gamma,
    const real *dgamma, const real *dbeta, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t x_stride, double batch_rows,
) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef real xhat
    for i in range(rows):
        for j in range(n):
            xhat = normalized(x[i * x_stride + j], mean, rstd, i, j, 0)
            dx[i * dx_stride + j] = <real>(value_or(gamma, j, <real>1) * rstd[j]
                                           * (da[i * da_stride + j] - (dbeta[j] + xhat * dgamma[j]) / batch_rows))


cdef int fill_rows(fp_kernels *table, real *dtype) except -1:
    """Enter the kernels of this file into a table; see `fill`."""
    table.row_statistics = <fp_row_statistics *>row_statistics[real]
    table.column_statistics = <fp_column_statistics *>column_statistics[real]
    table.scale_forward = <fp_scale_forward *>scale_forward[real]
    table.scale_gradient = <fp_scale_gradient *>scale_gradient[real]
    table.scale_backward = <fp_scale_backward *>scale_backward[real]
    table.layer_norm_backward = <fp_layer_norm_backward *>layer_norm_backward[real]
    table.batch_norm_backward = <fp_batch_norm_backward *>batch_norm_backward[real]
    table.softmax_forward = <fp_softmax_forward *>softmax_forward[real]
    table.softmax_backward = <fp_softmax_backward *>softmax_backward[real]
    table.prelu_forward = <fp_prelu_forward *>prelu_forward[real]
    table.prelu_backward = <fp_prelu_backward *>prelu_backward[real]
    table.prelu_gradient = <fp_prelu_gradient *>prelu_gradient[real]
    table.dropout = <fp_dropout *>dropout[real]
    table.multiply_rows = <fp_multiply_rows *>multiply_rows[real]
    table.add_rows = <fp_add_rows *>add_rows[real]
    table.repeat_rows = <fp_repeat_rows *>repeat_rows[real]
    table.sum_copies = <fp_sum_copies *>sum_copies[real]
    return 0
