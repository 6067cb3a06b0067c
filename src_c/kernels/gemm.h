/* C = start + A B: the one micro-kernel under all three products of a layer.
 *
 * A tile of C (mr rows, two vectors wide, or more if its rows are one or two) lives in registers while k runs: each step
 * loads a row of B and broadcasts one element of each row of A. A is read in place through a (row, column) pair of strides,
 * and so is B, unless its rows are far apart or its columns are what is adjacent: then pack.h copies a block of it into
 * panels two vectors wide. A is copied only where reading A^T would wear out one set of the cache. The layout is that of
 * Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", with A left in place. What is read next
 * is fetched meanwhile. */
#include "product.h"
#include "pack.h"

typedef struct {
    T *c;          /* (m, n) */
    const T *a;    /* (m, k): element (i, p) at a[i a_row_stride + p a_col_stride] */
    const T *b;    /* (k, n): element (p, j) at b[p b_row_stride + j b_col_stride]; one of the two strides is 1 */
    const T *bias; /* (n,): where C starts, or NULL: at zero */
    const T *saved; /* (m, n): what FP_FINISH_BACKWARD needs */
    T *keep;       /* (m, n), rows saved_stride apart: where FP_FINISH_FORWARD puts that, or NULL; FP_FINISH_DESCENT's weights */
    I m, n, k, c_stride, a_row_stride, a_col_stride, b_row_stride, b_col_stride, saved_stride;
    int add;       /* start from what C holds */
    int finish;    /* FP_FINISH_... */
    int activation;
    const double *hyper; /* the activation's numbers; FP_FINISH_DESCENT's rate, coupled decay, and what of a weight stays */
} FP(product);

/* A row of tiles: rows i.. and columns j0..j1 of C, the k of this block, and A and B for it. */
typedef struct {
    const T *a; /* row i, column k0 */
    const T *b; /* row k0, column j0 */
    I a_row_stride, b_row_stride, a_col_stride;
    I b_panel; /* from a tile's columns of B to the next tile's */
    I i, j0, j1, k0, k1;
    /* Of the A of the next row of tiles each tile fetches a part: two lines `ahead_twin` apart at every other k, each time
     * ahead_step further; the tile to the right begins ahead_tile further. */
    const T *ahead;
    I ahead_tile, ahead_step, ahead_twin;
} FP(place);

/* Where a tile reads A and B. */
typedef struct {
    const T *quad[(FP_MR + 3) / 4]; /* every fourth row of A; the next three are a_row_stride, 2 a_row_stride and a_row_stride3 further */
    const T *b;
    I a_row_stride, a_row_stride3, a_col_stride, b_row_stride, b_panel;
} FP(walk);

/* A vector of a row: all of it, or its first `left` lanes where the last vector of a tile sticks out (`tail`). */
FP_INLINE V(t) FP(get)(const T *p, int tail, I left) { return tail ? V(load_n)(p, left) : V(load)(p); }

FP_INLINE void FP(put)(T *p, V(t) x, int tail, I left)
{
    if (tail)
        V(store_n)(p, x, left);
    else
        V(store)(p, x);
}

/* In the following, mr, nv and tail are constants wherever it is called: each combination compiles to straight code. */

/* One k: a column of A times a row of B is added to the tile. */
FP_INLINE void FP(tile_step)(V(t) sum[FP_MR][FP_WIDEST], FP(walk) *w, I left, int mr, int nv, int tail)
{
    V(t) row[FP_WIDEST];
    FP_UNROLL for (int v = 0; v < nv; v++)
        row[v] = FP(get)(w->b + v / 2 * w->b_panel + v % 2 * L, tail && v == nv - 1, left);
    FP_UNROLL for (int r = 0; r < mr; r++) {
        V(t) element = V(set1)(w->quad[r / 4][r % 4 == 3 ? w->a_row_stride3 : r % 4 * w->a_row_stride]);
        FP_UNROLL for (int v = 0; v < nv; v++)
            sum[r][v] = V(fma)(element, row[v], sum[r][v]);
    }
    FP_UNROLL for (int q = 0; q < (mr + 3) / 4; q++)
        w->quad[q] += w->a_col_stride;
    w->b += w->b_row_stride;
}

FP_INLINE void FP(tile)(const FP(product) *p, const FP(place) *at, const T *b, I j, I width, int mr, int nv, int tail)
{
    T *c = p->c + at->i * p->c_stride + j;
    I c_stride = p->c_stride;
    I left = width - (nv - 1) * L;
    int finish = at->k1 == p->k ? p->finish : FP_FINISH_NONE; /* only after the last block of k the sums are whole */
    int descends = finish == FP_FINISH_DESCENT;
    V(t) sum[FP_MR][FP_WIDEST];

    if (p->add || at->k0 > 0) {
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = FP(get)(c + r * c_stride + v * L, tail && v == nv - 1, left);
    } else {
        V(t) start[FP_WIDEST];
        FP_UNROLL for (int v = 0; v < nv; v++)
            start[v] = p->bias ? FP(get)(p->bias + j + v * L, tail && v == nv - 1, left) : V(set1)(0);
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = start[v];
    }

    FP(walk) w = {.b = b, .a_row_stride = at->a_row_stride, .a_row_stride3 = 3 * at->a_row_stride, .a_col_stride = at->a_col_stride, .b_row_stride = at->b_row_stride,
                  .b_panel = at->b_panel};
    FP_OPAQUE(w.a_row_stride3);
    FP_UNROLL for (int q = 0; q < (mr + 3) / 4; q++) {
        w.quad[q] = at->a + 4 * q * w.a_row_stride;
        FP_OPAQUE(w.quad[q]); /* else there would be an offset for each row, more than there are registers */
    }
    I depth = at->k1 - at->k0;
    if (depth >= FP_FETCH_K) {
        const T *ahead = at->ahead + (j - at->j0) / (2 * L) * at->ahead_tile;
        const T *next = descends ? p->keep + (c - p->c) : c; /* what the tile after this one will read */
        next += j + nv * L < at->j1 ? nv * L : mr * c_stride - (j - at->j0);
        for (; depth > 2 * mr; depth -= 2) {
            FP_FETCH_TO_READ(ahead);
            FP_FETCH_TO_READ(ahead + at->ahead_twin);
            ahead += at->ahead_step;
            FP(tile_step)(sum, &w, left, mr, nv, tail);
            FP(tile_step)(sum, &w, left, mr, nv, tail);
        }
        for (; depth > 1; depth -= 2) { /* one row of C after the other; earlier, they would be gone again */
            FP_FETCH_TO_WRITE(next);
            FP_FETCH_TO_WRITE(next + L);
            next += c_stride;
            FP(tile_step)(sum, &w, left, mr, nv, tail);
            FP(tile_step)(sum, &w, left, mr, nv, tail);
        }
    }
    for (; depth > 0; depth--)
        FP(tile_step)(sum, &w, left, mr, nv, tail);
    FP_OPAQUE(c); /* the addresses of C's rows are reckoned again: kept through the loop, they would be spilled */
    FP_OPAQUE(c_stride);

    int in_registers = finish != FP_FINISH_NONE && !descends && p->activation == FP_ACTIVATION_relu;
    FP(numbers) none = FP(numbers_of)(NULL);
    if (in_registers && finish == FP_FINISH_FORWARD) {
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = FP(relu_a)(sum[r][v], none);
    } else if (in_registers) {
        const T *saved = p->saved + at->i * p->saved_stride + j;
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = FP(relu_dz)(
                    sum[r][v], FP(get)(saved + r * p->saved_stride + v * L, tail && v == nv - 1, left), none);
    }

    if (descends) {
        c = p->keep + (c - p->c);
        V(t) rate = FP(all)(p->hyper[0]), decay = FP(all)(p->hyper[1]), keep = FP(all)(p->hyper[2]);
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++) {
                V(t) w = FP(get)(c + r * c_stride + v * L, tail && v == nv - 1, left);
                w = V(fnma)(rate, V(fma)(decay, w, sum[r][v]), V(mul)(keep, w)); /* as sgd does it */
                FP(put)(c + r * c_stride + v * L, w, tail && v == nv - 1, left);
            }
        return;
    }

    FP_UNROLL for (int r = 0; r < mr; r++)
        FP_UNROLL for (int v = 0; v < nv; v++)
            FP(put)(c + r * c_stride + v * L, sum[r][v], tail && v == nv - 1, left);
}

/* Of `rows` rows of sums from row i on, `width` from column j on, by an activation that the registers did not finish: in
 * one call where the rows adjoin. */
FP_INLINE void FP(finish_rows)(const FP(product) *p, I i, I rows, I j, I width)
{
    int saves = p->finish == FP_FINISH_BACKWARD || p->keep;
    if (p->c_stride == width && (p->saved_stride == width || !saves))
        width *= rows, rows = 1;
    for (; rows > 0; rows--, i++) {
        T *c = p->c + i * p->c_stride + j;
        if (p->finish == FP_FINISH_FORWARD)
            FP(table).forward[p->activation](c, p->keep ? p->keep + i * p->saved_stride + j : NULL, width, p->hyper);
        else if (p->finish == FP_FINISH_BACKWARD)
            FP(table).backward[p->activation](c, p->saved + i * p->saved_stride + j, width, p->hyper);
    }
}

/* mr rows, tile after tile, and what the registers could not finish. */
FP_INLINE void FP(tiles_of_rows)(const FP(product) *p, const FP(place) *at, int mr)
{
    int wide = FP_WIDE(mr);
    const T *b = at->b;
    for (I j = at->j0; j < at->j1; j += wide * L, b += wide / 2 * at->b_panel) {
        I width = at->j1 - j < wide * L ? at->j1 - j : wide * L;
#define FP_TILE_OF(nv)                                               \
    case nv:                                                         \
        if (nv <= wide && width == nv * L)                           \
            FP(tile)(p, at, b, j, width, mr, nv, 0);                 \
        else if (nv <= wide)                                         \
            FP(tile)(p, at, b, j, width, mr, nv, 1);                 \
        break;
        switch ((width + L - 1) / L) {
            FP_TILE_OF(1) FP_TILE_OF(2) FP_TILE_OF(3) FP_TILE_OF(4) FP_TILE_OF(5) FP_TILE_OF(6) FP_TILE_OF(7) FP_TILE_OF(8)
        }
#undef FP_TILE_OF
    }
    if (p->finish != FP_FINISH_NONE && p->finish != FP_FINISH_DESCENT && at->k1 == p->k && p->activation != FP_ACTIVATION_relu)
        FP(finish_rows)(p, at->i, mr, at->j0, at->j1 - at->j0);
}

/* A function for each number of rows. */
#define FP_TILES(mr) \
    static void FP(tiles_##mr)(const FP(product) *p, const FP(place) *at) { FP(tiles_of_rows)(p, at, mr); }
#define FP_TILES_NAMES(mr) FP(tiles_##mr),
FP_EACH_MR(FP_TILES)
static void (*const FP(tiles)[])(const FP(product) *, const FP(place) *) = {NULL, FP_EACH_MR(FP_TILES_NAMES)};
#undef FP_TILES
#undef FP_TILES_NAMES

/* How the tiles of a row share the fetching of the next row's A. */
FP_INLINE void FP(look_ahead)(FP(place) *at, I rows)
{
    I tiles = (at->j1 - at->j0 + 2 * L - 1) / (2 * L);
    if (at->a_col_stride == 1) { /* some of its rows each, along k */
        at->ahead_tile = (rows + tiles - 1) / tiles * at->a_row_stride;
        at->ahead_step = 2;
        at->ahead_twin = at->a_row_stride;
    } else { /* some k each, from the first row to the last */
        at->ahead_tile = (at->k1 - at->k0) / tiles * at->a_col_stride;
        at->ahead_step = at->a_col_stride;
        at->ahead_twin = (rows - 1) * at->a_row_stride;
    }
}

/* Block after block of B, and for each one all rows of A: a tile's rows stay in L1 while all of the block passes by. */
static void FP(multiply_tiles)(const FP(product) *p, T *scratch)
{
    /* Dealt out evenly, since a tile of one row wastes the machine: `most` rows to a tile, one less from row `fewer` on. One
     * tile more makes some alike: the code of one function then does, 3% of a step of 32 rows. */
    I tiles = (p->m + FP_MR - 1) / FP_MR;
    if (p->m % tiles && p->m % (tiles + 1) == 0 && p->m > FP_MR / 2 * (tiles + 1))
        tiles++;
    I most = (p->m + tiles - 1) / tiles, fewer = (p->m - tiles * (most - 1)) * most;
    I apart = p->b_row_stride * (I)sizeof(T);
    int aliased = FP_PACK_PAGES == 1 && p->a_row_stride == 1 && p->a_col_stride * (I)sizeof(T) % FP_PACK_ROW_BYTES == 0 &&
                  p->n > FP_PACK_TILES * 2 * L;
    T *tile = scratch, *panels = scratch + FP_TILE_SCRATCH((I)sizeof(T));
    int packs = p->b_col_stride != 1 || (tiles > FP_PACK_TILES && apart >= FP_PACK_PAGES * FP_PACK_ROW_BYTES);
    I block_n = FP_BLOCK_N_BYTES / sizeof(T), block_k = FP_BLOCK_K_BYTES / sizeof(T);
    I depth = p->k < block_k ? p->k : block_k;
    int far = p->m * depth * (I)sizeof(T) >= FP_FETCH_BYTES; /* A does not stay in the cache */
    if (p->b_col_stride != 1 && !far && depth * p->n * (I)sizeof(T) >= FP_PANEL_BYTES) {
        /* as many columns as stay in L1 and a tile reads at once */
        I cached = FP_WIDE(most) > 2 ? 2 * FP_PANEL_BYTES / (depth * (I)sizeof(T)) / (2 * L) * (2 * L) : 2 * L;
        block_n = cached < 2 * L ? 2 * L : cached < block_n ? cached : block_n;
    }
    for (I n0 = 0; n0 < p->n; n0 += block_n)
        for (I k0 = 0; k0 < p->k || k0 == 0; k0 += block_k) {
            I n1 = n0 + block_n < p->n ? n0 + block_n : p->n;
            I k1 = k0 + block_k < p->k ? k0 + block_k : p->k;
            FP(place) at = {.b = p->b + k0 * p->b_row_stride + n0 * p->b_col_stride, .b_row_stride = p->b_row_stride, .b_panel = 2 * L,
                            .a_row_stride = p->a_row_stride, .a_col_stride = p->a_col_stride, .j0 = n0, .j1 = n1, .k0 = k0, .k1 = k1};
            if (packs) {
                if (p->b_col_stride == 1)
                    FP(pack)(panels, at.b, p->b_row_stride, k1 - k0, n1 - n0);
                else
                    FP(pack_transposed)(panels, at.b, p->b_col_stride, k1 - k0, n1 - n0);
                at.b = panels;
                at.b_row_stride = 2 * L;
                at.b_panel = 2 * L * (k1 - k0);
            }
            if (far)
                FP(look_ahead)(&at, most);
            at.ahead = p->a + k0 * p->a_col_stride;
            for (I rows = most; at.i < p->m; at.i += rows) {
                rows -= at.i == fewer;
                at.a = at.ahead;
                at.ahead += rows * p->a_row_stride;
                if (aliased) {
                    FP(pack_tile)(tile, at.a, p->a_col_stride, k1 - k0, rows);
                    at.a = tile;
                    at.a_col_stride = rows;
                }
                FP(tiles)[rows](p, &at);
            }
        }
}
