# The plan of a network: its operations, and where their arrays are in memory. Part of _engine.pyx.
#
# All arrays are row-major, one example per row. A stride is the distance between two rows, counted in elements. The
# arena is one block of memory that holds everything that a pass over `block_rows` rows writes: see `layout_arena`.

cdef struct Rows:
    # Some adjacent rows of an array.
    char *data        # the first element of the first row
    ptrdiff_t stride

cdef struct Operation:
    int kind              # DENSE, COPY, ...: see operations.pxi
    const OperationKind *functions  # of its kind
    ptrdiff_t n_in        # columns of the input
    ptrdiff_t n_out       # columns of the output
    int activation        # g, by its index in the list of activations
    const double *hyper   # (FP_HYPER,): the hyperparameters of g
    ptrdiff_t n_groups    # DENSE: groups of adjacent columns, each with a product of its own; REPEAT: copies of the row
    ptrdiff_t group_in    # n_in / n_groups
    ptrdiff_t group_out   # n_out / n_groups
    bint shared_weights   # DENSE: all groups have the same W and b
    # DENSE: (n_groups,), the input columns of each group, or NULL if they are all group_in wide.
    # EMBED: (2, n_in), the categories of each column (0: it is a number) and the widths of their tables.
    # PIECEWISE: (n_in,), the bins of each column
    # SELECT: (n_out,), the columns of x
    const int64_t *sizes
    # DENSE: the PIECEWISE whose output its last inputs are, if the product is computed without them; else -1
    ptrdiff_t encoding
    bint implied          # PIECEWISE: such a DENSE is the only one that reads its output, which is then not computed
    # DENSE with an encoding: (n_sums, bin_sums_size) bytes, the sum of dz over the rows of each bin, for each gradient
    char *bin_sums
    ptrdiff_t bin_sums_size
    double rate           # DROPOUT: the probability of dropping an element
    double momentum       # BATCH_NORM: the step of the running statistics towards those of a batch
    double epsilon        # LAYER_NORM, BATCH_NORM: what is added to a variance
    bint logarithm        # SOFTMAX: return the logarithm
    ptrdiff_t fork        # ADD: the index of its FORK; FORK: the index of its ADD
    bint needs_dx         # operations that it goes back to have weights
    double flops          # of the forward pass, per row
    ptrdiff_t n_weights
    ptrdiff_t n_biases
    ptrdiff_t offset      # of the first weight in theta; the biases follow the weights
    ptrdiff_t chunk_rows  # DENSE: rows of W whose gradient and update are computed together
    # (n_weights,) in theta. DENSE: W, (n_in, group_out), group after group; with shared weights (group_in, group_out)
    char *w
    char *b               # (n_biases,) in theta
    char *dw              # dC/dW, like w, in the gradient
    char *db              # dC/db, like b, in the gradient
    char *state           # (n_state,): numbers that are not trained. BATCH_NORM: running mean and variance, (2, n_out)
    char *a               # (block_rows, n_out), stride `stride`: the output
    char *saved           # like a: what the backward pass of g takes, a itself or g'(z). DROPOUT: the mask
    char *dz              # like a: dC/dz, z being what g is applied to
    ptrdiff_t stride      # of a, saved and dz
    char *mean            # LAYER_NORM (block_rows,), BATCH_NORM (n_out,): the mean in use
    char *rstd            # like mean: 1 / standard deviation

cdef struct Plan:
    const fp_kernels *kernels  # the table of the network's dtype
    ptrdiff_t itemsize     # bytes of an element
    Operation *operations  # (n_operations,)
    ptrdiff_t n_operations
    ptrdiff_t n_inputs
    ptrdiff_t n_outputs    # of one member
    ptrdiff_t members      # networks that share the operations: a row of outputs has n_outputs columns for each
    ptrdiff_t n_parameters
    char *theta            # (n_parameters,): W[1], b[1], W[2], b[2], ...
    char *gradient         # like theta
    double flops           # of the forward pass, per row
    bint fusible           # fused_small_network can run it: only DENSE with a bias, one group, and output-saving g
    bint has_batch_norm
    ptrdiff_t n_activations  # outputs of all operations, per row
    ptrdiff_t *widths      # (n_operations + 1,): n_inputs, then the n_out of each operation
    int *activations       # (n_operations,)
    double *hyper          # (n_operations + 1, FP_HYPER): of each activation, then of the loss of the current job
    ptrdiff_t rows_per_call  # the most rows for one call of a kernel; interrupts are checked between calls
    int n_parts            # the most threads that may share the work
    # the arena
    ptrdiff_t part_rows    # rows that go through the network at once on one thread
    ptrdiff_t block_rows   # rows that the arena holds
    bint whole             # those of the whole batch
    char *x                # (block_rows, n_inputs), stride x_stride: rows of X, gathered in the order of the job
    ptrdiff_t x_stride
    char *own_x            # (n_parts, own_x_size) bytes: likewise, all rows for each thread; see shares_columns
    ptrdiff_t own_x_size
    char *y                # (block_rows, members, n_targets): their targets
    ptrdiff_t n_targets    # numbers in the targets of a row
    int64_t *label         # (block_rows, members): or their labels
    char *weight           # (block_rows, members): their weights
    double *cost           # (n_costs,): the summed loss of each unit of a block's rows, or of each piece of a batch
    ptrdiff_t n_costs
    char *scratch          # (n_parts, scratch_size) bytes: scratch memory of the products, for each thread
    ptrdiff_t scratch_size
    double *norm_sums      # memory for the sums of a batch norm over ranks, for the widest: see share_statistics
    int n_sums             # the most gradients that are summed at a time
    char *slice_gradients  # (n_slices - 1, slice_gradient_size) bytes: gradients of slices; see add_slices
    ptrdiff_t slice_gradient_size

cdef enum:
    # Rows are divided in units of this many. It is about the height of a tile of the products, so that tiles stay full.
    UNIT_ROWS = 16
    # A batch has a power of two of slices, at most MAX_SLICES, so that 3 or 6 threads have almost equal shares too.
    # Each of n slices has at least n SLICE_ROWS rows: a gradient of its own costs as much as some rows, and long slices
    # go through the cache in longer blocks. With 16, a step of 17-256-256-6 with 256 rows misses a 512 KB L2 100,000
    # times, with 32 78,000 times, and without slices 72,000.
    MAX_SLICES = 32
    SLICE_ROWS = 32
    # A batch is divided in pieces, whole units with a sum of their losses, of which slices consist, and what a thread
    # does of a slice. With at most this many in a slice, slices differ by a unit or 3% of their rows.
    SLICE_PIECES = 32
    # The gradient of a slice is added to by each of its blocks, so it must stay in a core's cache.
    MAX_SLICED_BYTES = 640 * 1024
    # The activations of a block fit in this much of a core's L2 cache, where the backward pass finds them again.
    # 8-48x4-2 with 4096 rows misses a 512 KB L2 15,000 times a step with 200 KB, 68,000 times with 400 KB; 100 KB take
    # 3 to 7% longer. Where parameters take more, the activations may take twice as much as they, since longer blocks
    # read them less often: 17-256-256-6 takes 5% less time in blocks of 128 rows than of 64, with as many misses.
    BLOCK_BYTES = 200 * 1024
    # Parameters that alone fill this much of the L2 cache are worth the longest blocks: 1024 rows are 2% faster than
    # 512 at 2048 wide, and still a small arena.
    CACHE_BYTES = 400 * 1024
    MAX_BLOCK_ROWS = 1024  # per thread
    PORTABLE_ROWS = 32  # rows per call of a portable kernel, which takes tens of milliseconds for them in a wide layer
    # The largest batch for fused_small_network, counted in multiplications of the forward pass, plus some per row.
    FUSED_MULTIPLICATIONS = 290
    FUSED_PER_ROW = 12
    # A step of fewer flops forward (100 milliseconds of plain loops, some 10 of SIMD) is not interrupted while its
    # gradient is computed, so each chunk of theta may be updated as soon as its gradient is known. The chunk, in bytes,
    # is a quarter of the smallest L2, 256 KB. Longer steps are 4% faster without it at 1024 wide, since each chunk
    # reads all of dz.
    SHORT_STEP_FLOPS = 300000000
    CHUNK_BYTES = 64 * 1024
    # Plain SGD updates weights of at least this many bytes within the product that computes their gradient. Smaller
    # weights stay in L1 between gradient and update, which are then faster as two kernels.
    MIN_SGD_STEP_BYTES = 16 * 1024
    # A row of a product without the encoding costs about as much as this many multiplications: per output, per output
    # and column, and per column. Steps of networks with 4 and 30 columns, 2 to 16 bins and 4 to 512 outputs were timed
    # with and without it, for AVX-512 and AVX2, in batches of 32 and 256 rows.
    ENCODED_PER_OUTPUT = 32
    ENCODED_PER_PRODUCT = 6
    ENCODED_PER_COLUMN = 256
    # Such a product goes through all weights once per block, so a usual batch is one block: 15% of a step of 128 rows,
    # 20 columns of 32 bins, which were two.
    ENCODED_ROWS = 256
    # Threads share the columns of a DENSE if its inputs and outputs are at least this many times the rows of the block:
    # each then reads less of what others wrote (shares_columns). 1.7x instead of 1.45x with two threads at
    # 784-512-512-10 and 128 rows.
    COLUMNS_PER_ROW = 2
    # A further thread must get this many flops of a pass (20 microseconds of a step). With less it costs more than it
    # saves, since it has to fetch what others wrote, activations and theta, from their caches.
    MIN_PART_FLOPS = 1800000
    # And this many parameters, for updates and sums of two gradients: they take some 3 microseconds, waking a thread 1.
    MIN_PART_PARAMETERS = 8192
    # The sum over the ranks of this much of the gradient, of whole operations, begins while the rest is computed. A
    # message of 1 MB takes 20 times its latency on 10 Gb/s, and a layer of 512 x 512 has that much. It must be more
    # than MAX_SLICED_BYTES: a rank whose batch has slices knows no part of the gradient before all of it.
    MIN_SUMMED_BYTES = 1024 * 1024
    # An operation that multiplies nothing costs about as much as this many flops of a product per element: it is bound
    # by memory.
    ELEMENTWISE_FLOPS = 16
    # In a narrow network an output takes about as long as this many flops of wide products, since its products have few
    # full vectors, and its activation and loss as many calls as those of wide ones.
    OUTPUT_FLOPS = 64

cdef inline bint fits_fused_kernel(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """Whether plain loops in one kernel are faster for so few rows than SIMD kernels and their calls."""
    return rows * (p.flops / 2 + FUSED_PER_ROW) <= FUSED_MULTIPLICATIONS

cdef inline ptrdiff_t whole_units(ptrdiff_t rows) noexcept nogil:
    """`rows`, rounded up to a multiple of UNIT_ROWS."""
    return (rows + UNIT_ROWS - 1) // UNIT_ROWS * UNIT_ROWS

cdef inline ptrdiff_t padded_stride(ptrdiff_t n, ptrdiff_t itemsize) noexcept nogil:
    """The stride for rows of n elements. One more cache line keeps rows apart that would fall into one cache set."""
    return n + 64 // itemsize if n * itemsize >= 512 and n * itemsize % 256 == 0 else n

cdef inline char *arena_alloc(char **next_free, ptrdiff_t size) noexcept nogil:
    """Return the next `size` bytes, 64-byte aligned, and advance `next_free`. One that began as NULL counts bytes."""
    cdef char *start = next_free[0]
    next_free[0] = start + (size + 63) // 64 * 64
    return start

cdef inline ptrdiff_t group_inputs(const Operation *op, ptrdiff_t group) noexcept nogil:
    """How many input columns a group of a DENSE has."""
    return op.sizes[group] if op.sizes != NULL else op.group_in

cdef inline bint saves_extra(const Operation *op) noexcept nogil:
    """Whether `saved` is an array of its own, since the backward pass needs more than the output."""
    return op.kind == DROPOUT or fp_activation_saves[op.activation] == FP_SAVES_SLOPE

cdef inline ptrdiff_t max_column_rows(const Operation *op) noexcept nogil:
    """The most rows of a block for which threads may share the columns of an operation; 0: they never do."""
    return min(op.n_in, op.n_out) // COLUMNS_PER_ROW if op.kind == DENSE and op.n_groups == 1 and op.encoding < 0 else 0

cdef inline bint ends_branch(const Plan *p, ptrdiff_t k) noexcept nogil:
    """Whether operation k is the last one of a branch: its output is some columns of the output of the next CONCAT."""
    return k + 1 < p.n_operations and (p.operations[k + 1].kind == SELECT or p.operations[k + 1].kind == CONCAT)

cdef double encoded_flops(const Operation *op, const Operation *encoding) noexcept nogil:
    """The flops of the product of an encoding with its rows of W, without the encoding, for a row."""
    return 2.0 * (
        op.n_out * (ENCODED_PER_OUTPUT + ENCODED_PER_PRODUCT * encoding.n_in) + ENCODED_PER_COLUMN * encoding.n_in)

cdef ptrdiff_t multiplied_encoding(const Plan *p, ptrdiff_t k) noexcept nogil:
    """The PIECEWISE whose output is last in the inputs of k, if k is a DENSE that is faster without it; else -1."""
    cdef const Operation *op = &p.operations[k]
    cdef const Operation *encoding
    cdef ptrdiff_t column, at = k - 2 if k > 0 and p.operations[k - 1].kind == CONCAT else k - 1
    if op.kind != DENSE or op.n_groups > 1 or at < 0 or p.operations[at].kind != PIECEWISE:
        return -1
    encoding = &p.operations[at]
    for column in range(encoding.n_in):
        if encoding.sizes[column] > FP_MOST_BINS:
            return -1
    return at if encoded_flops(op, encoding) < 2.0 * op.n_out * encoding.n_out else -1

cdef ptrdiff_t output_stride(const Plan *p, ptrdiff_t k) noexcept nogil:
    """The stride of the output of operation k."""
    if ends_branch(p, k):
        while p.operations[k].kind != CONCAT:
            k += 1
    cdef const Operation *op = &p.operations[k]
    # losses read the last output without padding, and a product with shared weights reads the groups as rows
    if k == p.n_operations - 1 or op.shared_weights or p.operations[k + 1].shared_weights:
        return op.n_out
    return padded_stride(op.n_out, p.itemsize)

cdef bint works_in_place(const Plan *p, ptrdiff_t k) noexcept nogil:
    """Whether operation k, a DROPOUT, may overwrite its input.

    It may if no other operation reads that input, and if the backward pass below needs no more than its sign.
    """
    cdef const Operation *op = &p.operations[k]
    cdef const Operation *below = &p.operations[k - 1] if k > 0 else NULL
    return (
        op.kind == DROPOUT and below != NULL and output_stride(p, k - 1) == output_stride(p, k)
        and (below.kind == DENSE or below.kind == SCALE or below.kind == LAYER_NORM or below.kind == BATCH_NORM)
        and (below.activation == FP_ACTIVATION_identity or below.activation == FP_ACTIVATION_relu))

cdef void set_branches(const Plan *p, ptrdiff_t concat) noexcept nogil:
    """Set the arrays of the branches that a CONCAT ends: they are columns of its own."""
    cdef ptrdiff_t k, at = 0
    cdef Operation *branch
    for k in range(concat):
        if ends_branch(p, k):
            branch = &p.operations[k]
            branch.a = p.operations[concat].a + at
            branch.dz = p.operations[concat].dz + at
            if not saves_extra(branch):
                branch.saved = branch.a
            at += branch.n_out * p.itemsize

cdef ptrdiff_t layout_arena(Plan *p, ptrdiff_t slices, char *memory) noexcept nogil:
    """Set the pointers to all arrays of a pass over p.block_rows rows, from `memory` on; return their size in bytes.

    There is a gradient for each of the `slices`. The pointers are valid if `memory` has that size.
    """
    cdef char *next_free = memory
    cdef ptrdiff_t k, group, rows, statistics, widest_norm = 0
    cdef Operation *op
    p.x_stride = padded_stride(p.n_inputs, p.itemsize)
    p.x = arena_alloc(&next_free, p.block_rows * p.x_stride * p.itemsize)
    p.own_x_size = whole_units(min(p.block_rows, max_column_rows(p.operations))) * p.x_stride * p.itemsize
    p.own_x = arena_alloc(&next_free, p.n_parts * p.own_x_size if p.n_parts > 1 else 0)
    p.y = arena_alloc(&next_free, p.block_rows * p.members * p.n_targets * p.itemsize)
    p.label = <int64_t *>arena_alloc(&next_free, p.block_rows * p.members * sizeof(int64_t))
    p.weight = arena_alloc(&next_free, p.block_rows * p.members * p.itemsize)
    p.cost = <double *>arena_alloc(&next_free, p.n_costs * sizeof(double))
    p.scratch_size = 0
    for k in range(p.n_operations):
        op = &p.operations[k]
        op.stride = output_stride(p, k)
        if works_in_place(p, k):
            op.a, op.dz = p.operations[k - 1].a, p.operations[k - 1].dz
        elif not ends_branch(p, k):
            if op.kind != FORK:
                op.a = op.saved = arena_alloc(&next_free, p.block_rows * op.stride * p.itemsize)
            op.dz = arena_alloc(&next_free, p.block_rows * op.stride * p.itemsize)
        if saves_extra(op):
            op.saved = arena_alloc(&next_free, p.block_rows * op.stride * p.itemsize)
        if op.kind == CONCAT:
            set_branches(p, k)
        if op.kind == LAYER_NORM or op.kind == BATCH_NORM:
            statistics = p.block_rows if op.kind == LAYER_NORM else op.n_out
            op.mean = arena_alloc(&next_free, statistics * p.itemsize)
            op.rstd = arena_alloc(&next_free, statistics * p.itemsize)
        if op.kind == BATCH_NORM:
            widest_norm = max(widest_norm, op.n_out)
        if op.kind == DENSE and op.encoding >= 0:
            op.bin_sums_size = (p.operations[op.encoding].n_out * op.n_out * p.itemsize + 63) // 64 * 64
            op.bin_sums = arena_alloc(&next_free, p.n_sums * op.bin_sums_size)
        if op.kind == DENSE:
            rows = min(p.block_rows, p.rows_per_call) * (op.n_groups if op.shared_weights else 1)
            for group in range(op.n_groups):
                p.scratch_size = max(
                    p.scratch_size, fp_scratch(rows, group_inputs(op, group), op.group_out, p.itemsize) * p.itemsize)
    p.norm_sums = <double *>arena_alloc(&next_free, (3 * widest_norm + 1) * sizeof(double))
    if fits_fused_kernel(p, 1):
        p.scratch_size = max(p.scratch_size, 2 * p.n_activations * p.itemsize)  # what fused_small_network needs
    p.scratch = arena_alloc(&next_free, p.n_parts * p.scratch_size)
    p.slice_gradient_size = (p.n_parameters * p.itemsize + 63) // 64 * 64
    p.slice_gradients = arena_alloc(&next_free, (slices - 1) * p.slice_gradient_size)
    return next_free - memory

cdef ptrdiff_t rows_per_part(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """How many of a batch's rows go through the network at once on each thread: all, or a multiple of UNIT_ROWS."""
    cdef ptrdiff_t k, arrays, size, per_row = p.n_inputs + p.n_outputs * p.members, most = MAX_BLOCK_ROWS
    cdef ptrdiff_t least = 2 * UNIT_ROWS
    for k in range(p.n_operations):
        arrays = (0 if works_in_place(p, k) or ends_branch(p, k) else 2) + (1 if saves_extra(&p.operations[k]) else 0)
        per_row += arrays * p.operations[k].n_out
        if p.operations[k].encoding >= 0:
            per_row -= 2 * p.operations[p.operations[k].encoding].n_out  # which are not computed in training
            least = ENCODED_ROWS
    if p.n_parameters * p.itemsize < CACHE_BYTES:
        size = max(<ptrdiff_t>BLOCK_BYTES, 2 * p.n_parameters * p.itemsize)
        most = min(max(size // (per_row * p.itemsize) // UNIT_ROWS * UNIT_ROWS, least), most)
    return min(most, whole_units(rows))
