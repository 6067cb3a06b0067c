# The losses. Each adds weight * loss of every row to cost[0], and writes da = scale * weight * dL/da unless da is
# NULL. Part of _portable.pyx.

cdef inline real weight_of(const real *weight, ptrdiff_t i) noexcept nogil:
    return weight[i] if weight != NULL else 1


cdef inline ptrdiff_t class_of(const int64_t *label, ptrdiff_t i, ptrdiff_t n, double *w) noexcept nogil:
    """The class of row i, if there are labels. One outside [0, n) makes the row's weight NaN, and so the cost."""
    cdef ptrdiff_t chosen = fp_label(label + i, n) if label != NULL else 0
    if chosen < 0:
        w[0] = NAN
    return chosen


cdef inline double target(const real *y, ptrdiff_t chosen, ptrdiff_t i, ptrdiff_t j, ptrdiff_t n) noexcept nogil:
    """y[i, j]; without y, the one-hot encoding of the class `chosen`."""
    if y != NULL:
        return y[i * n + j]
    return 1 if j == chosen else 0


cdef inline double either_side(double x, double up, double down) noexcept nogil:
    """`up` if x > 0, `down` if x < 0, else x: 0 stays 0, and NaN stays NaN."""
    if x > 0:
        return up
    return down if x < 0 else x


cdef inline double not_below(double x, double least) noexcept nogil:
    """The larger of both; a NaN in x stays NaN."""
    return least if x < least else x


# Losses with one target for each output.

cdef void half_mse(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double error, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        error = a[i] - y[i]
        loss, slope = 0.5 * error * error, error
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void squared_error(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double error, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        error = a[i] - y[i]
        loss, slope = error * error, 2 * error
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void mse(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double error, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        error = a[i] - y[i]
        loss, slope = error * error / n, 2 * error / n
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void mae(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double error, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        error = a[i] - y[i]
        loss, slope = abs(error), either_side(error, 1, -1)
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void huber(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double error, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        error = a[i] - y[i]
        slope = error if abs(error) <= hyper[0] else either_side(error, hyper[0], -hyper[0])
        loss = slope * (error - 0.5 * slope)
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void log_cosh(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double error, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        error = a[i] - y[i]
        loss = abs(error) + log1p(exp(-2 * abs(error))) - log(2.0)
        slope = tanh(error)
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void poisson(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double mean, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        mean = exp(<double>a[i])
        loss, slope = mean - y[i] * <double>a[i], mean - y[i]
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void gamma(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double ratio, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        ratio = y[i] * exp(-<double>a[i])
        loss = 2 * (a[i] - log(<double>y[i]) + ratio - 1)
        slope = 2 * (1 - ratio)
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void tweedie(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double falling, rising, own, p = hyper[0], loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        falling, rising = y[i] * exp((1 - p) * a[i]), exp((2 - p) * a[i])
        own = exp((2 - p) * log(<double>y[i])) if y[i] > 0 else 0.0
        loss = 2 * (own / ((1 - p) * (2 - p)) - falling / (1 - p) + rising / (2 - p))
        slope = 2 * (rising - falling)
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


# Losses with several outputs for each target.

cdef void quantile(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i, levels = n // n_y
    cdef double over, level, w
    for i in range(rows * n):
        w, level = weight_of(weight, i // n), hyper[i % levels]
        over = a[i] - y[i // levels]
        cost[0] += w * over * ((1 - level) if over > 0 else -level)
        if da != NULL:
            da[i] = <real>(scale * w * either_side(over, 1 - level, -level))


cdef void gaussian_nll(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double error, log_variance, square, w
    for i in range(rows * n_y):
        w, log_variance, error = weight_of(weight, i // n_y), a[2 * i + 1], <double>a[2 * i] - y[i]
        square = error * error * exp(-log_variance)
        cost[0] += w * 0.5 * (log_variance + square)
        if da != NULL:
            da[2 * i] = <real>(scale * w * error * exp(-log_variance))
            da[2 * i + 1] = <real>(scale * w * 0.5 * (1 - square))


# Losses over n classes of which one is right: y is a row of probabilities, unless there are labels.

cdef void cross_entropy(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i, j, chosen
    cdef double most, total, sum_y, wanted, w, smoothing = hyper[0]
    for i in range(rows):
        most = a[i * n]
        for j in range(1, n):
            most = max(most, <double>a[i * n + j])
        total, sum_y, w = 0, 0, weight_of(weight, i)
        chosen = class_of(label, i, n, &w)
        for j in range(n):
            total += exp(a[i * n + j] - most)
            sum_y += (1 - smoothing) * target(y, chosen, i, j, n) + smoothing / n
        for j in range(n):
            wanted = (1 - smoothing) * target(y, chosen, i, j, n) + smoothing / n
            cost[0] += w * wanted * (log(total) - (a[i * n + j] - most))
            if da != NULL:
                da[i * n + j] = <real>(scale * w * (sum_y * exp(a[i * n + j] - most) / total - wanted))


cdef void kl_divergence(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double no_smoothing = 0
    cross_entropy(cost, da, a, y, label, weight, rows, n, n_y, scale, &no_smoothing)
    if y != NULL:
        for i in range(rows * n):
            if not y[i] <= 0:  # 0 ln 0 = 0
                cost[0] += weight_of(weight, i // n) * y[i] * log(<double>y[i])


cdef void focal(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i, j, chosen
    cdef double most, total, log_p, p, rest, share, pull, pulls, w, gamma = hyper[0]
    for i in range(rows):
        most = a[i * n]
        for j in range(1, n):
            most = max(most, <double>a[i * n + j])
        total, pulls, w = 0, 0, weight_of(weight, i) * hyper[1]
        chosen = class_of(label, i, n, &w)
        for j in range(n):
            total += exp(a[i * n + j] - most)
        for j in range(n):
            log_p = a[i * n + j] - most - log(total)
            rest = -expm1(log_p)
            share = target(y, chosen, i, j, n) * pow(rest, gamma)
            cost[0] -= w * share * log_p
            pulls += share * (focal_bend(gamma, log_p, rest) - 1)
        if da != NULL:
            for j in range(n):
                log_p = a[i * n + j] - most - log(total)
                p, rest = exp(log_p), -expm1(log_p)
                share = target(y, chosen, i, j, n) * pow(rest, gamma)
                pull = share * (focal_bend(gamma, log_p, rest) - 1)
                da[i * n + j] = <real>(scale * w * (pull - p * pulls))


cdef inline double focal_bend(double gamma, double log_p, double rest) noexcept nogil:
    """gamma p ln p / (1 - p), which is -gamma where p is 1."""
    return gamma * exp(log_p) * log_p / rest if rest != 0 else -gamma


cdef void hinge(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i, j, top, chosen
    cdef double most, margin, w, dot
    for i in range(rows):
        most, dot, top, w = 0, 0, 0, weight_of(weight, i)
        chosen = class_of(label, i, n, &w)
        for j in range(n):
            margin = a[i * n + j] + (1 - target(y, chosen, i, j, n))
            dot += target(y, chosen, i, j, n) * a[i * n + j]
            if j == 0 or margin > most:
                most, top = margin, j
        cost[0] += w * (most - dot)
        if da != NULL:
            for j in range(n):  # so that a NaN is not lost
                da[i * n + j] = <real>(0 * a[i * n + j] - scale * w * target(y, chosen, i, j, n))
            da[i * n + top] += <real>(scale * w)


# Losses over n independent yes-or-no outputs.

cdef void binary_cross_entropy(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double z, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        z = a[i]
        loss = not_below(z, 0) - z * y[i] + log1p(exp(-abs(z)))
        slope = 1 / (1 + exp(-z)) - y[i]
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void binary_focal(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double z, s, rest, yes, no, on_1, on_0, gamma = hyper[0], loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        z, s, rest = a[i], 1 / (1 + exp(-<double>a[i])), 1 / (1 + exp(<double>a[i]))
        yes = not_below(-z, 0) + log1p(exp(-abs(z)))  # -ln s
        no = not_below(z, 0) + log1p(exp(-abs(z)))  # -ln(1 - s)
        on_1 = hyper[1] * y[i] * exp(-gamma * no)  # (1 - s)^gamma
        on_0 = hyper[2] * (1 - y[i]) * exp(-gamma * yes)
        loss = on_1 * yes + on_0 * no
        slope = on_0 * (s + gamma * rest * no) - on_1 * (rest + gamma * s * yes)
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef void binary_hinge(
    double *cost, real *da, const real *a, const real *y, const int64_t *label, const real *weight,
    ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper,
) noexcept nogil:
    cdef ptrdiff_t i
    cdef double margin, loss, slope, w
    for i in range(rows * n):
        w = weight_of(weight, i // n)
        margin = 1 - y[i] * <double>a[i]
        loss = not_below(margin, 0) + 0 * a[i]  # so that NaN and infinity are not lost
        slope = (-y[i] if margin > 0 else 0) + 0 * a[i]
        cost[0] += w * loss
        if da != NULL:
            da[i] = <real>(scale * w * slope)


cdef int fill_losses(fp_kernels *table, real *dtype) except -1:
    """Enter the kernels of this file into a table; see `fill`."""
    table.loss[number_of(loss_names, b"half_mse")] = <fp_loss *>half_mse[real]
    table.loss[number_of(loss_names, b"squared_error")] = <fp_loss *>squared_error[real]
    table.loss[number_of(loss_names, b"mse")] = <fp_loss *>mse[real]
    table.loss[number_of(loss_names, b"mae")] = <fp_loss *>mae[real]
    table.loss[number_of(loss_names, b"huber")] = <fp_loss *>huber[real]
    table.loss[number_of(loss_names, b"log_cosh")] = <fp_loss *>log_cosh[real]
    table.loss[number_of(loss_names, b"quantile")] = <fp_loss *>quantile[real]
    table.loss[number_of(loss_names, b"poisson")] = <fp_loss *>poisson[real]
    table.loss[number_of(loss_names, b"gamma")] = <fp_loss *>gamma[real]
    table.loss[number_of(loss_names, b"tweedie")] = <fp_loss *>tweedie[real]
    table.loss[number_of(loss_names, b"gaussian_nll")] = <fp_loss *>gaussian_nll[real]
    table.loss[number_of(loss_names, b"cross_entropy")] = <fp_loss *>cross_entropy[real]
    table.loss[number_of(loss_names, b"kl_divergence")] = <fp_loss *>kl_divergence[real]
    table.loss[number_of(loss_names, b"focal")] = <fp_loss *>focal[real]
    table.loss[number_of(loss_names, b"hinge")] = <fp_loss *>hinge[real]
    table.loss[number_of(loss_names, b"binary_cross_entropy")] = <fp_loss *>binary_cross_entropy[real]
    table.loss[number_of(loss_names, b"binary_focal")] = <fp_loss *>binary_focal[real]
    table.loss[number_of(loss_names, b"binary_hinge")] = <fp_loss *>binary_hinge[real]
    return 0
