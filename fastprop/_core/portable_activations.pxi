# The activations: a = g(a) forward, and dz = dz * g'(z) backward from what forward saved. Part of _portable.pyx.

# With these, selu keeps a mean of 0 and a variance of 1 from layer to layer (Klambauer et al. 2017, appendix).
cdef double SELU_LAMBDA = 1.0507009873554805, SELU_ALPHA = 1.6732632423543772
cdef double SQRT_HALF = 0.7071067811865476, SQRT_2_OVER_PI = 0.7978845608028654
cdef double DENSITY_0 = 0.3989422804014327  # the density of the normal distribution at 0: 1 / sqrt(2 pi)


cdef inline real clamp(real z, real low, real high) noexcept nogil:
    """z limited to [low, high]; NaN stays NaN."""
    return low if z < low else high if z > high else z


cdef inline real between(real dz, real a, real low, real high) noexcept nogil:
    """dz if low < a < high, else 0."""
    return dz if low < a < high else 0


# Activations that save their output, since the slope g'(z) is a function of it.

cdef void identity_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    pass


cdef void identity_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    pass


cdef void relu_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if a[j] <= 0:  # NaN stays NaN
            a[j] = 0


cdef void relu_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not saved[j] > 0:
            dz[j] = 0


cdef void leaky_relu_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not a[j] > 0:
            a[j] *= <real>hyper[0]


cdef void leaky_relu_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not saved[j] > 0:
            dz[j] *= <real>hyper[0]


cdef void elu_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not a[j] > 0:
            a[j] = <real>(hyper[0] * expm1(<double>a[j]))


cdef void elu_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not saved[j] > 0:
            dz[j] *= saved[j] + <real>hyper[0]


cdef void selu_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = <real>(SELU_LAMBDA * (a[j] if a[j] > 0 else SELU_ALPHA * expm1(<double>a[j])))


cdef void selu_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= <real>(SELU_LAMBDA if saved[j] > 0 else saved[j] + SELU_LAMBDA * SELU_ALPHA)


cdef void celu_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not a[j] > 0:
            a[j] = <real>(hyper[0] * expm1(a[j] / hyper[0]))


cdef void celu_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not saved[j] > 0:
            dz[j] *= <real>(saved[j] / hyper[0] + 1)


cdef void softsign_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = a[j] / (1 + abs(a[j]))


cdef void softsign_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= (1 - abs(saved[j])) * (1 - abs(saved[j]))


cdef void sigmoid_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = <real>(1 / (1 + exp(-<double>a[j])))


cdef void sigmoid_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= saved[j] * (1 - saved[j])


cdef void hard_sigmoid_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = clamp(<real>((a[j] + 3) / 6.0), 0, 1)


cdef void hard_sigmoid_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] = between(<real>(dz[j] / 6.0), saved[j], 0, 1)


cdef void tanh_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = <real>tanh(<double>a[j])


cdef void tanh_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= 1 - saved[j] * saved[j]


cdef void hard_tanh_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = clamp(a[j], <real>hyper[0], <real>hyper[1])


cdef void hard_tanh_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] = between(dz[j], saved[j], <real>hyper[0], <real>hyper[1])


cdef void relu6_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = clamp(a[j], 0, 6)


cdef void relu6_backward(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] = between(dz[j], saved[j], 0, 6)


# Activations that save the slope g'(z).

cdef void times_saved(real *dz, const real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= saved[j]


cdef void gelu_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z, part
    for j in range(n):
        z = a[j]
        part = 0.5 * erfc(-SQRT_HALF * z)
        a[j] = <real>(z * part)
        if saved != NULL:
            saved[j] = <real>(part + z * exp(-0.5 * z * z) * DENSITY_0)


cdef void gelu_tanh_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z, v, s
    for j in range(n):
        z = a[j]
        v = 2 * SQRT_2_OVER_PI * (z + 0.044715 * z * z * z)
        s = 1 / (1 + exp(-v))
        a[j] = <real>(z * s)
        z = clamp(z, -100, 100)  # beyond that g' is 0 or 1, and z * z could overflow
        if saved != NULL:
            saved[j] = <real>(s + z * s / (1 + exp(v)) * 2 * SQRT_2_OVER_PI * (1 + 3 * 0.044715 * z * z))


cdef void silu_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z, s
    for j in range(n):
        z = a[j]
        s = 1 / (1 + exp(-z))
        a[j] = <real>(z * s)
        if saved != NULL:
            saved[j] = <real>(s + z * s / (1 + exp(z)))


cdef void mish_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z, t
    for j in range(n):
        z = a[j]
        t = tanh(log1p(exp(z)))
        a[j] = <real>(z * t)
        if saved != NULL:
            saved[j] = <real>(t + z * (1 - t * t) / (1 + exp(-z)))


cdef void softplus_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z, x
    for j in range(n):
        z = a[j]
        x = hyper[0] * z
        a[j] = <real>(max(z, 0.0) + log1p(exp(-abs(x))) / hyper[0])
        if saved != NULL:
            saved[j] = <real>(1 / (1 + exp(-x)))


cdef void hard_swish_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z
    for j in range(n):
        z = a[j]
        a[j] = <real>(z * clamp((z + 3) / 6, 0, 1))
        if saved != NULL:
            saved[j] = <real>(0 if z <= -3 else 1 if z >= 3 else z / 3 + 0.5)


cdef void log_sigmoid_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z
    for j in range(n):
        z = a[j]
        a[j] = <real>(min(z, 0.0) - log1p(exp(-abs(z))))
        if saved != NULL:
            saved[j] = <real>(1 / (1 + exp(z)))


cdef void gaussian_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z, value
    for j in range(n):
        z = a[j]
        value = exp(-z * z)
        a[j] = <real>(value)
        if saved != NULL:
            saved[j] = <real>(-2 * (z * value))  # 2 z may overflow


cdef void sin_forward(real *a, real *saved, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef real omega = <real>hyper[0]
    cdef double z
    for j in range(n):
        z = <double>omega * a[j]
        if isinf(z) and not isinf(<double>a[j]):
            z = copysign(DBL_MAX, z)
        a[j] = <real>sin(z)
        if saved != NULL:
            saved[j] = omega * <real>cos(z)


ctypedef fp_activation_forward *Forward
ctypedef fp_activation_backward *Backward


cdef int add_activation(fp_kernels *table, const char *name, Forward forward, Backward backward) except -1:
    cdef int number = number_of(activation_names, name)
    table.forward[number], table.backward[number] = forward, backward
    return 0


cdef int fill_activations(fp_kernels *table, real *dtype) except -1:
    """Enter the kernels of this file into a table; see `fill`."""
    add_activation(table, b"identity", <Forward>identity_forward[real], <Backward>identity_backward[real])
    add_activation(table, b"relu", <Forward>relu_forward[real], <Backward>relu_backward[real])
    add_activation(table, b"leaky_relu", <Forward>leaky_relu_forward[real], <Backward>leaky_relu_backward[real])
    add_activation(table, b"elu", <Forward>elu_forward[real], <Backward>elu_backward[real])
    add_activation(table, b"selu", <Forward>selu_forward[real], <Backward>selu_backward[real])
    add_activation(table, b"celu", <Forward>celu_forward[real], <Backward>celu_backward[real])
    add_activation(table, b"gelu", <Forward>gelu_forward[real], <Backward>times_saved[real])
    add_activation(table, b"gelu_tanh", <Forward>gelu_tanh_forward[real], <Backward>times_saved[real])
    add_activation(table, b"silu", <Forward>silu_forward[real], <Backward>times_saved[real])
    add_activation(table, b"mish", <Forward>mish_forward[real], <Backward>times_saved[real])
    add_activation(table, b"softplus", <Forward>softplus_forward[real], <Backward>times_saved[real])
    add_activation(table, b"softsign", <Forward>softsign_forward[real], <Backward>softsign_backward[real])
    add_activation(table, b"sigmoid", <Forward>sigmoid_forward[real], <Backward>sigmoid_backward[real])
    add_activation(table, b"hard_sigmoid", <Forward>hard_sigmoid_forward[real], <Backward>hard_sigmoid_backward[real])
    add_activation(table, b"tanh", <Forward>tanh_forward[real], <Backward>tanh_backward[real])
    add_activation(table, b"hard_tanh", <Forward>hard_tanh_forward[real], <Backward>hard_tanh_backward[real])
    add_activation(table, b"relu6", <Forward>relu6_forward[real], <Backward>relu6_backward[real])
    add_activation(table, b"hard_swish", <Forward>hard_swish_forward[real], <Backward>times_saved[real])
    add_activation(table, b"log_sigmoid", <Forward>log_sigmoid_forward[real], <Backward>times_saved[real])
    add_activation(table, b"gaussian", <Forward>gaussian_forward[real], <Backward>times_saved[real])
    add_activation(table, b"sin", <Forward>sin_forward[real], <Backward>times_saved[real])
    return 0
