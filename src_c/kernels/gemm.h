/* The matrix product C = start + A B: the micro-kernel and the loops over blocks that all three products of a dense
 * layer use.
 *
 * A tile of C (mr rows, two vectors wide, or wider if it has one or two rows) stays in registers while k runs: each
 * step loads a row of B and broadcasts one element of each row of A. A is read in place through a row and a column
 * stride. So is B, unless its rows are far apart or its columns, not its rows, are contiguous in memory: then pack.h
 * copies a block of B into panels two vectors wide. A is copied only where all columns of A^T would map to one set of
 * the cache. The blocks are those of Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication",
 * without the packing of A. Data that is read next is prefetched meanwhile. */
#include "product.h"
#include "pack.h"

/* The arguments of a product. */
typedef struct {
    T *c;           /* (m, n), rows c_stride apart */
    const T *a;     /* (m, k): element (i, p) is a[i a_row_stride + p a_col_stride] */
    const T *b;     /* (k, n): element (p, j) is b[p b_row_stride + j b_col_stride]; one of the two strides is 1 */
    const T *bias;  /* (n,): the initial value of each row of C, or NULL: 0 */
    const T *saved; /* (m, n), rows saved_stride apart: what FP_EPILOGUE_BACKWARD reads */
    union {
        T *save_to; /* (m, n), rows saved_stride apart: where FP_EPILOGUE_FORWARD writes it, or NULL */
        T *weights; /* (m, n), rows c_stride apart: what FP_EPILOGUE_SGD updates */
    };
    I m, n, k, c_stride, a_row_stride, a_col_stride, b_row_stride, b_col_stride, saved_stride;
    int accumulate; /* start from the values in C, not from the bias */
    int epilogue;   /* FP_EPILOGUE_... */
    int activation;
    const double *hyper; /* of the activation; for FP_EPILOGUE_SGD (rate, coupled decay, 1 - rate * decoupled decay) */
} FP(product);

/* Tiles that lie side by side: rows i.. and columns j0..j1 of C, for k0..k1 of the sum. */
typedef struct {
    const T *a; /* row i, column k0 */
    const T *b; /* row k0, column j0 */
    I a_row_stride, b_row_stride, a_col_stride;
    I b_panel; /* the distance from one panel of B, two vectors wide, to the next */
    I i, j0, j1, k0, k1;
    /* Each of these tiles prefetches a part of the rows of A that the tiles below read: at every other k, two cache
     * lines that lie prefetch_stride apart, each time prefetch_step further on. The part of the next tile starts
     * prefetch_tile further on. */
    const T *prefetch;
    I prefetch_tile, prefetch_step, prefetch_stride;
} FP(tile_block);

/* Where a tile reads A and B at the current k. */
typedef struct {
    const T *a_rows[(FP_MR + 3) / 4]; /* rows 0, 4, 8, ...; the three rows after each are at 1, 2 and 3 a_row_stride */
    const T *b;
    I a_row_stride, a_row_stride3, a_col_stride, b_row_stride, b_panel;
} FP(cursor);

/* Loads a vector of a row: all of it (`whole`), or its first n lanes. */
FP_INLINE V(t) FP(tile_load)(const T *p, int whole, I n) { return whole ? V(load)(p) : V(load_n)(p, n); }

FP_INLINE void FP(tile_store)(T *p, V(t) x, int whole, I n)
{
    if (whole)
        V(store)(p, x);
    else
        V(store_n)(p, x, n);
}

/* In the following functions, every caller passes constants for mr (rows), nv (vectors) and whole, so that each
 * combination compiles to code without branches. The first `whole` vectors of a row are complete; of the others, vector v
 * has lanes[v] lanes, which may be 0. */

/* Adds the product of one column of A and one row of B to the tile. */
FP_INLINE void FP(tile_step)(V(t) sum[FP_MR][FP_MAX_TILE_VECTORS], FP(cursor) *at, const I *lanes, int mr, int nv,
                             int whole)
{
    V(t) row[FP_MAX_TILE_VECTORS];
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        row[v] = FP(tile_load)(at->b + v / 2 * at->b_panel + v % 2 * L, v < whole, lanes[v]);
    FP_UNROLL_FOR (int r = 0; r < mr; r++) {
        V(t) element = V(set1)(at->a_rows[r / 4][r % 4 == 3 ? at->a_row_stride3 : r % 4 * at->a_row_stride]);
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            sum[r][v] = V(fma)(element, row[v], sum[r][v]);
    }
    FP_UNROLL_FOR (int q = 0; q < (mr + 3) / 4; q++)
        at->a_rows[q] += at->a_col_stride;
    at->b += at->b_row_stride;
}

/* Computes the tile of `width` columns from column j on, whose columns of B start at b. */
FP_INLINE void FP(tile)(const FP(product) *p, const FP(tile_block) *block, const T *b, I j, I width, int mr, int nv,
                        int whole)
{
    T *c = p->c + block->i * p->c_stride + j;
    I c_stride = p->c_stride;
    I lanes[FP_MAX_TILE_VECTORS];
    int epilogue = block->k1 == p->k ? p->epilogue : FP_EPILOGUE_NONE; /* sums are complete after the last block of k */
    int sgd = epilogue == FP_EPILOGUE_SGD;
    V(t) sum[FP_MR][FP_MAX_TILE_VECTORS];

    FP_UNROLL_FOR (int v = whole; v < nv; v++)
        lanes[v] = width < v * L ? 0 : width < (v + 1) * L ? width - v * L : L;
    if (p->accumulate || block->k0 > 0) {
        FP_UNROLL_FOR (int r = 0; r < mr; r++)
            FP_UNROLL_FOR (int v = 0; v < nv; v++)
                sum[r][v] = FP(tile_load)(c + r * c_stride + v * L, v < whole, lanes[v]);
    } else {
        V(t) start[FP_MAX_TILE_VECTORS];
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            start[v] = p->bias ? FP(tile_load)(p->bias + j + v * L, v < whole, lanes[v]) : V(set1)(0);
        FP_UNROLL_FOR (int r = 0; r < mr; r++)
            FP_UNROLL_FOR (int v = 0; v < nv; v++)
                sum[r][v] = start[v];
    }

    FP(cursor) at = {.b = b,
                     .a_row_stride = block->a_row_stride,
                     .a_row_stride3 = 3 * block->a_row_stride,
                     .a_col_stride = block->a_col_stride,
                     .b_row_stride = block->b_row_stride,
                     .b_panel = block->b_panel};
    FP_OPAQUE(at.a_row_stride3);
    /* Opaque, since the compiler would else make an offset for each row, which are more than it has registers. */
    FP_UNROLL_FOR (int q = 0; q < (mr + 3) / 4; q++) {
        at.a_rows[q] = block->a + 4 * q * at.a_row_stride;
        FP_OPAQUE(at.a_rows[q]);
    }
    I depth = block->k1 - block->k0;
    if (whole == nv && depth >= FP_PREFETCH_K) { /* not the one narrower tile that ends a row of them */
        const T *prefetch = block->prefetch + (j - block->j0) / (2 * L) * block->prefetch_tile;
        const T *next = sgd ? p->weights + (c - p->c) : c; /* the first row of C that the next tile reads */
        next += j + nv * L < block->j1 ? nv * L : mr * c_stride - (j - block->j0);
        for (; depth > 2 * mr; depth -= 2) {
            FP_PREFETCH_READ(prefetch);
            FP_PREFETCH_READ(prefetch + block->prefetch_stride);
            prefetch += block->prefetch_step;
            FP(tile_step)(sum, &at, lanes, mr, nv, whole);
            FP(tile_step)(sum, &at, lanes, mr, nv, whole);
        }
        /* the rows of C one after another; fetched earlier, they would be evicted again */
        for (; depth > 1; depth -= 2) {
            FP_PREFETCH_WRITE(next);
            FP_PREFETCH_WRITE(next + L);
            next += c_stride;
            FP(tile_step)(sum, &at, lanes, mr, nv, whole);
            FP(tile_step)(sum, &at, lanes, mr, nv, whole);
        }
    }
    for (; depth > 0; depth--)
        FP(tile_step)(sum, &at, lanes, mr, nv, whole);
    /* Opaque, so that the addresses of C's rows are computed again: held during the loop, they would be spilled. */
    FP_OPAQUE(c);
    FP_OPAQUE(c_stride);

    int in_registers = epilogue != FP_EPILOGUE_NONE && !sgd && p->activation == FP_ACTIVATION_relu;
    FP(params) none = FP(load_params)(NULL);
    if (in_registers && epilogue == FP_EPILOGUE_FORWARD) {
        FP_UNROLL_FOR (int r = 0; r < mr; r++)
            FP_UNROLL_FOR (int v = 0; v < nv; v++)
                sum[r][v] = FP(relu_a)(sum[r][v], none);
    } else if (in_registers) {
        const T *saved = p->saved + block->i * p->saved_stride + j;
        FP_UNROLL_FOR (int r = 0; r < mr; r++)
            FP_UNROLL_FOR (int v = 0; v < nv; v++)
                sum[r][v] = FP(relu_dz)(sum[r][v],
                                        FP(tile_load)(saved + r * p->saved_stride + v * L, v < whole, lanes[v]), none);
    }

    if (sgd) {
        c = p->weights + (c - p->c);
        V(t) rate = FP(broadcast)(p->hyper[0]), decay = FP(broadcast)(p->hyper[1]), shrink = FP(broadcast)(p->hyper[2]);
        FP_UNROLL_FOR (int r = 0; r < mr; r++)
            FP_UNROLL_FOR (int v = 0; v < nv; v++) {
                V(t) w = FP(tile_load)(c + r * c_stride + v * L, v < whole, lanes[v]);
                w = V(fnma)(rate, V(fma)(decay, w, sum[r][v]), V(mul)(shrink, w)); /* the operations of sgd */
                FP(tile_store)(c + r * c_stride + v * L, w, v < whole, lanes[v]);
            }
        return;
    }

    FP_UNROLL_FOR (int r = 0; r < mr; r++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            FP(tile_store)(c + r * c_stride + v * L, sum[r][v], v < whole, lanes[v]);
}

/* Applies an activation that is not computed in registers to `rows` rows of C from row i on, `width` columns from
 * column j on: in one call where the rows are contiguous. */
FP_INLINE void FP(activate_rows)(const FP(product) *p, I i, I rows, I j, I width)
{
    int saves = p->epilogue == FP_EPILOGUE_BACKWARD || p->save_to;
    if (p->c_stride == width && (p->saved_stride == width || !saves))
        width *= rows, rows = 1;
    for (; rows > 0; rows--, i++) {
        T *c = p->c + i * p->c_stride + j;
        if (p->epilogue == FP_EPILOGUE_FORWARD)
            FP(table).forward[p->activation](c, p->save_to ? p->save_to + i * p->saved_stride + j : NULL, width,
                                             p->hyper);
        else if (p->epilogue == FP_EPILOGUE_BACKWARD)
            FP(table).backward[p->activation](c, p->saved + i * p->saved_stride + j, width, p->hyper);
    }
}

/* Applies the activation to mr finished rows of a block, if it is not computed in registers. */
FP_INLINE void FP(activate_tiles)(const FP(product) *p, const FP(tile_block) *block, I mr)
{
    if (p->epilogue != FP_EPILOGUE_NONE && p->epilogue != FP_EPILOGUE_SGD && block->k1 == p->k &&
        p->activation != FP_ACTIVATION_relu)
        FP(activate_rows)(p, block->i, mr, block->j0, block->j1 - block->j0);
}

/* One function for each number of rows computes mr rows tile by tile. A last tile that is narrower than the others has
 * half, a quarter or an eighth of their vectors, and masks the upper half of those: a function for each width would take
 * half as long again to compile and, since each of its sums waits as long, would be no faster. The tiles that exist for mr
 * rows are named one by one: clang spent most of its time on tiles that no branch reaches. */
#define FP_TILE_UP_TO(mr, nv) \
    if (width > nv / 2 * L) \
        FP(tile)(p, block, b, j, width, mr, nv, nv / 2); \
    else
#define FP_TILES(mr, vectors, narrower) \
    static void FP(tiles_##mr)(const FP(product) *p, const FP(tile_block) *block) \
    { \
        const T *b = block->b; \
        for (I j = block->j0; j < block->j1; j += vectors * L, b += vectors / 2 * block->b_panel) { \
            I width = block->j1 - j; \
            if (width >= vectors * L) \
                FP(tile)(p, block, b, j, vectors * L, mr, vectors, vectors); \
            else \
                narrower FP_TILE_UP_TO(mr, 2) FP(tile)(p, block, b, j, width, mr, 1, 0); \
        } \
        FP(activate_tiles)(p, block, mr); \
    }
#define FP_TILES_OF_2(mr) FP_TILES(mr, 2, )
#define FP_TILES_NAME(mr) FP(tiles_##mr),
FP_TILES(1, 8, FP_TILE_UP_TO(1, 8) FP_TILE_UP_TO(1, 4))
FP_TILES(2, 4, FP_TILE_UP_TO(2, 4))
FP_EACH_MR(FP_TILES_OF_2)
static void (*const FP(tiles)[])(const FP(product) *, const FP(tile_block) *) = {NULL, FP(tiles_1), FP(tiles_2),
                                                                                 FP_EACH_MR(FP_TILES_NAME)};
#undef FP_TILE_UP_TO
#undef FP_TILES
#undef FP_TILES_OF_2
#undef FP_TILES_NAME

/* Divides the prefetching of the next rows of A among the tiles of a block. */
FP_INLINE void FP(plan_prefetch)(FP(tile_block) *block, I rows)
{
    I tiles = (block->j1 - block->j0 + 2 * L - 1) / (2 * L);
    if (block->a_col_stride == 1) { /* each tile prefetches some of the rows, along k */
        block->prefetch_tile = (rows + tiles - 1) / tiles * block->a_row_stride;
        block->prefetch_step = 2;
        block->prefetch_stride = block->a_row_stride;
    } else { /* each tile prefetches some k, the first and the last row of each */
        block->prefetch_tile = (block->k1 - block->k0) / tiles * block->a_col_stride;
        block->prefetch_step = block->a_col_stride;
        block->prefetch_stride = (rows - 1) * block->a_row_stride;
    }
}

/* Computes the product by tiles: for each block of B, all rows of A, so that a tile's rows of A stay in L1
 * meanwhile. */
static void FP(multiply_tiles)(const FP(product) *p, T *scratch)
{
    /* The rows are distributed evenly, since a tile of one row leaves most of the registers unused: tiles have
     * tile_rows rows, and one row less from row short_from on. One more tile may make all tiles alike: then one
     * function serves them all, which saves 3% of a step of 32 rows. */
    I tiles = (p->m + FP_MR - 1) / FP_MR;
    if (p->m % tiles && p->m % (tiles + 1) == 0 && p->m > FP_MR / 2 * (tiles + 1))
        tiles++;
    I tile_rows = (p->m + tiles - 1) / tiles, short_from = (p->m - tiles * (tile_rows - 1)) * tile_rows;
    I b_row_bytes = p->b_row_stride * (I)sizeof(T);
    int packs_a = FP_PACK_PAGES == 1 && p->a_row_stride == 1 &&
                  p->a_col_stride * (I)sizeof(T) % FP_PACK_ROW_BYTES == 0 && p->n > FP_PACK_TILES * 2 * L;
    T *tile = scratch, *panels = scratch + FP_TILE_SCRATCH((I)sizeof(T));
    int packs_b = p->b_col_stride != 1 || (tiles > FP_PACK_TILES && b_row_bytes >= FP_PACK_PAGES * FP_PACK_ROW_BYTES);
    I block_n = FP_BLOCK_N_BYTES / sizeof(T), block_k = FP_BLOCK_K_BYTES / sizeof(T);
    I depth = p->k < block_k ? p->k : block_k;
    int prefetches = p->m * depth * (I)sizeof(T) >= FP_PREFETCH_BYTES; /* A does not stay in the cache */
    if (p->b_col_stride != 1 && !prefetches && depth * p->n * (I)sizeof(T) >= FP_PANEL_BYTES) {
        /* the columns that a tile reads at once, or more if they stay in L1 */
        I cached =
            FP_TILE_VECTORS(tile_rows) > 2 ? 2 * FP_PANEL_BYTES / (depth * (I)sizeof(T)) / (2 * L) * (2 * L) : 2 * L;
        block_n = cached < 2 * L ? 2 * L : cached < block_n ? cached : block_n;
    }
    for (I n0 = 0; n0 < p->n; n0 += block_n)
        for (I k0 = 0; k0 < p->k || k0 == 0; k0 += block_k) {
            I n1 = n0 + block_n < p->n ? n0 + block_n : p->n;
            I k1 = k0 + block_k < p->k ? k0 + block_k : p->k;
            FP(tile_block) block = {.b = p->b + k0 * p->b_row_stride + n0 * p->b_col_stride,
                                    .b_row_stride = p->b_row_stride,
                                    .b_panel = 2 * L,
                                    .a_row_stride = p->a_row_stride,
                                    .a_col_stride = p->a_col_stride,
                                    .j0 = n0,
                                    .j1 = n1,
                                    .k0 = k0,
                                    .k1 = k1};
            if (packs_b) {
                if (p->b_col_stride == 1)
                    FP(pack)(panels, block.b, p->b_row_stride, k1 - k0, n1 - n0);
                else
                    FP(pack_transposed)(panels, block.b, p->b_col_stride, k1 - k0, n1 - n0);
                block.b = panels;
                block.b_row_stride = 2 * L;
                block.b_panel = 2 * L * (k1 - k0);
            }
            if (prefetches)
                FP(plan_prefetch)(&block, tile_rows);
            block.prefetch = p->a + k0 * p->a_col_stride;
            for (I rows = tile_rows; block.i < p->m; block.i += rows) {
                rows -= block.i == short_from;
                block.a = block.prefetch;
                block.prefetch += rows * p->a_row_stride;
                if (packs_a) {
                    FP(pack_tile)(tile, block.a, p->a_col_stride, k1 - k0, rows);
                    block.a = tile;
                    block.a_col_stride = rows;
                }
                FP(tiles)[rows](p, &block);
            }
        }
}
