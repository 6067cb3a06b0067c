/* The choice of the kernel table by ISA, the list of kernels' signatures, and the size of their scratch memory. */
#include "core.h"
#include "kernels/product.h"

#include <string.h>

#define FP_STRING_(x) #x
#define FP_STRING(x) FP_STRING_(x)

const fp_signature fp_signatures[] = {
#define FP_KERNEL(name, args) {#name, "kernel", #args, offsetof(fp_kernels, name)},
#define FP_ACTIVATION(name, saves) \
    {#name "_forward", "forward", FP_STRING(FP_FORWARD_ARGS), offsetof(fp_kernels, forward[FP_ACTIVATION_##name])}, \
        {#name "_backward", "backward", FP_STRING(FP_BACKWARD_ARGS), \
         offsetof(fp_kernels, backward[FP_ACTIVATION_##name])},
#define FP_LOSS(name) {#name, "loss", FP_STRING(FP_LOSS_ARGS), offsetof(fp_kernels, loss[FP_LOSS_##name])},
#define FP_OPTIMIZER(name) \
    {#name, "optimizer", FP_STRING(FP_OPTIMIZER_ARGS), offsetof(fp_kernels, optimizer[FP_OPTIMIZER_##name])},
#include "kernels.def"
    {NULL, NULL, NULL, 0},
};

const int fp_activation_saves[FP_N_ACTIVATIONS] = {
#define FP_ACTIVATION(name, saves) saves,
#include "kernels.def"
};

/* setup.py's table of ISAs defines FP_BUILD_* for those that this compiler and target can build. */
#define FP_TABLES(isa) \
    extern const fp_kernels fp_table_f32__##isa, fp_table_f64__##isa; \
    static const fp_kernels *const isa##_kernels[2] = {&fp_table_f32__##isa, &fp_table_f64__##isa};
#ifdef FP_BUILD_NEON
FP_TABLES(neon)
#endif
#ifdef FP_BUILD_AVX2
FP_TABLES(avx2)
#endif
#ifdef FP_BUILD_AVX512
FP_TABLES(avx512)
#endif

fp_isa fp_isas[] = {
    {"portable", fp_cpu_has_any, NULL}, /* its kernels are compiled by Cython and set by _engine.pyx at import */
#ifdef FP_BUILD_NEON
    {"neon", fp_cpu_has_neon, neon_kernels},
#endif
#ifdef FP_BUILD_AVX2
    {"avx2", fp_cpu_has_avx2, avx2_kernels},
#endif
#ifdef FP_BUILD_AVX512
    {"avx512", fp_cpu_has_avx512, avx512_kernels},
#endif
    {NULL, NULL, NULL},
};

const fp_isa *fp_select_isa(const char *name)
{
    const fp_isa *selected = NULL;
    for (const fp_isa *isa = fp_isas; isa->name; isa++)
        if (isa->kernels && isa->supported() && (!name || !strcmp(name, isa->name)))
            selected = isa;
    return selected;
}

static ptrdiff_t min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

static ptrdiff_t max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

static ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t unit) { return (n + unit - 1) / unit * unit; }

/* How many elements fit in a number of bytes. A prediction of one row asks 36 times, and would notice divisions. */
static ptrdiff_t elements(ptrdiff_t bytes, ptrdiff_t size) { return size == 4 ? bytes / 4 : bytes / 8; }

/* Elements of scratch for multiply_tiles and multiply_skinny: packed panels of B and rows of A, at most. */
static ptrdiff_t tiles_scratch(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, ptrdiff_t size)
{
    ptrdiff_t panel = (k + 1) * (n + FP_MOST_COLUMNS), rows = m * (k + FP_ROW_SLACK);
    ptrdiff_t most = FP_REUSES_PANELS(m, k, size) ? FP_KEPT_BYTES : FP_MOST_PANEL_BYTES;
    return min(panel, elements(most, size) + FP_MOST_COLUMNS) + min(rows, elements(FP_MOST_ROWS_BYTES, size)) +
           FP_MOST_LANES;
}

/* Elements of scratch for a product C (m, n) = A (m, k) B (k, n). A narrow C takes memory for C^T, what its activation
 * saves, and their product. */
static ptrdiff_t product_scratch(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, ptrdiff_t size)
{
    ptrdiff_t tiles = tiles_scratch(m, n, k, size);
    if (n < FP_NARROW)
        tiles = max(tiles, 2 * n * round_up(m, FP_MOST_LANES) + tiles_scratch(n, m, k, size));
    return tiles;
}

ptrdiff_t fp_scratch(ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t size)
{
    ptrdiff_t forward = product_scratch(rows, n_out, n_in, size), input = product_scratch(rows, n_in, n_out, size);
    return max(max(forward, input), product_scratch(n_in, n_out, rows, size));
}
