# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The engine: what lies where, the forward pass, the backward pass, the update, and the loop over mini-batches.

It moves addresses, and never looks at an element: kernels of the table do that, one table for each dtype. Everything
that arrives here was checked by ``_validation.py``. The mathematics and its names are those of DESIGN.md:

    forward      z[k] = a[k-1] W[k] + b[k]        a[k] = g[k](z[k])        a[0] = x
    output       dz[L] = dLoss/dz[L]
    backward     dz[k-1] = (dz[k] W[k]^T) * g'[k-1](z[k-1])
    gradients    dW[k] = a[k-1]^T dz[k]           db[k] = sum over rows of dz[k]
    descent      theta <- theta - eta * grad

Rows are independent of one another on their way up and down, and so are the rows of dW, so threads share out these.
Every sum runs in the order of the rows, whatever the blocks and the threads.
"""
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from cpython.weakref cimport PyWeakref_NewRef
from libc.math cimport NAN, isfinite, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastprop._core cimport _portable
from fastprop._core._capi cimport (
    FP_ACTIVATION_identity, FP_ACTIVATION_relu, FP_HYPER, FP_SAVES_SLOPE, FP_MEMORY, FP_N_ACTIVATIONS, FP_N_LOSSES,
    FP_N_OPTIMIZERS, FP_OPTIMIZER_sgd, FP_STREAM_DROPOUT, FP_STREAM_SHUFFLE,
    fp_activation_saves, fp_allocate, fp_allocations, fp_atomic_add, fp_atomic_load, fp_atomic_store, fp_clock,
    fp_cpu_name, fp_denormals_flush, fp_denormals_restore, fp_forks, fp_free, fp_get_num_threads, fp_isa, fp_isas,
    fp_kernels, fp_optimizer_begin, fp_parallel, fp_random_key, fp_scratch, fp_select_isa, fp_set_num_threads,
    fp_shuffle, fp_signatures, fp_threads_init, fp_work_begin, fp_work_end,
)

import os
import threading

import numpy  # the module that users have, not NumPy's C interface: no headers, no ABI

ctypedef fused real:
    float
    double

cdef extern from "Python.h":
    ctypedef struct PyThreadState
    PyThreadState *PyThreadState_Get()
    uint64_t PyThreadState_GetID(PyThreadState *)

cdef inline uint64_t this_thread() noexcept:
    """A number that no other thread of the process has or had; from 1 on."""
    return PyThreadState_GetID(PyThreadState_Get())

include "plan.pxi"
include "interrupts.pxi"
include "job.pxi"
include "operations.pxi"
include "batch_norm.pxi"
include "gradients.pxi"
include "forward_backward.pxi"
include "optimizer_step.pxi"
include "trace.pxi"
include "dispatch.pxi"


cdef enum:
    WORTH_THE_GIL = 1 << 20  # bytes whose check takes longer than letting other threads in and out
    SHUFFLED_AT_ONCE = 1 << 20  # rows, some 10 milliseconds, between two looks for Ctrl-C


cdef object ndarray = numpy.ndarray


def pin(array):
    """What keeps the memory of an array where it is, for as long as it is held: None, or a reference to its owner.

    A buffer does not: ``ndarray.resize(..., refcheck=False)`` frees the memory under it. But NumPy resizes no array to
    which there is a weak reference. It is for arrays that are in use while a user's function runs: in a step it would
    be felt.
    """
    while isinstance(array, ndarray) and isinstance(array.base, ndarray):
        array = array.base
    return PyWeakref_NewRef(array, None) if isinstance(array, ndarray) else None


cdef class Buffer:
    """A C-contiguous array's memory, or NULL for None. Not a memoryview: it is cheaper to make, and takes any dtype."""

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

    cdef int expect(self, ptrdiff_t size) except -1:
        """Refuses an array that is there but is not of this many bytes."""
        if self.start != NULL and self.size != size:
            raise ValueError(
                f"an array of {self.size} bytes came to the engine where {size} are needed: it, or what describes the "
                "network, was changed after it was checked; leave both as they are while they are in use"
            )
        return 0


cdef Buffer NOTHING = Buffer(None)


cdef class CompiledLoss:
    """A loss as the kernels know it.

    Parameters
    ----------
    number : int
        Its place in the list (see ``names``).
    hyper : tuple of float
        Its numbers.
    n_targets : int
        How many numbers a row of targets has, where they are no labels.
    """

    cdef int number
    cdef double hyper[FP_HYPER]
    cdef ptrdiff_t n_targets

    def __cinit__(self, int number, tuple hyper, Py_ssize_t n_targets):
        cdef Py_ssize_t i
        self.number, self.n_targets = number, n_targets
        for i in range(len(hyper)):
            self.hyper[i] = hyper[i]

    cdef void put(self, Job *job) noexcept:
        job.loss, job.loss_hyper, job.n_targets = self.number, self.hyper, self.n_targets


cdef bint get_ready(Py_buffer *view, object array, char code, int ndim) noexcept:
    """True if `array` is a plain, C-contiguous, aligned array of this type code, whose memory `view` then holds."""
    if type(array) is not ndarray:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except Exception:
        return False
    # int64 is "l" where long has 64 bits, and "q" elsewhere
    if (
        view.ndim == ndim and (view.format[0] == code or code == b"q" and view.format[0] == b"l" and view.itemsize == 8)
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
        How many networks share the operations: the row of outputs is theirs, one after the other.
    operations : sequence of dict
        "kind" (a key of KINDS), "n_out", "activation" (its number in the list, see ``names``) and "hyper" (its numbers,
        a tuple), "n_weights", "n_biases", "n_state" and, where they are not 0 or 1 or None, the other fields of ``Op``
        of plan.pxi. Each has as many inputs as the one before has outputs.
    parameters, gradient, state : writable flat buffers of the dtype
        The weights and then the biases of each operation, one operation after the other; the state likewise.

    Notes
    -----
    Several threads may use a network at once. One pass runs at a time; what two passes have to do with one another is
    kept apart by ``thread_local`` and ``Exclusive``.

    Attributes
    ----------
    thread_local : threading.local
        What belongs to one thread: its ``gradient``, an array, if it computed one, and the ``ticket`` of its last
        ``forward_and_save``.
    swapped : bool
        Whether the parameters are others than those that are trained, for a while.
    """

    cdef Plan plan
    cdef Buffer theta
    cdef object gradients    # the array that `gradient` is a buffer of
    cdef Buffer gradient
    cdef uint64_t gradient_of    # the thread whose gradient it is; 0: nobody's yet
    cdef Buffer state
    cdef object pins         # of parameters and state, and
    cdef object gradient_pin  # of the gradient: they stay where they are
    cdef list sizes          # what the operations' `sizes` point to
    cdef char *arena
    cdef ptrdiff_t arena_size
    cdef object lock
    cdef int forks           # fp_forks() when the lock was last looked at
    cdef bint in_step
    cdef uint64_t last_user  # the thread that used the engine last
    cdef object changes      # the lock of whoever has the network for itself
    cdef uint64_t changer    # the thread that has, or waits only for a pass to end; 0: none
    cdef int depth           # how often it has entered
    cdef public bint swapped
    cdef readonly object thread_local
    cdef int64_t ticket      # of the last `forward_and_save`
    cdef ptrdiff_t kept      # how many of its rows the arena still holds
    cdef bint kept_training  # and whether it was in training

    def __cinit__(self, str dtype, Py_ssize_t n_inputs, Py_ssize_t members, operations, parameters, gradient, state):
        cdef Plan *p = &self.plan
        cdef ptrdiff_t k, n_in = n_inputs, n_state = 0
        self.lock, self.changes, self.forks = threading.RLock(), threading.RLock(), fp_forks()
        self.thread_local, self.sizes = threading.local(), []
        self.theta, self.gradient, self.state = Buffer(parameters, True), Buffer(gradient, True), Buffer(state, True)
        self.pins, self.gradient_pin = (pin(parameters), pin(state)), pin(gradient)
        self.gradients = gradient
        p.kernels = serving.kernels[1 if dtype == "float64" else 0]
        p.size = p.kernels.size
        p.rows_at_once = FEW_ROWS if p.kernels == portable[0] or p.kernels == portable[1] else LONGEST_BLOCK
        p.theta, p.gradient = self.theta.start, self.gradient.start
        p.n_inputs, p.members, p.n_ops, p.plain = n_inputs, members, len(operations), members == 1
        p.ops = <Op *>fp_allocate(p.n_ops * sizeof(Op))
        p.widths = <ptrdiff_t *>fp_allocate((p.n_ops + 1) * sizeof(ptrdiff_t))
        p.activations = <int *>fp_allocate(p.n_ops * sizeof(int))
        p.hyper = <double *>fp_allocate((p.n_ops + 1) * FP_HYPER * sizeof(double))
        if p.ops == NULL or p.widths == NULL or p.activations == NULL or p.hyper == NULL:
            raise MemoryError(f"no memory for {len(operations)} layers")
        p.widths[0] = n_inputs
        for k in range(p.n_ops):
            n_state += self.place(k, n_in, n_state, operations[k])
            n_in = p.ops[k].n_out
        p.n_outputs = p.n_targets = n_in // members

    cdef ptrdiff_t place(self, ptrdiff_t k, ptrdiff_t n_in, ptrdiff_t n_state, dict operation) except -1:
        """Enters operation k into the plan; returns how many numbers of state it has."""
        cdef Plan *p = &self.plan
        cdef Op *op = &p.ops[k]
        cdef Buffer sizes = Buffer(operation.get("sizes"))
        cdef ptrdiff_t i
        self.sizes.append(sizes)
        op.kind, op.n_in, op.n_out = KINDS[operation["kind"]], n_in, operation["n_out"]
        op.activation, op.hyper = operation["activation"], p.hyper + k * FP_HYPER
        for i, number in enumerate(operation["hyper"]):
            p.hyper[k * FP_HYPER + i] = number
        op.pieces, op.shared = operation.get("n_groups", 1), operation.get("shared_weights", False)
        op.sizes, op.fork = <int64_t *>sizes.start, operation.get("fork", 0)
        op.logarithm = operation.get("logarithm", False)
        op.rate, op.momentum, op.epsilon = (operation.get(name, 0.0) for name in ("rate", "momentum", "epsilon"))
        op.in_piece, op.out_piece = op.n_in // op.pieces, op.n_out // op.pieces
        op.n_weights, op.n_biases, op.first = operation["n_weights"], operation["n_biases"], p.n_parameters
        op.stretch = max(SLICE, STRETCH // (op.out_piece * p.size))
        op.w, op.dw = p.theta + p.n_parameters * p.size, p.gradient + p.n_parameters * p.size
        p.n_parameters += op.n_weights
        op.b, op.db = p.theta + p.n_parameters * p.size, p.gradient + p.n_parameters * p.size
        p.n_parameters += op.n_biases
        op.state = element(self.state.start, n_state, p.size)
        op.flops = FLOPS_OF_A_PASS * op.n_out
        if op.kind == DENSE:
            op.flops = 2.0 * op.n_weights * (op.pieces if op.shared else 1)
        p.flops += op.flops
        p.plain &= op.kind == DENSE and op.pieces == 1 and op.n_biases > 0 and not keeps_more(op)
        p.has_batch_norm |= op.kind == BATCH_NORM
        p.widths[k + 1], p.activations[k] = op.n_out, op.activation
        return operation["n_state"]

    def __dealloc__(self):
        fp_free(self.arena)
        fp_free(self.plan.ops)
        fp_free(self.plan.widths)
        fp_free(self.plan.activations)
        fp_free(self.plan.hyper)

    cdef int enter(self, Job *job, ptrdiff_t rows, bint whole, int parts=0) except -1:
        """Takes the engine for this thread, with an arena for batches of `rows`: all of them at once if `whole`.

        So many `parts` may be worked on at once; 0: as many as there are threads.
        """
        cdef ptrdiff_t size
        self.acquire(job.training or job.rule != NULL)
        try:
            self.last_user, self.kept = this_thread(), 0
            if job.down and not job.inputs_only or job.rule != NULL:
                self.take_gradient(job.down)
            self.plan.parts = parts if parts else fp_get_num_threads()
            if job.loss != NO_LOSS:
                self.plan.n_targets = job.n_targets
                memcpy(self.plan.hyper + self.plan.n_ops * FP_HYPER, job.loss_hyper, FP_HYPER * sizeof(double))
            whole |= job.training and self.plan.has_batch_norm
            self.plan.block = rows if whole else rows_per_block(&self.plan, rows)
            size = carve(&self.plan, NULL)
            if size > self.arena_size:
                fp_free(self.arena)
                self.arena_size = 0
                self.arena = <char *>fp_allocate(size)
                if self.arena == NULL:
                    rows = self.plan.block
                    raise MemoryError(f"no {size} bytes for the activations of {rows} rows; use a smaller batch")
                self.arena_size = size
            carve(&self.plan, self.arena)
        except BaseException:
            self.lock.release()
            raise
        job.plan = &self.plan
        self.in_step = True
        return 0

    cdef int acquire(self, bint changing) except -1:
        """The lock, for a pass; one that is `changing` the network waits for whoever has it for itself."""
        while True:
            self.own_lock().acquire()
            if not changing or self.changer == 0 or self.changer == this_thread():
                break
            self.lock.release()
            with self.changes:
                pass
        try:
            self.refuse_in_step()
        except BaseException:
            self.lock.release()
            raise
        return 0

    cdef object own_lock(self):
        """The lock. In a forked child a new one, if a thread that is not there holds it; in_step stays as it was."""
        if self.forks != fp_forks():
            self.forks = fp_forks()
            if self.lock.acquire(blocking=False):
                self.lock.release()
            else:
                self.lock = threading.RLock()
            if self.changes.acquire(blocking=False):
                self.changes.release()
            else:
                self.changes, self.changer, self.depth = threading.RLock(), 0, 0
                self.in_step |= self.swapped
        return self.lock

    cdef int have(self) except -1:
        """Has the network for this thread: until ``give`` no other one changes it."""
        self.own_lock()
        self.changes.acquire()
        self.depth += 1
        self.changer = this_thread()  # before the next step of another thread, which would not let us in
        try:
            self.acquire(False)
        except BaseException:
            self.give()
            raise
        self.lock.release()
        return 0

    cdef int give(self) except -1:
        """Ends what ``have`` began."""
        self.depth -= 1
        if self.depth == 0:
            self.changer = 0
        self.changes.release()
        return 0

    def exclusive(self):
        """A context in which no other thread changes the network: those that train it or assign to it wait.

        They may have its outputs. The user's code may run in it, unlike in ``locked``.
        """
        return Exclusive(self, False)

    def locked(self):
        """A context in which no other thread uses the network at all, for the few lines that copy its numbers."""
        return Exclusive(self, True)

    # ---- the gradient: an array for each thread that computes one, so that none finds another's in its place ----

    @property
    def gradient(self):
        """The gradient that this thread computed last; where it computed none, the last one of any thread."""
        return getattr(self.thread_local, "gradient", self.gradients)

    @gradient.setter
    def gradient(self, values):
        with self.locked():
            self.take_gradient(True)
            self.gradients[:] = values

    cdef int take_gradient(self, bint anew) except -1:
        """Puts this thread's gradient in place. If it has none, one that is computed `anew` gets an array."""
        cdef Plan *p = &self.plan
        cdef Buffer taken
        cdef ptrdiff_t k, by
        if self.gradient_of == this_thread():
            return 0
        array = getattr(self.thread_local, "gradient", None)
        if array is None:
            if not anew:
                return 0
            array = self.gradients if self.gradient_of == 0 else aligned_copy(self.gradients)
            self.thread_local.gradient = array
        taken = Buffer(array, True)
        taken.expect(p.n_parameters * p.size)
        self.gradients, self.gradient, self.gradient_of = array, taken, this_thread()
        self.gradient_pin = pin(array)
        by = self.gradient.start - p.gradient
        p.gradient += by
        for k in range(p.n_ops):
            p.ops[k].dw += by
            p.ops[k].db += by
        return 0

    cdef int refuse_in_step(self) except -1:
        """The lock lets the same thread in again, which is right between steps only."""
        if self.in_step:
            raise RuntimeError(
                "this network is in the middle of a step: a signal handler must not use it, "
                "nor a process that was forked during the step, which has half of it"
            )
        return 0

    cdef int leave(self, Job *job) except -1:
        """Gives the engine back, and raises what stopped it."""
        self.in_step = False
        self.lock.release()
        return raise_if_stopped(&job.interrupts)

    cdef ptrdiff_t rows_of(self, Buffer x) except -1:
        """How many rows of inputs x holds."""
        cdef ptrdiff_t row = self.plan.n_inputs * self.plan.size
        x.expect(x.size // row * row)
        return x.size // row

    cdef int bring(
        self, Job *job, CompiledLoss loss, Buffer x, Buffer y, Buffer label, Buffer weight, Buffer order,
    ) except -1:
        """Enters the examples into a job. The caller keeps the buffers."""
        cdef ptrdiff_t rows = self.rows_of(x)
        y.expect(rows * loss.n_targets * self.plan.size)
        label.expect(rows * sizeof(int64_t))
        weight.expect(rows * self.plan.size)
        order.expect(rows * sizeof(int64_t))
        job.x, job.y, job.label, job.rows = x.start, y.start, <int64_t *>label.start, rows
        job.weight, job.order = weight.start, <int64_t *>order.start
        loss.put(job)
        return 0

    cdef bint ready(self, Py_buffer *view, object array, ptrdiff_t columns) noexcept:
        """True if `array` is (rows, columns) just as the kernels take it, and finite; `view` is then to be released."""
        cdef int ok = False
        if not get_ready(view, array, b"f" if self.plan.size == 4 else b"d", 2):
            return False
        if view.shape[0] > 0 and view.shape[1] == columns:
            self.plan.kernels.all_finite(&ok, view.buf, view.len // self.plan.size)
        if not ok:
            PyBuffer_Release(view)
        return ok

    cdef ptrdiff_t output_size(self, ptrdiff_t rows) noexcept:
        """The bytes of the outputs of so many rows, of all members."""
        return rows * self.plan.n_outputs * self.plan.members * self.plan.size

    cdef int run_forward(self, const char *x, ptrdiff_t rows, Buffer out) except -1:
        cdef Job job
        out.expect(self.output_size(rows))
        memset(&job, 0, sizeof(Job))
        job.x, job.rows, job.up, job.out, job.loss = x, rows, True, out.start, NO_LOSS
        self.enter(&job, rows, False)
        with nogil:
            begin_work(&job.interrupts)
            pass_batch(&job, 0, rows)
            end_work(&job.interrupts)
        return self.leave(&job)

    def forward(self, x, out):
        """out = the network's outputs for x; keeps nothing."""
        cdef Buffer xs = Buffer(x), outs = Buffer(out, True)
        self.run_forward(xs.start, self.rows_of(xs), outs)

    def try_forward(self, x):
        """The outputs for an x just as the kernels take it, without further ado; None: it wants a closer look."""
        cdef Py_buffer view
        cdef Buffer outs
        if not self.ready(&view, x, self.plan.n_inputs):
            return None
        try:
            out = numpy.empty((view.shape[0], self.plan.n_outputs * self.plan.members), x.dtype)
            outs = Buffer(out, True)
            self.run_forward(<char *>view.buf, view.shape[0], outs)
        finally:
            PyBuffer_Release(&view)
        return out

    def forward_and_save(self, x, out, bint training=False, uint64_t seed=0, int64_t step=0):
        """out = the network's outputs for x; keeps a copy of x and every activation for ``backward``."""
        cdef Buffer xs = Buffer(x), outs = Buffer(out, True)
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.rows, job.up, job.keep, job.loss = self.rows_of(xs), True, True, NO_LOSS
        outs.expect(self.output_size(job.rows))
        job.training, job.seed, job.step = training, seed, step
        self.enter(&job, job.rows, True)
        job.x = self.plan.x
        with nogil:
            begin_work(&job.interrupts)
            memcpy(self.plan.x, xs.start, xs.size)
            pass_batch(&job, 0, job.rows)
            memcpy(outs.start, self.plan.ops[self.plan.n_ops - 1].a, outs.size)
            end_work(&job.interrupts)
        self.kept, self.kept_training = 0 if job.interrupts.stopped else job.rows, training
        self.ticket += 1
        self.thread_local.ticket = self.ticket
        self.leave(&job)

    @property
    def rows_saved(self):
        """How many rows ``backward`` can take.

        Those of this thread's last forward_and_save, 0 after any other use of the network.
        """
        return self.kept if self.ticket == getattr(self.thread_local, "ticket", 0) else 0

    @property
    def used_elsewhere(self):
        """Whether it was another thread that used the network last."""
        return self.last_user != 0 and self.last_user != this_thread()

    def backward(self, dy, dx):
        """From dLoss/dY for the rows kept: fills dx with dLoss/dX, and the gradient. False: the rows are gone."""
        cdef Buffer dys = Buffer(dy), dxs = Buffer(dx, True)
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.rows, job.loss, job.down, job.dx = self.rows_of(dxs), NO_LOSS, True, dxs.start
        dys.expect(self.output_size(job.rows))
        with self.locked():
            if self.rows_saved != job.rows:
                return False
            self.take_gradient(True)
            self.lock.acquire()
            self.last_user, self.in_step = this_thread(), True
        job.plan, job.x, job.training = &self.plan, self.plan.x, self.kept_training
        with nogil:
            begin_work(&job.interrupts)
            memcpy(self.plan.ops[self.plan.n_ops - 1].dz, dys.start, dys.size)
            pass_batch(&job, 0, job.rows)
            end_work(&job.interrupts)
        self.leave(&job)
        return True

    def jacobian(self, x, dx, out):
        """The derivative of each output by each input, for all rows of x, into `out`; dx is scratch, like x."""
        cdef Buffer xs = Buffer(x), dxs = Buffer(dx, True), outs = Buffer(out, True)
        cdef Job job
        cdef ptrdiff_t i, j, n = self.plan.n_outputs, size = self.plan.n_inputs * self.plan.size
        memset(&job, 0, sizeof(Job))
        job.rows, job.keep, job.loss, job.dx, job.inputs_only = self.rows_of(xs), True, NO_LOSS, dxs.start, True
        dxs.expect(xs.size)
        outs.expect(n * xs.size)
        self.enter(&job, job.rows, True)
        job.x = self.plan.x
        with nogil:
            begin_work(&job.interrupts)
            memcpy(self.plan.x, xs.start, xs.size)
            job.up = True
            pass_batch(&job, 0, job.rows)
            job.up, job.down, job.keep = False, True, False
            for j in range(n):
                if job.interrupts.stopped:
                    break
                put_unit(&job, j)
                pass_batch(&job, 0, job.rows)
                for i in range(job.rows):
                    memcpy(outs.start + (i * n + j) * size, dxs.start + i * size, size)
            end_work(&job.interrupts)
        self.leave(&job)

    def cost(
        self, x, y, label, weight, CompiledLoss loss, gradient, bint training=False, uint64_t seed=0, int64_t step=0,
    ):
        """The mean loss over the rows of x, and, unless `gradient` is None, its gradient there and in our buffer."""
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef Buffer gradients = Buffer(gradient, True)
        cdef Job job
        cdef double total
        memset(&job, 0, sizeof(Job))
        self.bring(&job, loss, xs, ys, labels, weights, NOTHING)
        gradients.expect(self.plan.n_parameters * self.plan.size)
        job.up, job.down = True, gradients.start != NULL
        job.keep, job.training, job.seed, job.step = job.down, training, seed, step
        self.enter(&job, job.rows, False)
        with nogil:
            begin_work(&job.interrupts)
            total = pass_batch(&job, 0, job.rows)
            if gradients.start != NULL:
                memcpy(gradients.start, self.plan.gradient, gradients.size)
            end_work(&job.interrupts)
        self.leave(&job)
        return total / job.batch_weight if job.batch_weight > 0 else 0.0

    def row_gradients(self, x, y, label, CompiledLoss loss, gradients):
        """The gradient of the loss of each row of x, into the rows of `gradients`."""
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), out = Buffer(gradients, True)
        cdef Job job
        cdef ptrdiff_t i, size = self.plan.n_parameters * self.plan.size
        memset(&job, 0, sizeof(Job))
        self.bring(&job, loss, xs, ys, labels, NOTHING, NOTHING)
        out.expect(job.rows * size)
        job.up, job.down, job.keep = True, True, True
        self.enter(&job, 1, False)
        with nogil:
            begin_work(&job.interrupts)
            for i in range(job.rows):
                pass_batch(&job, i, 1)
                if job.interrupts.stopped:
                    break
                memcpy(out.start + i * size, self.plan.gradient, size)
            end_work(&job.interrupts)
        self.leave(&job)

    def trace(
        self, x, y, label, weight, CompiledLoss loss, bint training=False, uint64_t seed=0, int64_t step=0,
    ):
        """Every number of both passes over all rows of x.

        Returns
        -------
        operations : list of dict
            For each its "z", "a", "slope" (g'(z)), "da" and "dz", (rows, n_out): derivatives of the cost.
        losses : ndarray, (rows, members)
            Of each row, without its weight.
        gradient : ndarray, (n_parameters,)
        dx : ndarray, (rows, n_inputs)
        """
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef Job job
        cdef Buffer dxs
        memset(&job, 0, sizeof(Job))
        self.bring(&job, loss, xs, ys, labels, weights, NOTHING)
        dx = numpy.empty_like(x)
        dxs = Buffer(dx, True)
        dxs.expect(xs.size)
        job.dx, job.training, job.seed, job.step = dxs.start, training, seed, step
        job.up = job.down = job.keep = True
        self.enter(&job, job.rows, True)
        begin_work(&job.interrupts)
        try:
            return trace_passes(&job, dx)
        finally:
            end_work(&job.interrupts)
            self.leave(&job)

    def all_finite(self, x):
        """True if every element of x, a buffer of the engine's dtype, is finite."""
        cdef Buffer xs = Buffer(x)
        cdef int ok
        if xs.size < WORTH_THE_GIL:
            self.plan.kernels.all_finite(&ok, xs.start, xs.size // self.plan.size)
        else:
            with nogil:
                self.plan.kernels.all_finite(&ok, xs.start, xs.size // self.plan.size)
        return ok != 0

    @property
    def isa(self):
        """The name of the kernel table that serves this network."""
        return self.plan.kernels.isa.decode()


cdef class Exclusive:
    """See ``Engine.exclusive`` and ``Engine.locked``. Neither lets a signal's handler in that comes in mid-step."""

    cdef Engine engine
    cdef bint locked

    def __cinit__(self, Engine engine, bint locked):
        self.engine, self.locked = engine, locked

    def __enter__(self):
        self.engine.have()
        if self.locked:
            try:
                self.engine.acquire(True)
            except BaseException:
                self.engine.give()
                raise

    def __exit__(self, *args):
        if self.locked:
            self.engine.lock.release()
        self.engine.give()


cdef void put_unit(Job *job, ptrdiff_t j) noexcept nogil:
    """dY[:, j] = 1 and all else 0, into the last dz; of members each has its share of the mean."""
    cdef Plan *p = job.plan
    cdef char *dz = p.ops[p.n_ops - 1].dz
    cdef ptrdiff_t i, rows = job.rows * p.members
    memset(dz, 0, rows * p.n_outputs * p.size)
    for i in range(rows):
        if p.size == 4:
            (<float *>dz)[i * p.n_outputs + j] = <float>(1.0 / p.members)
        else:
            (<double *>dz)[i * p.n_outputs + j] = 1.0 / p.members


cdef object aligned_copy(object array):
    """A copy that starts at a cache line, as vectors like it best."""
    raw = numpy.empty(array.nbytes + 64, numpy.uint8)
    start = -raw.ctypes.data % 64
    copy = raw[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy


include "training_loop.pxi"
include "ensemble.pxi"


def shuffle(int64_t[::1] order, uint64_t seed, uint64_t step):
    """Fills `order` with a random permutation of 0..n-1 that depends on n, seed and step alone."""
    cdef uint64_t key = fp_random_key(seed, FP_STREAM_SHUFFLE, step)
    cdef int64_t first = 0, last
    while first < order.shape[0]:
        last = min(first + SHUFFLED_AT_ONCE, order.shape[0])
        with nogil:
            fp_shuffle(&order[0], first, last, key)
        PyErr_CheckSignals()
        first = last


def allocations():
    """How many blocks of memory the engine has taken so far; a training step takes none."""
    return fp_allocations()


fp_threads_init()


def set_num_threads(int n):
    """See fastprop.config."""
    fp_set_num_threads(n)


def get_num_threads():
    """See fastprop.config."""
    return fp_get_num_threads()
