"""The C of ``c_export``: a function for each operation, and each activation.

`real` stands for float or double, `@` for the beginning of names. In float, constants such as 0.5 and functions of the
library get their f.
"""

# name -> the numbers that it takes, its value at z
ACTIVATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "relu": ((), "z <= 0 ? 0 : z"),
    "leaky_relu": (("slope",), "z > 0 ? z : slope * z"),
    "elu": (("alpha",), "z > 0 ? z : alpha * expm1(z)"),
    "selu": ((), "1.0507009873554805 * (z > 0 ? z : 1.6732632423543772 * expm1(z))"),
    "celu": (("alpha",), "z > 0 ? z : alpha * expm1(z / alpha)"),
    "gelu": ((), "0.5 * z * erfc(-0.7071067811865476 * z)"),
    "gelu_tanh": ((), "z / (1 + exp(-1.5957691216057308 * (z + 0.044715 * z * z * z)))"),
    "silu": ((), "z / (1 + exp(-z))"),
    "mish": ((), "z * tanh(log1p(exp(z)))"),
    "softplus": (("beta",), "(z > 0 ? z : 0) + log1p(exp(-fabs(beta * z))) / beta"),
    "softsign": ((), "z / (1 + fabs(z))"),
    "sigmoid": ((), "1 / (1 + exp(-z))"),
    "hard_sigmoid": ((), "z <= -3 ? 0 : z >= 3 ? 1 : (z + 3) / 6"),
    "tanh": ((), "tanh(z)"),
    "hard_tanh": (("low", "high"), "z < low ? low : z > high ? high : z"),
    "relu6": ((), "z <= 0 ? 0 : z > 6 ? 6 : z"),
    "hard_swish": ((), "z <= -3 ? 0 : z >= 3 ? z : z * (z + 3) / 6"),
    "log_sigmoid": ((), "(z < 0 ? z : 0) - log1p(exp(-fabs(z)))"),
    "gaussian": ((), "exp(-z * z)"),
    "sin": (("omega",), "sin(omega * z)"),
}

# The functions of <math.h>.
LIBRARY = r"(?<![\w@])(cos|erfc|expm1|exp|fabs|log1p|log|sin|sqrt|tanh)\("

# Which functions call another.
NEEDS = {"log_softmax": ("log_sum_exp",), "softmax": ("log_sum_exp",)}

FUNCTIONS = {
    "dense": """\
/* y = x W + b. W: (n_in, n_out); b: (n_out), or 0 where there is none. */
static void @dense(real *y, const real *x, const real *w, const real *b, int n_in, int n_out)
{
    for (int j = 0; j < n_out; j++) y[j] = b ? b[j] : 0;
    for (int i = 0; i < n_in; i++, w += n_out)
        for (int j = 0; j < n_out; j++) y[j] += x[i] * w[j];
}
""",
    "copy": """\
static void @copy(real *y, const real *x, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j];
}
""",
    "scale": """\
/* y = x * w + b; b may be 0: there is none. */
static void @scale(real *y, const real *x, const real *w, const real *b, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j] * w[j] + (b ? b[j] : 0);
}
""",
    "layer_norm": """\
/* y = (x - mean) / sqrt(variance + epsilon) * w + b, with mean and variance of x. */
static void @layer_norm(real *y, const real *x, const real *w, const real *b, real epsilon, int n)
{
    real mean = 0, variance = 0;
    for (int j = 0; j < n; j++) mean += x[j] / n;
    for (int j = 0; j < n; j++) variance += (x[j] - mean) * (x[j] - mean) / n;
    for (int j = 0; j < n; j++) y[j] = (x[j] - mean) / sqrt(variance + epsilon) * w[j] + b[j];
}
""",
    "batch_norm": """\
/* y = (x - mean) * factor + b; factor = w / sqrt(variance + epsilon). */
static void @batch_norm(real *y, const real *x, const real *mean, const real *factor, const real *b, int n)
{
    for (int j = 0; j < n; j++) y[j] = (x[j] - mean[j]) * factor[j] + b[j];
}
""",
    "prelu": """\
static void @prelu(real *y, const real *x, const real *slope, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j] > 0 ? x[j] : slope[j] * x[j];
}
""",
    "log_sum_exp": """\
/* log(sum exp(x)), less the largest x, which is given back too: nothing overflows. */
static real @log_sum_exp(real *largest, const real *x, int n)
{
    real sum = 0;
    *largest = x[0];
    for (int j = 1; j < n; j++) *largest = x[j] > *largest ? x[j] : *largest;
    for (int j = 0; j < n; j++) sum += exp(x[j] - *largest);
    return log(sum);
}
""",
    "softmax": """\
static void @softmax(real *y, const real *x, int n)
{
    real largest, total = @log_sum_exp(&largest, x, n);
    for (int j = 0; j < n; j++) y[j] = exp(x[j] - largest - total);
}
""",
    "log_softmax": """\
static void @log_softmax(real *y, const real *x, int n)
{
    real largest, total = @log_sum_exp(&largest, x, n);
    for (int j = 0; j < n; j++) y[j] = x[j] - largest - total;
}
""",
    "add": """\
static void @add(real *y, const real *x, const real *other, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j] + other[j];
}
""",
    "look_up": """\
/* The row of a table (categories, width) that x names. */
static void @look_up(real *y, real x, const real *table, int categories, int width)
{
    const real *row = table + (x >= 0 && x < categories ? (int)x : 0) * width;
    for (int j = 0; j < width; j++) y[j] = row[j];
}
""",
    "piecewise": """\
/* x in each bin, from 0 at its lower edge to 1 at its upper one; the outer bins go on. */
static void @piecewise(real *y, real x, const real *edges, int bins)
{
    for (int t = 0; t < bins; t++) {
        y[t] = (x - edges[t]) / (edges[t + 1] - edges[t]);
        if (y[t] < 0 && t > 0) y[t] = 0;
        if (y[t] > 1 && t < bins - 1) y[t] = 1;
    }
}
""",
    "periodic": """\
/* cos(2 pi f x), sin(2 pi f x) */
static void @periodic(real *y, real x, const real *frequency, int n)
{
    for (int t = 0; t < n; t++) {
        y[t] = cos(6.283185307179586 * frequency[t] * x);
        y[n + t] = sin(6.283185307179586 * frequency[t] * x);
    }
}
""",
    "mean": """\
/* The mean of the members' outputs. */
static void @mean(real *y, const real *x, int members, int n)
{
    for (int j = 0; j < n; j++) {
        y[j] = 0;
        for (int k = 0; k < members; k++) y[j] += x[k * n + j];
        y[j] /= members;
    }
}
""",
}
