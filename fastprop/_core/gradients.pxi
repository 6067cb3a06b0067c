# The gradient of every parameter, from what the passes left in the arena. Part of _engine.pyx.

cdef struct Segment  # of optimizer_step.pxi

cdef void sum_gradients(void *context, int part, int parts) noexcept nogil:
    """One part of every dW[k] = a[k-1]^T dz[k] and db[k] = sum dz[k]: of products some rows of W, else all or nothing.

    Where the job says so, a stretch of theta is updated as soon as its gradient is there, while both are in the cache.
    """
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Op *op
    for k in range(p.n_ops - 1, -1, -1):
        op = &p.ops[k]
        if op.kind == DENSE:
            if sum_dense(job, k, part, parts):
                return
        elif op.n_weights and k % parts == part:
            if not (op.kind == BATCH_NORM and job.training):  # whose backward pass wanted them before
                op_gradient(job, k, 0, job.count, job.accumulate)
            if job.update_now:
                step_theta(job, op.first, op.n_weights + op.n_biases)

cdef bint sum_dense(Job *job, ptrdiff_t k, int part, int parts) noexcept nogil:
    """One part of a product's dW, and db with the last one; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef ptrdiff_t piece, first, end, count, stretch, begin, ready, x_at = 0, w_at = 0, n_out = op.out_piece
    cdef ptrdiff_t pieces = 1 if op.shared else op.pieces
    cdef const Segment *descent = descent_of(job, op)
    cdef bint db, last = part == parts - 1
    for piece in range(pieces):
        first, end = share(piece_in(op, piece), part, parts), share(piece_in(op, piece), part + 1, parts)
        stretch = op.stretch if job.update_now and descent == NULL else piece_in(op, piece)
        db = last and op.n_biases > 0
        while first < end:
            count = min(stretch, end - first)
            if sum_dense_rows(
                job, k, part, piece, x_at + first, w_at + first * n_out, count, db and first + count == end, descent,
            ):
                return True
            if job.update_now:
                begin = first + count if descent != NULL else first
                ready = (first + count - begin) * n_out
                if last and piece == pieces - 1 and first + count == end:
                    ready += op.n_biases  # they follow the weights
                step_theta(job, op.first + w_at + begin * n_out, ready)
            first += count
        x_at += piece_in(op, piece)
        w_at += piece_in(op, piece) * n_out
    return False

cdef bint sum_dense_rows(
    Job *job, ptrdiff_t k, int part, ptrdiff_t piece, ptrdiff_t x_at, ptrdiff_t w_at, ptrdiff_t count, bint db,
    const Segment *descent,
) noexcept nogil:
    """Some rows of dW[k], or of W[k] one step on, and, if wanted, db[k]; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef Op *op = &p.ops[k]
    cdef ptrdiff_t rows, row = 0, n_out = op.out_piece, times = op.pieces if op.shared else 1
    cdef Rows x = output_of(job, k - 1, 0), dz = from_row(op.dz, op.row, 0, p.size)
    cdef char *dw = op.dw + w_at * p.size
    cdef char *sums = op.db + piece * n_out * p.size if db else NULL
    cdef char *scratch = p.scratch + part * p.scratch_size
    cdef const char *x_at_row
    cdef const char *dz_at_row
    cdef bint add
    if op.shared:  # pieces that share weights are rows by themselves
        x.row, dz.row = x.row // times, dz.row // times
    while row < job.count:
        rows = min(p.rows_at_once, job.count - row)
        x_at_row = x.at + (row * times * x.row + x_at) * p.size
        dz_at_row = dz.at + (row * times * dz.row + piece * n_out) * p.size
        add = job.accumulate or row > 0
        row += rows
        if descent != NULL and row == job.count:
            p.kernels.dense_sgd_step(
                op.w + w_at * p.size, dw, sums, x_at_row, dz_at_row, scratch, rows * times, count, n_out, x.row, dz.row,
                add, job.rule.rate * descent.factor, job.rule.now)
        else:
            p.kernels.dense_weight_gradient(
                dw, sums, x_at_row, dz_at_row, scratch, rows * times, count, n_out, n_out, x.row, dz.row, add)
        if not job.update_now and check_interrupt(&job.interrupts, part, 2.0 * rows * times * count * n_out):
            return True
    return False
