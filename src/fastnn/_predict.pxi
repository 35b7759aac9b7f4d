# Prediction of few rows: the way of model.predict without its Python.

cdef extern from "numpy/arrayobject.h":
    int PyArray_IS_C_CONTIGUOUS(cnp.ndarray array)


cdef class QuickPredict:
    """predict for at most `most_rows` rows of the model's own dtype; None where that does not fit.

    Each call takes a RunState of its own from `idle` (or a new one from `make`), so that threads may share
    one QuickPredict."""
    cdef list idle
    cdef object make, input_shape
    cdef cnp.ndarray ops
    cdef int dtype_number, ndim
    cdef cnp.npy_intp n_in[8]
    cdef cnp.npy_intp n_out, most_rows
    cdef const fnn_table *table

    def __init__(self, make, cnp.ndarray ops, dtype, tuple input_shape, cnp.npy_intp n_out, cnp.npy_intp most_rows):
        self.make, self.ops = make, ops
        self.idle = []
        self.dtype_number = np.dtype(dtype).num
        self.ndim = 1 + <int>len(input_shape)
        for i, n in enumerate(input_shape[:8]):
            self.n_in[i] = n
        self.n_out, self.most_rows = n_out, most_rows
        self.table = fnn_current_table()

    def __call__(self, X):
        cdef cnp.ndarray x, y
        cdef cnp.npy_intp shape[2]
        cdef RunState state
        cdef bint done
        cdef int i
        if self.ndim > 8 or not cnp.PyArray_CheckExact(X) or fnn_current_table() != self.table:
            return None
        x = X
        if cnp.PyArray_NDIM(x) != self.ndim or cnp.PyArray_TYPE(x) != self.dtype_number or \
                not PyArray_IS_C_CONTIGUOUS(x) or not cnp.PyArray_ISBEHAVED_RO(x):
            return None
        shape[0], shape[1] = cnp.PyArray_DIM(x, 0), self.n_out
        if shape[0] > self.most_rows or shape[0] == 0:
            return None
        for i in range(1, self.ndim):
            if cnp.PyArray_DIM(x, i) != self.n_in[i - 1]:
                return None
        try:
            state = self.idle.pop()
        except IndexError:
            state = self.make()
        y = cnp.PyArray_EMPTY(2, shape, self.dtype_number, 0)
        state.s.base[FNN_BOUND] = <char *>cnp.PyArray_DATA(x)
        state.s.bound_stride[0] = cnp.PyArray_STRIDE(x, 0)
        state.s.base[FNN_BOUND + 3] = <char *>cnp.PyArray_DATA(y)
        state.s.bound_stride[3] = cnp.PyArray_STRIDE(y, 0)
        state.s.bound_dtype[0] = state.s.bound_dtype[3] = DTYPES[self.dtype_number]
        state.s.n_rows = state.s.batch = state.s.block = shape[0]
        state.s.first_step, state.s.last_step, state.s.n_threads = 0, 1, 1
        with nogil:
            fnn_run(<const fnn_op *>cnp.PyArray_DATA(self.ops), cnp.PyArray_DIM(self.ops, 0), &state.s)
        done = state.s.status == FNN_DONE
        self.idle.append(state)  # another thread's from here on
        return y if done else None
