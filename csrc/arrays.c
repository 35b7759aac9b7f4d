/* What Python asks of whole arrays outside a run. */
#include <string.h>
#include "fastnn.h"

#define FNN_SCAN(real)                                        \
  do {                                                        \
    const real *v = p;                                        \
    int bad = 0; /* no early exit: this loop is vectorized */ \
    for (ptrdiff_t i = 0; i < n; i++) bad |= !(v[i] - v[i] == 0); \
    return !bad;                                              \
  } while (0)

int fnn_all_finite(int dtype, ptrdiff_t n, const void *p) {
  if (dtype == FNN_F32) FNN_SCAN(float);
  if (dtype == FNN_F64) FNN_SCAN(double);
  return 1;
}

void fnn_pad(char *to, ptrdiff_t to_stride, const char *source, ptrdiff_t stride, ptrdiff_t bytes, ptrdiff_t rows) {
  for (ptrdiff_t i = 0; i < rows; i++) {
    memcpy(to + i * to_stride, source + i * stride, (size_t)bytes);
    memset(to + i * to_stride + bytes, 0, (size_t)(to_stride - bytes));
  }
}

/* index of the first largest of each row; the first NaN counts as the largest */
#define FNN_ARGMAX(real)                                            \
  for (ptrdiff_t i = 0; i < rows; i++) {                            \
    const real *v = (const real *)p + i * n;                        \
    real top = v[0];                                                \
    ptrdiff_t best = 0;                                             \
    int any_nan = top != top;                                       \
    for (ptrdiff_t j = 1; j < n; j++) { /* without a branch that nothing predicts */ \
      const int larger = v[j] > top;                                \
      top = larger ? v[j] : top;                                    \
      best = larger ? j : best;                                     \
      any_nan |= v[j] != v[j];                                      \
    }                                                               \
    if (any_nan) for (best = 0; v[best] == v[best]; best++) {}      \
    index[i] = best;                                                \
  }

void fnn_row_argmax(int dtype, ptrdiff_t rows, ptrdiff_t n, const void *p, int64_t *index) {
  if (dtype == FNN_F32) FNN_ARGMAX(float) else FNN_ARGMAX(double)
}

/* Fisher and Yates, from the last to the first: order[i] changes places with order[bits[i] (i + 1) / 2^32]. */
void fnn_shuffle(ptrdiff_t n, const uint32_t *bits, int64_t *order) {
  for (ptrdiff_t i = n - 1; i > 0; i--) {
    const ptrdiff_t j = (ptrdiff_t)((uint64_t)bits[i] * (uint64_t)(i + 1) >> 32);
    const int64_t kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}
