/* What all dtypes share of the matrix products of gemm.h: their epilogues, and the sizes of blocks. The sizes change
 * speed only: every element of C is summed in the order of k, through C itself from one block to the next, so no choice
 * made here changes a bit. */
#ifndef FP_KERNELS_PRODUCT_H
#define FP_KERNELS_PRODUCT_H

/* What is done with a complete element c of C: nothing; c = g(c); c = c g'(z); or SGD updates the weight of which c is
 * the gradient, and c itself is not stored. */
enum { FP_EPILOGUE_NONE, FP_EPILOGUE_FORWARD, FP_EPILOGUE_BACKWARD, FP_EPILOGUE_SGD };

/* The depth of a block of B: a tile's rows of A (14 x 512 floats, 28 KB) stay in a 32 KB L1. */
#define FP_BLOCK_K_BYTES 2048
/* Its width: 512 x 256 floats are 512 KB, half of a 1 MB L2; 256 x 128 doubles are half of that. */
#define FP_BLOCK_N_BYTES 1024

/* The number of vectors across a full tile of mr rows. An FMA waits 4 cycles for the one whose sum it adds to, and a
 * core starts two per cycle, so a tile needs 8 sums at least. Steps of one row take a quarter less time for it at 64
 * wide. */
#define FP_TILE_VECTORS(mr) ((mr) == 1 ? 8 : (mr) == 2 ? 4 : 2)
#define FP_MAX_TILE_VECTORS FP_TILE_VECTORS(1)
/* The widest panel of any ISA (two AVX-512 vectors of float32): packed widths round up to it. */
#define FP_MAX_PANEL 32

/* B is packed if its rows are at least FP_PACK_PAGES (of the ISA) times this apart: to read a row of a tile's columns
 * at each k then takes too many entries of the TLB and, if the rows are 2^k bytes apart, maps to too few sets of the
 * cache. Closer rows are read faster in place, by 1 to 15%. */
#define FP_PACK_ROW_BYTES 4096
/* B is also read in place if no more tiles of rows than this read it: a copy would cost more than it saves. */
#define FP_PACK_TILES 4
/* A larger B^T is packed panel by panel, so that each panel is in L1 when it is read, which saves 3 to 8%. */
#define FP_PANEL_BYTES (16 * 1024)
/* Packing prefetches this many rows of B ahead of the one that it copies: 2% of a product 1024 wide. */
#define FP_PACK_PREFETCH 8

/* Where FP_PACK_PAGES is 1, a tile's rows of A^T are packed too if all k map to one set of the cache: AVX2 takes a
 * third less time at 1024 wide; AVX-512, whose tiles are taller, would take 3% more. */
#define FP_MAX_TILE_ROWS 16 /* the largest FP_MR of any ISA, rounded up to a vector */
#define FP_TILE_SCRATCH(size) (FP_MAX_TILE_ROWS * (FP_BLOCK_K_BYTES / (size) + 1))

/* From this depth on, a tile takes long enough to prefetch what is read next. */
#define FP_PREFETCH_K 64
/* A is prefetched from this size on, since a 512 KB L2 does not hold it beside B: 15% at 2048 wide, -2% at 48. */
#define FP_PREFETCH_BYTES (256 * 1024)

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
