/* What all dtypes share of the matrix products of gemm.h: their epilogues, and the sizes of blocks. The sizes change
 * speed only: every element of C is summed in the order of k, through C itself from one block to the next, so no choice
 * made here changes a bit. */
#ifndef FP_KERNELS_PRODUCT_H
#define FP_KERNELS_PRODUCT_H

/* What is done with a complete element c of C: nothing; c = g(c); c = c g'(z); or SGD updates the weight of which c is
 * the gradient, and c itself is not stored. */
enum { FP_EPILOGUE_NONE, FP_EPILOGUE_FORWARD, FP_EPILOGUE_BACKWARD, FP_EPILOGUE_SGD };

/* A panel of B takes half of L1, so that the rows of A pass by without evicting it: 256 rows of 64 bytes in 32 KB. Panels
 * of wide tiles are as deep, and take three quarters of it, or C would pass more often: 2 to 5% at 256 to 1024 wide. */
#define FP_PANEL_BYTES (fp_caches.l1 / 2)
#define FP_MOST_L1 (64 * 1024)
#define FP_MOST_PANEL_BYTES (FP_MOST_L1 / 4 * 3)
/* A block of rows of A, packed or in place, takes half of L2, and a little more, so that 256 rows of 256 are one block
 * of 512 KB. More are no faster. */
#define FP_ROWS_BYTES (fp_caches.l2 < 512 * 1024 ? fp_caches.l2 / 32 * 17 : FP_MOST_ROWS_BYTES)
#define FP_MOST_ROWS_BYTES (272 * 1024)
/* Several blocks of rows of A read the same panels of B. So their packed copies are kept, up to this much of them, which
 * stays in the last cache: at 1000 to 2048 wide it takes AVX2 1 to 3% and AVX-512 0 to 7% less time than packing again. */
#define FP_KEPT_BYTES (2 * 1024 * 1024)
#define FP_REUSES_PANELS(m, k, size) ((m) * (k) * (size) > FP_MOST_ROWS_BYTES)
/* The memory between packed tiles, for each row: at most a vector for half of a tile's rows. */
#define FP_ROW_SLACK 4

/* The number of vectors across a full tile of mr rows. An FMA waits 4 cycles for the one whose sum it adds to, and a
 * core starts two per cycle, so a tile needs 8 sums at least. Steps of one row take a quarter less time for it at 64
 * wide. */
#define FP_TILE_VECTORS(mr) ((mr) == 1 ? 8 : (mr) == 2 ? 4 : 2)
#define FP_MAX_TILE_VECTORS FP_TILE_VECTORS(1)
/* The widest tiles of any ISA: AVX-512 has 16 lanes of float32. Packed widths round up to them. */
#define FP_MOST_LANES 16
#define FP_MOST_COLUMNS (FP_MAX_TILE_VECTORS * FP_MOST_LANES)

/* B is packed if more tiles of rows than this read it, and it does not fit into L1: AVX2 and AVX-512 take 2 to 8% less time
 * for 64 rows in place. Fewer tiles suffice where B leaves L2 between two tiles, because it is larger or because its rows
 * evict each other: packing prefetches it, and 40 x 2000 x 500 takes AVX2 14% less time, 96 x 1000 x 1000 AVX-512 12%. */
#define FP_PACK_TILES 8
#define FP_PACK_FAR_TILES 4
/* A is packed if B is at least this many vectors wide, and A's rows, or the columns of A^T, evict each other from the
 * caches: to pack it takes as long as two vectors. From twice as many on, A^T is always packed, and A where its rows are a
 * page apart: AVX2 takes 15% less time at 2064 wide, but 3% more at 1000. */
#define FP_PACK_VECTORS 16
#define FP_PACK_ROW_BYTES 4096
/* From this many vectors on, tiles are wide where an ISA has such: those of two vectors, for what three do not divide, are
 * at most a sixth of all, and slower. AVX2 takes 2 to 8% less time at 256 to 2048 wide. */
#define FP_WIDE_VECTORS 24

/* From this depth on, a tile takes long enough to prefetch what is read next. */
#define FP_PREFETCH_K 64

/* Activations that are not computed in registers are applied to this many finished columns at least, since each row is a
 * call. */
#define FP_ACTIVATED 64

/* A C of fewer columns than FP_NARROW may be computed as C^T if k is at least FP_NARROW_K: its copies cost as much as 3
 * to 8 steps of k. */
#define FP_NARROW 32
#define FP_NARROW_K 32

/* Up to this depth a tile of two vectors spends more time on its beginning and end than on its sums (skinny.h): AVX2 takes
 * 20 to 50% less time for 2 x 20, 4 x 32, 8 x 32 and for what goes back through one output. */
#define FP_SHALLOW 8

/* Up to this many multiplications (m n k), plain loops beat the setting up of tiles. */
#define FP_SCALAR_PRODUCT 16

#endif
