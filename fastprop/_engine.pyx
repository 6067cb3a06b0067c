# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The engine: what lies where, the forward pass, the backward pass, the update, and the loop over mini-batches.

It moves addresses, and never looks at an element: kernels of the table do that, one table for each dtype. Everything
that arrives here was checked by ``_validate.py``. The mathematics and its names are those of DESIGN.md:

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
from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastprop cimport _portable
from fastprop._capi cimport (
    FP_ACTIVATION_identity, FP_HYPER, FP_KEEPS_SLOPE, FP_N_ACTIVATIONS, FP_N_LOSSES, FP_N_OPTIMIZERS, FP_STREAM_SHUFFLE,
    fp_activation_keeps, fp_allocate, fp_allocations, fp_atomic_load, fp_atomic_store, fp_clock, fp_cpu_name, fp_denormals_flush,
    fp_denormals_restore, fp_free, fp_isa, fp_isas, fp_kernels, fp_parallel, fp_random_key, fp_scratch, fp_select_isa,
    fp_shuffle, fp_signatures, fp_threads_init, fp_work_begin, fp_work_end,
)

import os
import threading

import numpy  # the module that users have, not NumPy's C interface: no headers, no ABI

include "_plan.pxi"
include "_air.pxi"
include "_update.pxi"
include "_passes.pxi"
include "_table.pxi"


cdef enum:
    WORTH_THE_GIL = 1 << 20  # bytes whose check takes longer than letting other threads in and out
    SHUFFLED_AT_ONCE = 1 << 20  # rows, some 10 milliseconds, between two looks for Ctrl-C


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


cdef class Objective:
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


cdef object ndarray = numpy.ndarray


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
    layers : sequence of (n_outputs, activation, hyper)
        The activation as its number in the list (see ``names``), and its numbers, a tuple.
    parameters, gradient : writable flat buffers of the dtype
    """

    cdef Plan plan
    cdef Buffer theta
    cdef Buffer gradient
    cdef char *arena
    cdef ptrdiff_t arena_size
    cdef object lock
    cdef bint in_step
    cdef ptrdiff_t kept      # how many rows of the last `forward_keep` the arena still holds

    def __cinit__(self, str dtype, Py_ssize_t n_inputs, layers, parameters, gradient):
        cdef Plan *p = &self.plan
        cdef ptrdiff_t k, i, n_in = n_inputs
        cdef Layer *layer
        self.lock = threading.RLock()
        self.theta, self.gradient = Buffer(parameters, True), Buffer(gradient, True)
        p.kernels = serving.kernels[1 if dtype == "float64" else 0]
        p.size = p.kernels.size
        p.rows_at_once = FEW_ROWS if p.kernels == portable[0] or p.kernels == portable[1] else LONGEST_BLOCK
        p.theta, p.gradient = self.theta.start, self.gradient.start
        p.n_inputs, p.n_layers = n_inputs, len(layers)
        p.layers = <Layer *>fp_allocate(p.n_layers * sizeof(Layer))
        p.widths = <ptrdiff_t *>fp_allocate((p.n_layers + 1) * sizeof(ptrdiff_t))
        p.activations = <int *>fp_allocate(p.n_layers * sizeof(int))
        p.hyper = <double *>fp_allocate((p.n_layers + 1) * FP_HYPER * sizeof(double))
        if p.layers == NULL or p.widths == NULL or p.activations == NULL or p.hyper == NULL:
            raise MemoryError(f"no memory for {len(layers)} layers")
        p.widths[0] = n_inputs
        for k in range(p.n_layers):
            layer = &p.layers[k]
            layer.n_in = n_in
            layer.n_out, layer.activation, numbers = layers[k]
            layer.hyper = p.hyper + k * FP_HYPER
            for i, number in enumerate(numbers):
                p.hyper[k * FP_HYPER + i] = number
            p.keeps_slope |= fp_activation_keeps[layer.activation] == FP_KEEPS_SLOPE
            p.widths[k + 1], p.activations[k] = layer.n_out, layer.activation
            layer.w, layer.dw = p.theta + p.n_parameters * p.size, p.gradient + p.n_parameters * p.size
            p.n_parameters += n_in * layer.n_out
            layer.b, layer.db = p.theta + p.n_parameters * p.size, p.gradient + p.n_parameters * p.size
            p.n_parameters += layer.n_out
            p.flops += 2.0 * n_in * layer.n_out
            n_in = layer.n_out
        p.n_outputs = p.n_targets = n_in

    def __dealloc__(self):
        fp_free(self.arena)
        fp_free(self.plan.layers)
        fp_free(self.plan.widths)
        fp_free(self.plan.activations)
        fp_free(self.plan.hyper)

    cdef int enter(self, Job *job, ptrdiff_t rows, bint whole) except -1:
        """Takes the engine for this thread, with an arena for batches of `rows`: all of them at once if `whole`."""
        cdef ptrdiff_t size
        self.lock.acquire()
        try:
            self.refuse_in_step()
            self.kept = 0
            self.plan.parts = n_threads
            if job.loss != NO_LOSS:
                self.plan.n_targets = job.n_targets
                memcpy(self.plan.hyper + self.plan.n_layers * FP_HYPER, job.loss_hyper, FP_HYPER * sizeof(double))
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

    cdef int refuse_in_step(self) except -1:
        """The lock lets the same thread in again, which is right between steps only."""
        if self.in_step:
            raise RuntimeError("this network is in the middle of a step: a signal handler must not use it")
        return 0

    cdef int leave(self, Job *job) except -1:
        """Gives the engine back, and raises what stopped it."""
        self.in_step = False
        self.lock.release()
        return raise_if_stopped(&job.air)

    cdef ptrdiff_t rows_of(self, Buffer x) noexcept:
        return x.size // (self.plan.n_inputs * self.plan.size)

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

    cdef int run_forward(self, const char *x, ptrdiff_t rows, char *out) except -1:
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.x, job.rows, job.up, job.out, job.loss = x, rows, True, out, NO_LOSS
        self.enter(&job, rows, False)
        with nogil:
            begin_work(&job.air)
            pass_batch(&job, 0, rows)
            end_work(&job.air)
        return self.leave(&job)

    def forward(self, x, out):
        """out = the network's outputs for x; keeps nothing."""
        cdef Buffer xs = Buffer(x), outs = Buffer(out, True)
        self.run_forward(xs.start, self.rows_of(xs), outs.start)

    def forward_if_ready(self, x):
        """The outputs for an x just as the kernels take it, without further ado; None: it wants a closer look."""
        cdef Py_buffer view
        cdef Buffer outs
        if not self.ready(&view, x, self.plan.n_inputs):
            return None
        try:
            out = numpy.empty((view.shape[0], self.plan.n_outputs), x.dtype)
            outs = Buffer(out, True)
            self.run_forward(<char *>view.buf, view.shape[0], outs.start)
        finally:
            PyBuffer_Release(&view)
        return out

    def forward_keep(self, x, out):
        """out = the network's outputs for x; keeps a copy of x and every activation for ``backward``."""
        cdef Buffer xs = Buffer(x), outs = Buffer(out, True)
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.rows, job.up, job.keep, job.loss = self.rows_of(xs), True, True, NO_LOSS
        self.enter(&job, job.rows, True)
        job.x = self.plan.x
        with nogil:
            begin_work(&job.air)
            memcpy(self.plan.x, xs.start, xs.size)
            pass_batch(&job, 0, job.rows)
            memcpy(outs.start, self.plan.layers[self.plan.n_layers - 1].a, outs.size)
            end_work(&job.air)
        self.kept = 0 if job.air.stopped else job.rows
        self.leave(&job)

    @property
    def rows_kept(self):
        """How many rows ``backward`` can take: those of the last forward_keep, 0 after any other use of the network."""
        return self.kept

    def backward(self, dy, dx):
        """From dLoss/dY for the rows kept: fills the gradient, and dx with dLoss/dX. False if they are gone."""
        cdef Buffer dys = Buffer(dy), dxs = Buffer(dx, True)
        cdef Job job
        memset(&job, 0, sizeof(Job))
        job.rows, job.loss, job.down, job.dx = self.rows_of(dxs), NO_LOSS, True, dxs.start
        with self.lock:
            self.refuse_in_step()
            if self.kept != job.rows:
                return False
            self.lock.acquire()
            self.in_step = True
        job.plan, job.x = &self.plan, self.plan.x
        with nogil:
            begin_work(&job.air)
            memcpy(self.plan.layers[self.plan.n_layers - 1].dz, dys.start, dys.size)
            pass_batch(&job, 0, job.rows)
            end_work(&job.air)
        self.leave(&job)
        return True

    def cost(self, x, y, label, weight, Objective objective, gradient):
        """The mean loss over the rows of x, and, unless `gradient` is None, its gradient there and in our buffer."""
        cdef Buffer xs = Buffer(x), ys = Buffer(y), labels = Buffer(label), weights = Buffer(weight)
        cdef Buffer gradients = Buffer(gradient, True)
        cdef Job job
        cdef double total
        memset(&job, 0, sizeof(Job))
        job.x, job.y, job.label, job.rows = xs.start, ys.start, <int64_t *>labels.start, self.rows_of(xs)
        job.weight = weights.start
        job.up, job.down = True, gradients.start != NULL
        job.keep = job.down
        objective.put(&job)
        self.enter(&job, job.rows, False)
        with nogil:
            begin_work(&job.air)
            total = pass_batch(&job, 0, job.rows)
            if gradients.start != NULL:
                memcpy(gradients.start, self.plan.gradient, gradients.size)
            end_work(&job.air)
        self.leave(&job)
        return total / job.batch_weight

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


include "_descent.pxi"


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

cdef int n_threads = 1  # fastprop/config.py sets the default


def set_num_threads(int n):
    """See fastprop.config."""
    global n_threads
    n_threads = n


def get_num_threads():
    """See fastprop.config."""
    return n_threads
