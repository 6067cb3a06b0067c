# Coming up for air: how long work without the GIL answers Ctrl-C and reports progress. Part of _engine.pyx.

cdef struct Air:
    double due        # when to look for Ctrl-C and progress again
    double work       # flops to go until the clock is worth a look
    bint now          # it is time to report progress, at the next whole step
    bint quiet        # on a thread that is not Python's own: whoever waits for it asks, at the next whole step
    int64_t stopped   # a signal's handler raised: drop the step
    PyObject *raised  # what it raised, or NULL
    uint64_t state    # the caller's floating-point state

cdef enum:
    LOOK = 1000000    # flops between looks at the clock: 10 to 500 microseconds of work, against 0.03 for the look
    STEP = 2000       # flops that a step costs even if its network is tiny

cdef double AIR_SECONDS = 0.05  # contract 3 of DESIGN.md; half of the 0.1 s in which Ctrl-C must be answered

cdef void begin_work(Air *air) noexcept nogil:
    air.state = fp_work_begin()
    air.due = fp_clock() + AIR_SECONDS
    air.work = LOOK
    air.now = air.quiet = False
    air.stopped = False
    air.raised = NULL

cdef void end_work(Air *air) noexcept nogil:
    fp_work_end(air.state)

cdef Py_ssize_t times_asked = 0

cdef bint ask_python(Air *air) noexcept with gil:
    """Lets Python handle signals; True if a handler raised. A function of its own: it takes the GIL at its door."""
    global times_asked
    times_asked += 1
    fp_denormals_restore(air.state)
    try:
        PyErr_CheckSignals()
    except BaseException as raised:
        Py_INCREF(raised)
        air.raised = <PyObject *>raised
        fp_atomic_store(&air.stopped, True)
    fp_denormals_flush()
    return air.raised != NULL

cdef bint look(Air *air) noexcept nogil:
    """Looks at the clock, and asks Python if it is due."""
    air.work = LOOK
    if fp_clock() < air.due:
        return False
    air.now = True
    air.due = fp_clock() + AIR_SECONDS
    return False if air.quiet else ask_python(air)

cdef inline bint out_of_air(Air *air, int part, double flops) noexcept nogil:
    """After so much work, in mid-step: True if the step must be dropped. Part 0, on the caller's thread, asks."""
    if part != 0:
        return fp_atomic_load(&air.stopped)
    air.work -= flops
    return look(air) if air.work < 0 else False

cdef int raise_if_stopped(const Air *air) except -1:
    """Lets out what a signal's handler raised during the work."""
    if air.raised == NULL:
        return 0
    raised = <object>air.raised
    Py_DECREF(raised)
    raise raised


def set_interrupt_interval(double seconds):
    """Set the seconds between two looks for Ctrl-C and progress, and return those before.

    For tests, which must not depend on the clock: with 0 the engine asks Python after every LOOK of its work.
    """
    global AIR_SECONDS
    before, AIR_SECONDS = AIR_SECONDS, seconds
    return before


def interrupt_checks():
    """How often the engine has asked Python for signals in the middle of its work, since it was loaded."""
    return times_asked
