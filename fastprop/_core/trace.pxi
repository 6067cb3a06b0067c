# Both passes with every number kept, for those who want to see them. Part of _engine.pyx.
#
# The same kernels in the same order as in training, except that what is fused there is done one after the other here:
# an activation gives the same bits in a product's registers and by itself.

cdef object copied(const char *start, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t row, Plan *p):
    """A new array (rows, n) of numbers that lie in the arena."""
    cdef ptrdiff_t i
    cdef Buffer buffer
    array = numpy.empty((rows, n), numpy.float32 if p.size == 4 else numpy.float64)
    buffer = Buffer(array, True)
    for i in range(rows):
        memcpy(buffer.start + i * n * p.size, start + i * row * p.size, n * p.size)
    return array


cdef object trace_up(Job *job, ptrdiff_t k):
    """Operation k forward: its z and its a."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef int activation = op.activation
    cdef Rows a
    if passes_through(op, job.training):
        a = output_of(job, k, 0)
        return (copied(a.at, job.count, op.n_out, a.row, p),) * 2
    a = from_row(op.a, op.row, 0, p.size)
    if op.kind == BATCH_NORM and job.training:
        job.up_to = k
        batch_statistics(job, 0, 1)
    op.activation = FP_ACTIVATION_identity
    op_forward(job, 0, k, a, 0, job.count)
    op.activation = activation
    z = copied(a.at, job.count, op.n_out, a.row, p)
    activate_rows(p, op, a, op.kept if keeps_more(op) and op.kind != DROPOUT else NULL, job.count)
    return z, copied(a.at, job.count, op.n_out, a.row, p)


cdef object trace_down(Job *job, ptrdiff_t k):
    """Operation k backward, from dLoss/da in its dz: g'(z), da and dz; dLoss/da of the one below is in its dz then."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef Op *below = &p.ops[k - 1] if k > 0 else NULL
    cdef Rows dz = from_row(op.dz, op.row, 0, p.size)
    cdef int activation
    cdef Buffer ones
    da = copied(dz.at, job.count, op.n_out, dz.row, p)
    slope = numpy.ones_like(da)
    ones = Buffer(slope, True)
    multiply_slope(job, k, from_row(ones.start, op.n_out, 0, p.size), 0, job.count)
    multiply_slope(job, k, dz, 0, job.count)
    found = slope, da, copied(dz.at, job.count, op.n_out, dz.row, p)  # a dropout's gives way to the one below
    if op.kind == BATCH_NORM and job.training:
        job.down_from = k
        norm_gradient(job, 0, 1)
    if below == NULL:
        op_backward(job, 0, k, from_row(job.dx, p.n_inputs, 0, p.size), 0, job.count)
    else:
        activation, below.activation = below.activation, FP_ACTIVATION_identity
        op_backward(job, 0, k, from_row(below.dz, below.row, 0, p.size), 0, job.count)
        below.activation = activation
    return found


cdef object row_losses(Job *job):
    """The loss of each row, (rows, members), without its weight."""
    cdef Plan *p = job.plan
    cdef Op *last = &p.ops[p.n_ops - 1]
    cdef ptrdiff_t i, member, row
    cdef double cost
    losses = numpy.empty((job.count, p.members))
    for i in range(job.count):
        for member in range(p.members):
            row, cost = i * p.members + member, 0
            p.kernels.loss[job.loss](
                &cost, NULL, last.a + row * p.n_outputs * p.size, element(<char *>job.y, i * p.n_targets, p.size),
                job.label + i if job.y == NULL else NULL, NULL, 1, p.n_outputs, p.n_targets, 0,
                p.hyper + p.n_ops * FP_HYPER)
            losses[i, member] = cost
    return losses


cdef object trace_passes(Job *job, object dx):
    """See ``Engine.trace``."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    job.batch_weight = weight_of(job, 0, job.rows)
    job.count = job.rows
    ready_norms(job)
    up = [trace_up(job, k) for k in range(p.n_ops)]
    loss(job, 0, job.count)
    down = [trace_down(job, k) for k in range(p.n_ops - 1, -1, -1)][::-1]
    sum_gradients(job, 0, 1)
    operations = [dict(zip(("z", "a", "slope", "da", "dz"), numbers[0] + numbers[1])) for numbers in zip(up, down)]
    gradient = copied(p.gradient, 1, p.n_parameters, p.n_parameters, p)[0]
    return operations, row_losses(job), gradient, dx
