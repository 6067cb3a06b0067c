# The forward and backward pass over a batch. Part of _engine.pyx.
#
# Threads share a batch in one of two ways. By slices: each thread takes some of the batch's slices of rows through both
# passes and the sums of their gradients, block by block, and the gradients of the slices are added in the end. By
# blocks: the threads share each block for both passes, and then the parameters for the sums over its rows. If slices
# are too few for the threads, they share some rows of all of them as a block, which is called a round.

cdef void gather_rows(const Part *part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Copy rows of X into the arena, in the order of the job: `count` from its row `first` on."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    p.kernels.gather(
        part.x + first * p.x_stride * p.itemsize, job.x, job.order + part.offset + first, count, p.n_inputs, p.x_stride,
        p.n_inputs)

cdef inline bint targets_in_place(const TrainingJob *job) noexcept nogil:
    """Whether the losses may read the targets where Python passed them."""
    return job.order == NULL and job.plan.members == 1

cdef void gather_targets(const Part *part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Copy the targets and weights of these rows into the arena, once for each member."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef ptrdiff_t i, j, row, to = first * p.members, y_bytes = p.n_targets * p.itemsize
    if p.members == 1 and job.y != NULL:
        p.kernels.gather(
            p.y + first * y_bytes, job.y, job.order + part.offset + first, count, p.n_targets, p.n_targets, p.n_targets)
        if job.weight == NULL:
            return
    for i in range(part.offset + first, part.offset + first + count):
        row = job.order[i] if job.order != NULL else i
        for j in range(p.members):
            if job.y != NULL:
                memcpy(p.y + to * y_bytes, job.y + row * y_bytes, y_bytes)
            else:
                p.label[to] = job.label[row]
            if job.weight != NULL:
                memcpy(p.weight + to * p.itemsize, job.weight + row * p.itemsize, p.itemsize)
            to += 1

cdef inline Rows output_rows(const Part *part, ptrdiff_t k, ptrdiff_t first) noexcept nogil:
    """Where a[k] is written, from row `first` of the arena on."""
    cdef Plan *p = part.job.plan
    if part.job.out != NULL and k == p.n_operations - 1:
        return rows_from(part.job.out, p.operations[k].n_out, part.offset + first, p.itemsize)
    return rows_from(p.operations[k].a, p.operations[k].stride, first, p.itemsize)

cdef inline Rows input_gradient_rows(const Part *part, ptrdiff_t k, ptrdiff_t first) noexcept nogil:
    """Where the gradient by the input of operation k is written, from row `first` of the arena on."""
    cdef Plan *p = part.job.plan
    if k == 0:
        return rows_from(part.job.dx, p.n_inputs, part.offset + first, p.itemsize)
    return rows_from(p.operations[k - 1].dz, p.operations[k - 1].stride, first, p.itemsize)

cdef bint forward_rows(const Part *part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """a[k] of the current operations for some rows; True if the work was stopped."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Operation *op
    for k in range(job.forward_begin, job.forward_end):
        op = &p.operations[k]
        if is_passthrough(op, job.training) or op.implied:
            continue
        operation_forward(part, k, output_rows(part, k, first), first, count)
        if check_interrupt(&job.interrupts, part.index, op.flops * count):
            return True
    return False

cdef void loss_rows(const Part *part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Add up the loss, and dC/da_K = dL/da_K / batch_weight, which is the only place of that factor."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef Operation *last = &p.operations[p.n_operations - 1]
    cdef ptrdiff_t i = first, n, row, sum, members = p.members, offset = part.offset
    cdef const char *y = job.y
    cdef const int64_t *label = job.label
    cdef const char *weight = job.weight
    cdef double scale = 1.0 / (job.batch_weight * members) if job.batch_weight > 0 else 0
    if not targets_in_place(job):
        gather_targets(part, first, count)
        offset, label = 0, p.label
        y = p.y if y != NULL else NULL
        weight = p.weight if weight != NULL else NULL
    while i < first + count:
        sum = (part.cost_offset + i) // part.cost_rows
        row, n = (offset + i) * members, min((sum + 1) * part.cost_rows - part.cost_offset, first + count) - i
        p.kernels.loss[job.loss](
            &p.cost[sum],
            element(last.dz, i * last.stride, p.itemsize) if job.do_backward else NULL,
            last.a + i * last.stride * p.itemsize, element(<char *>y, row * p.n_targets, p.itemsize),
            label + row if y == NULL else NULL, element(<char *>weight, row, p.itemsize), n * members, p.n_outputs,
            p.n_targets, scale, p.hyper + p.n_operations * FP_HYPER)
        i += n

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

cdef void backward_rows(const Part *part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """dz_{k-1} of the current operations for some rows, where weights need it, and dC/dx if it is wanted."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    for k in range(job.backward_begin, job.backward_end, -1):
        if job.dx == NULL and not p.operations[k].needs_dx:
            continue
        operation_backward(part, k, input_gradient_rows(part, k, first), first, count)
        if check_interrupt(&job.interrupts, part.index, p.operations[k].flops * count):
            return

cdef void run_rows(const Part *part, ptrdiff_t first, ptrdiff_t end) noexcept nogil:
    """Run the current operations on rows `first` to `end` of the arena: forward, then the loss, then backward."""
    cdef TrainingJob *job = part.job
    cdef Plan *p = job.plan
    cdef Operation *last = &p.operations[p.n_operations - 1]
    cdef ptrdiff_t count
    cdef Rows dz
    while first < end and not fp_atomic_load(&job.interrupts.stopped):
        count = min(p.rows_per_call, end - first)
        if job.order != NULL and job.forward_begin == 0:
            gather_rows(part, first, count)
        if job.do_forward and forward_rows(part, first, count):
            return
        if job.forward_end == p.n_operations:
            if job.loss != NO_LOSS:
                loss_rows(part, first, count)
            if job.do_backward:
                dz = rows_from(last.dz, last.stride, first, p.itemsize)
                multiply_slope(part, p.n_operations - 1, dz, first, count)
        if job.do_backward:
            backward_rows(part, first, count)
        first += count

# ---- by slices ----

cdef inline Part slice_part(TrainingJob *job, int index, ptrdiff_t row, ptrdiff_t first) noexcept nogil:
    """A part whose rows from `row` of the batch on are in the arena from `first` on."""
    return Part(
        job, index, job.batch_offset + row - first, job.plan.x, row - first, job.piece_rows, 0, index, False, False)

cdef void run_slices(void *context, int index, int n_parts) noexcept nogil:
    """Both passes over one part of the slices, and the gradient of each."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef Part part
    cdef ptrdiff_t s, row, begin, end, first, count, blocks
    cdef ptrdiff_t memory = part_start(job.n_slices, index, n_parts)
    cdef Sums sums
    sums.n = 0
    for s in range(memory, part_start(job.n_slices, index + 1, n_parts)):
        begin, end = slice_start(job, s), slice_start(job, s + 1)
        row, blocks = begin, (end - begin + p.part_rows - 1) // p.part_rows
        while row < end:
            count = min(whole_units((end - row + blocks - 1) // blocks), end - row)
            blocks -= 1
            first = row if p.whole else index * p.part_rows
            part = slice_part(job, index, row, first)
            part.gradient = slice_gradient(p, memory + sums.n) - p.gradient
            part.accumulate, part.last = row > begin, row + count == end
            run_rows(&part, first, first + count)
            if job.do_backward and not job.inputs_only:
                sum_gradients(&part, 0, p.n_operations, first, count, 0, 1, 1)
            if fp_atomic_load(&job.interrupts.stopped):
                return
            row += count
        if job.do_backward and not job.inputs_only:
            push_sum(&sums, p, s, 1, memory + sums.n, 0, p.n_parameters)

cdef inline ptrdiff_t round_start(const TrainingJob *job, ptrdiff_t s) noexcept nogil:
    """The row of the batch at which the current round of slice s begins."""
    return min(slice_start(job, s) + job.round * job.round_rows, slice_start(job, s + 1))

cdef inline ptrdiff_t round_first(const TrainingJob *job, ptrdiff_t s) noexcept nogil:
    """The row of the arena that holds this one."""
    return round_start(job, s) if job.plan.whole else s * job.round_rows

cdef void run_round(void *context, int index, int n_parts) noexcept nogil:
    """Both passes over one part of the round's rows."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Part part
    cdef ptrdiff_t s, row, end, first, pieces = job.round_rows // job.piece_rows
    cdef ptrdiff_t piece = part_start(job.n_slices * pieces, index, n_parts), n
    cdef ptrdiff_t last = part_start(job.n_slices * pieces, index + 1, n_parts)
    while piece < last:
        s = piece // pieces
        n = min(last, (s + 1) * pieces) - piece
        first = piece % pieces * job.piece_rows  # within the round of this slice
        row = round_start(job, s) + first
        end = min(row + n * job.piece_rows, round_start(job, s) + job.round_rows, slice_start(job, s + 1))
        first += round_first(job, s)
        part = slice_part(job, index, row, first)
        run_rows(&part, first, first + end - row)
        piece += n

cdef void sum_round(void *context, int index, int n_parts) noexcept nogil:
    """One part of the gradients of the slices, over the round's rows: shares of a slice or two."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef Part part
    cdef ptrdiff_t s, n, row, end, first, share = index * job.n_slices, last = (index + 1) * job.n_slices
    while share < last:
        s = share // n_parts
        n = min(last, (s + 1) * n_parts) - share
        row, first = round_start(job, s), round_first(job, s)
        end = min(row + job.round_rows, slice_start(job, s + 1))
        part = slice_part(job, index, row, first)
        part.gradient, part.bin_sums = slice_gradient(p, s) - p.gradient, s
        part.accumulate, part.last = job.round > 0, end == slice_start(job, s + 1)
        if row < end:
            sum_gradients(
                &part, 0, p.n_operations, first, end - row, share % n_parts, share % n_parts + n, n_parts)
        share += n

cdef void run_rounds(TrainingJob *job, int n_parts) noexcept nogil:
    """Both passes over all slices and the gradient of each, by threads that work on all of them together."""
    cdef ptrdiff_t rounds = (longest_slice(job) + job.round_rows - 1) // job.round_rows
    for job.round in range(rounds):
        parallel(job, run_round, n_parts)
        if job.do_backward and not job.inputs_only and not job.interrupts.stopped:
            parallel(job, sum_round, n_parts)
        if job.interrupts.stopped:
            return

cdef double run_sliced_batch(TrainingJob *job) noexcept nogil:
    """Both passes over the current batch: see `run_batch`."""
    cdef Plan *p = job.plan
    cdef double cost = 0
    cdef ptrdiff_t i
    cdef int n_parts = batch_parts(p, job.batch_count)
    job.forward_begin, job.forward_end = 0, p.n_operations
    job.backward_begin, job.backward_end = p.n_operations - 1, -1
    job.update_now = False
    memset(p.cost, 0, n_pieces(job) * sizeof(double))
    job.round_rows = rows_per_round(job)
    if shares_slices(job.n_slices, n_parts) and job.round_rows > 0:
        job.slice_parts = <int>job.n_slices
        run_rounds(job, n_parts)
    else:
        job.slice_parts = <int>min(<ptrdiff_t>p.n_parts, job.n_slices)
        parallel(job, run_slices, job.slice_parts)
    for i in range(n_pieces(job)):
        cost += p.cost[i]
    if job.do_backward and not job.inputs_only and not job.interrupts.stopped:
        job.update_now = job.fuse_update and isfinite(cost)
        parallel(job, add_slices, parameter_parts(p, job.slice_parts))
    return cost

# ---- by blocks ----

cdef void run_block_rows(void *context, int index, int n_parts) noexcept nogil:
    """Run the current operations on one part of the block's rows."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Part part = block_part(job, index)
    cdef ptrdiff_t units = (job.count + UNIT_ROWS - 1) // UNIT_ROWS
    cdef ptrdiff_t first = part_start(units, index, n_parts) * UNIT_ROWS
    cdef ptrdiff_t end = min(part_start(units, index + 1, n_parts) * UNIT_ROWS, job.count)
    run_rows(&part, first, end)

cdef void sum_block_gradients(void *context, int index, int n_parts) noexcept nogil:
    """One part of the gradient over the block's rows."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Part part = block_part(job, index)
    sum_gradients(&part, job.gradient_begin, job.gradient_end, 0, job.count, index, index + 1, n_parts)

cdef void start_sum(TrainingJob *job, ptrdiff_t first, ptrdiff_t n) noexcept with gil:
    """Begin the sum over the ranks of n elements of the gradient; an exception that this raises ends the step."""
    cdef Plan *p = job.plan
    cdef char *start = p.gradient + first * p.itemsize
    fp_denormals_restore(job.interrupts.float_state)
    try:
        (<object>job.gradient_ranks).start_sum(
            numpy.asarray(<float[:n]><float *>start if p.itemsize == 4 else <double[:n]><double *>start))
    except BaseException as raised:
        stop_work(&job.interrupts, raised)
    fp_denormals_flush()

cdef void start_sums(TrainingJob *job) noexcept nogil:
    """Compute the gradient from the last operation on, and begin its sum over the ranks, part by part.

    The first operations that have parameters are left. The parts depend on shapes alone, since they must be the same on
    all ranks.
    """
    cdef Plan *p = job.plan
    cdef ptrdiff_t k, first
    for k in range(p.n_operations - 1, 0, -1):
        first = p.operations[k].offset
        if first == 0 or (job.n_unsummed - first) * p.itemsize < MIN_SUMMED_BYTES:
            continue
        job.gradient_begin = k
        if job.count > 0:
            parallel(job, sum_block_gradients, job.block_parts)
        if job.interrupts.stopped:
            return
        start_sum(job, first, job.n_unsummed - first)
        job.gradient_end, job.n_unsummed = k, first

cdef void forward_columns(void *context, int index, int n_parts) noexcept nogil:
    """One part of the columns of a[forward_end], for all rows of the block."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[job.forward_end]
    cdef Part part = block_part(job, index)
    cdef Call c
    cdef ptrdiff_t row = 0, rows, n, column = part_lines(op.n_out, index, n_parts, &n)
    while row < job.count:
        rows = min(p.rows_per_call, job.count - row)
        if job.order != NULL and job.forward_end == 0:
            gather_rows(&part, row, rows)
        set_call(&c, &part, job.forward_end, row, rows)
        dense_forward_columns(&c, output_rows(&part, job.forward_end, row), column, n)
        if check_interrupt(&job.interrupts, index, 2.0 * rows * op.n_in * n):
            return
        row += rows

cdef void backward_columns(void *context, int index, int n_parts) noexcept nogil:
    """One part of the columns of the gradient by the input of operation backward_begin, for all rows of the block."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef Operation *op = &p.operations[job.backward_begin]
    cdef Part part = block_part(job, index)
    cdef Call c
    cdef ptrdiff_t row = 0, rows, n, column = part_lines(op.n_in, index, n_parts, &n)
    while row < job.count:
        rows = min(p.rows_per_call, job.count - row)
        set_call(&c, &part, job.backward_begin, row, rows)
        dense_backward_columns(&c, input_gradient_rows(&part, job.backward_begin, row), column, n)
        if check_interrupt(&job.interrupts, index, 2.0 * rows * op.n_out * n):
            return
        row += rows

# A block is processed in phases. All its rows must have finished a phase before the next one begins. Usually there is
# one phase. Each batch norm in training begins another, since its statistics are those of all rows. A DENSE of which
# the threads share the columns is one by itself.

cdef inline bint begins_phase(const TrainingJob *job, ptrdiff_t k) noexcept nogil:
    """Whether operation k is a batch norm in training, or one of which the threads share the columns."""
    return shares_columns(job, k) or job.training and job.plan.operations[k].kind == BATCH_NORM

cdef inline ptrdiff_t next_phase(const TrainingJob *job, ptrdiff_t k) noexcept nogil:
    """The index of the first operation from k on that begins a phase, or n_operations."""
    while k < job.plan.n_operations and not begins_phase(job, k):
        k += 1
    return k

cdef inline ptrdiff_t previous_phase(const TrainingJob *job, ptrdiff_t k) noexcept nogil:
    """The index of the last operation up to k that begins a phase, or -1."""
    while k >= 0 and not begins_phase(job, k):
        k -= 1
    return k

cdef void run_block(TrainingJob *job) noexcept nogil:
    """Both passes over the current block; afterwards its losses and every dz are in the arena."""
    cdef Plan *p = job.plan
    cdef bint do_backward = job.do_backward
    cdef ptrdiff_t k
    job.block_parts = n_parts_for(p, block_flops(job))
    job.forward_begin, job.do_backward, k = 0, False, next_phase(job, 0)
    while k < p.n_operations:  # forward up to each operation that begins a phase
        if job.do_forward:
            job.forward_end = k
            if job.forward_begin < k or k == 0 and not shares_columns(job, 0):
                parallel(job, run_block_rows, job.block_parts)
            if shares_columns(job, k):
                parallel(job, forward_columns, job.block_parts)
            else:
                parallel(job, column_statistics, n_parts_for(p, column_flops(job, k)))
                if job.norm_ranks != NULL:
                    share_statistics(job)
        job.forward_begin = k + 1 if shares_columns(job, k) else k
        k = next_phase(job, k + 1)
    k = previous_phase(job, p.n_operations - 1)
    # forward to the end, and backward to the last of them
    job.forward_end, job.do_backward = p.n_operations, do_backward
    job.backward_begin, job.backward_end = p.n_operations - 1, k
    parallel(job, run_block_rows, job.block_parts)
    job.forward_begin = job.forward_end = p.n_operations + 1  # the forward pass is complete
    while do_backward and k >= 0 and not job.interrupts.stopped:  # backward from each of them to the one before
        job.backward_begin, job.backward_end = k, previous_phase(job, k - 1)
        if shares_columns(job, k):
            if job.dx != NULL or p.operations[k].needs_dx:
                parallel(job, backward_columns, job.block_parts)
            job.backward_begin = k - 1
        else:
            parallel(job, column_gradients, n_parts_for(p, column_flops(job, k)))
            if job.norm_ranks != NULL:
                share_gradients(job)
        if job.backward_begin > job.backward_end:
            parallel(job, run_block_rows, job.block_parts)
        k = job.backward_end

cdef inline bint runs_fused(const TrainingJob *job, ptrdiff_t rows) noexcept nogil:
    """Whether fused_small_network, in one call, is both passes over a batch of `rows`."""
    cdef const Plan *p = job.plan
    return (
        p.fusible and p.n_targets == p.n_outputs and fits_fused_kernel(p, rows)
        and job.order != NULL and job.weight == NULL)

cdef double run_batch(TrainingJob *job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """Both passes over `rows` of the job's rows.

    It returns the sum of weight times loss, and leaves the gradient of the mean in the plan if the job wants it.
    """
    cdef Plan *p = job.plan
    cdef double cost = 0
    cdef ptrdiff_t i, block, at = 0, blocks = 1, unit = 0, units = 0
    job.batch_weight = job.total_weight if job.on_ranks else sum_weights(job, first, rows)
    if rows > 0 and runs_fused(job, rows):
        p.kernels.fused_small_network(
            &cost, p.gradient, p.scratch, p.theta, job.x, job.y, job.label, job.order + first, p.widths, p.activations,
            p.n_operations, rows, job.loss, 1.0 / job.batch_weight, p.hyper)
        if job.fuse_update and isfinite(cost):
            update_parameters(job, 0, p.n_parameters)
        return cost
    set_batch(job, first, rows)
    load_running_statistics(job)
    if job.n_slices > 1:
        return run_sliced_batch(job) / p.members
    if rows > p.block_rows:  # blocks of about equal length, since a short one would be worth one thread only
        unit = p.block_rows // p.part_rows * UNIT_ROWS  # block_rows are a multiple of it
        blocks, units = (rows + p.block_rows - 1) // p.block_rows, (rows + unit - 1) // unit
    for block in range(blocks):
        job.block_offset, job.accumulate = first + at, at > 0
        job.count = (rows if block == blocks - 1 else (block + 1) * units // blocks * unit) - at
        memset(p.cost, 0, ((job.count + UNIT_ROWS - 1) // UNIT_ROWS) * sizeof(double))
        job.norm_rows = job.count
        if rows == 0 and job.do_backward:  # of a step in which only other ranks have rows
            memset(p.gradient, 0, p.n_parameters * p.itemsize)
        run_block(job)
        if job.norms_elsewhere:
            clear_norm_gradients(job)
        if job.loss != NO_LOSS:
            for i in range((job.count + UNIT_ROWS - 1) // UNIT_ROWS):
                cost += p.cost[i]
        job.update_now = job.fuse_update and block == blocks - 1 and isfinite(cost)
        if job.do_forward and isfinite(cost) and not job.interrupts.stopped and not job.on_ranks:
            update_running_statistics(job)
        if job.do_backward and not job.inputs_only and not job.interrupts.stopped:
            job.last_block = block == blocks - 1
            job.gradient_begin, job.gradient_end = 0, p.n_operations
            if job.gradient_ranks != NULL and job.last_block:
                start_sums(job)
                job.gradient_begin = 0
            if job.count > 0 and not job.interrupts.stopped:
                parallel(job, sum_block_gradients, job.block_parts)
        if job.interrupts.stopped:
            break
        at += job.count
    return cost / p.members
