/* The matrix product C = start + A B: the micro-kernel and the loops over blocks that all three products of a dense
 * layer use.
 *
 * A tile of C (mr rows, two vectors wide, or wider if it has one or two rows, or in large products) stays in registers
 * while k runs: each step loads a row of B and broadcasts one element of each row of A. The blocks are those of Goto and
 * van de Geijn 2008, "Anatomy of high-performance matrix multiplication", and of BLIS: a panel of B, as wide as a tile,
 * stays in L1 while the rows of A, which stay in L2, pass by. The first tile reads the panel in place and stores a
 * packed copy, which all tiles below read; meanwhile they prefetch the next panel. A is packed where it would be read
 * across its rows, or where its rows do not stay in the caches. Small products read both matrices in place, for each
 * tile's rows of A all columns of B. */
#include "product.h"
#include "pack.h"

/* The arguments of a product. */
typedef struct {
    T *c;           /* (m, n), rows c_stride apart */
    const T *a;     /* (m, k): element (i, p) is a[i a_row_stride + p a_col_stride]; one of the two strides is 1 */
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

/* A block of tiles: rows i.. and columns j0..j1 of C, for k0..k1 of the sum. Fields that are neighbours in a product are
 * none here: compilers would copy two with one load, which waits 4 ns for the two stores just before. */
typedef struct {
    const T *a; /* row i, column k0 */
    I a_row_stride;
    const T *b; /* row k0, column j0 */
    I b_row_stride;
    I a_tile; /* the distance from the rows of A of one tile to those of the next */
    I a_col_stride;
    T *packed; /* the packed copy of the columns of B, rows packed_stride apart, or NULL */
    I packed_stride;
    int packs; /* the first tile makes that copy */
    I i, tiles, j0, j1, k0, k1;
    /* While it computes, each tile prefetches a part of the next columns of B: at each of prefetch_steps k, two cache
     * lines prefetch_pair apart, each time prefetch_step further on. The part of the next tile is prefetch_tile further
     * on. NULL: neither these nor the next tile of C are prefetched. */
    const T *prefetch;
    I prefetch_tile, prefetch_pair, prefetch_step, prefetch_steps;
} FP(tile_block);

/* Where a tile reads A and B at the current k. */
typedef struct {
    /* Rows 0, 4, 8, ...; the three rows after each are at 1, 2 and 3 a_row_stride. Of A^T, row 0 only. */
    const T *a_rows[(FP_MR + 3) / 4];
    const T *b;
    I a_row_stride, a_row_stride3, a_col_stride, b_row_stride;
    T *packed; /* where the row of B is copied to, or NULL */
    I packed_stride;
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

/* In the following functions, every caller passes constants for mr (rows), nv (vectors), whole and transposed, so that each
 * combination compiles to code without branches. The first `whole` vectors of a row are complete; of the others, vector v
 * has lanes[v] lanes, which may be 0. */

/* Adds the product of one column of A and one row of B to the tile. That one stride of A is the constant 1 makes the
 * addresses cheap: deep products take AVX2 3 to 6% less time. */
FP_INLINE void FP(tile_step)(V(t) sum[FP_MR][FP_MAX_TILE_VECTORS], FP(cursor) *at, const I *lanes, int mr, int nv,
                             int whole, int transposed, int packs)
{
    V(t) row[FP_MAX_TILE_VECTORS];
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        row[v] = FP(tile_load)(at->b + v * L, v < whole, lanes[v]);
    FP_UNROLL_FOR (int v = 0; packs && v < nv; v++)
        V(store)(at->packed + v * L, row[v]);
    FP_UNROLL_FOR (int r = 0; r < mr; r++) {
        V(t) element =
            V(set1)(transposed ? at->a_rows[0][r]
                               : at->a_rows[r / 4][r % 4 == 3 ? at->a_row_stride3 : r % 4 * at->a_row_stride]);
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            sum[r][v] = V(fma)(element, row[v], sum[r][v]);
    }
    if (transposed)
        at->a_rows[0] += at->a_col_stride;
    FP_UNROLL_FOR (int q = 0; q < (mr + 3) / 4; q++)
        at->a_rows[q] += !transposed;
    at->b += at->b_row_stride;
    at->packed += packs ? at->packed_stride : 0;
}

/* Adds the products of all k of a block to the tile. Meanwhile it prefetches the next columns of B, from `prefetch` on, and
 * the rows of the next tile of C, c_stride apart from `next` on, unless `prefetch` is NULL. */
FP_INLINE void FP(tile_sum)(V(t) sum[FP_MR][FP_MAX_TILE_VECTORS], FP(cursor) *at, const FP(tile_block) *block,
                            const T *prefetch, const T *next, I c_stride, const I *lanes, int mr, int nv, int whole,
                            int transposed, int packs)
{
    I depth = block->k1 - block->k0;
    if (prefetch) {
        I steps = block->prefetch_steps < depth ? block->prefetch_steps : depth;
        for (depth -= steps; steps > 0; steps--, prefetch += block->prefetch_step) {
            FP_PREFETCH_READ(prefetch);
            FP_PREFETCH_READ(prefetch + block->prefetch_pair);
            FP(tile_step)(sum, at, lanes, mr, nv, whole, transposed, packs);
        }
        steps = mr < depth ? mr : depth;
        for (depth -= steps; steps > 0; steps--, next += c_stride) {
            FP_PREFETCH_WRITE(next);
            FP_PREFETCH_WRITE(next + nv * L - 1);
            FP(tile_step)(sum, at, lanes, mr, nv, whole, transposed, packs);
        }
    }
    for (; depth > 0; depth--)
        FP(tile_step)(sum, at, lanes, mr, nv, whole, transposed, packs);
}

/* A step of sgd on the weights from c on, of which the tile is the gradient; without weight decay a third of the
 * operations. `decays` is a constant. */
FP_INLINE void FP(tile_sgd)(V(t) sum[FP_MR][FP_MAX_TILE_VECTORS], T *c, I c_stride, const double *hyper, const I *lanes,
                            int mr, int nv, int whole, int decays)
{
    V(t) rate = FP(broadcast)(hyper[0]), decay = FP(broadcast)(hyper[1]), shrink = FP(broadcast)(hyper[2]);
    FP_UNROLL_FOR (int r = 0; r < mr; r++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++) {
            V(t) w = FP(tile_load)(c + r * c_stride + v * L, v < whole, lanes[v]);
            w = FP(sgd_step)(w, FP(sgd_gradient)(w, sum[r][v], decay, decays), rate, shrink, decays);
            FP(tile_store)(c + r * c_stride + v * L, w, v < whole, lanes[v]);
        }
}

/* Multiplies the tile by the g' of what was saved from `saved` on; dg is NAME_dz of an activation. */
FP_INLINE void FP(tile_backward)(V(t) sum[FP_MR][FP_MAX_TILE_VECTORS], const T *saved, I saved_stride, const I *lanes,
                                 int mr, int nv, int whole, V(t) (*dg)(V(t), V(t), FP(params)))
{
    FP(params) none = FP(load_params)(NULL);
    FP_UNROLL_FOR (int r = 0; r < mr; r++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            sum[r][v] = dg(sum[r][v], FP(tile_load)(saved + r * saved_stride + v * L, v < whole, lanes[v]), none);
}

/* Computes the tile of rows i.. and of `width` columns from column j on, whose rows of A and columns of B start at a and
 * b. */
FP_INLINE void FP(tile)(const FP(product) *p, const FP(tile_block) *block, const T *a, const T *b, const T *prefetch,
                        I i, I j, I width, int mr, int nv, int whole, int packs)
{
    T *c = p->c + i * p->c_stride + j;
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
                     .packed = packs ? block->packed + j - block->j0 : NULL,
                     .packed_stride = block->packed_stride};
    FP_OPAQUE(at.a_row_stride3);
    /* Opaque, since the compiler would else make an offset for each row, which are more than it has registers. */
    FP_UNROLL_FOR (int q = 0; q < (mr + 3) / 4; q++) {
        at.a_rows[q] = a + 4 * q * at.a_row_stride;
        FP_OPAQUE(at.a_rows[q]);
    }
    const T *next = (sgd ? p->weights + (c - p->c) : c) + mr * c_stride; /* the tile below */
    if (at.a_col_stride == 1)
        FP(tile_sum)(sum, &at, block, prefetch, next, c_stride, lanes, mr, nv, whole, 0, packs);
    else
        FP(tile_sum)(sum, &at, block, prefetch, next, c_stride, lanes, mr, nv, whole, 1, packs);
    /* Opaque, so that the addresses of C's rows are computed again: held during the loop, they would be spilled. */
    FP_OPAQUE(c);
    FP_OPAQUE(c_stride);

    int relu = p->activation == FP_ACTIVATION_relu;
    FP(params) none = FP(load_params)(NULL);
    if (epilogue == FP_EPILOGUE_FORWARD && relu) {
        FP_UNROLL_FOR (int r = 0; r < mr; r++)
            FP_UNROLL_FOR (int v = 0; v < nv; v++)
                sum[r][v] = FP(relu_a)(sum[r][v], none);
    } else if (epilogue == FP_EPILOGUE_BACKWARD) {
        const T *saved = p->saved + i * p->saved_stride + j;
        if (relu)
            FP(tile_backward)(sum, saved, p->saved_stride, lanes, mr, nv, whole, FP(relu_dz));
        else if (p->activation == FP_ACTIVATION_tanh)
            FP(tile_backward)(sum, saved, p->saved_stride, lanes, mr, nv, whole, FP(tanh_dz));
    }

    if (sgd) {
        c = p->weights + (c - p->c);
        if (FP(sgd_decays)(p->hyper[1], p->hyper[2]))
            FP(tile_sgd)(sum, c, c_stride, p->hyper, lanes, mr, nv, whole, 1);
        else
            FP(tile_sgd)(sum, c, c_stride, p->hyper, lanes, mr, nv, whole, 0);
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

/* One function for each number of rows computes the tiles of mr rows of a block. A last tile that is narrower than the
 * others has half, a quarter or an eighth of their vectors, and masks the upper half of those: a function for each width
 * would take half as long again to compile and, since each of its sums waits as long, would be no faster. The tiles that
 * exist for mr rows are named one by one: clang spent most of its time on tiles that no branch reaches. */
#define FP_TILE_UP_TO(mr, nv) \
    if (width > nv / 2 * L) \
        FP(tile)(p, block, a, b, NULL, i, j, width, mr, nv, nv / 2, 0); \
    else
#define FP_TILES(name, mr, vectors, narrower) \
    static void FP(name##_##mr)(const FP(product) *p, const FP(tile_block) *block) \
    { \
        const T *a = block->a; \
        for (I tile = 0, i = block->i; tile < block->tiles; tile++, i += mr, a += block->a_tile) { \
            const T *b = block->b; \
            const T *prefetch = block->prefetch ? block->prefetch + tile * block->prefetch_tile : NULL; \
            for (I j = block->j0; j < block->j1; j += vectors * L, b += vectors * L) { \
                I width = block->j1 - j; \
                if (width >= vectors * L) \
                    FP(tile)(p, block, a, b, prefetch, i, j, vectors * L, mr, vectors, vectors, 0); \
                else \
                    narrower FP_TILE_UP_TO(mr, 2) FP(tile)(p, block, a, b, NULL, i, j, width, mr, 1, 0, 0); \
            } \
        } \
    }
/* The first tiles of a block, of all mr rows, pack the columns of B that they read: the copy costs nothing, since the FMAs
 * take longer. */
#define FP_PACKING_TILES(name, mr, vectors) \
    static void FP(name)(const FP(product) *p, const FP(tile_block) *block) \
    { \
        const T *a = block->a, *b = block->b, *prefetch = block->prefetch; \
        for (I i = block->i, j = block->j0; j < block->j1; j += vectors * L, b += vectors * L) \
            if (block->j1 - j >= vectors * L) \
                FP(tile)(p, block, a, b, prefetch, i, j, vectors * L, mr, vectors, vectors, 1); \
            else \
                FP(tile)(p, block, a, b, prefetch, i, j, 2 * L, mr, 2, 2, 1); \
    }
#define FP_TILES_OF_2(mr) FP_TILES(tiles, mr, 2, )
#define FP_TILES_NAME(mr) FP(tiles_##mr),
FP_TILES(tiles, 1, 8, FP_TILE_UP_TO(1, 8) FP_TILE_UP_TO(1, 4))
FP_TILES(tiles, 2, 4, FP_TILE_UP_TO(2, 4))
FP_EACH_MR(FP_TILES_OF_2)
FP_PACKING_TILES(packing_tiles, FP_MR, 2)

/* The tiles of a product that packs B. */
typedef struct {
    I mr, columns; /* of a full tile */
    void (*pack)(const FP(product) *, const FP(tile_block) *);
    void (*tiles[FP_MR + 1])(const FP(product) *, const FP(tile_block) *); /* of 1, 2, ... mr rows */
} FP(shape);

static const FP(shape)
    FP(plain_shape) = {FP_MR, 2 * L, FP(packing_tiles), {NULL, FP(tiles_1), FP(tiles_2), FP_EACH_MR(FP_TILES_NAME)}};
#ifdef FP_WIDE_MR
#define FP_TILES_OF_3(mr) \
    FP_TILES(wide_tiles, mr, 3, if (width > 2 * L) FP(tile)(p, block, a, b, NULL, i, j, width, mr, 3, 2, 0); else)
#define FP_WIDE_TILES_NAME(mr) FP(wide_tiles_##mr),
FP_EACH_WIDE_MR(FP_TILES_OF_3)
FP_PACKING_TILES(packing_wide_tiles, FP_WIDE_MR, 3)
static const FP(shape)
    FP(wide_shape) = {FP_WIDE_MR, 3 * L, FP(packing_wide_tiles), {NULL, FP_EACH_WIDE_MR(FP_WIDE_TILES_NAME)}};
#undef FP_TILES_OF_3
#undef FP_WIDE_TILES_NAME
#endif
#undef FP_TILE_UP_TO
#undef FP_TILES
#undef FP_PACKING_TILES
#undef FP_TILES_OF_2
#undef FP_TILES_NAME

/* Divides the prefetching of the next panel of B, whose first `width` columns start at `next`, among `tiles` tiles. */
FP_INLINE void FP(plan_prefetch)(FP(tile_block) *block, const T *next, I stride, int transposed, I tiles, I width)
{
    I depth = block->k1 - block->k0, line = 64 / (I)sizeof(T);
    block->prefetch = next;
    if (transposed) { /* each tile prefetches some columns, along k, two at a time */
        I columns = (width + tiles - 1) / tiles;
        block->prefetch_tile = columns * stride;
        block->prefetch_pair = columns / 2 * stride;
        block->prefetch_step = line;
        block->prefetch_steps = depth / line;
    } else { /* each tile prefetches some rows, both ends of each */
        I rows = (depth + tiles - 1) / tiles;
        block->prefetch_tile = rows * stride;
        block->prefetch_pair = width - 1;
        block->prefetch_step = stride;
        block->prefetch_steps = rows;
    }
}

/* Whether an activation remains to be applied to finished elements of C, since it is not computed in registers: that of
 * relu is, and that of tanh backward, which take two or three operations. */
FP_INLINE int FP(activates)(const FP(product) *p)
{
    if (p->epilogue == FP_EPILOGUE_BACKWARD && p->activation == FP_ACTIVATION_tanh)
        return 0;
    return (p->epilogue == FP_EPILOGUE_FORWARD || p->epilogue == FP_EPILOGUE_BACKWARD) &&
           p->activation != FP_ACTIVATION_relu;
}

FP_INLINE I FP(smaller)(I a, I b) { return a < b ? a : b; }

FP_INLINE I FP(larger)(I a, I b) { return a > b ? a : b; }

/* How many of n items of `each` bytes are in a block of at most `bytes`: all, or else a multiple of `unit`, of as many as
 * possible. That all fit is found without a division, whose time small products would notice. */
FP_INLINE I FP(fill)(I n, I each, I bytes, I unit)
{
    return n * each <= bytes ? FP(larger)(n, 1) : FP(larger)(bytes / (each * unit), 1) * unit;
}

/* The same, but n items are dealt evenly into such blocks. */
FP_INLINE I FP(deal)(I n, I each, I bytes, I unit)
{
    I most = FP(fill)(n, each, bytes, unit);
    if (n <= most)
        return most;
    I blocks = (n + most - 1) / most;
    return (n + blocks * unit - 1) / (blocks * unit) * unit;
}

/* The largest power of two that divides the bytes from row to row: rows that are such a power apart map to so few sets of
 * a cache that they need as much of it as if each were that long. */
FP_INLINE I FP(spread)(I stride)
{
    I bytes = stride * (I)sizeof(T);
    return bytes & -bytes;
}

/* The columns of C in whole tiles. */
FP_INLINE I FP(whole_tiles)(const FP(product) *p)
{
    I columns = FP_TILE_VECTORS(p->m) * L;
    return (p->n + columns - 1) & -columns;
}

FP_INLINE const FP(shape) *FP(choose_shape)(const FP(product) *p)
{
    (void)p;
#ifdef FP_WIDE_MR
    if (p->n >= FP_WIDE_VECTORS * L && p->m > FP_MR)
        return &FP(wide_shape);
#endif
    return &FP(plain_shape);
}

/* The sizes of the blocks of a product, and which of its matrices are packed. */
typedef struct {
    I k, m, n;
    I kept; /* the columns of B whose packed panels are kept for the blocks of rows below; 0: one panel at a time */
    int packs_a, packs_b;
    const FP(shape) *shape; /* of its tiles, where B is packed */
} FP(blocks);

FP_INLINE FP(blocks) FP(choose_blocks)(const FP(product) *p)
{
    I size = sizeof(T), columns = FP_TILE_VECTORS(p->m) * L, tiles = (p->m + FP_MR - 1) / FP_MR;
    I wide = FP(whole_tiles)(p), k = FP(deal)(p->k, columns * size, FP_PANEL_BYTES, 1);
    FP(blocks) blocks = {.k = k,
                         .m = p->m,
                         .n = wide,
                         .kept = 0,
                         .packs_a = 0,
                         .packs_b = p->b_col_stride != 1,
                         .shape = &FP(plain_shape)};
    int leaves_l2 = k * FP(spread)(p->b_row_stride) > fp_caches.l2 / 2 || p->k * wide * size > fp_caches.l2;
    if (tiles > (leaves_l2 ? FP_PACK_FAR_TILES : FP_PACK_TILES))
        blocks.packs_b |= p->k * p->b_row_stride * size > FP_PANEL_BYTES;
    if (!blocks.packs_b) { /* the order of these tiles keeps their rows of A in L1 and B in L2 */
        blocks.k = FP(deal)(p->k, FP_MR * size, FP_PANEL_BYTES, 1);
        blocks.n = FP(fill)(wide, blocks.k * size, fp_caches.l2 / 2, columns);
        if (FP(activates)(p)) /* while they are in L1 */
            blocks.m = FP(deal)(p->m, blocks.n * size, FP_PANEL_BYTES, FP_MR);
        return blocks;
    }
    blocks.shape = FP(choose_shape)(p);
    columns = FP(larger)(columns, blocks.shape->columns);
    wide = (p->n + columns - 1) / columns * columns;
    blocks.n = FP(fill)(wide, k * size, FP_PANEL_BYTES, columns);
    if (tiles > FP_PACK_TILES && p->n >= FP_PACK_VECTORS * L) {
        int many = p->n >= 2 * FP_PACK_VECTORS * L;
        if (p->a_col_stride != 1)
            blocks.packs_a = many || k * FP(spread)(p->a_col_stride) > fp_caches.l1 / 2;
        else
            blocks.packs_a = (many && p->a_row_stride * size >= FP_PACK_ROW_BYTES) ||
                             p->m * FP(spread)(p->a_row_stride) > fp_caches.l2 / 2 ||
                             blocks.shape->mr * FP(spread)(p->a_row_stride) + blocks.n * k * size >= fp_caches.l1;
    }
    blocks.m = FP(deal)(p->m, (k + FP_ROW_SLACK) * size, FP_ROWS_BYTES, blocks.shape->mr);
    if (blocks.m < p->m && FP_REUSES_PANELS(p->m, p->k, size))
        blocks.kept = FP(fill)(wide, k * size, FP_KEPT_BYTES, blocks.n);
    return blocks;
}

/* Groups of tiles of the same number of rows, from the top to the bottom of a block. */
typedef struct {
    I rows, tiles; /* of a tile; 0 tiles: no such group */
} FP(group);

/* Divides the rows of a block among tiles; returns the number of tiles. The first tile, which packs B if `packs`, has all
 * mr rows. The rows of the others are distributed evenly, since a tile of one row leaves most of the registers unused:
 * the last tiles have one row less. One more tile may make them all alike: then one function serves them all, which saves
 * 3% of a step of 32 rows. */
FP_INLINE I FP(deal_tiles)(FP(group) groups[3], I rows, I mr, int packs)
{
    packs = packs && rows >= mr;
    rows -= packs * mr;
    I tiles = (rows + mr - 1) / mr;
    if (tiles && rows % tiles && rows % (tiles + 1) == 0 && rows > mr / 2 * (tiles + 1))
        tiles++;
    I most = tiles ? (rows + tiles - 1) / tiles : 1, tall = rows - tiles * (most - 1);
    groups[0] = (FP(group)){mr, packs};
    groups[1] = (FP(group)){most, tall};
    groups[2] = (FP(group)){most - 1, tiles - tall};
    return packs + tiles;
}

/* Whether one block is the whole product, which reads A and B in place, or a copy of B^T in one panel. */
FP_INLINE int FP(is_one_block)(const FP(product) *p)
{
    I size = sizeof(T), wide = FP(whole_tiles)(p), row = wide, most = FP_PANEL_BYTES;
    if (p->b_col_stride == 1) {
        row = FP(larger)(row, p->b_row_stride);
        if (p->m <= FP_PACK_FAR_TILES * FP_MR && p->k * FP_MR * size <= FP_PANEL_BYTES)
            most = fp_caches.l2 / 2;
    }
    return p->k * row * size <= most && (!FP(activates)(p) || p->m * wide * size <= FP_PANEL_BYTES);
}

/* Computes such a product, without what several blocks need: one row of 16 columns takes 11 ns less for it. */
static void FP(multiply_one_block)(const FP(product) *p, T *scratch)
{
    FP(tile_block) block;
    block.a = p->a;
    block.a_row_stride = p->a_row_stride;
    block.a_col_stride = p->a_col_stride;
    block.b = p->b;
    block.b_row_stride = p->b_row_stride;
    block.prefetch = NULL;
    block.i = block.j0 = block.k0 = 0;
    block.j1 = p->n;
    block.k1 = p->k;
    if (p->b_col_stride != 1) {
        block.b_row_stride = (p->n + L - 1) & -L;
        FP(pack_transposed)(scratch, block.b_row_stride, p->b, p->b_col_stride, p->k, p->n);
        block.b = scratch;
    }
    if (p->m <= FP_MR) {
        block.tiles = 1;
        block.a_tile = 0;
        FP(plain_shape).tiles[p->m](p, &block);
    } else {
        FP(group) groups[3];
        FP(deal_tiles)(groups, p->m, FP_MR, 0);
        for (int g = 1; g < 3 && groups[g].tiles; g++) {
            block.tiles = groups[g].tiles;
            block.a_tile = groups[g].rows * p->a_row_stride;
            FP(plain_shape).tiles[groups[g].rows](p, &block);
            block.i += groups[g].tiles * groups[g].rows;
            block.a += groups[g].tiles * block.a_tile;
        }
    }
    if (FP(activates)(p))
        FP(activate_rows)(p, 0, p->m, 0, p->n);
}

/* Computes the tiles of `groups` in one panel of B: block's rows from `i` on, whose part of A starts at `a`. */
FP_INLINE void FP(multiply_panel)(const FP(product) *p, FP(tile_block) *block, const FP(group) groups[3], const T *a,
                                  I i, const FP(blocks) *blocks)
{
    int packs_a = blocks->packs_a;
    I depth = block->k1 - block->k0;
    block->a = a;
    block->i = i;
    for (int g = 0; g < 3; g++) {
        I mr = groups[g].rows;
        block->tiles = groups[g].tiles;
        block->a_row_stride = packs_a ? 1 : p->a_row_stride;
        block->a_col_stride = packs_a ? mr : p->a_col_stride;
        block->a_tile = packs_a ? FP(packed_tile)(mr, depth) : mr * p->a_row_stride;
        if (block->packs)
            blocks->shape->pack(p, block);
        else if (block->tiles)
            blocks->shape->tiles[mr](p, block);
        if (block->packed) { /* by now */
            block->b = block->packed;
            block->b_row_stride = block->packed_stride;
        }
        block->packs = 0;
        block->i += block->tiles * mr;
        block->a += block->tiles * block->a_tile;
        block->prefetch += block->prefetch ? block->tiles * block->prefetch_tile : 0;
    }
}

/* Computes the columns n0..n1 of C for one block of k and one block of rows, panel by panel. `packed` is where the packed
 * copies of these columns of B go; with `again` they are there. */
FP_INLINE void FP(multiply_block)(const FP(product) *p, const FP(blocks) *blocks, T *packed, T *packed_a, I n0, I n1,
                                  I k0, I i0, int again)
{
    FP(tile_block) block = {.k0 = k0, .k1 = FP(smaller)(k0 + blocks->k, p->k)};
    FP(group) groups[3];
    int transposes = p->b_col_stride != 1;
    I columns = blocks->shape->columns;
    I depth = block.k1 - k0, rows = FP(smaller)(blocks->m, p->m - i0), activated = n0;
    I tiles = FP(deal_tiles)(groups, rows, blocks->shape->mr, blocks->packs_b && !transposes && !again);
    const T *a = p->a + i0 * p->a_row_stride + k0 * p->a_col_stride;
    if (blocks->packs_a) {
        T *to = packed_a;
        for (int g = 0; g < 3; g++) {
            FP(pack_rows)(to, a, p->a_row_stride, p->a_col_stride, depth, groups[g].tiles, groups[g].rows);
            to += groups[g].tiles * FP(packed_tile)(groups[g].rows, depth);
            a += groups[g].tiles * groups[g].rows * p->a_row_stride;
        }
        a = packed_a;
    }
    for (block.j0 = n0; block.j0 < n1; block.j0 = block.j1) {
        block.j1 = FP(smaller)(block.j0 + blocks->n, n1);
        if (columns > 2 * L && n1 > block.j1 && n1 - block.j1 <= L)
            block.j1 -= L; /* two tiles of two vectors, since the sums of a tile of one would wait */
        block.b = p->b + k0 * p->b_row_stride + block.j0 * p->b_col_stride;
        block.b_row_stride = p->b_row_stride;
        block.packed = NULL;
        block.prefetch = NULL;
        if (blocks->packs_b) {
            I width = block.j1 - block.j0, stride = transposes ? p->b_col_stride : p->b_row_stride;
            const T *next = block.b + (block.j1 < n1 ? width : n0 - block.j0) * p->b_col_stride;
            block.packed = packed;
            block.packed_stride = (width + columns - 1) / columns * columns;
            if (again) {
                block.b = packed;
                block.b_row_stride = stride = block.packed_stride;
                next = packed + block.packed_stride * blocks->k;
            } else if (transposes)
                FP(pack_transposed)(packed, block.packed_stride, block.b, stride, depth, width);
            else if (!groups[0].tiles || (width % columns && width % columns != 2 * L))
                FP(pack)(packed, block.packed_stride, block.b, stride, depth, width);
            else
                block.packs = 1;
            if (depth >= FP_PREFETCH_K)
                FP(plan_prefetch)(&block, next, stride, transposes && !again, tiles, FP(smaller)(width, columns));
            packed += blocks->kept ? block.packed_stride * blocks->k : 0;
        }
        FP(multiply_panel)(p, &block, groups, a, i0, blocks);
        if (block.k1 == p->k && FP(activates)(p) && (block.j1 - activated >= FP_ACTIVATED || block.j1 == n1)) {
            FP(activate_rows)(p, i0, rows, activated, block.j1 - activated);
            activated = block.j1;
        }
    }
}

/* Computes the product by tiles: for each block of columns, usually all, for each block of k, for each block of rows of A,
 * for each panel of B, all tiles of these rows. */
static void FP(multiply_tiles)(const FP(product) *p, T *scratch)
{
    if (FP(is_one_block)(p)) {
        FP(multiply_one_block)(p, scratch);
        return;
    }
    FP(blocks) blocks = FP(choose_blocks)(p);
    I columns = blocks.kept ? blocks.kept : p->n;
    T *packed_a = scratch + (blocks.packs_b ? blocks.k * FP(larger)(blocks.n, blocks.kept) : 0);
    for (I n0 = 0; n0 < p->n; n0 += columns)
        for (I k0 = 0; k0 < p->k || k0 == 0; k0 += blocks.k)
            for (I i0 = 0; i0 < p->m; i0 += blocks.m)
                FP(multiply_block)(p, &blocks, scratch, packed_a, n0, FP(smaller)(n0 + columns, p->n), k0, i0,
                                   blocks.kept && i0 > 0);
}
