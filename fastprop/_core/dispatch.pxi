# The tables of kernels, one for each instruction set (ISA) and dtype, as Python sees them. Part of _engine.pyx.

cdef const fp_kernels *portable[2]
portable[0], portable[1] = &_portable.tables[0], &_portable.tables[1]
fp_isas[0].kernels = portable

cdef const fp_isa *serving = NULL  # the ISA of networks made from now on


cdef int check_portable() except -1:
    """Raise an ImportError if a kernel of kernels.def has no twin in Cython: the engine would call address 0."""
    missing = set()
    for dtype in range(2):
        i = 0
        while fp_signatures[i].name != NULL:
            if (<size_t *>(<const char *>portable[dtype] + fp_signatures[i].offset))[0] == 0:
                missing.add(fp_signatures[i].name.decode())
            i += 1
    if missing:
        raise ImportError(
            f"no twin in Cython for {', '.join(sorted(missing))} of src_c/kernels.def; write it in portable_*.pxi of "
            "fastprop/_core, and enter it in the table at the end of that file"
        )
    return 0


check_portable()


def isas():
    """Return a dict of the ISAs of this build, name -> whether this CPU has it; the slowest comes first."""
    cdef const fp_isa *isa = fp_isas
    names = {}
    while isa.name != NULL:
        names[isa.name.decode()] = isa.supported() != 0
        isa += 1
    return names


def select_isa(name=None):
    """Use the kernels of an ISA (None: the fastest) for networks made from now on; return its name."""
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
    """Return the list of kernels as tuples (name, kind, C arguments)."""
    cdef Py_ssize_t i = 0
    listed = []
    while fp_signatures[i].name != NULL:
        entry = fp_signatures[i]
        listed.append((entry.name.decode(), entry.kind.decode(), entry.arguments.decode()))
        i += 1
    return listed


def kernel_addresses(str isa, str dtype):
    """Return a dict of an ISA's kernels, name -> address, for tests and benchmarks that call them through ctypes."""
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


def scratch(Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t itemsize):
    """Return how many elements of scratch memory the dense kernels may use for a layer of this shape."""
    return fp_scratch(rows, n_in, n_out, itemsize)


def cache_sizes():
    """Return the bytes of L1 and of L2 by which the products choose their blocks, for tests and benchmarks."""
    return fp_caches.l1, fp_caches.l2


def set_cache_sizes(Py_ssize_t l1, Py_ssize_t l2):
    """Choose blocks as for a CPU with caches of these sizes, in bytes, while nothing computes. Changes speed only."""
    fp_set_caches(l1, l2)


def names(str kind):
    """Return the names of all activations, losses or optimisers, in the order of their ids.

    `kind` is "activation", "loss" or "optimizer".
    """
    if kind == "activation":
        return [name.removesuffix("_forward") for name, of, _ in signatures() if of == "forward"]
    return [name for name, of, _ in signatures() if of == kind]


def activation_saves(int activation):
    """Return what the activation with this id saves for its backward pass: "output" or "slope"."""
    return "slope" if fp_activation_saves[activation] == FP_SAVES_SLOPE else "output"


HYPER = FP_HYPER  # the most hyperparameters that an activation, a loss or an optimiser may have

assert len(names("activation")) == FP_N_ACTIVATIONS
assert len(names("loss")) == FP_N_LOSSES
assert len(names("optimizer")) == FP_N_OPTIMIZERS


def cpu_name():
    """Return the name of the CPU, as it reports it."""
    cdef char name[49]
    fp_cpu_name(name)
    return name.decode(errors="replace").strip()


def serving_isa():
    """Return the name of the ISA whose kernels networks made from now on use."""
    return serving.name.decode()
