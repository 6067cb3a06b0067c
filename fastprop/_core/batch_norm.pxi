# The statistics of batch norms: of the batch in training, else the running ones. Part of _engine.pyx.

cdef inline double flops_of_columns(const Job *job, ptrdiff_t norm) noexcept nogil:
    """What two sweeps over the columns of a batch norm are worth."""
    return 2.0 * FLOPS_OF_A_PASS * job.count * job.plan.ops[norm].n_out

cdef void batch_statistics(void *context, int part, int parts) noexcept nogil:
    """Mean and 1 / deviation of one part of the columns that come into a batch norm."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[job.up_to]
    cdef Rows x = output_of(job, job.up_to - 1, 0)
    cdef ptrdiff_t count, first = share_lines(op.n_out, part, parts, &count)
    cdef char *mean = op.mean + first * p.size
    cdef char *rstd = op.rstd + first * p.size
    p.kernels.column_statistics(mean, rstd, x.at + first * p.size, job.count, count, x.row)
    if p.size == 4:
        invert_deviation(<float *>rstd, <const float *>rstd, count, op.epsilon)
    else:
        invert_deviation(<double *>rstd, <const double *>rstd, count, op.epsilon)

cdef void norm_gradient(void *context, int part, int parts) noexcept nogil:
    """dw and db of one part of a batch norm's columns: its backward pass needs them."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[job.down_from]
    cdef Rows x = output_of(job, job.down_from - 1, 0)
    cdef ptrdiff_t count, first = share_lines(op.n_out, part, parts, &count), at = first * p.size
    p.kernels.scale_gradient(
        op.dw + at, op.db + at, op.dz + at, x.at + at, op.mean + at, op.rstd + at, job.count, count, op.row, x.row,
        False, False)

cdef void invert_deviation(real *rstd, const real *variance, ptrdiff_t n, double epsilon) noexcept nogil:
    """rstd = 1 / sqrt(variance + epsilon); may be in place."""
    cdef ptrdiff_t j
    for j in range(n):
        rstd[j] = <real>(1 / sqrt(variance[j] + epsilon))

cdef void follow_statistics(
    real *state, const real *mean, const real *rstd, const Op *op, ptrdiff_t rows,
) noexcept nogil:
    """The running mean and (unbiased) variance take a step of `momentum` towards the batch's."""
    cdef ptrdiff_t j, n = op.n_out
    cdef double unbias = <double>rows / (rows - 1) if rows > 1 else 1
    for j in range(n):
        state[j] += <real>(op.momentum * (mean[j] - state[j]))
        state[n + j] += <real>(op.momentum * (unbias * (1 / (<double>rstd[j] * rstd[j]) - op.epsilon) - state[n + j]))

cdef void ready_norms(Job *job) noexcept nogil:
    """Where batch norms do not train, their running statistics serve."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k, n
    cdef Op *op
    if job.training or not p.has_batch_norm or not job.up:
        return
    for k in range(p.n_ops):
        op = &p.ops[k]
        if op.kind == BATCH_NORM:
            n = op.n_out
            memcpy(op.mean, op.state, n * p.size)
            if p.size == 4:
                invert_deviation(<float *>op.rstd, <const float *>op.state + n, n, op.epsilon)
            else:
                invert_deviation(<double *>op.rstd, <const double *>op.state + n, n, op.epsilon)

cdef void move_norms(Job *job) noexcept nogil:
    """After a batch in training, the running statistics follow."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Op *op
    if not (job.training and p.has_batch_norm):
        return
    for k in range(p.n_ops):
        op = &p.ops[k]
        if op.kind == BATCH_NORM and p.size == 4:
            follow_statistics(<float *>op.state, <const float *>op.mean, <const float *>op.rstd, op, job.count)
        elif op.kind == BATCH_NORM:
            follow_statistics(<double *>op.state, <const double *>op.mean, <const double *>op.rstd, op, job.count)
