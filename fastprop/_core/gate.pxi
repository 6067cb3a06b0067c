# Who uses a network at the same time: passes of Python, and calls through handles from C. Part of _engine.pyx.
#
# Any number may read the parameters while nobody changes them. Everyone first sets a flag of its own and then looks at
# those of the others, so that of two who begin at once at least one sees the other. Python waits; calls from C, which
# run without the GIL, never wait: native.pxi refuses them.

cdef enum:
    IDLE
    READING
    CHANGING

cdef struct User:
    int64_t using     # atomic: IDLE, READING or CHANGING
    User *next        # of the same network
    bint taken        # a handle has it

cdef struct Gate:
    int64_t changing  # atomic: someone changes parameters or state, or waits to do so
    int64_t reserved  # atomic: a thread is in Engine.exclusive, where only Python may change them
    int64_t users     # atomic: the address of the first User of a handle; they are freed with the engine
    User python       # for the passes of Python, of which one runs at a time

cdef inline bint enter_to_read(Gate *gate, User *user) noexcept nogil:
    """Begin to read unless someone changes the network."""
    fp_atomic_store(&user.using, READING)
    if not fp_atomic_load(&gate.changing):
        return True
    fp_atomic_store(&user.using, IDLE)
    return False

cdef bint used_by_others(Gate *gate, const User *own) noexcept nogil:
    """Whether anyone but `own` uses the network."""
    cdef User *user = <User *>fp_atomic_load(&gate.users)
    while user != NULL:
        if user != own and fp_atomic_load(&user.using) != IDLE:
            return True
        user = user.next
    return fp_atomic_load(&gate.python.using) != IDLE

cdef inline bint enter_to_change(Gate *gate, const User *own) noexcept nogil:
    """Begin to change the network unless someone else uses it."""
    if not fp_atomic_compare_exchange(&gate.changing, False, True):
        return False
    if not used_by_others(gate, own):
        return True
    fp_atomic_store(&gate.changing, False)
    return False

cdef void wait_to_enter(Gate *gate, bint changing) noexcept nogil:
    """Begin a pass of Python as soon as no call from C is in its way; new calls are refused meanwhile."""
    if not changing:
        while not enter_to_read(gate, &gate.python):
            fp_yield()
        return
    while not fp_atomic_compare_exchange(&gate.changing, False, True):
        fp_yield()
    while used_by_others(gate, NULL):
        fp_yield()

cdef User *take_user(Gate *gate) noexcept:
    """Return a User for a new handle, or NULL if there is no memory."""
    cdef User *user = <User *>fp_atomic_load(&gate.users)
    while user != NULL and user.taken:
        user = user.next
    if user == NULL:
        user = <User *>fp_allocate(sizeof(User))
        if user == NULL:
            return NULL
        user.next = <User *>fp_atomic_load(&gate.users)
        fp_atomic_store(&gate.users, <int64_t>user)
    user.taken = True
    return user

cdef void free_users(Gate *gate) noexcept:
    """Free the users of all handles, of which none is left."""
    cdef User *user = <User *>fp_atomic_load(&gate.users)
    cdef User *following
    while user != NULL:
        following = user.next
        fp_free(user)
        user = following

cdef bint forget_calls(Gate *gate) noexcept:
    """In a forked child, end the calls from C that ran in other threads; True if one of them had half of a step."""
    cdef User *user = <User *>fp_atomic_load(&gate.users)
    cdef bint halved = False
    while user != NULL:
        halved |= user.using == CHANGING
        user.using = IDLE
        user = user.next
    return halved
