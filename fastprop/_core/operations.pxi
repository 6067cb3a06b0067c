# Each operation forward, backward, and the gradient of its parameters, on some rows. Part of _engine.pyx.
#
# Going back, an operation finds dLoss/dz in its own dz, and leaves in the dz of the one below, whose g' it multiplies
# in, what that one needs. Where two operations read the same output (FORK, ADD), the FORK adds up what came back both
# ways.

cdef struct Rows:
    # Rows of one array: where the first of them is, and how far apart they are, in elements.
    char *at
    ptrdiff_t row

cdef inline Rows from_row(char *at, ptrdiff_t row, ptrdiff_t first, ptrdiff_t size) noexcept nogil:
    """Rows from the first-th on; NULL stays NULL."""
    cdef Rows rows
    rows.at = at + first * row * size if at != NULL else NULL
    rows.row = row
    return rows

cdef inline char *element(char *array, ptrdiff_t i, ptrdiff_t size) noexcept nogil:
    """The i-th element; NULL stays NULL."""
    return array + i * size if array != NULL else NULL

cdef inline bint passes_through(const Op *op, bint training) noexcept nogil:
    """Whether its output is its input, which is then not copied."""
    return op.kind == FORK or op.kind == DROPOUT and not training

cdef Rows output_of(Job *job, ptrdiff_t k, ptrdiff_t first) noexcept nogil:
    """a[k] of the block in work from its first-th row on; a[-1] is x."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t x_row
    cdef const char *x
    while k >= 0 and passes_through(&p.ops[k], job.training):
        k -= 1
    if k >= 0:
        return from_row(p.ops[k].a, p.ops[k].row, first, p.size)
    x = inputs_of(job, &x_row)
    return from_row(<char *>x, x_row, first, p.size)

cdef Rows kept_by(Job *job, ptrdiff_t k, ptrdiff_t first) noexcept nogil:
    """What the activation of operation k kept, or its output."""
    cdef Op *op = &job.plan.ops[k]
    if keeps_more(op):
        return from_row(op.kept, op.row, first, job.plan.size)
    return output_of(job, k, first)

# ---- forward ----

cdef void activate_rows(Plan *p, Op *op, Rows a, char *kept, ptrdiff_t count) noexcept nogil:
    """a = g(a) for an operation whose kernel does not do it."""
    cdef ptrdiff_t i
    if op.activation == FP_ACTIVATION_identity:
        return
    if a.row == op.n_out:
        p.kernels.forward[op.activation](a.at, kept, count * op.n_out, op.hyper)
        return
    for i in range(count):
        p.kernels.forward[op.activation](
            a.at + i * a.row * p.size, element(kept, i * op.row, p.size), op.n_out, op.hyper)

cdef void dense_forward(Plan *p, Op *op, Rows a, char *kept, Rows x, char *scratch, ptrdiff_t count) noexcept nogil:
    cdef ptrdiff_t piece, n_in, n_out = op.out_piece
    cdef char *w = op.w
    cdef char *b = op.b if op.n_biases else NULL
    if op.shared:  # the pieces of a row are rows by themselves
        n_in = op.in_piece
        p.kernels.dense_forward(
            a.at, kept, x.at, w, b, scratch, count * op.pieces, n_in, n_out, n_out, n_out, n_in, n_out,
            op.activation, op.hyper)
        return
    for piece in range(op.pieces):
        n_in = piece_in(op, piece)
        p.kernels.dense_forward(
            a.at, kept, x.at, w, b, scratch, count, n_in, n_out, a.row, op.row, x.row, n_out, op.activation, op.hyper)
        a.at, kept, x.at = a.at + n_out * p.size, element(kept, n_out, p.size), x.at + n_in * p.size
        w, b = w + n_in * n_out * p.size, element(b, n_out, p.size)

cdef void op_forward(Job *job, int part, ptrdiff_t k, Rows a, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """a = what operation k makes of a[k-1]."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef const fp_kernels *kernels = p.kernels
    cdef Rows x = output_of(job, k - 1, first), fork
    cdef char *kept = NULL
    cdef char *mean = op.mean
    cdef char *rstd = op.rstd
    cdef char *b = op.b if op.n_biases else NULL
    if job.keep and keeps_more(op):
        kept = op.kept + first * op.row * p.size
    if op.kind == DENSE:
        dense_forward(p, op, a, kept, x, p.scratch + part * p.scratch_size, count)
        return
    elif op.kind == COPY:
        kernels.add_rows(a.at, x.at, NULL, count, op.n_out, a.row, x.row, 0)
    elif op.kind == SCALE:
        kernels.scale_forward(a.at, x.at, NULL, NULL, op.w, b, count, op.n_out, a.row, x.row, False)
    elif op.kind == LAYER_NORM:
        mean, rstd = mean + first * p.size, rstd + first * p.size
        kernels.row_statistics(mean, rstd, x.at, count, op.n_in, x.row, op.epsilon)
        kernels.scale_forward(a.at, x.at, mean, rstd, op.w, b, count, op.n_out, a.row, x.row, True)
    elif op.kind == BATCH_NORM:
        kernels.scale_forward(a.at, x.at, mean, rstd, op.w, b, count, op.n_out, a.row, x.row, False)
    elif op.kind == DROPOUT:
        kernels.dropout(
            a.at, op.kept + first * op.row * p.size, x.at, count, op.n_out, a.row, op.row, x.row,
            job.first - job.batch_first + first, op.rate,
            <ptrdiff_t>fp_random_key(job.seed, FP_STREAM_DROPOUT + k, job.step))
    elif op.kind == PRELU:
        kernels.prelu_forward(a.at, x.at, op.w, count, op.n_out, a.row, x.row)
    elif op.kind == SOFTMAX:
        kernels.softmax_forward(a.at, x.at, count, op.n_out, a.row, x.row, op.logarithm)
    elif op.kind == ADD:
        fork = output_of(job, op.fork, first)
        kernels.add_rows(a.at, x.at, fork.at, count, op.n_out, a.row, x.row, fork.row)
    elif op.kind == REPEAT:
        kernels.repeat_rows(a.at, x.at, count, op.n_in, op.pieces, a.row, x.row)
    elif op.kind == EMBED:
        kernels.embed_forward(a.at, x.at, op.w, op.sizes, op.sizes + op.n_in, count, op.n_in, a.row, x.row)
    elif op.kind == PIECEWISE:
        kernels.piecewise_forward(a.at, x.at, op.state, op.sizes, count, op.n_in, a.row, x.row)
    elif op.kind == PERIODIC:
        kernels.periodic_forward(a.at, x.at, op.w, count, op.n_in, op.n_weights // op.n_in, a.row, x.row)
    activate_rows(p, op, a, kept, count)

# ---- backward ----

cdef void multiply_slope(Job *job, ptrdiff_t k, Rows dz, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """dz = dz * g'(z) of operation k, where the kernel that made dz did not do it."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef Rows kept
    cdef ptrdiff_t i
    if op.activation == FP_ACTIVATION_identity:
        return
    kept = kept_by(job, k, first)
    if dz.row == op.n_out and kept.row == op.n_out:
        p.kernels.backward[op.activation](dz.at, kept.at, count * op.n_out, op.hyper)
        return
    for i in range(count):
        p.kernels.backward[op.activation](
            dz.at + i * dz.row * p.size, kept.at + i * kept.row * p.size, op.n_out, op.hyper)

cdef void dense_backward(
    Job *job, ptrdiff_t k, Rows dx, Rows dz, char *scratch, ptrdiff_t first, ptrdiff_t count,
) noexcept nogil:
    """dx = dz W^T, times g' of the operation below."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef ptrdiff_t piece, n_in, n_out = op.out_piece
    cdef int activation = FP_ACTIVATION_identity
    cdef const double *hyper = NULL
    cdef char *w = op.w
    cdef Rows kept = from_row(NULL, 0, 0, 0)
    if k > 0:
        activation, hyper, kept = p.ops[k - 1].activation, p.ops[k - 1].hyper, kept_by(job, k - 1, first)
    if op.shared:
        n_in = op.in_piece
        p.kernels.dense_input_gradient(
            dx.at, dz.at, w, kept.at, scratch, count * op.pieces, n_in, n_out, n_in, n_out, n_out, n_in, activation,
            hyper)
        return
    for piece in range(op.pieces):
        n_in = piece_in(op, piece)
        p.kernels.dense_input_gradient(
            dx.at, dz.at, w, kept.at, scratch, count, n_in, n_out, dx.row, dz.row, n_out, kept.row, activation, hyper)
        dx.at, dz.at, kept.at = dx.at + n_in * p.size, dz.at + n_out * p.size, element(kept.at, n_in, p.size)
        w += n_in * n_out * p.size

cdef void op_backward(Job *job, int part, ptrdiff_t k, Rows dx, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """dx = dLoss/dz of the operation below (k = 0: dLoss/dx), from dLoss/dz of operation k."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef const fp_kernels *kernels = p.kernels
    cdef Rows dz = from_row(op.dz, op.row, first, p.size), x = output_of(job, k - 1, first), a, other
    cdef char *mean = op.mean
    cdef char *rstd = op.rstd
    if op.kind == DENSE:
        dense_backward(job, k, dx, dz, p.scratch + part * p.scratch_size, first, count)
        return
    elif op.kind == COPY or op.kind == ADD or passes_through(op, job.training) and op.kind != FORK:
        kernels.add_rows(dx.at, dz.at, NULL, count, op.n_in, dx.row, dz.row, 0)
    elif op.kind == FORK:
        other = from_row(p.ops[op.fork].dz, p.ops[op.fork].row, first, p.size)
        kernels.add_rows(dx.at, dz.at, other.at, count, op.n_in, dx.row, dz.row, other.row)
    elif op.kind == SCALE:
        kernels.scale_backward(dx.at, dz.at, op.w, NULL, count, op.n_in, dx.row, dz.row)
    elif op.kind == LAYER_NORM:
        kernels.layer_norm_backward(
            dx.at, dz.at, x.at, mean + first * p.size, rstd + first * p.size, op.w, count, op.n_in, dx.row, dz.row,
            x.row)
    elif op.kind == BATCH_NORM and job.training:
        kernels.batch_norm_backward(
            dx.at, dz.at, x.at, mean, rstd, op.w, op.dw, op.db, count, op.n_in, dx.row, dz.row, x.row, job.count)
    elif op.kind == BATCH_NORM:
        kernels.scale_backward(dx.at, dz.at, op.w, rstd, count, op.n_in, dx.row, dz.row)
    elif op.kind == DROPOUT:
        kernels.multiply_rows(
            dx.at, dz.at, op.kept + first * op.row * p.size, count, op.n_in, dx.row, dz.row, op.row)
    elif op.kind == PRELU:
        kernels.prelu_backward(dx.at, dz.at, x.at, op.w, count, op.n_in, dx.row, dz.row, x.row)
    elif op.kind == SOFTMAX:
        kernels.softmax_backward(
            dx.at, dz.at, op.a + first * op.row * p.size, count, op.n_in, dx.row, dz.row, op.row, op.logarithm)
    elif op.kind == REPEAT:
        kernels.sum_copies(dx.at, dz.at, count, op.n_in, op.pieces, dx.row, dz.row)
    elif op.kind == EMBED:
        kernels.embed_backward(dx.at, dz.at, op.sizes, count, op.n_in, dx.row, dz.row)
    elif op.kind == PIECEWISE:
        kernels.piecewise_backward(
            dx.at, dz.at, x.at, op.state, op.sizes, count, op.n_in, dx.row, dz.row, x.row)
    elif op.kind == PERIODIC:
        a = from_row(op.a, op.row, first, p.size)
        kernels.periodic_backward(
            dx.at, dz.at, a.at, op.w, count, op.n_in, op.n_weights // op.n_in, dx.row, dz.row, a.row)
    if k > 0:
        multiply_slope(job, k - 1, dx, first, count)

# ---- gradients ----

cdef void op_gradient(Job *job, ptrdiff_t k, ptrdiff_t first, ptrdiff_t count, bint accumulate) noexcept nogil:
    """dw and db of an operation other than DENSE, over some rows in their order."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef const fp_kernels *kernels = p.kernels
    cdef Rows dz = from_row(op.dz, op.row, first, p.size), x = output_of(job, k - 1, first), a
    cdef char *db = op.db if op.n_biases else NULL
    if op.kind == SCALE:
        kernels.scale_gradient(
            op.dw, db, dz.at, x.at, NULL, NULL, count, op.n_out, dz.row, x.row, False, accumulate)
    elif op.kind == LAYER_NORM:
        kernels.scale_gradient(
            op.dw, db, dz.at, x.at, op.mean + first * p.size, op.rstd + first * p.size, count, op.n_out, dz.row, x.row,
            True, accumulate)
    elif op.kind == BATCH_NORM:
        kernels.scale_gradient(
            op.dw, db, dz.at, x.at, op.mean, op.rstd, count, op.n_out, dz.row, x.row, False, accumulate)
    elif op.kind == PRELU:
        kernels.prelu_gradient(op.dw, dz.at, x.at, count, op.n_out, dz.row, x.row, accumulate)
    elif op.kind == EMBED:
        kernels.embed_gradient(
            op.dw, dz.at, x.at, op.sizes, op.sizes + op.n_in, count, op.n_in, op.n_weights, dz.row, x.row, accumulate)
    elif op.kind == PERIODIC:
        a = from_row(op.a, op.row, first, p.size)
        kernels.periodic_gradient(
            op.dw, dz.at, a.at, x.at, count, op.n_in, op.n_weights // op.n_in, dz.row, a.row, x.row, accumulate)
