# The two passes over a batch, block after block, phase after phase. Part of _engine.pyx.

cdef void bring_rows(Job *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Rows first.. of the block in work, gathered into the arena in the run's order."""
    cdef Plan *p = job.plan
    p.kernels.gather(
        p.x + first * p.x_row * p.size, job.x, job.order + job.first + first, count, p.n_inputs, p.x_row, p.n_inputs)

cdef inline bint targets_in_place(const Job *job) noexcept nogil:
    """Whether the losses may read the targets where they are."""
    return job.order == NULL and job.plan.members == 1

cdef void bring_targets(Job *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """The targets of these rows, and their weights, brought together: once for each member."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t i, j, row, to = first * p.members, y_row = p.n_targets * p.size
    if p.members == 1 and job.y != NULL:
        p.kernels.gather(
            p.y + first * y_row, job.y, job.order + job.first + first, count, p.n_targets, p.n_targets, p.n_targets)
        if job.weight == NULL:
            return
    for i in range(job.first + first, job.first + first + count):
        row = job.order[i] if job.order != NULL else i
        for j in range(p.members):
            if job.y != NULL:
                memcpy(p.y + to * y_row, job.y + row * y_row, y_row)
            else:
                p.label[to] = job.label[row]
            if job.weight != NULL:
                memcpy(p.weight + to * p.size, job.weight + row * p.size, p.size)
            to += 1

cdef inline const char *inputs_of(const Job *job, ptrdiff_t *x_row) noexcept nogil:
    """a[0] of the block in work, and how far apart its rows are."""
    x_row[0] = job.plan.x_row if job.order != NULL else job.plan.n_inputs
    if job.order != NULL:
        return job.plan.x
    return job.x + job.first * job.plan.n_inputs * job.plan.size

cdef bint forward(Job *job, int part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """a[k] = g[k](a[k-1] W[k] + b[k]), or what else operation k does, for some rows; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Op *op
    for k in range(job.up_from, job.up_to):
        op = &p.ops[k]
        if passes_through(op, job.training):
            continue
        if job.out != NULL and k == p.n_ops - 1:
            op_forward(job, part, k, from_row(job.out, op.n_out, job.first + first, p.size), first, count)
        else:
            op_forward(job, part, k, from_row(op.a, op.row, first, p.size), first, count)
        if check_interrupt(&job.interrupts, part, op.flops * count):
            return True
    return False

cdef void loss(Job *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """The summed loss of each slice, and da[L] = dLoss/da[L] / weight of the batch: the one place of that factor."""
    cdef Plan *p = job.plan
    cdef Op *last = &p.ops[p.n_ops - 1]
    cdef ptrdiff_t s, i, row, members = p.members, at = job.first
    cdef const char *y = job.y
    cdef const int64_t *label = job.label
    cdef const char *weight = job.weight
    cdef double scale = 1.0 / (job.batch_weight * members) if job.batch_weight > 0 else 0
    if not targets_in_place(job):
        bring_targets(job, first, count)
        at, label = 0, p.label
        y = p.y if y != NULL else NULL
        weight = p.weight if weight != NULL else NULL
    for s in range(first // SLICE, (first + count + SLICE - 1) // SLICE):
        i, row = s * SLICE, (at + s * SLICE) * members
        p.cost[s] = 0
        p.kernels.loss[job.loss](
            &p.cost[s], element(last.dz, i * last.row, p.size) if job.down else NULL, last.a + i * last.row * p.size,
            element(<char *>y, row * p.n_targets, p.size), label + row if y == NULL else NULL,
            element(<char *>weight, row, p.size), min(SLICE, first + count - i) * members, p.n_outputs, p.n_targets,
            scale, p.hyper + p.n_ops * FP_HYPER)

cdef double weight_of(Job *job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """The weight of some rows: their sum in row order, or their number."""
    cdef ptrdiff_t i, row
    cdef double total = 0
    if job.weight == NULL:
        return rows
    for i in range(first, first + rows):
        row = job.order[i] if job.order != NULL else i
        total += (<const float *>job.weight)[row] if job.plan.size == 4 else (<const double *>job.weight)[row]
    return total

cdef void backward(Job *job, int part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """dz[k-1] = (dz[k] W[k]^T) * g'[k-1](z[k-1]), or its like, through the operations in work; and dx if wanted."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    for k in range(job.down_from, job.down_to - 1, -1):
        if k > 0:
            op_backward(job, part, k, from_row(p.ops[k - 1].dz, p.ops[k - 1].row, first, p.size), first, count)
        elif job.dx != NULL:
            op_backward(job, part, k, from_row(job.dx, p.n_inputs, job.first + first, p.size), first, count)
        else:
            return
        if check_interrupt(&job.interrupts, part, p.ops[k].flops * count):
            return

cdef void pass_rows(void *context, int part, int parts) noexcept nogil:
    """One part of the block's rows through the operations in work: up, past the loss if they reach it, and down."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef Op *last = &p.ops[p.n_ops - 1]
    cdef ptrdiff_t slices = (job.count + SLICE - 1) // SLICE
    cdef ptrdiff_t first = share(slices, part, parts) * SLICE
    cdef ptrdiff_t end = min(share(slices, part + 1, parts) * SLICE, job.count)
    cdef ptrdiff_t count
    while first < end and not fp_atomic_load(&job.interrupts.stopped):
        count = min(p.rows_at_once, end - first)
        if job.order != NULL and job.up_from == 0:
            bring_rows(job, first, count)
        if job.up and forward(job, part, first, count):
            return
        if job.up_to == p.n_ops:
            if job.loss != NO_LOSS:
                loss(job, first, count)
            if job.down:
                multiply_slope(job, p.n_ops - 1, from_row(last.dz, last.row, first, p.size), first, count)
        if job.down:
            backward(job, part, first, count)
        first += count

# What is done to a block of rows falls into phases, between which all its rows must have come equally far. One phase
# is the rule; each batch norm in training, whose statistics are those of all rows, begins another.

cdef inline ptrdiff_t norm_from(const Job *job, ptrdiff_t k) noexcept nogil:
    """The first batch norm in training from operation k on, or the number of operations."""
    cdef Plan *p = job.plan
    if not (job.training and p.has_batch_norm):
        return p.n_ops
    while k < p.n_ops and p.ops[k].kind != BATCH_NORM:
        k += 1
    return k

cdef inline ptrdiff_t norm_to(const Job *job, ptrdiff_t k) noexcept nogil:
    """The last batch norm in training up to operation k, or -1."""
    cdef Plan *p = job.plan
    if not (job.training and p.has_batch_norm):
        return -1
    while k >= 0 and p.ops[k].kind != BATCH_NORM:
        k -= 1
    return k

cdef void pass_block(Job *job) noexcept nogil:
    """The block in work up and down: its losses, and every dz, are in the arena then."""
    cdef Plan *p = job.plan
    cdef bint down = job.down
    cdef double flops = flops_of_block(job)
    cdef ptrdiff_t norm = norm_from(job, 0)
    job.up_from, job.down = 0, False
    while norm < p.n_ops:  # up to each batch norm
        if job.up:
            job.up_to = norm
            parallel(job, pass_rows, flops)
            parallel(job, batch_statistics, flops_of_columns(job, norm))
        job.up_from, norm = norm, norm_from(job, norm + 1)
    norm = norm_to(job, p.n_ops - 1)
    job.up_to, job.down = p.n_ops, down  # to the top, and down to the last one
    job.down_from, job.down_to = p.n_ops - 1, norm + 1
    parallel(job, pass_rows, flops)
    job.up_from = job.up_to = p.n_ops + 1  # the way up is done
    while down and norm >= 0 and not job.interrupts.stopped:  # down to the one before
        job.down_from, job.down_to = norm, norm_to(job, norm - 1) + 1
        parallel(job, norm_gradient, flops_of_columns(job, norm))
        parallel(job, pass_rows, flops)
        norm = job.down_to - 1

cdef double pass_batch(Job *job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """Block after block of a batch: its summed loss, and the gradient of its mean if wanted."""
    cdef Plan *p = job.plan
    cdef double cost = 0
    cdef ptrdiff_t i, block, at = 0, blocks = 1, unit = SLICE * p.parts, units = 0
    job.batch_weight = weight_of(job, first, rows)
    if (
        p.plain and p.n_targets == p.n_outputs and is_tiny(p, rows)
        and job.order != NULL and job.weight == NULL
    ):
        p.kernels.fused_small_network(
            &cost, p.gradient, p.scratch, p.theta, job.x, job.y, job.label, job.order + first, p.widths, p.activations,
            p.n_ops, rows, job.loss, 1.0 / rows, p.hyper)
        if job.fused and isfinite(cost):
            step_theta(job, 0, p.n_parameters)
        return cost
    job.batch_first = first
    ready_norms(job)
    if rows > p.block:  # dealt out evenly, since a short one wakes no thread
        blocks, units = (rows + p.block - 1) // p.block, (rows + unit - 1) // unit
    for block in range(blocks):
        job.first, job.accumulate = first + at, at > 0
        job.count = (rows if block == blocks - 1 else (block + 1) * units // blocks * unit) - at
        pass_block(job)
        if job.loss != NO_LOSS:
            for i in range((job.count + SLICE - 1) // SLICE):
                cost += p.cost[i]
        job.update_now = job.fused and block == blocks - 1 and isfinite(cost)
        if job.up and isfinite(cost) and not job.interrupts.stopped:
            move_norms(job)
        if job.down and not job.inputs_only and not job.interrupts.stopped:
            parallel(job, sum_gradients, flops_of_block(job))
        if job.interrupts.stopped:
            break
        at += job.count
    return cost / p.members
