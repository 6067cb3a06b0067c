/* What the C of src_c/ offers the engine: the tables of kernels, the choice among them, and services of the CPU and the
 * operating system. The interface for users is fastprop/include/fastprop.h.
 *
 * No function here prints, aborts or uses Python, and none fails but fp_allocate: fastprop/_validation.py checks what
 * users pass before it gets here. */
#ifndef FP_CORE_H
#define FP_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FP_EXPORT __declspec(dllexport)
#else
#define FP_EXPORT __attribute__((visibility("default")))
#endif

/* ---- the table of kernels, derived from kernels.def ---- */

/* One type of table serves both dtypes: in its function types T is void, and the field `dtype` names the dtype. Every
 * ABI that fastprop is built for passes all object pointers alike, so a typed kernel can be called through the untyped
 * entry. */
#define T void
#define I ptrdiff_t
#define FP_KERNEL(name, args) typedef void fp_##name args;
#include "kernels.def"

/* These four argument lists are described in kernels.def; fp_signatures and the definitions of kernels use them. */
#define FP_FORWARD_ARGS (T *a, T *saved, I n, const double *hyper)
#define FP_BACKWARD_ARGS (T *dz, const T *saved, I n, const double *hyper)
#define FP_LOSS_ARGS \
    (double *cost, T *da, const T *a, const T *y, const int64_t *label, const T *weight, I rows, I n, I n_y, \
     double scale, const double *hyper)
#define FP_OPTIMIZER_ARGS (T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
typedef void fp_activation_forward FP_FORWARD_ARGS;
typedef void fp_activation_backward FP_BACKWARD_ARGS;
typedef void fp_loss FP_LOSS_ARGS;
typedef void fp_optimizer FP_OPTIMIZER_ARGS;
#undef T
#undef I

/* The length of hyper: the largest number of hyperparameters of an activation, a loss (quantile has most) or an
 * optimiser. */
enum { FP_HYPER = 16 };
/* The number of scalars of an optimiser's state, beside its state arrays; they start at 1. */
enum { FP_MEMORY = 4 };
/* The largest number of bins that piecewise_product takes: the engine computes the encoding if a column has more. */
enum { FP_MOST_BINS = 256 };
/* What the forward pass of an activation saves for its backward pass. */
enum { FP_SAVES_OUTPUT, FP_SAVES_SLOPE };

enum {
#define FP_ACTIVATION(name, saves) FP_ACTIVATION_##name,
#include "kernels.def"
    FP_N_ACTIVATIONS
};
enum {
#define FP_LOSS(name) FP_LOSS_##name,
#include "kernels.def"
    FP_N_LOSSES
};
enum {
#define FP_OPTIMIZER(name) FP_OPTIMIZER_##name,
#include "kernels.def"
    FP_N_OPTIMIZERS
};

typedef struct fp_kernels {
    const char *isa;
    const char *dtype; /* "float32" or "float64" */
    ptrdiff_t size;    /* bytes of an element */
    ptrdiff_t lanes;   /* elements of a vector: roughly the speed-up over plain loops */
#define FP_KERNEL(name, args) fp_##name *name;
#include "kernels.def"
    fp_activation_forward *forward[FP_N_ACTIVATIONS];
    fp_activation_backward *backward[FP_N_ACTIVATIONS];
    fp_loss *loss[FP_N_LOSSES];
    fp_optimizer *optimizer[FP_N_OPTIMIZERS];
} fp_kernels;

/* A kernel's signature, for tests and benchmarks: kind is "kernel", "forward", "backward", "loss" or "optimizer";
 * arguments is the text of its argument list in C; offset is that of its entry in fp_kernels. A NULL name ends the
 * array. */
typedef struct fp_signature {
    const char *name, *kind, *arguments;
    size_t offset;
} fp_signature;
extern const fp_signature fp_signatures[];

extern const int fp_activation_saves[FP_N_ACTIVATIONS]; /* FP_SAVES_... */

/* The number of elements, of `size` bytes each, of the scratch memory that the dense_* kernels need for a layer with
 * `rows` rows, n_in inputs and n_out outputs. */
ptrdiff_t fp_scratch(ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t size);

/* Prepares an optimiser's next step. Computes step_hyper (FP_HYPER,), which the kernel takes as hyper, and next_memory
 * (FP_MEMORY,), the value of memory after the step, from memory (FP_MEMORY,) and from hyper (FP_HYPER,), the
 * hyperparameters in the order of the optimiser's class in optimizers.py. Returns 0 if neither depends on the step. */
int fp_optimizer_begin(int optimizer, double *step_hyper, double *next_memory, const double *memory,
                       const double *hyper);

/* ---- indices in a user's arrays ----
 *
 * Indices were validated, but the array is the user's own, and a callback or another thread may write to it at any
 * time. So each of these functions reads the index once (volatile, so that the compiler cannot read it again) and
 * checks it: returns the index, or -1 if it is not in [0, n). */

static inline ptrdiff_t fp_label(const int64_t *label, int64_t n)
{
    int64_t read = *(const volatile int64_t *)label;
    return read >= 0 && read < n ? (ptrdiff_t)read : -1;
}

/* The comparisons come before the conversion, which is undefined in C for NaN and for numbers too large for an
 * integer. */
static inline ptrdiff_t fp_category_float(const float *x, int64_t n)
{
    float read = *(const volatile float *)x;
    return ((read >= 0) & (read < (float)n)) ? (ptrdiff_t)read : -1;
}

static inline ptrdiff_t fp_category_double(const double *x, int64_t n)
{
    double read = *(const volatile double *)x;
    return ((read >= 0) & (read < (double)n)) ? (ptrdiff_t)read : -1;
}

/* ---- dispatch: the choice of the instruction set ---- */

typedef struct fp_isa {
    const char *name;
    int (*supported)(void);           /* whether this CPU and its operating system support it */
    const fp_kernels *const *kernels; /* the tables of float32 and of float64 */
} fp_isa;

/* The ISAs of this build, slowest first; entry 0 is `portable`. A NULL name ends the array. */
extern fp_isa fp_isas[];

/* Returns the ISA called `name`, or the fastest supported one if name is NULL; NULL if it is unknown or unsupported. */
const fp_isa *fp_select_isa(const char *name);

/* ---- CPU, clock and memory ---- */

int fp_cpu_has_any(void);
int fp_cpu_has_avx2(void);   /* x86-64-v3: AVX2, FMA, BMI1, BMI2, F16C, and the OS saves ymm */
int fp_cpu_has_avx512(void); /* x86-64-v4: v3 and AVX-512 F, BW, CD, DQ, VL, and the OS saves zmm */
int fp_cpu_has_neon(void);
void fp_cpu_name(char name[49]);

/* The sizes of the data caches of a core, in bytes: the products (kernels/product.h) choose their blocks by them. They
 * change speed only, not a bit of a result. */
typedef struct fp_cache_sizes {
    ptrdiff_t l1, l2;
} fp_cache_sizes;
extern fp_cache_sizes fp_caches;

/* Reads the sizes from the CPU or the operating system, to be called once, at import; before, and where neither tells,
 * small caches are assumed. */
void fp_caches_init(void);
/* Sets other sizes, within limits, while nothing computes. */
void fp_set_caches(ptrdiff_t l1, ptrdiff_t l2);

/* Makes this thread flush denormals to zero. Returns the previous state, for fp_denormals_restore. */
uint64_t fp_denormals_flush(void);
void fp_denormals_restore(uint64_t state);

double fp_clock(void); /* seconds, from a monotonic clock */

/* Allocates zeroed memory, aligned to 64 bytes; returns NULL if there is none. fp_allocations counts the calls, so that
 * a test can assert that a training step allocates nothing. */
void *fp_allocate(size_t bytes);
void fp_free(void *memory);
int64_t fp_allocations(void);

/* ---- the thread pool ---- */

typedef void fp_task(void *context, int chunk);

enum { FP_MAX_THREADS = 256 };

void fp_threads_init(void); /* to be called once, at import */
int fp_forks(void);         /* the number of forks between the process that imported fastprop and this one */

/* The number of threads that a job may use; fp_set_num_threads clamps it to 1..FP_MAX_THREADS. Both are exported, so
 * that tools that look for the thread pools of a process, such as threadpoolctl, find this one. */
FP_EXPORT int fp_get_num_threads(void);
FP_EXPORT void fp_set_num_threads(int n);

/* To be called before and after all computation of a caller: they flush denormals, and count the callers for the
 * pool. */
uint64_t fp_work_begin(void);
void fp_work_end(uint64_t state); /* the state that fp_work_begin returned */

void fp_yield(void); /* lets another thread run, in a loop that waits for one */

/* Calls task(context, chunk) for chunk 0 to chunks - 1 (at most 65535 chunks), on this thread and up to chunks - 1
 * workers, and returns when all calls have returned. Chunks must be independent of each other; chunk 0 runs on this
 * thread. */
void fp_parallel(fp_task *task, void *context, int chunks);

#endif
