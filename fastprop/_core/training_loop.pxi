# How a network is trained, as Python sees it. Part of _engine.pyx.

cdef class CompiledOptimizer:
    """An optimiser for one network: its hyperparameters, and the arrays that change with every step.

    Parameters
    ----------
    engine : Engine
        That of the network.
    optimizer_id : int
        The optimiser's index in ``names("optimizer")``.
    rate : float
        The learning rate of every step for which ``CompiledTrainer`` is given no other.
    hyper : tuple of float
        The optimiser's hyperparameters, at most FP_HYPER.
    memory : float64 array of ``memory_size()`` ones
    state : array of the network's dtype, (n_states, n_parameters), or None
    segments : float64 array, (n, 4)
        Adjacent parameters that are treated alike: the index after the last one, the factor of their rate, l1 and l2.
    constraints : float64 array, (n, 4)
        Weights whose columns have a largest norm: the index of the first element, n_in, n_out, and that norm.
    clip_value, clip_norm : float
        The limits of the gradient's elements and of its norm; 0: no limit.
    squares : float64 array or None
        Memory for ``squares_size(n_parameters)`` numbers, needed for clip_norm.
    averaged : array like theta, or None
        Where the average of theta over steps goes.
    averages : int64 array of one 0, or None
        How many theta `averaged` is the average of.
    average : (start, every, weight)
        The number of the first step after which theta joins the average, the number of steps between two of them, and
        the weight of a new one in a moving average; 0: the mean of all.
    """

    cdef OptimizerState state
    cdef public int64_t steps    # that a schedule counts
    cdef public int64_t changes  # how often handles (native.pxi) that know its state became outdated
    cdef tuple buffers  # keeps the arrays that `state` points to
    cdef Engine engine

    def __cinit__(self, Engine engine, int optimizer_id, double rate, tuple hyper, memory, state, segments,
                  constraints, double clip_value, double clip_norm, squares, averaged, averages, tuple average):
        cdef OptimizerState *optimizer = &self.state
        cdef Buffer memories = Buffer(memory, True), states = Buffer(state, True), segment = Buffer(segments)
        cdef Buffer constraint = Buffer(constraints), square = Buffer(squares, True)
        cdef Buffer means = Buffer(averaged, True), count = Buffer(averages, True)
        cdef Py_ssize_t i
        cdef ptrdiff_t size = engine.plan.n_parameters * engine.plan.itemsize
        self.engine, self.buffers = engine, (memories, states, segment, constraint, square, means, count)
        states.check_size(0 if state is None else len(state) * size)
        means.check_size(size)
        square.check_size(squares_size(engine.plan.n_parameters) * sizeof(double))
        optimizer.optimizer_id, optimizer.rate = optimizer_id, rate
        for i in range(len(hyper)):
            optimizer.hyper[i] = hyper[i]
        optimizer.memory, optimizer.state = <double *>memories.start, states.start
        optimizer.segments, optimizer.n_segments = <const Segment *>segment.start, segment.size // sizeof(Segment)
        optimizer.constraints = <const Constraint *>constraint.start
        optimizer.n_constraints = constraint.size // sizeof(Constraint)
        optimizer.clip_value, optimizer.clip_norm, optimizer.squares = clip_value, clip_norm, <double *>square.start
        optimizer.average, optimizer.n_averaged = means.start, <int64_t *>count.start
        optimizer.average_start, optimizer.average_every, optimizer.average_weight = average

    @property
    def rate(self):
        """The learning rate of the steps to come for which ``CompiledTrainer`` is given no other."""
        return self.state.rate

    @rate.setter
    def rate(self, double rate):
        self.state.rate = rate


cdef class CompiledTrainer:
    """Trains one network with a loss and an optimiser, and counts the steps.

    Parameters
    ----------
    engine : Engine
    loss : CompiledLoss
    targets : str
        The kind of targets that the loss takes, as ``fastprop.losses`` names them.

    Attributes
    ----------
    steps : int
        The steps taken so far.
    seed : int
        The seed of dropout.
    """

    cdef readonly Engine engine
    cdef public Py_ssize_t steps
    cdef public uint64_t seed
    cdef readonly CompiledLoss loss
    cdef str targets
    cdef CompiledOptimizer current

    def __init__(self, Engine engine, CompiledLoss loss, str targets):
        self.engine, self.loss, self.targets = engine, loss, targets

    @property
    def optimizer(self):
        """The optimiser that takes the steps. It may be replaced at any time, even in the middle of a run."""
        return self.current

    @optimizer.setter
    def optimizer(self, CompiledOptimizer optimizer):
        if optimizer.engine is not self.engine:
            raise ValueError("this optimiser has the state of another network: make a Trainer for each network")
        if self.current is not None:
            self.current.changes += 1
        self.current = optimizer

    cdef double run_job(self, TrainingJob *job, Buffer rates, progress) except? -1:
        """Take a step for each batch of the job's rows; return the mean cost, or NaN if the job diverged."""
        cdef Py_ssize_t before
        cdef OptimizerState state
        cdef CompiledOptimizer first = self.current, optimizer
        self.set_training(job, &state)
        while job.rows_done < job.rows and not job.diverged:
            self.engine.begin_pass(job, job.batch_rows, False)
            before, job.step = job.steps_done, self.steps
            # A reference keeps this optimiser alive while the GIL is released. If another one is assigned meanwhile, it
            # takes over after the next pause for signals, with its own rate instead of `rates`.
            optimizer = self.current
            state = optimizer.state
            state.rates = <const double *>rates.start if optimizer is first else NULL
            with nogil:
                begin_work(&job.interrupts)
                train_job(job)
                end_work(&job.interrupts)
            self.steps += job.steps_done - before
            self.engine.end_pass(job)
            if job.interrupts.pause and progress is not None and 0 < job.rows_done < job.rows:
                progress(job.rows_done, job.cost_sum / job.weight_sum if job.weight_sum > 0 else 0.0)
        return mean_cost(job)

    cdef void set_training(self, TrainingJob *job, OptimizerState *state) noexcept:
        """Set what every training job has in common."""
        job.do_forward, job.save, job.do_backward, job.training, job.optimizer = True, True, True, True, state
        job.seed = self.seed
        self.loss.set_loss(job)

    cdef int begin_ensemble_job(
        self, TrainingJob *job, OptimizerState *state, Buffer x, Buffer y, Buffer label, tuple own,
        Py_ssize_t batch_size,
    ) except -1:
        """Set up a job of an ensemble and take the engine; `own` has the buffers of its order, weights and rates."""
        cdef Buffer order, weight, rates
        order, weight, rates = own
        self.engine.set_examples(job, self.loss, x, y, label, weight, order)
        job.batch_rows, job.step = batch_size, self.steps
        rates.check_size(n_steps(job) * sizeof(double))
        self.set_training(job, state)
        state[0] = self.current.state
        state.rates = <const double *>rates.start
        return self.engine.begin_pass(job, batch_size, False, 1)

    def apply(self):
        """Take one step along the gradient that the engine holds."""
        cdef CompiledOptimizer optimizer
        cdef OptimizerState state
        cdef TrainingJob job
        memset(&job, 0, sizeof(TrainingJob))
        job.loss, job.optimizer = NO_LOSS, &state
        self.engine.begin_pass(&job, 1, False)
        optimizer = self.current
        state, job.step = optimizer.state, self.steps
        with nogil:
            begin_work(&job.interrupts)
            begin_step(&job)
            apply_gradient(&job)
            end_step(&job)
            end_work(&job.interrupts)
        self.steps += 1
        self.engine.end_pass(&job)

    def run(self, x, y, label, weight, order, Py_ssize_t batch_size, rates, progress):
        """Train for one pass over the rows of x, with a step for each batch.

        Parameters
        ----------
        x : (rows, n_inputs)
        y : (rows, n_targets), or None
        label : int64 (rows,), or None
        weight : (rows,), or None
        order : int64 (rows,), or None
            The order in which the rows are visited; None: as they are.
        batch_size : int
        rates : float64 (steps,), or None
            The learning rate of each step; None: that of the optimiser.
        progress : callable or None
            Called as ``progress(rows done, mean cost so far)`` about every 50 ms.

        Returns
        -------
        float
            The mean cost, in which each row counts as it was before the step of its batch, or NaN if the run diverged.
            ``steps`` grows by the steps taken, even if an exception ends the run.
        """
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef Buffer orders = Buffer(order), rate = Buffer(rates)
        cdef TrainingJob job
        memset(&job, 0, sizeof(TrainingJob))
        self.engine.set_examples(&job, self.loss, xs, ys, labels, weights, orders)
        job.batch_rows = batch_size
        rate.check_size(n_steps(&job) * sizeof(double))
        return self.run_job(&job, rate, progress)

    def run_on_ranks(
        self, x, y, label, weight, order, int64_t[::1] starts, double[::1] total_weights, rates, progress, ranks, norms,
    ):
        """Take steps together with the other ranks of a distributed training.

        Parameters
        ----------
        x, y, label, weight, order, rates, progress
            As ``run`` takes them; there may be no rows.
        starts : int64 (steps + 1,)
            This rank has the rows from starts[i] up to starts[i + 1], in their order, of step i.
        total_weights : float64 (steps,)
            The sum of the weights of the rows of each step, on all ranks.
        ranks
            Its ``start_sum(array)`` begins the sum over the ranks of a part of a large gradient, while others are
            computed. Its ``sum_gradient(gradient, diverged)`` adds up the rest, in place, ends all these sums, and
            returns whether the cost of a step is not finite on any rank. If one raises, the step is not taken.
        norms
            Its ``sum(array)`` adds up the sums of batch norms; None: each rank has its own statistics.

        Returns
        -------
        float
            The mean cost of the rows of this rank, or NaN if the run diverged.
        """
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef Buffer orders = Buffer(order), rate = Buffer(rates)
        cdef OptimizerState state
        cdef CompiledOptimizer first = self.current, optimizer
        cdef ptrdiff_t i, rows, steps = total_weights.shape[0]
        cdef double cost, due
        cdef TrainingJob job
        memset(&job, 0, sizeof(TrainingJob))
        self.engine.set_examples(&job, self.loss, xs, ys, labels, weights, orders)
        rate.check_size(steps * sizeof(double))
        if starts.shape[0] != steps + 1 or starts[0] != 0 or starts[steps] != job.rows:
            raise ValueError(f"the {steps} steps must have all {job.rows} rows")
        for i in range(steps):
            if starts[i] > starts[i + 1]:
                raise ValueError("the rows of a step must follow those of the step before")
            job.batch_rows = max(job.batch_rows, starts[i + 1] - starts[i])
        self.set_training(&job, &state)
        job.on_ranks = True
        if norms is not None and self.engine.plan.has_batch_norm:
            job.norm_ranks, job.norms_elsewhere = <PyObject *>norms, norms.rank > 0
        if self.engine.plan.n_parameters * self.engine.plan.itemsize > MIN_SUMMED_BYTES:
            job.gradient_ranks = <PyObject *>ranks
        due = fp_clock() + INTERRUPT_SECONDS
        for i in range(steps):
            rows, job.total_weight = starts[i + 1] - starts[i], total_weights[i]
            self.engine.begin_pass(&job, max(job.batch_rows, <ptrdiff_t>1), False)
            job.step, optimizer = self.steps, self.current
            state = optimizer.state
            state.rates = <const double *>rate.start if optimizer is first else NULL
            try:
                with nogil:
                    begin_work(&job.interrupts)
                    job.interrupts.deferred = True  # the other ranks wait for this one in mid-step
                    begin_step(&job)
                    job.n_unsummed = self.engine.plan.n_parameters
                    cost = run_batch(&job, starts[i], rows)
                    end_work(&job.interrupts)
                if not job.interrupts.stopped:
                    job.diverged = ranks.sum_gradient(self.engine.gradients[: job.n_unsummed], not isfinite(cost))
                    if not job.diverged:
                        with nogil:
                            begin_work(&job.interrupts)
                            job.interrupts.deferred = True
                            if rows > 0 or job.norm_ranks != NULL:
                                update_running_statistics(&job)
                            apply_gradient(&job)
                            end_step(&job)
                            end_work(&job.interrupts)
                        self.steps += 1
            finally:
                self.engine.end_pass(&job)
            if job.diverged:
                break
            job.cost_sum += cost
            job.weight_sum += sum_weights(&job, starts[i], rows)
            job.rows_done += rows
            if progress is not None and fp_clock() > due:
                progress(job.rows_done, job.cost_sum / job.weight_sum if job.weight_sum > 0 else 0.0)
                due = fp_clock() + INTERRUPT_SECONDS
        return mean_cost(&job)

    cdef bint get_examples(self, Py_buffer *xs, Py_buffer *ys, object x, object y) noexcept:
        """Get the memory of a batch x, y that the kernels can take as it is.

        True if it is one: then the caller must release both.
        """
        cdef bint taken
        if not self.engine.get_matrix(xs, x, self.engine.plan.n_inputs):
            return False
        if self.targets == "classes":
            taken = get_array(ys, y, b"q", 1, 1)
            if taken and not in_range(<const int64_t *>ys.buf, ys.shape[0], self.engine.plan.n_outputs):
                PyBuffer_Release(ys)
                taken = False
        else:
            taken = self.targets == "numbers" and self.engine.get_matrix(ys, y, self.loss.n_targets)
        if taken and ys.shape[0] == xs.shape[0]:
            return True
        if taken:
            PyBuffer_Release(ys)
        PyBuffer_Release(xs)
        return False

    def takes(self, x, y):
        """Return whether the kernels can take the batch x, y as it is; otherwise it must be converted or refused."""
        cdef Py_buffer xs, ys
        if not self.get_examples(&xs, &ys, x, y):
            return False
        PyBuffer_Release(&xs)
        PyBuffer_Release(&ys)
        return True

    def try_step(self, x, y):
        """Take one step on the batch x, y if the kernels can take both as they are.

        Returns
        -------
        float or None
            The mean cost before the step, or NaN if it is not finite; then there was no step. None if x or y must be
            converted or refused first.
        """
        cdef Py_buffer xs, ys
        cdef TrainingJob job
        if not self.get_examples(&xs, &ys, x, y):
            return None
        try:
            memset(&job, 0, sizeof(TrainingJob))
            job.x, job.rows, job.batch_rows = <char *>xs.buf, xs.shape[0], xs.shape[0]
            if self.targets == "classes":
                job.label = <int64_t *>ys.buf
            else:
                job.y = <char *>ys.buf
            return self.run_job(&job, NO_BUFFER, None)
        finally:
            PyBuffer_Release(&ys)
            PyBuffer_Release(&xs)


cdef inline ptrdiff_t n_steps(const TrainingJob *job) noexcept:
    """The number of batches of the job's rows."""
    return (job.rows + job.batch_rows - 1) // job.batch_rows


cdef double mean_cost(const TrainingJob *job) noexcept nogil:
    """The mean cost of the rows visited, or NaN if the job diverged."""
    if job.diverged:
        return NAN
    return job.cost_sum / job.weight_sum if job.weight_sum > 0 else 0.0


cdef bint in_range(const int64_t *label, ptrdiff_t rows, ptrdiff_t n_outputs) noexcept nogil:
    """Whether all labels (rows,) are in [0, n_outputs)."""
    cdef ptrdiff_t i
    cdef bint ok = True
    for i in range(rows):
        ok &= <uint64_t>label[i] < <uint64_t>n_outputs  # as an unsigned number a negative one is too large
    return ok


def memory_size():
    """Return how many numbers an optimiser remembers from step to step, besides its state."""
    return FP_MEMORY


def squares_size(Py_ssize_t n_parameters):
    """Return how many numbers of memory clipping by norm needs."""
    return (n_parameters + SQUARES_CHUNK - 1) // SQUARES_CHUNK
