/* How a team shares an array: each thread owns a region of it. The rule depends on the shape and the
 * size of the team alone, so that the thread which computes a gradient also owns the weights below it. */
#ifndef FASTNN_SHARE_H
#define FASTNN_SHARE_H

#include <time.h>
#include "fastnn.h"

typedef struct { ptrdiff_t row, rows, column, columns; } fnn_region;

static inline ptrdiff_t fnn_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t fnn_padded(ptrdiff_t n) { return (n + FNN_PAD - 1) / FNN_PAD * FNN_PAD; }

static inline double fnn_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* bytes of a number */
static inline int fnn_size_of(int dtype) {
  static const int sizes[FNN_N_DTYPES] = {4, 8, 1, 1, 2, 2, 4, 4, 8, 8};
  return sizes[dtype];
}

/* an operand's first row of the block: rows of bound arrays count from the pass's first */
static inline char *fnn_rows(const fnn_array *a, const fnn_step *s) { return a->p + s->row * a->row_bytes; }

/* [0, n) cut into equal parts of whole units: where part i begins */
static inline ptrdiff_t fnn_cut(ptrdiff_t n, ptrdiff_t unit, int i, int parts) {
  const ptrdiff_t units = (n + unit - 1) / unit;
  return fnn_min(n, units * i / parts * unit);
}

static inline fnn_region fnn_own_rows(ptrdiff_t rows, ptrdiff_t n, const fnn_step *s) {
  const ptrdiff_t begin = fnn_cut(rows, 1, s->thread, s->n_threads);
  const fnn_region r = {begin, fnn_cut(rows, 1, s->thread + 1, s->n_threads) - begin, 0, n};
  return r;
}

/* blocks of images in lanes */
static inline fnn_region fnn_own_blocks(ptrdiff_t images, const fnn_step *s) {
  return fnn_own_rows((images + FNN_PAD - 1) / FNN_PAD, 1, s);
}

static inline fnn_region fnn_own_columns(ptrdiff_t rows, ptrdiff_t n, const fnn_step *s) {
  const ptrdiff_t begin = fnn_cut(n, FNN_PAD, s->thread, s->n_threads);
  const fnn_region r = {0, rows, begin, fnn_cut(n, FNN_PAD, s->thread + 1, s->n_threads) - begin};
  return r;
}

/* columns where there are at least two vectors of them a thread, else rows */
static inline fnn_region fnn_own(ptrdiff_t rows, ptrdiff_t n, const fnn_step *s) {
  if (rows == 1 || n > FNN_PAD * (2 * s->n_threads - 1)) return fnn_own_columns(rows, n, s);
  return fnn_own_rows(rows, n, s);
}

static inline double fnn_sum_of_eight(const double *s) {
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* eight interleaved sums of n numbers, then theirs */
static inline double fnn_sum(const double *x, ptrdiff_t n) {
  double sum[8] = {0};
  for (ptrdiff_t i = 0; i < n; i++) sum[i % 8] += x[i];
  return fnn_sum_of_eight(sum);
}

/* base^update: one libm call a step for each base */
static inline double fnn_power_of(double base, const fnn_step *s) {
  fnn_power *p = s->powers;
  for (int i = 0; i < FNN_POWERS; i++, p++)
    if (p->update == s->update && p->base == base) return p->value;
  p = s->powers;
  for (int i = 1; i < FNN_POWERS && p->update == s->update; i++) p++;
  p->base = base;
  p->update = s->update;
  return p->value = pow(base, (double)s->update);
}

/* NAdam's momentum at an update: beta (1 - 1/2 0.96^(update decay)) (Dozat 2016) */
static inline double fnn_nadam_momentum(double beta, double decay, int64_t update) {
  return beta * (1 - 0.5 * pow(0.96, (double)update * decay));
}

/* the product of NAdam's momenta of the updates 1 to s->update */
static inline double fnn_nadam_product(double beta, double decay, const fnn_step *s) {
  fnn_product *p = s->momenta;
  if (p->beta != beta || p->decay != decay || p->update > s->update) *p = (fnn_product){beta, decay, 1, 0};
  while (p->update < s->update && p->value > 1e-30) p->value *= fnn_nadam_momentum(beta, decay, ++p->update);
  return p->value;
}

#endif
