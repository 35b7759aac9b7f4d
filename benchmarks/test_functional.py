"""What a call of fastnn.functional costs beyond its kernel, on arrays so small that this is what counts."""

from __future__ import annotations

import timeit

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backends
from fastnn.program import OPS

CALLS, REPEATS = 2000, 20_001


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


x, w, logits, labels = normal(1, 16), normal(16, 16), normal(4, 16), np.arange(4)
dw, parameter, mean, square = normal(256), normal(256), np.zeros(256, np.float32), np.ones(256, np.float32)
y, p, dlogits, row_loss = np.empty_like(x), np.empty_like(logits), np.empty_like(logits), np.empty(4)

# the call; the op's operands with room for its outputs, its dims and scalars
CASES = {
    "activation_forward": ("F.activation_forward(x, 'relu')", (x, y), ("relu",), ()),
    "dense_forward": ("F.dense_forward(x, w)", (x, w, None, y, None), ("identity",), ()),
    "softmax_forward": ("F.softmax_forward(x)", (x, y), (), ()),
    "softmax_cross_entropy": ("F.softmax_cross_entropy(logits, labels)",
                              (logits, labels, None, p, dlogits, row_loss), (), ()),
    "sgd": ("F.sgd(dw, parameter, 1e-6)", (dw, parameter), (0,), (1.0,)),
    "adam": ("F.adam(dw, parameter, mean, square, 1e-6, 3)", (dw, parameter, mean, square), (1,),
             (1.0, 0.9, 0.999, 1e-8)),
}


def nanoseconds(timer, calls):
    """Of one call, at best: what else runs here only adds to it."""
    return 1e9 * min(timer.repeat(25, calls)) / calls


def kernel_nanoseconds(name, arrays, dims, scalars):
    """Of one run of the kernel: many of them in one call, less a call of one."""
    native = backends.native
    dims = tuple(native.CODES["activation"].get(d, d) for d in dims)

    def run(repeat):
        native.core.call(native.OPCODES[name], 0, arrays, len(OPS[name].inputs), dims, scalars, 1e-6, 3, 4.0,
                         repeat)

    one, many = (nanoseconds(timeit.Timer(lambda n=n: run(n)), 1) for n in (1, REPEATS))
    return (many - one) / (REPEATS - 1)


@pytest.mark.skipif(backends.native is None, reason="no compiled core here")
@pytest.mark.parametrize("name", CASES)
def test_overhead(benchmark, capsys, name):
    code, *kernel = CASES[name]
    timer = timeit.Timer(code, globals={**globals(), "F": fnn.functional})
    with fnn.use_backend("native"):
        benchmark.pedantic(timer.timeit, (CALLS,), rounds=25, warmup_rounds=1)
        if benchmark.stats is None:  # --benchmark-disable
            return
        ns, kernel_ns = nanoseconds(timer, CALLS), kernel_nanoseconds(name, *kernel)
    empty_ns = nanoseconds(timeit.Timer(backends.native.core.max_threads), CALLS)
    benchmark.extra_info.update({"ns": ns, "kernel_ns": kernel_ns, "overhead_ns": ns - kernel_ns})
    with capsys.disabled():
        print(f"\n{name:<22} {ns:5.0f} ns a call, {kernel_ns:4.0f} in the kernel, "
              f"overhead {ns - kernel_ns:4.0f}; a call that does nothing {empty_ns:3.0f}", end="")
