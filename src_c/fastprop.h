/* fastprop's C interface: the kernel table, its dispatch, and what the engine needs of the machine.
 *
 * Nothing here fails, prints, aborts or touches Python; arguments were checked at the door (fastprop/_validation.py). */
#ifndef FASTPROP_H
#define FASTPROP_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FP_EXPORT __declspec(dllexport)
#else
#define FP_EXPORT __attribute__((visibility("default")))
#endif

/* ---- the kernel table, derived from kernels.def ---- */

/* One table type serves both dtypes: in it T is void, and the dtype is the table's. Every ABI that we build for passes
 * all object pointers alike, so that a typed kernel is called through the untyped entry. */
#define T void
#define I ptrdiff_t
#define FP_KERNEL(name, args) typedef void fp_##name args;
#include "kernels.def"

/* These four argument lists are contracts of kernels.def too; fp_signatures() and the typed bodies share them. */
#define FP_FORWARD_ARGS (T *a, T *saved, I n, const double *hyper)
#define FP_BACKWARD_ARGS (T *dz, const T *saved, I n, const double *hyper)
#define FP_LOSS_ARGS (double *cost, T *da, const T *a, const T *y, const int64_t *label, const T *weight, I rows, I n, I n_y, \
                      double scale, const double *hyper)
#define FP_OPTIMIZER_ARGS (T *theta, T *state, const T *gradient, I n, I stride, double rate, const double *hyper)
typedef void fp_activation_forward FP_FORWARD_ARGS;
typedef void fp_activation_backward FP_BACKWARD_ARGS;
typedef void fp_loss FP_LOSS_ARGS;
typedef void fp_optimizer FP_OPTIMIZER_ARGS;
#undef T
#undef I

enum { FP_HYPER = 16 }; /* numbers that an activation, a loss (quantile has most) or a step of an optimiser may take */
enum { FP_MEMORY = 4 }; /* numbers that an optimiser remembers from step to step, beside its state arrays; they start at 1 */
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
    ptrdiff_t size;    /* of an element, in bytes */
    ptrdiff_t lanes;   /* elements of a vector: about so many times faster than plain loops it is */
#define FP_KERNEL(name, args) fp_##name *name;
#include "kernels.def"
    fp_activation_forward *forward[FP_N_ACTIVATIONS];
    fp_activation_backward *backward[FP_N_ACTIVATIONS];
    fp_loss *loss[FP_N_LOSSES];
    fp_optimizer *optimizer[FP_N_OPTIMIZERS];
} fp_kernels;

/* One line of the list, for tests and benchmarks: kind is "kernel", "forward", "backward", "loss" or "optimizer";
 * `offset` is where the entry lies in fp_kernels. The array ends with a NULL name. */
typedef struct fp_signature {
    const char *name, *kind, *arguments;
    size_t offset;
} fp_signature;
extern const fp_signature fp_signatures[];

extern const int fp_activation_saves[FP_N_ACTIVATIONS]; /* FP_SAVES_... */

/* How many elements, of `size` bytes each, of scratch the dense_* kernels may use for a layer of this shape. */
ptrdiff_t fp_scratch(ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t size);

/* The numbers of an optimiser's next step, which its kernel takes as hyper: now (FP_HYPER,) from hyper (FP_HYPER,), as its
 * class in optimizers.py has them, and memory (FP_MEMORY,). `after` is what memory becomes once the step is taken. Returns 0
 * where both are the same in every step. */
int fp_optimizer_begin(int optimizer, double *now, double *after, const double *memory, const double *hyper);

/* ---- indices that stand in a user's arrays ----
 *
 * They were checked at the door, but the array is the user's own, which a callback or another thread may write into at any
 * time. So each use reads an index once (volatile: the compiler must not read it again) and checks what it read: the index,
 * or -1 where it is not in [0, n). */

static inline ptrdiff_t fp_label(const int64_t *label, int64_t n)
{
    int64_t read = *(const volatile int64_t *)label;
    return read >= 0 && read < n ? (ptrdiff_t)read : -1;
}

/* The comparisons come first: to convert NaN, or a number too large for an integer, is undefined in C. */
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

/* ---- dispatch: which table serves ---- */

typedef struct fp_isa {
    const char *name;
    int (*supported)(void);     /* by this CPU and its operating system */
    const fp_kernels *const *kernels; /* [0] float32, [1] float64 */
} fp_isa;

/* What this build holds, slowest first; entry 0 is `portable`. Ends with a NULL name. */
extern fp_isa fp_isas[];

/* Makes `name` serve, or the fastest supported one where it is NULL. Returns NULL where it is unknown or unsupported. */
const fp_isa *fp_select_isa(const char *name);

/* ---- the machine ---- */

int fp_cpu_has_any(void);
int fp_cpu_has_avx2(void);   /* x86-64-v3: AVX2, FMA, BMI1, BMI2, F16C, and the OS saves ymm */
int fp_cpu_has_avx512(void); /* x86-64-v4: v3 and AVX-512 F, BW, CD, DQ, VL, and the OS saves zmm */
int fp_cpu_has_neon(void);
void fp_cpu_name(char name[49]);

/* Flushes denormals from here on this thread; give what it returns to fp_denormals_restore. */
uint64_t fp_denormals_flush(void);
void fp_denormals_restore(uint64_t state);

double fp_clock(void); /* seconds, monotonic */

/* 64-byte-aligned zeroed memory, or NULL; counted, so that a test can assert that a training step takes none. */
void *fp_allocate(size_t bytes);
void fp_free(void *memory);
int64_t fp_allocations(void);

/* ---- the thread pool ---- */

typedef void fp_task(void *context, int chunk);

enum { FP_MAX_THREADS = 256 };

void fp_threads_init(void); /* once, at import */
int fp_forks(void); /* how many lie between the process that imported fastprop and this one */

/* How many threads one job may use, 1 to FP_MAX_THREADS (what is outside is brought in). Exported, so that whoever looks
 * for thread pools in a process, as threadpoolctl does, finds this one. */
FP_EXPORT int fp_get_num_threads(void);
FP_EXPORT void fp_set_num_threads(int n);

/* Around all work of one caller: flushes denormals, and lets the pool know how many callers there are. */
uint64_t fp_work_begin(void);
void fp_work_end(uint64_t state); /* what fp_work_begin returned */

/* Does task(context, 0 .. chunks - 1), at most 65535 chunks, on this thread and up to chunks - 1 others, and returns when all
 * are done. The chunks must not depend on one another; chunk 0 is done on this thread. */
void fp_parallel(fp_task *task, void *context, int chunks);

#endif
