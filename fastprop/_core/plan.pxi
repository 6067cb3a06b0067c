# The plan of a network: its operations, and what lies where. Part of _engine.pyx.

cdef enum Kind:
    DENSE        # a = g(x W + b)
    COPY         # a = g(x): an activation by itself
    SCALE        # a = g(x * w + b)
    LAYER_NORM   # a = g(xhat * w + b), xhat = x less its row's mean, over its row's deviation
    BATCH_NORM   # the same with the columns' statistics: of the batch in training, else the running ones
    DROPOUT      # a = x * mask / (1 - rate) in training, else x
    PRELU        # a = x where x > 0, else w * x
    SOFTMAX      # a = softmax(x), row by row, or its logarithm
    FORK         # a = x: where a residual block begins
    ADD          # a = g(x + what the block's FORK had)
    REPEAT       # a = x, `pieces` times: the members of an ensemble that shares its weights
    EMBED        # index columns become rows of tables
    PIECEWISE    # columns in piecewise-linear encoding
    PERIODIC     # cos(2 pi w x), sin(2 pi w x) of every column

KINDS = {
    "dense": DENSE, "copy": COPY, "scale": SCALE, "layer_norm": LAYER_NORM, "batch_norm": BATCH_NORM,
    "dropout": DROPOUT, "prelu": PRELU, "softmax": SOFTMAX, "fork": FORK, "add": ADD, "repeat": REPEAT,
    "embed": EMBED, "piecewise": PIECEWISE, "periodic": PERIODIC,
}

cdef struct Op:
    Kind kind
    ptrdiff_t n_in        # numbers of a row that come in
    ptrdiff_t n_out       # and go out
    int activation        # g
    const double *hyper   # its numbers
    ptrdiff_t pieces      # into which a row falls, each with weights of its own (but see `shared`); or copies of a row
    ptrdiff_t in_piece    # n_in / pieces
    ptrdiff_t out_piece   # n_out / pieces
    bint shared           # the pieces go through the same weights
    # DENSE: how wide each piece of the input is, or NULL: all alike. EMBED: categories, then widths. PIECEWISE: bins
    const int64_t *sizes
    double rate           # of DROPOUT
    double momentum       # of BATCH_NORM's running statistics
    double epsilon        # what is added to a variance
    bint logarithm        # of SOFTMAX
    ptrdiff_t fork        # ADD: the FORK; FORK: the ADD
    double flops          # of the forward pass of one row
    ptrdiff_t n_weights
    ptrdiff_t n_biases
    ptrdiff_t first       # of them, in theta
    ptrdiff_t stretch     # DENSE: rows of w that are updated at a time
    char *w               # (n_weights,), in theta; DENSE: (n_in / pieces, n_out / pieces), piece after piece
    char *b               # (n_biases,), in theta
    char *dw              # like w, in the gradient
    char *db              # like b, in the gradient
    char *state           # numbers that are not trained: running mean and variance (n_out,) each; edges of bins
    char *a               # (block, n_out), rows `row` apart: the output
    char *kept            # like a: what the activation's backward pass needs, a itself or the slope. DROPOUT: the mask
    char *dz              # like a: dLoss/dz, z being what g is applied to
    ptrdiff_t row
    char *mean            # (block,) of LAYER_NORM, (n_out,) of BATCH_NORM: the statistics in use
    char *rstd            # like mean: 1 / standard deviation

cdef struct Plan:
    const fp_kernels *kernels
    ptrdiff_t size    # of an element, in bytes
    Op *ops
    ptrdiff_t n_ops
    ptrdiff_t n_inputs
    ptrdiff_t n_outputs   # of one member
    ptrdiff_t members     # so many networks share the plan: a row of outputs is theirs, one after the other
    ptrdiff_t n_parameters
    char *theta       # (n_parameters,): W[1], b[1], W[2], b[2], ...
    char *gradient    # like theta
    double flops      # of the forward pass of one row
    bint plain        # whether fused_small_network takes it: all DENSE, one piece, biased, output-saving
    bint has_batch_norm
    ptrdiff_t *widths  # (n_ops + 1,): n_inputs, then each operation's n_out
    int *activations  # (n_ops,)
    double *hyper     # (n_ops + 1, FP_HYPER): the numbers of each activation, and those of the loss in work
    ptrdiff_t rows_at_once  # that a kernel takes in one call, so that interrupts are checked in between
    int parts         # how many threads may work on it
    ptrdiff_t block   # how many rows go through the network at once, and have room here:
    char *x           # (block, n_inputs), rows x_row apart: rows of X brought together
    ptrdiff_t x_row
    char *y           # (block, members, n_targets): their targets
    ptrdiff_t n_targets  # columns of y
    int64_t *label    # (block, members): or their labels
    char *weight      # (block, members): their weights
    double *cost      # (block / SLICE,): the summed loss of each slice
    char *scratch     # (parts, scratch_size): of the products
    ptrdiff_t scratch_size

cdef enum:
    # Rows are dealt out to threads, and their losses summed, in slices of so many: a fixed number, so that sums do not
    # depend on the threads; about a tile's rows, so that tiles stay full.
    SLICE = 16
    # A row block is as long as keeps the activations in this much of a core's L2 cache (1 to 2 MB on today's machines),
    # so that they are still there for the backward pass. Networks whose weights alone fill that go layer by layer in
    # long blocks, which read the weights less often: 1024 rows are 2% faster than 512 at 2048 wide, and still a small
    # arena.
    CACHE = 400 * 1024
    LONGEST_BLOCK = 1024  # of one thread
    FEW_ROWS = 32  # so many rows of a wide layer take the portable kernels tens of milliseconds
    # A batch goes through fused_small_network up to this number of multiplications, a row counting as some more.
    TINY = 290
    TINY_ROW = 12
    # A step of fewer flops forward (100 milliseconds of plain loops, some 10 of vectors) is not stopped in the middle
    # of its gradients, which may therefore update theta on the way, in stretches of so many bytes: a quarter of the
    # smallest L2, 256 KB. Longer steps are faster without, by 4% at 1024 wide, since each stretch reads all of dz.
    SHORT_STEP = 300000000
    STRETCH = 64 * 1024
    # Plain SGD takes its step in the product itself, where so many flops for each lane of a vector count as few.
    # Weights of fewer bytes stay in L1 between gradient and update, which are then faster one by one.
    DESCENT = 16 * 1024
    # Below so many flops of each pass (20 microseconds of a step) a thread costs more than it takes on: what the
    # others wrote, of activations and of theta, must come over from their caches.
    PART_FLOPS = 1800000
    # A pass over an element that multiplies nothing costs about as much as so many flops of a product: memory decides.
    FLOPS_OF_A_PASS = 16

cdef inline bint is_tiny(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """Whether plain loops beat vectors and their calls."""
    return rows * (p.flops / 2 + TINY_ROW) <= TINY

cdef inline ptrdiff_t padded_row(ptrdiff_t n, ptrdiff_t size) noexcept nogil:
    """Rows 2^k bytes apart fall into one set of the cache: one more cache line between them spreads them out."""
    return n + 64 // size if n * size >= 512 and n * size % 256 == 0 else n

cdef inline char *take(char **free_space, ptrdiff_t size) noexcept nogil:
    """The next `size` bytes, 64-byte aligned. From a NULL start this measures; from a block of memory it carves."""
    cdef char *taken = free_space[0]
    free_space[0] = taken + (size + 63) // 64 * 64
    return taken

cdef inline ptrdiff_t piece_in(const Op *op, ptrdiff_t piece) noexcept nogil:
    """How wide a piece of the input of a DENSE is."""
    return op.sizes[piece] if op.sizes != NULL else op.in_piece

cdef inline bint keeps_more(const Op *op) noexcept nogil:
    """Whether the backward pass needs more than the output."""
    return op.kind == DROPOUT or fp_activation_saves[op.activation] == FP_SAVES_SLOPE

cdef ptrdiff_t row_length(const Plan *p, ptrdiff_t k) noexcept nogil:
    """How far apart the output rows of an operation lie."""
    cdef const Op *op = &p.ops[k]
    # losses read the last output dense, and a product whose pieces share their weights reads pieces as rows
    if k == p.n_ops - 1 or op.shared or p.ops[k + 1].shared:
        return op.n_out
    return padded_row(op.n_out, p.size)

cdef bint works_in_place(const Plan *p, ptrdiff_t k) noexcept nogil:
    """Whether a DROPOUT may do so: nobody else reads the output below, whose backward pass needs its sign at most."""
    cdef const Op *op = &p.ops[k]
    cdef const Op *below = &p.ops[k - 1] if k > 0 else NULL
    return (
        op.kind == DROPOUT and below != NULL and row_length(p, k - 1) == row_length(p, k)
        and (below.kind == DENSE or below.kind == SCALE or below.kind == LAYER_NORM or below.kind == BATCH_NORM)
        and (below.activation == FP_ACTIVATION_identity or below.activation == FP_ACTIVATION_relu))

cdef ptrdiff_t carve(Plan *p, char *memory) noexcept nogil:
    """Places everything that a pass over p.block rows needs, from `memory` on, and returns how many bytes that took."""
    cdef char *free_space = memory
    cdef ptrdiff_t k, piece, rows, statistics, n_out = 0
    cdef Op *op
    p.x_row = padded_row(p.n_inputs, p.size)
    p.x = take(&free_space, p.block * p.x_row * p.size)
    p.y = take(&free_space, p.block * p.members * p.n_targets * p.size)
    p.label = <int64_t *>take(&free_space, p.block * p.members * sizeof(int64_t))
    p.weight = take(&free_space, p.block * p.members * p.size)
    p.cost = <double *>take(&free_space, (p.block // SLICE + 1) * sizeof(double))
    p.scratch_size = 0
    for k in range(p.n_ops):
        op = &p.ops[k]
        op.row = row_length(p, k)
        if works_in_place(p, k):
            op.a, op.dz = p.ops[k - 1].a, p.ops[k - 1].dz
        else:
            if op.kind != FORK:
                op.a = op.kept = take(&free_space, p.block * op.row * p.size)
            op.dz = take(&free_space, p.block * op.row * p.size)
        if keeps_more(op):
            op.kept = take(&free_space, p.block * op.row * p.size)
        if op.kind == LAYER_NORM or op.kind == BATCH_NORM:
            statistics = p.block if op.kind == LAYER_NORM else op.n_out
            op.mean = take(&free_space, statistics * p.size)
            op.rstd = take(&free_space, statistics * p.size)
        if op.kind == DENSE:
            rows = min(p.block, p.rows_at_once) * (op.pieces if op.shared else 1)
            for piece in range(op.pieces):
                p.scratch_size = max(
                    p.scratch_size, fp_scratch(rows, piece_in(op, piece), op.out_piece, p.size) * p.size)
        n_out += op.n_out
    if is_tiny(p, 1):
        p.scratch_size = max(p.scratch_size, 2 * n_out * p.size)  # as fused_small_network wants it
    p.scratch = take(&free_space, p.parts * p.scratch_size)
    return free_space - memory

cdef ptrdiff_t rows_per_block(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """How many rows may go through the network at once, a multiple of SLICE for each part unless all do."""
    cdef ptrdiff_t k, arrays, row = p.n_inputs + p.n_outputs * p.members, longest = LONGEST_BLOCK
    for k in range(p.n_ops):
        arrays = (0 if works_in_place(p, k) else 2) + (1 if keeps_more(&p.ops[k]) else 0)
        row += arrays * p.ops[k].n_out
    if p.n_parameters * p.size < CACHE:
        longest = min(max(CACHE // (row * p.size) // SLICE * SLICE, 2 * SLICE), LONGEST_BLOCK)
    return min(longest * p.parts, rows)
