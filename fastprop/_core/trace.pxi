# Both passes with every number kept, for explanations. Part of _engine.pyx.
#
# The kernels and their order are those of training, except that activations are applied by their own kernels and not
# within a product: both give the same bits.

cdef object copy_rows(const char *start, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t stride, Plan *p):
    """Return a new array (rows, n) with a copy of numbers in the arena."""
    cdef ptrdiff_t i
    cdef Buffer buffer
    array = numpy.empty((rows, n), numpy.float32 if p.itemsize == 4 else numpy.float64)
    buffer = Buffer(array, True)
    for i in range(rows):
        memcpy(buffer.start + i * n * p.itemsize, start + i * stride * p.itemsize, n * p.itemsize)
    return array


cdef object trace_forward(Part *part, ptrdiff_t k):
    """Run operation k forward and return its (z, a), each (rows, n_out)."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef int activation = op.activation
    cdef Rows a
    if is_passthrough(op, job.training):
        a = output_of(part, k, 0)
        return (copy_rows(a.data, job.count, op.n_out, a.stride, p),) * 2
    a = rows_from(op.a, op.stride, 0, p.itemsize)
    if op.kind == BATCH_NORM and job.training:
        job.forward_end = k
        column_statistics(job, 0, 1)
    op.activation = FP_ACTIVATION_identity
    operation_forward(part, k, a, 0, job.count)
    op.activation = activation
    z = copy_rows(a.data, job.count, op.n_out, a.stride, p)
    apply_activation(p, op, a, op.saved if saves_extra(op) and op.kind != DROPOUT else NULL, job.count)
    return z, copy_rows(a.data, job.count, op.n_out, a.stride, p)


cdef object trace_backward(Part *part, ptrdiff_t k):
    """Run operation k backward and return its (slope, da, dz), each (rows, n_out), slope being g'(z).

    It expects dL/da of the operation in its dz, and leaves that of the operation below in the dz of that one.
    """
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef Operation *below = &p.operations[k - 1] if k > 0 else NULL
    cdef Rows dz = rows_from(op.dz, op.stride, 0, p.itemsize)
    cdef int activation
    cdef Buffer ones
    da = copy_rows(dz.data, job.count, op.n_out, dz.stride, p)
    slope = numpy.ones_like(da)
    ones = Buffer(slope, True)
    multiply_slope(part, k, rows_from(ones.start, op.n_out, 0, p.itemsize), 0, job.count)
    multiply_slope(part, k, dz, 0, job.count)
    # copied now, since a DROPOUT that works in place overwrites its dz
    result = slope, da, copy_rows(dz.data, job.count, op.n_out, dz.stride, p)
    if op.kind == BATCH_NORM and job.training:
        job.backward_begin = k
        column_gradients(job, 0, 1)
    if below == NULL:
        operation_backward(part, k, rows_from(job.dx, p.n_inputs, 0, p.itemsize), 0, job.count)
    else:
        activation, below.activation = below.activation, FP_ACTIVATION_identity
        operation_backward(part, k, rows_from(below.dz, below.stride, 0, p.itemsize), 0, job.count)
        below.activation = activation
    return result


cdef object row_losses(TrainingJob *job):
    """Return the loss of each row, (rows, members), not multiplied by its weight."""
    cdef Plan *p = job.plan
    cdef Operation *last = &p.operations[p.n_operations - 1]
    cdef ptrdiff_t i, member, row
    cdef double cost
    losses = numpy.empty((job.count, p.members))
    for i in range(job.count):
        for member in range(p.members):
            row, cost = i * p.members + member, 0
            p.kernels.loss[job.loss](
                &cost, NULL, last.a + row * p.n_outputs * p.itemsize,
                element(<char *>job.y, i * p.n_targets, p.itemsize), job.label + i if job.y == NULL else NULL, NULL, 1,
                p.n_outputs, p.n_targets, 0, p.hyper + p.n_operations * FP_HYPER)
            losses[i, member] = cost
    return losses


cdef object trace_passes(TrainingJob *job, object dx):
    """Run both passes over the job's rows; see ``Engine.trace``."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k, s, row, end
    cdef Part whole
    cdef Part *part = &whole
    cdef Sums sums
    sums.n = 0
    job.batch_weight = sum_weights(job, 0, job.rows)
    job.count, job.norm_rows, job.last_block = job.rows, job.rows, True
    whole = block_part(job, 0)
    load_running_statistics(job)
    forward = [trace_forward(part, k) for k in range(p.n_operations)]
    loss_rows(part, 0, job.count)
    backward = [trace_backward(part, k) for k in range(p.n_operations - 1, -1, -1)][::-1]
    set_batch(job, 0, job.rows)
    for s in range(job.n_slices):
        row, end = slice_start(job, s), slice_start(job, s + 1)
        part.gradient = slice_gradient(p, sums.n) - p.gradient
        sum_gradients(part, 0, p.n_operations, row, end - row, 0, 1, 1)
        push_sum(&sums, p, s, 1, sums.n, 0, p.n_parameters)
    names = "z", "a", "slope", "da", "dz"
    operations = [dict(zip(names, first + second)) for first, second in zip(forward, backward)]
    gradient = copy_rows(p.gradient, 1, p.n_parameters, p.n_parameters, p)[0]
    return operations, row_losses(job), gradient, dx
