# How a network is trained, as Python sees it. Part of _engine.pyx.

cdef class Descent:
    """How one network is trained: its loss, its optimiser with that one's state, and the steps so far.

    Parameters
    ----------
    engine : Engine
    objective : Objective
    targets : str
        What targets the loss takes, as ``fastprop.losses`` names them.
    """

    cdef readonly Engine engine
    cdef public Py_ssize_t steps
    cdef public uint64_t seed  # of dropout
    cdef readonly Objective objective
    cdef str targets
    cdef Rule rule
    cdef Buffer state

    def __init__(self, Engine engine, Objective objective, str targets):
        self.engine, self.objective, self.targets = engine, objective, targets

    def follow(self, int optimizer, double rate, tuple hyper, state):
        """Takes an optimiser: its number, its rate, its kernel's numbers, and its state, a flat buffer or None."""
        cdef Py_ssize_t i
        for i in range(len(hyper)):
            self.rule.hyper[i] = hyper[i]
        self.rule.optimizer, self.rule.rate, self.state = optimizer, rate, Buffer(state, True)
        self.rule.state = self.state.start

    cdef double perform(self, Job *job, progress) except? -1:
        """Takes a step for each batch of the job's rows; the mean cost, or NaN where it diverged."""
        cdef Py_ssize_t before
        cdef Rule rule
        cdef Buffer state
        job.up, job.keep, job.down, job.training, job.rule = True, True, True, True, &rule
        job.seed = self.seed
        self.objective.put(job)
        while job.done < job.rows and not job.diverged:
            self.engine.enter(job, job.batch, False)
            before = job.steps
            job.step = self.steps
            rule, state = self.rule, self.state  # held here: another optimiser, given meanwhile, follows when we come up next
            with nogil:
                begin_work(&job.air)
                train(job)
                end_work(&job.air)
            self.steps += job.steps - before
            self.engine.leave(job)
            if job.air.now and progress is not None and 0 < job.done < job.rows:
                progress(job.done, job.cost / job.weight_done if job.weight_done > 0 else 0.0)
        if job.diverged:
            return NAN
        return job.cost / job.weight_done if job.weight_done > 0 else 0.0

    def run(self, x, y, label, weight, order, Py_ssize_t batch, progress):
        """One pass over the rows of x in the given order (None: as they lie), a step for each `batch` of them.

        Returns the mean cost, each row's before its step, or NaN where the run diverged; adds the steps taken to
        ``steps``, whatever happens. ``progress(rows done, mean cost so far)`` is called about every 50 ms.
        """
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight), orders = Buffer(order)
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.x, job.y, job.label, job.order = xs.start, ys.start, <int64_t *>labels.start, <int64_t *>orders.start
        job.weight = weights.start
        job.rows, job.batch = self.engine.rows_of(xs), batch
        return self.perform(&job, progress)

    def step_if_ready(self, x, y):
        """One step, without further ado, on an x and y just as the kernels take them; None: they want a closer look."""
        cdef Py_buffer xs, ys
        cdef Job job
        cdef bint labelled = self.targets == "classes"
        if not self.engine.ready(&xs, x, self.engine.plan.n_inputs):
            return None
        try:
            if labelled and get_ready(&ys, y, b"q", 1):
                if not in_range(&ys, xs.shape[0], self.engine.plan.n_outputs):
                    PyBuffer_Release(&ys)
                    return None
            elif self.targets != "numbers" or not self.engine.ready(&ys, y, self.objective.n_targets):
                return None
            elif ys.shape[0] != xs.shape[0]:
                PyBuffer_Release(&ys)
                return None
            try:
                memset(&job, 0, sizeof(Job))
                job.x, job.rows, job.batch = <char *>xs.buf, xs.shape[0], xs.shape[0]
                if labelled:
                    job.label = <int64_t *>ys.buf
                else:
                    job.y = <char *>ys.buf
                return self.perform(&job, None)
            finally:
                PyBuffer_Release(&ys)
        finally:
            PyBuffer_Release(&xs)


cdef bint in_range(const Py_buffer *labels, ptrdiff_t rows, ptrdiff_t n_outputs) noexcept:
    """True if there are `rows` labels, all of them in [0, n_outputs)."""
    cdef const uint64_t *label = <const uint64_t *>labels.buf
    cdef ptrdiff_t i
    cdef bint ok = labels.shape[0] == rows
    for i in range(labels.shape[0]):
        ok &= label[i] < <uint64_t>n_outputs  # as an unsigned number a negative one is too large
    return ok
