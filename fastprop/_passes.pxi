# The two passes and the gradients. Part of _engine.pyx.

cdef struct Job:
    Plan *plan
    Air air
    # the data
    const char *x           # (rows, n_inputs)
    const char *y           # (rows, n_outputs), or NULL:
    const int64_t *label    # (rows,), or NULL
    const char *weight      # (rows,), or NULL: each row weighs 1
    const int64_t *order    # (rows,): the order in which rows are visited; NULL: as they lie
    ptrdiff_t rows
    # what to do with them
    bint up                 # the forward pass
    bint keep               # what a backward pass needs
    char *out               # (rows, n_outputs): where its outputs go, or NULL: into the arena
    int loss                # its number, or NO_LOSS
    const double *loss_hyper  # its numbers
    ptrdiff_t n_targets     # and the columns of y
    bint down               # the backward pass, and the gradient
    char *dx                # (rows, n_inputs): where dLoss/dx goes, or NULL: it is not wanted
    # how to train with them
    ptrdiff_t batch
    const Rule *rule
    bint fused              # the step is too short to be stopped in the middle: its update goes with its gradient
    # the rows in work: `count` of them from `first` on, a block of a batch
    ptrdiff_t first
    ptrdiff_t count
    double batch_weight     # of all rows of the batch
    bint accumulate         # not the first block of the batch: add to the gradient
    bint update_now         # the last block of a step: update theta with the gradient, stretch by stretch
    # how far it is
    ptrdiff_t done          # rows visited
    ptrdiff_t steps         # steps taken
    double cost             # sum over the rows visited, each before its step and times its weight
    double weight_done      # of the rows visited
    bint diverged           # the next step's cost is not finite: it was not taken

cdef enum:
    NO_LOSS = -1

cdef inline ptrdiff_t share(ptrdiff_t n, int part, int parts) noexcept nogil:
    """Where a part of 0..n begins. One part has no need of the division, which a tiny step would feel."""
    return part * n if parts == 1 else n * part // parts

cdef inline int parts_for(const Plan *p, double flops) noexcept nogil:
    """How many threads so much work is worth."""
    return 1 if p.parts == 1 else <int>max(1.0, min(<double>p.parts, flops / PART_FLOPS))

cdef inline const char *offset(const char *array, ptrdiff_t distance) noexcept nogil:
    """So many bytes further; NULL stays NULL."""
    if array == NULL:
        return NULL
    return array + distance

cdef void bring_rows(Job *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Rows first.. of the block in work, gathered into the arena in the run's order."""
    cdef Plan *p = job.plan
    cdef const int64_t *index = job.order + job.first + first
    cdef ptrdiff_t i
    p.kernels.gather(p.x + first * p.x_row * p.size, job.x, index, count, p.n_inputs, p.x_row, p.n_inputs)
    if job.y != NULL:
        p.kernels.gather(p.y + first * p.n_targets * p.size, job.y, index, count, p.n_targets, p.n_targets, p.n_targets)
    else:
        for i in range(count):
            p.label[first + i] = job.label[index[i]]
    if job.weight != NULL:
        p.kernels.gather(p.weight + first * p.size, job.weight, index, count, 1, 1, 1)

cdef inline const char *inputs_of(const Job *job, ptrdiff_t *x_row) noexcept nogil:
    """a[0] of the block in work, and how far apart its rows are."""
    x_row[0] = job.plan.x_row if job.order != NULL else job.plan.n_inputs
    if job.order != NULL:
        return job.plan.x
    return job.x + job.first * job.plan.n_inputs * job.plan.size

cdef bint forward(Job *job, int part, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """a[k] = g[k](a[k-1] W[k] + b[k]) for some rows of the block; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k, x_row
    cdef const char *x = inputs_of(job, &x_row)
    cdef Layer *layer
    cdef char *a
    cdef char *keep
    x += first * x_row * p.size
    for k in range(p.n_layers):
        layer = &p.layers[k]
        a = layer.a + first * layer.row * p.size
        if job.out != NULL and k == p.n_layers - 1:
            a = job.out + (job.first + first) * p.n_outputs * p.size
        keep = layer.kept + first * layer.row * p.size if job.keep and layer.kept != layer.a else NULL
        p.kernels.dense_forward(
            a, keep, x, layer.w, layer.b, p.scratch + part * p.scratch_size, count, layer.n_in, layer.n_out,
            layer.row, layer.row, x_row, layer.n_out, layer.activation, layer.hyper)
        x, x_row = a, layer.row
        if out_of_air(&job.air, part, 2.0 * count * layer.n_in * layer.n_out):
            return True
    return False

cdef void loss(Job *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """The summed loss of each slice, and da[L] = dLoss/da[L] / weight of the batch: the one place of that factor."""
    cdef Plan *p = job.plan
    cdef Layer *last = &p.layers[p.n_layers - 1]
    cdef ptrdiff_t s, i, row = p.n_outputs * p.size, y_row = p.n_targets * p.size
    cdef const char *y = offset(job.y, job.first * y_row)
    cdef const char *label = offset(<const char *>job.label, job.first * sizeof(int64_t))
    cdef const char *weight = offset(job.weight, job.first * p.size)
    cdef char *da = last.dz if job.down else NULL
    cdef double scale = 1.0 / job.batch_weight if job.batch_weight > 0 else 0
    if job.order != NULL:
        y = p.y if y != NULL else NULL
        label = <const char *>p.label
        weight = p.weight if weight != NULL else NULL
    for s in range(first // SLICE, (first + count + SLICE - 1) // SLICE):
        i = s * SLICE
        p.cost[s] = 0
        p.kernels.loss[job.loss](
            &p.cost[s], <char *>offset(da, i * row), last.a + i * row, offset(y, i * y_row),
            <const int64_t *>offset(label, i * sizeof(int64_t)), offset(weight, i * p.size),
            min(SLICE, first + count - i), p.n_outputs, p.n_targets, scale, p.hyper + p.n_layers * FP_HYPER)

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
    """From da[L]: dz[L] = da[L] * g'[L](z[L]), then dz[k-1] = (dz[k] W[k]^T) * g'[k-1](z[k-1]); and dx if wanted."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t k
    cdef Layer *layer = &p.layers[p.n_layers - 1]
    cdef Layer *below
    cdef char *scratch = p.scratch + part * p.scratch_size
    p.kernels.backward[layer.activation](
        layer.dz + first * layer.row * p.size, layer.kept + first * layer.row * p.size, count * p.n_outputs, layer.hyper)
    for k in range(p.n_layers - 1, 0, -1):
        layer, below = &p.layers[k], &p.layers[k - 1]
        p.kernels.dense_input_gradient(
            below.dz + first * below.row * p.size, layer.dz + first * layer.row * p.size, layer.w,
            below.kept + first * below.row * p.size, scratch, count, layer.n_in, layer.n_out,
            below.row, layer.row, layer.n_out, below.row, below.activation, below.hyper)
        if out_of_air(&job.air, part, 2.0 * count * layer.n_in * layer.n_out):
            return
    if job.dx != NULL:
        layer = &p.layers[0]
        p.kernels.dense_input_gradient(
            job.dx + (job.first + first) * p.n_inputs * p.size, layer.dz + first * layer.row * p.size, layer.w, NULL,
            scratch, count, layer.n_in, layer.n_out, p.n_inputs, layer.row, layer.n_out, 0, FP_ACTIVATION_identity, NULL)
        out_of_air(&job.air, part, 2.0 * count * layer.n_in * layer.n_out)

cdef void pass_rows(void *context, int part, int parts) noexcept nogil:
    """One part of the block's rows, all the way up and down: outputs, losses, and every dz."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t slices = (job.count + SLICE - 1) // SLICE
    cdef ptrdiff_t first = share(slices, part, parts) * SLICE
    cdef ptrdiff_t end = min(share(slices, part + 1, parts) * SLICE, job.count)
    cdef ptrdiff_t count
    while first < end and not fp_atomic_load(&job.air.stopped):
        count = min(p.rows_at_once, end - first)
        if job.order != NULL:
            bring_rows(job, first, count)
        if job.up and forward(job, part, first, count):
            return
        if job.loss != NO_LOSS:
            loss(job, first, count)
        if job.down:
            backward(job, part, first, count)
        first += count

cdef void sum_gradients(void *context, int part, int parts) noexcept nogil:
    """One part of every dW[k] = a[k-1]^T dz[k], a part being some rows of W; the last one does db[k] = sum dz[k].

    Where the job says so, a stretch of theta is updated as soon as its gradient is there, while both are in the cache.
    """
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t k, first, end, count, stretch
    cdef Layer *layer
    cdef bint last = part == parts - 1
    for k in range(p.n_layers - 1, -1, -1):
        layer = &p.layers[k]
        first, end = share(layer.n_in, part, parts), share(layer.n_in, part + 1, parts)
        stretch = max(SLICE, STRETCH // (layer.n_out * p.size)) if job.update_now else layer.n_in
        while first < end:
            count = min(stretch, end - first)
            if sum_gradient(job, part, k, first, count, last and first + count == end):
                return
            if job.update_now:
                step_theta(job, layer.w + first * layer.n_out * p.size, count * layer.n_out)
            first += count
        if last and job.update_now:
            step_theta(job, layer.b, layer.n_out)

cdef bint sum_gradient(Job *job, int part, ptrdiff_t k, ptrdiff_t first, ptrdiff_t count, bint db) noexcept nogil:
    """Some rows of dW[k] and, if wanted, db[k]; True if the work was stopped."""
    cdef Plan *p = job.plan
    cdef Layer *layer = &p.layers[k]
    cdef ptrdiff_t rows, x_row, row = 0
    cdef const char *x
    if k > 0:
        x, x_row = p.layers[k - 1].a, p.layers[k - 1].row
    else:
        x = inputs_of(job, &x_row)
    while row < job.count:
        rows = min(p.rows_at_once, job.count - row)
        p.kernels.dense_weight_gradient(
            layer.dw + first * layer.n_out * p.size, layer.db if db else NULL,
            x + (row * x_row + first) * p.size, layer.dz + row * layer.row * p.size,
            p.scratch + part * p.scratch_size, rows, count, layer.n_out,
            layer.n_out, x_row, layer.row, job.accumulate or row > 0)
        row += rows
        if not job.update_now and out_of_air(&job.air, part, 2.0 * rows * count * layer.n_out):
            return True
    return False

cdef double pass_batch(Job *job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """Block after block of a batch: its summed loss, and the gradient of its mean if wanted."""
    cdef Plan *p = job.plan
    cdef double cost = 0
    cdef ptrdiff_t i, at = 0
    job.batch_weight = weight_of(job, first, rows)
    if p.flops * rows <= 2 * TINY and job.order != NULL and job.weight == NULL and not p.keeps_slope:
        p.kernels.tiny_pass(
            &cost, p.gradient, p.scratch, p.theta, job.x, job.y, job.label, job.order + first, p.widths, p.activations,
            p.n_layers, rows, job.loss, 1.0 / rows, p.hyper)
        job.fused = False
        return cost
    while at < rows and not job.air.stopped:
        job.first, job.count, job.accumulate = first + at, min(p.block, rows - at), at > 0
        parallel(job, pass_rows, p.flops * job.count * (2 if job.down else 1))
        if job.loss != NO_LOSS:
            for i in range((job.count + SLICE - 1) // SLICE):
                cost += p.cost[i]
        job.update_now = job.fused and at + job.count == rows and isfinite(cost)
        if job.down and not job.air.stopped:
            parallel(job, sum_gradients, p.flops * job.count)
        at += job.count
    return cost

# ---- tasks for the pool, which knows chunks but not how many there are ----

ctypedef void (*Work)(void *context, int part, int parts) noexcept nogil

cdef struct Task:
    Work work
    void *context
    int parts

cdef void run_part(void *task, int part) noexcept nogil:
    (<Task *>task).work((<Task *>task).context, part, (<Task *>task).parts)

cdef inline void parallel(Job *job, Work work, double flops) noexcept nogil:
    """All parts of some work, on as many threads as it is worth."""
    cdef Task task
    cdef int parts = parts_for(job.plan, flops)
    if parts == 1:
        work(job, 0, 1)
        return
    task.work, task.context, task.parts = work, job, parts
    fp_parallel(run_part, &task, parts)
