/* The kernel families, in the order in which they use one another; included once per dtype. */
#include "template.h"
#include "simd.h"
#include "gemm.inc"
#include "gather.inc"
#include "activation.inc"
#include "dense.inc"
#include "loss.inc"
#include "optimizer.inc"
