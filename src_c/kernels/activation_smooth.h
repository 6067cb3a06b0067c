/* Activations that keep their slope: the forward pass computes g(z) and g'(z) from what the two share, and the backward pass
 * is one product. */

typedef struct {
    V(t) a, slope;
} FP(pair);

/* a[i] = g(a[i]), and the slope into kept[i] unless nobody wants it: g is NAME_pair below */
FP_INLINE void FP(map_pair)(T *a, T *kept, I n, const double *hyper, FP(pair) (*g)(V(t), FP(numbers)))
{
    FP(numbers) h = FP(numbers_of)(hyper);
    for (I j = 0; j < n; j += L) {
        FP(pair) both = g(FP(load_left)(a + j, n - j), h);
        FP(store_left)(a + j, both.a, n - j);
        if (kept)
            FP(store_left)(kept + j, both.slope, n - j);
    }
}

FP_INLINE V(t) FP(kept_dz)(V(t) da, V(t) kept, FP(numbers) h) { return (void)h, V(mul)(da, kept); }
static void FP(times_kept) FP_BACKWARD_ARGS { FP(map_backward)(dz, kept, n, hyper, FP(kept_dz)); }

/* sin(omega z); g' = omega cos(omega z) */
FP_INLINE FP(pair) FP(sin_pair)(V(t) z, FP(numbers) h)
{
    FP(pair) both;
    both.a = FP(sincos)(V(mul)(h.first, z), &both.slope);
    both.slope = V(mul)(h.first, both.slope);
    return both;
}
static void FP(sin_forward) FP_FORWARD_ARGS { FP(map_pair)(a, kept, n, hyper, FP(sin_pair)); }
static void FP(sin_backward) FP_BACKWARD_ARGS { FP(times_kept)(dz, kept, n, hyper); }
