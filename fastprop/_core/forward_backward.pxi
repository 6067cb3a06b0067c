# The forward and backward pass over a batch, block by block. Part of _engine.pyx.

cdef void gather_rows(TrainingJob *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Copy rows of X into the arena, in the order of the job: `count` from row `first` of the current block on."""
    cdef Plan *p = job.plan
    p.kernels.gather(
        p.x + first * p.x_stride * p.itemsize, job.x, job.order + job.block_offset + first, count, p.n_inputs,
        p.x_stride, p.n_inputs)

cdef inline bint targets_in_place(const TrainingJob *job) noexcept nogil:
    """Whether the losses may read the targets where Python passed them."""
    return job.order == NULL and job.plan.members == 1

cdef void gather_targets(TrainingJob *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Copy the targets and weights of these rows into the arena, once for each member."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t i, j, row, to = first * p.members, y_bytes = p.n_targets * p.itemsize
    if p.members == 1 and job.y != NULL:
        p.kernels.gather(
            p.y + first * y_bytes, job.y, job.order + job.block_offset + first, count, p.n_targets, p.n_targets,
            p.n_targets)
        if job.weight == NULL:
            return
    for i in range(job.block_offset + first, job.block_offset + first + count):
        row = job.order[i] if job.order != NULL else i
        for j in range(p.members):
            if job.y != NULL:
                memcpy(p.y + to * y_bytes, job.y + row * y_bytes, y_bytes)
            else:
                p.label[to] = job.label[row]
            if job.weight != NULL:
                memcpy(p.weight + to * p.itemsize, job.weight + row * p.itemsize, p.itemsize)
            to += 1

cdef inline const char *inputs_of(const TrainingJob *job, ptrdiff_t *x_stride) noexcept nogil:
    """a[0] of the current block, and its stride."""
    x_stride[0] = job.plan.x_stride if job.order != NULL else job.plan.n_inputs
    if job.order != NULL:
        return job.plan.x
    return job.x + job.block_offset * job.plan.n_inputs * job.plan.itemsize

cdef bint forward_rows(TrainingJob *job, int part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """a[k] of the current operations for some rows; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Operation *op
    cdef Rows a
    for k in range(job.forward_begin, job.forward_end):
        op = &p.operations[k]
        if is_passthrough(op, job.training) or op.implied:
            continue
        if job.out != NULL and k == p.n_operations - 1:
            a = rows_from(job.out, op.n_out, job.block_offset + first, p.itemsize)
        else:
            a = rows_from(op.a, op.stride, first, p.itemsize)
        operation_forward(job, part, k, a, first, count)
        if check_interrupt(&job.interrupts, part, op.flops * count):
            return True
    return False

cdef void loss_rows(TrainingJob *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """The summed loss of each slice, and da[L] = dLoss/da[L] / batch_weight, which is the only place of that factor."""
    cdef Plan *p = job.plan
    cdef Operation *last = &p.operations[p.n_operations - 1]
    cdef ptrdiff_t s, i, row, members = p.members, offset = job.block_offset
    cdef const char *y = job.y
    cdef const int64_t *label = job.label
    cdef const char *weight = job.weight
    cdef double scale = 1.0 / (job.batch_weight * members) if job.batch_weight > 0 else 0
    if not targets_in_place(job):
        gather_targets(job, first, count)
        offset, label = 0, p.label
        y = p.y if y != NULL else NULL
        weight = p.weight if weight != NULL else NULL
    for s in range(first // SLICE_ROWS, (first + count + SLICE_ROWS - 1) // SLICE_ROWS):
        i, row = s * SLICE_ROWS, (offset + s * SLICE_ROWS) * members
        p.cost[s] = 0
        p.kernels.loss[job.loss](
            &p.cost[s], element(last.dz, i * last.stride, p.itemsize) if job.do_backward else NULL,
            last.a + i * last.stride * p.itemsize, element(<char *>y, row * p.n_targets, p.itemsize),
            label + row if y == NULL else NULL, element(<char *>weight, row, p.itemsize),
            min(SLICE_ROWS, first + count - i) * members, p.n_outputs, p.n_targets, scale,
            p.hyper + p.n_operations * FP_HYPER)

cdef double sum_weights(TrainingJob *job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """The sum of the weights of some of the job's rows, in their order."""
    cdef ptrdiff_t i, row
    cdef double total = 0
    if job.weight == NULL:
        return rows
    for i in range(first, first + rows):
        row = job.order[i] if job.order != NULL else i
        total += (<const float *>job.weight)[row] if job.plan.itemsize == 4 else (<const double *>job.weight)[row]
    return total

cdef void backward_rows(TrainingJob *job, int part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """dz[k-1] of the current operations for some rows, where weights need it, and dLoss/dx if it is wanted."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Operation *below
    cdef Rows dx
    for k in range(job.backward_begin, job.backward_end, -1):
        if job.dx == NULL and not p.operations[k].needs_dx:
            continue
        if k > 0:
            below = &p.operations[k - 1]
            dx = rows_from(below.dz, below.stride, first, p.itemsize)
        else:
            dx = rows_from(job.dx, p.n_inputs, job.block_offset + first, p.itemsize)
        operation_backward(job, part, k, dx, first, count)
        if check_interrupt(&job.interrupts, part, p.operations[k].flops * count):
            return

cdef void run_rows(void *context, int part, int n_parts) noexcept nogil:
    """Run the current operations on one part of the block's rows: forward, then the loss, then backward."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef Operation *last = &p.operations[p.n_operations - 1]
    cdef ptrdiff_t slices = (job.count + SLICE_ROWS - 1) // SLICE_ROWS
    cdef ptrdiff_t first = part_start(slices, part, n_parts) * SLICE_ROWS
    cdef ptrdiff_t end = min(part_start(slices, part + 1, n_parts) * SLICE_ROWS, job.count)
    cdef ptrdiff_t count
    cdef Rows dz
    while first < end and not fp_atomic_load(&job.interrupts.stopped):
        count = min(p.rows_per_call, end - first)
        if job.order != NULL and job.forward_begin == 0:
            gather_rows(job, first, count)
        if job.do_forward and forward_rows(job, part, first, count):
            return
        if job.forward_end == p.n_operations:
            if job.loss != NO_LOSS:
                loss_rows(job, first, count)
            if job.do_backward:
                dz = rows_from(last.dz, last.stride, first, p.itemsize)
                multiply_slope(job, p.n_operations - 1, dz, first, count)
        if job.do_backward:
            backward_rows(job, part, first, count)
        first += count

# A block is processed in phases. All its rows must have finished a phase before the next one begins. Without batch norm
# there is one phase. Each batch norm in training begins another, since its statistics are those of all rows.

cdef inline ptrdiff_t next_batch_norm(const TrainingJob *job, ptrdiff_t k) noexcept nogil:
    """The index of the first batch norm in training from operation k on, or n_operations."""
    cdef Plan *p = job.plan
    if not (job.training and p.has_batch_norm):
        return p.n_operations
    while k < p.n_operations and p.operations[k].kind != BATCH_NORM:
        k += 1
    return k

cdef inline ptrdiff_t previous_batch_norm(const TrainingJob *job, ptrdiff_t k) noexcept nogil:
    """The index of the last batch norm in training up to operation k, or -1."""
    cdef Plan *p = job.plan
    if not (job.training and p.has_batch_norm):
        return -1
    while k >= 0 and p.operations[k].kind != BATCH_NORM:
        k -= 1
    return k

cdef void run_block(TrainingJob *job) noexcept nogil:
    """Both passes over the current block; afterwards its losses and every dz are in the arena."""
    cdef Plan *p = job.plan
    cdef bint do_backward = job.do_backward
    cdef double flops = block_flops(job)
    cdef ptrdiff_t norm = next_batch_norm(job, 0)
    job.forward_begin, job.do_backward = 0, False
    while norm < p.n_operations:  # forward up to each batch norm
        if job.do_forward:
            job.forward_end = norm
            parallel(job, run_rows, flops)
            parallel(job, column_statistics, column_flops(job, norm))
        job.forward_begin, norm = norm, next_batch_norm(job, norm + 1)
    norm = previous_batch_norm(job, p.n_operations - 1)
    # forward to the end, and backward to the last batch norm
    job.forward_end, job.do_backward = p.n_operations, do_backward
    job.backward_begin, job.backward_end = p.n_operations - 1, norm
    parallel(job, run_rows, flops)
    job.forward_begin = job.forward_end = p.n_operations + 1  # the forward pass is complete
    while do_backward and norm >= 0 and not job.interrupts.stopped:  # backward from each batch norm to the one before
        job.backward_begin, job.backward_end = norm, previous_batch_norm(job, norm - 1)
        parallel(job, column_gradients, column_flops(job, norm))
        parallel(job, run_rows, flops)
        norm = job.backward_end

cdef double run_batch(TrainingJob *job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """Both passes over `rows` of the job's rows, block by block.

    It returns the sum of weight times loss, and leaves the gradient of the mean in the plan if the job wants it.
    """
    cdef Plan *p = job.plan
    cdef double cost = 0
    cdef ptrdiff_t i, block, at = 0, blocks = 1, unit = SLICE_ROWS * p.n_parts, units = 0
    job.batch_weight = sum_weights(job, first, rows)
    if (
        p.fusible and p.n_targets == p.n_outputs and fits_fused_kernel(p, rows)
        and job.order != NULL and job.weight == NULL
    ):
        p.kernels.fused_small_network(
            &cost, p.gradient, p.scratch, p.theta, job.x, job.y, job.label, job.order + first, p.widths, p.activations,
            p.n_operations, rows, job.loss, 1.0 / rows, p.hyper)
        if job.fuse_update and isfinite(cost):
            update_parameters(job, 0, p.n_parameters)
        return cost
    job.batch_offset = first
    load_running_statistics(job)
    if rows > p.block_rows:  # blocks of about equal length, since a short one would be worth one thread only
        blocks, units = (rows + p.block_rows - 1) // p.block_rows, (rows + unit - 1) // unit
    for block in range(blocks):
        job.block_offset, job.accumulate = first + at, at > 0
        job.count = (rows if block == blocks - 1 else (block + 1) * units // blocks * unit) - at
        run_block(job)
        if job.loss != NO_LOSS:
            for i in range((job.count + SLICE_ROWS - 1) // SLICE_ROWS):
                cost += p.cost[i]
        job.update_now = job.fuse_update and block == blocks - 1 and isfinite(cost)
        if job.do_forward and isfinite(cost) and not job.interrupts.stopped:
            update_running_statistics(job)
        if job.do_backward and not job.inputs_only and not job.interrupts.stopped:
            job.last_block = block == blocks - 1
            parallel(job, sum_gradients, block_flops(job))
        if job.interrupts.stopped:
            break
        at += job.count
    return cost / p.members
