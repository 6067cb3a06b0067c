# The C interface for Cython: `from fastprop cimport fp_handle, fp_handle_of`; fastprop.h describes it.
# The extension needs include_dirs=[fastprop.get_include()].
from libc.stdint cimport int32_t

cdef extern from "fastprop.h":
    enum:
        FP_VERSION
        FP_OK
        FP_BUSY
        FP_BAD_POINTER
        FP_BAD_ROWS
        FP_NOT_FINITE
        FP_BAD_CATEGORY
        FP_BAD_TARGET
        FP_BAD_WEIGHT
        FP_DIVERGED
        FP_NO_TRAINER
        FP_OUTDATED
    const char *FP_CAPSULE

    ctypedef struct fp_handle:
        int32_t version
        int32_t size
        int32_t itemsize
        int32_t labels
        ptrdiff_t n_inputs
        ptrdiff_t n_outputs
        ptrdiff_t n_targets
        ptrdiff_t max_rows
        int (*forward)(fp_handle *handle, const void *x, ptrdiff_t rows, void *out) noexcept nogil
        int (*step)(fp_handle *handle, const void *x, const void *y, ptrdiff_t rows) noexcept nogil
        int (*weighted_step)(
            fp_handle *handle, const void *x, const void *y, const void *weight, ptrdiff_t rows) noexcept nogil
        double (*cost)(const fp_handle *handle) noexcept nogil
        const char *(*message)(int code) noexcept nogil

    fp_handle *fp_handle_of(object capsule) except NULL
