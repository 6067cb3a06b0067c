/* Products whose C is narrow, up to four vectors wide, or which are shallow: a tile holds all columns of some rows in
 * registers, B stays in L1, and a tile takes few instructions beside its FMAs. */

/* The rows of a tile of nv vectors: 12 sums, or 8 if they are one vector wide, are enough that no FMA waits. */
#define FP_SKINNY_ROWS(nv) ((nv) == 1 ? 8 : 12 / (nv))
#define FP_SKINNY_VECTORS 4

/* Computes the mr rows of C from row i on, nv vectors wide: adds to them if `accumulate`, else `start` (n,) is their
 * initial value. The rows of B are b_stride apart; start and B are padded to whole vectors. FP_EPILOGUE_FORWARD is that of
 * relu, FP_EPILOGUE_BACKWARD that of dg, NAME_dz of an activation: all constants. */
FP_INLINE void FP(skinny_tile)(const FP(product) *p, const T *start, const T *b, I b_stride, I i, int mr, int nv,
                               int accumulate, int epilogue, V(t) (*dg)(V(t), V(t), FP(params)))
{
    I last = p->n - (nv - 1) * L, a_row_stride = p->a_row_stride, a_col_stride = p->a_col_stride;
    const T *a = p->a + i * a_row_stride;
    T *c = p->c + i * p->c_stride;
    V(t) sum[FP_SKINNY_ROWS(1)][FP_SKINNY_VECTORS], row[FP_SKINNY_VECTORS];
    FP(params) none = FP(load_params)(NULL);
    FP_UNROLL_FOR (int v = 0; v < nv; v++)
        row[v] = V(load)(start + v * L);
    FP_UNROLL_FOR (int r = 0; r < mr; r++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            sum[r][v] = accumulate ? FP(load_tail)(c + r * p->c_stride + v * L, v < nv - 1 ? L : last) : row[v];
    for (I k = p->k; k > 0; k--, a += a_col_stride, b += b_stride) {
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            row[v] = V(load)(b + v * L);
        FP_UNROLL_FOR (int r = 0; r < mr; r++) {
            V(t) element = V(set1)(a[r * a_row_stride]);
            FP_UNROLL_FOR (int v = 0; v < nv; v++)
                sum[r][v] = V(fma)(element, row[v], sum[r][v]);
        }
    }
    FP_UNROLL_FOR (int r = 0; r < mr; r++)
        FP_UNROLL_FOR (int v = 0; v < nv; v++) {
            const T *saved = p->saved + (i + r) * p->saved_stride + v * L;
            if (epilogue == FP_EPILOGUE_FORWARD)
                sum[r][v] = FP(relu_a)(sum[r][v], none);
            else if (epilogue == FP_EPILOGUE_BACKWARD)
                sum[r][v] = dg(sum[r][v], FP(load_tail)(saved, v < nv - 1 ? L : last), none);
        }
    FP_UNROLL_FOR (int r = 0; r < mr; r++, c += p->c_stride)
        FP_UNROLL_FOR (int v = 0; v < nv; v++)
            FP(store_tail)(c + v * L, sum[r][v], v < nv - 1 ? L : last);
}

/* Computes all tiles. The last one begins earlier if it would end beyond the last row, and computes some rows again; or,
 * since sums may not be added twice, it is several tiles of one row. */
FP_INLINE void FP(skinny_tiles)(const FP(product) *p, const T *start, const T *b, I b_stride, int nv, int accumulate,
                                int epilogue, V(t) (*dg)(V(t), V(t), FP(params)))
{
    I i = 0, mr = FP_SKINNY_ROWS(nv);
    for (; i + mr <= p->m; i += mr)
        FP(skinny_tile)(p, start, b, b_stride, i, FP_SKINNY_ROWS(nv), nv, accumulate, epilogue, dg);
    if (i < p->m && !accumulate)
        FP(skinny_tile)(p, start, b, b_stride, p->m - mr, FP_SKINNY_ROWS(nv), nv, accumulate, epilogue, dg);
    for (; i < p->m && accumulate; i++)
        FP(skinny_tile)(p, start, b, b_stride, i, 1, nv, accumulate, epilogue, dg);
}

/* One function for each width. */
#define FP_SKINNY(nv) \
    static void FP(skinny_##nv)(const FP(product) *p, const T *start, const T *b, I b_stride) \
    { \
        int relu = p->activation == FP_ACTIVATION_relu, tanh = p->activation == FP_ACTIVATION_tanh; \
        if (p->accumulate) \
            FP(skinny_tiles)(p, start, b, b_stride, nv, 1, FP_EPILOGUE_NONE, NULL); \
        else if (p->epilogue == FP_EPILOGUE_FORWARD && relu) \
            FP(skinny_tiles)(p, start, b, b_stride, nv, 0, FP_EPILOGUE_FORWARD, NULL); \
        else if (p->epilogue == FP_EPILOGUE_BACKWARD && relu) \
            FP(skinny_tiles)(p, start, b, b_stride, nv, 0, FP_EPILOGUE_BACKWARD, FP(relu_dz)); \
        else if (p->epilogue == FP_EPILOGUE_BACKWARD && tanh) \
            FP(skinny_tiles)(p, start, b, b_stride, nv, 0, FP_EPILOGUE_BACKWARD, FP(tanh_dz)); \
        else \
            FP(skinny_tiles)(p, start, b, b_stride, nv, 0, FP_EPILOGUE_NONE, NULL); \
    }
FP_SKINNY(1)
FP_SKINNY(2)
FP_SKINNY(3)
FP_SKINNY(4)
#undef FP_SKINNY
static void (*const FP(skinny)[])(const FP(product) *, const T *, const T *, I) = {NULL, FP(skinny_1), FP(skinny_2),
                                                                                   FP(skinny_3), FP(skinny_4)};

/* The rows of B that stay in L1; all of a shallow product, whose epilogue may be applied only once. */
FP_INLINE I FP(skinny_depth)(const FP(product) *p)
{
    return FP(larger)(FP_PANEL_BYTES / (I)sizeof(T) / ((p->n + L - 1) / L * L), FP_SHALLOW);
}

/* Whether the product is computed so: it is shallow, or C is one or three vectors wide, or two and many rows long, of
 * which tiles of two vectors would leave a part empty. A sum that is too deep for L1 goes on in C, block by block, if there
 * is no epilogue. It is never computed so where the ISA's tiles are taller, with as little to do beside their FMAs. */
FP_INLINE int FP(is_skinny)(const FP(product) *p)
{
    I vectors = (p->n + L - 1) / L;
    if (FP_MR > FP_SKINNY_ROWS(2) || p->m < FP_SKINNY_ROWS(1) || vectors == 0)
        return 0;
    if (p->k <= FP_SHALLOW && !p->accumulate)
        return 1;
    I mr = FP_SKINNY_ROWS(vectors);
    if (vectors >= FP_SKINNY_VECTORS || (p->m % mr && p->m < 10 * mr)) /* the last tile computes some rows again */
        return 0;
    if (p->accumulate || p->k > FP(skinny_depth)(p))
        return p->epilogue == FP_EPILOGUE_NONE && vectors == 3;
    return 1;
}

/* Computes the columns of a part of the product, up to FP_SKINNY_VECTORS vectors of them. */
FP_INLINE void FP(multiply_columns)(FP(product) part, T *scratch)
{
    I vectors = (part.n + L - 1) / L, width = vectors * L, depth = FP(skinny_depth)(&part), k = part.k;
    I b_stride = part.b_row_stride;
    T *panel = scratch + width;
    const T *b = part.b;
    for (I j = 0; j < width; j += L)
        V(store)(scratch + j, part.bias ? FP(load_tail)(part.bias + j, part.n - j) : V(set1)(0));
    do {
        part.k = k < depth ? k : depth;
        part.b = b;
        if (part.b_col_stride != 1 || part.n < width) {
            if (part.b_col_stride != 1)
                FP(pack_transposed)(panel, width, b, part.b_col_stride, part.k, part.n);
            else
                FP(pack)(panel, width, b, part.b_row_stride, part.k, part.n);
            part.b = panel;
            b_stride = width;
        }
        FP(skinny)[vectors](&part, scratch, part.b, b_stride);
        part.accumulate = 1;
        part.a += part.k * part.a_col_stride;
        b += part.k * part.b_row_stride;
        k -= part.k;
    } while (k > 0);
}

static void FP(multiply_skinny)(const FP(product) *p, T *scratch)
{
    for (I j = 0; j < p->n; j += FP_SKINNY_VECTORS * L) {
        FP(product) part = *p;
        part.n = p->n - j < FP_SKINNY_VECTORS * L ? p->n - j : FP_SKINNY_VECTORS * L;
        part.c += j;
        part.b += j * p->b_col_stride;
        part.bias = p->bias ? p->bias + j : NULL;
        part.saved = p->saved ? p->saved + j : NULL;
        FP(multiply_columns)(part, scratch);
    }
    if (FP(activates)(p))
        FP(activate_rows)(p, 0, p->m, 0, p->n);
}
