/* The C interface of fastprop: outputs and steps of training, one call each, without Python and its GIL.
 *
 * In Python, net.native(max_rows) and trainer.native(max_rows) make a handle. C gets its address as an integer,
 * `address`, or as the PyCapsule `capsule`, whose name is FP_CAPSULE. Everything else goes through the functions that
 * the handle points to, so nothing has to be linked:
 *
 *     int error = handle->forward(handle, x, 1, out);
 *     if (error)
 *         fprintf(stderr, "%s\n", handle->message(error));
 *
 * Arrays are row-major, without gaps, and aligned for their elements, which are of the network's dtype, float or double
 * (`itemsize` bytes). No call allocates, waits, prints, or writes anywhere but to `out`.
 *
 * A handle is for one call at a time, and works on the thread of the caller alone. Several handles of one network may
 * compute outputs at the same time. A call that would meet another one that changes the parameters, from C or from
 * Python, returns FP_BUSY instead, and has done nothing. A step cannot be interrupted by Ctrl-C.
 *
 * A handle lives as long as the object in Python, or the capsule, does. To use it afterwards is undefined. */
#ifndef FASTPROP_H
#define FASTPROP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* It changes only if programs that were compiled with an older header would no longer work. */
#define FP_VERSION 1
#define FP_CAPSULE "fastprop.fp_handle"

/* What forward and the steps return. Unless it is FP_OK, nothing has changed. */
enum {
    FP_OK = 0,
    FP_BUSY = 1,         /* the handle is in a call, or the network is in use; call again */
    FP_BAD_POINTER = 2,  /* an array is NULL or not aligned, or out overlaps x */
    FP_BAD_ROWS = 3,     /* rows is not in 1 to max_rows */
    FP_NOT_FINITE = 4,   /* x has NaN or infinity */
    FP_BAD_CATEGORY = 5, /* a column of x for an Embedding holds no category that it has */
    FP_BAD_TARGET = 6,   /* a label is not in [0, n_outputs), or a number is none that the loss takes */
    FP_BAD_WEIGHT = 7,   /* a weight is negative or not finite, or all are 0 */
    FP_DIVERGED = 8,     /* the cost is not finite, so the step was not taken */
    FP_NO_TRAINER = 9,   /* the handle is that of a network; trainer.native() makes one that takes steps */
    FP_OUTDATED = 10 /* the trainer's optimiser was replaced, or the rates of its schedule that the handle knows have
                            ended or changed; make a new handle */
};

typedef struct fp_handle fp_handle;

/* To be read, not copied. */
struct fp_handle {
    int32_t version;  /* FP_VERSION of the fastprop that runs */
    int32_t size;     /* sizeof(fp_handle) there; later versions add fields at the end */
    int32_t itemsize; /* 4: float, 8: double */
    int32_t labels;   /* whether y of a step has an int64_t label for each row, instead of n_targets elements */
    ptrdiff_t n_inputs;
    ptrdiff_t n_outputs;
    ptrdiff_t n_targets; /* 0 if y has labels, and without a trainer */
    ptrdiff_t max_rows;

    /* Writes the outputs for x (rows, n_inputs) to out (rows, n_outputs): the same bits as net(x). */
    int (*forward)(fp_handle *handle, const void *x, ptrdiff_t rows, void *out);

    /* Takes one step on a batch x (rows, n_inputs) with targets y (rows, n_targets), or int64_t labels (rows,): as
     * trainer.step(x, y), to the same bits; net.gradient is not written. Targets of losses of two classes are -1 and
     * 1, where the loss takes signs. */
    int (*step)(fp_handle *handle, const void *x, const void *y, ptrdiff_t rows);

    /* The same with a weight for each row, (rows,); NULL: each is 1. */
    int (*weighted_step)(fp_handle *handle, const void *x, const void *y, const void *weight, ptrdiff_t rows);

    /* The mean cost of the batch of the last step, before the step; NaN if there was none, or after FP_DIVERGED. */
    double (*cost)(const fp_handle *handle);

    /* What a code means, in a sentence; for an unknown one too. */
    const char *(*message)(int code);
};

#ifdef Py_PYTHON_H /* after #include <Python.h> */
/* The handle in a capsule; the caller keeps a reference to that. NULL with an exception if it is another capsule, or of
 * a version of fastprop that this header is not for. */
static inline fp_handle *fp_handle_of(PyObject *capsule)
{
    fp_handle *handle = (fp_handle *)PyCapsule_GetPointer(capsule, FP_CAPSULE);
    if (handle && (handle->version != FP_VERSION || (size_t)handle->size < sizeof(fp_handle))) {
        PyErr_Format(PyExc_ImportError,
                     "this module was compiled with fastprop.h of version %d, and the fastprop that runs has version "
                     "%d; compile it again",
                     FP_VERSION, (int)handle->version);
        return NULL;
    }
    return handle;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
