# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The engine: the plan of a network and its memory, both passes, the update, and the loop over mini-batches.

The engine computes addresses and calls kernels, which do all work on elements; there is a table of kernels for each
dtype. ``_validation.py`` has checked all arguments before. The mathematics and its names are those of DESIGN.md, for a
network of K layers and a batch of rows, and dz is short for dC/dz, C being the cost:

    forward      z_k = a_{k-1} W_k + b_k          a_k = g_k(z_k)          a_0 = x
    output       dz_K = dC/dz_K
    backward     dz_{k-1} = (dz_k W_k^T) * g_{k-1}'(z_{k-1})
    gradients    dW_k = a_{k-1}^T dz_k            db_k = sum over rows of dz_k
    descent      theta <- theta - eta * dtheta

W_k has shape (n_in, n_out), b_k (n_out,), and x, a_k, z_k and dz_k have one row per example. An operation computes one
such step from a_{k-1} to a_k; many kinds have another formula in place of the product (operations.pxi).

A batch runs in blocks of rows, whose activations fit in the cache. Threads share the slices of a batch, each of which
has a gradient of its own, or the rows of a block and then the parameters (forward_backward.pxi). Which slices a batch
has depends on the shapes only, and every sum is in the order of the rows of a slice, so results do not depend on the
number of threads.

The included files, in the order in which one reads them:

    plan               the structs Plan and Operation, and the layout of the arena
    gate               who uses a network at the same time
    job                the struct TrainingJob, and how threads divide it
    operations         the kinds of operations: forward, backward, gradients, and their table
    forward_backward   both passes over a batch
    batch_norm         the statistics of batch norms
    gradients          the gradients of all parameters
    optimizer_step     the update of theta, and the loop over mini-batches
    training_loop      CompiledOptimizer and CompiledTrainer
    ensemble           many networks at once
    native             outputs and steps by calls from C
    trace              both passes with every number kept
    interrupts         Ctrl-C and progress
    dispatch           the kernel tables
"""
cimport cython
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from cpython.weakref cimport PyWeakref_NewRef
from libc.math cimport INFINITY, NAN, isfinite, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastprop._core cimport _portable
from fastprop._core._capi cimport (
    FP_ACTIVATION_identity, FP_ACTIVATION_relu, FP_HYPER, FP_SAVES_SLOPE, FP_MEMORY, FP_MOST_BINS, FP_N_ACTIVATIONS,
    FP_N_LOSSES, FP_N_OPTIMIZERS, FP_OPTIMIZER_sgd, FP_STREAM_DROPOUT, FP_STREAM_SHUFFLE,
    fp_activation_saves, fp_allocate, fp_allocations, fp_atomic_add, fp_atomic_compare_exchange, fp_atomic_load,
    fp_atomic_store, fp_caches, fp_caches_init, fp_clock,
    fp_cpu_name, fp_denormals_flush, fp_denormals_restore, fp_forks, fp_free, fp_get_num_threads, fp_isa, fp_isas,
    fp_kernels, fp_optimizer_begin, fp_parallel, fp_random_key, fp_scratch, fp_select_isa, fp_set_caches,
    fp_set_num_threads, fp_shuffle, fp_signatures, fp_threads_init, fp_work_begin, fp_work_end, fp_yield,
)

import os
import threading

import numpy  # as any Python code imports it, not its C interface: no headers and no ABI are needed

ctypedef fused real:
    float
    double

cdef extern from "Python.h":
    ctypedef struct PyThreadState
    PyThreadState *PyThreadState_Get()
    uint64_t PyThreadState_GetID(PyThreadState *)

cdef inline uint64_t this_thread() noexcept:
    """The number of this thread, from 1 on; no other thread of the process has it or had it."""
    return PyThreadState_GetID(PyThreadState_Get())

cdef struct OperationKind
cdef struct TrainingJob

include "plan.pxi"
include "interrupts.pxi"
include "gate.pxi"
include "job.pxi"
include "operations.pxi"
include "batch_norm.pxi"
include "gradients.pxi"
include "forward_backward.pxi"
include "optimizer_step.pxi"
include "trace.pxi"
include "dispatch.pxi"


cdef enum:
    RELEASE_GIL_BYTES = 1 << 20  # an array whose check takes longer than releasing and taking the GIL
    SHUFFLE_CHUNK = 1 << 20  # rows that are shuffled between two checks for signals: some 10 milliseconds


cdef object ndarray = numpy.ndarray


def pin(array):
    """Return an object that keeps the memory of an array where it is for as long as the object exists, or None.

    A buffer does not suffice: ``ndarray.resize(..., refcheck=False)`` frees the memory under it. But NumPy does not
    resize an array that has a weak reference. This is for arrays that are in use while a user's function runs; within a
    step it would cost noticeable time.
    """
    while isinstance(array, ndarray) and isinstance(array.base, ndarray):
        array = array.base
    return PyWeakref_NewRef(array, None) if isinstance(array, ndarray) else None


cdef class Buffer:
    """The memory of a C-contiguous array, or NULL for None. Unlike a memoryview it is cheap and takes any dtype."""

    cdef Py_buffer view
    cdef char *start
    cdef ptrdiff_t size  # in bytes

    def __cinit__(self, array, bint writable=False):
        if array is not None:
            PyObject_GetBuffer(array, &self.view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
            self.start = <char *>self.view.buf
            self.size = self.view.len

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef int check_size(self, ptrdiff_t size) except -1:
        """Raise a ValueError if there is an array and it does not have `size` bytes."""
        if self.start != NULL and self.size != size:
            raise ValueError(
                f"got an array of {self.size} bytes where the engine needs {size}: it, or the description of the "
                "network, was changed after it was checked; leave both unchanged while they are in use"
            )
        return 0


cdef Buffer NO_BUFFER = Buffer(None)


cdef class CompiledLoss:
    """A loss as the kernels take it.

    Parameters
    ----------
    loss_id : int
        The index of the loss in ``names("loss")``.
    hyper : tuple of float
        Its hyperparameters, at most ``HYPER``.
    n_targets : int
        How many numbers the targets of a row have, if they are not labels.
    """

    cdef int loss_id
    cdef double hyper[FP_HYPER]
    cdef ptrdiff_t n_targets

    def __cinit__(self, int loss_id, tuple hyper, Py_ssize_t n_targets):
        cdef Py_ssize_t i
        self.loss_id, self.n_targets = loss_id, n_targets
        for i in range(len(hyper)):
            self.hyper[i] = hyper[i]

    cdef void set_loss(self, TrainingJob *job) noexcept:
        """Make this the loss of a job, which then points into this object."""
        job.loss, job.loss_hyper, job.n_targets = self.loss_id, self.hyper, self.n_targets


cdef bint get_array(Py_buffer *view, object array, char code, int least_ndim, int most_ndim) noexcept:
    """Get the memory of an ndarray that is C-contiguous and aligned and has this type code.

    It must have from `least_ndim` to `most_ndim` dimensions.

    True if `array` is one: then the caller must release `view`.
    """
    if type(array) is not ndarray:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except Exception:
        return False
    # int64 is "l" where long has 64 bits, and "q" elsewhere
    if (
        least_ndim <= view.ndim and view.ndim <= most_ndim
        and (view.format[0] == code or code == b"q" and view.format[0] == b"l" and view.itemsize == 8)
        and view.format[1] == 0 and <size_t>view.buf % view.itemsize == 0
    ):
        return True
    PyBuffer_Release(view)
    return False


cdef class Engine:
    """The compiled part of one network.

    Parameters
    ----------
    dtype : "float32" or "float64"
    n_inputs : int
    members : int
        The number of networks that share the operations: a row of outputs has those of each, one after the other.
    operations : sequence of dict
        For each operation "kind" (a key of KINDS), "n_out", "activation" (its index in ``names("activation")``),
        "hyper" (the hyperparameters of the activation, a tuple), "n_weights", "n_biases", "n_state", and any other
        field of the struct ``Operation`` of plan.pxi that is not 0, 1 or None. Each operation has as many inputs as the
        one before has outputs, except for "select" and "concat".
    parameters, gradient : writable arrays of the dtype, (n_parameters,)
        The weights and then the biases of each operation, one operation after the other.
    state : writable array of the dtype, (n_state,)
        The state of each operation, one after the other.

    Attributes
    ----------
    thread_local : threading.local
        What each thread has for itself: ``gradient``, an array, if the thread has computed one, and ``ticket``, the
        number of its last ``forward_and_save``.
    swapped : bool
        Whether the parameters are temporarily not those that are trained, but for instance their average.

    Notes
    -----
    Several threads may use a network at the same time. One pass runs at a time. ``thread_local`` keeps apart what a
    thread stores between two passes, and ``exclusive`` lets no other thread change the network between them.
    """

    cdef Plan plan
    cdef Buffer theta
    cdef object gradients      # the array that is in use for the gradient
    cdef Buffer gradient       # its memory
    cdef uint64_t gradient_thread  # the thread that it belongs to; 0: none yet
    cdef Buffer state
    cdef object pins           # of parameters and state
    cdef object gradient_pin   # of the gradient
    cdef list sizes            # the buffers that the `sizes` of the operations point to
    cdef char *arena
    cdef ptrdiff_t arena_size  # in bytes
    cdef object lock           # held during a pass
    cdef int forks             # fp_forks() when the locks were last valid
    cdef int depth             # how many times this thread holds the lock, the checks of `acquire` passed
    cdef bint changing         # who holds the lock may change the network
    cdef Gate gate             # guards it against calls from C, which do not take the lock
    cdef bint in_step          # a pass is running
    cdef uint64_t last_thread  # the thread that used the engine last; 0: none
    cdef object exclusive_lock      # held by the thread that is in `exclusive`
    cdef uint64_t exclusive_thread  # that thread, or one that only waits for a pass to end; 0: none
    cdef int exclusive_depth        # how many times it has entered
    cdef public bint swapped
    cdef readonly object thread_local
    cdef int64_t ticket        # the number of the last `forward_and_save`
    cdef ptrdiff_t saved_rows  # how many of its rows are still in the arena
    cdef bint saved_training   # whether it was in training

    def __cinit__(self, str dtype, Py_ssize_t n_inputs, Py_ssize_t members, operations, parameters, gradient, state):
        cdef Plan *p = &self.plan
        cdef ptrdiff_t k, n_in = n_inputs, n_state = 0
        self.lock, self.exclusive_lock, self.forks = threading.RLock(), threading.RLock(), fp_forks()
        self.thread_local, self.sizes = threading.local(), []
        self.theta, self.gradient, self.state = Buffer(parameters, True), Buffer(gradient, True), Buffer(state, True)
        self.pins, self.gradient_pin = (pin(parameters), pin(state)), pin(gradient)
        self.gradients = gradient
        p.kernels = serving.kernels[1 if dtype == "float64" else 0]
        p.itemsize = p.kernels.size
        p.rows_per_call = MAX_BLOCK_ROWS
        if p.kernels == portable[0] or p.kernels == portable[1]:
            p.rows_per_call = PORTABLE_ROWS
        p.theta, p.gradient = self.theta.start, self.gradient.start
        p.n_inputs, p.members, p.n_operations, p.fusible = n_inputs, members, len(operations), members == 1
        p.operations = <Operation *>fp_allocate(p.n_operations * sizeof(Operation))
        p.widths = <ptrdiff_t *>fp_allocate((p.n_operations + 1) * sizeof(ptrdiff_t))
        p.activations = <int *>fp_allocate(p.n_operations * sizeof(int))
        p.hyper = <double *>fp_allocate((p.n_operations + 1) * FP_HYPER * sizeof(double))
        if p.operations == NULL or p.widths == NULL or p.activations == NULL or p.hyper == NULL:
            raise MemoryError(f"no memory for {len(operations)} layers")
        p.widths[0] = n_inputs
        for k in range(p.n_operations):
            n_state += self.add_operation(k, n_in, n_state, operations[k])
            n_in = p.operations[k].n_out
        p.n_outputs = p.n_targets = n_in // members

    cdef ptrdiff_t add_operation(self, ptrdiff_t k, ptrdiff_t n_in, ptrdiff_t n_state, dict operation) except -1:
        """Enter operation k into the plan; return how many numbers of state it has."""
        cdef Plan *p = &self.plan
        cdef Operation *op = &p.operations[k]
        cdef const Operation *below = &p.operations[k - 1] if k > 0 else NULL
        cdef Operation *encoding
        cdef Buffer sizes = Buffer(operation.get("sizes"))
        cdef ptrdiff_t i
        self.sizes.append(sizes)
        op.kind, op.n_in, op.n_out = KINDS[operation["kind"]], n_in, operation["n_out"]
        op.functions = &kinds[op.kind]
        if op.kind == SELECT:
            op.n_in = p.n_inputs
        elif op.kind == CONCAT:
            op.n_in = op.n_out
        op.activation, op.hyper = operation["activation"], p.hyper + k * FP_HYPER
        for i, value in enumerate(operation["hyper"]):
            p.hyper[k * FP_HYPER + i] = value
        op.n_groups, op.shared_weights = operation.get("n_groups", 1), operation.get("shared_weights", False)
        op.sizes, op.fork = <int64_t *>sizes.start, operation.get("fork", 0)
        op.logarithm = operation.get("logarithm", False)
        op.rate, op.momentum, op.epsilon = (operation.get(name, 0.0) for name in ("rate", "momentum", "epsilon"))
        op.group_in, op.group_out = op.n_in // op.n_groups, op.n_out // op.n_groups
        op.n_weights, op.n_biases, op.offset = operation["n_weights"], operation["n_biases"], p.n_parameters
        if op.kind == SELECT or op.kind == CONCAT:
            op.needs_dx = op.offset > 0  # for the branches before it
        elif k == 0 or below.kind == SELECT:
            op.needs_dx = False
        else:
            op.needs_dx = below.needs_dx or below.n_weights > 0
        op.chunk_rows = max(UNIT_ROWS, CHUNK_BYTES // (op.group_out * p.itemsize))
        op.w, op.dw = p.theta + p.n_parameters * p.itemsize, p.gradient + p.n_parameters * p.itemsize
        p.n_parameters += op.n_weights
        op.b, op.db = p.theta + p.n_parameters * p.itemsize, p.gradient + p.n_parameters * p.itemsize
        p.n_parameters += op.n_biases
        op.state = element(self.state.start, n_state, p.itemsize)
        op.flops = ELEMENTWISE_FLOPS * op.n_out
        op.encoding = multiplied_encoding(p, k)
        if op.encoding >= 0:
            encoding = &p.operations[op.encoding]
            encoding.implied = True
            p.flops -= encoding.flops
            encoding.flops = 0
            op.flops = 2.0 * op.n_out * (op.n_in - encoding.n_out) + encoded_flops(op, encoding)
        elif op.kind == DENSE:
            op.flops = 2.0 * op.n_weights * (op.n_groups if op.shared_weights else 1)
        p.flops += op.flops
        p.fusible &= op.kind == DENSE and op.n_groups == 1 and op.n_biases > 0 and not saves_extra(op)
        p.has_batch_norm |= op.kind == BATCH_NORM
        p.widths[k + 1], p.activations[k] = op.n_out, op.activation
        p.n_activations += op.n_out
        return operation["n_state"]

    def __dealloc__(self):
        free_users(&self.gate)
        fp_free(self.arena)
        fp_free(self.plan.operations)
        fp_free(self.plan.widths)
        fp_free(self.plan.activations)
        fp_free(self.plan.hyper)

    # ---- the locks ----

    cdef int begin_pass(self, TrainingJob *job, ptrdiff_t rows, bint whole, int n_parts=0) except -1:
        """Take the engine for a pass of this thread, with an arena for batches of `rows`.

        If `whole`, all rows go through the network at once. At most `n_parts` threads share the work; 0: as many as the
        pool has.
        """
        self.acquire(job.training or job.optimizer != NULL)
        try:
            self.last_thread, self.saved_rows = this_thread(), 0
            if job.do_backward and not job.inputs_only or job.optimizer != NULL:
                self.use_own_gradient(job.do_backward)
            self.lay_out(job, rows, whole, n_parts if n_parts else fp_get_num_threads())
        except BaseException:
            self.release()
            raise
        self.in_step = True
        return 0

    cdef int lay_out(self, TrainingJob *job, ptrdiff_t rows, bint whole, int n_parts) except -1:
        """Prepare the plan and its arena for what the job does with batches of `rows`."""
        cdef Plan *p = &self.plan
        cdef ptrdiff_t size, slices
        job.plan, p.n_parts = p, n_parts
        if job.loss != NO_LOSS:
            p.n_targets = job.n_targets
            memcpy(p.hyper + p.n_operations * FP_HYPER, job.loss_hyper, FP_HYPER * sizeof(double))
        slices = n_slices(job, rows)
        p.whole, p.part_rows = whole or job.training and p.has_batch_norm, rows_per_part(p, rows)
        n_parts = batch_parts(p, rows)
        p.block_rows = p.part_rows * n_parts if slices > 1 else min(p.part_rows * p.n_parts, rows)
        if p.whole:
            p.block_rows = rows
        p.n_costs = max(p.block_rows // UNIT_ROWS + 1, slices * SLICE_PIECES)
        if not sums_gradient(job):
            slices = 1
        p.n_sums = <int>max(<ptrdiff_t>p.n_parts, slices) if p.n_parts > 1 else 1
        size = layout_arena(p, slices, self.arena)
        if size > self.arena_size:
            fp_free(self.arena)
            self.arena_size = 0
            self.arena = <char *>fp_allocate(size)
            if self.arena == NULL:
                raise MemoryError(f"no {size} bytes for the activations of {p.block_rows} rows; use a smaller batch")
            self.arena_size = size
            layout_arena(p, slices, self.arena)
        return 0

    cdef int end_pass(self, TrainingJob *job) except -1:
        """Release the engine, and raise what a signal handler raised during the pass."""
        self.in_step = False
        self.release()
        return raise_if_stopped(&job.interrupts)

    cdef int acquire(self, bint changing) except -1:
        """Take the lock. A pass that changes the network first waits for a thread that is in ``exclusive``."""
        while True:
            self.valid_lock().acquire()
            if not changing or self.exclusive_thread == 0 or self.exclusive_thread == this_thread():
                break
            self.lock.release()
            with self.exclusive_lock:
                pass
        try:
            self.check_not_in_step()
        except BaseException:
            self.lock.release()
            raise
        self.depth += 1
        if self.depth == 1:
            self.changing = changing
            if not (enter_to_change(&self.gate, NULL) if changing else enter_to_read(&self.gate, &self.gate.python)):
                with nogil:
                    wait_to_enter(&self.gate, changing)
        return 0

    cdef void release(self):
        """Release the lock that `acquire` took."""
        self.depth -= 1
        if self.depth == 0:
            fp_atomic_store(&self.gate.changing if self.changing else &self.gate.python.using, IDLE)
        self.lock.release()

    cdef object valid_lock(self):
        """Return the lock, which is new in a forked child if a thread that the child does not have holds it.

        ``in_step`` stays as it was at the fork: then the child has half of a step.
        """
        if self.forks != fp_forks():
            self.forks = fp_forks()
            self.in_step |= forget_calls(&self.gate)
            if self.lock.acquire(blocking=False):
                self.lock.release()
            else:
                self.lock, self.depth = threading.RLock(), 0
            if self.depth == 0:
                self.gate.changing, self.gate.python.using = False, IDLE
            if self.exclusive_lock.acquire(blocking=False):
                self.exclusive_lock.release()
            else:
                self.exclusive_lock, self.exclusive_thread, self.exclusive_depth = threading.RLock(), 0, 0
                self.gate.reserved = False
                self.in_step |= self.swapped
        return self.lock

    cdef int check_not_in_step(self) except -1:
        """Raise a RuntimeError in the middle of a step, where the lock admits its own thread again."""
        if self.in_step:
            raise RuntimeError(
                "this network is in the middle of a step: a signal handler must not use it, "
                "nor a process that was forked during the step, which has half of it"
            )
        return 0

    cdef int begin_exclusive(self) except -1:
        """Let no other thread change the network until ``end_exclusive``."""
        self.valid_lock()
        self.exclusive_lock.acquire()
        self.exclusive_depth += 1
        self.exclusive_thread = this_thread()  # set first, so that a thread that takes step after step waits for us
        fp_atomic_store(&self.gate.reserved, True)
        try:
            self.acquire(False)
        except BaseException:
            self.end_exclusive()
            raise
        self.release()
        return 0

    cdef int end_exclusive(self) except -1:
        """End what ``begin_exclusive`` began."""
        self.exclusive_depth -= 1
        if self.exclusive_depth == 0:
            self.exclusive_thread = 0
            fp_atomic_store(&self.gate.reserved, False)
        self.exclusive_lock.release()
        return 0

    def exclusive(self):
        """Return a context in which no other thread changes the network: those that train it or assign to it wait.

        Other threads may compute outputs. The user's code may run in the context, unlike in ``locked``.
        """
        return Exclusive(self, False)

    def locked(self):
        """Return a context in which no other thread uses the network at all, for a few lines that copy its numbers."""
        return Exclusive(self, True)

    # ---- the gradient: each thread that computes one has an array for it, so that no thread overwrites another's ----

    @property
    def gradient(self):
        """The gradient that this thread computed last, or, if it computed none, the last one of any thread."""
        return getattr(self.thread_local, "gradient", self.gradients)

    @gradient.setter
    def gradient(self, values):
        with self.locked():
            self.use_own_gradient(True)
            self.gradients[:] = values

    cdef int use_own_gradient(self, bint create) except -1:
        """Let the plan point to the gradient of this thread. If it has none, it gets an array if `create`."""
        cdef Plan *p = &self.plan
        cdef Buffer buffer
        cdef ptrdiff_t k, distance
        if self.gradient_thread == this_thread():
            return 0
        array = getattr(self.thread_local, "gradient", None)
        if array is None:
            if not create:
                return 0
            array = self.gradients if self.gradient_thread == 0 else aligned_copy(self.gradients)
            self.thread_local.gradient = array
        buffer = Buffer(array, True)
        buffer.check_size(p.n_parameters * p.itemsize)
        self.gradients, self.gradient, self.gradient_thread = array, buffer, this_thread()
        self.gradient_pin = pin(array)
        distance = self.gradient.start - p.gradient
        p.gradient += distance
        for k in range(p.n_operations):
            p.operations[k].dw += distance
            p.operations[k].db += distance
        return 0

    # ---- what a job works on ----

    cdef ptrdiff_t n_rows(self, Buffer x) except -1:
        """Return how many rows of inputs x has."""
        cdef ptrdiff_t row_bytes = self.plan.n_inputs * self.plan.itemsize
        x.check_size(x.size // row_bytes * row_bytes)
        return x.size // row_bytes

    cdef ptrdiff_t output_bytes(self, ptrdiff_t rows) noexcept:
        """Return the size of the outputs of `rows` rows, of all members."""
        return rows * self.plan.n_outputs * self.plan.members * self.plan.itemsize

    cdef int set_examples(
        self, TrainingJob *job, CompiledLoss loss, Buffer x, Buffer y, Buffer label, Buffer weight, Buffer order,
    ) except -1:
        """Let a job point to its examples and loss. The caller keeps the buffers."""
        cdef ptrdiff_t rows = self.n_rows(x)
        y.check_size(rows * loss.n_targets * self.plan.itemsize)
        label.check_size(rows * sizeof(int64_t))
        weight.check_size(rows * self.plan.itemsize)
        order.check_size(rows * sizeof(int64_t))
        job.x, job.y, job.label, job.rows = x.start, y.start, <int64_t *>label.start, rows
        job.weight, job.order = weight.start, <int64_t *>order.start
        loss.set_loss(job)
        return 0

    cdef bint get_matrix(self, Py_buffer *view, object array, ptrdiff_t columns, int least_ndim=2) noexcept:
        """Get the memory of a finite array (rows, columns), or of one row, that the kernels can take as it is.

        True if `array` is one: then the caller must release `view`.
        """
        cdef int finite = False
        if not get_array(view, array, b"f" if self.plan.itemsize == 4 else b"d", least_ndim, 2):
            return False
        if view.shape[0] > 0 and view.shape[view.ndim - 1] == columns:
            self.plan.kernels.all_finite(&finite, view.buf, view.len // self.plan.itemsize)
        if not finite:
            PyBuffer_Release(view)
        return finite

    # ---- the passes ----

    cdef int run_forward(self, const char *x, ptrdiff_t rows, Buffer out) except -1:
        """out = the outputs for x (rows, n_inputs)."""
        cdef TrainingJob job
        out.check_size(self.output_bytes(rows))
        memset(&job, 0, sizeof(TrainingJob))
        job.x, job.rows, job.do_forward, job.out, job.loss = x, rows, True, out.start, NO_LOSS
        self.begin_pass(&job, rows, False)
        with nogil:
            begin_work(&job.interrupts)
            run_batch(&job, 0, rows)
            end_work(&job.interrupts)
        return self.end_pass(&job)

    def forward(self, x, out):
        """Write the network's outputs for x (rows, n_inputs) to out (rows, members * n_outputs); save nothing."""
        cdef Buffer xs = Buffer(x), outs = Buffer(out, True)
        self.run_forward(xs.start, self.n_rows(xs), outs)

    def try_forward(self, x):
        """Return the outputs for x, (rows, members * n_outputs), or None if x must be converted or refused first.

        The outputs of one row, x (n_inputs,), are (members * n_outputs,).
        """
        cdef Py_buffer view
        cdef Buffer outs
        cdef Py_ssize_t rows = 1, columns = self.plan.n_outputs * self.plan.members
        if not self.get_matrix(&view, x, self.plan.n_inputs, 1):
            return None
        try:
            shape = (columns,)
            if view.ndim == 2:
                rows = view.shape[0]
                shape = (rows, columns)
            out = numpy.empty(shape, x.dtype)
            outs = Buffer(out, True)
            self.run_forward(<char *>view.buf, rows, outs)
        finally:
            PyBuffer_Release(&view)
        return out

    def forward_and_save(self, x, out, bint training=False, uint64_t seed=0, int64_t step=0):
        """Write the outputs for x to `out`, and save a copy of x and every activation for ``backward``."""
        cdef Buffer xs = Buffer(x), outs = Buffer(out, True)
        cdef TrainingJob job
        memset(&job, 0, sizeof(TrainingJob))
        job.rows, job.do_forward, job.save, job.loss = self.n_rows(xs), True, True, NO_LOSS
        outs.check_size(self.output_bytes(job.rows))
        job.training, job.seed, job.step = training, seed, step
        self.begin_pass(&job, job.rows, True)
        job.x = self.plan.x
        with nogil:
            begin_work(&job.interrupts)
            memcpy(self.plan.x, xs.start, xs.size)
            run_batch(&job, 0, job.rows)
            memcpy(outs.start, self.plan.operations[self.plan.n_operations - 1].a, outs.size)
            end_work(&job.interrupts)
        self.saved_rows, self.saved_training = 0 if job.interrupts.stopped else job.rows, training
        self.ticket += 1
        self.thread_local.ticket = self.ticket
        self.end_pass(&job)

    @property
    def rows_saved(self):
        """The number of rows that ``backward`` can take.

        They are those of this thread's last forward_and_save; 0 after any other use of the network.
        """
        return self.saved_rows if self.ticket == getattr(self.thread_local, "ticket", 0) else 0

    @property
    def used_elsewhere(self):
        """Whether another thread used the network last."""
        return self.last_thread != 0 and self.last_thread != this_thread()

    def backward(self, dy, dx):
        """Compute dC/dX and the gradient from dC/dY, `dy`, for the saved rows.

        Returns
        -------
        bool
            False if the rows are no longer saved; then nothing is computed.
        """
        cdef Buffer dys = Buffer(dy), dxs = Buffer(dx, True)
        cdef TrainingJob job
        memset(&job, 0, sizeof(TrainingJob))
        job.rows, job.loss, job.do_backward, job.dx = self.n_rows(dxs), NO_LOSS, True, dxs.start
        dys.check_size(self.output_bytes(job.rows))
        with self.locked():
            if self.rows_saved != job.rows:
                return False
            self.use_own_gradient(True)
            self.acquire(False)
            self.last_thread, self.in_step = this_thread(), True
        job.plan, job.x, job.training = &self.plan, self.plan.x, self.saved_training
        with nogil:
            begin_work(&job.interrupts)
            memcpy(self.plan.operations[self.plan.n_operations - 1].dz, dys.start, dys.size)
            run_batch(&job, 0, job.rows)
            end_work(&job.interrupts)
        self.end_pass(&job)
        return True

    def jacobian(self, x, dx, out):
        """Write the derivative of each output by each input to `out`, (rows, n_outputs, n_inputs).

        x and dx are (rows, n_inputs); dx is scratch memory.
        """
        cdef Buffer xs = Buffer(x), dxs = Buffer(dx, True), outs = Buffer(out, True)
        cdef TrainingJob job
        cdef ptrdiff_t i, j, n = self.plan.n_outputs, row_bytes = self.plan.n_inputs * self.plan.itemsize
        memset(&job, 0, sizeof(TrainingJob))
        job.rows, job.save, job.loss, job.dx, job.inputs_only = self.n_rows(xs), True, NO_LOSS, dxs.start, True
        dxs.check_size(xs.size)
        outs.check_size(n * xs.size)
        self.begin_pass(&job, job.rows, True)
        job.x = self.plan.x
        with nogil:
            begin_work(&job.interrupts)
            memcpy(self.plan.x, xs.start, xs.size)
            job.do_forward = True
            run_batch(&job, 0, job.rows)
            job.do_forward, job.do_backward, job.save = False, True, False
            for j in range(n):
                if job.interrupts.stopped:
                    break
                set_unit_gradient(&job, j)
                run_batch(&job, 0, job.rows)
                for i in range(job.rows):
                    memcpy(outs.start + (i * n + j) * row_bytes, dxs.start + i * row_bytes, row_bytes)
            end_work(&job.interrupts)
        self.end_pass(&job)

    def cost(
        self, x, y, label, weight, CompiledLoss loss, gradient, bint training=False, uint64_t seed=0, int64_t step=0,
    ):
        """Return the mean loss over the rows of x.

        Unless `gradient` is None, its gradient is written there and to ``self.gradient``.
        """
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef Buffer gradients = Buffer(gradient, True)
        cdef TrainingJob job
        cdef double total
        memset(&job, 0, sizeof(TrainingJob))
        self.set_examples(&job, loss, xs, ys, labels, weights, NO_BUFFER)
        gradients.check_size(self.plan.n_parameters * self.plan.itemsize)
        job.do_forward, job.do_backward = True, gradients.start != NULL
        job.save, job.training, job.seed, job.step = job.do_backward, training, seed, step
        self.begin_pass(&job, job.rows, False)
        with nogil:
            begin_work(&job.interrupts)
            total = run_batch(&job, 0, job.rows)
            if gradients.start != NULL:
                memcpy(gradients.start, self.plan.gradient, gradients.size)
            end_work(&job.interrupts)
        self.end_pass(&job)
        return total / job.batch_weight if job.batch_weight > 0 else 0.0

    def row_gradients(self, x, y, label, CompiledLoss loss, gradients):
        """Write the gradient of the loss of each row of x to `gradients`, (rows, n_parameters)."""
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), out = Buffer(gradients, True)
        cdef TrainingJob job
        cdef ptrdiff_t i, size = self.plan.n_parameters * self.plan.itemsize
        memset(&job, 0, sizeof(TrainingJob))
        self.set_examples(&job, loss, xs, ys, labels, NO_BUFFER, NO_BUFFER)
        out.check_size(job.rows * size)
        job.do_forward, job.do_backward, job.save = True, True, True
        self.begin_pass(&job, 1, False)
        with nogil:
            begin_work(&job.interrupts)
            for i in range(job.rows):
                run_batch(&job, i, 1)
                if job.interrupts.stopped:
                    break
                memcpy(out.start + i * size, self.plan.gradient, size)
            end_work(&job.interrupts)
        self.end_pass(&job)

    def trace(
        self, x, y, label, weight, CompiledLoss loss, bint training=False, uint64_t seed=0, int64_t step=0,
    ):
        """Return every number of both passes over all rows of x.

        Returns
        -------
        operations : list of dict
            For each operation "z", "a", "slope" (which is g'(z)), "da" and "dz", each (rows, n_out). "da" and "dz" are
            derivatives of the cost.
        losses : ndarray, (rows, members)
            The loss of each row, not multiplied by its weight.
        gradient : ndarray, (n_parameters,)
        dx : ndarray, (rows, n_inputs)
        """
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef TrainingJob job
        cdef Buffer dxs
        memset(&job, 0, sizeof(TrainingJob))
        self.set_examples(&job, loss, xs, ys, labels, weights, NO_BUFFER)
        dx = numpy.empty_like(x)
        dxs = Buffer(dx, True)
        dxs.check_size(xs.size)
        job.dx, job.training, job.seed, job.step = dxs.start, training, seed, step
        job.do_forward = job.do_backward = job.save = True
        self.begin_pass(&job, job.rows, True)
        begin_work(&job.interrupts)
        try:
            return trace_passes(&job, dx)
        finally:
            end_work(&job.interrupts)
            self.end_pass(&job)

    def all_finite(self, x):
        """Return whether every element of x, an array of the engine's dtype, is finite."""
        cdef Buffer xs = Buffer(x)
        cdef int finite
        if xs.size < RELEASE_GIL_BYTES:
            self.plan.kernels.all_finite(&finite, xs.start, xs.size // self.plan.itemsize)
        else:
            with nogil:
                self.plan.kernels.all_finite(&finite, xs.start, xs.size // self.plan.itemsize)
        return finite != 0

    def slices(self, Py_ssize_t rows):
        """Return in how many slices a batch of a training is divided, for tests; see ``n_slices`` of job.pxi."""
        cdef TrainingJob job
        memset(&job, 0, sizeof(TrainingJob))
        job.plan, job.save, job.training = &self.plan, True, True
        return n_slices(&job, rows)

    @property
    def has_batch_norm(self):
        """Whether there is an operation whose outputs in training depend on other rows of the batch."""
        return bool(self.plan.has_batch_norm)

    @property
    def implied(self):
        """The indices of the operations whose outputs are computed for traces only."""
        return [k for k in range(self.plan.n_operations) if self.plan.operations[k].implied]

    @property
    def isa(self):
        """The name of the instruction set whose kernels this network uses."""
        return self.plan.kernels.isa.decode()


cdef class Exclusive:
    """The context of ``Engine.exclusive`` and ``Engine.locked``. A signal handler cannot enter one in mid-step."""

    cdef Engine engine
    cdef bint locked

    def __cinit__(self, Engine engine, bint locked):
        self.engine, self.locked = engine, locked

    def __enter__(self):
        self.engine.begin_exclusive()
        if self.locked:
            try:
                self.engine.acquire(True)
            except BaseException:
                self.engine.end_exclusive()
                raise

    def __exit__(self, *args):
        if self.locked:
            self.engine.release()
        self.engine.end_exclusive()


cdef void set_unit_gradient(TrainingJob *job, ptrdiff_t j) noexcept nogil:
    """Set the last dz to the derivative of output j: 1 in column j, and 0 elsewhere. Each member gets 1 / members."""
    cdef Plan *p = job.plan
    cdef char *dz = p.operations[p.n_operations - 1].dz
    cdef ptrdiff_t i, rows = job.rows * p.members
    memset(dz, 0, rows * p.n_outputs * p.itemsize)
    for i in range(rows):
        if p.itemsize == 4:
            (<float *>dz)[i * p.n_outputs + j] = <float>(1.0 / p.members)
        else:
            (<double *>dz)[i * p.n_outputs + j] = 1.0 / p.members


cdef object aligned_copy(object array):
    """Return a copy that starts at a cache line, where SIMD loads and stores are fastest."""
    raw = numpy.empty(array.nbytes + 64, numpy.uint8)
    start = -raw.ctypes.data % 64
    copy = raw[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy


include "training_loop.pxi"
include "ensemble.pxi"
include "native.pxi"


def shuffle(int64_t[::1] order, uint64_t seed, uint64_t step):
    """Fill `order`, (n,), with a random permutation of 0..n-1 that depends on n, seed and step only."""
    cdef uint64_t key = fp_random_key(seed, FP_STREAM_SHUFFLE, step)
    cdef int64_t first = 0, last
    while first < order.shape[0]:
        last = min(first + SHUFFLE_CHUNK, order.shape[0])
        with nogil:
            fp_shuffle(&order[0], first, last, key)
        PyErr_CheckSignals()
        first = last


def allocations():
    """Return how many blocks of memory the engine has allocated so far; a training step allocates none."""
    return fp_allocations()


fp_threads_init()
fp_caches_init()


def set_num_threads(int n):
    """Set the number of threads; see fastprop.config."""
    fp_set_num_threads(n)


def get_num_threads():
    """Return the number of threads; see fastprop.config."""
    return fp_get_num_threads()
