/* Activations that save their slope: the forward pass computes g(z) and g'(z) together, and the backward pass is one
 * multiplication by the slope. */

typedef struct {
    V(t) a, slope;
} FP(pair);

/* a[i] = g(a[i]), and saved[i] = g'(a[i]) unless saved is NULL; g is NAME_pair of an activation below */
FP_INLINE void FP(map_pair)(T *a, T *saved, I n, const double *hyper, FP(pair) (*g)(V(t), FP(params)))
{
    FP(params) h = FP(load_params)(hyper);
    I j = 0;
    for (; j + L <= n; j += L) {
        FP(pair) both = g(V(load)(a + j), h);
        V(store)(a + j, both.a);
        if (saved)
            V(store)(saved + j, both.slope);
    }
    if (j < n) {
        FP(pair) both = g(V(load_n)(a + j, n - j), h);
        V(store_n)(a + j, both.a, n - j);
        if (saved)
            V(store_n)(saved + j, both.slope, n - j);
    }
}

FP_INLINE V(t) FP(saved_dz)(V(t) da, V(t) saved, FP(params) h) { return (void)h, V(mul)(da, saved); }
static void FP(multiply_by_saved) FP_BACKWARD_ARGS { FP(map_backward)(dz, saved, n, hyper, FP(saved_dz)); }

/* g(z) = z F(z) where F rises from 0 to 1 and F(-z) = 1 - F(z), so that g(z) = max(z, 0) - |z| F(-|z|) and
 * g'(-z) = 1 - g'(z). The arguments are x = |z|, tail = F(-x), and two factors of x F'(x). The caller clamps x to where
 * F(-x) vanishes, so that an infinite z makes no NaN. */
FP_INLINE FP(pair) FP(gated)(V(t) z, V(t) x, V(t) tail, V(t) factor, V(t) other)
{
    V(t) zero = V(set1)(0), low = V(fnma)(factor, other, tail); /* g'(-x); g'(x) is 1 - 2 low more */
    V(t) difference = V(keep)(V(gt)(z, zero), V(fnma)(V(set1)(2), low, V(set1)(1)));
    FP(pair) both = {V(fnma)(x, tail, V(max)(zero, z)), V(add)(low, difference)};
    return both;
}

FP_INLINE V(t) FP(abs_up_to)(V(t) z, T limit) { return V(min)(V(set1)(limit), V(abs)(z)); }

/* z Phi(z) = z / 2 (1 + erf(z / sqrt(2))); F' is the density, e^(-z^2 / 2) / sqrt(2 pi) */
FP_INLINE FP(pair) FP(gelu_pair)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) e, x = FP(abs_up_to)(z, FP_NORMAL_MAX), tail = FP(normal_tail)(x, &e);
    return FP(gated)(z, x, tail, V(mul)(V(set1)((T)0.3989422804014327), x), e);
}
static void FP(gelu_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(gelu_pair)); }
static void FP(gelu_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* z / 2 (1 + tanh(v / 2)) = z s(v) with v = 2 sqrt(2 / pi) (z + 0.044715 z^3) and the sigmoid s; F' = s(v) s(-v) v' */
FP_INLINE FP(pair) FP(gelu_tanh_pair)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) linear = V(set1)((T)1.5957691216057308), cubic = V(set1)((T)(1.5957691216057308 * 0.044715));
    V(t) x = FP(abs_up_to)(z, FP_GELU_TANH_MAX), x3 = V(mul)(V(mul)(cubic, x), V(mul)(x, x));
    V(t) tail, v = V(fma)(linear, x, x3), s = FP(sigmoids)(FP(decay)(v, V(set1)(0)), &tail);
    V(t) xv = V(fma)(V(set1)(2), x3, v); /* x v' */
    return FP(gated)(z, x, tail, V(mul)(s, xv), tail);
}
static void FP(gelu_tanh_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(gelu_tanh_pair)); }
static void FP(gelu_tanh_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* z s(z) with the sigmoid s; F' = s(z) s(-z) */
FP_INLINE FP(pair) FP(silu_pair)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) tail, x = FP(abs_up_to)(z, FP_DECAY_MAX), s = FP(sigmoids)(FP(decay)(x, V(set1)(0)), &tail);
    return FP(gated)(z, x, tail, V(mul)(x, s), tail);
}
static void FP(silu_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(silu_pair)); }
static void FP(silu_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* z t with t = tanh(ln(1 + e^z)); g' = t + z (1 - t^2) s(z) with the sigmoid s. Let e = e^-|z|, and (p, q) = (1, e^2)
 * for z > 0, else (e^2, 1). Then t = N / M with N = 2 e + p and M = N + 2 q, and 1 - t^2 = 4 q (1 + e)^2 / M^2. */
FP_INLINE FP(pair) FP(mish_pair)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) one = V(set1)(1), two = V(set1)(2), four = V(set1)(4);
    V(t) clamped = FP(clamp)(z, V(set1)(-FP_DECAY_MAX), V(set1)(FP_DECAY_MAX));
    V(t) e = FP(decay)(V(abs)(clamped), V(set1)(0)), e2 = V(mul)(e, e);
    V(mask) above = V(gt)(z, V(set1)(0));
    V(t) q = V(select)(above, e2, one), top = V(fma)(two, e, V(select)(above, one, e2));
    V(t) inverse = V(div)(one, V(fma)(two, q, top)), t = V(mul)(top, inverse);
    V(t) numerator = V(mul)(V(fma)(four, e, four), V(select)(above, e2, e)); /* 4 q (1 + e)^2 s(z) */
    FP(pair) both = {V(mul)(V(max)(clamped, z), t), V(fma)(V(mul)(clamped, numerator), V(mul)(inverse, inverse), t)};
    return both;
}
static void FP(mish_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(mish_pair)); }
static void FP(mish_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* ln(1 + e^(beta z)) / beta = max(z, 0) + ln(1 + e^-|beta z|) / beta; g' = s(beta z) */
FP_INLINE FP(pair) FP(softplus_pair)(V(t) z, FP(params) h)
{
    V(t) zero = V(set1)(0), x = FP(abs_up_to)(V(mul)(h.first, z), FP_DECAY_MAX);
    V(t) s, other, rest = FP(softplus_of_minus)(x, &s, &other);
    FP(pair) both = {V(fma)(rest, h.inverse, V(max)(zero, z)), V(select)(V(gt)(z, zero), s, other)};
    return both;
}
static void FP(softplus_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(softplus_pair)); }
static void FP(softplus_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* ln s(z) = min(z, 0) - ln(1 + e^-|z|); g' = s(-z) */
FP_INLINE FP(pair) FP(log_sigmoid_pair)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) zero = V(set1)(0), s, other, rest = FP(softplus_of_minus)(FP(abs_up_to)(z, FP_DECAY_MAX), &s, &other);
    FP(pair) both = {V(sub)(V(min)(zero, z), rest), V(select)(V(gt)(z, zero), other, s)};
    return both;
}
static void FP(log_sigmoid_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(log_sigmoid_pair)); }
static void FP(log_sigmoid_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* z relu6(z + 3) / 6; g' = z / 3 + 1 / 2 between -3 and 3, 0 below, 1 above */
FP_INLINE FP(pair) FP(hard_swish_pair)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) three = V(set1)(3), low = V(set1)(-3), bounded = V(max)(low, z);
    V(t) gate = V(mul)(V(min)(V(set1)(6), V(add)(bounded, three)), V(set1)((T)(1.0 / 6)));
    V(t) line = V(fma)(z, V(set1)((T)(1.0 / 3)), V(set1)((T)0.5));
    FP(pair) both = {V(mul)(bounded, gate), V(keep)(V(gt)(z, low), V(select)(V(gt)(three, z), line, V(set1)(1)))};
    return both;
}
static void FP(hard_swish_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(hard_swish_pair)); }
static void FP(hard_swish_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* e^(-z^2); g' = -2 z a */
FP_INLINE FP(pair) FP(gaussian_pair)(V(t) z, FP(params) h)
{
    (void)h;
    V(t) clamped = FP(clamp)(z, V(set1)(-FP_GAUSS_MAX), V(set1)(FP_GAUSS_MAX)), a = FP(decay_product)(clamped, clamped);
    FP(pair) both = {a, V(mul)(V(mul)(V(set1)(-2), clamped), a)};
    return both;
}
static void FP(gaussian_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(gaussian_pair)); }
static void FP(gaussian_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }

/* sin(omega z); g' = omega cos(omega z) */
FP_INLINE FP(pair) FP(sin_pair)(V(t) z, FP(params) h)
{
    FP(pair) both;
    V(t) x = V(mul)(h.first, z);
    if (V(any)(V(gt)(V(abs)(x), V(set1)((T)FP_SINCOS_MAX))))
        both.a = FP(libm_sincos)(FP(first_lane)(h.first), z, &both.slope);
    else
        both.a = FP(sincos)(x, &both.slope);
    both.slope = V(mul)(h.first, both.slope);
    return both;
}
static void FP(sin_forward) FP_FORWARD_ARGS { FP(map_pair)(a, saved, n, hyper, FP(sin_pair)); }
static void FP(sin_backward) FP_BACKWARD_ARGS { FP(multiply_by_saved)(dz, saved, n, hyper); }
