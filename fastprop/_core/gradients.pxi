# The gradient of every parameter, from the a and dz that the passes left in the arena. Part of _engine.pyx.

cdef struct Segment  # of optimizer_step.pxi

cdef void sum_gradients(
    const Part *part, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t row, ptrdiff_t count, int share, int last, int n_shares,
) noexcept nogil:
    """Shares of every dW_k = a_{k-1}^T dz_k and db_k = sum over rows of dz_k, over `count` rows of the arena.

    The operations are those from `begin` up to, not including, `end`, the last one first, and so are the shares from
    `share` up to `last`. A DENSE is divided by the rows of W; any other operation belongs to one share as a whole. If
    the job says update_now, each chunk of theta is updated as soon as its gradient is known, while both are in the
    cache.
    """
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Operation *op
    for k in range(end - 1, begin - 1, -1):
        op = &p.operations[k]
        if op.kind == DENSE and op.encoding >= 0:
            if sum_encoded_gradient(part, k, row, count, share, last, n_shares):
                return
        elif op.kind == DENSE:
            if sum_dense_gradient(part, k, row, count, share, last, n_shares):
                return
        elif op.n_weights and share <= k % n_shares < last:
            operation_gradient(part, k, row, count)
            if job.update_now:
                update_parameters(job, op.offset, op.n_weights + op.n_biases)

cdef bint sum_dense_gradient(
    const Part *part, ptrdiff_t k, ptrdiff_t row, ptrdiff_t rows, int share, int last, int n_shares,
) noexcept nogil:
    """Some shares of the dW of a DENSE, and db with the last of all; True if the work was stopped."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef ptrdiff_t group, n_in, first, end, count, chunk, begin, ready, x_at = 0, w_at = 0, n_out = op.group_out
    cdef ptrdiff_t n_groups = 1 if op.shared_weights else op.n_groups
    cdef const Segment *sgd = fused_sgd_segment(job, op)
    cdef bint db, db_too = last == n_shares and op.n_biases > 0
    for group in range(n_groups):
        n_in = group_inputs(op, group)
        first, end = part_start(n_in, share, n_shares), part_start(n_in, last, n_shares)
        chunk = op.chunk_rows if job.update_now and sgd == NULL else n_in
        while first < end:
            count = min(chunk, end - first)
            db = db_too and first + count == end
            if sum_dense_rows(
                part, k, row, rows, group, x_at + first, w_at + first * n_out, count, db, sgd,
            ):
                return True
            if job.update_now:
                begin = first + count if sgd != NULL else first
                ready = (first + count - begin) * n_out
                if db and group == n_groups - 1:
                    ready += op.n_biases  # they follow the weights
                update_parameters(job, op.offset + w_at + begin * n_out, ready)
            first += count
        x_at += n_in
        w_at += n_in * n_out
    return False

cdef bint sum_dense_rows(
    const Part *part, ptrdiff_t k, ptrdiff_t row, ptrdiff_t n_rows, ptrdiff_t group, ptrdiff_t x_at, ptrdiff_t w_at,
    ptrdiff_t count, bint db, const Segment *sgd,
) noexcept nogil:
    """`count` rows of dW[k], and db[k] if `db`; with `sgd`, update W[k] instead. True if the work was stopped.

    The rows are those of the input columns from `x_at` on, and start at element `w_at` of W.
    """
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef ptrdiff_t rows, end = row + n_rows, n_out = op.group_out, per_row = op.n_groups if op.shared_weights else 1
    cdef Rows x = output_of(part, k - 1, row), dz = rows_from(op.dz, op.stride, row, p.itemsize)
    cdef char *dw = op.dw + part.gradient + w_at * p.itemsize
    cdef char *sums = op.db + part.gradient + group * n_out * p.itemsize if db else NULL
    cdef char *scratch = p.scratch + part.index * p.scratch_size
    cdef bint accumulate = part.accumulate
    x.data, dz.data = x.data + x_at * p.itemsize, dz.data + group * n_out * p.itemsize
    if op.shared_weights:  # the groups of a row are rows of their own
        x.stride, dz.stride = x.stride // per_row, dz.stride // per_row
    while row < end:
        rows = min(p.rows_per_call, end - row)
        row += rows
        if sgd != NULL and row == end:
            p.kernels.dense_sgd_step(
                op.w + w_at * p.itemsize, dw, sums, x.data, dz.data, scratch, rows * per_row, count, n_out, x.stride,
                dz.stride, accumulate, job.optimizer.rate * sgd.factor, job.optimizer.step_hyper)
        else:
            p.kernels.dense_weight_gradient(
                dw, sums, x.data, dz.data, scratch, rows * per_row, count, n_out, n_out, x.stride, dz.stride,
                accumulate)
        if not job.update_now and check_interrupt(&job.interrupts, part.index, 2.0 * rows * per_row * count * n_out):
            return True
        x.data += rows * per_row * x.stride * p.itemsize
        dz.data += rows * per_row * dz.stride * p.itemsize
        accumulate = True
    return False

cdef bint sum_encoded_gradient(
    const Part *part, ptrdiff_t k, ptrdiff_t row, ptrdiff_t rows, int share, int last, int n_shares,
) noexcept nogil:
    """Some shares of the dW of a DENSE with an encoding, and db with the last; True if the work was stopped."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[k]
    cdef const Operation *encoding = &p.operations[op.encoding]
    cdef ptrdiff_t column, bins, n_in = op.n_in - encoding.n_out, n_out = op.n_out, edges_at = 0, bins_at = 0
    cdef ptrdiff_t first = part_start(n_in, share, n_shares), count = part_start(n_in, last, n_shares) - first, end
    cdef bint db = last == n_shares and op.n_biases > 0
    cdef Rows x = output_of(part, op.encoding - 1, row), dz = rows_from(op.dz, op.stride, row, p.itemsize)
    cdef char *bin_sums = op.bin_sums + part.bin_sums * op.bin_sums_size
    if sum_dense_rows(part, k, row, rows, 0, first, first * n_out, count, db, NULL):
        return True
    if job.update_now:
        update_parameters(job, op.offset + first * n_out, count * n_out)
        if db:
            update_parameters(job, op.offset + op.n_weights, op.n_biases)
    first, end = part_start(encoding.n_in, share, n_shares), part_start(encoding.n_in, last, n_shares)
    for column in range(end):
        bins = encoding.sizes[column]
        if column >= first:
            p.kernels.piecewise_product_gradient(
                op.dw + part.gradient + (n_in + bins_at) * n_out * p.itemsize, bin_sums + bins_at * n_out * p.itemsize,
                x.data + column * p.itemsize, dz.data, encoding.state + edges_at * p.itemsize, rows, bins, n_out,
                x.stride, dz.stride, part.accumulate, part.last)
            if job.update_now:
                update_parameters(job, op.offset + (n_in + bins_at) * n_out, bins * n_out)
            elif check_interrupt(&job.interrupts, part.index, op.flops * rows / encoding.n_in):
                return True
        edges_at += bins + 1
        bins_at += bins
    return False

# The gradients of the slices are added pairwise, as a binary tree over all slices: the order depends on their number
# only, and a thread can add those of adjacent slices while they are in its cache.

cdef enum:
    MAX_PENDING = 12  # runs of 1, 2, 4, 8, 8, 4, 2, 1 slices at most, and the next slice

cdef struct Sums:  # gradients that wait for the one to be added to them: those of adjacent runs of slices
    ptrdiff_t n
    ptrdiff_t start[MAX_PENDING]   # the first slice of a run
    ptrdiff_t length[MAX_PENDING]
    ptrdiff_t memory[MAX_PENDING]  # where the sum is: see slice_gradient

cdef void push_sum(
    Sums *sums, Plan *p, ptrdiff_t start, ptrdiff_t length, ptrdiff_t memory, ptrdiff_t first, ptrdiff_t count,
) noexcept nogil:
    """Append the gradient of the next run of slices, and add up what now is complete, for some parameters."""
    cdef ptrdiff_t i = sums.n
    cdef char *left
    sums.start[i], sums.length[i], sums.memory[i] = start, length, memory
    while i > 0 and sums.length[i - 1] == sums.length[i] and sums.start[i - 1] % (2 * sums.length[i]) == 0:
        left = slice_gradient(p, sums.memory[i - 1]) + first * p.itemsize
        p.kernels.add_rows(
            left, left, slice_gradient(p, sums.memory[i]) + first * p.itemsize, 1, count, count, count, count)
        i -= 1
        sums.length[i] *= 2
    sums.n = i + 1

cdef void add_slices(void *context, int index, int n_parts) noexcept nogil:
    """One part of the gradient: the sum of those that `run_slices` left. With update_now, theta is updated."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t first, count, n, start, end, length, memory
    cdef Sums sums
    cdef int part
    first = part_lines(p.n_parameters, index, n_parts, &count)
    while count > 0:
        n, sums.n = min(count, CHUNK_BYTES // 8), 0
        for part in range(job.slice_parts):
            start = memory = part_start(job.n_slices, part, job.slice_parts)
            end = part_start(job.n_slices, part + 1, job.slice_parts)
            while start < end:
                length = 1
                while start % (2 * length) == 0 and start + 2 * length <= end:
                    length *= 2
                push_sum(&sums, p, start, length, memory, first, n)
                start, memory = start + length, memory + 1
        if job.update_now:
            update_parameters(job, first, n)
        first, count = first + n, count - n
