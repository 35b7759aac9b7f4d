/* Every kernel of one instruction set, for float and double, and the table through which they are reached.
 * Compiled once per row of the table in setup.py, with FNN_ISA and FNN_VECTOR_BYTES set. */
#include <string.h>
#include "fastnn.h"
#include "share.h"

/* the first row, in the order of the pass, that holds a non-finite value */
static inline void fnn_report_row(fnn_run_state *run, int64_t row) {
  int64_t seen = __atomic_load_n(&run->status_row, __ATOMIC_RELAXED);
  while ((seen < 0 || row < seen) &&
         !__atomic_compare_exchange_n(&run->status_row, &seen, row, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  __atomic_store_n(&run->status, FNN_NONFINITE_INPUT, __ATOMIC_RELAXED);
}

#define FNN_BITS 32
#include "families.h"
#undef FNN_BITS
#define FNN_BITS 64
#include "families.h"

#define FNN_STRING2(x) #x
#define FNN_STRING(x) FNN_STRING2(x)
#define FNN_JOIN2(a, b) a##b
#define FNN_JOIN(a, b) FNN_JOIN2(a, b)

const fnn_table FNN_JOIN(fnn_table_, FNN_ISA) = {
  .isa = FNN_STRING(FNN_ISA),
  .vector_bytes = FNN_VECTOR_BYTES,
  .ops = {
#define OP(name, operands, dims, scalars) {fnn_op_##name##_f32, fnn_op_##name##_f64},
#include "ops.def"
#undef OP
  },
  .workspace = {
#define OP(name, operands, dims, scalars)
#define OPTIMIZER(name, states, operands, dims, scalars)
#define OP_WITH_WORKSPACE(name, operands, dims, scalars) \
    [FNN_OP_##name] = {fnn_ws_##name##_f32, fnn_ws_##name##_f64},
#include "ops.def"
#undef OP
  },
  .vector_function = {fnn_vector_function_f32, fnn_vector_function_f64},
  .fma_peak = {fnn_fma_peak_f32, fnn_fma_peak_f64},
};
