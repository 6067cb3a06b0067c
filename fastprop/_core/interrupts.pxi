# How the engine, which runs without the GIL, responds to Ctrl-C and reports progress. Part of _engine.pyx.
#
# Work counts its flops, reads the clock about every FLOPS_PER_CLOCK_READ of them, and takes the GIL every
# INTERRUPT_SECONDS to check for signals.

cdef struct InterruptState:
    double due            # the time, by fp_clock, of the next check for signals
    double flops_left     # flops until the clock is read again
    bint pause            # return to Python after the current step, to report progress
    bint deferred         # no checks in mid-step: the thread is not Python's own, and its caller checks between steps
    int64_t stopped       # atomic: a signal handler raised, so the step is dropped
    PyObject *raised      # the exception that it raised, or NULL; owned
    uint64_t float_state  # the caller's floating-point state

cdef enum:
    FLOPS_PER_CLOCK_READ = 1000000  # 10 to 500 microseconds of work; reading the clock takes 0.03
    FLOPS_PER_STEP = 2000           # what a step costs at least, however small its network is

cdef double INTERRUPT_SECONDS = 0.05  # contract 3 of DESIGN.md; half of the 0.1 s within which Ctrl-C must take effect

cdef void begin_work(InterruptState *interrupts) noexcept nogil:
    """Prepare a thread to work without the GIL."""
    interrupts.float_state = fp_work_begin()
    interrupts.due = fp_clock() + INTERRUPT_SECONDS
    interrupts.flops_left = FLOPS_PER_CLOCK_READ
    interrupts.pause = interrupts.deferred = False
    interrupts.stopped = False
    interrupts.raised = NULL

cdef void end_work(InterruptState *interrupts) noexcept nogil:
    """Restore the caller's floating-point state."""
    fp_work_end(interrupts.float_state)

cdef Py_ssize_t n_signal_checks = 0

cdef void stop_work(InterruptState *interrupts, object raised) noexcept:
    """Drop the step; `raise_if_stopped` raises this exception when the work has ended."""
    Py_INCREF(raised)
    interrupts.raised = <PyObject *>raised
    fp_atomic_store(&interrupts.stopped, True)

cdef bint check_signals(InterruptState *interrupts) noexcept with gil:
    """Run pending signal handlers; True if one raised. A separate function, since it takes the GIL on entry."""
    global n_signal_checks
    n_signal_checks += 1
    fp_denormals_restore(interrupts.float_state)
    try:
        PyErr_CheckSignals()
    except BaseException as raised:
        stop_work(interrupts, raised)
    fp_denormals_flush()
    return interrupts.raised != NULL

cdef bint read_clock(InterruptState *interrupts) noexcept nogil:
    """Read the clock, and check for signals if they are due; True if the step must be dropped."""
    interrupts.flops_left = FLOPS_PER_CLOCK_READ
    if fp_clock() < interrupts.due:
        return False
    interrupts.pause = True
    interrupts.due = fp_clock() + INTERRUPT_SECONDS
    return False if interrupts.deferred else check_signals(interrupts)

cdef inline bint check_interrupt(InterruptState *interrupts, int part, double flops) noexcept nogil:
    """Count `flops` of work; True if the step must be dropped.

    Only part 0, which runs on the caller's thread, reads the clock and checks for signals.
    """
    if part != 0:
        return fp_atomic_load(&interrupts.stopped)
    interrupts.flops_left -= flops
    return read_clock(interrupts) if interrupts.flops_left < 0 else False

cdef int raise_if_stopped(const InterruptState *interrupts) except -1:
    """Raise the exception that a signal handler raised during the work, if one did."""
    if interrupts.raised == NULL:
        return 0
    raised = <object>interrupts.raised
    Py_DECREF(raised)
    raise raised


def set_interrupt_interval(double seconds):
    """Set the seconds between two checks for Ctrl-C and progress, and return the previous value.

    It is for tests, which must not depend on the clock: with 0 the engine checks whenever it reads the clock.
    """
    global INTERRUPT_SECONDS
    before, INTERRUPT_SECONDS = INTERRUPT_SECONDS, seconds
    return before


def interrupt_checks():
    """Return how often the engine has checked for signals in the middle of its work since it was loaded."""
    return n_signal_checks
