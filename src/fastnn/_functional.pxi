# One op on arrays of the caller: what fastnn.functional is made of. The arrays may be so small that calling
# costs more than computing; so checks, outputs and dispatch are here, and errors are left to Python.
cimport cython
from cpython.dict cimport PyDict_GetItem
from cpython.float cimport PyFloat_Check
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM

cdef enum:
    STACK_BYTES = 32768
    SMALL = 8192     # elements or multiply-adds, a few microseconds: below, the GIL is not worth handing over
    MAX_LETTERS = 4
    REAL = -1        # the dtype of the op itself
    ANY_SHAPE = -1   # one or two axes, the same in all operands that have it
    UNKNOWN = -1     # a letter's size


cdef inline bint is_padded(const fnn_array *a, int dtype) noexcept nogil:
    """Whether the kernels may use the array as it stands: they read and write whole vectors."""
    return a.p == NULL or a.dtype != dtype or a.n[a.ndim - 1] % FNN_PAD == 0 or a.ndim == 4


cdef int run_call(int opcode, int dtype, fnn_call *c, fnn_run_state *run, double weight_sum, bint in_place,
                  int64_t repeat) noexcept nogil:
    """Run the op on the call's arrays; -1 where memory ends.

    An array of the op's dtype whose last axis is not a multiple of FNN_PAD is worked on in a padded copy;
    what stood in an output goes into the copy only where the op reads its outputs, `in_place`."""
    cdef char stack[STACK_BYTES]
    cdef char *scratch = stack
    cdef char *begin
    cdef char *heap = NULL
    cdef char *home[FNN_MAX_OPERANDS]
    cdef Py_ssize_t home_bytes[FNN_MAX_OPERANDS]
    cdef fnn_array *a
    cdef int i, n = c.n_operands, real = 4 if dtype == FNN_F32 else 8
    cdef Py_ssize_t k, rows, width, ld, workspace, need
    workspace = fnn_call_workspace(opcode, dtype, c, run)
    need = workspace + 2 * FNN_ALIGN + FNN_GUARD_BYTES
    for i in range(n):
        a = &c.a[i]
        if not is_padded(a, dtype):
            ld = (a.n[a.ndim - 1] + FNN_PAD - 1) // FNN_PAD * FNN_PAD
            need += (a.n[0] if a.ndim == 2 else 1) * ld * real + FNN_GUARD_BYTES
    if need > STACK_BYTES:
        heap = scratch = <char *>PyMem_RawMalloc(need)
        if heap == NULL:
            return -1
    begin = scratch
    fnn_close(begin, need)
    scratch += (FNN_ALIGN - <uintptr_t>scratch % FNN_ALIGN) % FNN_ALIGN
    run.workspace = scratch
    fnn_open(scratch, workspace)
    scratch += (workspace + FNN_ALIGN - 1) // FNN_ALIGN * FNN_ALIGN + FNN_GUARD_BYTES
    for i in range(n):
        a = &c.a[i]
        home[i] = NULL
        if is_padded(a, dtype):
            continue
        rows, width = a.n[0] if a.ndim == 2 else 1, a.n[a.ndim - 1]
        ld = (width + FNN_PAD - 1) // FNN_PAD * FNN_PAD
        home[i], home_bytes[i] = a.p, a.s[0] * real
        fnn_open(scratch, rows * ld * real)
        if in_place or not a.written:
            fnn_pad(scratch, ld * real, a.p, home_bytes[i], width * real, rows)
        a.p = scratch
        if a.ndim == 2:
            a.s[0], a.row_bytes = ld, ld * real
        scratch += rows * ld * real + FNN_GUARD_BYTES
    for k in range(repeat):
        fnn_call_alone(opcode, dtype, c, run, weight_sum)
    for i in range(n):
        a = &c.a[i]
        if home[i] == NULL or not a.written:
            continue
        rows, width = a.n[0] if a.ndim == 2 else 1, a.n[a.ndim - 1]
        for k in range(rows):
            memcpy(home[i] + k * home_bytes[i], a.p + k * a.s[0] * real, width * real)
    fnn_open(begin, need)
    PyMem_RawFree(heap)
    return 0


def call(int opcode, int dtype, tuple arrays, int n_inputs, tuple dims, tuple scalars,
         double rate=0.0, int64_t update=1, double weight_sum=1.0, int64_t repeat=1,
         uint64_t seed=0, int64_t row=0, int64_t time=1, int64_t batch=0):
    """Run one op on arrays of one or two axes, C-contiguous in the last, or None; outputs are written in place.

    An array of five axes is the memory of `batch` images in lanes. No shape is checked. Returns the loss where
    the op gives one. `repeat` is for measuring."""
    cdef fnn_call c
    cdef fnn_run_state run
    cdef fnn_array *a
    cdef cnp.ndarray array
    cdef int i, k, status
    cdef double loss = 0
    memset(&c, 0, sizeof(c))
    memset(&run, 0, sizeof(run))
    c.n_operands = <int>len(arrays)
    if c.n_operands > FNN_MAX_OPERANDS or len(dims) > FNN_MAX_DIMS or len(scalars) > FNN_MAX_SCALARS:
        raise ValueError("no op has so many operands or settings")
    for i in range(<int>len(dims)):
        c.dims[i] = dims[i]
    for i in range(<int>len(scalars)):
        c.scalars[i] = scalars[i]
    for i in range(c.n_operands):
        if arrays[i] is None:
            continue
        a, array = &c.a[i], arrays[i]
        a.p, a.ndim, a.dtype = <char *>cnp.PyArray_DATA(array), cnp.PyArray_NDIM(array), dtype_of(array)
        a.written = i >= n_inputs
        if not (1 <= a.ndim <= 2 or a.ndim == 5) or a.dtype < 0:
            raise ValueError(f"operand {i}: expected one or two axes of numbers, got shape "
                             f"{(<object>array).shape}, dtype {array.dtype}")
        if a.ndim == 5:
            a.ndim = 4
        for k in range(a.ndim):
            a.n[k] = cnp.PyArray_DIM(array, k)
            a.s[k] = cnp.PyArray_STRIDE(array, k) // cnp.PyArray_ITEMSIZE(array)
        if a.ndim == 4:
            a.n[0] = batch
        else:
            a.row_bytes = cnp.PyArray_STRIDE(array, 0)
    run.losses = &loss
    run.rates = &rate
    run.update_count, run.seed, run.first_block, run.block, run.time = update, seed, row, 1, time
    with nogil:
        status = run_call(opcode, dtype, &c, &run, weight_sum, True, repeat)
    if status < 0:
        raise MemoryError()
    return loss


cdef struct form:
    int ndim        # or ANY_SHAPE
    int letter[2]   # of each axis
    int dtype       # REAL, FNN_F64 or FNN_I64
    int below       # the letter whose size labels stay below, or -1


cdef struct operand:
    bint optional
    int n_forms
    form forms[2]


cdef inline void set_array(fnn_array *a, cnp.ndarray array, const cnp.npy_intp *shape) noexcept:
    """Memory and shape of a C-contiguous array; NumPy's own strides of an axis of length 1 may be anything."""
    a.p = <char *>cnp.PyArray_DATA(array)
    a.n[0], a.n[1] = shape[0], shape[1] if a.ndim == 2 else 1
    a.s[0], a.s[1] = a.n[1], 1
    a.row_bytes = 0


cdef bint labels_fit(const int64_t *label, Py_ssize_t n, int64_t n_classes) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if label[i] < 0 or label[i] >= n_classes:
            return False
    return True


cdef double sum_of_weights(const double *x, Py_ssize_t n) noexcept nogil:
    """1 where all are zero, so that loss and gradient are zero too."""
    cdef Py_ssize_t i
    cdef double sum = 0
    for i in range(n):
        sum += x[i]
    return sum if sum != 0 else 1


cdef bint in_use = False


def set_in_use(bint native):
    """Say whether this is the backend in use, which an `Op` cannot afford to ask; `fastnn.backends` does."""
    global in_use
    in_use = native


cdef class Op:
    """One op on arrays; `operands` is its signature as `functional/base.py` has parsed it.

    ``run(arrays, choice, scalars, rate, update)`` runs the op where this backend is in use and the arrays can
    be used as they stand: ndarray itself, native, aligned, C-contiguous, dtypes and shapes as the signature
    has them, labels in range. In all other cases it hands everything over to ``slow``."""
    cdef operand operands[FNN_MAX_OPERANDS]
    cdef int opcode, n_operands, n_inputs, n_given, rows
    cdef bint in_place
    cdef int64_t dim      # the op's first dim
    cdef dict choices     # or what it is for each choice, of activations; else None
    cdef object slow

    def __init__(self, int opcode, tuple operands, int n_inputs, bint in_place, int64_t dim, choices, slow):
        cdef form *f
        cdef int i, k, axis
        self.opcode, self.n_operands, self.n_inputs = opcode, <int>len(operands), n_inputs
        self.in_place, self.dim, self.choices, self.slow = in_place, dim, choices, slow
        self.n_given = self.n_operands if in_place else n_inputs
        letters = sorted({letter for o in operands for row in o.forms for letter in row.dims.replace("*", "")})
        if len(letters) > MAX_LETTERS or len(operands) > FNN_MAX_OPERANDS:
            raise ValueError("too many letters or operands")
        self.rows = letters.index("b") if "b" in letters else -1
        for i in range(self.n_operands):
            self.operands[i].optional = operands[i].optional
            self.operands[i].n_forms = <int>len(operands[i].forms)
            for k in range(self.operands[i].n_forms):
                row, f = operands[i].forms[k], &self.operands[i].forms[k]
                f.ndim, f.letter[1] = <int>len(row.dims), 1
                for axis in range(f.ndim):
                    f.letter[axis] = 0 if row.dims == "*" else letters.index(row.dims[axis])
                f.ndim = ANY_SHAPE if row.dims == "*" else f.ndim
                f.dtype = REAL if row.dtype is None else dtype_code(row.dtype)
                f.below = letters.index(row.below) if row.below else -1

    @cython.binding(False)
    def run(self, tuple arrays, choice=None, tuple scalars=(), rate=0.0, update=1):
        result = self._run(arrays, choice, scalars, rate, update) if in_use else NotImplemented
        return self.slow(arrays, choice, scalars, rate, update) if result is NotImplemented else result

    def run_converted(self, tuple arrays, choice, tuple scalars, rate, update):
        """`run` without ``slow``: NotImplemented where something does not fit."""
        return self._run(arrays, choice, scalars, rate, update)

    cdef object _run(self, tuple arrays, choice, tuple scalars, rate, update):
        cdef fnn_call c
        cdef fnn_run_state run
        cdef Py_ssize_t size[MAX_LETTERS]
        cdef PyObject *dim
        cdef double c_rate, weight_sum = 1, work = 1, loss = 0
        cdef int i, status, overflow, real = REAL
        if PyTuple_GET_SIZE(arrays) != self.n_given or PyTuple_GET_SIZE(scalars) > FNN_MAX_SCALARS or \
                not PyFloat_Check(rate) or not PyLong_Check(update):
            return NotImplemented
        memset(&run, 0, sizeof(run))
        memset(c.dims, 0, sizeof(c.dims))
        memset(c.scalars, 0, sizeof(c.scalars))
        c.flags, c.n_operands, c.dims[0] = 0, self.n_operands, self.dim
        run.update_count = PyLong_AsLongLongAndOverflow(update, &overflow)
        if overflow:
            return NotImplemented
        c_rate, run.rates, run.losses = rate, &c_rate, &loss
        if self.choices is not None:
            dim = PyDict_GetItem(self.choices, choice)
            if dim == NULL:
                return NotImplemented
            c.dims[0] = <object>dim
        for i in range(<int>PyTuple_GET_SIZE(scalars)):
            if not PyFloat_Check(scalars[i]):
                return NotImplemented
            c.scalars[i] = scalars[i]
        real = self._use_given(arrays, &c, size, &weight_sum)
        if real == REAL or run.update_count < 1:
            return NotImplemented
        result = self._make_outputs(&c, size, real)
        for i in range(MAX_LETTERS):
            work *= max(size[i], 1)
        if work < SMALL:
            status = run_call(self.opcode, real, &c, &run, weight_sum, self.in_place, 1)
        else:
            with nogil:
                status = run_call(self.opcode, real, &c, &run, weight_sum, self.in_place, 1)
        if status < 0:
            raise MemoryError()
        return result

    cdef int _use_given(self, tuple arrays, fnn_call *c, Py_ssize_t *size, double *weight_sum):
        """Put the given arrays into the call; returns the op's dtype, or REAL where an array does not fit."""
        cdef const operand *o
        cdef const form *f
        cdef fnn_array *a
        cdef cnp.ndarray array
        cdef const cnp.npy_intp *shape
        cdef int i, k, letter, real = REAL
        cdef bint weighted = False
        for i in range(MAX_LETTERS):
            size[i] = UNKNOWN
        for i in range(self.n_operands, FNN_MAX_OPERANDS):
            c.a[i].p = NULL
        for i in range(self.n_given):
            o, a = &self.operands[i], &c.a[i]
            a.written = i >= self.n_inputs
            a.p, a.s[0] = NULL, 0
            if arrays[i] is None and o.optional:
                continue
            if not cnp.PyArray_CheckExact(arrays[i]):
                return REAL
            array = arrays[i]
            if not PyArray_IS_C_CONTIGUOUS(array) or not cnp.PyArray_ISBEHAVED_RO(array) or \
                    (a.written and not cnp.PyArray_ISWRITEABLE(array)):
                return REAL
            a.ndim, a.dtype, shape = cnp.PyArray_NDIM(array), dtype_of(array), cnp.PyArray_DIMS(array)
            f = &o.forms[1 if o.n_forms == 2 and a.ndim == o.forms[1].ndim else 0]
            if not 1 <= a.ndim <= 2 or (a.ndim != f.ndim and (f.ndim != ANY_SHAPE or a.ndim != c.a[0].ndim)):
                return REAL
            if f.dtype == REAL and real == REAL and (a.dtype == FNN_F32 or a.dtype == FNN_F64):
                real = a.dtype
            if real == REAL or a.dtype != (real if f.dtype == REAL else f.dtype):
                return REAL
            set_array(a, array, shape)
            for k in range(2 if f.ndim == ANY_SHAPE else f.ndim):
                letter = f.letter[k]
                if size[letter] == UNKNOWN:
                    size[letter] = a.n[k]
                if a.n[k] != size[letter] or (a.n[k] == 0 and f.ndim != ANY_SHAPE and letter != self.rows):
                    return REAL
            if f.below >= 0 and not labels_fit(<const int64_t *>a.p, a.n[0], size[f.below]):
                return REAL
            if f.dtype == FNN_F64:
                weight_sum[0], weighted = sum_of_weights(<const double *>a.p, a.n[0]), True
        if self.rows >= 0 and not weighted:
            weight_sum[0] = size[self.rows]
        return real

    cdef object _make_outputs(self, fnn_call *c, const Py_ssize_t *size, int real):
        """New arrays for the outputs, put into the call; one, a tuple of several, or None where all are given."""
        cdef const form *f
        cdef fnn_array *a
        cdef cnp.npy_intp shape[2]
        cdef cnp.ndarray array
        cdef tuple made = None
        cdef int i, k
        if self.n_given == self.n_operands:
            return None
        if self.n_operands > self.n_inputs + 1:
            made = PyTuple_New(self.n_operands - self.n_inputs)
        for i in range(self.n_inputs, self.n_operands):
            f, a = &self.operands[i].forms[0], &c.a[i]
            for k in range(f.ndim):
                shape[k] = size[f.letter[k]]
            a.ndim, a.dtype, a.written = f.ndim, real if f.dtype == REAL else f.dtype, True
            array = cnp.PyArray_EMPTY(f.ndim, shape, cnp.NPY_FLOAT if a.dtype == FNN_F32 else cnp.NPY_DOUBLE, 0)
            set_array(a, array, shape)
            if made is None:
                return array
            Py_INCREF(array)
            PyTuple_SET_ITEM(made, i - self.n_inputs, array)
        return made
