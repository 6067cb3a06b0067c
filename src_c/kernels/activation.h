/* Activations: g forward, and beside it dz = dz g'(z) written with what the forward pass kept. */

/* a[i] = g(a[i]) */
FP_INLINE void FP(map)(T *a, I n, V(t) (*g)(V(t)))
{
    I j = 0;
    if (n == 1) {
        a[0] = FP(first)(g(V(set1)(a[0])));
        return;
    }
    for (; j + L <= n; j += L)
        V(store)(a + j, g(V(load)(a + j)));
    if (j < n)
        V(store_n)(a + j, g(V(load_n)(a + j, n - j)), n - j);
}

/* dz[i] = times_slope(dz[i], kept[i]) */
FP_INLINE void FP(map_backward)(T *dz, const T *kept, I n, V(t) (*times_slope)(V(t), V(t)))
{
    I j = 0;
    if (n == 1) {
        dz[0] = FP(first)(times_slope(V(set1)(dz[0]), V(set1)(kept[0])));
        return;
    }
    for (; j + L <= n; j += L)
        V(store)(dz + j, times_slope(V(load)(dz + j), V(load)(kept + j)));
    if (j < n)
        V(store_n)(dz + j, times_slope(V(load_n)(dz + j, n - j), V(load_n)(kept + j, n - j)), n - j);
}

/* The two kernels of an activation that keeps its output and has no numbers: g, and dz g'(z) in terms of a. */
#define FP_KEEPS_OUTPUT_KERNELS(name)                                                   \
    static void FP(name##_forward)(T *a, T *kept, I n, const double *hyper)             \
    {                                                                                   \
        (void)kept, (void)hyper;                                                        \
        FP(map)(a, n, FP(name));                                                        \
    }                                                                                   \
    static void FP(name##_backward)(T *dz, const T *kept, I n, const double *hyper)     \
    {                                                                                   \
        (void)hyper;                                                                    \
        FP(map_backward)(dz, kept, n, FP(name##_times_slope));                          \
    }

static void FP(identity_forward)(T *a, T *kept, I n, const double *hyper)
{
    (void)a, (void)kept, (void)n, (void)hyper;
}

static void FP(identity_backward)(T *dz, const T *kept, I n, const double *hyper)
{
    (void)dz, (void)kept, (void)n, (void)hyper;
}

/* max(z, 0), in this order of operands so that NaN stays NaN; g' = 1 where a > 0 and 0 at z = 0 */
FP_INLINE V(t) FP(relu)(V(t) z) { return V(max)(V(set1)(0), z); }
FP_INLINE V(t) FP(relu_times_slope)(V(t) dz, V(t) a) { return V(keep)(V(gt)(a, V(set1)(0)), dz); }
FP_KEEPS_OUTPUT_KERNELS(relu)

/* g' = a (1 - a) */
FP_INLINE V(t) FP(sigmoid_times_slope)(V(t) dz, V(t) a) { return V(mul)(dz, V(fnma)(a, a, a)); }
FP_KEEPS_OUTPUT_KERNELS(sigmoid)

/* g' = 1 - a^2 */
FP_INLINE V(t) FP(tanh_times_slope)(V(t) dz, V(t) a) { return V(mul)(dz, V(fnma)(a, a, V(set1)(1))); }
FP_KEEPS_OUTPUT_KERNELS(tanh)
#undef FP_KEEPS_OUTPUT_KERNELS
