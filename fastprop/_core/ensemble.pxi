# Many networks trained side by side: each by one thread, all steps of an epoch. Part of _engine.pyx.

cdef struct Together:
    Job *jobs
    ptrdiff_t n_jobs
    double due        # the time, by fp_clock, when all jobs pause
    int64_t next      # the first job that nobody has taken yet

cdef void train_some(void *context, int part) noexcept nogil:
    """Takes one job after another until none is left or it is time to pause. Who does which changes no bit."""
    cdef Together *all = <Together *>context
    cdef Job *job
    cdef int64_t i = fp_atomic_add(&all.next, 1) - 1
    while i < all.n_jobs:
        job = &all.jobs[i]
        if job.done < job.rows and not job.diverged:
            job.interrupts.due, job.interrupts.flops_left = all.due, FLOPS_PER_CLOCK_READ
            job.interrupts.pause, job.interrupts.deferred = False, True
            train(job)
        i = fp_atomic_add(&all.next, 1) - 1

cdef bint all_done(const Together *all) noexcept:
    cdef ptrdiff_t i
    for i in range(all.n_jobs):
        if all.jobs[i].done < all.jobs[i].rows and not all.jobs[i].diverged:
            return False
    return True

cdef int train_together(Together *all, list descents) except -1:
    """Round after round of INTERRUPT_SECONDS, between which Python may handle signals."""
    cdef uint64_t state
    cdef CompiledTrainer descent
    cdef ptrdiff_t i
    while not all_done(all):
        all.next, all.due = 0, fp_clock() + INTERRUPT_SECONDS
        with nogil:
            state = fp_work_begin()
            fp_parallel(train_some, all, <int>min(<ptrdiff_t>fp_get_num_threads(), all.n_jobs))
            fp_work_end(state)
        for i in range(all.n_jobs):
            descent = descents[i]
            descent.steps += all.jobs[i].steps - all.jobs[i].steps_told
            all.jobs[i].steps_told = all.jobs[i].steps
        PyErr_CheckSignals()
    return 0


def run_ensemble(list descents, x, y, label, list weights, list orders, Py_ssize_t batch, list rates):
    """One pass over the rows of x for each descent, in its own order, with its own weights and rates.

    Returns
    -------
    list of float
        Their mean costs, as ``CompiledTrainer.run`` returns them.
    """
    cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label)
    cdef tuple pins = (pin(x), pin(y), pin(label))  # nobody resizes them before the end
    cdef list own = [tuple(map(Buffer, arrays)) for arrays in zip(orders, weights, rates)]
    cdef Py_ssize_t i, entered = 0, had = 0, n = len(descents)
    # one order for all, or two ensembles that share networks would wait for one another
    cdef list engines = sorted([(<CompiledTrainer>one).engine for one in descents], key=id)
    cdef Engine engine
    cdef Together all
    cdef Job *jobs = <Job *>fp_allocate(n * sizeof(Job))
    cdef Rule *rules = <Rule *>fp_allocate(n * sizeof(Rule))
    cdef CompiledTrainer descent
    try:
        if jobs == NULL or rules == NULL:
            raise MemoryError(f"no memory to train {n} networks at once")
        for i in range(n):
            engine = engines[i]
            engine.have()
            had += 1
        for i in range(n):
            descent = descents[i]
            descent.join(&jobs[i], &rules[i], xs, ys, labels, own[i], batch)
            entered += 1
        all.jobs, all.n_jobs = jobs, n
        train_together(&all, descents)
        return [mean_cost(&jobs[i]) for i in range(n)]
    finally:
        for i in range(entered):
            descent = descents[i]
            descent.engine.leave(&jobs[i])
        for i in range(had):
            engine = engines[i]
            engine.give()
        fp_free(jobs)
        fp_free(rules)
