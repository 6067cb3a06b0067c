/* Includes the kernels, each of which is written once for all ISAs and dtypes, and then the table of them. Where
 * FP_SMALL_NETWORKS is defined, these are only the kernels of small networks of dense layers, and the table has no others. */

/* Kernels call activations and losses by their numbers through this table, which table.h defines. */
extern const fp_kernels FP(table);

#include "vmath.h"
#include "reduce.h"
#include "activation.h"
#include "activation_smooth.h"
#include "optimizer.h"
#include "loss.h"
#include "loss_classes.h"
#include "small_network.h"
#include "optimizer_step.h"
#ifndef FP_SMALL_NETWORKS
#include "gemm.h"
#include "gemm_variants.h"
#include "dense.h"
#include "gather.h"
#include "rowwise.h"
#include "normalize.h"
#include "embeddings.h"
#include "encoded.h"
#endif
#include "table.h"
