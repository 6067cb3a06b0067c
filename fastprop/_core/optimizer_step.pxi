# The update of theta, what goes with it, and the loop over mini-batches. Part of _engine.pyx.

cdef struct Job  # of job.pxi

# These two are rows of float64 arrays that Python makes, so all is double.

cdef struct Segment:  # parameters that are treated alike
    double end        # they begin where the segment before ends
    double factor     # of the rate
    double l1
    double l2

cdef struct Constraint:  # on the columns of a weight
    double start      # in theta
    double n_in
    double n_out
    double limit      # of their L2 norm

cdef struct Rule:
    int optimizer
    double rate       # of the step in work
    const double *rates  # of each step of the job, or NULL: `rate` in all
    double hyper[FP_HYPER]
    double now[FP_HYPER]     # the same for the step in work, as the kernel takes it
    double after[FP_MEMORY]  # what memory becomes once the step is taken
    bint ready        # these two are as they should be
    double *memory    # (FP_MEMORY,)
    char *state       # (n_states, n_parameters), or NULL
    const Segment *segments
    ptrdiff_t n_segments
    double clip_value  # 0: none
    double clip_norm  # 0: none
    double *squares   # (n_parameters / CHUNK rounded up,): of the gradient, for clip_norm
    double factor     # which clip_norm makes of it
    const Constraint *constraints
    ptrdiff_t n_constraints
    char *averaged    # (n_parameters,), or NULL
    int64_t *averages  # how many theta it is the average of
    ptrdiff_t average_start
    ptrdiff_t average_every
    double average_weight  # of a new theta; 0: all weigh the same

cdef enum:
    # Elements whose squares are summed at a time, so that the sum does not depend on the threads; they fit into L1.
    CHUNK = 4096

ctypedef void (*Piece)(Job *job, ptrdiff_t first, ptrdiff_t count, const Segment *segment) noexcept nogil

cdef void each_segment(Job *job, Piece work, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Some work on `count` parameters from the first on, one segment after the other."""
    cdef const Segment *segment = job.rule.segments
    cdef ptrdiff_t n
    while count > 0:
        while segment.end <= first:
            segment += 1
        n = min(count, <ptrdiff_t>segment.end - first)
        work(job, first, n, segment)
        first, count = first + n, count - n

cdef void shape_gradient(Job *job, ptrdiff_t first, ptrdiff_t count, const Segment *segment) noexcept nogil:
    """The gradient of the penalties joins it, and its elements are clipped."""
    cdef Plan *p = job.plan
    cdef char *gradient = p.gradient + first * p.size
    if segment.l1 != 0 or segment.l2 != 0:
        p.kernels.penalize(gradient, p.theta + first * p.size, count, segment.l1, segment.l2)
    if job.rule.clip_value != 0:
        p.kernels.clip(gradient, count, job.rule.clip_value)

cdef void step_segment(Job *job, ptrdiff_t first, ptrdiff_t count, const Segment *segment) noexcept nogil:
    cdef Plan *p = job.plan
    cdef const Rule *rule = job.rule
    cdef ptrdiff_t distance = first * p.size
    if rule.clip_norm == 0:
        shape_gradient(job, first, count, segment)
    elif rule.factor != 1:
        p.kernels.shrink(p.gradient + distance, count, rule.factor)
    p.kernels.optimizer[rule.optimizer](
        p.theta + distance, element(rule.state, first, p.size), p.gradient + distance, count, p.n_parameters,
        rule.rate * segment.factor, rule.now)

cdef void step_theta(Job *job, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """theta <- theta - eta * grad, or whatever the optimiser makes of it, for `count` parameters from the first on."""
    each_segment(job, step_segment, first, count)

cdef void update(void *context, int part, int parts) noexcept nogil:
    """One part of the update of theta, in stretches, since it may be more than one pass over each."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t first, count, n
    first = share_lines(p.n_parameters, part, parts, &count)
    while count > 0:
        n = min(count, STRETCH // 8)
        each_segment(job, step_segment, first, n)
        first, count = first + n, count - n

cdef void measure(void *context, int part, int parts) noexcept nogil:
    """One part of the gradient's squares, after penalties and clipping by value."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t chunks = (p.n_parameters + CHUNK - 1) // CHUNK, c, n
    for c in range(share(chunks, part, parts), share(chunks, part + 1, parts)):
        n = min(CHUNK, p.n_parameters - c * CHUNK)
        each_segment(job, shape_gradient, c * CHUNK, n)
        p.kernels.sum_squares(&job.rule.squares[c], p.gradient + c * CHUNK * p.size, n)

cdef void constrain(void *context, int part, int parts) noexcept nogil:
    """One part of the columns of every constrained weight."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef const Constraint *c
    cdef ptrdiff_t i, first, count
    for i in range(job.rule.n_constraints):
        c = &job.rule.constraints[i]
        first = share_lines(<ptrdiff_t>c.n_out, part, parts, &count)
        p.kernels.max_norm(
            p.theta + (<ptrdiff_t>c.start + first) * p.size, <ptrdiff_t>c.n_in, count, <ptrdiff_t>c.n_out,
            c.limit)

cdef void average(void *context, int part, int parts) noexcept nogil:
    """One part of the average of theta."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef const Rule *rule = job.rule
    cdef ptrdiff_t first, count
    cdef double weight = rule.average_weight
    if weight == 0 or rule.averages[0] == 1:  # the first theta is the first average
        weight = 1.0 / rule.averages[0]
    first = share_lines(p.n_parameters, part, parts, &count)
    p.kernels.average(rule.averaged + first * p.size, p.theta + first * p.size, count, weight)

cdef void begin_step(Job *job) noexcept nogil:
    """The numbers of the step that follows; nothing changes for good before `end_step`."""
    cdef Rule *rule = job.rule
    if rule.rates != NULL:
        rule.rate = rule.rates[job.steps]
    if not rule.ready:
        rule.ready = not fp_optimizer_begin(rule.optimizer, rule.now, rule.after, rule.memory, rule.hyper)

cdef void descend(Job *job) noexcept nogil:
    """The update of all of theta, along a gradient that is whole."""
    cdef Rule *rule = job.rule
    cdef double n = job.plan.n_parameters, squares = 0
    cdef ptrdiff_t c
    if rule.clip_norm != 0:
        parallel(job, measure, 8.0 * n)
        for c in range((job.plan.n_parameters + CHUNK - 1) // CHUNK):
            squares += rule.squares[c]
        # squares of a float32 overflow from 2e19 on: along such a gradient there is no step
        rule.factor = min(1.0, rule.clip_norm / sqrt(squares)) if squares > 0 else 1
    parallel(job, update, 8.0 * n)  # memory decides: 12 to 16 bytes for 2 flops

cdef void end_step(Job *job) noexcept nogil:
    """What follows an update, and the step counts."""
    cdef Rule *rule = job.rule
    cdef double n = job.plan.n_parameters
    cdef ptrdiff_t late
    if not rule.ready:
        memcpy(rule.memory, rule.after, sizeof(rule.after))
    job.steps, job.step = job.steps + 1, job.step + 1
    if rule.n_constraints > 0:
        parallel(job, constrain, 8.0 * n)
    if rule.averaged != NULL:
        late = job.step - rule.average_start
        if late >= 0 and late % rule.average_every == 0:
            rule.averages[0] += 1
            parallel(job, average, 8.0 * n)

cdef bint is_plain_descent(const Rule *rule) noexcept nogil:
    """Whether the step along the gradient is that of SGD alone, each element by itself and with no state."""
    cdef ptrdiff_t i
    if rule.optimizer != FP_OPTIMIZER_sgd or rule.hyper[2] != 0 or rule.clip_value != 0 or rule.clip_norm != 0:
        return False
    for i in range(rule.n_segments):
        if rule.segments[i].l1 != 0 or rule.segments[i].l2 != 0:
            return False
    return True

cdef const Segment *descent_of(const Job *job, const Op *op) noexcept nogil:
    """The segment of a product's weights if they take their step together with their gradient, else NULL."""
    cdef const Segment *segment
    if not job.update_now or not job.descends or op.n_weights * job.plan.size < DESCENT:
        return NULL
    segment = job.rule.segments
    while segment.end <= op.first:
        segment += 1
    return segment if op.first + op.n_weights <= segment.end else NULL

cdef void train(Job *job) noexcept nogil:
    """Mini-batch after mini-batch until the run is over, has diverged, was stopped, or has progress to report."""
    cdef ptrdiff_t rows
    cdef double cost, flops, longest = <double>SHORT_STEP * job.plan.kernels.lanes
    cdef bint plain = is_plain_descent(job.rule)
    while job.done < job.rows and not job.interrupts.pause:
        rows = min(job.batch, job.rows - job.done)
        job.descends = plain and rows < job.rows - job.done  # the last step leaves its gradient
        flops = job.plan.flops * rows
        job.fused = job.rule.clip_norm == 0 and (flops < SHORT_STEP or job.descends and flops < longest)
        begin_step(job)
        cost = pass_batch(job, job.done, rows)
        job.diverged = not isfinite(cost)
        if job.interrupts.stopped or job.diverged:
            return
        if not job.fused:
            descend(job)
        end_step(job)
        job.cost += cost
        job.weight_done += job.batch_weight
        job.done += rows
        check_interrupt(&job.interrupts, 0, FLOPS_PER_STEP)
