/* Activations that keep their output: a = g(z), and beside it da g'(z) in terms of a. Those that keep their slope are in
 * activation_smooth.h. */

/* An activation's numbers, in every lane; those that its formula does not name cost nothing. */
typedef struct {
    V(t) first, second;
} FP(numbers);

FP_INLINE FP(numbers) FP(numbers_of)(const double *hyper)
{
    FP(numbers) h = {V(set1)(hyper ? (T)hyper[0] : 0), V(set1)(hyper ? (T)hyper[1] : 0)};
    return h;
}

/* a[i] = g(a[i]), where g is NAME_a below */
FP_INLINE void FP(map)(T *a, T *kept, I n, const double *hyper, V(t) (*g)(V(t), FP(numbers)))
{
    FP(numbers) h = FP(numbers_of)(hyper);
    I j = 0;
    (void)kept;
    if (n == 1) {
        a[0] = FP(first)(g(V(set1)(a[0]), h));
        return;
    }
    for (; j + L <= n; j += L)
        V(store)(a + j, g(V(load)(a + j), h));
    if (j < n)
        V(store_n)(a + j, g(V(load_n)(a + j, n - j), h), n - j);
}

/* dz[i] = back(dz[i], kept[i]), where back is NAME_dz below */
FP_INLINE void FP(map_backward)(T *dz, const T *kept, I n, const double *hyper, V(t) (*back)(V(t), V(t), FP(numbers)))
{
    FP(numbers) h = FP(numbers_of)(hyper);
    I j = 0;
    if (n == 1) {
        dz[0] = FP(first)(back(V(set1)(dz[0]), V(set1)(kept[0]), h));
        return;
    }
    for (; j + L <= n; j += L)
        V(store)(dz + j, back(V(load)(dz + j), V(load)(kept + j), h));
    if (j < n)
        V(store_n)(dz + j, back(V(load_n)(dz + j, n - j), V(load_n)(kept + j, n - j), h), n - j);
}

static void FP(identity_forward) FP_FORWARD_ARGS { (void)a, (void)kept, (void)n, (void)hyper; }
static void FP(identity_backward) FP_BACKWARD_ARGS { (void)dz, (void)kept, (void)n, (void)hyper; }

/* max(z, 0), in this order of operands so that NaN stays NaN; g' = 1 where a > 0 and 0 at z = 0 */
FP_INLINE V(t) FP(relu_a)(V(t) z, FP(numbers) h) { return (void)h, V(max)(V(set1)(0), z); }
FP_INLINE V(t) FP(relu_dz)(V(t) da, V(t) a, FP(numbers) h) { return (void)h, V(keep)(V(gt)(a, V(set1)(0)), da); }
static void FP(relu_forward) FP_FORWARD_ARGS { FP(map)(a, kept, n, hyper, FP(relu_a)); }
static void FP(relu_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, kept, n, hyper, FP(relu_dz)); }

/* z where z > 0, else slope z, which is not above 0 either: a > 0 exactly where z > 0 */
FP_INLINE V(t) FP(leaky_relu_a)(V(t) z, FP(numbers) h)
{
    return V(select)(V(gt)(z, V(set1)(0)), z, V(mul)(h.first, z));
}
FP_INLINE V(t) FP(leaky_relu_dz)(V(t) da, V(t) a, FP(numbers) h)
{
    return V(select)(V(gt)(a, V(set1)(0)), da, V(mul)(h.first, da));
}
static void FP(leaky_relu_forward) FP_FORWARD_ARGS { FP(map)(a, kept, n, hyper, FP(leaky_relu_a)); }
static void FP(leaky_relu_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, kept, n, hyper, FP(leaky_relu_dz)); }

/* g' = a (1 - a) */
FP_INLINE V(t) FP(sigmoid_a)(V(t) z, FP(numbers) h) { return (void)h, FP(sigmoid)(z); }
FP_INLINE V(t) FP(sigmoid_dz)(V(t) da, V(t) a, FP(numbers) h) { return (void)h, V(mul)(da, V(fnma)(a, a, a)); }
static void FP(sigmoid_forward) FP_FORWARD_ARGS { FP(map)(a, kept, n, hyper, FP(sigmoid_a)); }
static void FP(sigmoid_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, kept, n, hyper, FP(sigmoid_dz)); }

/* g' = 1 - a^2 */
FP_INLINE V(t) FP(tanh_a)(V(t) z, FP(numbers) h) { return (void)h, FP(tanh)(z); }
FP_INLINE V(t) FP(tanh_dz)(V(t) da, V(t) a, FP(numbers) h) { return (void)h, V(mul)(da, V(fnma)(a, a, V(set1)(1))); }
static void FP(tanh_forward) FP_FORWARD_ARGS { FP(map)(a, kept, n, hyper, FP(tanh_a)); }
static void FP(tanh_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, kept, n, hyper, FP(tanh_dz)); }
