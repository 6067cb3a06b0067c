# The optimisers, and the other kernels of an update: penalties, clipping, norms, averages. Part of _portable.pyx.
from libc.math cimport fabs, sqrt

from fastprop._core._capi cimport (
    fp_average, fp_clip, fp_max_norm, fp_optimizer, fp_penalize, fp_shrink, fp_sum_squares,
)


# kernels/optimizer.h states what hyper and state contain. All optimisers but rprop begin with the weight decay, either
# coupled (hyper[0]: it is added to the gradient) or decoupled (hyper[1]: theta is multiplied by a factor).

cdef inline real penalized(real gradient, real theta, const double *hyper) noexcept nogil:
    """The gradient with coupled weight decay."""
    return gradient + <real>hyper[0] * theta


cdef inline real decayed(real theta, double rate, const double *hyper) noexcept nogil:
    """theta after decoupled weight decay."""
    return <real>(1 - rate * hyper[1]) * theta


cdef inline real moving_average(real *x, real new, double decay) noexcept nogil:
    """Update a moving average: x = decay x + (1 - decay) new."""
    x[0] = <real>decay * x[0] + <real>(1 - decay) * new
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
        g = penalized(gradient[j], theta[j], hyper)
        if momentum != 0:
            state[j] = momentum * state[j] + g
            g = g + momentum * state[j] if hyper[3] != 0 else state[j]
        theta[j] = decayed(theta[j], rate, hyper) - <real>rate * g


cdef void adagrad(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g
    for j in range(n):
        g = penalized(gradient[j], theta[j], hyper)
        state[j] += g * g
        theta[j] = decayed(theta[j], rate, hyper) - <real>rate * (g / (<real>sqrt(state[j]) + <real>hyper[2]))


cdef void rmsprop(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef bint has_momentum = hyper[4] != 0, centered = hyper[5] != 0
    cdef real *velocity = state + stride
    cdef real *mean = state + (1 + has_momentum) * stride
    cdef real g, s, m, step
    for j in range(n):
        g = penalized(gradient[j], theta[j], hyper)
        s = moving_average(state + j, g * g, hyper[2])
        if centered:
            m = moving_average(mean + j, g, hyper[2])
            s = max(s - m * m, <real>0)  # a variance, which rounding may take below 0
        step = g / (<real>sqrt(s) + <real>hyper[3])
        if has_momentum:
            velocity[j] = <real>hyper[4] * velocity[j] + step
            step = velocity[j]
        theta[j] = decayed(theta[j], rate, hyper) - <real>rate * step


cdef void adam(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g, m, v, eta = <real>(rate * hyper[4])
    for j in range(n):
        g = penalized(gradient[j], theta[j], hyper)
        m, v = moving_average(state + j, g, hyper[2]), moving_average(state + stride + j, g * g, hyper[3])
        theta[j] = decayed(theta[j], rate, hyper) - eta * (m / (<real>sqrt(v) + <real>hyper[5]))


cdef void amsgrad(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real *largest = state + 2 * stride
    cdef real g, m, v, eta = <real>(rate * hyper[4])
    for j in range(n):
        g = penalized(gradient[j], theta[j], hyper)
        m, v = moving_average(state + j, g, hyper[2]), moving_average(state + stride + j, g * g, hyper[3])
        if not largest[j] > v:
            largest[j] = v
        theta[j] = decayed(theta[j], rate, hyper) - eta * (m / (<real>sqrt(largest[j]) + <real>hyper[5]))


cdef void adamax(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real *u = state + stride
    cdef real g, m, size, eta = <real>(rate * hyper[4])
    for j in range(n):
        g = penalized(gradient[j], theta[j], hyper)
        m = moving_average(state + j, g, hyper[2])
        u[j], size = <real>hyper[3] * u[j], <real>fabs(g) + <real>hyper[5]
        if not u[j] > size:
            u[j] = size
        theta[j] = decayed(theta[j], rate, hyper) - eta * (m / u[j])


cdef void nadam(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g, m, v, eta = <real>(rate * hyper[4]), eta_momentum = <real>(rate * hyper[6])
    for j in range(n):
        g = penalized(gradient[j], theta[j], hyper)
        m, v = moving_average(state + j, g, hyper[2]), moving_average(state + stride + j, g * g, hyper[3])
        theta[j] = decayed(theta[j], rate, hyper) - (eta * g + eta_momentum * m) / (<real>sqrt(v) + <real>hyper[5])


cdef void lion(
    real *theta, real *state, const real *gradient, ptrdiff_t n, ptrdiff_t stride, double rate, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t j
    cdef real g, direction
    for j in range(n):
        g = penalized(gradient[j], theta[j], hyper)
        direction = <real>hyper[2] * state[j] + <real>(1 - hyper[2]) * g
        moving_average(state + j, g, hyper[3])
        theta[j] = decayed(theta[j], rate, hyper) - <real>rate * sign(direction)


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


# The other kernels of an update.

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


cdef int fill_optimizers(fp_kernels *table, real *dtype) except -1:
    """Enter the kernels of this file into a table; see `fill`."""
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
