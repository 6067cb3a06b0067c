/* What a product is for every dtype: the ways to finish an element, and the sizes of blocks. The sizes change speed only:
 * every element of C is summed in the order of k, through C itself from one block to the next, so no choice made here
 * changes a bit. */
#ifndef FP_KERNELS_PRODUCT_H
#define FP_KERNELS_PRODUCT_H

/* What happens to a finished element of C: nothing, c = g(c), c = c g'(z), or the weight that it is the gradient of takes
 * its step of SGD, and c itself is not kept. */
enum { FP_FINISH_NONE, FP_FINISH_FORWARD, FP_FINISH_BACKWARD, FP_FINISH_DESCENT };

#define FP_BLOCK_K_BYTES 2048 /* depth of a block of B: a tile's rows of A (14 x 512 floats, 28 KB) stay in a 32 KB L1 */
#define FP_BLOCK_N_BYTES 1024 /* its width: 512 x 256 floats are 512 KB, half of a 1 MB L2, 256 x 128 doubles half of that */
/* The most vectors of a tile's row: an FMA waits 4 cycles for the one before, and a core begins two a cycle. Steps of one
 * row take a quarter less for it at 64 wide. */
#define FP_WIDE(mr) ((mr) == 1 ? 8 : (mr) == 2 ? 4 : 2)
#define FP_WIDEST FP_WIDE(1)
#define FP_PANEL_MAX 32 /* the widest panel of any ISA (two AVX-512 vectors of float32): packed widths round up to it */

/* B is packed where its rows are so far apart that reading a row of a tile's columns at each k takes too many entries of
 * the TLB and, if 2^k apart, too few sets of the cache: FP_PACK_PAGES of the ISA times this. Closer rows are faster read in
 * place, by 1 to 15%. So are those of few tiles of rows, for which a copy costs more than it gains. */
#define FP_PACK_ROW_BYTES 4096
#define FP_PACK_TILES 4
#define FP_PANEL_BYTES (16 * 1024) /* B^T of more is packed panel by panel, so that each is in L1 when it is read: 3 to 8% */
/* Packed are also, for low tiles, the rows that one reads of A^T where all k fall into one set of the cache: AVX2 takes a
 * third less time at 1024 wide, AVX-512 would take 3% more. */
#define FP_TILE_MAX 16 /* the most rows of a tile of any ISA, rounded up to a vector */
#define FP_TILE_SCRATCH(size) (FP_TILE_MAX * (FP_BLOCK_K_BYTES / (size) + 1))
#define FP_PACK_AHEAD 8 /* rows of B that are fetched ahead of the one that is copied: 2% of a product 1024 wide */

#define FP_FETCH_K 64 /* from this depth on, a tile takes long enough to fetch meanwhile what comes next */
#define FP_FETCH_BYTES (256 * 1024) /* so does A beyond what a 512 KB L2 keeps beside B: 15% at 2048 wide, -2% at 48 */
#define FP_NARROW 32   /* C of fewer columns may be computed as C^T, if that has as many k: */
#define FP_NARROW_K 32 /* its copies cost as much as 3 to 8 k */
#define FP_SCALAR_PRODUCT 16 /* up to so many multiplications, plain loops beat the setting up of tiles */

#endif
