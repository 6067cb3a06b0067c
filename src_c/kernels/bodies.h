/* Every body, each written once, and then the table that they fill. */
/* table.h defines it; bodies that call a kernel by its number find it here. */
extern const fp_kernels FP(table);

#include "vmath.h"
#include "reduce.h"
#include "activation.h"
#include "activation_smooth.h"
#include "optimizer.h"
#include "gemm.h"
#include "multiply.h"
#include "dense.h"
#include "loss.h"
#include "loss_classes.h"
#include "tiny.h"
#include "descent.h"
#include "gather.h"
#include "rows.h"
#include "normalize.h"
#include "inputs.h"
#include "table.h"
