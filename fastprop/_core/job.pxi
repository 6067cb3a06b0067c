# A job for the engine: its data, what to do with them and how far it is; and how threads share it. Part of _engine.pyx.

cdef struct TrainingJob:
    Plan *plan
    InterruptState interrupts
    # the data, as Python passes them
    const char *x           # (rows, n_inputs)
    const char *y           # (rows, n_targets), or NULL:
    const int64_t *label    # (rows,), or NULL
    const char *weight      # (rows,), or NULL: each row has weight 1
    const int64_t *order    # (rows,): the order in which the rows of x, y, label and weight are visited, or NULL
    ptrdiff_t rows
    # what to compute
    bint do_forward
    bint save               # save for a backward pass what it needs
    bint training           # DROPOUT drops elements, BATCH_NORM takes the statistics of the batch
    uint64_t seed           # of DROPOUT
    int64_t step            # the number of steps before: the random numbers of DROPOUT depend on it
    char *out               # (rows, members * n_outputs): where the outputs go, or NULL: into the arena
    int loss                # by its index in the list of losses, or NO_LOSS
    const double *loss_hyper  # (FP_HYPER,)
    ptrdiff_t n_targets
    bint do_backward        # compute the gradient
    char *dx                # (rows, n_inputs): where dC/dx goes, or NULL: it is not wanted
    bint inputs_only        # compute dC/dx only, no gradient of the parameters
    # how to train
    ptrdiff_t batch_rows
    OptimizerState *optimizer  # or NULL: no training
    bint fuse_update        # update theta while the gradient is computed; such a step is too short to be interrupted
    bint fuse_sgd           # update weights within the product that computes their gradient, which is then not stored
    # how the ranks of a distributed training take a step together
    bint on_ranks           # other ranks have rows of the batch, too
    double total_weight     # sum of the weights of the batch's rows on all ranks
    PyObject *norm_ranks    # adds up the statistics of batch norms over the ranks; NULL: each rank has its own
    bint norms_elsewhere    # another rank's gradient has the sums of the batch norms
    PyObject *gradient_ranks  # begins sums of parts of the gradient over the ranks; NULL: there is one in the end
    ptrdiff_t n_unsummed    # the first parameters, whose sum over the ranks has not begun
    # the current batch: `batch_count` rows from `batch_offset` on, in `n_slices`; 1: it is processed in blocks
    ptrdiff_t batch_offset
    ptrdiff_t batch_count
    ptrdiff_t n_slices
    ptrdiff_t piece_rows    # in a piece; slices and what a thread does of one are whole pieces
    int slice_parts         # how many threads share the slices out
    # the current round, of batches whose slices are worked on together: the `round_rows` rows of each slice that are
    # in the arena, after `round` times as many
    ptrdiff_t round
    ptrdiff_t round_rows
    # the current block: `count` rows from `block_offset` on
    ptrdiff_t block_offset
    ptrdiff_t count
    int block_parts         # how many threads share it
    # the current operations: forward from forward_begin up to, not including, forward_end; backward from
    # backward_begin down to, not including, backward_end
    ptrdiff_t forward_begin
    ptrdiff_t forward_end
    ptrdiff_t backward_begin
    ptrdiff_t backward_end
    # the operations whose gradients are computed: from gradient_begin up to, not including, gradient_end
    ptrdiff_t gradient_begin
    ptrdiff_t gradient_end
    double batch_weight     # sum of the weights of the batch's rows, of all ranks
    ptrdiff_t norm_rows     # the rows, of all ranks, whose statistics batch norms take
    bint last_block         # of the batch
    bint accumulate         # add to the gradient: this is not the first block of the batch
    bint update_now         # update theta along with the gradient: this is the last block of a step with fuse_update
    # progress
    ptrdiff_t rows_done
    ptrdiff_t steps_done
    ptrdiff_t steps_reported  # of steps_done, how many CompiledTrainer.steps includes (ensembles only)
    double cost_sum         # sum over the rows visited of weight times loss, each before the step of its batch
    double weight_sum       # sum of the weights of the rows visited
    bint diverged           # the cost of the next step is not finite, so it was not taken

# What one thread works on.
cdef struct Part:
    TrainingJob *job
    int index             # of the thread's scratch memory; part 0 runs on the caller's thread
    ptrdiff_t offset      # row i of the arena holds row offset + i of the job
    char *x               # where rows of X are gathered: like `x` of the plan
    ptrdiff_t cost_offset  # row i of the arena is row cost_offset + i of those with sums of losses
    ptrdiff_t cost_rows   # the rows of each of these sums
    ptrdiff_t gradient    # where the gradient is summed, in bytes from the plan's on
    ptrdiff_t bin_sums    # in which of the `bin_sums` of an operation
    bint accumulate       # these sums hold what the rows before add up to
    bint last             # these are the last rows of these sums

cdef enum:
    NO_LOSS = -1

cdef inline ptrdiff_t part_start(ptrdiff_t n, int part, int n_parts) noexcept nogil:
    """Where a part of 0..n begins. One part avoids the division, whose time a very small step would show."""
    return part * n if n_parts == 1 else n * part // n_parts

cdef inline ptrdiff_t part_lines(ptrdiff_t n, int part, int n_parts, ptrdiff_t *count) noexcept nogil:
    """Where a part of n adjacent elements begins; parts consist of whole cache lines. `count` receives its length."""
    cdef ptrdiff_t lines = (n + 15) // 16, first = part_start(lines, part, n_parts) * 16
    count[0] = min(part_start(lines, part + 1, n_parts) * 16, n) - first
    return first

cdef inline int n_parts_for(const Plan *p, double flops) noexcept nogil:
    """How many threads are worth using for this much work."""
    return 1 if p.n_parts == 1 else <int>max(1.0, min(<double>p.n_parts, flops / MIN_PART_FLOPS))

cdef inline int parameter_parts(const Plan *p, int gradients=2) noexcept nogil:
    """How many threads are worth using for work on each parameter, such as the sum of some gradients."""
    cdef ptrdiff_t parts = p.n_parameters * gradients // (2 * MIN_PART_PARAMETERS)
    return <int>min(<ptrdiff_t>p.n_parts, max(<ptrdiff_t>1, parts))

cdef inline double batch_flops(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """Flops of a forward pass over a batch, with what small products and the calls of a narrow network cost."""
    return (p.flops + OUTPUT_FLOPS * p.n_activations) * rows

cdef inline int batch_parts(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """How many threads are worth using for a batch in slices."""
    return n_parts_for(p, batch_flops(p, rows))

cdef inline double block_flops(const TrainingJob *job) noexcept nogil:
    """Flops of a pass over the current block, or 0 if threads would not make it faster.

    Two units of rows make two parts. Fewer rows are worth threads if the weights come from memory, but not if they fit
    in a core's own cache: half of them would move to the other core's cache twice a step.
    """
    cdef const Plan *p = job.plan
    if job.count < 2 * UNIT_ROWS and p.n_parameters * p.itemsize < 2 * CACHE_BYTES:
        return 0
    return p.flops * job.count

cdef inline bint sums_gradient(const TrainingJob *job) noexcept nogil:
    """Whether the gradient of the parameters is computed, or may be in a later job with what this one saves."""
    return (job.save or job.do_backward) and not job.inputs_only

cdef inline bint sums_slices(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """Whether the threads share the rows of a batch out for the sums of its gradient too, or else the parameters.

    With the rows shared out, a thread reads the gradients of the others, else their inputs and dz of every layer.
    """
    return (
        p.n_parameters * p.itemsize <= MAX_SLICED_BYTES
        and 2 * p.n_parameters <= rows * (p.n_inputs + 2 * p.n_activations))

cdef bint is_mostly_by_columns(const Plan *p, ptrdiff_t rows) noexcept nogil:
    """Whether threads that share a block of `rows` rows share the columns of most products, by their flops.

    A prediction is then faster in blocks: each thread would read all weights for a few rows. 784-512-512-10 with 128
    rows takes half of the time on 4 threads.
    """
    cdef ptrdiff_t k
    cdef double flops = 0
    for k in range(p.n_operations):
        if rows <= max_column_rows(&p.operations[k]):
            flops += p.operations[k].flops
    return 2 * flops > p.flops

cdef ptrdiff_t n_slices(const TrainingJob *job, ptrdiff_t rows) noexcept nogil:
    """In how many slices of rows the threads share a batch out, a power of two; 1: they share each block out instead.

    The slices have losses and gradients of their own, which are then added, so their number must not depend on the
    threads, except where there are none.
    """
    cdef const Plan *p = job.plan
    cdef bint sums = sums_gradient(job)
    cdef ptrdiff_t parts, n = 1
    if job.training and p.has_batch_norm or sums and not sums_slices(p, rows):
        return 1
    if job.loss == NO_LOSS and not sums:
        parts = batch_parts(p, rows)
        return 1 if parts > 1 and is_mostly_by_columns(p, rows) else parts
    while n < MAX_SLICES and rows >= 4 * n * n * SLICE_ROWS and batch_flops(p, rows) >= 2.0 * n * MIN_PART_FLOPS:
        n *= 2
    return n

cdef inline bint shares_slices(ptrdiff_t slices, int n_parts) noexcept nogil:
    """Whether the threads work on all slices together, rather than on whole slices each.

    They do where with whole slices they would be idle for more than a fifth of the time. Otherwise a thread should find
    in its own cache what it wrote, and wait for no other before the end.
    """
    return 5 * slices < 4 * n_parts * ((slices + n_parts - 1) // n_parts)

cdef void set_batch(TrainingJob *job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """Make `rows` of the job's rows, from `first` on, the current batch."""
    cdef ptrdiff_t units = max((rows + UNIT_ROWS - 1) // UNIT_ROWS, <ptrdiff_t>1), most
    job.batch_offset, job.batch_count, job.n_slices = first, rows, n_slices(job, rows)
    most = job.n_slices * SLICE_PIECES
    job.piece_rows = (units + most - 1) // most * UNIT_ROWS

cdef inline bint shares_columns(const TrainingJob *job, ptrdiff_t k) noexcept nogil:
    """Whether the threads share the columns of operation k and not its rows.

    With the columns, a thread reads a part of W forward, and the part that it updates backward, but all rows of the
    input and of dz. With the rows it reads all of W, most of which others have updated.
    """
    return job.block_parts > 1 and job.count <= max_column_rows(&job.plan.operations[k])

cdef inline Part block_part(TrainingJob *job, int index) noexcept nogil:
    """A part of the current block."""
    cdef Plan *p = job.plan
    cdef char *x = p.own_x + index * p.own_x_size if shares_columns(job, 0) else p.x
    return Part(job, index, job.block_offset, x, 0, UNIT_ROWS, 0, 0, job.accumulate, job.last_block)

cdef inline ptrdiff_t n_pieces(const TrainingJob *job) noexcept nogil:
    """The number of pieces of the batch; the last one may be shorter."""
    return (job.batch_count + job.piece_rows - 1) // job.piece_rows

cdef inline ptrdiff_t slice_start(const TrainingJob *job, ptrdiff_t s) noexcept nogil:
    """The row of the batch at which slice s begins."""
    return min(n_pieces(job) * s // job.n_slices * job.piece_rows, job.batch_count)

cdef inline ptrdiff_t longest_slice(const TrainingJob *job) noexcept nogil:
    """Rows of the longest slice, in whole pieces."""
    return (n_pieces(job) + job.n_slices - 1) // job.n_slices * job.piece_rows

cdef ptrdiff_t rows_per_round(const TrainingJob *job) noexcept nogil:
    """Rows of each slice in a round, whole pieces: as many as the arena holds, in rounds of about equal length.

    0: the arena does not even hold one piece of each.
    """
    cdef ptrdiff_t longest = longest_slice(job), rounds, most = job.plan.block_rows // job.n_slices
    if job.plan.whole:
        return longest
    most -= most % job.piece_rows
    if most == 0:
        return 0
    rounds = (longest + most - 1) // most
    return ((longest + rounds - 1) // rounds + job.piece_rows - 1) // job.piece_rows * job.piece_rows

cdef inline char *slice_gradient(const Plan *p, ptrdiff_t i) noexcept nogil:
    """The memory for gradients of slices with this number; the first is the gradient itself."""
    return p.gradient if i == 0 else p.slice_gradients + (i - 1) * p.slice_gradient_size

# ---- tasks for the thread pool, which passes the number of a part, but not how many parts there are ----

ctypedef void (*Work)(void *context, int part, int n_parts) noexcept nogil

cdef struct Task:
    Work work
    void *context
    int n_parts

cdef void run_part(void *task, int part) noexcept nogil:
    (<Task *>task).work((<Task *>task).context, part, (<Task *>task).n_parts)

cdef inline void parallel(TrainingJob *job, Work work, int n_parts) noexcept nogil:
    """Run all parts of `work`, each on a thread of its own if there are enough."""
    cdef Task task
    if n_parts == 1:
        work(job, 0, 1)
        return
    task.work, task.context, task.n_parts = work, job, n_parts
    fp_parallel(run_part, &task, n_parts)
