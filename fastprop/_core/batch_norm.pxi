# The statistics of batch norms: those of the batch in training, else the running ones. Part of _engine.pyx.

cdef inline double column_flops(const TrainingJob *job, ptrdiff_t norm) noexcept nogil:
    """The cost, in flops, of reading the columns of a batch norm twice."""
    return 2.0 * ELEMENTWISE_FLOPS * job.count * job.plan.operations[norm].n_out

cdef void column_statistics(void *context, int part, int n_parts) noexcept nogil:
    """Mean and 1 / standard deviation of one part of the input columns of batch norm forward_end."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[job.forward_end]
    cdef Part block = block_part(job, part)
    cdef Rows x = output_of(&block, job.forward_end - 1, 0)
    cdef ptrdiff_t count, first = part_lines(op.n_out, part, n_parts, &count)
    cdef char *mean = op.mean + first * p.itemsize
    cdef char *rstd = op.rstd + first * p.itemsize
    p.kernels.column_statistics(mean, rstd, x.data + first * p.itemsize, job.count, count, x.stride)
    if job.norm_ranks != NULL:
        return  # share_statistics needs the variance
    if p.itemsize == 4:
        inverse_deviation(<float *>rstd, <const float *>rstd, count, op.epsilon)
    else:
        inverse_deviation(<double *>rstd, <const double *>rstd, count, op.epsilon)

cdef void column_gradients(void *context, int part, int n_parts) noexcept nogil:
    """dw and db of one part of the columns of batch norm backward_begin, whose backward pass needs them."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[job.backward_begin]
    cdef Part block = block_part(job, part)
    cdef Rows x = output_of(&block, job.backward_begin - 1, 0)
    cdef ptrdiff_t count, first = part_lines(op.n_out, part, n_parts, &count), at = first * p.itemsize
    p.kernels.scale_gradient(
        op.dw + at, op.db + at, op.dz + at, x.data + at, op.mean + at, op.rstd + at, job.count, count, op.stride,
        x.stride, False, False)

cdef void inverse_deviation(real *rstd, const real *variance, ptrdiff_t n, double epsilon) noexcept nogil:
    """rstd = 1 / sqrt(variance + epsilon); both may be the same array."""
    cdef ptrdiff_t j
    for j in range(n):
        rstd[j] = <real>(1 / sqrt(variance[j] + epsilon))

cdef void follow_batch(
    real *state, const real *mean, const real *rstd, const Operation *op, ptrdiff_t rows,
) noexcept nogil:
    """Move the running mean and unbiased variance, (2, n_out) in `state`, by `momentum` towards those of a batch."""
    cdef ptrdiff_t j, n = op.n_out
    cdef double unbias = <double>rows / (rows - 1) if rows > 1 else 1
    for j in range(n):
        state[j] += <real>(op.momentum * (mean[j] - state[j]))
        state[n + j] += <real>(op.momentum * (unbias * (1 / (<double>rstd[j] * rstd[j]) - op.epsilon) - state[n + j]))

cdef void load_running_statistics(TrainingJob *job) noexcept nogil:
    """Outside training, set the mean and rstd of every batch norm from its running statistics."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k, n
    cdef Operation *op
    if job.training or not p.has_batch_norm or not job.do_forward:
        return
    for k in range(p.n_operations):
        op = &p.operations[k]
        if op.kind == BATCH_NORM:
            n = op.n_out
            memcpy(op.mean, op.state, n * p.itemsize)
            if p.itemsize == 4:
                inverse_deviation(<float *>op.rstd, <const float *>op.state + n, n, op.epsilon)
            else:
                inverse_deviation(<double *>op.rstd, <const double *>op.state + n, n, op.epsilon)

cdef void update_running_statistics(TrainingJob *job) noexcept nogil:
    """In training, update the running statistics of every batch norm after a batch."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Operation *op
    if not (job.training and p.has_batch_norm):
        return
    for k in range(p.n_operations):
        op = &p.operations[k]
        if op.kind == BATCH_NORM and p.itemsize == 4:
            follow_batch(<float *>op.state, <const float *>op.mean, <const float *>op.rstd, op, job.norm_rows)
        elif op.kind == BATCH_NORM:
            follow_batch(<double *>op.state, <const double *>op.mean, <const double *>op.rstd, op, job.norm_rows)

# ---- over the ranks of a distributed training: a batch is normalised as if one process had all of its rows ----

cdef void sum_over_ranks(TrainingJob *job, double *numbers, ptrdiff_t n) noexcept with gil:
    """Add up `numbers`, (n,), over the ranks; an exception that this raises ends the step."""
    if job.interrupts.raised != NULL:
        return
    fp_denormals_restore(job.interrupts.float_state)
    try:
        (<object>job.norm_ranks).sum(numpy.asarray(<double[:n]>numbers))
    except BaseException as raised:
        stop_work(&job.interrupts, raised)
    fp_denormals_flush()

cdef void load_doubles(double *numbers, const real *elements, ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(n):
        numbers[i] = elements[i]

cdef void store_doubles(real *elements, const double *numbers, ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(n):
        elements[i] = <real>numbers[i]

cdef void load_numbers(const Plan *p, double *numbers, const char *elements, ptrdiff_t n) noexcept nogil:
    """numbers[i] = elements[i], whatever their dtype."""
    if p.itemsize == 4:
        load_doubles(numbers, <const float *>elements, n)
    else:
        load_doubles(numbers, <const double *>elements, n)

cdef void store_numbers(const Plan *p, char *elements, const double *numbers, ptrdiff_t n) noexcept nogil:
    """elements[i] = numbers[i], whatever their dtype."""
    if p.itemsize == 4:
        store_doubles(<float *>elements, numbers, n)
    else:
        store_doubles(<double *>elements, numbers, n)

cdef void share_statistics(TrainingJob *job) noexcept nogil:
    """Make mean and rstd of batch norm forward_end those of the rows of all ranks; rstd holds the variance before.

    The variance is that of Chan, Golub and LeVeque (1983): mean of (variance + (mean - mean of all)^2) over the rows.
    """
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[job.forward_end]
    cdef ptrdiff_t j, n = op.n_out
    cdef double *mean = p.norm_sums
    cdef double *own = mean + n + 1
    cdef double *variance = own + n
    memset(mean, 0, (3 * n + 1) * sizeof(double))
    if job.count > 0:
        load_numbers(p, own, op.mean, n)
        load_numbers(p, variance, op.rstd, n)
    for j in range(n):
        mean[j] = own[j] * job.count
    mean[n] = job.count
    sum_over_ranks(job, mean, n + 1)
    job.norm_rows = <ptrdiff_t>mean[n]
    for j in range(n):
        mean[j] /= max(mean[n], 1.0)
        variance[j] = (variance[j] + (own[j] - mean[j]) * (own[j] - mean[j])) * job.count
    sum_over_ranks(job, variance, n)
    for j in range(n):
        variance[j] = 1 / sqrt(variance[j] / max(mean[n], 1.0) + op.epsilon)
    store_numbers(p, op.mean, mean, n)
    store_numbers(p, op.rstd, variance, n)

cdef void share_gradients(TrainingJob *job) noexcept nogil:
    """Make dw and db of batch norm backward_begin those of the rows of all ranks."""
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[job.backward_begin]
    cdef ptrdiff_t n = op.n_out
    load_numbers(p, p.norm_sums, op.dw, n)
    load_numbers(p, p.norm_sums + n, op.db, n)
    sum_over_ranks(job, p.norm_sums, 2 * n)
    store_numbers(p, op.dw, p.norm_sums, n)
    store_numbers(p, op.db, p.norm_sums + n, n)

cdef void clear_norm_gradients(TrainingJob *job) noexcept nogil:
    """Set dw and db of every batch norm to 0, on all ranks but one: they are those of all rows already."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    for k in range(p.n_operations):
        if p.operations[k].kind == BATCH_NORM:
            memset(p.operations[k].dw, 0, p.operations[k].n_weights * p.itemsize)
            memset(p.operations[k].db, 0, p.operations[k].n_biases * p.itemsize)
