# The kernels of embeddings.h: operations on the columns of the network's input. Part of _portable.pyx.
from libc.math cimport NAN, fma, round

cdef extern from *:
    """
    #define FP_TWO_PI 6.283185307179586476925  /* not M_PI, which neither strict C11 nor MSVC defines */
    """
    const double TWO_PI "FP_TWO_PI"

from fastprop._core._capi cimport (
    fp_category_double, fp_category_float, fp_embed_backward, fp_embed_forward, fp_embed_gradient,
    fp_periodic_backward, fp_periodic_forward, fp_periodic_gradient, fp_piecewise_backward, fp_piecewise_forward,
    fp_piecewise_product, fp_piecewise_product_gradient,
    fp_select_backward, fp_select_forward,
)


cdef void select_forward(
    real *a, const real *x, const int64_t *columns, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride,
    ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(n):
            a[i * a_stride + j] = x[i * x_stride + columns[j]]


cdef void select_backward(
    real *dx, const real *da, const int64_t *columns, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride,
    ptrdiff_t da_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(n):
            dx[i * dx_stride + columns[j]] = 0
        for j in range(n):
            dx[i * dx_stride + columns[j]] += da[i * da_stride + j]


cdef inline ptrdiff_t category(const real *x, int64_t n) noexcept nogil:
    """The category that x holds, or -1 if it is not in [0, n)."""
    if real is float:
        return fp_category_float(x, n)
    else:
        return fp_category_double(x, n)


cdef void embed_forward(
    real *a, const real *x, const real *tables, const int64_t *categories, const int64_t *width,
    ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t a_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j, c, index, at = 0
    for c in range(n_in):
        if categories[c] == 0:
            for i in range(rows):
                a[i * a_stride + at] = x[i * x_stride + c]
            at += 1
    for c in range(n_in):
        if categories[c] > 0:
            for i in range(rows):
                index = category(x + i * x_stride + c, categories[c])
                for j in range(width[c]):
                    a[i * a_stride + at + j] = tables[index * width[c] + j] if index >= 0 else <real>NAN
            at += width[c]
            tables += categories[c] * width[c]


cdef void embed_gradient(
    real *dtables, const real *da, const real *x, const int64_t *categories, const int64_t *width,
    ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_tables, ptrdiff_t da_stride, ptrdiff_t x_stride, int accumulate,
) noexcept nogil:
    cdef ptrdiff_t i, j, c, index, at = 0
    if not accumulate:
        for j in range(n_tables):
            dtables[j] = 0
    for c in range(n_in):
        if categories[c] == 0:
            at += 1
    for c in range(n_in):
        if categories[c] > 0:
            for i in range(rows):
                index = category(x + i * x_stride + c, categories[c])
                if index >= 0:
                    for j in range(width[c]):
                        dtables[index * width[c] + j] += da[i * da_stride + at + j]
            at += width[c]
            dtables += categories[c] * width[c]


cdef void embed_backward(
    real *dx, const real *da, const int64_t *categories, ptrdiff_t rows, ptrdiff_t n_in,
    ptrdiff_t dx_stride, ptrdiff_t da_stride,
) noexcept nogil:
    cdef ptrdiff_t i, c, at = 0
    for c in range(n_in):
        for i in range(rows):
            dx[i * dx_stride + c] = da[i * da_stride + at] if categories[c] == 0 else 0
        if categories[c] == 0:
            at += 1


cdef void piecewise_forward(
    real *a, const real *x, const real *edges, const int64_t *bins, ptrdiff_t rows, ptrdiff_t n_in,
    ptrdiff_t a_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, t, c, at = 0
    cdef real share
    for c in range(n_in):
        for i in range(rows):
            for t in range(bins[c]):
                share = (x[i * x_stride + c] - edges[t]) / (edges[t + 1] - edges[t])
                if share < 0 and t > 0:
                    share = 0
                if share > 1 and t < bins[c] - 1:
                    share = 1
                a[i * a_stride + at + t] = share
        at += bins[c]
        edges += bins[c] + 1


cdef inline ptrdiff_t bin_of(real x, const real *edges, ptrdiff_t bins) noexcept nogil:
    """The bin that contains x: e_t <= x < e_t+1, where the first bin has no lower and the last no upper edge."""
    cdef ptrdiff_t t = 0
    while t < bins - 1 and x >= edges[t + 1]:
        t += 1
    return t


cdef void piecewise_backward(
    real *dx, const real *da, const real *x, const real *edges, const int64_t *bins, ptrdiff_t rows, ptrdiff_t n_in,
    ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, t, c, at = 0
    for c in range(n_in):
        for i in range(rows):
            t = bin_of(x[i * x_stride + c], edges, bins[c])
            dx[i * dx_stride + c] = da[i * da_stride + at + t] / (edges[t + 1] - edges[t])
        at += bins[c]
        edges += bins[c] + 1


cdef void piecewise_product(
    real *a, const real *x, const real *edges, const real *w, ptrdiff_t rows, ptrdiff_t bins, ptrdiff_t n_out,
    ptrdiff_t a_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, j, s, t
    cdef real share
    for i in range(rows):
        t = bin_of(x[i * x_stride], edges, bins)
        share = (x[i * x_stride] - edges[t]) / (edges[t + 1] - edges[t])
        for j in range(n_out):
            for s in range(t):
                a[i * a_stride + j] += w[s * n_out + j]
            a[i * a_stride + j] += share * w[t * n_out + j]


cdef void piecewise_product_gradient(
    real *dw, real *sums, const real *x, const real *dz, const real *edges, ptrdiff_t rows, ptrdiff_t bins,
    ptrdiff_t n_out, ptrdiff_t x_stride, ptrdiff_t dz_stride, int accumulate, int last,
) noexcept nogil:
    cdef ptrdiff_t i, j, t
    cdef real share, above
    if not accumulate:
        for j in range(bins * n_out):
            dw[j] = sums[j] = 0
    for i in range(rows):
        t = bin_of(x[i * x_stride], edges, bins)
        share = (x[i * x_stride] - edges[t]) / (edges[t + 1] - edges[t])
        for j in range(n_out):
            dw[t * n_out + j] += share * dz[i * dz_stride + j]
            sums[t * n_out + j] += dz[i * dz_stride + j]
    if last:
        for j in range(n_out):
            above = 0
            for t in range(bins - 1, -1, -1):
                dw[t * n_out + j] += above
                above += sums[t * n_out + j]


cdef inline double fraction_of_turn(double f, double x) noexcept nogil:
    """f x minus the nearest integer, without rounding of the product."""
    cdef double turns = round(f * x), rest = fma(f, x, -turns)
    if abs(turns) > 2.0**106:  # a product of two numbers, of 53 bits each, is an integer from here on
        return f * 0 + x * 0  # NaN where one of them is infinite
    return rest - round(rest)  # rest may exceed a turn if f x is too large for digits after the point


cdef void periodic_forward(
    real *a, const real *x, const real *frequency, ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_frequencies,
    ptrdiff_t a_stride, ptrdiff_t x_stride,
) noexcept nogil:
    cdef ptrdiff_t i, k, c
    cdef double turns
    for i in range(rows):
        for c in range(n_in):
            for k in range(n_frequencies):
                turns = fraction_of_turn(<double>frequency[c * n_frequencies + k], <double>x[i * x_stride + c])
                a[i * a_stride + 2 * c * n_frequencies + k] = <real>cos(TWO_PI * turns)
                a[i * a_stride + (2 * c + 1) * n_frequencies + k] = <real>sin(TWO_PI * turns)


cdef inline real periodic_slope(const real *da, const real *a, ptrdiff_t n) noexcept nogil:
    """cos * dsin - sin * dcos; a and da point to the cosine, and the sine is n elements further on."""
    return a[0] * da[n] - a[n] * da[0]


cdef void periodic_backward(
    real *dx, const real *da, const real *a, const real *frequency, ptrdiff_t rows, ptrdiff_t n_in,
    ptrdiff_t n_frequencies, ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t a_stride,
) noexcept nogil:
    cdef ptrdiff_t i, k, c, at
    cdef double total
    for i in range(rows):
        for c in range(n_in):
            total = 0
            for k in range(n_frequencies):
                at = 2 * c * n_frequencies + k
                total += frequency[c * n_frequencies + k] * periodic_slope(
                    da + i * da_stride + at, a + i * a_stride + at, n_frequencies)
            dx[i * dx_stride + c] = <real>(TWO_PI * total)


cdef void periodic_gradient(
    real *dfrequency, const real *da, const real *a, const real *x, ptrdiff_t rows, ptrdiff_t n_in,
    ptrdiff_t n_frequencies, ptrdiff_t da_stride, ptrdiff_t a_stride, ptrdiff_t x_stride, int accumulate,
) noexcept nogil:
    cdef ptrdiff_t i, k, c, at
    if not accumulate:
        for k in range(n_in * n_frequencies):
            dfrequency[k] = 0
    for i in range(rows):
        for c in range(n_in):
            for k in range(n_frequencies):
                at = 2 * c * n_frequencies + k
                dfrequency[c * n_frequencies + k] += x[i * x_stride + c] * (<real>TWO_PI * periodic_slope(
                    da + i * da_stride + at, a + i * a_stride + at, n_frequencies))


cdef int fill_inputs(fp_kernels *table, real *dtype) except -1:
    """Enter the kernels of this file into a table; see `fill`."""
    table.select_forward = <fp_select_forward *>select_forward[real]
    table.select_backward = <fp_select_backward *>select_backward[real]
    table.embed_forward = <fp_embed_forward *>embed_forward[real]
    table.embed_gradient = <fp_embed_gradient *>embed_gradient[real]
    table.embed_backward = <fp_embed_backward *>embed_backward[real]
    table.piecewise_forward = <fp_piecewise_forward *>piecewise_forward[real]
    table.piecewise_backward = <fp_piecewise_backward *>piecewise_backward[real]
    table.piecewise_product = <fp_piecewise_product *>piecewise_product[real]
    table.piecewise_product_gradient = <fp_piecewise_product_gradient *>piecewise_product_gradient[real]
    table.periodic_forward = <fp_periodic_forward *>periodic_forward[real]
    table.periodic_backward = <fp_periodic_backward *>periodic_backward[real]
    table.periodic_gradient = <fp_periodic_gradient *>periodic_gradient[real]
    return 0
