/* Picks the kernels of the best instruction set that this machine runs. */
#include <string.h>
#include "fastnn.h"

extern const fnn_table fnn_table_baseline;
static int always(void) { return 1; }
#ifdef FNN_HAVE_AVX2
extern const fnn_table fnn_table_avx2;
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
#ifdef FNN_HAVE_AVX512
extern const fnn_table fnn_table_avx512;
static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}
#endif

/* one row per instruction set, the best last */
static const struct { const fnn_table *table; int (*supported)(void); } isas[] = {
  {&fnn_table_baseline, always},
#ifdef FNN_HAVE_AVX2
  {&fnn_table_avx2, has_avx2},
#endif
#ifdef FNN_HAVE_AVX512
  {&fnn_table_avx512, has_avx512},
#endif
};
enum { N_ISAS = sizeof isas / sizeof *isas };

static const fnn_table *current;

int fnn_isa_count(void) { return N_ISAS; }
const char *fnn_isa_name(int i) { return isas[i].table->isa; }
int fnn_isa_supported(int i) { return isas[i].supported(); }

/* Threads may ask at once: the first calls find the same one. */
const fnn_table *fnn_current_table(void) {
  const fnn_table *table = __atomic_load_n(&current, __ATOMIC_RELAXED);
  for (int i = N_ISAS - 1; !table; i--)
    if (isas[i].supported()) __atomic_store_n(&current, table = isas[i].table, __ATOMIC_RELAXED);
  return table;
}

int fnn_select_isa(const char *isa) {
  for (int i = 0; i < N_ISAS; i++)
    if (!strcmp(isa, isas[i].table->isa) && isas[i].supported()) {
      __atomic_store_n(&current, isas[i].table, __ATOMIC_RELAXED);
      return 0;
    }
  return -1;
}

const char *fnn_op_field(int op, int field) {
  static const char *const fields[FNN_N_OPS][4] = {
#define OP(name, operands, dims, scalars) {#name, operands, dims, scalars},
#include "ops.def"
#undef OP
  };
  return op >= 0 && op < FNN_N_OPS ? fields[op][field] : NULL;
}

const char *fnn_activation_name(int i) {
  static const char *const names[FNN_N_ACTIVATIONS] = {
#define ACTIVATION(name, derivative_of, forward, derivative) #name,
#include "activations.def"
#undef ACTIVATION
  };
  return i >= 0 && i < FNN_N_ACTIVATIONS ? names[i] : NULL;
}

const char *fnn_loss_name(int i) {
  static const char *const names[FNN_N_LOSSES] = {
#define LOSS(name, value, slope) #name,
#include "losses.def"
#undef LOSS
  };
  return i >= 0 && i < FNN_N_LOSSES ? names[i] : NULL;
}
