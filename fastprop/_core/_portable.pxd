from fastprop._core._capi cimport fp_kernels

cdef fp_kernels[2] tables  # float32, float64
