# The plan of a network: what lies where. Part of _engine.pyx.

cdef struct Layer:
    ptrdiff_t n_in
    ptrdiff_t n_out
    int activation
    char *w           # (n_in, n_out), in theta
    char *b           # (n_out,), in theta
    char *dw          # like w, in the gradient
    char *db          # like b, in the gradient
    char *a           # (block, n_out), rows `row` apart: the output
    char *kept        # like a: what the backward pass of the activation needs; a itself, or the slope
    char *dz          # like a
    const double *hyper  # the activation's numbers
    ptrdiff_t row

cdef struct Plan:
    const fp_kernels *kernels
    ptrdiff_t size    # of an element, in bytes
    Layer *layers
    ptrdiff_t n_layers
    ptrdiff_t n_inputs
    ptrdiff_t n_outputs
    ptrdiff_t n_parameters
    char *theta       # (n_parameters,): W[1], b[1], W[2], b[2], ...
    char *gradient    # like theta
    double flops      # of the forward pass of one row
    ptrdiff_t *widths  # (n_layers + 1,): n_inputs, then each layer's n_out
    int *activations  # (n_layers,)
    double *hyper     # (n_layers + 1, FP_HYPER): the numbers of each activation, and those of the loss in work
    bint keeps_slope  # some activation keeps its slope
    ptrdiff_t rows_at_once  # that a kernel takes in one call, so that it comes up for air
    int parts         # how many threads may work on it
    ptrdiff_t block   # how many rows go through the network at once, and have room here:
    char *x           # (block, n_inputs), rows x_row apart: rows of X brought together
    ptrdiff_t x_row
    char *y           # (block, n_outputs): their targets
    ptrdiff_t n_targets  # columns of y
    int64_t *label    # (block,): or their labels
    char *weight      # (block,): their weights
    double *cost      # (block / SLICE,): the summed loss of each slice
    char *scratch     # (parts, scratch_size): of the products
    ptrdiff_t scratch_size

cdef enum:
    # Rows are dealt out to threads, and their losses summed, in slices of so many: a fixed number, so that sums do not
    # depend on the threads; about a tile's rows, so that tiles stay full.
    SLICE = 16
    # A row block is as long as keeps the activations in this much of a core's L2 cache (1 to 2 MB on today's machines),
    # so that they are still there for the backward pass. Networks whose weights alone fill that go layer by layer in
    # long blocks, which read the weights less often; 512 rows amortise that to nothing and keep the arena small.
    CACHE = 400 * 1024
    LONGEST_BLOCK = 512  # of one thread
    FEW_ROWS = 32  # so many rows of a wide layer take the portable kernels tens of milliseconds
    # Up to so many multiplications in the forward pass of a batch, it goes through tiny_pass.
    TINY = 48
    # A step of fewer flops forward (some 10 milliseconds in all) is not stopped in the middle of its gradients, which
    # may therefore update theta on the way, in stretches of so many bytes: a quarter of the smallest L2, 256 KB.
    SHORT_STEP = 300000000
    STRETCH = 64 * 1024
    # Below so many flops (about 10 microseconds) a second thread costs more in hand-over than it takes on.
    PART_FLOPS = 1000000

cdef inline ptrdiff_t padded_row(ptrdiff_t n, ptrdiff_t size) noexcept nogil:
    """Rows 2^k bytes apart fall into one set of the cache: one more cache line between them spreads them out."""
    return n + 64 // size if n * size >= 512 and n * size % 256 == 0 else n

cdef inline char *take(char **free_space, ptrdiff_t size) noexcept nogil:
    """The next `size` bytes, 64-byte aligned. From a NULL start this measures; from a block of memory it carves."""
    cdef char *taken = free_space[0]
    free_space[0] = taken + (size + 63) // 64 * 64
    return taken

cdef ptrdiff_t carve(Plan *p, char *memory) noexcept nogil:
    """Places everything that a pass over p.block rows needs, from `memory` on, and returns how many bytes that took."""
    cdef char *free_space = memory
    cdef ptrdiff_t k, n_out = 0
    cdef Layer *layer
    p.x_row = padded_row(p.n_inputs, p.size)
    p.x = take(&free_space, p.block * p.x_row * p.size)
    p.y = take(&free_space, p.block * p.n_targets * p.size)
    p.label = <int64_t *>take(&free_space, p.block * sizeof(int64_t))
    p.weight = take(&free_space, p.block * p.size)
    p.cost = <double *>take(&free_space, (p.block // SLICE + 1) * sizeof(double))
    p.scratch_size = 0
    for k in range(p.n_layers):
        layer = &p.layers[k]
        # losses read the last output dense
        layer.row = padded_row(layer.n_out, p.size) if k < p.n_layers - 1 else layer.n_out
        layer.a = layer.kept = take(&free_space, p.block * layer.row * p.size)
        if fp_activation_keeps[layer.activation] == FP_KEEPS_SLOPE:
            layer.kept = take(&free_space, p.block * layer.row * p.size)
        layer.dz = take(&free_space, p.block * layer.row * p.size)
        n_out += layer.n_out
        p.scratch_size = max(p.scratch_size, fp_scratch(min(p.block, p.rows_at_once), layer.n_in, layer.n_out) * p.size)
    if p.flops <= 2 * TINY:
        p.scratch_size = max(p.scratch_size, 2 * n_out * p.size)  # as tiny_pass wants it
    p.scratch = take(&free_space, p.parts * p.scratch_size)
    return free_space - memory

cdef ptrdiff_t rows_per_block(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """How many rows go through the network at once, a multiple of SLICE unless all do."""
    cdef ptrdiff_t k, row = p.n_inputs + p.n_outputs, longest = LONGEST_BLOCK
    for k in range(p.n_layers):
        row += 2 * p.layers[k].n_out
    if p.n_parameters * p.size < CACHE:
        longest = min(max(CACHE // (row * p.size) // SLICE * SLICE, 2 * SLICE), LONGEST_BLOCK)
    return min(longest * p.parts, rows)
