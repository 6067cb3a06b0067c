/* Calls the C interface in a loop, for latency.py: what a program pays that needs no Python for each row or batch. */
#include <fastprop.h>

int forward_calls(fp_handle *handle, const void *x, ptrdiff_t rows, void *out, long calls)
{
    int error = FP_OK;
    for (long i = 0; i < calls && error == FP_OK; i++)
        error = handle->forward(handle, x, rows, out);
    return error;
}

int step_calls(fp_handle *handle, const void *x, const void *y, ptrdiff_t rows, long calls)
{
    int error = FP_OK;
    for (long i = 0; i < calls && error == FP_OK; i++)
        error = handle->step(handle, x, y, rows);
    return error;
}
