/* The manual of the core: what a Program, an op, an operand and a Run are, and how they are run.
 *
 *   Program   a flat list of fnn_op, made by program.py; immutable, shared by any number of Runs.
 *   Run       what one call owns: base pointers, batch size, step range, rates, the fnn_call list.
 *   fnn_bind  turns ops into calls: operand records become pointers, the symbols B and T numbers.
 *   fnn_run   walks the calls step after step on a team of threads; no allocation, no Python.
 *
 * A kernel family lives in one .inc file, which kernels.c includes once for float and once for
 * double; kernels.c is compiled once per instruction set. Each compilation exports one fnn_table;
 * dispatch.c picks one. ops.def has a row per op: its name is the name of the function
 * fnn_op_<name>_<dtype>, of the NumPy kernel and of the function in fastnn.functional.
 *
 * Conventions that every kernel may rely on
 *   - Arrays are row-major; the last axis is contiguous. Strides count elements, not bytes.
 *   - The last axis of an array in the arena, the workspace or the parameters is padded to FNN_PAD
 *     elements. Kernels read and write whole vectors there and keep the pad lanes exactly zero.
 *     Bound arrays are the caller's and not padded: kernels that may be given one (the first layer's x, a
 *     loss's target and weight) read its logical elements only.
 *   - Arrays of a step in the arena come in one of three layouts:
 *       rows   (B, n)
 *       time   (T B, n), row t B + b: all of a step in time is contiguous; T is run->time
 *       lanes  images (B, h, w, c) as [ceil(B / 16)][h][w][c][16], FNN_PAD images innermost: n = {B, h, w, c},
 *              s = {h w c 16, w c 16, c 16, 16}. In the lanes beyond B of the last block, values are those of the
 *              last image, so that they are finite where its are, and gradients are zero.
 *     Parameters of up to four axes reach a kernel as a matrix: all axes but the last are its rows.
 *   - The gradient of x is dx.
 *   - A sum over rows goes in row order within a chunk and in chunk order between chunks; chunks
 *     depend on shapes alone, so results do not depend on the number of threads.
 */
#ifndef FASTNN_H
#define FASTNN_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define FNN_MAX_NDIM 4
#define FNN_MAX_OPERANDS 16
#define FNN_MAX_DIMS 16
#define FNN_MAX_SCALARS 8
#define FNN_PAD 16    /* elements: one AVX-512 vector of float, two of double */
#define FNN_ALIGN 64  /* bytes */
#define FNN_MAX_THREADS 256
#define FNN_MAX_INPUTS 40
#define FNN_POWERS 4

typedef enum { FNN_F32, FNN_F64, FNN_N_REALS,
               FNN_I8 = FNN_N_REALS, FNN_U8, FNN_I16, FNN_U16, FNN_I32, FNN_U32, FNN_I64, FNN_U64,
               FNN_N_DTYPES } fnn_dtype;

/* Where an operand lives. BOUND + i is the i-th array that the caller binds to the Run. */
typedef enum { FNN_NONE, FNN_PARAMETER, FNN_GRADIENT, FNN_OPTIMIZER_STATE, FNN_PERSISTENT,
               FNN_ARENA, FNN_WORKSPACE, FNN_CONSTANT, FNN_BOUND,
               FNN_N_SPACES = FNN_BOUND + FNN_MAX_INPUTS } fnn_space;

typedef enum { FNN_GATHER, FNN_FORWARD, FNN_LOSS, FNN_BACKWARD, FNN_TRANSFORM, FNN_UPDATE } fnn_phase;
typedef enum { FNN_NATIVE, FNN_HOST, FNN_COLLECTIVE } fnn_kind;

/* Flags of an op. */
enum { FNN_ACCUMULATE = 1,  /* add to the outputs instead of overwriting them */
       FNN_BARRIER = 2 };   /* wait for all threads before this op: it reads what another wrote */

/* A symbolic size: the batch, the time steps, their product, the blocks of FNN_PAD lanes that hold the batch. */
enum { FNN_DIM_B = -1, FNN_DIM_T = -2, FNN_DIM_BT = -3, FNN_DIM_LANES = -4 };

typedef struct {
  int64_t offset;               /* bytes from the base of its space */
  int64_t shape[FNN_MAX_NDIM];  /* an FNN_DIM_.. or a size; unused ones are 1 */
  int64_t stride[FNN_MAX_NDIM]; /* elements */
  int32_t space, dtype;
  int32_t ndim;
  int32_t written;              /* an output: check mode scans it for non-finite values */
} fnn_operand;

typedef struct {
  int32_t opcode, dtype, phase, kind, flags, n_operands;
  int64_t dims[FNN_MAX_DIMS];        /* sizes and choices that are no operand's shape */
  double scalars[FNN_MAX_SCALARS];
  fnn_operand operands[FNN_MAX_OPERANDS];
} fnn_op;

/* An operand once bound: a pointer and numbers. An absent operand has p == NULL. */
typedef struct {
  char *p;
  ptrdiff_t n[FNN_MAX_NDIM];  /* shape */
  ptrdiff_t s[FNN_MAX_NDIM];  /* strides in elements */
  ptrdiff_t row_bytes;        /* of a bound array: bytes between its rows; else 0 */
  int32_t dtype, ndim, written;
} fnn_array;

struct fnn_step;
struct fnn_call;
struct fnn_table;
typedef void (*fnn_op_fn)(const struct fnn_call *call, const struct fnn_step *step);

typedef struct fnn_call {
  fnn_op_fn run;
  int32_t kind, phase, flags, n_operands;
  int64_t dims[FNN_MAX_DIMS];
  double scalars[FNN_MAX_SCALARS];
  fnn_array a[FNN_MAX_OPERANDS];
} fnn_call;

/* Why fnn_run came back. */
typedef enum { FNN_DONE, FNN_STOPPED, FNN_AT_HOST_OP, FNN_NONFINITE_INPUT, FNN_NONFINITE_VALUE } fnn_status;

/* A step takes `batch` rows (the last one what is left), `block` at a time: the ops up to the backward
 * phase run once a block and add to the gradients from the second block on, the others once a step. */
typedef struct {
  /* set by the caller */
  char *base[FNN_N_SPACES];
  int64_t bytes[FNN_BOUND];                 /* of the spaces that are no bound arrays */
  int64_t bound_stride[FNN_MAX_INPUTS];     /* bytes between the rows of a bound array */
  int64_t bound_dtype[FNN_MAX_INPUTS];
  const int64_t *index;                     /* row order; NULL: rows as they stand */
  const double *row_weight;                 /* of each row of the bound arrays; NULL: all 1 */
  const double *rates;                      /* learning rate of each step of the pass; NULL: no training */
  const double *momenta;                    /* beta1 of each step of the pass; NULL: the optimizer op's own */
  double *losses;                           /* mean loss of each step of the pass */
  double *op_seconds;                       /* NULL, or where the time of each op is added up */
  const int32_t *stop;                      /* non-zero: come back after the step; see fnn_set_stop */
  fnn_call *calls;                          /* room for FNN_BINDINGS * n_ops */
  char *workspace;
  int64_t workspace_bytes;                  /* of one thread */
  int64_t n_rows, batch, block, time;       /* rows of a pass, of a step, of a block; steps in time */
  int64_t epoch_rows;                       /* the pass is epochs of so many rows, which end in a short step; 0: one */
  int64_t first_step, last_step;            /* of the pass, half-open */
  int64_t first_block, first_op;            /* where in first_step to go on after a host op */
  int64_t update_count;                     /* optimizer updates before step 0 of the pass */
  uint64_t seed;
  int64_t n_threads, check;                 /* check: scan what ops write for non-finite values */
  int64_t sum_rows;                         /* a step's loss is the sum over its rows, not their mean */
  const struct fnn_table *table;            /* the kernels; fnn_workspace_bytes and fnn_call_workspace set it */
  /* set by fnn_run */
  int64_t status, status_step, status_block, status_op, status_row;
} fnn_run_state;

/* The sizes that a block of rows can have: whole, the rest of a full step, both of a short last step. */
#define FNN_BINDINGS 3

/* base^update, kept for the other ops of the step */
typedef struct { double base, value; int64_t update; } fnn_power;

/* The product of NAdam's momenta up to an update, kept for the ops of the step and the next one */
typedef struct { double beta, decay, value; int64_t update; } fnn_product;

/* What an op may know of the step it runs in. */
typedef struct fnn_step {
  fnn_run_state *run;
  fnn_power *powers;  /* FNN_POWERS of them, this thread's own */
  fnn_product *momenta; /* this thread's own */
  int64_t row;        /* first row of the block, within the pass: where its index is */
  int64_t batch_row;  /* the same, within the step */
  int64_t update;     /* 1 for the first update ever */
  double rate;        /* learning rate */
  double momentum;    /* beta1 of the step, where the run has momenta */
  double weight_sum;  /* of the step's rows: what a mean divides by; 1 where the loss is a sum */
  double *loss;       /* where the step's loss is summed */
  char *workspace;    /* this thread's own */
  int thread, n_threads, first_block;
} fnn_step;

enum fnn_opcode {
#define OP(name, operands, dims, scalars) FNN_OP_##name,
#include "ops.def"
#undef OP
  FNN_N_OPS
};

enum fnn_activation {
#define ACTIVATION(name, derivative_of, forward, derivative) FNN_ACT_##name,
#include "activations.def"
#undef ACTIVATION
  FNN_N_ACTIVATIONS
};

enum fnn_loss {
#define LOSS(name, value, slope) FNN_LOSS_##name,
#include "losses.def"
#undef LOSS
  FNN_N_LOSSES
};

/* The kernels of one instruction set. */
typedef struct fnn_table {
  const char *isa;
  int vector_bytes;
  fnn_op_fn ops[FNN_N_OPS][FNN_N_REALS];
  ptrdiff_t (*workspace[FNN_N_OPS][FNN_N_REALS])(const fnn_call *call);  /* bytes; NULL: none */
  /* y[i] = f(x[i]) for the elementary functions, by name; for tests of their accuracy */
  void (*vector_function[FNN_N_REALS])(const char *name, ptrdiff_t n, const void *x, void *y);
  /* multiply-adds in registers only, n rounds; returns the floating-point operations done */
  double (*fma_peak[FNN_N_REALS])(int64_t n);
} fnn_table;

/* dispatch.c */
const fnn_table *fnn_current_table(void);
int fnn_select_isa(const char *isa);  /* 0, or -1 where this machine cannot run it */
int fnn_isa_count(void);              /* of those built in, best last */
const char *fnn_isa_name(int i);
int fnn_isa_supported(int i);
const char *fnn_op_field(int op, int field);  /* 0 name, 1 operands, 2 dims, 3 scalars; NULL: no such op */
const char *fnn_activation_name(int i);
const char *fnn_loss_name(int i);

/* executor.c */
int64_t fnn_workspace_bytes(const fnn_op *ops, int64_t n_ops, fnn_run_state *run);  /* of one thread */
void fnn_set_stop(int32_t *stop, int32_t value);  /* from any thread, while it runs */
void fnn_run(const fnn_op *ops, int64_t n_ops, fnn_run_state *run);
ptrdiff_t fnn_call_workspace(int opcode, int dtype, const fnn_call *call, fnn_run_state *run);  /* bytes */
void fnn_call_alone(int opcode, int dtype, const fnn_call *call, fnn_run_state *run, double weight_sum);
const char *fnn_compiler(void);

/* team.c */
typedef void (*fnn_work_fn)(void *data, int thread, int n_threads);
void fnn_on_team(int n_threads, fnn_work_fn part, void *data);  /* the part of each thread; on so many at the most */
int fnn_forked(void);  /* whether this is the child of a process that had run a team: it runs alone */
int fnn_max_threads(void);
void fnn_set_max_threads(int n);
double fnn_fork_join_seconds(int n_threads);

/* arrays.c */
void fnn_pad(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t stride, ptrdiff_t bytes, ptrdiff_t rows);
int fnn_all_finite(int dtype, ptrdiff_t n, const void *p);
void fnn_row_argmax(int dtype, ptrdiff_t rows, ptrdiff_t n, const void *p, int64_t *index);
void fnn_shuffle(ptrdiff_t n, const uint32_t *bits, int64_t *order);

#endif
