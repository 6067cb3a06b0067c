# The update of theta, and the loop over mini-batches. Part of _engine.pyx.

cdef struct Job  # of _passes.pxi

cdef struct Rule:
    int optimizer
    double rate
    double hyper[FP_HYPER]
    char *state       # (n_states, n_parameters), or NULL

cdef void step_theta(Job *job, char *theta, ptrdiff_t count) noexcept nogil:
    """theta <- theta - eta * grad, or whatever the optimiser makes of it, for `count` parameters from there on."""
    cdef Plan *p = job.plan
    cdef ptrdiff_t distance = theta - p.theta
    cdef const Rule *rule = job.rule
    p.kernels.optimizer[rule.optimizer](
        theta, <char *>offset(rule.state, distance), p.gradient + distance, count, p.n_parameters, rule.rate, rule.hyper)

cdef void update(void *context, int part, int parts) noexcept nogil:
    """One part of the update of theta."""
    cdef Job *job = <Job *>context
    cdef Plan *p = job.plan
    cdef ptrdiff_t lines = (p.n_parameters + 15) // 16  # whole cache lines
    cdef ptrdiff_t first = share(lines, part, parts) * 16
    cdef ptrdiff_t count = min(share(lines, part + 1, parts) * 16, p.n_parameters) - first
    step_theta(job, p.theta + first * p.size, count)

cdef void train(Job *job) noexcept nogil:
    """Mini-batch after mini-batch until the run is over, has diverged, was stopped, or has progress to report."""
    cdef ptrdiff_t rows
    cdef double cost
    while job.done < job.rows and not job.air.now:
        rows = min(job.batch, job.rows - job.done)
        job.fused = job.plan.flops * rows < SHORT_STEP
        cost = pass_batch(job, job.done, rows)
        job.diverged = not isfinite(cost)
        if job.air.stopped or job.diverged:
            return
        if not job.fused:
            parallel(job, update, 8.0 * job.plan.n_parameters)  # memory decides: 12 to 16 bytes for 2 flops
        job.cost += cost
        job.weight_done += job.batch_weight
        job.done += rows
        job.steps += 1
        job.step += 1
        out_of_air(&job.air, 0, STEP)
