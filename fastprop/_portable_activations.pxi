# Activations: a = g(a) forward; dz = dz g'(z) backward, from what the forward pass kept. Part of _portable.pyx.

cdef void identity_forward(real *a, real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    pass


cdef void identity_backward(real *dz, const real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    pass


cdef void relu_forward(real *a, real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if a[j] <= 0:  # NaN stays NaN
            a[j] = 0


cdef void relu_backward(real *dz, const real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not kept[j] > 0:
            dz[j] = 0


cdef void sigmoid_forward(real *a, real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = <real>(1 / (1 + exp(-<double>a[j])))


cdef void sigmoid_backward(real *dz, const real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= kept[j] * (1 - kept[j])


cdef void tanh_forward(real *a, real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        a[j] = <real>tanh(<double>a[j])


cdef void tanh_backward(real *dz, const real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= 1 - kept[j] * kept[j]


cdef void leaky_relu_forward(real *a, real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not a[j] > 0:
            a[j] *= <real>hyper[0]


cdef void leaky_relu_backward(real *dz, const real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        if not kept[j] > 0:
            dz[j] *= <real>hyper[0]


# Those that keep their slope.

cdef void times_kept(real *dz, const real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(n):
        dz[j] *= kept[j]


cdef void sin_forward(real *a, real *kept, ptrdiff_t n, const double *hyper) noexcept nogil:
    cdef ptrdiff_t j
    cdef double z
    for j in range(n):
        z = hyper[0] * a[j]
        a[j] = <real>sin(z)
        if kept != NULL:
            kept[j] = <real>(hyper[0] * cos(z))


cdef void fill_activations(fp_kernels *table, real *dtype) noexcept:
    """Puts the activations of one dtype into its table."""
    table.forward[FP_ACTIVATION_identity] = <fp_activation_forward *>identity_forward[real]
    table.forward[FP_ACTIVATION_relu] = <fp_activation_forward *>relu_forward[real]
    table.forward[FP_ACTIVATION_leaky_relu] = <fp_activation_forward *>leaky_relu_forward[real]
    table.forward[FP_ACTIVATION_sigmoid] = <fp_activation_forward *>sigmoid_forward[real]
    table.forward[FP_ACTIVATION_tanh] = <fp_activation_forward *>tanh_forward[real]
    table.forward[FP_ACTIVATION_sin] = <fp_activation_forward *>sin_forward[real]
    table.backward[FP_ACTIVATION_identity] = <fp_activation_backward *>identity_backward[real]
    table.backward[FP_ACTIVATION_relu] = <fp_activation_backward *>relu_backward[real]
    table.backward[FP_ACTIVATION_leaky_relu] = <fp_activation_backward *>leaky_relu_backward[real]
    table.backward[FP_ACTIVATION_sigmoid] = <fp_activation_backward *>sigmoid_backward[real]
    table.backward[FP_ACTIVATION_tanh] = <fp_activation_backward *>tanh_backward[real]
    table.backward[FP_ACTIVATION_sin] = <fp_activation_backward *>times_kept[real]
