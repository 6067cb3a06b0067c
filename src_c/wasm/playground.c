/* The network of the playground's page without a server: tools/wasm compiles it to WebAssembly, and
 * fastprop/playground/assets/static_network.js calls it. It computes in float64, and its results have the bits of the
 * engine's wherever that takes the rows of a batch in one piece.
 *
 * There is one network at a time. The page writes its parameters and rows into the arrays whose addresses the functions
 * return; these change with the next `build`. */
#include "core.h"

#define FP_BITS 64
#define FP_ISA wasm
#define FP_SMALL_NETWORKS
#include "simd/wasm.h"
#include "kernels/dtype.h"

static const int saves[] = {
#define FP_ACTIVATION(name, saves) saves,
#include "kernels.def"
};

#define EXPORT(name) __attribute__((export_name(#name)))

enum { MOST_LAYERS = 16, MOST_STATES = 3 }; /* more than the page offers; an amsgrad has most arrays of state */

/* What the passes leave of each layer, (rows, n_k): z, a, the slope g'(z), and the derivatives of the cost by a and z. */
enum { Z, A, SLOPE, DA, DZ, N_ARRAYS };

static struct {
    int n_layers, widths[MOST_LAYERS + 1], activations[MOST_LAYERS], loss;
    int has_labels;                             /* the targets are label, or else y */
    double hyper[(MOST_LAYERS + 1) * FP_HYPER]; /* of the activations and the loss */
} network;

static struct {
    int id;
    double rate, l1, l2, hyper[FP_HYPER], memory[FP_MEMORY];
} optimizer;

static I n_parameters;
static T *theta, *gradient, *state, *x, *y, *dx, *arrays[N_ARRAYS][MOST_LAYERS];
static int64_t *label;
static char *block; /* the memory of all these arrays */

static I n_in(int layer) { return network.widths[layer]; }
static I n_out(int layer) { return network.widths[layer + 1]; }
EXPORT(hyper) double *hyper(int layer) { return network.hyper + layer * FP_HYPER; }
static int saves_slope(int layer) { return saves[network.activations[layer]] == FP_SAVES_SLOPE; }

/* The next `count` numbers of `block`, or NULL before there is one. */
static void *part(size_t *used, I count)
{
    void *start = block ? block + *used : NULL;
    *used += (size_t)count * sizeof(double);
    return start;
}

/* Divides the block into arrays; returns how many bytes they take. */
static size_t divide(I rows)
{
    size_t used = 0;
    theta = part(&used, n_parameters);
    gradient = part(&used, n_parameters);
    state = part(&used, n_parameters * MOST_STATES);
    x = part(&used, rows * n_in(0));
    dx = part(&used, rows * n_in(0));
    y = part(&used, rows);
    label = part(&used, rows);
    for (int k = 0; k < network.n_layers; k++)
        for (int kind = 0; kind < N_ARRAYS; kind++)
            arrays[kind][k] = part(&used, rows * n_out(k));
    return used;
}

EXPORT(theta) T *get_theta(void) { return theta; }
EXPORT(gradient) T *get_gradient(void) { return gradient; }
EXPORT(x) T *get_x(void) { return x; }
EXPORT(dx) T *get_dx(void) { return dx; }
EXPORT(y) T *get_y(void) { return y; }
EXPORT(label) int64_t *get_label(void) { return label; }
EXPORT(array) T *get_array(int kind, int layer) { return arrays[kind][layer]; }

/* Describes layer k. The hyperparameters of its activation go to hyper(k), those of the loss behind the last layer's. */
EXPORT(set_layer) void set_layer(int k, int inputs, int outputs, int activation)
{
    network.widths[k] = inputs;
    network.widths[k + 1] = outputs;
    network.activations[k] = activation;
}

/* Makes the network that is described, with all parameters 0, for passes of up to `rows` rows. Returns its number of
 * parameters, or -1 if there is not enough memory. */
EXPORT(build) I build(int n_layers, int loss, int has_labels, int rows)
{
    network.n_layers = n_layers;
    network.loss = loss;
    network.has_labels = has_labels;
    n_parameters = 0;
    for (int k = 0; k < n_layers; k++)
        n_parameters += (n_in(k) + 1) * n_out(k);
    fp_free(block);
    block = NULL;
    block = fp_allocate(divide(rows));
    if (!block)
        return -1;
    divide(rows);
    return n_parameters;
}

/* Begins with an optimiser, whose hyperparameters go to optimizer_hyper(). The penalties are of weights, not of biases. */
EXPORT(set_optimizer) void set_optimizer(int id, double rate, double l1, double l2)
{
    optimizer.id = id;
    optimizer.rate = rate;
    optimizer.l1 = l1;
    optimizer.l2 = l2;
    for (int i = 0; i < FP_MEMORY; i++)
        optimizer.memory[i] = 1;
    memset(state, 0, (size_t)(n_parameters * MOST_STATES) * sizeof *state);
}

EXPORT(optimizer_hyper) double *optimizer_hyper(void) { return optimizer.hyper; }

/* z = x w + b of one row, by the sums of small_network.h, of L outputs at a time */
static void multiply(T *z, const T *x, const T *w, const T *b, I inputs, I outputs)
{
    for (I j = 0; j < outputs; j += L) {
        V(t) sum = FP(load_tail)(b + j, outputs - j);
        for (I i = 0; i < inputs; i++)
            sum = V(fma)(V(set1)(x[i]), FP(load_tail)(w + i * outputs + j, outputs - j), sum);
        FP(store_tail)(z + j, sum, outputs - j);
    }
}

EXPORT(forward) void forward(int rows)
{
    const T *w = theta;
    for (int k = 0; k < network.n_layers; k++) {
        const T *below = k ? arrays[A][k - 1] : x, *b = w + n_in(k) * n_out(k);
        for (I r = 0; r < rows; r++)
            multiply(arrays[Z][k] + r * n_out(k), below + r * n_in(k), w, b, n_in(k), n_out(k));
        memcpy(arrays[A][k], arrays[Z][k], (size_t)(rows * n_out(k)) * sizeof(T));
        FP(table).forward[network.activations[k]](arrays[A][k], arrays[SLOPE][k], rows * n_out(k), hyper(k));
        w = b + n_out(k);
    }
}

/* The sum of the losses of the rows that went forward; da, unless NULL, = scale times its derivative. */
static double sum_losses(int rows, double scale, T *da)
{
    int last = network.n_layers - 1;
    double sum = 0;
    FP(table).loss[network.loss](&sum, da, arrays[A][last], network.has_labels ? NULL : y,
                                 network.has_labels ? label : NULL, NULL, rows, n_out(last), n_out(last), scale,
                                 hyper(network.n_layers));
    return sum;
}

/* Returns the cost of the rows, the mean of their losses. */
EXPORT(cost) double get_cost(int rows)
{
    forward(rows);
    return sum_losses(rows, 0, NULL) / rows;
}

/* Runs both passes, which set all arrays but SLOPE of activations that save their output. Returns the cost of the rows. */
EXPORT(passes) double passes(int rows)
{
    forward(rows);
    double sum = sum_losses(rows, 1.0 / rows, arrays[DA][network.n_layers - 1]);
    T *w = theta + n_parameters, *dw = gradient + n_parameters;
    for (int k = network.n_layers - 1; k >= 0; k--) {
        const T *below = k ? arrays[A][k - 1] : x;
        T *dz = arrays[DZ][k], *da_below = k ? arrays[DA][k - 1] : dx;
        memcpy(dz, arrays[DA][k], (size_t)(rows * n_out(k)) * sizeof(T));
        FP(table).backward[network.activations[k]](dz, arrays[saves_slope(k) ? SLOPE : A][k], rows * n_out(k),
                                                   hyper(k));
        w -= (n_in(k) + 1) * n_out(k);
        dw -= (n_in(k) + 1) * n_out(k);
        for (I r = 0; r < rows; r++)
            FP(small_backward)(da_below + r * n_in(k), dw, dw + n_in(k) * n_out(k), dz + r * n_out(k),
                               below + r * n_in(k), w, n_in(k), n_out(k), FP_ACTIVATION_identity, NULL, r > 0);
    }
    return sum / rows;
}

/* Sets SLOPE of the activations that save their output, after `passes`. */
EXPORT(slopes) void slopes(int rows)
{
    for (int k = 0; k < network.n_layers; k++) {
        T *slope = arrays[SLOPE][k];
        if (saves_slope(k))
            continue;
        for (I i = 0; i < rows * n_out(k); i++)
            slope[i] = 1;
        FP(table).backward[network.activations[k]](slope, arrays[A][k], rows * n_out(k), hyper(k));
    }
}

/* Takes a step along the gradient of the rows. Returns their cost before it; if that is not finite, there is no step. */
EXPORT(step) double step(int rows)
{
    double cost = passes(rows), step_hyper[FP_HYPER], next_memory[FP_MEMORY];
    if (!isfinite(cost))
        return cost;
    fp_optimizer_begin(optimizer.id, step_hyper, next_memory, optimizer.memory, optimizer.hyper);
    memcpy(optimizer.memory, next_memory, sizeof next_memory);
    I start = 0;
    for (int k = 0; k < network.n_layers; k++) {
        FP(penalize)(gradient + start, theta + start, n_in(k) * n_out(k), optimizer.l1, optimizer.l2);
        start += (n_in(k) + 1) * n_out(k);
    }
    FP(table).optimizer[optimizer.id](theta, state, gradient, n_parameters, n_parameters, optimizer.rate, step_hyper);
    return cost;
}

/* ---- random numbers ---- */

/* The i-th random number of a stream, 32 bits. */
EXPORT(random) uint32_t random_bits(uint32_t seed, uint32_t stream, uint32_t i)
{
    return (uint32_t)(fp_random(fp_random_key(seed, stream, 0), i) >> 32);
}

/* Returns 0, ..., n - 1 in a random order, in memory for up to `rows` numbers. */
EXPORT(shuffle) const int64_t *shuffle(int n, uint32_t seed, uint32_t step)
{
    fp_shuffle(label, 0, n, fp_random_key(seed, FP_STREAM_SHUFFLE, step));
    return label;
}
