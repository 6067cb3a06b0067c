# The kinds of operations, each with its forward pass, its backward pass and its gradients, on some rows of the arena.
# Part of _engine.pyx.
#
# In the backward pass an operation reads dC/dz from its own dz. It computes dx, the gradient with respect to its
# input. That times g' of the operation below is the dz of the operation below, and is written there. If two operations
# read the same output (a FORK and an ADD), the FORK adds the gradients of both.

cdef enum:  # kinds
    DENSE        # a = g(x W + b)
    COPY         # a = g(x): an activation by itself
    SCALE        # a = g(x * w + b)
    LAYER_NORM   # a = g(xhat * w + b), xhat = (x - mean) / sqrt(variance + epsilon) of each row
    BATCH_NORM   # the same formula with statistics of each column: of the batch in training, else the running ones
    DROPOUT      # a = x * mask / (1 - rate) in training, else x
    PRELU        # a = x where x > 0, else w * x
    SOFTMAX      # a = softmax(x) of each row, or its logarithm
    FORK         # a = x: where a residual block begins
    ADD          # a = g(x + y), y being the output of the FORK
    REPEAT       # a = x, n_groups times: the inputs of the members of an ensemble that shares its weights
    SELECT       # a = some columns of the network's inputs, whatever comes before: where a branch begins
    CONCAT       # a = the outputs of the branches before it, side by side
    EMBED        # columns that hold a category become rows of a table
    PIECEWISE    # piecewise-linear encoding of each column
    PERIODIC     # cos(2 pi w x), sin(2 pi w x) of each column
    N_KINDS

# What an operation computes for `count` rows from row `first` of the arena on, and the arrays it uses.
cdef struct Call:
    TrainingJob *job
    const Part *part
    const Operation *op
    const fp_kernels *kernels
    ptrdiff_t itemsize
    ptrdiff_t k           # the index of op
    ptrdiff_t first
    ptrdiff_t count
    char *scratch         # of the thread
    Rows x                # (count, n_in): the input
    Rows dz               # (count, n_out): dC/dz; in the backward pass
    char *dw              # the gradients that these rows are added to
    char *db

ctypedef void (*Forward)(const Call *c, Rows a) noexcept nogil
ctypedef void (*Backward)(const Call *c, Rows dx) noexcept nogil
ctypedef void (*Gradient)(const Call *c, bint accumulate) noexcept nogil

cdef struct OperationKind:
    const char *name
    Forward forward    # writes a, (count, n_out); g is applied afterwards, except for a DENSE without an encoding
    Backward backward  # writes dx, (count, n_in); it is then multiplied by g' of the operation below, except for DENSE
    Gradient gradient  # writes dw and db, or adds to them; NULL without weights, and for DENSE: see gradients.pxi

cdef inline Rows rows_from(char *data, ptrdiff_t stride, ptrdiff_t first, ptrdiff_t itemsize) noexcept nogil:
    """The rows of an array from row `first` on; NULL stays NULL."""
    cdef Rows rows
    rows.data = data + first * stride * itemsize if data != NULL else NULL
    rows.stride = stride
    return rows

cdef inline char *element(char *array, ptrdiff_t i, ptrdiff_t itemsize) noexcept nogil:
    """The address of element i; NULL stays NULL."""
    return array + i * itemsize if array != NULL else NULL

cdef inline bint is_passthrough(const Operation *op, bint training) noexcept nogil:
    """Whether its output is its input, which is then not copied."""
    return op.kind == FORK or op.kind == DROPOUT and not training

cdef Rows output_of(const Part *part, ptrdiff_t k, ptrdiff_t first) noexcept nogil:
    """a[k] from row `first` of the arena on; a[-1] is x."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    while k >= 0 and is_passthrough(&p.operations[k], job.training):
        k -= 1
    if k >= 0:
        return rows_from(p.operations[k].a, p.operations[k].stride, first, p.itemsize)
    if job.order != NULL:  # they were gathered
        return rows_from(part.x, p.x_stride, first, p.itemsize)
    return rows_from(<char *>job.x, p.n_inputs, part.offset + first, p.itemsize)

cdef Rows saved_by(const Part *part, ptrdiff_t k, ptrdiff_t first) noexcept nogil:
    """What the activation of operation k saved: its slope or its output."""
    cdef Operation *op = &part.job.plan.operations[k]
    if saves_extra(op):
        return rows_from(op.saved, op.stride, first, part.job.plan.itemsize)
    return output_of(part, k, first)

cdef inline char *saved_from(const Call *c) noexcept nogil:
    """`saved` of the operation from row `first` on."""
    return c.op.saved + c.first * c.op.stride * c.itemsize

cdef inline char *biases(const Operation *op, char *b) noexcept nogil:
    """b, which is op.b or op.db, or NULL if the operation has no biases."""
    return b if op.n_biases else NULL

# ---- DENSE ----

cdef void encoded_forward(const Call *c, Rows a) noexcept nogil:
    """a = x W + b, whose last inputs are an encoding that is not computed."""
    cdef const Operation *op = c.op
    cdef const Operation *encoding = &c.job.plan.operations[op.encoding]
    cdef Rows x = output_of(c.part, op.encoding - 1, c.first)
    cdef ptrdiff_t column, size = c.itemsize, n_in = op.n_in - encoding.n_out
    cdef char *w = op.w + n_in * op.n_out * size
    cdef char *edges = encoding.state
    c.kernels.dense_forward(
        a.data, NULL, c.x.data, op.w, biases(op, op.b), c.scratch, c.count, n_in, op.n_out, a.stride, 0, c.x.stride,
        op.n_out, FP_ACTIVATION_identity, NULL)
    for column in range(encoding.n_in):
        c.kernels.piecewise_product(
            a.data, x.data + column * size, edges, w, c.count, encoding.sizes[column], op.n_out, a.stride, x.stride)
        edges += (encoding.sizes[column] + 1) * size
        w += encoding.sizes[column] * op.n_out * size

cdef void dense_forward(const Call *c, Rows a) noexcept nogil:
    """a = g(x W + b), group by group; of a product with an encoding, g is applied afterwards."""
    cdef const Operation *op = c.op
    cdef ptrdiff_t group, n_in, n_out = op.group_out, size = c.itemsize
    cdef char *saved = saved_from(c) if c.job.save and saves_extra(op) else NULL
    cdef char *w = op.w
    cdef char *b = biases(op, op.b)
    cdef char *x = c.x.data
    if op.encoding >= 0:
        encoded_forward(c, a)
        return
    if op.shared_weights:  # the groups of a row are rows of their own
        n_in = op.group_in
        c.kernels.dense_forward(
            a.data, saved, x, w, b, c.scratch, c.count * op.n_groups, n_in, n_out, n_out, n_out, n_in, n_out,
            op.activation, op.hyper)
        return
    for group in range(op.n_groups):
        n_in = group_inputs(op, group)
        c.kernels.dense_forward(
            a.data, saved, x, w, b, c.scratch, c.count, n_in, n_out, a.stride, op.stride, c.x.stride, n_out,
            op.activation, op.hyper)
        a.data, saved, x = a.data + n_out * size, element(saved, n_out, size), x + n_in * size
        w, b = w + n_in * n_out * size, element(b, n_out, size)

cdef void dense_forward_columns(const Call *c, Rows a, ptrdiff_t first, ptrdiff_t n) noexcept nogil:
    """`n` columns of a from column `first` on, if there is one group."""
    cdef const Operation *op = c.op
    cdef ptrdiff_t size = c.itemsize
    cdef char *saved = saved_from(c) if c.job.save and saves_extra(op) else NULL
    c.kernels.dense_forward(
        a.data + first * size, element(saved, first, size), c.x.data, op.w + first * size,
        element(biases(op, op.b), first, size), c.scratch, c.count, op.n_in, n, a.stride, op.stride, c.x.stride,
        op.n_out, op.activation, op.hyper)

cdef void dense_backward_columns(const Call *c, Rows dx, ptrdiff_t first, ptrdiff_t n) noexcept nogil:
    """`n` columns of dx from column `first` on, if there is one group."""
    cdef const Operation *op = c.op
    cdef const Operation *below = &c.job.plan.operations[c.k - 1] if c.k > 0 else NULL
    cdef ptrdiff_t size = c.itemsize
    cdef Rows saved = saved_by(c.part, c.k - 1, c.first) if below != NULL else rows_from(NULL, 0, 0, 0)
    c.kernels.dense_input_gradient(
        dx.data + first * size, c.dz.data, op.w + first * op.n_out * size, element(saved.data, first, size), c.scratch,
        c.count, n, op.n_out, dx.stride, c.dz.stride, op.n_out, saved.stride,
        below.activation if below != NULL else FP_ACTIVATION_identity, below.hyper if below != NULL else NULL)

cdef void dense_backward(const Call *c, Rows dx) noexcept nogil:
    """dx = dz W^T, times g' of the operation below."""
    cdef const Operation *op = c.op
    cdef const Operation *below
    cdef ptrdiff_t group, n_in, n_out = op.group_out, size = c.itemsize
    cdef int activation = FP_ACTIVATION_identity
    cdef const double *hyper = NULL
    cdef char *w = op.w
    cdef char *dz = c.dz.data
    cdef Rows saved = rows_from(NULL, 0, 0, 0)
    if c.k > 0:
        below = &c.job.plan.operations[c.k - 1]
        activation, hyper, saved = below.activation, below.hyper, saved_by(c.part, c.k - 1, c.first)
    if op.encoding >= 0 and c.job.dx == NULL:  # nothing before the encoding learns
        n_in = op.n_in - c.job.plan.operations[op.encoding].n_out
        c.kernels.dense_input_gradient(
            dx.data, dz, w, saved.data, c.scratch, c.count, n_in, n_out, dx.stride, c.dz.stride, n_out, saved.stride,
            activation, hyper)
        return
    if op.shared_weights:
        n_in = op.group_in
        c.kernels.dense_input_gradient(
            dx.data, dz, w, saved.data, c.scratch, c.count * op.n_groups, n_in, n_out, n_in, n_out, n_out, n_in,
            activation, hyper)
        return
    for group in range(op.n_groups):
        n_in = group_inputs(op, group)
        c.kernels.dense_input_gradient(
            dx.data, dz, w, saved.data, c.scratch, c.count, n_in, n_out, dx.stride, c.dz.stride, n_out, saved.stride,
            activation, hyper)
        dx.data, dz, saved.data = dx.data + n_in * size, dz + n_out * size, element(saved.data, n_in, size)
        w += n_in * n_out * size

# ---- COPY, FORK, ADD ----

cdef void copy_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.add_rows(a.data, c.x.data, NULL, c.count, c.op.n_out, a.stride, c.x.stride, 0)

cdef void copy_backward(const Call *c, Rows dx) noexcept nogil:
    c.kernels.add_rows(dx.data, c.dz.data, NULL, c.count, c.op.n_in, dx.stride, c.dz.stride, 0)

cdef void fork_backward(const Call *c, Rows dx) noexcept nogil:
    """Add the gradients of both branches; that of the direct one is the dz of the ADD."""
    cdef const Operation *add = &c.job.plan.operations[c.op.fork]
    cdef Rows other = rows_from(add.dz, add.stride, c.first, c.itemsize)
    c.kernels.add_rows(
        dx.data, c.dz.data, other.data, c.count, c.op.n_in, dx.stride, c.dz.stride, other.stride)

cdef void add_forward(const Call *c, Rows a) noexcept nogil:
    cdef Rows fork = output_of(c.part, c.op.fork, c.first)
    c.kernels.add_rows(a.data, c.x.data, fork.data, c.count, c.op.n_out, a.stride, c.x.stride, fork.stride)

# ---- SCALE ----

cdef void scale_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.scale_forward(
        a.data, c.x.data, NULL, NULL, c.op.w, biases(c.op, c.op.b), c.count, c.op.n_out, a.stride, c.x.stride, False)

cdef void scale_backward(const Call *c, Rows dx) noexcept nogil:
    c.kernels.scale_backward(dx.data, c.dz.data, c.op.w, NULL, c.count, c.op.n_in, dx.stride, c.dz.stride)

cdef void scale_gradient(const Call *c, bint accumulate) noexcept nogil:
    c.kernels.scale_gradient(
        c.dw, biases(c.op, c.db), c.dz.data, c.x.data, NULL, NULL, c.count, c.op.n_out, c.dz.stride, c.x.stride,
        False, accumulate)

# ---- LAYER_NORM ----

cdef void layer_norm_forward(const Call *c, Rows a) noexcept nogil:
    cdef char *mean = c.op.mean + c.first * c.itemsize
    cdef char *rstd = c.op.rstd + c.first * c.itemsize
    c.kernels.row_statistics(mean, rstd, c.x.data, c.count, c.op.n_in, c.x.stride, c.op.epsilon)
    c.kernels.scale_forward(
        a.data, c.x.data, mean, rstd, c.op.w, biases(c.op, c.op.b), c.count, c.op.n_out, a.stride, c.x.stride, True)

cdef void layer_norm_backward(const Call *c, Rows dx) noexcept nogil:
    c.kernels.layer_norm_backward(
        dx.data, c.dz.data, c.x.data, c.op.mean + c.first * c.itemsize, c.op.rstd + c.first * c.itemsize, c.op.w,
        c.count, c.op.n_in, dx.stride, c.dz.stride, c.x.stride)

cdef void layer_norm_gradient(const Call *c, bint accumulate) noexcept nogil:
    c.kernels.scale_gradient(
        c.dw, biases(c.op, c.db), c.dz.data, c.x.data, c.op.mean + c.first * c.itemsize,
        c.op.rstd + c.first * c.itemsize, c.count, c.op.n_out, c.dz.stride, c.x.stride, True, accumulate)

# ---- BATCH_NORM: batch_norm.pxi computes the statistics, and in training dw and db before the backward pass ----

cdef void batch_norm_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.scale_forward(
        a.data, c.x.data, c.op.mean, c.op.rstd, c.op.w, biases(c.op, c.op.b), c.count, c.op.n_out, a.stride,
        c.x.stride, False)

cdef void batch_norm_backward(const Call *c, Rows dx) noexcept nogil:
    if c.job.training:
        c.kernels.batch_norm_backward(
            dx.data, c.dz.data, c.x.data, c.op.mean, c.op.rstd, c.op.w, c.dw, c.db, c.count, c.op.n_in,
            dx.stride, c.dz.stride, c.x.stride, c.job.norm_rows)
    else:
        c.kernels.scale_backward(
            dx.data, c.dz.data, c.op.w, c.op.rstd, c.count, c.op.n_in, dx.stride, c.dz.stride)

cdef void batch_norm_gradient(const Call *c, bint accumulate) noexcept nogil:
    if not c.job.training:
        c.kernels.scale_gradient(
            c.dw, biases(c.op, c.db), c.dz.data, c.x.data, c.op.mean, c.op.rstd, c.count, c.op.n_out,
            c.dz.stride, c.x.stride, False, accumulate)

# ---- DROPOUT ----

cdef void dropout_forward(const Call *c, Rows a) noexcept nogil:
    """Called in training only: otherwise a DROPOUT passes its input through."""
    cdef TrainingJob *job = c.job
    c.kernels.dropout(
        a.data, saved_from(c), c.x.data, c.count, c.op.n_out, a.stride, c.op.stride, c.x.stride,
        c.part.offset + c.first - job.batch_offset, c.op.rate,
        <ptrdiff_t>fp_random_key(job.seed, FP_STREAM_DROPOUT + c.k, job.step))

cdef void dropout_backward(const Call *c, Rows dx) noexcept nogil:
    if c.job.training:
        c.kernels.multiply_rows(
            dx.data, c.dz.data, saved_from(c), c.count, c.op.n_in, dx.stride, c.dz.stride, c.op.stride)
    else:
        copy_backward(c, dx)

# ---- PRELU ----

cdef void prelu_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.prelu_forward(a.data, c.x.data, c.op.w, c.count, c.op.n_out, a.stride, c.x.stride)

cdef void prelu_backward(const Call *c, Rows dx) noexcept nogil:
    c.kernels.prelu_backward(
        dx.data, c.dz.data, c.x.data, c.op.w, c.count, c.op.n_in, dx.stride, c.dz.stride, c.x.stride)

cdef void prelu_gradient(const Call *c, bint accumulate) noexcept nogil:
    c.kernels.prelu_gradient(
        c.dw, c.dz.data, c.x.data, c.count, c.op.n_out, c.dz.stride, c.x.stride, accumulate)

# ---- SOFTMAX ----

cdef void softmax_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.softmax_forward(a.data, c.x.data, c.count, c.op.n_out, a.stride, c.x.stride, c.op.logarithm)

cdef void softmax_backward(const Call *c, Rows dx) noexcept nogil:
    cdef Rows a = rows_from(c.op.a, c.op.stride, c.first, c.itemsize)
    c.kernels.softmax_backward(
        dx.data, c.dz.data, a.data, c.count, c.op.n_in, dx.stride, c.dz.stride, a.stride, c.op.logarithm)

# ---- REPEAT ----

cdef void repeat_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.repeat_rows(a.data, c.x.data, c.count, c.op.n_in, c.op.n_groups, a.stride, c.x.stride)

cdef void repeat_backward(const Call *c, Rows dx) noexcept nogil:
    c.kernels.sum_copies(dx.data, c.dz.data, c.count, c.op.n_in, c.op.n_groups, dx.stride, c.dz.stride)

# ---- SELECT, CONCAT: the a and dz of the last operation of a branch are columns of those of the CONCAT ----

cdef void select_forward(const Call *c, Rows a) noexcept nogil:
    cdef Rows x = output_of(c.part, -1, c.first)
    c.kernels.select_forward(a.data, x.data, c.op.sizes, c.count, c.op.n_out, a.stride, x.stride)

cdef void select_backward(const Call *c, Rows dx) noexcept nogil:
    """Write these columns of the network's dC/dx, if it is wanted; the dz of the operation before is complete."""
    cdef TrainingJob *job = c.job
    if job.dx != NULL:
        dx = rows_from(job.dx, job.plan.n_inputs, c.part.offset + c.first, c.itemsize)
        c.kernels.select_backward(dx.data, c.dz.data, c.op.sizes, c.count, c.op.n_out, dx.stride, c.dz.stride)

cdef void concat_forward(const Call *c, Rows a) noexcept nogil:
    """Copy the outputs of the branches if they are wanted outside of the arena."""
    cdef Rows own = rows_from(c.op.a, c.op.stride, c.first, c.itemsize)
    if a.data != own.data:
        c.kernels.add_rows(a.data, own.data, NULL, c.count, c.op.n_out, a.stride, own.stride, 0)

cdef void concat_backward(const Call *c, Rows dx) noexcept nogil:
    """Do nothing: the branches have their dz already."""

# ---- EMBED: its weights are the tables, one after the other ----

cdef void embed_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.embed_forward(
        a.data, c.x.data, c.op.w, c.op.sizes, c.op.sizes + c.op.n_in, c.count, c.op.n_in, a.stride, c.x.stride)

cdef void embed_backward(const Call *c, Rows dx) noexcept nogil:
    c.kernels.embed_backward(dx.data, c.dz.data, c.op.sizes, c.count, c.op.n_in, dx.stride, c.dz.stride)

cdef void embed_gradient(const Call *c, bint accumulate) noexcept nogil:
    c.kernels.embed_gradient(
        c.dw, c.dz.data, c.x.data, c.op.sizes, c.op.sizes + c.op.n_in, c.count, c.op.n_in, c.op.n_weights,
        c.dz.stride, c.x.stride, accumulate)

# ---- PIECEWISE: its state is the edges of the bins ----

cdef void piecewise_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.piecewise_forward(
        a.data, c.x.data, c.op.state, c.op.sizes, c.count, c.op.n_in, a.stride, c.x.stride)

cdef void piecewise_backward(const Call *c, Rows dx) noexcept nogil:
    c.kernels.piecewise_backward(
        dx.data, c.dz.data, c.x.data, c.op.state, c.op.sizes, c.count, c.op.n_in, dx.stride, c.dz.stride, c.x.stride)

# ---- PERIODIC: its weights are the frequencies, (n_in, n_frequencies) ----

cdef void periodic_forward(const Call *c, Rows a) noexcept nogil:
    c.kernels.periodic_forward(
        a.data, c.x.data, c.op.w, c.count, c.op.n_in, c.op.n_weights // c.op.n_in, a.stride, c.x.stride)

cdef void periodic_backward(const Call *c, Rows dx) noexcept nogil:
    cdef Rows a = rows_from(c.op.a, c.op.stride, c.first, c.itemsize)
    c.kernels.periodic_backward(
        dx.data, c.dz.data, a.data, c.op.w, c.count, c.op.n_in, c.op.n_weights // c.op.n_in, dx.stride, c.dz.stride,
        a.stride)

cdef void periodic_gradient(const Call *c, bint accumulate) noexcept nogil:
    cdef Rows a = rows_from(c.op.a, c.op.stride, c.first, c.itemsize)
    c.kernels.periodic_gradient(
        c.dw, c.dz.data, a.data, c.x.data, c.count, c.op.n_in, c.op.n_weights // c.op.n_in, c.dz.stride, a.stride,
        c.x.stride, accumulate)

# ---- the table of kinds ----

cdef OperationKind[N_KINDS] kinds
kinds[DENSE] = OperationKind(b"dense", dense_forward, dense_backward, NULL)
kinds[COPY] = OperationKind(b"copy", copy_forward, copy_backward, NULL)
kinds[SCALE] = OperationKind(b"scale", scale_forward, scale_backward, scale_gradient)
kinds[LAYER_NORM] = OperationKind(b"layer_norm", layer_norm_forward, layer_norm_backward, layer_norm_gradient)
kinds[BATCH_NORM] = OperationKind(b"batch_norm", batch_norm_forward, batch_norm_backward, batch_norm_gradient)
kinds[DROPOUT] = OperationKind(b"dropout", dropout_forward, dropout_backward, NULL)
kinds[PRELU] = OperationKind(b"prelu", prelu_forward, prelu_backward, prelu_gradient)
kinds[SOFTMAX] = OperationKind(b"softmax", softmax_forward, softmax_backward, NULL)
kinds[FORK] = OperationKind(b"fork", NULL, fork_backward, NULL)  # always passed through
kinds[ADD] = OperationKind(b"add", add_forward, copy_backward, NULL)
kinds[REPEAT] = OperationKind(b"repeat", repeat_forward, repeat_backward, NULL)
kinds[SELECT] = OperationKind(b"select", select_forward, select_backward, NULL)
kinds[CONCAT] = OperationKind(b"concat", concat_forward, concat_backward, NULL)
kinds[EMBED] = OperationKind(b"embed", embed_forward, embed_backward, embed_gradient)
kinds[PIECEWISE] = OperationKind(b"piecewise", piecewise_forward, piecewise_backward, NULL)
kinds[PERIODIC] = OperationKind(b"periodic", periodic_forward, periodic_backward, periodic_gradient)

KINDS = {kinds[kind].name.decode(): kind for kind in range(N_KINDS)}

# ---- one operation, of whatever kind ----

cdef inline void set_call(
    Call *c, const Part *part, ptrdiff_t k, ptrdiff_t first, ptrdiff_t count,
) noexcept nogil:
    cdef Plan *p = part.job.plan
    c.job, c.part, c.op, c.kernels, c.itemsize, c.k = part.job, part, &p.operations[k], p.kernels, p.itemsize, k
    c.first, c.count, c.scratch = first, count, p.scratch + part.index * p.scratch_size
    c.x = output_of(part, k - 1, first)
    c.dz = rows_from(c.op.dz, c.op.stride, first, p.itemsize)
    c.dw, c.db = c.op.dw + part.gradient, c.op.db + part.gradient

cdef void apply_activation(Plan *p, const Operation *op, Rows a, char *saved, ptrdiff_t count) noexcept nogil:
    """a = g(a), for operations whose kernel does not apply g; `saved` receives g', or is NULL."""
    cdef ptrdiff_t i
    if op.activation == FP_ACTIVATION_identity:
        return
    if a.stride == op.n_out:
        p.kernels.forward[op.activation](a.data, saved, count * op.n_out, op.hyper)
        return
    for i in range(count):
        p.kernels.forward[op.activation](
            a.data + i * a.stride * p.itemsize, element(saved, i * op.stride, p.itemsize), op.n_out, op.hyper)

cdef void multiply_slope(const Part *part, ptrdiff_t k, Rows dz, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """dz = dz * g'(z) of operation k, if the kernel that wrote dz did not multiply it."""
    cdef Plan *p = part.job.plan
    cdef Operation *op = &p.operations[k]
    cdef Rows saved
    cdef ptrdiff_t i
    if op.activation == FP_ACTIVATION_identity:
        return
    saved = saved_by(part, k, first)
    if dz.stride == op.n_out and saved.stride == op.n_out:
        p.kernels.backward[op.activation](dz.data, saved.data, count * op.n_out, op.hyper)
        return
    for i in range(count):
        p.kernels.backward[op.activation](
            dz.data + i * dz.stride * p.itemsize, saved.data + i * saved.stride * p.itemsize, op.n_out, op.hyper)

cdef void operation_forward(
    const Part *part, ptrdiff_t k, Rows a, ptrdiff_t first, ptrdiff_t count,
) noexcept nogil:
    """a = the output of operation k for a_{k-1}."""
    cdef Call c
    set_call(&c, part, k, first, count)
    c.op.functions.forward(&c, a)
    if c.op.kind != DENSE or c.op.encoding >= 0:
        apply_activation(c.job.plan, c.op, a, saved_from(&c) if c.job.save and saves_extra(c.op) else NULL, count)

cdef void operation_backward(
    const Part *part, ptrdiff_t k, Rows dx, ptrdiff_t first, ptrdiff_t count,
) noexcept nogil:
    """dx = dC/dz of operation k - 1 (k = 0: dC/dx), from dC/dz of operation k."""
    cdef Call c
    set_call(&c, part, k, first, count)
    c.op.functions.backward(&c, dx)
    if k > 0 and c.op.kind != DENSE:
        multiply_slope(part, k - 1, dx, first, count)

cdef void operation_gradient(const Part *part, ptrdiff_t k, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """dw and db of an operation other than DENSE, over some rows in their order."""
    cdef Call c
    set_call(&c, part, k, first, count)
    c.op.functions.gradient(&c, part.accumulate)
