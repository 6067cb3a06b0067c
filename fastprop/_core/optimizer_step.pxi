# The update of theta with all that belongs to it, and the loop over mini-batches. Part of _engine.pyx.

cdef struct TrainingJob  # of job.pxi

# Segment and Constraint are rows of float64 arrays that Python makes, so every field is a double.

cdef struct Segment:  # adjacent parameters that have the same learning rate and penalties
    double end        # the index in theta after the last one; the segment begins where the one before ends
    double factor     # of the learning rate
    double l1
    double l2

cdef struct Constraint:  # a largest L2 norm for every column of a weight
    double start      # the index in theta of the first element
    double n_in
    double n_out
    double limit      # the norm

cdef struct OptimizerState:
    int optimizer_id     # the index in the list of optimisers
    double rate          # the learning rate of the current step
    const double *rates  # (steps of the job,): the rate of each step, or NULL: `rate` for all
    double hyper[FP_HYPER]         # the hyperparameters
    double step_hyper[FP_HYPER]    # those of the current step, as its kernel takes them
    double next_memory[FP_MEMORY]  # what `memory` becomes once the step is taken
    bint constant_hyper  # step_hyper is set and is the same for every step; memory does not change
    double *memory       # (FP_MEMORY,): numbers that step_hyper depends on, such as beta^t of Adam
    char *state          # (n_states, n_parameters), moments and the like, or NULL
    const Segment *segments
    ptrdiff_t n_segments
    double clip_value    # the largest absolute value of an element of the gradient; 0: no limit
    double clip_norm     # the largest L2 norm of the gradient; 0: no limit
    double *squares      # (n_parameters / SQUARES_CHUNK rounded up,): the sum of squares of each chunk, for clip_norm
    double clip_factor   # what the gradient is multiplied by to have that norm
    const Constraint *constraints
    ptrdiff_t n_constraints
    char *average        # (n_parameters,): the average of theta over steps, or NULL
    int64_t *n_averaged  # how many theta it is the average of
    ptrdiff_t average_start
    ptrdiff_t average_every
    double average_weight  # of a new theta in a moving average; 0: the mean of all

cdef enum:
    # Elements whose squares are summed together: a constant, so that the sum does not depend on the number of threads.
    # They fit in L1.
    SQUARES_CHUNK = 4096
    SMALL_STEPS = 500  # between two looks at the clock, as many as FLOPS_PER_CLOCK_READ allows

ctypedef void (*SegmentWork)(TrainingJob *job, ptrdiff_t first, ptrdiff_t count, const Segment *segment) noexcept nogil

cdef void for_each_segment(TrainingJob *job, SegmentWork work, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Call `work` on `count` parameters from `first` on, for one segment after the other."""
    cdef const Segment *segment = job.optimizer.segments
    cdef ptrdiff_t n
    while count > 0:
        while segment.end <= first:
            segment += 1
        n = min(count, <ptrdiff_t>segment.end - first)
        work(job, first, n, segment)
        first, count = first + n, count - n

cdef void penalize_and_clip(
    TrainingJob *job, ptrdiff_t first, ptrdiff_t count, const Segment *segment,
) noexcept nogil:
    """Add the gradient of the L1 and L2 penalties, then clip each element by value."""
    cdef Plan *p = job.plan
    cdef char *gradient = p.gradient + first * p.itemsize
    if segment.l1 != 0 or segment.l2 != 0:
        p.kernels.penalize(gradient, p.theta + first * p.itemsize, count, segment.l1, segment.l2)
    if job.optimizer.clip_value != 0:
        p.kernels.clip(gradient, count, job.optimizer.clip_value)

cdef void update_segment(TrainingJob *job, ptrdiff_t first, ptrdiff_t count, const Segment *segment) noexcept nogil:
    """Update some parameters of one segment."""
    cdef Plan *p = job.plan
    cdef const OptimizerState *optimizer = job.optimizer
    cdef ptrdiff_t offset = first * p.itemsize
    if optimizer.clip_norm == 0:
        penalize_and_clip(job, first, count, segment)
    elif optimizer.clip_factor != 1:
        p.kernels.shrink(p.gradient + offset, count, optimizer.clip_factor)
    p.kernels.optimizer[optimizer.optimizer_id](
        p.theta + offset, element(optimizer.state, first, p.itemsize), p.gradient + offset, count, p.n_parameters,
        optimizer.rate * segment.factor, optimizer.step_hyper)

cdef void update_parameters(TrainingJob *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """theta <- theta - eta * grad, or the optimiser's own formula, for `count` parameters from `first` on."""
    for_each_segment(job, update_segment, first, count)

cdef void update_part(void *context, int part, int n_parts) noexcept nogil:
    """One part of the update of theta, in chunks that stay in the cache between its kernels."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef ptrdiff_t first, count, n
    first = part_lines(job.plan.n_parameters, part, n_parts, &count)
    while count > 0:
        n = min(count, CHUNK_BYTES // 8)
        update_parameters(job, first, n)
        first, count = first + n, count - n

cdef void sum_squares_part(void *context, int part, int n_parts) noexcept nogil:
    """One part of the gradient's squares, after penalties and clipping by value."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t chunks = (p.n_parameters + SQUARES_CHUNK - 1) // SQUARES_CHUNK, c, n
    for c in range(part_start(chunks, part, n_parts), part_start(chunks, part + 1, n_parts)):
        n = min(SQUARES_CHUNK, p.n_parameters - c * SQUARES_CHUNK)
        for_each_segment(job, penalize_and_clip, c * SQUARES_CHUNK, n)
        p.kernels.sum_squares(&job.optimizer.squares[c], p.gradient + c * SQUARES_CHUNK * p.itemsize, n)

cdef void constrain_part(void *context, int part, int n_parts) noexcept nogil:
    """Scale down the columns of one part of every constrained weight that exceed their largest norm."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef const Constraint *c
    cdef ptrdiff_t i, first, count
    for i in range(job.optimizer.n_constraints):
        c = &job.optimizer.constraints[i]
        first = part_lines(<ptrdiff_t>c.n_out, part, n_parts, &count)
        p.kernels.max_norm(
            p.theta + (<ptrdiff_t>c.start + first) * p.itemsize, <ptrdiff_t>c.n_in, count, <ptrdiff_t>c.n_out,
            c.limit)

cdef void average_part(void *context, int part, int n_parts) noexcept nogil:
    """One part of the average of theta."""
    cdef TrainingJob *job = <TrainingJob *>context
    cdef Plan *p = job.plan
    cdef const OptimizerState *optimizer = job.optimizer
    cdef ptrdiff_t first, count
    cdef double weight = optimizer.average_weight
    if weight == 0 or optimizer.n_averaged[0] == 1:  # the first theta is the first average
        weight = 1.0 / optimizer.n_averaged[0]
    first = part_lines(p.n_parameters, part, n_parts, &count)
    p.kernels.average(optimizer.average + first * p.itemsize, p.theta + first * p.itemsize, count, weight)

cdef void begin_step(TrainingJob *job) noexcept nogil:
    """Set the learning rate and hyperparameters of the next step. Nothing lasting changes before `end_step`."""
    cdef OptimizerState *optimizer = job.optimizer
    if optimizer.rates != NULL:
        optimizer.rate = optimizer.rates[job.steps_done]
    if not optimizer.constant_hyper:
        optimizer.constant_hyper = not fp_optimizer_begin(
            optimizer.optimizer_id, optimizer.step_hyper, optimizer.next_memory, optimizer.memory, optimizer.hyper)

cdef void apply_gradient(TrainingJob *job) noexcept nogil:
    """Update all of theta from the complete gradient."""
    cdef OptimizerState *optimizer = job.optimizer
    cdef double squares = 0
    cdef ptrdiff_t c
    if optimizer.clip_norm != 0:
        parallel(job, sum_squares_part, parameter_parts(job.plan))
        for c in range((job.plan.n_parameters + SQUARES_CHUNK - 1) // SQUARES_CHUNK):
            squares += optimizer.squares[c]
        # squares of a float32 overflow from 2e19 on; the factor is then 0, and the parameters stay as they are
        optimizer.clip_factor = min(1.0, optimizer.clip_norm / sqrt(squares)) if squares > 0 else 1
    parallel(job, update_part, parameter_parts(job.plan))

cdef void end_step(TrainingJob *job) noexcept nogil:
    """Count the step, then apply the constraints and update the average."""
    cdef OptimizerState *optimizer = job.optimizer
    cdef ptrdiff_t steps_averaged
    if not optimizer.constant_hyper:
        memcpy(optimizer.memory, optimizer.next_memory, sizeof(optimizer.next_memory))
    job.steps_done, job.step = job.steps_done + 1, job.step + 1
    if optimizer.n_constraints > 0:
        parallel(job, constrain_part, parameter_parts(job.plan))
    if optimizer.average != NULL:
        steps_averaged = job.step - optimizer.average_start
        if steps_averaged >= 0 and steps_averaged % optimizer.average_every == 0:
            optimizer.n_averaged[0] += 1
            parallel(job, average_part, parameter_parts(job.plan))

cdef bint is_plain_sgd(const OptimizerState *optimizer) noexcept nogil:
    """Whether the update is theta - eta * grad, element by element: no momentum, penalty or clipping."""
    cdef ptrdiff_t i
    if (
        optimizer.optimizer_id != FP_OPTIMIZER_sgd or optimizer.hyper[2] != 0
        or optimizer.clip_value != 0 or optimizer.clip_norm != 0
    ):
        return False
    for i in range(optimizer.n_segments):
        if optimizer.segments[i].l1 != 0 or optimizer.segments[i].l2 != 0:
            return False
    return True

cdef const Segment *fused_sgd_segment(const TrainingJob *job, const Operation *op) noexcept nogil:
    """The segment of a DENSE's weights if they are updated within the product that is their gradient, else NULL."""
    cdef const Segment *segment
    if not job.update_now or not job.fuse_sgd or op.n_weights * job.plan.itemsize < MIN_SGD_STEP_BYTES:
        return NULL
    segment = job.optimizer.segments
    while segment.end <= op.offset:
        segment += 1
    return segment if op.offset + op.n_weights <= segment.end else NULL

cdef bint takes_small_steps(const TrainingJob *job) noexcept nogil:
    """Whether one kernel takes steps of this job: plain SGD, and nothing else, on a network of a few numbers."""
    cdef const OptimizerState *optimizer = job.optimizer
    return (
        runs_fused(job, job.batch_rows) and is_plain_sgd(optimizer) and optimizer.n_segments == 1
        and optimizer.rates == NULL and optimizer.n_constraints == 0 and optimizer.average == NULL)

cdef void take_small_steps(TrainingJob *job) noexcept nogil:
    """Take the next steps, of whole batches, in one kernel, until the clock is due."""
    cdef Plan *p = job.plan
    cdef OptimizerState *optimizer = job.optimizer
    cdef ptrdiff_t most = min((job.rows - job.rows_done) // job.batch_rows, <ptrdiff_t>SMALL_STEPS)
    cdef int steps
    begin_step(job)
    p.kernels.small_network_sgd(
        &job.cost_sum, &steps, p.theta, p.gradient, p.scratch, job.x, job.y, job.label, job.order + job.rows_done,
        p.widths, p.activations, p.n_operations, job.batch_rows, most, job.loss,
        optimizer.rate * optimizer.segments.factor, p.hyper, optimizer.step_hyper)
    job.diverged = steps < most
    job.steps_done, job.step = job.steps_done + steps, job.step + steps
    job.rows_done += steps * job.batch_rows
    job.weight_sum += steps * job.batch_rows
    check_interrupt(&job.interrupts, 0, <double>FLOPS_PER_STEP * steps)

cdef void train_job(TrainingJob *job) noexcept nogil:
    """Take a step for each batch, until all rows are visited, the cost is not finite, or the job must stop or pause."""
    cdef ptrdiff_t rows
    cdef double cost, flops, longest = <double>SHORT_STEP_FLOPS * job.plan.kernels.lanes
    cdef bint plain_sgd = is_plain_sgd(job.optimizer), small = takes_small_steps(job)
    while job.rows_done < job.rows and not job.interrupts.pause:
        if small and job.rows - job.rows_done >= job.batch_rows:
            take_small_steps(job)
            if job.diverged:
                return
            continue
        rows = min(job.batch_rows, job.rows - job.rows_done)
        job.fuse_sgd = plain_sgd and rows < job.rows - job.rows_done  # the last step stores its gradient
        flops = job.plan.flops * rows
        job.fuse_update = job.optimizer.clip_norm == 0 and (
            n_slices(job, rows) > 1 or flops < SHORT_STEP_FLOPS or job.fuse_sgd and flops < longest)
        begin_step(job)
        cost = run_batch(job, job.rows_done, rows)
        job.diverged = not isfinite(cost)
        if job.interrupts.stopped or job.diverged:
            return
        if not job.fuse_update:
            apply_gradient(job)
        end_step(job)
        job.cost_sum += cost
        job.weight_sum += job.batch_weight
        job.rows_done += rows
        check_interrupt(&job.interrupts, 0, FLOPS_PER_STEP)
