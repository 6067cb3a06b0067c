/* Activations whose backward pass needs their output a = g(z) only: g(z), and da g'(z) in terms of a. Those that save
 * their slope are in activation_smooth.h. */

/* The hyperparameters of an activation, each in every lane; the compiler drops those that a formula does not use. */
typedef struct {
    V(t) first, second, inverse; /* inverse: 1 / first */
} FP(params);

FP_INLINE FP(params) FP(load_params)(const double *hyper)
{
    FP(params) h = {V(set1)(hyper ? (T)hyper[0] : 0), V(set1)(hyper ? (T)hyper[1] : 0), V(set1)(0)};
    h.inverse = V(div)(V(set1)(1), h.first);
    return h;
}

/* a[i] = g(a[i]), where g is NAME_a of an activation below */
FP_INLINE void FP(map)(T *a, T *saved, I n, const double *hyper, V(t) (*g)(V(t), FP(params)))
{
    FP(params) h = FP(load_params)(hyper);
    I j = 0;
    (void)saved;
    if (n == 1) {
        a[0] = FP(first_lane)(g(V(set1)(a[0]), h));
        return;
    }
    for (; j + L <= n; j += L)
        V(store)(a + j, g(V(load)(a + j), h));
    if (j < n)
        V(store_n)(a + j, g(V(load_n)(a + j, n - j), h), n - j);
}

/* dz[i] = dg(dz[i], saved[i]), where dg is NAME_dz of an activation below */
FP_INLINE void FP(map_backward)(T *dz, const T *saved, I n, const double *hyper, V(t) (*dg)(V(t), V(t), FP(params)))
{
    FP(params) h = FP(load_params)(hyper);
    I j = 0;
    if (n == 1) {
        dz[0] = FP(first_lane)(dg(V(set1)(dz[0]), V(set1)(saved[0]), h));
        return;
    }
    for (; j + L <= n; j += L)
        V(store)(dz + j, dg(V(load)(dz + j), V(load)(saved + j), h));
    if (j < n)
        V(store_n)(dz + j, dg(V(load_n)(dz + j, n - j), V(load_n)(saved + j, n - j), h), n - j);
}

static void FP(identity_forward) FP_FORWARD_ARGS { (void)a, (void)saved, (void)n, (void)hyper; }
static void FP(identity_backward) FP_BACKWARD_ARGS { (void)dz, (void)saved, (void)n, (void)hyper; }

/* max(z, 0), with the operands in this order so that NaN stays NaN; g' = 1 where a > 0, and 0 at z = 0 */
FP_INLINE V(t) FP(relu_a)(V(t) z, FP(params) h) { return (void)h, V(max)(V(set1)(0), z); }
FP_INLINE V(t) FP(relu_dz)(V(t) da, V(t) a, FP(params) h) { return (void)h, V(keep)(V(gt)(a, V(set1)(0)), da); }
static void FP(relu_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(relu_a)); }
static void FP(relu_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(relu_dz)); }

/* z where z > 0, else slope z, which is not above 0 either, so that a > 0 exactly where z > 0 */
FP_INLINE V(t) FP(leaky_relu_a)(V(t) z, FP(params) h) { return V(select)(V(gt)(z, V(set1)(0)), z, V(mul)(h.first, z)); }
FP_INLINE V(t) FP(leaky_relu_dz)(V(t) da, V(t) a, FP(params) h)
{
    return V(select)(V(gt)(a, V(set1)(0)), da, V(mul)(h.first, da));
}
static void FP(leaky_relu_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(leaky_relu_a)); }
static void FP(leaky_relu_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(leaky_relu_dz)); }

/* z where z > 0, else alpha (e^z - 1); g' = 1, else a + alpha */
FP_INLINE V(t) FP(elu_a)(V(t) z, FP(params) h)
{
    return V(select)(V(gt)(z, V(set1)(0)), z, V(mul)(h.first, FP(expm1)(V(max)(V(set1)(-2 * FP_TANH_MAX), z))));
}
FP_INLINE V(t) FP(elu_dz)(V(t) da, V(t) a, FP(params) h)
{
    return V(select)(V(gt)(a, V(set1)(0)), da, V(mul)(da, V(add)(a, h.first)));
}
static void FP(elu_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(elu_a)); }
static void FP(elu_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(elu_dz)); }

/* lambda elu(z), with the lambda and alpha that preserve mean 0 and variance 1 from layer to layer (Klambauer et al.
 * 2017) */
#define FP_SELU_LAMBDA ((T)1.0507009873554805)
#define FP_SELU_ALPHA ((T)1.6732632423543772)
FP_INLINE V(t) FP(selu_a)(V(t) z, FP(params) h)
{
    h.first = V(set1)(FP_SELU_ALPHA);
    return V(mul)(V(set1)(FP_SELU_LAMBDA), FP(elu_a)(z, h));
}
FP_INLINE V(t) FP(selu_dz)(V(t) da, V(t) a, FP(params) h)
{
    (void)h;
    V(t) lambda = V(set1)(FP_SELU_LAMBDA), slope = V(add)(a, V(set1)(FP_SELU_LAMBDA * FP_SELU_ALPHA));
    return V(mul)(da, V(select)(V(gt)(a, V(set1)(0)), lambda, slope));
}
static void FP(selu_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(selu_a)); }
static void FP(selu_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(selu_dz)); }
#undef FP_SELU_LAMBDA
#undef FP_SELU_ALPHA

/* z where z > 0, else alpha (e^(z / alpha) - 1); g' = 1, else a / alpha + 1 */
FP_INLINE V(t) FP(celu_a)(V(t) z, FP(params) h)
{
    return V(select)(V(gt)(z, V(set1)(0)), z, FP(elu_a)(V(mul)(z, h.inverse), h));
}
FP_INLINE V(t) FP(celu_dz)(V(t) da, V(t) a, FP(params) h)
{
    V(t) one = V(set1)(1), slope = V(fma)(a, h.inverse, one);
    return V(select)(V(gt)(a, V(set1)(0)), da, V(mul)(da, slope));
}
static void FP(celu_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(celu_a)); }
static void FP(celu_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(celu_dz)); }

/* z / (1 + |z|); g' = 1 / (1 + |z|)^2 = (1 - |a|)^2 */
FP_INLINE V(t) FP(softsign_a)(V(t) z, FP(params) h) { return (void)h, V(div)(z, V(add)(V(set1)(1), V(abs)(z))); }
FP_INLINE V(t) FP(softsign_dz)(V(t) da, V(t) a, FP(params) h)
{
    (void)h;
    V(t) rest = V(sub)(V(set1)(1), V(abs)(a));
    return V(mul)(da, V(mul)(rest, rest));
}
static void FP(softsign_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(softsign_a)); }
static void FP(softsign_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(softsign_dz)); }

/* g' = a (1 - a) */
FP_INLINE V(t) FP(sigmoid_a)(V(t) z, FP(params) h) { return (void)h, FP(sigmoid)(z); }
FP_INLINE V(t) FP(sigmoid_dz)(V(t) da, V(t) a, FP(params) h) { return (void)h, V(mul)(da, V(fnma)(a, a, a)); }
static void FP(sigmoid_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(sigmoid_a)); }
static void FP(sigmoid_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(sigmoid_dz)); }

/* g' = 1 - a^2 */
FP_INLINE V(t) FP(tanh_a)(V(t) z, FP(params) h) { return (void)h, FP(tanh)(z); }
FP_INLINE V(t) FP(tanh_dz)(V(t) da, V(t) a, FP(params) h) { return (void)h, V(mul)(da, V(fnma)(a, a, V(set1)(1))); }
static void FP(tanh_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(tanh_a)); }
static void FP(tanh_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(tanh_dz)); }

/* z clamped to [low, high], with the operands in this order so that NaN stays NaN */
FP_INLINE V(t) FP(clamp)(V(t) z, V(t) low, V(t) high) { return V(min)(high, V(max)(low, z)); }

/* dz where low < a < high, else 0 */
FP_INLINE V(t) FP(zero_outside)(V(t) dz, V(t) a, V(t) low, V(t) high)
{
    return V(keep)(V(gt)(a, low), V(keep)(V(gt)(high, a), dz));
}

FP_INLINE V(t) FP(hard_tanh_a)(V(t) z, FP(params) h) { return FP(clamp)(z, h.first, h.second); }
FP_INLINE V(t) FP(hard_tanh_dz)(V(t) da, V(t) a, FP(params) h) { return FP(zero_outside)(da, a, h.first, h.second); }
static void FP(hard_tanh_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(hard_tanh_a)); }
static void FP(hard_tanh_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(hard_tanh_dz)); }

FP_INLINE V(t) FP(relu6_a)(V(t) z, FP(params) h) { return (void)h, FP(clamp)(z, V(set1)(0), V(set1)(6)); }
FP_INLINE V(t) FP(relu6_dz)(V(t) da, V(t) a, FP(params) h)
{
    return (void)h, FP(zero_outside)(da, a, V(set1)(0), V(set1)(6));
}
static void FP(relu6_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(relu6_a)); }
static void FP(relu6_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(relu6_dz)); }

/* relu6(z + 3) / 6 */
FP_INLINE V(t) FP(hard_sigmoid_a)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) line = V(mul)(V(add)(z, V(set1)(3)), V(set1)((T)(1.0 / 6)));
    return FP(clamp)(line, V(set1)(0), V(set1)(1));
}
FP_INLINE V(t) FP(hard_sigmoid_dz)(V(t) da, V(t) a, FP(params) h)
{
    (void)h;
    return FP(zero_outside)(V(mul)(da, V(set1)((T)(1.0 / 6))), a, V(set1)(0), V(set1)(1));
}
static void FP(hard_sigmoid_forward) FP_FORWARD_ARGS { FP(map)(a, saved, n, hyper, FP(hard_sigmoid_a)); }
static void FP(hard_sigmoid_backward) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(hard_sigmoid_dz)); }
