/* The four ways to compute a product: plain loops, tiles, tiles as wide as C, or tiles of its transpose. All sum in the
 * order of k. */
#include "skinny.h"

/* Plain loops, for products of a few elements. Inlined, it would take every other product registers, and 2 ns. */
static void FP(multiply_scalars)(const FP(product) *p)
{
    for (I i = 0; i < p->m; i++) {
        T *c = p->c + i * p->c_stride;
        for (I j = 0; j < p->n; j++) {
            T sum = p->accumulate ? c[j] : p->bias ? p->bias[j] : 0;
            for (I k = 0; k < p->k; k++)
                sum = FP_FMA(p->a[i * p->a_row_stride + k * p->a_col_stride],
                             p->b[k * p->b_row_stride + j * p->b_col_stride], sum);
            if (p->activation == FP_ACTIVATION_relu) {
                int off = p->epilogue == FP_EPILOGUE_FORWARD
                              ? 0 > sum
                              : p->epilogue == FP_EPILOGUE_BACKWARD && !(p->saved[i * p->saved_stride + j] > 0);
                sum = off ? 0 : sum;
            }
            c[j] = sum;
        }
    }
    if (p->activation != FP_ACTIVATION_relu)
        FP(activate_rows)(p, 0, p->m, 0, p->n);
}

/* Whether the tiles of C^T use more lanes than those of C, whose last vectors are mostly empty. C^T costs a copy of A
 * and one of C, which is little from k = 32 on. A C of one contiguous column is a row of C^T, and needs no copy. */
FP_INLINE int FP(is_narrow)(const FP(product) *p)
{
    I vectors = (p->n + L - 1) / L, across = (p->m + L - 1) / L;
    if (p->epilogue == FP_EPILOGUE_BACKWARD || p->n >= FP_NARROW)
        return 0;
    if (p->n == 1 && p->c_stride == 1)
        return 1;
    return p->k >= FP_NARROW_K && 4 * p->n * across <= 3 * p->m * vectors;
}

/* Computes C^T = B^T A^T in scratch and transposes it into C. */
FP_INLINE void FP(multiply_narrow)(const FP(product) *p, T *scratch)
{
    int in_place = p->n == 1 && p->c_stride == 1 && (!p->save_to || p->saved_stride == 1);
    I stride = in_place ? 0 : (p->m + L - 1) / L * L;
    /* clang-format off */
    FP(product) t = {
        .c = in_place ? p->c : scratch, .c_stride = stride, .m = p->n, .n = p->m, .k = p->k,
        .a = p->b, .a_row_stride = p->b_col_stride, .a_col_stride = p->b_row_stride,
        .b = p->a, .b_row_stride = p->a_col_stride, .b_col_stride = p->a_row_stride,
        .save_to = in_place || !p->save_to ? p->save_to : scratch + p->n * stride, .saved_stride = stride,
        .bias = NULL, .saved = NULL, .accumulate = p->accumulate || p->bias,
        .epilogue = p->epilogue, .activation = p->activation, .hyper = p->hyper,
    };
    /* clang-format on */
    for (I j = 0; j < p->n && p->bias; j++)
        for (I i = 0; i < p->m; i += L)
            FP(store_tail)(t.c + j * stride + i, V(set1)(p->bias[j]), p->m - i);
    if (p->accumulate && !in_place)
        FP(transpose)(t.c, stride, p->c, p->c_stride, p->n, p->m);
    FP(multiply_tiles)(&t, in_place ? scratch : scratch + 2 * p->n * stride);
    if (in_place)
        return;
    FP(transpose)(p->c, p->c_stride, t.c, stride, p->m, p->n);
    if (p->save_to)
        FP(transpose)(p->save_to, p->saved_stride, t.save_to, stride, p->m, p->n);
}

FP_INLINE int FP(is_scalar)(const FP(product) *p) { return p->m * p->n * p->k <= FP_SCALAR_PRODUCT; }

/* Computes a product in the fastest of the four ways. Two columns or less are faster as C^T, and so is more where A^T is
 * what lies in memory, since then nothing is copied but C. */
FP_INLINE void FP(multiply)(const FP(product) *p, T *scratch)
{
    if (FP(is_scalar)(p))
        FP(multiply_scalars)(p);
    else if (p->m == 0)
        return;
    else if (FP(is_narrow)(p) && (p->n <= 2 || p->a_row_stride == 1 || !FP(is_skinny)(p)))
        FP(multiply_narrow)(p, scratch);
    else if (FP(is_skinny)(p))
        FP(multiply_skinny)(p, scratch);
    else
        FP(multiply_tiles)(p, scratch);
}
