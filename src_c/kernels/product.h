/* What a product is for every dtype: the ways to finish an element, and the sizes of blocks. The sizes change speed only:
 * every element of C is summed in the order of k, through C itself from one block to the next, so no choice made here
 * changes a bit. */
#ifndef FP_KERNELS_PRODUCT_H
#define FP_KERNELS_PRODUCT_H

/* What happens to a finished element of C: nothing, c = g(c), or c = c g'(z). */
enum { FP_FINISH_NONE, FP_FINISH_FORWARD, FP_FINISH_BACKWARD };

#define FP_BLOCK_K 512 /* depth of a block of B: a tile's rows of A (14 x 512 floats, 28 KB) stay in a 32 KB L1 */
#define FP_BLOCK_N 256 /* its width: 512 x 256 floats are 512 KB, half of a 1 MB L2 */
#define FP_TILE_MAX 16  /* the most rows of a tile of any ISA, rounded up to a vector */
#define FP_PANEL_MAX 32 /* the widest panel of any ISA (two AVX-512 vectors of float32): packed widths round up to it */

/* B is packed where its rows are a page apart, so that each k takes another entry of the TLB and, if 2^k apart, the same
 * set of the cache; but not for so few tiles' rows that this costs more than it gains (Zen 5 at 64 rows of 1024 wide:
 * AVX-512 loses 10%, AVX2, whose tiles are lower and thus more, gains 25%). Closer rows are faster read in place, by 1 to
 * 15% on both. */
#define FP_PACK_ROW_BYTES 4096
#define FP_PACK_TILES 8

/* So is a tile of A^T with so few columns that they would take up a whole cache line for each k, where that many lines
 * fill a 32 KB L1 and many tiles of C share the copy: AVX2 gains 2 to 7% at 1024 and 2048 wide, loses up to 7% below. */
#define FP_CACHE_LINE 64
#define FP_PACK_TILE_K 512
#define FP_PACK_TILE_N 256

#define FP_PREFETCH_K 64 /* from this depth on a tile takes long enough to fetch the next one's C meanwhile: 2% at 1024 */
#define FP_SCALAR_PRODUCT 16 /* up to so many multiplications, plain loops beat the setting up of tiles */

/* Where A^T is packed by tiles: elements for a depth of k, and what the last store may write beyond. */
#define FP_TILE_SCRATCH(k) (FP_TILE_MAX * ((k) < FP_BLOCK_K ? (k) : FP_BLOCK_K) + FP_TILE_MAX)

#endif
