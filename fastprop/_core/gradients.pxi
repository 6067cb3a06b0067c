# The gradient of every parameter, from the a and dz that the passes left in the arena. Part of _engine.pyx.

cdef struct Segment  # of optimizer_step.pxi

cdef void sum_gradients(void *context, int part, int n_parts) noexcept nogil:
    """One part of every dW[k] = a[k-1]^T dz[k] and db[k] = sum over rows of dz[k].

    A DENSE is divided by the rows of W; any other operation belongs to one part as a whole. If the job says update_now,
    each chunk of theta is updated as soon as its gradient is known, while both are in the cache.
    """
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Operation *op
    for k in range(p.n_operations - 1, -1, -1):
        op = &p.operations[k]
        if op.kind == DENSE and op.encoding >= 0:
            if sum_encoded_gradient(job, k, part, n_parts):
                return
        elif op.kind == DENSE:
            if sum_dense_gradient(job, k, part, n_parts):
                return
        elif op.n_weights and k % n_parts == part:
            operation_gradient(job, k, job.accumulate)
            if job.update_now:
                update_parameters(job, op.offset, op.n_weights + op.n_biases)

cdef bint sum_dense_gradient(TrainingJob *job, ptrdiff_t k, int part, int n_parts) noexcept nogil:
    """One part of the dW of a DENSE, and db with the last part; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef ptrdiff_t group, n_in, first, end, count, chunk, begin, ready, x_at = 0, w_at = 0, n_out = op.group_out
    cdef ptrdiff_t n_groups = 1 if op.shared_weights else op.n_groups
    cdef const Segment *sgd = fused_sgd_segment(job, op)
    cdef bint db, last = part == n_parts - 1
    for group in range(n_groups):
        n_in = group_inputs(op, group)
        first, end = part_start(n_in, part, n_parts), part_start(n_in, part + 1, n_parts)
        chunk = op.chunk_rows if job.update_now and sgd == NULL else n_in
        db = last and op.n_biases > 0
        while first < end:
            count = min(chunk, end - first)
            if sum_dense_rows(
                job, k, part, group, x_at + first, w_at + first * n_out, count, db and first + count == end, sgd,
            ):
                return True
            if job.update_now:
                begin = first + count if sgd != NULL else first
                ready = (first + count - begin) * n_out
                if last and group == n_groups - 1 and first + count == end:
                    ready += op.n_biases  # they follow the weights
                update_parameters(job, op.offset + w_at + begin * n_out, ready)
            first += count
        x_at += n_in
        w_at += n_in * n_out
    return False

cdef bint sum_dense_rows(
    TrainingJob *job, ptrdiff_t k, int part, ptrdiff_t group, ptrdiff_t x_at, ptrdiff_t w_at, ptrdiff_t count, bint db,
    const Segment *sgd,
) noexcept nogil:
    """`count` rows of dW[k], and db[k] if `db`; with `sgd`, update W[k] instead. True if the work was stopped.

    The rows are those of the input columns from `x_at` on, and start at element `w_at` of W.
    """
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef ptrdiff_t rows, row = 0, n_out = op.group_out, per_row = op.n_groups if op.shared_weights else 1
    cdef Rows x = output_of(job, k - 1, 0), dz = rows_from(op.dz, op.stride, 0, p.itemsize)
    cdef char *dw = op.dw + w_at * p.itemsize
    cdef char *sums = op.db + group * n_out * p.itemsize if db else NULL
    cdef char *scratch = p.scratch + part * p.scratch_size
    cdef const char *x_rows
    cdef const char *dz_rows
    cdef bint accumulate
    if op.shared_weights:  # the groups of a row are rows of their own
        x.stride, dz.stride = x.stride // per_row, dz.stride // per_row
    while row < job.count:
        rows = min(p.rows_per_call, job.count - row)
        x_rows = x.data + (row * per_row * x.stride + x_at) * p.itemsize
        dz_rows = dz.data + (row * per_row * dz.stride + group * n_out) * p.itemsize
        accumulate = job.accumulate or row > 0
        row += rows
        if sgd != NULL and row == job.count:
            p.kernels.dense_sgd_step(
                op.w + w_at * p.itemsize, dw, sums, x_rows, dz_rows, scratch, rows * per_row, count, n_out, x.stride,
                dz.stride, accumulate, job.optimizer.rate * sgd.factor, job.optimizer.step_hyper)
        else:
            p.kernels.dense_weight_gradient(
                dw, sums, x_rows, dz_rows, scratch, rows * per_row, count, n_out, n_out, x.stride, dz.stride,
                accumulate)
        if not job.update_now and check_interrupt(&job.interrupts, part, 2.0 * rows * per_row * count * n_out):
            return True
    return False

cdef bint sum_encoded_gradient(TrainingJob *job, ptrdiff_t k, int part, int n_parts) noexcept nogil:
    """One part of the dW of a DENSE with an encoding, and db with the last part; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef const Operation *encoding = &p.operations[op.encoding]
    cdef ptrdiff_t column, bins, n_in = op.n_in - encoding.n_out, n_out = op.n_out, edges_at = 0, bins_at = 0
    cdef ptrdiff_t first = part_start(n_in, part, n_parts), count = part_start(n_in, part + 1, n_parts) - first, end
    cdef bint db = part == n_parts - 1 and op.n_biases > 0
    cdef Rows x = output_of(job, op.encoding - 1, 0)
    if sum_dense_rows(job, k, part, 0, first, first * n_out, count, db, NULL):
        return True
    if job.update_now:
        update_parameters(job, op.offset + first * n_out, count * n_out)
        if db:
            update_parameters(job, op.offset + op.n_weights, op.n_biases)
    first, end = part_start(encoding.n_in, part, n_parts), part_start(encoding.n_in, part + 1, n_parts)
    for column in range(end):
        bins = encoding.sizes[column]
        if column >= first:
            p.kernels.piecewise_product_gradient(
                op.dw + (n_in + bins_at) * n_out * p.itemsize, op.bin_sums + bins_at * n_out * p.itemsize,
                x.data + column * p.itemsize, op.dz, encoding.state + edges_at * p.itemsize, job.count, bins, n_out,
                x.stride, op.stride, job.accumulate, job.last_block)
            if job.update_now:
                update_parameters(job, op.offset + (n_in + bins_at) * n_out, bins * n_out)
            elif check_interrupt(&job.interrupts, part, op.flops * job.count / encoding.n_in):
                return True
        edges_at += bins + 1
        bins_at += bins
    return False
