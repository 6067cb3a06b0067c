# The C interface for users (fastprop/include/fastprop.h): outputs and steps by calls from C. Part of _engine.pyx.
#
# A handle has an engine of its own for the same parameters: a plan and an arena for max_rows rows, which are laid out
# once. The jobs for both kinds of calls are prepared, too, so that a call only sets its arrays.

cdef extern from "../fastprop/include/fastprop.h" nogil:
    enum:
        FP_VERSION
        FP_OK
        FP_BUSY
        FP_BAD_POINTER
        FP_BAD_ROWS
        FP_NOT_FINITE
        FP_BAD_CATEGORY
        FP_BAD_TARGET
        FP_BAD_WEIGHT
        FP_DIVERGED
        FP_NO_TRAINER
        FP_OUTDATED
    const char *FP_CAPSULE
    ctypedef struct fp_handle:
        int version
        int size
        int itemsize
        int labels
        ptrdiff_t n_inputs
        ptrdiff_t n_outputs
        ptrdiff_t n_targets
        ptrdiff_t max_rows
        int (*forward)(fp_handle *handle, const void *x, ptrdiff_t rows, void *out) noexcept nogil
        int (*step)(fp_handle *handle, const void *x, const void *y, ptrdiff_t rows) noexcept nogil
        int (*weighted_step)(
            fp_handle *handle, const void *x, const void *y, const void *weight, ptrdiff_t rows) noexcept nogil
        double (*cost)(const fp_handle *handle) noexcept nogil
        const char *(*message)(int code) noexcept nogil

cdef struct Handle:
    fp_handle shared       # what users see; the first field, so that both have the same address
    Gate *gate             # of the network
    User *user
    TrainingJob forward
    double cost
    const int64_t *categories  # (n_categories, 2): the columns of x that hold a category, and how many there are
    ptrdiff_t n_categories
    # with a trainer
    TrainingJob step
    OptimizerState optimizer   # the trainer's, but for the rate
    double lowest          # the range of the targets
    double highest
    bint signs             # they are -1 and 1
    const char *class_weight  # the weight of each class, or NULL
    char *weight           # (max_rows,): the weights of the rows; NULL without a trainer
    const double *rates    # (n_rates,): of the steps of the optimiser from first_step on; NULL: no schedule by steps
    ptrdiff_t n_rates
    int64_t first_step
    bint scheduled         # the optimiser counts its steps
    int64_t changes        # CompiledOptimizer.changes when the handle was made
    # what belongs to Python's objects, and is changed by steps
    const int64_t *changes_now
    double *rate
    int64_t *optimizer_steps
    Py_ssize_t *trainer_steps
    ptrdiff_t *saved_rows

# ---- checks ----

cdef inline bint aligned(const void *array, size_t size) noexcept nogil:
    return array != NULL and <size_t>array % size == 0

cdef int check_inputs(const Handle *h, const char *x, ptrdiff_t rows) noexcept nogil:
    """Return FP_OK if x (rows, n_inputs) is what net(x) takes, else what is wrong."""
    cdef int finite = False
    cdef ptrdiff_t n = h.shared.n_inputs, i, k, at
    cdef double value
    if rows < 1 or rows > h.shared.max_rows:
        return FP_BAD_ROWS
    if not aligned(x, h.shared.itemsize):
        return FP_BAD_POINTER
    h.forward.plan.kernels.all_finite(&finite, x, rows * n)
    if not finite:
        return FP_NOT_FINITE
    for k in range(h.n_categories):
        for i in range(rows):
            at = i * n + h.categories[2 * k]
            value = (<const float *>x)[at] if h.shared.itemsize == 4 else (<const double *>x)[at]
            if not (value >= 0 and value < h.categories[2 * k + 1]) or value != <double><int64_t>value:
                return FP_BAD_CATEGORY
    return FP_OK

cdef int check_labels(const Handle *h, const int64_t *label, ptrdiff_t rows) noexcept nogil:
    """Return FP_OK if all labels (rows,) are classes, else what is wrong."""
    if not aligned(label, sizeof(int64_t)):
        return FP_BAD_POINTER
    return FP_OK if in_range(label, rows, h.shared.n_outputs) else FP_BAD_TARGET

cdef int check_targets(const Handle *h, const real *y, ptrdiff_t rows) noexcept nogil:
    """Return FP_OK if the loss takes all of y (rows, n_targets), else what is wrong."""
    cdef ptrdiff_t i
    cdef bint two_classes = h.signs or h.class_weight != NULL
    if not aligned(y, sizeof(real)):
        return FP_BAD_POINTER
    for i in range(rows * h.shared.n_targets):
        if not (y[i] >= h.lowest and y[i] <= h.highest):  # not so for NaN
            return FP_BAD_TARGET
        if two_classes and y[i] != 1 and y[i] != (-1 if h.signs else 0):
            return FP_BAD_TARGET
    return FP_OK

cdef int set_weights(Handle *h, const real *given, const void *y, ptrdiff_t rows) noexcept nogil:
    """Set the weight of each row: that of its class times the given one. Return FP_OK, or what is wrong."""
    cdef const real *of_class = <const real *>h.class_weight
    cdef real *weight = <real *>h.weight
    cdef ptrdiff_t i
    cdef int64_t label
    cdef bint positive = False
    if given != NULL and not aligned(given, sizeof(real)):
        return FP_BAD_POINTER
    for i in range(rows):
        weight[i] = 1
        if of_class != NULL:
            label = (<const int64_t *>y)[i] if h.shared.labels else (<const real *>y)[i] > 0
            weight[i] = of_class[label]
        if given != NULL:
            if not (given[i] >= 0 and isfinite(given[i])):
                return FP_BAD_WEIGHT
            weight[i] *= given[i]
        positive |= weight[i] > 0
    return FP_OK if positive else FP_BAD_WEIGHT

# ---- calls ----

cdef inline bint begin_call(Handle *h, bint changing) noexcept nogil:
    """Take the handle and the network for a call; False if either is in use."""
    if not fp_atomic_compare_exchange(&h.user.using, IDLE, CHANGING if changing else READING):
        return False
    if not changing and not fp_atomic_load(&h.gate.changing):
        return True
    if changing and enter_to_change(h.gate, h.user):
        if not fp_atomic_load(&h.gate.reserved):
            return True
        fp_atomic_store(&h.gate.changing, False)
    fp_atomic_store(&h.user.using, IDLE)
    return False

cdef inline void end_call(Handle *h, bint changing) noexcept nogil:
    """Release what `begin_call` took."""
    if changing:
        fp_atomic_store(&h.gate.changing, False)
    fp_atomic_store(&h.user.using, IDLE)

cdef int handle_forward(fp_handle *handle, const void *x, ptrdiff_t rows, void *out) noexcept nogil:
    cdef Handle *h = <Handle *>handle
    cdef size_t x_at = <size_t>x, out_at = <size_t>out
    cdef uint64_t float_state
    cdef int error
    if handle == NULL or not aligned(out, handle.itemsize):
        return FP_BAD_POINTER
    error = check_inputs(h, <const char *>x, rows)
    if error != FP_OK:
        return error
    if (
        out_at < x_at + rows * handle.n_inputs * handle.itemsize
        and x_at < out_at + rows * handle.n_outputs * handle.itemsize
    ):
        return FP_BAD_POINTER
    if not begin_call(h, False):
        return FP_BUSY
    h.forward.x, h.forward.rows, h.forward.out = <const char *>x, rows, <char *>out
    float_state = fp_denormals_flush()
    run_batch(&h.forward, 0, rows)
    fp_denormals_restore(float_state)
    end_call(h, False)
    return FP_OK

cdef int handle_step(fp_handle *handle, const void *x, const void *y, ptrdiff_t rows) noexcept nogil:
    return handle_weighted_step(handle, x, y, NULL, rows)

cdef int handle_weighted_step(
    fp_handle *handle, const void *x, const void *y, const void *weight, ptrdiff_t rows,
) noexcept nogil:
    cdef Handle *h = <Handle *>handle
    cdef int error
    if handle == NULL:
        return FP_BAD_POINTER
    if h.weight == NULL:
        return FP_NO_TRAINER
    if not begin_call(h, True):
        return FP_BUSY
    error = check_inputs(h, <const char *>x, rows)
    if error == FP_OK:
        if handle.labels:
            error = check_labels(h, <const int64_t *>y, rows)
        elif handle.itemsize == 4:
            error = check_targets(h, <const float *>y, rows)
        else:
            error = check_targets(h, <const double *>y, rows)
    if error == FP_OK and (weight != NULL or h.class_weight != NULL):
        if handle.itemsize == 4:
            error = set_weights(h, <const float *>weight, y, rows)
        else:
            error = set_weights(h, <const double *>weight, y, rows)
    if error == FP_OK:
        h.step.weight = h.weight if weight != NULL or h.class_weight != NULL else NULL
        error = take_step(h, <const char *>x, <const char *>y, rows)
    end_call(h, True)
    return error

cdef int take_step(Handle *h, const char *x, const char *y, ptrdiff_t rows) noexcept nogil:
    """Take a step on checked rows, as ``CompiledTrainer.run`` does on one batch."""
    cdef TrainingJob *job = &h.step
    cdef uint64_t float_state
    cdef int64_t following = h.optimizer_steps[0] + 1 - h.first_step
    if h.changes_now[0] != h.changes or h.rates != NULL and not 0 < following < h.n_rates:
        return FP_OUTDATED
    job.x, job.rows, job.batch_rows = x, rows, rows
    if h.shared.labels:
        job.label = <const int64_t *>y
    else:
        job.y = y
    job.step, job.rows_done, job.steps_done, job.cost_sum, job.weight_sum = h.trainer_steps[0], 0, 0, 0, 0
    h.optimizer.rate = h.rate[0]
    float_state = fp_denormals_flush()
    train_job(job)
    fp_denormals_restore(float_state)
    h.cost = mean_cost(job)
    if job.diverged:
        return FP_DIVERGED
    h.saved_rows[0] = 0  # what Engine.forward_and_save saved belongs to the parameters before
    h.trainer_steps[0] += 1
    if h.scheduled:
        h.optimizer_steps[0] += 1
    if h.rates != NULL:
        h.rate[0] = h.rates[following]
    return FP_OK

cdef double handle_cost(const fp_handle *handle) noexcept nogil:
    return (<const Handle *>handle).cost if handle != NULL else NAN

cdef const char *handle_message(int code) noexcept nogil:
    if code == FP_OK:
        return "no error"
    if code == FP_BUSY:
        return "the handle is in a call, or the network is in use by one that changes it: call again"
    if code == FP_BAD_POINTER:
        return "an array is NULL or is not aligned for its elements, or out overlaps x"
    if code == FP_BAD_ROWS:
        return "rows must be from 1 to max_rows, which native() was given"
    if code == FP_NOT_FINITE:
        return "x has NaN or infinity"
    if code == FP_BAD_CATEGORY:
        return "a column of x that an Embedding reads holds no whole number in the range of its categories"
    if code == FP_BAD_TARGET:
        return "y has a label that is not in [0, n_outputs), or a number that the loss does not take"
    if code == FP_BAD_WEIGHT:
        return "a weight is negative or not finite, or the weights of all rows are 0"
    if code == FP_DIVERGED:
        return "the cost is not finite, so the step was not taken: use a smaller rate, or scale inputs and targets"
    if code == FP_NO_TRAINER:
        return "the handle of a network takes no steps: make one with trainer.native()"
    if code == FP_OUTDATED:
        return "the trainer's optimiser or the rates of its schedule have changed or ended: make a new handle"
    return "this is none of the codes of fastprop.h"

# ---- what Python sees ----

cdef void prepare(TrainingJob *job) noexcept:
    """Let a job never look for signals, which only Python's threads can handle."""
    job.do_forward, job.interrupts.deferred = True, True
    job.interrupts.due = job.interrupts.flops_left = INFINITY


@cython.no_gc_clear  # __dealloc__ needs the engine
cdef class CompiledHandle:
    """The memory of a handle of a network, and with a trainer of steps.

    Parameters
    ----------
    engine : Engine
        That of the network.
    own : Engine
        One for the same parameters, which nobody else uses.
    max_rows : int
    categories : int64 array, (n, 2)
        The columns of x that hold a category, each with the number of its categories.

    Attributes
    ----------
    address : int
        The address of the fp_handle.
    """

    cdef Handle *handle
    cdef Engine engine, own
    cdef list kept  # what the handle points to

    def __cinit__(self, Engine engine, Engine own, Py_ssize_t max_rows, categories):
        cdef Handle *h = <Handle *>fp_allocate(sizeof(Handle))
        cdef Buffer category = Buffer(categories)
        self.handle, self.engine, self.own, self.kept = h, engine, own, [category]
        if h == NULL:
            raise MemoryError("no memory for a handle")
        engine.valid_lock()
        h.gate, h.user = &engine.gate, take_user(&engine.gate)
        if h.user == NULL:
            raise MemoryError("no memory for a handle")
        h.shared.version, h.shared.size, h.shared.itemsize = FP_VERSION, sizeof(fp_handle), <int>engine.plan.itemsize
        h.shared.n_inputs, h.shared.n_outputs = engine.plan.n_inputs, engine.plan.n_outputs
        h.shared.max_rows = max_rows
        h.shared.forward, h.shared.step, h.shared.weighted_step = handle_forward, handle_step, handle_weighted_step
        h.shared.cost, h.shared.message = handle_cost, handle_message
        h.cost, h.categories, h.n_categories = NAN, <const int64_t *>category.start, len(categories)
        own.plan.kernels, own.plan.rows_per_call = engine.plan.kernels, engine.plan.rows_per_call
        prepare(&h.forward)
        h.forward.loss = NO_LOSS
        own.lay_out(&h.forward, max_rows, False, 1)

    def __dealloc__(self):
        if self.handle == NULL:
            return
        if self.handle.user != NULL:
            self.handle.user.taken = False
        fp_free(self.handle.weight)
        fp_free(self.handle)

    def add_trainer(
        self, CompiledTrainer trainer, double lowest, double highest, class_weight, bint scheduled, rates,
    ):
        """Let the handle take steps.

        Parameters
        ----------
        trainer : CompiledTrainer
        lowest, highest : float
            The range of the targets that the loss takes.
        class_weight : array of the network's dtype, (classes,), or None
            The weight of each class.
        scheduled : bool
            Whether the optimiser has a schedule, and so counts its steps.
        rates : float64 array, (steps,), or None
            The rates of the optimiser's next steps, if the schedule is one by steps.
        """
        cdef Handle *h = self.handle
        cdef CompiledOptimizer optimizer = trainer.current
        cdef Buffer of_class = Buffer(class_weight), own_rates = Buffer(rates)
        self.kept += [trainer, optimizer, of_class, own_rates]
        h.shared.labels = trainer.targets == "classes"
        h.shared.n_targets = 0 if h.shared.labels else trainer.loss.n_targets
        h.lowest, h.highest, h.signs = lowest, highest, trainer.targets == "signs"
        h.class_weight = of_class.start
        h.scheduled, h.rates, h.n_rates = scheduled, <const double *>own_rates.start, own_rates.size // sizeof(double)
        h.first_step, h.optimizer_steps = optimizer.steps, &optimizer.steps
        h.changes, h.changes_now, h.rate = optimizer.changes, &optimizer.changes, &optimizer.state.rate
        h.trainer_steps, h.saved_rows = &trainer.steps, &self.engine.saved_rows
        h.optimizer = optimizer.state
        prepare(&h.step)
        trainer.set_training(&h.step, &h.optimizer)
        self.own.lay_out(&h.step, h.shared.max_rows, False, 1)
        h.weight = <char *>fp_allocate(h.shared.max_rows * h.shared.itemsize)
        if h.weight == NULL:
            raise MemoryError(f"no memory for the weights of {h.shared.max_rows} rows; use a smaller batch")

    @property
    def address(self):
        """The address of the fp_handle."""
        return <size_t>self.handle

    @property
    def functions(self):
        """The addresses of forward, step, weighted_step and cost, by name."""
        cdef const fp_handle *shared = &self.handle.shared
        return {
            "forward": <size_t>shared.forward, "step": <size_t>shared.step,
            "weighted_step": <size_t>shared.weighted_step, "cost": <size_t>shared.cost,
        }

    @property
    def capsule(self):
        """A PyCapsule of the fp_handle, which keeps it alive."""
        capsule = PyCapsule_New(self.handle, FP_CAPSULE, release_capsule)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        return capsule


cdef void release_capsule(object capsule) noexcept:
    """Release what a capsule keeps alive."""
    Py_DECREF(<object>PyCapsule_GetContext(capsule))


def handle_error(int code):
    """Return what a code of fastprop.h means."""
    return handle_message(code).decode()
