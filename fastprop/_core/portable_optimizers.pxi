# The optimisers, and what else a step of descent may do, in plain Cython. Part of _portable.pyx.
from libc.math cimport fabs, sqrt

from fastprop._core._capi cimport (
    fp_average, fp_clip, fp_max_norm, fp_optimizer, fp_penalize, fp_shrink, fp_sum_squares,
)


# Optimisers: kernels/optimizer.h says what hyper and state hold. All but rprop begin with the weight decay, coupled
# (hyper[0], it joins the gradient) and decoupled (hyper[1], theta shrinks by itself).

cdef inline real decayed(real gradient, real theta, const double *hyper) noexcept nogil:
    return gradient + <real>hyper[0] * theta


cdef inline real saved(real theta, double rate, const double *hyper) noexcept nogil:
    return <real>(1 - rate * hyper[1]) * theta


cdef inline real fade(real *x, real new, double hold) noexcept nogil:
    """A mean that forgets: x = hold x + (1 - hold) new."""
    x[0] = <real>hold * x[0] + <real>(1 - hold) * new
    return x[0]


cdef inline real sign(real x) noexcept nogil:
    """-1, 0 or 1; NaN stays NaN."""
    return 1 if x > 0 else -1 if x < 0 else x


cdef void sgd(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g, momentum = <real>hyper[2]
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        if momentum != 0:
            state[j] = momentum * state[j] + g
            g = g + momentum * state[j] if hyper[3] != 0 else state[j]
        theta[j] = saved(theta[j], rate, hyper) - <real>rate * g


cdef void adagrad(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        state[j] += g * g
        theta[j] = saved(theta[j], rate, hyper) - <real>rate * (g / (<real>sqrt(state[j]) + <real>hyper[2]))


cdef void rmsprop(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef bint heavy = hyper[4] != 0, centered = hyper[5] != 0
    cdef real *speed = state + stride
    cdef real *mean = state + (1 + heavy) * stride
    cdef real g, s, m, step
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        s = fade(state + j, g * g, hyper[2])
        if centered:
            m = fade(mean + j, g, hyper[2])
            s = max(s - m * m, <real>0)  # a variance, which rounding may take below 0
        step = g / (<real>sqrt(s) + <real>hyper[3])
        if heavy:
            speed[j] = <real>hyper[4] * speed[j] + step
            step = speed[j]
        theta[j] = saved(theta[j], rate, hyper) - <real>rate * step


cdef void adam(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g, m, v, eta = <real>(rate * hyper[4])
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        m, v = fade(state + j, g, hyper[2]), fade(state + stride + j, g * g, hyper[3])
        theta[j] = saved(theta[j], rate, hyper) - eta * (m / (<real>sqrt(v) + <real>hyper[5]))


cdef void amsgrad(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real *most = state + 2 * stride
    cdef real g, m, v, eta = <real>(rate * hyper[4])
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        m, v = fade(state + j, g, hyper[2]), fade(state + stride + j, g * g, hyper[3])
        if not most[j] > v:
            most[j] = v
        theta[j] = saved(theta[j], rate, hyper) - eta * (m / (<real>sqrt(most[j]) + <real>hyper[5]))


cdef void adamax(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real *u = state + stride
    cdef real g, m, size, eta = <real>(rate * hyper[4])
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        m = fade(state + j, g, hyper[2])
        u[j], size = <real>hyper[3] * u[j], <real>fabs(g) + <real>hyper[5]
        if not u[j] > size:
            u[j] = size
        theta[j] = saved(theta[j], rate, hyper) - eta * (m / u[j])


cdef void nadam(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g, m, v, eta = <real>(rate * hyper[4]), ahead = <real>(rate * hyper[6])
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        m, v = fade(state + j, g, hyper[2]), fade(state + stride + j, g * g, hyper[3])
        theta[j] = saved(theta[j], rate, hyper) - (eta * g + ahead * m) / (<real>sqrt(v) + <real>hyper[5])


cdef void lion(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g, way
    for j in range(n):
        g = decayed(gradient[j], theta[j], hyper)
        way = <real>hyper[2] * state[j] + <real>(1 - hyper[2]) * g
        fade(state + j, g, hyper[3])
        theta[j] = saved(theta[j], rate, hyper) - <real>rate * sign(way)


cdef void rprop(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real *step = state + stride
    cdef real g, agree
    for j in range(n):
        g = gradient[j]
        agree = sign(g) * sign(state[j])  # signs, since the product of two small gradients may be 0
        if agree > 0:
            step[j] *= <real>hyper[1]
        elif agree < 0:
            step[j] *= <real>hyper[0]
            g = 0
        step[j] = min(<real>hyper[3], max(<real>hyper[2], step[j]))
        state[j] = g
        theta[j] -= sign(g) * step[j]


# Beside the optimiser.

cdef void penalize(real *gradient, const real *theta, ptrdiff_t n, double l1, double l2) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        gradient[j] += <real>l1 * sign(theta[j]) + <real>l2 * theta[j]


cdef void clip(real *x, ptrdiff_t n, double limit) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if x[j] > <real>limit:
            x[j] = <real>limit
        elif x[j] < <real>-limit:
            x[j] = <real>-limit


cdef void shrink(real *x, ptrdiff_t n, double factor) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        x[j] *= <real>factor


cdef void sum_squares(double *sum, const real *x, ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t j
    sum[0] = 0
    for j in range(n):
        sum[0] += x[j] * x[j]


cdef void average(real *mean, const real *theta, ptrdiff_t n, double weight) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        mean[j] += <real>weight * (theta[j] - mean[j])


cdef void max_norm(real *w, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t w_stride, double limit) noexcept nogil:
    cdef ptrdiff_t i, j
    cdef double norm
    for j in range(n_out):
        norm = 0
        for i in range(n_in):
            norm += w[i * w_stride + j] * w[i * w_stride + j]
        norm = sqrt(norm)
        if norm > limit:
            for i in range(n_in):
                w[i * w_stride + j] *= <real>(limit / norm)


cdef int fill_descent(fp_kernels *table, real *dtype) except -1:
    """Its part of `fill`."""
    table.penalize = <fp_penalize *>penalize[real]
    table.clip = <fp_clip *>clip[real]
    table.shrink = <fp_shrink *>shrink[real]
    table.sum_squares = <fp_sum_squares *>sum_squares[real]
    table.average = <fp_average *>average[real]
    table.max_norm = <fp_max_norm *>max_norm[real]
    table.optimizer[number_of(optimizer_names, b"sgd")] = <fp_optimizer *>sgd[real]
    table.optimizer[number_of(optimizer_names, b"adagrad")] = <fp_optimizer *>adagrad[real]
    table.optimizer[number_of(optimizer_names, b"rmsprop")] = <fp_optimizer *>rmsprop[real]
    table.optimizer[number_of(optimizer_names, b"adam")] = <fp_optimizer *>adam[real]
    table.optimizer[number_of(optimizer_names, b"amsgrad")] = <fp_optimizer *>amsgrad[real]
    table.optimizer[number_of(optimizer_names, b"adamax")] = <fp_optimizer *>adamax[real]
    table.optimizer[number_of(optimizer_names, b"nadam")] = <fp_optimizer *>nadam[real]
    table.optimizer[number_of(optimizer_names, b"lion")] = <fp_optimizer *>lion[real]
    table.optimizer[number_of(optimizer_names, b"rprop")] = <fp_optimizer *>rprop[real]
    return 0
