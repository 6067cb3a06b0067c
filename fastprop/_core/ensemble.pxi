# Many networks trained at once: one thread for each, through all steps of an epoch. Part of _engine.pyx.

cdef struct EnsembleJob:
    TrainingJob *jobs
    ptrdiff_t n_jobs
    double due        # the time, by fp_clock, when all jobs pause
    int64_t next      # atomic: the first job that no thread has taken yet

cdef void train_jobs(void *context, int part) noexcept nogil:
    """Take one job after another, until none is left or it is time to pause. Which thread runs a job changes no bit."""
    cdef EnsembleJob *ensemble = <EnsembleJob *>context
    cdef TrainingJob *job
    cdef int64_t i = fp_atomic_add(&ensemble.next, 1) - 1
    while i < ensemble.n_jobs:
        job = &ensemble.jobs[i]
        if job.rows_done < job.rows and not job.diverged:
            job.interrupts.due, job.interrupts.flops_left = ensemble.due, FLOPS_PER_CLOCK_READ
            job.interrupts.pause, job.interrupts.deferred = False, True
            train_job(job)
        i = fp_atomic_add(&ensemble.next, 1) - 1

cdef bint all_done(const EnsembleJob *ensemble) noexcept:
    """Whether every job has visited its rows or has diverged."""
    cdef ptrdiff_t i
    for i in range(ensemble.n_jobs):
        if ensemble.jobs[i].rows_done < ensemble.jobs[i].rows and not ensemble.jobs[i].diverged:
            return False
    return True

cdef int train_ensemble(EnsembleJob *ensemble, list trainers) except -1:
    """Run all jobs to their end, in rounds of INTERRUPT_SECONDS, between which Python handles signals."""
    cdef uint64_t float_state
    cdef CompiledTrainer trainer
    cdef ptrdiff_t i
    while not all_done(ensemble):
        ensemble.next, ensemble.due = 0, fp_clock() + INTERRUPT_SECONDS
        with nogil:
            float_state = fp_work_begin()
            fp_parallel(train_jobs, ensemble, <int>min(<ptrdiff_t>fp_get_num_threads(), ensemble.n_jobs))
            fp_work_end(float_state)
        for i in range(ensemble.n_jobs):
            trainer = trainers[i]
            trainer.steps += ensemble.jobs[i].steps_done - ensemble.jobs[i].steps_reported
            ensemble.jobs[i].steps_reported = ensemble.jobs[i].steps_done
        PyErr_CheckSignals()
    return 0


def run_ensemble(list trainers, x, y, label, list weights, list orders, Py_ssize_t batch_size, list rates):
    """Train each network for one pass over the rows of x, with its own order, weights and learning rates.

    Parameters
    ----------
    trainers : list of CompiledTrainer
    x : (rows, n_inputs)
    y : (rows, n_targets), or None
    label : int64 (rows,), or None
    weights : list of (rows,) or None
        The weight of each row, for each network.
    orders : list of int64 (rows,) or None
        The order in which each network visits the rows.
    batch_size : int
    rates : list of float64 (steps,) or None
        The learning rate of each step, for each network.

    Returns
    -------
    list of float
        The mean costs, as ``CompiledTrainer.run`` returns them.
    """
    cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label)
    cdef tuple pins = (pin(x), pin(y), pin(label))  # the arrays cannot be resized before the end
    cdef list own = [tuple(map(Buffer, arrays)) for arrays in zip(orders, weights, rates)]
    cdef Py_ssize_t i, entered = 0, reserved = 0, n = len(trainers)
    # in one order for all, or two ensembles that share networks would wait for each other for ever
    cdef list engines = sorted([(<CompiledTrainer>one).engine for one in trainers], key=id)
    cdef Engine engine
    cdef EnsembleJob ensemble
    cdef TrainingJob *jobs = <TrainingJob *>fp_allocate(n * sizeof(TrainingJob))
    cdef OptimizerState *optimizers = <OptimizerState *>fp_allocate(n * sizeof(OptimizerState))
    cdef CompiledTrainer trainer
    try:
        if jobs == NULL or optimizers == NULL:
            raise MemoryError(f"no memory to train {n} networks at once")
        for i in range(n):
            engine = engines[i]
            engine.begin_exclusive()
            reserved += 1
        for i in range(n):
            trainer = trainers[i]
            trainer.begin_ensemble_job(&jobs[i], &optimizers[i], xs, ys, labels, own[i], batch_size)
            entered += 1
        ensemble.jobs, ensemble.n_jobs = jobs, n
        train_ensemble(&ensemble, trainers)
        return [mean_cost(&jobs[i]) for i in range(n)]
    finally:
        for i in range(entered):
            trainer = trainers[i]
            trainer.engine.end_pass(&jobs[i])
        for i in range(reserved):
            engine = engines[i]
            engine.end_exclusive()
        fp_free(jobs)
        fp_free(optimizers)
