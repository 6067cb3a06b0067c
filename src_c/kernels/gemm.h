/* C = start + A B: the one micro-kernel under all three products of a layer.
 *
 * A tile of C (mr rows, two vectors wide) lives in registers while k runs: each step loads a row of B and broadcasts one
 * element of each row of A. A is read in place through a (row, column) pair of strides, so A^T needs no copy. B is read in
 * place while it is small, else packed into panels as wide as a tile, which are adjacent in memory; so is A^T where a tile
 * has so few columns of it that they would take up a whole cache line for each k. The layout is that of Goto and van de
 * Geijn 2008, "Anatomy of high-performance matrix multiplication", with A left in place. */
#include "product.h"

typedef struct {
    T *c;          /* (m, n) */
    const T *a;    /* (m, k): element (i, p) at a[i a_row + p a_col] */
    const T *b;    /* (k, n): element (p, j) at b[p b_row + j b_col]; one of the two strides is 1 */
    const T *bias; /* (n,): where C starts, or NULL: at zero */
    const T *kept; /* (m, n): what FP_FINISH_BACKWARD needs */
    T *keep;       /* (m, n), rows kept_row apart: where FP_FINISH_FORWARD puts that, or NULL */
    I m, n, k, c_row, a_row, a_col, b_row, b_col, kept_row;
    int add;       /* start from what C holds */
    int finish;    /* FP_FINISH_... */
    int activation;
    const double *hyper;
} FP(product);

/* Where a tile lies: rows i.., columns j.. (`width` of them, at most 2 L), the k of this block, and A and B for it. */
typedef struct {
    const T *a; /* row i, column k0 */
    const T *b; /* row k0, column j */
    I a_row, a_col, b_row, i, j, width, k0, k1;
} FP(place);

/* A vector of a row: all of it, or its first `left` lanes where the last vector of a tile sticks out (`tail`). */
FP_INLINE V(t) FP(get)(const T *p, int tail, I left) { return tail ? V(load_n)(p, left) : V(load)(p); }

FP_INLINE void FP(put)(T *p, V(t) x, int tail, I left)
{
    if (tail)
        V(store_n)(p, x, left);
    else
        V(store)(p, x);
}

/* mr, nv and tail are constants wherever this is called: each combination compiles to straight code. */
FP_INLINE void FP(tile)(const FP(product) *p, const FP(place) *at, int mr, int nv, int tail)
{
    const T *a = at->a, *b = at->b;
    T *c = p->c + at->i * p->c_row + at->j;
    I a_row = at->a_row, a_col = at->a_col, b_row = at->b_row, c_row = p->c_row;
    I left = at->width - (nv - 1) * L;
    V(t) sum[FP_MR][2];

    if (p->add || at->k0 > 0) {
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = FP(get)(c + r * c_row + v * L, tail && v == nv - 1, left);
    } else {
        V(t) start[2];
        FP_UNROLL for (int v = 0; v < nv; v++)
            start[v] = p->bias ? FP(get)(p->bias + at->j + v * L, tail && v == nv - 1, left) : V(set1)(0);
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = start[v];
    }

    if (at->k1 - at->k0 >= FP_PREFETCH_K) { /* the tile to the right is next */
        FP_UNROLL for (int r = 0; r < mr; r++) {
            FP_PREFETCH_TO_WRITE(c + r * c_row + 2 * L);
            FP_PREFETCH_TO_WRITE(c + r * c_row + 3 * L);
        }
    }

    const T *quad[(FP_MR + 3) / 4]; /* every fourth row of A; the next three are a_row, 2 a_row and a_row3 further */
    I a_row3 = 3 * a_row;
    FP_OPAQUE(a_row3);
    FP_UNROLL for (int q = 0; q < (mr + 3) / 4; q++) {
        quad[q] = a + 4 * q * a_row;
        FP_OPAQUE(quad[q]); /* else there would be an offset for each row, more than there are registers */
    }
    for (I k = at->k1 - at->k0; k > 0; k--) {
        V(t) row[2];
        FP_UNROLL for (int v = 0; v < nv; v++)
            row[v] = FP(get)(b + v * L, tail && v == nv - 1, left);
        FP_UNROLL for (int r = 0; r < mr; r++) {
            V(t) element = V(set1)(quad[r / 4][r % 4 == 3 ? a_row3 : r % 4 * a_row]);
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = V(fma)(element, row[v], sum[r][v]);
        }
        FP_UNROLL for (int q = 0; q < (mr + 3) / 4; q++)
            quad[q] += a_col;
        b += b_row;
    }
    FP_OPAQUE(c); /* the addresses of C's rows are reckoned again: kept through the loop, they would be spilled */
    FP_OPAQUE(c_row);

    int finish = at->k1 == p->k ? p->finish : FP_FINISH_NONE;
    int in_registers = finish && p->activation == FP_ACTIVATION_relu;
    FP(numbers) none = FP(numbers_of)(NULL);
    if (in_registers && finish == FP_FINISH_FORWARD) {
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = FP(relu_a)(sum[r][v], none);
    } else if (in_registers) {
        const T *kept = p->kept + at->i * p->kept_row + at->j;
        FP_UNROLL for (int r = 0; r < mr; r++)
            FP_UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = FP(relu_dz)(
                    sum[r][v], FP(get)(kept + r * p->kept_row + v * L, tail && v == nv - 1, left), none);
    }

    FP_UNROLL for (int r = 0; r < mr; r++)
        FP_UNROLL for (int v = 0; v < nv; v++)
            FP(put)(c + r * c_row + v * L, sum[r][v], tail && v == nv - 1, left);
}

/* One function for each number of rows. */
FP_INLINE void FP(tile_of)(const FP(product) *p, const FP(place) *at, int mr)
{
    if (at->width == 2 * L)
        FP(tile)(p, at, mr, 2, 0);
    else if (at->width > L)
        FP(tile)(p, at, mr, 2, 1);
    else if (at->width == L)
        FP(tile)(p, at, mr, 1, 0);
    else
        FP(tile)(p, at, mr, 1, 1);
}

#define FP_TILE(mr) static void FP(tile_##mr)(const FP(product) *p, const FP(place) *at) { FP(tile_of)(p, at, mr); }
#define FP_TILE_NAME(mr) FP(tile_##mr),
FP_EACH_MR(FP_TILE)
static void (*const FP(tiles)[])(const FP(product) *, const FP(place) *) = {NULL, FP_EACH_MR(FP_TILE_NAME)};
#undef FP_TILE
#undef FP_TILE_NAME

/* `width` summed elements of row i, from column j on, by an activation that the sums' registers did not finish. */
FP_INLINE void FP(finish_row)(const FP(product) *p, I i, I j, I width)
{
    T *c = p->c + i * p->c_row + j;
    if (p->finish == FP_FINISH_FORWARD)
        FP(table).forward[p->activation](c, p->keep ? p->keep + i * p->kept_row + j : NULL, width, p->hyper);
    else if (p->finish == FP_FINISH_BACKWARD)
        FP(table).backward[p->activation](c, p->kept + i * p->kept_row + j, width, p->hyper);
}

/* A tile of so many rows, and what its registers could not finish. */
FP_INLINE void FP(tile_and_finish)(const FP(product) *p, const FP(place) *at, I rows)
{
    FP(tiles)[rows](p, at);
    if (p->finish == FP_FINISH_NONE || at->k1 != p->k || p->activation == FP_ACTIVATION_relu)
        return;
    for (I i = at->i; i < at->i + rows; i++)
        FP(finish_row)(p, i, at->j, at->width);
}

/* Rows are dealt out to tiles evenly, since a tile of one row wastes the machine: so many tiles, and where the t-th begins. */
FP_INLINE I FP(tiles_of)(I rows) { return (rows + FP_MR - 1) / FP_MR; }
FP_INLINE I FP(tile_start)(I rows, I t) { return rows * t / FP(tiles_of)(rows); }

/* An L x L block, one vector a row, transposed: log2(L) rounds of zipping each row with the one half a block further. */
FP_INLINE void FP(transpose)(V(t) row[L])
{
    V(t) zipped[L];
    FP_UNROLL for (int stride = 1; stride < L; stride *= 2) {
        FP_UNROLL for (int i = 0; i < L / 2; i++)
            V(zip)(row[i], row[i + L / 2], &zipped[2 * i], &zipped[2 * i + 1]);
        FP_UNROLL for (int i = 0; i < L; i++)
            row[i] = zipped[i];
    }
}

/* Rows k0..k1 and columns n0..n1 of B as panels 2 L wide, one after the other; the last panel's missing columns are 0. */
static void FP(pack)(T *panels, const FP(product) *p, I k0, I k1, I n0, I n1)
{
    I panel = 2 * L * (k1 - k0);
    for (I k = k0; k < k1; k++, panels += 2 * L) { /* along the rows, as the CPU fetches ahead */
        const T *row = p->b + k * p->b_row;
        T *to = panels;
        I j = n0;
        for (; j + 2 * L <= n1; j += 2 * L, to += panel) {
            V(store)(to, V(load)(row + j));
            V(store)(to + L, V(load)(row + j + L));
        }
        if (j < n1) {
            V(store)(to, FP(load_left)(row + j, n1 - j));
            V(store)(to + L, FP(load_left)(row + j + L, n1 - j - L));
        }
    }
}

/* The same where the columns of B are what is adjacent in memory. */
static void FP(pack_transposed)(T *panels, const FP(product) *p, I k0, I k1, I n0, I n1)
{
    for (I j = n0; j < n1; j += L) { /* half a panel */
        T *half = panels + (j - n0) / (2 * L) * (2 * L) * (k1 - k0) + (j - n0) % (2 * L);
        for (I k = k0; k < k1; k += L) {
            const T *columns = p->b + j * p->b_col + k;
            V(t) block[L];
            FP_UNROLL for (int c = 0; c < L; c++)
                block[c] = j + c < n1 ? FP(load_left)(columns + c * p->b_col, k1 - k) : V(set1)(0);
            FP(transpose)(block);
            FP_UNROLL for (int r = 0; r < L; r++)
                if (k + r < k1)
                    V(store)(half + (k - k0 + r) * 2 * L, block[r]);
        }
    }
}

/* A tile's rows of A, which lie beside one another (a_row is 1), as mr numbers for each k. */
static void FP(pack_tile)(T *tile, const T *a, I a_col, I k, I mr)
{
    for (; k > 0; k--, a += a_col, tile += mr)
        for (I r = 0; r < mr; r += L) /* what is stored beyond the last row, the next k overwrites */
            V(store)(tile + r, FP(load_left)(a + r, mr - r));
}

static void FP(multiply_packed)(const FP(product) *p, T *scratch)
{
    int narrow = FP_MR * sizeof(T) <= FP_CACHE_LINE / 2;
    T *tile = scratch;
    scratch += FP_TILE_SCRATCH(p->k);
    for (I n0 = 0; n0 < p->n; n0 += FP_BLOCK_N)
        for (I k0 = 0; k0 < p->k || k0 == 0; k0 += FP_BLOCK_K) {
            I n1 = n0 + FP_BLOCK_N < p->n ? n0 + FP_BLOCK_N : p->n;
            I k1 = k0 + FP_BLOCK_K < p->k ? k0 + FP_BLOCK_K : p->k;
            if (p->b_col == 1)
                FP(pack)(scratch, p, k0, k1, n0, n1);
            else
                FP(pack_transposed)(scratch, p, k0, k1, n0, n1);
            for (I t = 0; t < FP(tiles_of)(p->m); t++) { /* a tile's rows of A stay in L1 while all of the block passes by */
                I i = FP(tile_start)(p->m, t), rows = FP(tile_start)(p->m, t + 1) - i;
                FP(place) at = {.a = p->a + i * p->a_row + k0 * p->a_col, .a_row = p->a_row, .a_col = p->a_col,
                                .b = scratch, .b_row = 2 * L, .i = i, .k0 = k0, .k1 = k1};
                if (p->a_row == 1 && p->a_col != 1 && narrow && n1 - n0 >= FP_PACK_TILE_N) {
                    FP(pack_tile)(tile, at.a, p->a_col, k1 - k0, rows);
                    at.a = tile;
                    at.a_col = rows;
                }
                for (at.j = n0; at.j < n1; at.j += 2 * L, at.b += 2 * L * (k1 - k0)) {
                    at.width = n1 - at.j < 2 * L ? n1 - at.j : 2 * L;
                    FP(tile_and_finish)(p, &at, rows);
                }
            }
        }
}

static void FP(multiply_in_place)(const FP(product) *p)
{
    FP(place) at = {.a_row = p->a_row, .a_col = p->a_col, .b = p->b, .b_row = p->b_row, .k1 = p->k};
    for (; at.j < p->n; at.j += 2 * L, at.b += 2 * L) {
        at.width = p->n - at.j < 2 * L ? p->n - at.j : 2 * L;
        for (I t = 0; t < FP(tiles_of)(p->m); t++) {
            at.i = FP(tile_start)(p->m, t);
            at.a = p->a + at.i * p->a_row;
            FP(tile_and_finish)(p, &at, FP(tile_start)(p->m, t + 1) - at.i);
        }
    }
}

/* The same sums in the same order, for products of a few numbers. */
FP_INLINE void FP(multiply_scalars)(const FP(product) *p)
{
    for (I i = 0; i < p->m; i++) {
        T *c = p->c + i * p->c_row;
        for (I j = 0; j < p->n; j++) {
            T sum = p->add ? c[j] : p->bias ? p->bias[j] : 0;
            for (I k = 0; k < p->k; k++)
                sum = FP_FMA(p->a[i * p->a_row + k * p->a_col], p->b[k * p->b_row + j * p->b_col], sum);
            if (p->activation == FP_ACTIVATION_relu) {
                int off = p->finish == FP_FINISH_FORWARD ? 0 > sum
                        : p->finish == FP_FINISH_BACKWARD && !(p->kept[i * p->kept_row + j] > 0);
                sum = off ? 0 : sum;
            }
            c[j] = sum;
        }
        if (p->activation != FP_ACTIVATION_relu)
            FP(finish_row)(p, i, 0, p->n);
    }
}

FP_INLINE void FP(multiply)(const FP(product) *p, T *scratch)
{
    int small = p->m < FP_PACK_ROWS || p->k * p->n * (I)sizeof(T) < FP_PACK_BYTES;
    if (p->m * p->n * p->k <= FP_SCALAR_PRODUCT)
        FP(multiply_scalars)(p);
    else if (p->b_col == 1 && small)
        FP(multiply_in_place)(p);
    else
        FP(multiply_packed)(p, scratch);
}
