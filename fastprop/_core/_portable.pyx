# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Every kernel in plain typed Cython. They run where no SIMD kernels can, and are the ones to read first.

``src_c/kernels.def`` states what each kernel computes, and the shapes of its arrays. Each function is written once and
compiled for float32 and float64.
"""
from libc.float cimport DBL_MAX
from libc.math cimport NAN, copysign, cos, erfc, exp, expm1, isfinite, isinf, log, log1p, pow, sin, sqrt, tanh
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport strcmp

from fastprop._core._capi cimport (
    FP_HYPER,
    fp_activation_backward, fp_activation_forward, fp_all_finite, fp_dense_forward, fp_dense_input_gradient,
    fp_dense_sgd_step, fp_dense_weight_gradient, fp_gather, fp_kernels, fp_label, fp_loss, fp_fused_small_network,
    fp_small_network_sgd,
)

cdef extern from *:
    """
    #define FP_ACTIVATION(name, saves) #name,
    static const char *const fp_activation_names[] = {
    #include "kernels.def"
        NULL};
    #define FP_LOSS(name) #name,
    static const char *const fp_loss_names[] = {
    #include "kernels.def"
        NULL};
    #define FP_OPTIMIZER(name) #name,
    static const char *const fp_optimizer_names[] = {
    #include "kernels.def"
        NULL};
    """
    const char *const *activation_names "fp_activation_names"
    const char *const *loss_names "fp_loss_names"
    const char *const *optimizer_names "fp_optimizer_names"

ctypedef fused real:
    float
    double


cdef int number_of(const char *const *names, const char *name) except -1:
    """The place of a name in a list of kernels.def, which is its place in the table."""
    cdef int number = 0
    while names[number] != NULL:
        if strcmp(names[number], name) == 0:
            return number
        number += 1
    raise ImportError(f"src_c/kernels.def has no {name.decode()}; add it there, or take its twin out of _portable.pyx")


# The products of a dense layer: forward z = x w + b, backward dx = dz w^T, gradients dw = x^T dz and db.

cdef void dense_forward(
    real *a, real *saved, const real *x, const real *w, const real *b, real *scratch,
    ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
    ptrdiff_t a_stride, ptrdiff_t saved_stride, ptrdiff_t x_stride, ptrdiff_t w_stride, int activation,
    const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i, j, k
    cdef real xik
    for i in range(rows):
        for j in range(n_out):
            a[i * a_stride + j] = b[j] if b != NULL else 0
        for k in range(n_in):
            xik = x[i * x_stride + k]
            for j in range(n_out):
                a[i * a_stride + j] += xik * w[k * w_stride + j]
        activate(a + i * a_stride, saved + i * saved_stride if saved != NULL else saved, n_out, activation, hyper)


cdef void dense_input_gradient(
    real *dx, const real *dz, const real *w, const real *saved, real *scratch,
    ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
    ptrdiff_t dx_stride, ptrdiff_t dz_stride, ptrdiff_t w_stride, ptrdiff_t saved_stride, int activation,
    const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i, j, k
    cdef real total
    for i in range(rows):
        for k in range(n_in):
            total = 0
            for j in range(n_out):
                total += dz[i * dz_stride + j] * w[k * w_stride + j]
            dx[i * dx_stride + k] = total
        activate_backward(dx + i * dx_stride, saved + i * saved_stride, n_in, activation, hyper)


cdef void dense_weight_gradient(
    real *dw, real *db, const real *x, const real *dz, real *scratch, ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
    ptrdiff_t dw_stride, ptrdiff_t x_stride, ptrdiff_t dz_stride, int accumulate,
) noexcept nogil:
    cdef ptrdiff_t i, j, k
    cdef real xik
    if not accumulate:
        for k in range(n_in):
            for j in range(n_out):
                dw[k * dw_stride + j] = 0
        if db != NULL:
            for j in range(n_out):
                db[j] = 0
    for i in range(rows):
        for k in range(n_in):
            xik = x[i * x_stride + k]
            for j in range(n_out):
                dw[k * dw_stride + j] += xik * dz[i * dz_stride + j]
        if db != NULL:
            for j in range(n_out):
                db[j] += dz[i * dz_stride + j]


cdef void dense_sgd_step(
    real *w, real *dw, real *db, const real *x, const real *dz, real *scratch,
    ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
    ptrdiff_t x_stride, ptrdiff_t dz_stride, int accumulate, double rate, const double *hyper,
) noexcept nogil:
    dense_weight_gradient(dw, db, x, dz, scratch, rows, n_in, n_out, n_out, x_stride, dz_stride, accumulate)
    sgd(w, <real *>NULL, dw, n_in * n_out, 0, rate, hyper)


include "portable_activations.pxi"


cdef inline void activate(
    real *a, real *saved, ptrdiff_t n, int activation, const double *hyper,
) noexcept nogil:
    if real is float:
        tables[0].forward[activation](a, saved, n, hyper)
    else:
        tables[1].forward[activation](a, saved, n, hyper)


cdef inline void activate_backward(
    real *dz, const real *saved, ptrdiff_t n, int activation, const double *hyper,
) noexcept nogil:
    if real is float:
        tables[0].backward[activation](dz, saved, n, hyper)
    else:
        tables[1].backward[activation](dz, saved, n, hyper)


include "portable_losses.pxi"


# Both passes over a small network, row by row. The head of _engine.pyx has the mathematics.

cdef void fused_small_network(
    double *cost, real *gradient, real *work, const real *theta, const real *x, const real *y, const int64_t *label,
    const int64_t *index, const ptrdiff_t *widths, const int *activations, ptrdiff_t layers, ptrdiff_t rows,
    int loss, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t r, row, k, i, j, n_in, n_out, start, size = 0
    cdef const real *input
    cdef const real *below
    cdef const real *w
    cdef real *a
    cdef real *dz
    cdef real *dx
    cdef real *dw
    for k in range(layers):
        size += (widths[k] + 1) * widths[k + 1]
    for i in range(size):
        gradient[i] = 0
    for r in range(rows):
        row = index[r] if index != NULL else r
        input = x + row * widths[0]
        below, a, start = input, work, 0
        for k in range(layers):  # a_k = g_k(a_{k-1} W_k + b_k)
            n_in, n_out = widths[k], widths[k + 1]
            w = theta + start
            for j in range(n_out):
                a[j] = w[n_in * n_out + j]
                for i in range(n_in):
                    a[j] += below[i] * w[i * n_out + j]
            activate(a, <real *>NULL, n_out, activations[k], hyper + k * FP_HYPER)
            below, a, start = a, a + n_out, start + (n_in + 1) * n_out
        dz, n_out = a, widths[layers]  # dL/dz_K = dL/da_K * g_K'(z_K)
        loss_of_row(cost, dz, below, at(y, row * n_out), label + row if label != NULL else label, n_out, loss, scale,
                    hyper + layers * FP_HYPER)
        activate_backward(dz, below, n_out, activations[layers - 1], hyper + (layers - 1) * FP_HYPER)
        for k in range(layers - 1, -1, -1):
            n_in, n_out = widths[k], widths[k + 1]
            start -= (n_in + 1) * n_out
            below = below - n_in if k > 0 else input
            w, dw, dx = theta + start, gradient + start, dz + n_out
            for i in range(n_in):
                for j in range(n_out):
                    dw[i * n_out + j] += below[i] * dz[j]  # dW_k = a_{k-1}^T dz_k
            for j in range(n_out):
                dw[n_in * n_out + j] += dz[j]  # db_k = dz_k
            if k > 0:  # dz_{k-1} = (dz_k W_k^T) * g_{k-1}'(z_{k-1})
                for i in range(n_in):
                    dx[i] = 0
                    for j in range(n_out):
                        dx[i] += dz[j] * w[i * n_out + j]
                activate_backward(dx, below, n_in, activations[k - 1], hyper + (k - 1) * FP_HYPER)
            dz = dx


cdef inline const real *at(const real *array, ptrdiff_t i) noexcept nogil:
    """array + i; NULL stays NULL."""
    if array == NULL:
        return NULL
    return array + i


cdef inline void loss_of_row(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, ptrdiff_t n, int loss, double scale,
    const double *hyper,
) noexcept nogil:
    if real is float:
        tables[0].loss[loss](cost, da, a, y, label, NULL, 1, n, n, scale, hyper)
    else:
        tables[1].loss[loss](cost, da, a, y, label, NULL, 1, n, n, scale, hyper)


include "portable_optimizers.pxi"


cdef void small_network_sgd(
    double *cost, int *steps, real *theta, real *gradient, real *work, const real *x, const real *y,
    const int64_t *label, const int64_t *index, const ptrdiff_t *widths, const int *activations, ptrdiff_t layers,
    ptrdiff_t rows, ptrdiff_t most_steps, int loss, double rate, const double *hyper, const double *step_hyper,
) noexcept nogil:
    cdef ptrdiff_t k, n = 0
    cdef double cost_of_step
    for k in range(layers):
        n += (widths[k] + 1) * widths[k + 1]
    steps[0] = 0
    while steps[0] < most_steps:
        cost_of_step = 0
        fused_small_network(
            &cost_of_step, gradient, work, theta, x, y, label, index + steps[0] * rows, widths, activations, layers,
            rows, loss, 1.0 / rows, hyper)
        if not isfinite(cost_of_step):
            return
        sgd(theta, <real *>NULL, gradient, n, 0, rate, step_hyper)
        cost[0] += cost_of_step
        steps[0] += 1


# Data.

cdef void gather(
    real *out, const real *x, const int64_t *index, ptrdiff_t rows, ptrdiff_t n,
    ptrdiff_t out_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(n):
            out[i * out_stride + j] = x[index[i] * x_stride + j]


cdef void all_finite(int *ok, const real *x, ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t j
    ok[0] = 1
    for j in range(n):
        if not isfinite(<double>x[j]):
            ok[0] = 0


include "portable_rows.pxi"
include "portable_inputs.pxi"


cdef int fill(fp_kernels *table, real *dtype) except -1:
    """Enter the kernels of one dtype into its table. The value of `dtype` is not used, only its type."""
    table.isa = b"portable"
    table.dtype = b"float32" if real is float else b"float64"
    table.size = sizeof(real)
    table.lanes = 1
    table.dense_forward = <fp_dense_forward *>dense_forward[real]
    table.dense_input_gradient = <fp_dense_input_gradient *>dense_input_gradient[real]
    table.dense_weight_gradient = <fp_dense_weight_gradient *>dense_weight_gradient[real]
    table.dense_sgd_step = <fp_dense_sgd_step *>dense_sgd_step[real]
    table.fused_small_network = <fp_fused_small_network *>fused_small_network[real]
    table.small_network_sgd = <fp_small_network_sgd *>small_network_sgd[real]
    table.gather = <fp_gather *>gather[real]
    table.all_finite = <fp_all_finite *>all_finite[real]
    fill_rows(table, dtype)
    fill_inputs(table, dtype)
    fill_activations(table, dtype)
    fill_losses(table, dtype)
    fill_optimizers(table, dtype)
    return 0


fill(&tables[0], <float *>NULL)
fill(&tables[1], <double *>NULL)
