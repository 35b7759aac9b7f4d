# What csrc/fastnn.h declares; the manual is there.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from "fastnn.h" nogil:
    enum: FNN_MAX_NDIM, FNN_MAX_OPERANDS, FNN_MAX_DIMS, FNN_MAX_SCALARS, FNN_MAX_INPUTS, FNN_PAD, FNN_ALIGN, FNN_MAX_THREADS
    enum: FNN_BINDINGS, FNN_N_SPACES, FNN_BOUND, FNN_F32, FNN_F64, FNN_DONE

    ctypedef struct fnn_op:
        pass

    ctypedef struct fnn_array:
        char *p
        Py_ssize_t n[4]
        Py_ssize_t s[4]
        Py_ssize_t row_bytes
        int32_t dtype, ndim, written

    ctypedef struct fnn_call:
        int32_t kind, phase, flags, n_operands
        int64_t dims[16]
        double scalars[8]
        fnn_array a[16]

    ctypedef struct fnn_table:
        const char *isa
        void (*vector_function[2])(const char *, Py_ssize_t, const void *, void *) noexcept nogil
        double (*fma_peak[2])(int64_t) noexcept nogil

    ctypedef struct fnn_run_state:
        char *base[48]
        int64_t bytes[8]
        int64_t bound_stride[40]
        int64_t bound_dtype[40]
        const int64_t *index
        const double *row_weight
        const double *rates
        const double *momenta
        double *losses
        double *op_seconds
        const int32_t *stop
        fnn_call *calls
        char *workspace
        int64_t workspace_bytes
        int64_t n_rows, batch, block, time, epoch_rows
        int64_t first_step, last_step, first_block, first_op
        int64_t update_count
        uint64_t seed
        int64_t n_threads, check, sum_rows
        const fnn_table *table
        int64_t status, status_step, status_block, status_op, status_row

    const fnn_table *fnn_current_table()
    int fnn_select_isa(const char *isa)
    int fnn_isa_count()
    const char *fnn_isa_name(int i)
    int fnn_isa_supported(int i)
    const char *fnn_op_field(int op, int field)
    const char *fnn_activation_name(int i)
    const char *fnn_loss_name(int i)
    const char *fnn_compiler()
    int64_t fnn_workspace_bytes(const fnn_op *ops, int64_t n_ops, fnn_run_state *run)
    void fnn_set_stop(int32_t *stop, int32_t value)
    void fnn_run(const fnn_op *ops, int64_t n_ops, fnn_run_state *run)
    Py_ssize_t fnn_call_workspace(int opcode, int dtype, const fnn_call *call, fnn_run_state *run)
    void fnn_call_alone(int opcode, int dtype, const fnn_call *call, fnn_run_state *run, double weight_sum)
    void fnn_pad(char *to, Py_ssize_t to_stride, const char *source, Py_ssize_t stride, Py_ssize_t bytes, Py_ssize_t rows)
    int fnn_all_finite(int dtype, Py_ssize_t n, const void *p)
    void fnn_row_argmax(int dtype, Py_ssize_t rows, Py_ssize_t n, const void *p, int64_t *index)
    void fnn_shuffle(Py_ssize_t n, const uint32_t *bits, int64_t *order)
    int fnn_forked()
    int fnn_max_threads()
    void fnn_set_max_threads(int n)
    double fnn_fork_join_seconds(int n_threads)

cdef extern from "guard.h" nogil:
    enum: FNN_GUARD_BYTES
    void fnn_open(const char *p, Py_ssize_t bytes)
    void fnn_close(const char *p, Py_ssize_t bytes)
