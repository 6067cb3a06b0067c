/* Optimisers: one pass over the flat vectors. */

/* g = gradient + weight_decay theta;  v = momentum v + g;  theta -= rate (v, or g + momentum v with Nesterov). The
 * definition is PyTorch's with dampening 0 (Sutskever et al. 2013). state: v, not read without momentum. */
static void FP(sgd)(T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
{
    (void)stride;
    int nesterov = hyper[1] != 0;
    V(t) eta = V(set1)((T)rate), mu = V(set1)((T)hyper[0]), decay = V(set1)((T)hyper[2]);
    for (I j = 0; j < n; j += L) {
        V(t) w = FP(load_left)(theta + j, n - j);
        V(t) g = V(fma)(decay, w, FP(load_left)(gradient + j, n - j));
        if (hyper[0] != 0) {
            V(t) v = V(fma)(mu, FP(load_left)(state + j, n - j), g);
            FP(store_left)(state + j, v, n - j);
            g = nesterov ? V(fma)(mu, v, g) : v;
        }
        FP(store_left)(theta + j, V(fnma)(eta, g, w), n - j);
    }
}
