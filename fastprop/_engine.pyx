# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The engine: what lies where, the forward pass, the backward pass, the update, and the loop over mini-batches.

It moves addresses, and never looks at an element: kernels of the table do that, one table for each dtype. Everything that
arrives here was checked by ``_validate.py``. The mathematics and its names are those of DESIGN.md:

    forward      z[k] = a[k-1] W[k] + b[k]        a[k] = g[k](z[k])        a[0] = x
    output       dz[L] = dLoss/dz[L]
    backward     dz[k-1] = (dz[k] W[k]^T) * g'[k-1](z[k-1])
    gradients    dW[k] = a[k-1]^T dz[k]           db[k] = sum over rows of dz[k]
    descent      theta <- theta - eta * grad
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastprop cimport _portable
from fastprop._capi cimport (
    FP_ACTIVATION_identity, FP_N_ACTIVATIONS, FP_N_LOSSES, FP_N_OPTIMIZERS, FP_STREAM_SHUFFLE,
    fp_allocate, fp_allocations, fp_clock, fp_cpu_name, fp_denormals_flush, fp_denormals_restore, fp_free, fp_isa, fp_isas,
    fp_kernels, fp_random_key, fp_scratch, fp_select_isa, fp_shuffle, fp_signatures,
)

import os
import threading



# ---- the plan: what lies where ----

cdef struct Layer:
    ptrdiff_t n_in
    ptrdiff_t n_out
    int activation
    void *w           # (n_in, n_out), in theta
    void *b           # (n_out,), in theta
    void *dw          # like w, in the gradient
    void *db          # like b, in the gradient
    void *a           # (block, n_out), rows a_row apart: the output, which is also what the backward pass keeps
    ptrdiff_t a_row

cdef struct Plan:
    const fp_kernels *kernels
    Layer *layers
    ptrdiff_t n_layers
    ptrdiff_t n_inputs
    ptrdiff_t n_outputs
    ptrdiff_t n_parameters
    void *theta       # (n_parameters,): W[1], b[1], W[2], b[2], ...
    void *gradient    # like theta
    ptrdiff_t block   # how many rows go through the network at once, and have room here:
    void *x           # (block, n_inputs): rows of X brought together
    void *y           # (block, n_outputs): their targets
    int64_t *label    # (block,): or their labels
    void *dz[2]       # (block, widest layer): of a layer and the one below, by turns
    void *scratch     # of the products

# A row block is as long as keeps the activations in this much of a core's L2 cache (1 to 2 MB on machines of today), so that
# they are still there for the backward pass. Networks whose weights alone fill that go layer by layer in long blocks,
# which read the weights less often; 512 rows amortise that to nothing and keep the arena small.
cdef enum:
    CACHE = 400 * 1024
    SHORTEST_BLOCK = 32
    LONGEST_BLOCK = 512

cdef inline ptrdiff_t padded_row(ptrdiff_t n, ptrdiff_t size) noexcept nogil:
    """Rows 2^k bytes apart fall into one set of the cache: one more cache line between them spreads them out."""
    return n + 64 // size if n * size >= 512 and n * size % 256 == 0 else n

cdef inline void *take(char **free_space, ptrdiff_t size) noexcept nogil:
    """The next `size` bytes, 64-byte aligned. From a NULL start this measures; from a block of memory it carves."""
    cdef char *taken = free_space[0]
    free_space[0] = taken + (size + 63) // 64 * 64
    return taken

cdef ptrdiff_t carve(Plan *p, char *memory) noexcept nogil:
    """Places everything that a pass over p.block rows needs, from `memory` on, and returns how many bytes that took."""
    cdef char *free_space = memory
    cdef ptrdiff_t k, size = p.kernels.size, widest = 0, scratch = 0
    cdef Layer *layer
    p.x = take(&free_space, p.block * p.n_inputs * size)
    p.y = take(&free_space, p.block * p.n_outputs * size)
    p.label = <int64_t *>take(&free_space, p.block * sizeof(int64_t))
    for k in range(p.n_layers):
        layer = &p.layers[k]
        # losses read the last output dense
        layer.a_row = padded_row(layer.n_out, size) if k < p.n_layers - 1 else layer.n_out
        layer.a = take(&free_space, p.block * layer.a_row * size)
        widest = max(widest, layer.a_row)
        scratch = max(scratch, fp_scratch(p.block, layer.n_in, layer.n_out))
    p.dz[0] = take(&free_space, p.block * widest * size)
    p.dz[1] = take(&free_space, p.block * widest * size)
    p.scratch = take(&free_space, scratch * size)
    return free_space - memory

cdef ptrdiff_t rows_per_block(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """How many rows go through the network at once: decided by shapes alone, since it decides the order of sums."""
    cdef ptrdiff_t k, row = p.n_inputs, widest = 0, longest = LONGEST_BLOCK, blocks
    for k in range(p.n_layers):
        row += p.layers[k].n_out
        widest = max(widest, p.layers[k].n_out)
    row = (row + 2 * widest) * p.kernels.size
    if p.n_parameters * p.kernels.size < CACHE:
        longest = max(CACHE // row, SHORTEST_BLOCK)
    blocks = (rows + longest - 1) // longest
    return (rows + blocks - 1) // blocks


# ---- coming up for air ----

cdef struct Air:
    double due        # when to look for Ctrl-C and progress again
    double work       # flops to go until the clock is worth a look
    bint now          # it is time, at the next whole step
    PyObject *stop    # what a signal's handler raised, or NULL: go on

cdef enum:
    LOOK = 1000000    # flops between looks at the clock: 10 to 500 microseconds of work, against 0.03 for the look
    STEP = 2000       # flops that a step costs even if its network is tiny

cdef double AIR_SECONDS = 0.05  # contract 3 of DESIGN.md; half of the 0.1 s in which Ctrl-C must be answered

cdef void breathe(Air *air) noexcept nogil:
    air.due = fp_clock() + AIR_SECONDS
    air.stop = NULL
    air.work = LOOK
    air.now = False

cdef bint ask_python(Air *air) noexcept with gil:
    """Lets Python handle signals; True if a handler raised."""
    try:
        PyErr_CheckSignals()
    except BaseException as raised:
        Py_INCREF(raised)
        air.stop = <PyObject *>raised
    return air.stop != NULL

cdef bint look(Air *air) noexcept nogil:
    """Looks at the clock, and asks Python if it is due."""
    air.work = LOOK
    if fp_clock() < air.due:
        return False
    air.now = True
    air.due = fp_clock() + AIR_SECONDS
    return ask_python(air)

cdef inline bint out_of_air(Air *air, double flops) noexcept nogil:
    """After so much work, in the middle of a step: True if a signal's handler raised, so that the step must be dropped."""
    air.work -= flops
    return look(air) if air.work < 0 else False


# ---- the two passes ----

cdef void forward(Plan *p, const void *x, ptrdiff_t rows, void *out, Air *air) noexcept nogil:
    """a[k] = g[k](a[k-1] W[k] + b[k]) for `rows` rows, at most p.block; the last layer writes to `out` (rows, n_outputs)."""
    cdef ptrdiff_t k, x_row = p.n_inputs
    cdef Layer *layer
    cdef void *a
    for k in range(p.n_layers):
        layer = &p.layers[k]
        a = layer.a if k < p.n_layers - 1 else out
        p.kernels.dense_forward(
            a, x, layer.w, layer.b, p.scratch, rows, layer.n_in, layer.n_out,
            layer.a_row, x_row, layer.n_out, layer.activation)
        x, x_row = a, layer.a_row
        if out_of_air(air, 2.0 * rows * layer.n_in * layer.n_out):
            return

cdef void backward(Plan *p, const void *x, ptrdiff_t rows, void *dx, bint accumulate, Air *air) noexcept nogil:
    """From da[L] in p.dz[0]: dW[k] = a[k-1]^T dz[k], db[k] = sum dz[k], dz[k-1] = (dz[k] W[k]^T) * g'[k-1](z[k-1]).

    Adds to the gradient if `accumulate`; writes dx (rows, n_inputs) unless it is NULL.
    """
    cdef ptrdiff_t k, dz_row = p.n_outputs
    cdef Layer *layer = &p.layers[p.n_layers - 1]
    cdef Layer *below
    cdef void *dz = p.dz[0]
    cdef void *dz_below = p.dz[1]
    p.kernels.backward[layer.activation](dz, layer.a, rows * p.n_outputs)  # dz[L] = da[L] * g'[L](z[L])
    for k in range(p.n_layers - 1, 0, -1):
        layer, below = &p.layers[k], &p.layers[k - 1]
        p.kernels.dense_weight_gradient(
            layer.dw, layer.db, below.a, dz, p.scratch, rows, layer.n_in, layer.n_out,
            layer.n_out, below.a_row, dz_row, accumulate)
        if out_of_air(air, 2.0 * rows * layer.n_in * layer.n_out):
            return
        p.kernels.dense_input_gradient(
            dz_below, dz, layer.w, below.a, p.scratch, rows, layer.n_in, layer.n_out,
            below.a_row, dz_row, layer.n_out, below.a_row, below.activation)
        if out_of_air(air, 2.0 * rows * layer.n_in * layer.n_out):
            return
        dz, dz_below, dz_row = dz_below, dz, below.a_row
    layer = &p.layers[0]
    p.kernels.dense_weight_gradient(
        layer.dw, layer.db, x, dz, p.scratch, rows, layer.n_in, layer.n_out,
        layer.n_out, p.n_inputs, dz_row, accumulate)
    if dx != NULL:
        p.kernels.dense_input_gradient(
            dx, dz, layer.w, NULL, p.scratch, rows, layer.n_in, layer.n_out,
            p.n_inputs, dz_row, layer.n_out, 0, FP_ACTIVATION_identity)
    out_of_air(air, 2.0 * rows * layer.n_in * layer.n_out)


# ---- training ----

cdef struct Run:
    const char *x           # (rows, n_inputs)
    const char *y           # (rows, n_outputs), or NULL:
    const int64_t *label    # (rows,)
    const int64_t *order    # (rows,): the order in which rows are visited; NULL: as they lie
    ptrdiff_t rows
    ptrdiff_t batch
    int loss
    int optimizer
    double rate
    const double *hyper
    void *state
    ptrdiff_t done          # rows visited
    ptrdiff_t steps         # steps taken
    double cost             # sum over the rows visited, each before its step
    bint diverged           # the next step's cost is not finite: it was not taken

cdef void rows_of(
    Plan *p, const Run *r, ptrdiff_t first, ptrdiff_t rows, const void **x, const void **y, const int64_t **label,
) noexcept nogil:
    """Rows first..first+rows of the run's order: gathered into the arena, or as they lie where there is no order."""
    cdef ptrdiff_t i, size = p.kernels.size
    cdef const int64_t *index
    if r.order == NULL:
        x[0] = r.x + first * p.n_inputs * size
        y[0] = r.y + first * p.n_outputs * size if r.y != NULL else NULL
        label[0] = r.label + first if r.label != NULL else NULL
        return
    index = r.order + first
    p.kernels.gather(p.x, r.x, index, rows, p.n_inputs, p.n_inputs)
    x[0], y[0], label[0] = p.x, NULL, NULL
    if r.y != NULL:
        p.kernels.gather(p.y, r.y, index, rows, p.n_outputs, p.n_outputs)
        y[0] = p.y
    else:
        for i in range(rows):
            p.label[i] = r.label[index[i]]
        label[0] = p.label

cdef double cost_and_gradient(
    Plan *p, const Run *r, ptrdiff_t first, ptrdiff_t rows, bint gradient, Air *air,
) noexcept nogil:
    """The summed loss of some rows and, if wanted, the gradient of its mean: the one place where 1/rows enters."""
    cdef ptrdiff_t i, start, count, blocks = (rows + p.block - 1) // p.block
    cdef const void *x
    cdef const void *y
    cdef const int64_t *label
    cdef void *a = p.layers[p.n_layers - 1].a
    cdef double cost = 0
    for i in range(blocks):
        start = rows * i // blocks
        count = rows * (i + 1) // blocks - start
        rows_of(p, r, first + start, count, &x, &y, &label)
        forward(p, x, count, a, air)
        if air.stop != NULL:
            break
        p.kernels.loss[r.loss](
            &cost, p.dz[0] if gradient else NULL, a, y, label, count, p.n_outputs, 1.0 / rows)
        if gradient and isfinite(cost):
            backward(p, x, count, NULL, i > 0, air)
        if air.stop != NULL:
            break
    return cost

cdef void train(Plan *p, Run *r, Air *air) noexcept nogil:
    """Mini-batch after mini-batch until the run is over, has diverged, or must come up for air."""
    cdef ptrdiff_t rows
    cdef double cost
    while r.done < r.rows and not air.now:
        rows = min(r.batch, r.rows - r.done)
        cost = cost_and_gradient(p, r, r.done, rows, True, air)
        if air.stop != NULL:
            return
        r.diverged = not isfinite(cost)
        if r.diverged:
            return
        p.kernels.optimizer[r.optimizer](
            p.theta, r.state, p.gradient, p.n_parameters, p.n_parameters, r.rate, r.hyper)
        r.cost += cost
        r.done += rows
        r.steps += 1
        out_of_air(air, STEP)
        if air.stop != NULL:
            return


# ---- what Python sees ----

cdef class Engine:
    """The compiled part of one network.

    Parameters
    ----------
    dtype : "float32" or "float64"
    n_inputs : int
    layers : sequence of (n_outputs, activation)
        The activation as its number in the list (see ``activation_names``).
    parameters, gradient : writable flat buffers of the dtype
    """

    cdef Plan plan
    cdef Py_buffer theta
    cdef Py_buffer gradient
    cdef void *arena
    cdef ptrdiff_t capacity
    cdef object lock
    cdef bint in_step
    cdef bint kept           # forward_keep's activations are in the arena
    cdef ptrdiff_t kept_rows
    cdef readonly Py_ssize_t steps

    def __cinit__(self, str dtype, Py_ssize_t n_inputs, layers, parameters, gradient):
        cdef ptrdiff_t k, n_in = n_inputs
        cdef Layer *layer
        cdef char *theta
        cdef char *grad
        self.lock = threading.RLock()
        self.plan.kernels = serving.kernels[1 if dtype == "float64" else 0]
        self.plan.n_layers = len(layers)
        self.plan.n_inputs = n_inputs
        self.plan.layers = <Layer *>fp_allocate(len(layers) * sizeof(Layer))
        if self.plan.layers == NULL:
            raise MemoryError()
        PyObject_GetBuffer(parameters, &self.theta, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        PyObject_GetBuffer(gradient, &self.gradient, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        theta, grad = <char *>self.theta.buf, <char *>self.gradient.buf
        self.plan.theta, self.plan.gradient = theta, grad
        for k in range(self.plan.n_layers):
            layer = &self.plan.layers[k]
            layer.n_in = n_in
            layer.n_out, layer.activation = layers[k]
            layer.w, layer.dw = theta, grad
            theta += n_in * layer.n_out * self.plan.kernels.size
            grad += n_in * layer.n_out * self.plan.kernels.size
            layer.b, layer.db = theta, grad
            theta += layer.n_out * self.plan.kernels.size
            grad += layer.n_out * self.plan.kernels.size
            n_in = layer.n_out
        self.plan.n_outputs = n_in
        self.plan.n_parameters = (theta - <char *>self.theta.buf) // self.plan.kernels.size

    def __dealloc__(self):
        PyBuffer_Release(&self.theta)
        PyBuffer_Release(&self.gradient)
        fp_free(self.arena)
        fp_free(self.plan.layers)

    cdef int enter(self, ptrdiff_t rows, bint whole) except -1:
        """Takes the engine for this thread, with an arena for batches of `rows`: all of them at once if `whole`."""
        cdef ptrdiff_t block, size
        self.lock.acquire()
        if self.in_step:
            self.lock.release()
            raise RuntimeError("this network is in the middle of a step: a signal handler must not use it")
        block = rows if whole else rows_per_block(&self.plan, rows)
        if block > self.capacity or self.arena == NULL:
            fp_free(self.arena)
            self.arena = NULL
            self.capacity = 0
            self.plan.block = block
            size = carve(&self.plan, NULL)
            self.arena = fp_allocate(size)
            if self.arena == NULL:
                self.lock.release()
                raise MemoryError(f"no {size} bytes for the activations of {block} rows; use a smaller batch")
            self.capacity = block
        self.plan.block = block
        carve(&self.plan, <char *>self.arena)
        self.kept = False
        self.in_step = True
        return 0

    cdef void leave(self) noexcept:
        self.in_step = False
        self.lock.release()

    def forward(self, x, out):
        """out = the network's outputs for x; keeps nothing."""
        cdef Py_buffer xs, ys
        cdef Air air
        cdef ptrdiff_t i, start, rows, blocks, size = self.plan.kernels.size
        cdef uint64_t denormals
        get(x, &xs, False)
        get(out, &ys, True)
        rows = xs.len // (self.plan.n_inputs * size)
        try:
            self.enter(rows, False)
            try:
                with nogil:
                    denormals = fp_denormals_flush()
                    breathe(&air)
                    blocks = (rows + self.plan.block - 1) // self.plan.block
                    for i in range(blocks):
                        start = rows * i // blocks
                        forward(
                            &self.plan, <char *>xs.buf + start * self.plan.n_inputs * size, rows * (i + 1) // blocks - start,
                            <char *>ys.buf + start * self.plan.n_outputs * size, &air)
                        if air.stop != NULL:
                            break
                    fp_denormals_restore(denormals)
            finally:
                self.leave()
        finally:
            PyBuffer_Release(&xs)
            PyBuffer_Release(&ys)
        raise_if_signalled(&air)

    def forward_keep(self, x, out):
        """out = the network's outputs for x; keeps a copy of x and every activation for ``backward``."""
        cdef Py_buffer xs, ys
        cdef Air air
        cdef ptrdiff_t rows
        cdef uint64_t denormals
        cdef void *a
        get(x, &xs, False)
        get(out, &ys, True)
        rows = xs.len // (self.plan.n_inputs * self.plan.kernels.size)
        try:
            self.enter(rows, True)
            try:
                with nogil:
                    denormals = fp_denormals_flush()
                    breathe(&air)
                    memcpy(self.plan.x, xs.buf, xs.len)
                    a = self.plan.layers[self.plan.n_layers - 1].a
                    forward(&self.plan, self.plan.x, rows, a, &air)
                    memcpy(ys.buf, a, ys.len)
                    fp_denormals_restore(denormals)
                self.kept = air.stop == NULL
                self.kept_rows = rows
            finally:
                self.leave()
        finally:
            PyBuffer_Release(&xs)
            PyBuffer_Release(&ys)
        raise_if_signalled(&air)

    @property
    def rows_kept(self):
        """How many rows ``backward`` can take: those of the last forward_keep, 0 after any other use of the network."""
        return self.kept_rows if self.kept else 0

    def backward(self, dy, dx):
        """From dLoss/dY for the rows kept: fills the gradient, and dx with dLoss/dX."""
        cdef Py_buffer dys, dxs
        cdef Air air
        cdef uint64_t denormals
        get(dy, &dys, False)
        get(dx, &dxs, True)
        try:
            self.lock.acquire()
            self.in_step = True
            try:
                with nogil:
                    denormals = fp_denormals_flush()
                    breathe(&air)
                    memcpy(self.plan.dz[0], dys.buf, dys.len)
                    backward(&self.plan, self.plan.x, self.kept_rows, dxs.buf, False, &air)
                    fp_denormals_restore(denormals)
            finally:
                self.leave()
        finally:
            PyBuffer_Release(&dys)
            PyBuffer_Release(&dxs)
        raise_if_signalled(&air)

    def cost(self, x, y, label, int loss, bint gradient):
        """The mean loss over the rows of x; if wanted, its gradient in the gradient's buffer."""
        cdef Py_buffer xs, ys, labels
        cdef Air air
        cdef Run run
        cdef double total
        cdef uint64_t denormals
        get(x, &xs, False)
        get(y, &ys, False)
        get(label, &labels, False)
        try:
            run.x, run.y, run.label, run.order = <char *>xs.buf, <char *>ys.buf, <int64_t *>labels.buf, NULL
            run.loss = loss
            run.rows = xs.len // (self.plan.n_inputs * self.plan.kernels.size)
            self.enter(run.rows, False)
            try:
                with nogil:
                    denormals = fp_denormals_flush()
                    breathe(&air)
                    total = cost_and_gradient(&self.plan, &run, 0, run.rows, gradient, &air)
                    fp_denormals_restore(denormals)
            finally:
                self.leave()
        finally:
            PyBuffer_Release(&xs)
            PyBuffer_Release(&ys)
            PyBuffer_Release(&labels)
        raise_if_signalled(&air)
        return total / run.rows

    def train(
        self, x, y, label, order, Py_ssize_t batch, int loss, int optimizer, double rate, tuple hyper, state, progress,
    ):
        """One pass over the rows of x in the given order (None: as they lie), a step for each `batch` of them.

        Returns the mean cost, each row's before its step, or NaN where the run diverged; ``steps`` says how many steps were
        taken, whatever happened. ``progress(rows done, mean cost so far)`` is called about every 50 ms.
        """
        cdef Py_buffer xs, ys, labels, orders, states
        cdef Air air
        cdef Run run
        cdef double numbers[8]
        cdef uint64_t denormals
        cdef Py_ssize_t i
        self.steps = 0
        for i in range(len(hyper)):
            numbers[i] = hyper[i]
        get(x, &xs, False)
        get(y, &ys, False)
        get(label, &labels, False)
        get(order, &orders, False)
        get(state, &states, True)
        try:
            run.x, run.y, run.label = <char *>xs.buf, <char *>ys.buf, <int64_t *>labels.buf
            run.order, run.state, run.hyper = <int64_t *>orders.buf, states.buf, numbers
            run.rows = xs.len // (self.plan.n_inputs * self.plan.kernels.size)
            run.batch, run.loss, run.optimizer, run.rate = batch, loss, optimizer, rate
            run.done, run.steps, run.cost, run.diverged = 0, 0, 0, False
            air.stop = NULL
            while run.done < run.rows and not run.diverged and air.stop == NULL:
                self.enter(batch, False)
                try:
                    with nogil:
                        denormals = fp_denormals_flush()
                        breathe(&air)
                        train(&self.plan, &run, &air)
                        fp_denormals_restore(denormals)
                finally:
                    self.steps = run.steps
                    self.leave()
                if air.now and air.stop == NULL and progress is not None and run.done > 0:
                    progress(run.done, run.cost / run.done)
        finally:
            PyBuffer_Release(&xs)
            PyBuffer_Release(&ys)
            PyBuffer_Release(&labels)
            PyBuffer_Release(&orders)
            PyBuffer_Release(&states)
        raise_if_signalled(&air)
        return float("nan") if run.diverged else run.cost / run.rows

    def all_finite(self, x):
        """True if every element of x, a buffer of the engine's dtype, is finite."""
        cdef Py_buffer xs
        cdef int ok
        get(x, &xs, False)
        self.plan.kernels.all_finite(&ok, xs.buf, xs.len // self.plan.kernels.size)
        PyBuffer_Release(&xs)
        return ok != 0

    @property
    def isa(self):
        """The name of the kernel table that serves this network."""
        return self.plan.kernels.isa.decode()


cdef int get(object array, Py_buffer *buffer, bint writable) except -1:
    """A C-contiguous array's memory; NULL for None. Py_buffer rather than a memoryview: no object, and any dtype."""
    if array is None:
        memset(buffer, 0, sizeof(Py_buffer))
        return 0
    return PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))

cdef int raise_if_signalled(const Air *air) except -1:
    """Lets out what a signal's handler raised during the work."""
    if air.stop == NULL:
        return 0
    raised = <object>air.stop
    Py_DECREF(raised)
    raise raised


def shuffle(int64_t[::1] order, uint64_t seed, uint64_t step):
    """Fills `order` with a random permutation of 0..n-1 that depends on n, seed and step alone."""
    with nogil:
        fp_shuffle(&order[0], order.shape[0], fp_random_key(seed, FP_STREAM_SHUFFLE, step))


# ---- the kernel table, as Python sees it ----

cdef const fp_kernels *portable[2]
portable[0], portable[1] = &_portable.tables[0], &_portable.tables[1]
fp_isas[0].kernels = portable

cdef const fp_isa *serving = NULL


def isas():
    """Names of the ISAs of this build -> whether this CPU has them; slowest first."""
    cdef const fp_isa *isa = fp_isas
    names = {}
    while isa.name != NULL:
        names[isa.name.decode()] = isa.supported() != 0
        isa += 1
    return names


def select_isa(name=None):
    """Makes an ISA's table serve every network made from now on (None: the fastest); returns its name."""
    global serving
    cdef const fp_isa *isa
    cdef const char *wanted = NULL
    if name is not None:
        encoded = name.encode()
        wanted = encoded
    isa = fp_select_isa(wanted)
    if isa == NULL:
        usable = ", ".join(known for known, supported in isas().items() if supported)
        raise ValueError(f"FASTPROP_ISA={name!r} is not an ISA of this build and CPU; use one of {usable}, or unset it")
    serving = isa
    return isa.name.decode()


select_isa(os.environ.get("FASTPROP_ISA") or None)


def signatures():
    """The list of kernels: (name, kind, C arguments) each."""
    cdef Py_ssize_t i = 0
    listed = []
    while fp_signatures[i].name != NULL:
        entry = fp_signatures[i]
        listed.append((entry.name.decode(), entry.kind.decode(), entry.arguments.decode()))
        i += 1
    return listed


def kernel_addresses(str isa, str dtype):
    """Name of each kernel -> its address in the table of an ISA and dtype, for tests and benchmarks through ctypes."""
    cdef const fp_isa *found = fp_select_isa(isa.encode())
    cdef const char *table
    cdef Py_ssize_t i = 0
    if found == NULL:
        raise ValueError(f"{isa!r} is not an ISA of this build and CPU")
    table = <const char *>found.kernels[1 if dtype == "float64" else 0]
    addresses = {}
    while fp_signatures[i].name != NULL:
        addresses[fp_signatures[i].name.decode()] = (<size_t *>(table + fp_signatures[i].offset))[0]
        i += 1
    return addresses


def scratch(Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out):
    """How many elements of scratch the dense kernels may use for a layer of this shape."""
    return fp_scratch(rows, n_in, n_out)


def names(str kind):
    """The names of the list that have this kind ("activation", "loss" or "optimizer"), in the order of their numbers."""
    if kind == "activation":
        return [name.removesuffix("_forward") for name, of, _ in signatures() if of == "forward"]
    return [name for name, of, _ in signatures() if of == kind]


assert len(names("activation")) == FP_N_ACTIVATIONS
assert len(names("loss")) == FP_N_LOSSES
assert len(names("optimizer")) == FP_N_OPTIMIZERS


def cpu_name():
    """What the CPU calls itself."""
    cdef char name[49]
    fp_cpu_name(name)
    return name.decode(errors="replace").strip()


def allocations():
    """How many blocks of memory the engine has taken so far; a training step takes none."""
    return fp_allocations()


def serving_isa():
    """The name of the ISA that serves networks made from now on."""
    return serving.name.decode()


cdef int n_threads = 1


def set_num_threads(n):
    """Sets how many threads training and prediction may use."""
    global n_threads
    n_threads = n


def get_num_threads():
    """How many threads training and prediction may use."""
    return n_threads
