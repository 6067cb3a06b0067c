# How a network is trained, as Python sees it. Part of _engine.pyx.

cdef class CompiledOptimizer:
    """An optimiser at work on one network: its numbers, the arrays that change with every step, and what goes with it.

    Parameters
    ----------
    engine : Engine
        The network's.
    number : int
        Its place in the list (see ``names``).
    rate : float
        Of every step for which ``CompiledTrainer`` is given no other.
    hyper : tuple of float
        Its numbers.
    memory : float64 array of ``memory_size()`` ones
    state : array of the network's dtype, (n_states, n_parameters), or None
    segments : float64 array, (n, 4)
        Of adjacent parameters that are treated alike: where they end, the factor of their rate, l1 and l2.
    constraints : float64 array, (n, 4)
        Of each weight whose columns have a largest norm: where it starts in theta, n_in, n_out, and that norm.
    clip_value, clip_norm : float
        0: none.
    squares : float64 array or None
        Of ``squares_size``, where there is a clip_norm.
    averaged : array like theta, or None
    averages : int64 array of one 0, or None
        How many theta `averaged` is the average of.
    average : (start, every, weight)
        The number of the first step after which theta joins the average, how many steps there are between two, and the
        weight of a new one; 0: all weigh the same.
    """

    cdef Rule rule
    cdef tuple buffers
    cdef Engine engine

    def __cinit__(self, Engine engine, int number, double rate, tuple hyper, memory, state, segments, constraints,
                  double clip_value, double clip_norm, squares, averaged, averages, tuple average):
        cdef Rule *rule = &self.rule
        cdef Buffer memories = Buffer(memory, True), states = Buffer(state, True), segment = Buffer(segments)
        cdef Buffer constraint = Buffer(constraints), square = Buffer(squares, True)
        cdef Buffer means = Buffer(averaged, True), count = Buffer(averages, True)
        cdef Py_ssize_t i
        cdef ptrdiff_t size = engine.plan.n_parameters * engine.plan.size
        self.engine, self.buffers = engine, (memories, states, segment, constraint, square, means, count)
        states.expect(0 if state is None else len(state) * size)
        means.expect(size)
        square.expect(squares_size(engine.plan.n_parameters) * sizeof(double))
        rule.optimizer, rule.rate = number, rate
        for i in range(len(hyper)):
            rule.hyper[i] = hyper[i]
        rule.memory, rule.state = <double *>memories.start, states.start
        rule.segments, rule.n_segments = <const Segment *>segment.start, segment.size // sizeof(Segment)
        rule.constraints = <const Constraint *>constraint.start
        rule.n_constraints = constraint.size // sizeof(Constraint)
        rule.clip_value, rule.clip_norm, rule.squares = clip_value, clip_norm, <double *>square.start
        rule.averaged, rule.averages = means.start, <int64_t *>count.start
        rule.average_start, rule.average_every, rule.average_weight = average

    @property
    def rate(self):
        """Of the steps to come for which ``CompiledTrainer`` is given no other."""
        return self.rule.rate

    @rate.setter
    def rate(self, double rate):
        self.rule.rate = rate


cdef class CompiledTrainer:
    """How one network is trained: its loss, its optimiser with that one's state, and the steps so far.

    Parameters
    ----------
    engine : Engine
    loss : CompiledLoss
    targets : str
        What targets the loss takes, as ``fastprop.losses`` names them.
    """

    cdef readonly Engine engine
    cdef public Py_ssize_t steps
    cdef public uint64_t seed  # of dropout
    cdef readonly CompiledLoss loss
    cdef str targets
    cdef CompiledOptimizer now

    def __init__(self, Engine engine, CompiledLoss loss, str targets):
        self.engine, self.loss, self.targets = engine, loss, targets

    @property
    def optimizer(self):
        """Whose steps follow the gradient. Another one may be given at any time, even in the middle of a run."""
        return self.now

    @optimizer.setter
    def optimizer(self, CompiledOptimizer optimizer):
        if optimizer.engine is not self.engine:
            raise ValueError("this optimiser has the state of another network: make a Trainer for each network")
        self.now = optimizer

    cdef double perform(self, Job *job, Buffer rates, progress) except? -1:
        """Takes a step for each batch of the job's rows; the mean cost, or NaN where it diverged."""
        cdef Py_ssize_t before
        cdef Rule rule
        cdef CompiledOptimizer first = self.now, now
        self.begin(job, &rule)
        while job.done < job.rows and not job.diverged:
            self.engine.enter(job, job.batch, False)
            before, job.step = job.steps, self.steps
            now = self.now  # held here: another one, given meanwhile, follows when we come up next, at its rate
            rule = now.rule
            rule.rates = <const double *>rates.start if now is first else NULL
            with nogil:
                begin_work(&job.interrupts)
                train(job)
                end_work(&job.interrupts)
            self.steps += job.steps - before
            self.engine.leave(job)
            if job.interrupts.pause and progress is not None and 0 < job.done < job.rows:
                progress(job.done, job.cost / job.weight_done if job.weight_done > 0 else 0.0)
        return mean_cost(job)

    cdef void begin(self, Job *job, Rule *rule) noexcept:
        """What every job of training is."""
        job.up, job.keep, job.down, job.training, job.rule = True, True, True, True, rule
        job.seed = self.seed
        self.loss.put(job)

    cdef int join(
        self, Job *job, Rule *rule, Buffer x, Buffer y, Buffer label, tuple own, Py_ssize_t batch,
    ) except -1:
        """Makes this one of several descents side by side; `own` are the buffers of its order, weights and rates."""
        cdef Buffer order, weight, rates
        order, weight, rates = own
        self.engine.bring(job, self.loss, x, y, label, weight, order)
        job.batch, job.step = batch, self.steps
        rates.expect(n_steps(job) * sizeof(double))
        self.begin(job, rule)
        rule[0] = self.now.rule
        rule.rates = <const double *>rates.start
        return self.engine.enter(job, batch, False, 1)

    def apply(self):
        """One step along the gradient that the engine holds."""
        cdef CompiledOptimizer now
        cdef Rule rule
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.loss, job.rule = NO_LOSS, &rule
        self.engine.enter(&job, 1, False)
        now = self.now
        rule, job.step = now.rule, self.steps
        with nogil:
            begin_work(&job.interrupts)
            begin_step(&job)
            descend(&job)
            end_step(&job)
            end_work(&job.interrupts)
        self.steps += 1
        self.engine.leave(&job)

    def run(self, x, y, label, weight, order, Py_ssize_t batch, rates, progress):
        """One pass over the rows of x in the given order (None: as they lie), a step for each `batch` of them.

        Returns the mean cost, each row's before its step, or NaN where the run diverged; adds the steps taken to
        ``steps``, whatever happens. `rates` holds that of each step; None: the optimiser's. ``progress(rows done, mean
        cost so far)`` is called about every 50 ms.
        """
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef Buffer orders = Buffer(order), rate = Buffer(rates)
        cdef Job job
        memset(&job, 0, sizeof(Job))
        self.engine.bring(&job, self.loss, xs, ys, labels, weights, orders)
        job.batch = batch
        rate.expect(n_steps(&job) * sizeof(double))
        return self.perform(&job, rate, progress)

    def try_step(self, x, y):
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
            elif self.targets != "numbers" or not self.engine.ready(&ys, y, self.loss.n_targets):
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
                return self.perform(&job, NOTHING, None)
            finally:
                PyBuffer_Release(&ys)
        finally:
            PyBuffer_Release(&xs)


cdef inline ptrdiff_t n_steps(const Job *job) noexcept:
    """How many batches the rows make."""
    return (job.rows + job.batch - 1) // job.batch


cdef double mean_cost(const Job *job) noexcept:
    """Of the rows visited; NaN where the job diverged."""
    if job.diverged:
        return NAN
    return job.cost / job.weight_done if job.weight_done > 0 else 0.0


cdef bint in_range(const Py_buffer *labels, ptrdiff_t rows, ptrdiff_t n_outputs) noexcept:
    """True if there are `rows` labels, all of them in [0, n_outputs)."""
    cdef const uint64_t *label = <const uint64_t *>labels.buf
    cdef ptrdiff_t i
    cdef bint ok = labels.shape[0] == rows
    for i in range(labels.shape[0]):
        ok &= label[i] < <uint64_t>n_outputs  # as an unsigned number a negative one is too large
    return ok


def memory_size():
    """How many numbers an optimiser remembers from step to step, beside its state."""
    return FP_MEMORY


def squares_size(Py_ssize_t n_parameters):
    """How many numbers clipping by norm needs room for."""
    return (n_parameters + CHUNK - 1) // CHUNK
