# cython: language_level=3, boundscheck=False, wraparound=False
"""A network that learns what a plant does while it runs: a prediction and a step for each sample, without the GIL."""
from fastprop cimport fp_handle, fp_handle_of
from libc.math cimport sin


def identify(capsule, double[::1] inputs, double[::1] errors):
    """Run a plant with these inputs, and let the network predict its state before it learns it.

    Parameters
    ----------
    capsule : PyCapsule
        That of the handle of a trainer whose network has 2 inputs, the state and the input, 1 output, the state after.
    inputs : float64 (n,)
    errors : float64 (n,)
        Gets the squared error of each prediction.
    """
    cdef fp_handle *handle = fp_handle_of(capsule)
    cdef double[2] x
    cdef double state = 0, predicted
    cdef Py_ssize_t i
    cdef int error = 0
    if handle.itemsize != sizeof(double):
        raise TypeError("the network must be of dtype float64")
    with nogil:
        for i in range(inputs.shape[0]):
            x[0], x[1] = state, inputs[i]
            error = handle.forward(handle, x, 1, &predicted)
            state = state / (1 + state * state) + sin(inputs[i])  # the plant
            errors[i] = (predicted - state) * (predicted - state)
            if not error:
                error = handle.step(handle, x, &state, 1)
            if error:
                break
    if error:
        raise RuntimeError(handle.message(error).decode())
