/* What AddressSanitizer cannot know by itself: one block of memory holds many arrays. In a build with it an op can reach
 * its own operands and workspace only, for the rows that the block has; all else in the Run's memory is poisoned
 * while the op runs. With FASTNN_GUARD in the environment (operands.py) there is room between arrays, so that one
 * operand's end is not the next one's beginning. Elsewhere nothing is left of all this. */
#ifndef FASTNN_GUARD_H
#define FASTNN_GUARD_H

#include "share.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { FNN_GUARDED = 1, FNN_GUARD_BYTES = 1024 }; /* left free after workspaces and copies */
static inline void fnn_close(const char *p, ptrdiff_t bytes) { __asan_poison_memory_region(p, (size_t)bytes); }
static inline void fnn_open(const char *p, ptrdiff_t bytes) { __asan_unpoison_memory_region(p, (size_t)bytes); }
#else
enum { FNN_GUARDED = 0, FNN_GUARD_BYTES = 0 };
static inline void fnn_close(const char *p, ptrdiff_t bytes) { (void)p, (void)bytes; }
static inline void fnn_open(const char *p, ptrdiff_t bytes) { (void)p, (void)bytes; }
#endif

typedef void (*fnn_guard_fn)(const char *p, ptrdiff_t bytes); /* fnn_close or fnn_open */

/* all memory of a Run, and what its model shares with it */
static inline void fnn_guard_run(fnn_guard_fn guard, const fnn_run_state *run) {
  for (int space = FNN_PARAMETER; space < FNN_BOUND; space++) guard(run->base[space], run->bytes[space]);
  guard(run->workspace, run->workspace_bytes * run->n_threads);
}

/* the operands of a call; bound arrays are the caller's, each in memory of its own */
static inline void fnn_guard_operands(fnn_guard_fn guard, const fnn_call *call, const fnn_run_state *run) {
  for (int i = 0; i < call->n_operands; i++) {
    const fnn_array *a = &call->a[i];
    for (int space = FNN_PARAMETER; space < FNN_BOUND; space++) {
      if (!a->p || !run->base[space] || a->p < run->base[space] || a->p >= run->base[space] + run->bytes[space]) continue;
      const ptrdiff_t n = a->ndim == 1 ? fnn_padded(a->n[0]) : a->ndim == 4 ? fnn_padded(a->n[0]) / FNN_PAD * a->s[0]
                                                                            : a->n[0] * a->s[0];
      guard(a->p, n * fnn_size_of(a->dtype));
    }
  }
}

#endif
