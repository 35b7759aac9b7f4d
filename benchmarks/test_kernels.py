"""Every op on the NumPy backend and on the native core's instruction sets, checked, then timed on one thread.

    pytest benchmarks                 tiny and small sizes: under a minute
    pytest benchmarks -m ""           all sizes, longer measurements

A step of a Program of one op is what is measured, so tiny sizes include the 0.1 us that a step costs.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest

import fastnn as fnn
from fastnn import backends

from .kernels import CASES, QUICK_SIZES, WITHOUT_A_ROW, Kernel

BACKENDS = [*(backends.native.supported_isas() if backends.native else ()), "numpy"]
RESULTS: list[dict] = []  # conftest.py prints them


def parameters():
    for case in CASES.values():
        for i, size in enumerate(case.sizes):
            name = f"{case.name} {'x'.join(map(str, size))}"
            slow = i >= QUICK_SIZES
            yield pytest.param(case, size, slow, id=name, marks=[pytest.mark.slow] if slow else [])


@pytest.fixture(params=BACKENDS)
def where(request):
    """The backend or instruction set in use, on one thread."""
    name, threads = request.param, fnn.get_num_threads()
    fnn.set_num_threads(1)
    with fnn.use_backend("numpy" if name == "numpy" else "native"), \
            nullcontext() if name == "numpy" else fnn.use_isa(name):
        yield name
    fnn.set_num_threads(threads)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("case", "size", "slow"), list(parameters()))
def test_kernel(benchmark, where, case, size, slow, dtype):
    kernel = Kernel(case, size, dtype, milliseconds=1.0 if slow else 0.2)
    kernel.verify()
    benchmark.group = f"{case.name} {'x'.join(map(str, size))} {dtype}, {kernel.steps} steps"
    benchmark.pedantic(kernel, rounds=9 if slow else 5, warmup_rounds=1)
    if benchmark.stats is None:  # --benchmark-disable
        return
    seconds = benchmark.stats.stats.median / kernel.steps
    benchmark.extra_info.update({
        "us": 1e6 * seconds, "ns_per_element": 1e9 * seconds / kernel.elements,
        "gflops": kernel.flops / seconds / 1e9, "gbytes_per_second": kernel.bytes / seconds / 1e9,
        "elements": kernel.elements, "flops": kernel.flops, "bytes": kernel.bytes, "steps": kernel.steps,
        "threads": 1, "where": where})
    RESULTS.append({"op": case.name, "size": size, "dtype": dtype, **benchmark.extra_info})


def test_every_op_has_a_row():
    if WITHOUT_A_ROW:
        pytest.skip(f"not measured, for want of a row in kernels.py: {', '.join(WITHOUT_A_ROW)}")
