/* Runs a Program: binds its ops to a Run's memory, then walks them on a team of threads, block after block
 * and step after step. Inside the one parallel region threads meet at a spin barrier before every op that
 * reads what another thread wrote (program.py marks those), and at the end of each step. */
#include <sched.h>
#include <string.h>
#include "fastnn.h"
#include "guard.h"
#include "share.h"
#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#endif

/* ---- meeting ---- */

/* how often a thread has come to a barrier; written by it alone, on a cache line of its own */
typedef struct { _Alignas(FNN_ALIGN) int64_t times; } fnn_arrivals;

typedef struct {
  int64_t halt_step;  /* the step after which all stop; set by one thread before a barrier of that step */
  fnn_arrivals arrived[FNN_MAX_THREADS];
} fnn_team;

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

enum { SPINS_BEFORE_YIELD = 1000 };

/* Each thread says that it has arrived and looks at what the others say: one cache line goes each way. */
static inline void barrier(fnn_team *team, const fnn_step *s) {
  if (s->n_threads == 1) return;
  const int64_t times = team->arrived[s->thread].times + 1;
  __atomic_store_n(&team->arrived[s->thread].times, times, __ATOMIC_RELEASE);
  for (int other = 0; other < s->n_threads; other++)
    for (int spins = 0; __atomic_load_n(&team->arrived[other].times, __ATOMIC_ACQUIRE) < times; spins++) {
      relax();
      if (spins > SPINS_BEFORE_YIELD) sched_yield();
    }
}

/* ---- binding ---- */

static int64_t resolve(int64_t size, int64_t rows, int64_t time) {
  switch (size) {
  case FNN_DIM_B: return rows;
  case FNN_DIM_T: return time;
  case FNN_DIM_BT: return rows * time;
  case FNN_DIM_LANES: return (rows + FNN_PAD - 1) / FNN_PAD;
  default: return size;
  }
}

static void bind_op(const fnn_op *op, const fnn_run_state *run, const fnn_table *table, int64_t rows, fnn_call *call) {
  call->run = op->kind == FNN_NATIVE ? table->ops[op->opcode][op->dtype] : NULL;
  call->kind = op->kind;
  call->phase = op->phase;
  call->flags = op->flags;
  call->n_operands = op->n_operands;
  memcpy(call->dims, op->dims, sizeof call->dims);
  memcpy(call->scalars, op->scalars, sizeof call->scalars);
  for (int i = 0; i < op->n_operands; i++) {
    const fnn_operand *operand = &op->operands[i];
    fnn_array *a = &call->a[i];
    a->p = operand->space == FNN_NONE ? NULL : run->base[operand->space] + operand->offset;
    a->dtype = operand->dtype;
    a->ndim = operand->ndim;
    a->written = operand->written;
    a->row_bytes = 0;
    for (int k = 0; k < FNN_MAX_NDIM; k++) {
      a->n[k] = resolve(operand->shape[k], rows, run->time);
      a->s[k] = operand->stride[k];
    }
    if (operand->space < FNN_BOUND) continue;
    a->dtype = (int32_t)run->bound_dtype[operand->space - FNN_BOUND];
    a->row_bytes = run->bound_stride[operand->space - FNN_BOUND];
    a->s[0] = a->row_bytes / fnn_size_of(a->dtype);
    if (!run->base[operand->space]) a->p = NULL;
  }
}

static int64_t epoch_rows(const fnn_run_state *run) { return run->epoch_rows ? run->epoch_rows : run->n_rows; }

/* rows of each binding: see FNN_BINDINGS */
static void binding_rows(const fnn_run_state *run, int64_t rows[FNN_BINDINGS]) {
  const int64_t last = epoch_rows(run) % run->batch;
  rows[0] = fnn_min(run->block, fnn_min(run->batch, epoch_rows(run)));
  rows[1] = run->batch % run->block;
  rows[2] = last % run->block;
}

static void bind(const fnn_op *ops, int64_t n_ops, fnn_run_state *run) {
  int64_t rows[FNN_BINDINGS];
  binding_rows(run, rows);
  for (int binding = 0; binding < FNN_BINDINGS; binding++)
    for (int64_t i = 0; rows[binding] && i < n_ops; i++)
      bind_op(&ops[i], run, run->table, rows[binding], &run->calls[binding * n_ops + i]);
}

static const fnn_call *calls_for(const fnn_run_state *run, int64_t n_ops, int64_t rows) {
  int64_t of[FNN_BINDINGS];
  binding_rows(run, of);
  int binding = 0;
  while (of[binding] != rows) binding++;
  return run->calls + binding * n_ops;
}

static ptrdiff_t workspace_of(int opcode, int dtype, const fnn_call *call, const fnn_run_state *run) {
  ptrdiff_t (*const bytes)(const fnn_call *) = run->table->workspace[opcode][dtype];
  return bytes ? bytes(call) : 0;
}

int64_t fnn_workspace_bytes(const fnn_op *ops, int64_t n_ops, fnn_run_state *run) {
  int64_t most = 0;
  run->table = fnn_current_table();
  bind(ops, n_ops, run);
  for (int64_t i = 0; i < n_ops; i++) {
    if (ops[i].kind != FNN_NATIVE) continue;
    const int64_t bytes = workspace_of(ops[i].opcode, ops[i].dtype, &run->calls[i], run);
    if (bytes > most) most = bytes;
  }
  return (most + FNN_ALIGN - 1) / FNN_ALIGN * FNN_ALIGN + FNN_GUARD_BYTES;
}

/* ---- bounds, with AddressSanitizer ---- */

#ifdef __SANITIZE_ADDRESS__
/* Runs share the memory of their model, so they run one after the other, and none while the process forks. */
static pthread_mutex_t one_run = PTHREAD_MUTEX_INITIALIZER;
static void lock_runs(void) { pthread_mutex_lock(&one_run); }
static void unlock_runs(void) { pthread_mutex_unlock(&one_run); }
static void watch_forks(void) { pthread_atfork(lock_runs, unlock_runs, unlock_runs); }

static void begin_guard(const fnn_run_state *run) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  lock_runs();
  fnn_guard_run(fnn_close, run);
}

static void end_guard(const fnn_run_state *run) {
  fnn_guard_run(fnn_open, run);
  unlock_runs();
}
#else
static inline void begin_guard(const fnn_run_state *run) { (void)run; }
static inline void end_guard(const fnn_run_state *run) { (void)run; }
#endif

/* Opens or closes what the op may touch; the whole team is at the same op then. */
static inline void guard_op(fnn_guard_fn guard, const fnn_op *op, const fnn_call *call, const fnn_step *s, fnn_team *team) {
  if (!FNN_GUARDED) return;
  barrier(team, s);
  if (s->thread == 0) fnn_guard_operands(guard, call, s->run);
  guard(s->workspace, workspace_of(op->opcode, op->dtype, call, s->run));
  barrier(team, s);
}

/* ---- running ---- */

/* the sum of the weights of the step's rows; 1 where all are zero, so that loss and gradient are zero too, and
 * where the loss is to be a sum */
static double weight_sum(const fnn_run_state *run, int64_t row, int64_t rows) {
  if (run->sum_rows) return 1;
  if (!run->row_weight) return (double)rows;
  double sum = 0;
  for (int64_t i = row; i < row + rows; i++) sum += run->row_weight[run->index ? run->index[i] : i];
  return sum > 0 ? sum : 1;
}

static int array_finite(const fnn_array *a, int64_t row) {
  const int flat = a->ndim == 1, size = a->dtype == FNN_F32 ? 4 : 8;
  if (a->ndim == 4) return fnn_all_finite(a->dtype, (a->n[0] + FNN_PAD - 1) / FNN_PAD * a->s[0], a->p); /* lanes */
  const ptrdiff_t rows = flat ? 1 : a->n[0], n = flat ? a->n[0] : a->n[1], ld = flat ? 0 : a->s[0];
  for (ptrdiff_t i = 0; i < rows; i++)
    if (!fnn_all_finite(a->dtype, n, a->p + row * a->row_bytes + i * ld * size)) return 0;
  return 1;
}

static int outputs_finite(const fnn_call *call, int64_t row) {
  for (int i = 0; i < call->n_operands; i++)
    if (call->a[i].p && call->a[i].written && !array_finite(&call->a[i], row)) return 0;
  return 1;
}

/* the first thread's time in an op, waiting for the others included */
static void run_timed(const fnn_call *call, const fnn_step *s, fnn_team *team, double *seconds) {
  barrier(team, s);
  const double begin = fnn_now();
  call->run(call, s);
  barrier(team, s);
  if (s->thread == 0) *seconds += fnn_now() - begin;
}

/* Thread 0 notes why and where the run ends; every thread learns of it at a barrier. */
static void end_run(fnn_team *team, fnn_run_state *run, int status, int64_t step, int64_t block, int64_t op) {
  if (run->status == FNN_DONE) __atomic_store_n(&run->status, status, __ATOMIC_RELAXED); /* others may look at it */
  run->status_step = step;
  run->status_block = block;
  run->status_op = op;
  __atomic_store_n(&team->halt_step, step, __ATOMIC_RELAXED);
}

static inline int halted(const fnn_team *team, int64_t step) {
  return __atomic_load_n(&team->halt_step, __ATOMIC_RELAXED) == step;
}

/* Numbers below the normal range cost up to a hundred times as much, and momenta that decay end there. Training
 * takes them for zero, on the threads and for the time of a run. Returns what `restore_subnormals` wants. */
#if defined(__SSE2__)
typedef unsigned subnormals;
static inline subnormals flush_subnormals(void) {
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040); /* results and operands */
  return before;
}
static inline void restore_subnormals(subnormals before) { __builtin_ia32_ldmxcsr(before); }
#elif defined(__aarch64__)
typedef uint64_t subnormals;
static inline subnormals flush_subnormals(void) {
  uint64_t before;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(before));
  __asm__ __volatile__("msr fpcr, %0" : : "r"(before | 1u << 24));
  return before;
}
static inline void restore_subnormals(subnormals before) { __asm__ __volatile__("msr fpcr, %0" : : "r"(before)); }
#else
typedef int subnormals;
static inline subnormals flush_subnormals(void) { return 0; }
static inline void restore_subnormals(subnormals before) { (void)before; }
#endif

/* One thread's walk. Returns when last_step is reached or the team halts. */
static void walk(const fnn_op *ops, int64_t n_ops, fnn_run_state *run, fnn_team *team, int thread, int n_threads) {
  fnn_power powers[FNN_POWERS] = {0};
  fnn_product momenta = {0};
  fnn_step s = {.run = run, .powers = powers, .momenta = &momenta, .thread = thread, .n_threads = n_threads,
                .workspace = run->workspace + thread * run->workspace_bytes};
  const int64_t n_epoch = epoch_rows(run), epoch_steps = (n_epoch + run->batch - 1) / run->batch;
  for (int64_t step = run->first_step; step < run->last_step; step++) {
    const int resumed = step == run->first_step;
    const int64_t epoch_row = step % epoch_steps * run->batch, row = step / epoch_steps * n_epoch + epoch_row;
    const int64_t rows = fnn_min(run->batch, n_epoch - epoch_row);
    const int64_t n_blocks = (rows + run->block - 1) / run->block;
    s.update = run->update_count + step + 1;
    s.rate = run->rates ? run->rates[step] : 0;
    s.momentum = run->momenta ? run->momenta[step] : 0;
    s.loss = run->losses ? &run->losses[step] : NULL;
    s.weight_sum = weight_sum(run, row, rows);
    for (int64_t block = resumed ? run->first_block : 0; block < n_blocks; block++) {
      s.batch_row = block * run->block;
      s.row = row + s.batch_row;
      s.first_block = block == 0;
      const fnn_call *calls = calls_for(run, n_ops, fnn_min(run->block, row + rows - s.row));
      if (block) barrier(team, &s);
      for (int64_t i = resumed && block == run->first_block ? run->first_op : 0; i < n_ops; i++) {
        const fnn_call *call = &calls[i];
        if (call->phase >= FNN_TRANSFORM && block < n_blocks - 1) break;
        if (call->flags & FNN_BARRIER || call->kind != FNN_NATIVE || run->check) barrier(team, &s);
        if (__atomic_load_n(&run->status, __ATOMIC_RELAXED) == FNN_NONFINITE_INPUT && (call->flags & FNN_BARRIER)) {
          if (thread == 0) end_run(team, run, FNN_NONFINITE_INPUT, step, block, i);
          return;
        }
        if (call->kind != FNN_NATIVE) {
          if (thread == 0) end_run(team, run, FNN_AT_HOST_OP, step, block, i);
          return;
        }
        guard_op(fnn_open, &ops[i], call, &s, team);
        if (run->op_seconds) run_timed(call, &s, team, &run->op_seconds[i]);
        else call->run(call, &s);
        if (run->check) {
          barrier(team, &s);
          if (thread == 0 && !outputs_finite(call, s.row)) end_run(team, run, FNN_NONFINITE_VALUE, step, block, i);
        }
        guard_op(fnn_close, &ops[i], call, &s, team);
        if (!run->check) continue;
        barrier(team, &s);
        if (halted(team, step)) return;
      }
    }
    if (thread == 0 && run->stop && __atomic_load_n(run->stop, __ATOMIC_RELAXED))
      end_run(team, run, FNN_STOPPED, step, 0, n_ops);
    barrier(team, &s);
    if (halted(team, step)) return;
  }
}

typedef struct { const fnn_op *ops; int64_t n_ops; fnn_run_state *run; fnn_team team; } fnn_walk;

/* One thread's part: its walk, with numbers taken for zero where a run with learning rates trains. */
static void walk_in_mode(void *data, int thread, int n_threads) {
  fnn_walk *w = data;
  if (!w->run->rates) {
    walk(w->ops, w->n_ops, w->run, &w->team, thread, n_threads);
    return;
  }
  const subnormals before = flush_subnormals();
  walk(w->ops, w->n_ops, w->run, &w->team, thread, n_threads);
  restore_subnormals(before);
}

void fnn_set_stop(int32_t *stop, int32_t value) { __atomic_store_n(stop, value, __ATOMIC_RELAXED); }

void fnn_run(const fnn_op *ops, int64_t n_ops, fnn_run_state *run) {
  run->status = FNN_DONE;
  run->status_row = -1;
  if (run->first_step >= run->last_step) return;
  bind(ops, n_ops, run);
  fnn_walk w;
  w.ops = ops, w.n_ops = n_ops, w.run = run, w.team.halt_step = -1;
  for (int64_t i = 0; i < run->n_threads; i++) w.team.arrived[i].times = 0;
  begin_guard(run);
  fnn_on_team((int)run->n_threads, walk_in_mode, &w);
  end_guard(run);
}

/* ---- one op on arrays of the caller: fastnn.functional's way in ---- */

ptrdiff_t fnn_call_workspace(int opcode, int dtype, const fnn_call *call, fnn_run_state *run) {
  run->table = fnn_current_table();
  return workspace_of(opcode, dtype, call, run);
}

void fnn_call_alone(int opcode, int dtype, const fnn_call *call, fnn_run_state *run, double weight_sum) {
  fnn_power powers[FNN_POWERS] = {0};
  fnn_product momenta = {0};
  const fnn_step s = {.run = run, .powers = powers, .momenta = &momenta, .n_threads = 1, .first_block = 1, .update = run->update_count,
                      .rate = *run->rates, .loss = run->losses, .weight_sum = weight_sum,
                      .workspace = run->workspace, .batch_row = run->first_block * run->block};
  run->table->ops[opcode][dtype](call, &s);
}

const char *fnn_compiler(void) {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}
