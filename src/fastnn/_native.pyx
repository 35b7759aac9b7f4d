# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""The binding of the C core: typed, without the GIL, nothing decided here."""
from cpython.mem cimport PyMem_RawMalloc, PyMem_RawFree
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset
cimport numpy as cnp
import numpy as np

cnp.import_array()

N_SPACES = FNN_N_SPACES
BOUND = FNN_BOUND
BINDINGS = FNN_BINDINGS
CALL_BYTES = sizeof(fnn_call)
OP_BYTES = sizeof(fnn_op)
MAX_THREADS = FNN_MAX_THREADS
MAX_NDIM, MAX_OPERANDS, MAX_DIMS, MAX_SCALARS = FNN_MAX_NDIM, FNN_MAX_OPERANDS, FNN_MAX_DIMS, FNN_MAX_SCALARS
DONE, STOPPED, AT_HOST_OP, NONFINITE_INPUT, NONFINITE_VALUE = range(5)


def op_table():
    """[(name, operands, dims, scalars)] in the order of the opcodes."""
    rows, i = [], 0
    while fnn_op_field(i, 0) != NULL:
        rows.append(tuple(fnn_op_field(i, k).decode() for k in range(4)))
        i += 1
    return rows


def activation_names():
    names, i = [], 0
    while fnn_activation_name(i) != NULL:
        names.append(fnn_activation_name(i).decode())
        i += 1
    return names


def loss_names():
    names, i = [], 0
    while fnn_loss_name(i) != NULL:
        names.append(fnn_loss_name(i).decode())
        i += 1
    return names


def isas():
    """[(name, whether this machine runs it)], best last."""
    return [(fnn_isa_name(i).decode(), bool(fnn_isa_supported(i))) for i in range(fnn_isa_count())]


def isa():
    return fnn_current_table().isa.decode()


def select_isa(str name):
    return fnn_select_isa(name.encode()) == 0


def forked():
    """Whether this is the child of a process that had run a team of threads: it runs on one."""
    return bool(fnn_forked())


def max_threads():
    return fnn_max_threads()


def set_max_threads(int n):
    fnn_set_max_threads(n)


def compiler():
    return fnn_compiler().decode()


def fork_join_seconds(int n_threads):
    cdef double seconds
    with nogil:
        seconds = fnn_fork_join_seconds(n_threads)
    return seconds


def fma_peak(int dtype, int64_t rounds):
    """Floating-point operations done in `rounds` rounds of multiply-adds in registers."""
    cdef double flops
    with nogil:
        flops = fnn_current_table().fma_peak[dtype](rounds)
    return flops


def all_finite(cnp.ndarray vector):
    """Whether a contiguous vector of float32 or float64 holds neither NaN nor infinity."""
    cdef int dtype = dtype_of(vector), finite
    cdef void *p = cnp.PyArray_DATA(vector)
    cdef Py_ssize_t n = vector.size
    with nogil:
        finite = fnn_all_finite(dtype, n, p)
    return bool(finite)


def row_argmax(cnp.ndarray rows):
    """The index of the first largest number in each row of a contiguous (n, k) array of reals."""
    cdef cnp.ndarray index = np.empty(rows.shape[0], np.int64)
    cdef int dtype = dtype_of(rows)
    cdef Py_ssize_t n = rows.shape[0], k = rows.shape[1]
    cdef void *p = cnp.PyArray_DATA(rows)
    cdef int64_t *to = <int64_t *> cnp.PyArray_DATA(index)
    with nogil:
        fnn_row_argmax(dtype, n, k, p, to)
    return index


def shuffle(cnp.ndarray bits, cnp.ndarray order):
    """Shuffle `order`, int64, in place, drawing from one uint32 of `bits` for each place."""
    cdef Py_ssize_t n = order.size
    cdef const uint32_t *drawn = <const uint32_t *> cnp.PyArray_DATA(bits)
    cdef int64_t *places = <int64_t *> cnp.PyArray_DATA(order)
    with nogil:
        fnn_shuffle(n, drawn, places)


def vector_function(int dtype, str name, cnp.ndarray x, cnp.ndarray y):
    cdef bytes ascii_name = name.encode()
    cdef const char *c_name = ascii_name
    cdef void *xp = cnp.PyArray_DATA(x)
    cdef void *yp = cnp.PyArray_DATA(y)
    cdef Py_ssize_t n = x.size
    with nogil:
        fnn_current_table().vector_function[dtype](c_name, n, xp, yp)


cdef class RunState:
    """The fnn_run_state of one Run; keeps what it points to alive."""
    cdef fnn_run_state s
    cdef public dict kept
    cdef int32_t stop_flag

    def __cinit__(self, int64_t time=1):
        memset(&self.s, 0, sizeof(fnn_run_state))
        self.kept = {}
        self.s.time = time
        self.s.stop = &self.stop_flag

    def set_base(self, int space, cnp.ndarray array):
        self.kept[space] = array
        self.s.base[space] = <char *>cnp.PyArray_DATA(array)
        self.s.bytes[space] = array.nbytes

    def bind_array(self, int slot, array, int dtype):
        """Bind an array whose rows lie strides[0] bytes apart; None unbinds."""
        cdef cnp.ndarray a
        if array is None:
            self.s.base[FNN_BOUND + slot] = NULL
            self.kept.pop(FNN_BOUND + slot, None)
            return
        a = array
        self.kept[FNN_BOUND + slot] = a
        self.s.base[FNN_BOUND + slot] = <char *>cnp.PyArray_DATA(a)
        self.s.bound_stride[slot] = cnp.PyArray_STRIDE(a, 0)
        self.s.bound_dtype[slot] = dtype

    def set_workspace(self, cnp.ndarray calls, cnp.ndarray workspace, int64_t bytes_per_thread):
        self.kept["calls"] = calls
        self.kept["workspace"] = workspace
        self.s.calls = <fnn_call *>cnp.PyArray_DATA(calls)
        self.s.workspace = <char *>cnp.PyArray_DATA(workspace)
        self.s.workspace_bytes = bytes_per_thread

    def set_calls(self, cnp.ndarray calls):
        self.kept["calls"] = calls
        self.s.calls = <fnn_call *>cnp.PyArray_DATA(calls)

    def set_rows(self, int64_t n_rows, int64_t batch, int64_t block, int64_t epoch_rows=0):
        self.s.n_rows, self.s.batch, self.s.block, self.s.epoch_rows = n_rows, batch, block, epoch_rows

    def set_pass(self, index, row_weight, rates, momenta, losses, int64_t update_count, uint64_t seed):
        """Arrays of a pass over the rows: row order, row weights, rate, beta1 and loss of each step; None: absent."""
        self.kept["pass"] = (index, row_weight, rates, momenta, losses)
        self.s.index = <const int64_t *>(cnp.PyArray_DATA(index) if index is not None else NULL)
        self.s.row_weight = <const double *>(cnp.PyArray_DATA(row_weight) if row_weight is not None else NULL)
        self.s.rates = <const double *>(cnp.PyArray_DATA(rates) if rates is not None else NULL)
        self.s.momenta = <const double *>(cnp.PyArray_DATA(momenta) if momenta is not None else NULL)
        self.s.losses = <double *>(cnp.PyArray_DATA(losses) if losses is not None else NULL)
        self.s.update_count = update_count
        self.s.seed = seed

    def set_sum_rows(self, bint sum_rows):
        """Whether the loss of a step is the sum over its rows, not their mean."""
        self.s.sum_rows = sum_rows

    def set_profile(self, seconds):
        """Where the time of each op is added up; None: not measured."""
        self.kept["profile"] = seconds
        self.s.op_seconds = <double *>(cnp.PyArray_DATA(seconds) if seconds is not None else NULL)

    def workspace_bytes(self, cnp.ndarray ops):
        """Of one thread, for the kernels of the instruction set in use, which are this Run's from here on."""
        return fnn_workspace_bytes(<const fnn_op *>cnp.PyArray_DATA(ops), ops.size, &self.s)

    def runs_isa_in_use(self):
        return self.s.table == fnn_current_table()

    def stop(self):
        fnn_set_stop(&self.stop_flag, 1)

    def clear_stop(self):
        fnn_set_stop(&self.stop_flag, 0)

    def run(self, cnp.ndarray ops, int64_t first_step, int64_t last_step, int64_t first_block,
            int64_t first_op, int n_threads, bint check):
        """Returns (status, step, block, op, row)."""
        cdef fnn_run_state *s = &self.s
        cdef const fnn_op *c_ops = <const fnn_op *>cnp.PyArray_DATA(ops)
        cdef int64_t n_ops = cnp.PyArray_DIM(ops, 0)
        s.first_step, s.last_step, s.first_block, s.first_op = first_step, last_step, first_block, first_op
        s.n_threads, s.check = n_threads, check
        with nogil:
            fnn_run(c_ops, n_ops, s)
        if s.status == FNN_DONE:
            return None
        return s.status, s.status_step, s.status_block, s.status_op, s.status_row


cdef int DTYPES[64]
for _i in range(64):
    DTYPES[_i] = -1
for _code, _type in enumerate(("f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")):
    DTYPES[<int>np.dtype(_type).num] = _code
DTYPES[<int>np.dtype(np.longlong).num] = DTYPES[<int>np.dtype("i8").num]
DTYPES[<int>np.dtype(np.ulonglong).num] = DTYPES[<int>np.dtype("u8").num]


cdef inline int dtype_of(cnp.ndarray array) noexcept:
    cdef int number = cnp.PyArray_TYPE(array)
    return DTYPES[number] if 0 <= number < 64 else -1


def dtype_code(dtype):
    """The core's number of a NumPy dtype, or -1."""
    cdef int number = np.dtype(dtype).num
    return DTYPES[number] if 0 <= number < 64 else -1


include "_functional.pxi"
include "_predict.pxi"
