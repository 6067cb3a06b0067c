# What is to be done, how far it is, and its parts for the pool of threads. Part of _engine.pyx.

cdef struct Job:
    Plan *plan
    InterruptState interrupts
    # the data
    const char *x           # (rows, n_inputs)
    const char *y           # (rows, n_outputs), or NULL:
    const int64_t *label    # (rows,), or NULL
    const char *weight      # (rows,), or NULL: each row weighs 1
    const int64_t *order    # (rows,): the order in which rows are visited; NULL: as they lie
    ptrdiff_t rows
    # what to do with them
    bint up                 # the forward pass
    bint keep               # what a backward pass needs
    bint training           # dropout drops, batch norm takes the batch's own statistics
    uint64_t seed           # of dropout
    int64_t step            # how many steps came before: the dropout of each step is its own
    char *out               # (rows, n_outputs): where its outputs go, or NULL: into the arena
    int loss                # its number, or NO_LOSS
    const double *loss_hyper  # its numbers
    ptrdiff_t n_targets     # and the columns of y
    bint down               # the backward pass, and the gradient
    char *dx                # (rows, n_inputs): where dLoss/dx goes, or NULL: it is not wanted
    bint inputs_only        # no gradient of the parameters
    # how to train with them
    ptrdiff_t batch
    Rule *rule
    bint fused              # the step is too short to be stopped in the middle: its update goes with its gradient
    bint descends           # weights may take their step of SGD in the product that is their gradient, not kept then
    # the rows in work: `count` of them from `first` on, a block of the batch that begins at `batch_first`
    ptrdiff_t batch_first
    ptrdiff_t first
    ptrdiff_t count
    # the operations in work: up through up_from .. up_to - 1, down through down_from .. down_to
    ptrdiff_t up_from
    ptrdiff_t up_to
    ptrdiff_t down_from
    ptrdiff_t down_to
    double batch_weight     # of all rows of the batch
    bint accumulate         # not the first block of the batch: add to the gradient
    bint update_now         # the last block of a step: update theta with the gradient, stretch by stretch
    # how far it is
    ptrdiff_t done          # rows visited
    ptrdiff_t steps         # steps taken
    ptrdiff_t steps_told    # of them, how many Python knows of, where several jobs run at once
    double cost             # sum over the rows visited, each before its step and times its weight
    double weight_done      # of the rows visited
    bint diverged           # the next step's cost is not finite: it was not taken

cdef enum:
    NO_LOSS = -1

cdef inline ptrdiff_t share(ptrdiff_t n, int part, int parts) noexcept nogil:
    """Where a part of 0..n begins. One part has no need of the division, which a tiny step would feel."""
    return part * n if parts == 1 else n * part // parts

cdef inline ptrdiff_t share_lines(ptrdiff_t n, int part, int parts, ptrdiff_t *count) noexcept nogil:
    """Where a part of n adjacent numbers begins, in whole cache lines, and how many they are."""
    cdef ptrdiff_t lines = (n + 15) // 16, first = share(lines, part, parts) * 16
    count[0] = min(share(lines, part + 1, parts) * 16, n) - first
    return first

cdef inline int parts_for(const Plan *p, double flops) noexcept nogil:
    """How many threads so much work is worth."""
    return 1 if p.parts == 1 else <int>max(1.0, min(<double>p.parts, flops / PART_FLOPS))

cdef inline double flops_of_block(const Job *job) noexcept nogil:
    """Flops of each pass over the block in work, as far as they are worth threads.

    Two slices of rows make two parts. Fewer rows pay for weights out of memory, not for those that a core's own cache
    holds, half of which would change sides twice a step.
    """
    cdef const Plan *p = job.plan
    if job.count < 2 * SLICE and p.n_parameters * p.size < 2 * CACHE:
        return 0
    return p.flops * job.count

# ---- tasks for the pool, which knows chunks but not how many there are ----

ctypedef void (*Work)(void *context, int part, int parts) noexcept nogil

cdef struct Task:
    Work work
    void *context
    int parts

cdef void run_part(void *task, int part) noexcept nogil:
    (<Task *>task).work((<Task *>task).context, part, (<Task *>task).parts)

cdef inline void parallel(Job *job, Work work, double flops) noexcept nogil:
    """All parts of some work, on as many threads as it is worth."""
    cdef Task task
    cdef int parts = parts_for(job.plan, flops)
    if parts == 1:
        work(job, 0, 1)
        return
    task.work, task.context, task.parts = work, job, parts
    fp_parallel(run_part, &task, parts)
