"""The two backends and the choice between them.

``FASTNN_BACKEND=numpy`` or `use_backend` chooses the backend, ``FASTNN_ISA=avx2`` or `use_isa` the instruction
set, ``OMP_NUM_THREADS`` or `set_num_threads` the threads.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from ..program import Program
from . import numpy_kernels  # noqa: F401  (registers the ops)
from .numpy_backend import NumpyRun
from .run import Halt, Memory, Pass, Run

try:
    from . import native
    native_error = ""
except ImportError as error:  # no compiler at installation
    native = None  # type: ignore[assignment]
    native_error = str(error)

__all__ = ["Halt", "Memory", "Pass", "Run", "backend", "get_num_threads", "info", "isa", "make_run", "native",
           "set_num_threads", "use_backend", "use_isa"]

_NAMES = ("native", "numpy")
_isa_reason = "the best that this machine runs"


def _checked(name: str, source: str) -> str:
    if name not in _NAMES:
        raise ValueError(f"{source}: expected 'native' or 'numpy', got {name!r}")
    if name == "native" and native is None:
        raise ValueError(f"{source}: the native backend was not built ({native_error}); reinstall fastnn-cpu with a C "
                         "compiler at hand (FASTNN_REQUIRE_NATIVE=1 shows why it fails), or use 'numpy'")
    return name


_current = _checked(os.environ.get("FASTNN_BACKEND") or ("native" if native else "numpy"), "FASTNN_BACKEND")
if native and os.environ.get("FASTNN_ISA"):
    native.select_isa(os.environ["FASTNN_ISA"])
    _isa_reason = "chosen by FASTNN_ISA"


def backend() -> str:
    """The backend in use, "native" or "numpy".

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.use_backend("numpy"):
    ...     fnn.backend()
    'numpy'
    """
    return _current


class use_backend(AbstractContextManager):
    """Choose the backend, from here on or for the length of a ``with`` block.

    Parameters
    ----------
    name : {"native", "numpy"}
        "native" is the compiled core, "numpy" runs the same networks in plain NumPy.

    Raises
    ------
    ValueError
        If the name is neither, or the compiled core was not built.
    """

    def __init__(self, name: str) -> None:
        global _current
        self.before = _current
        _current = _checked(name, "use_backend")

    def __exit__(self, *exception) -> None:
        global _current
        _current = self.before


def isa() -> str | None:
    """The instruction set whose kernels run ("avx512", "avx2" or "baseline"), None without the native core."""
    return native.core.isa() if native else None


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use one instruction set's kernels inside a ``with`` block."""
    if native is None:
        raise ValueError(f"use_isa: the native backend was not built ({native_error})")
    with native.use_isa(name):
        yield


def get_num_threads() -> int:
    """Threads that a large step uses: OpenMP's number, asked at each call."""
    return native.core.max_threads() if native else 1


def set_num_threads(n: int) -> None:
    """Set the number of threads for calls from this thread (OpenMP's own setting).

    Parameters
    ----------
    n : int
        At least 1. Results do not depend on it, bit for bit.
    """
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: expected a whole number of at least 1, got {n!r}")
    if native:
        native.core.set_max_threads(int(n))


def make_run(program: Program, memory: Memory, rows: int) -> Run:
    """A Run of the current backend for blocks of at most `rows` rows."""
    return NumpyRun(program, memory, rows) if _current == "numpy" else native.NativeRun(program, memory, rows)


def info() -> dict[str, object]:
    """What runs here, as ``fastnn info`` prints it."""
    facts: dict[str, object] = {"backend": _current, "numpy": np.__version__, "python": platform.python_version(),
                                "machine": platform.machine()}
    if native is None:
        return {**facts, "isa": None, "isa_reason": f"native core not built: {native_error}", "isas": [], "threads": 1,
                "compiler": None, "fma_gflops_f32": None, "fma_gflops_f64": None, "fork_join_us": None}
    return {**facts, "isa": isa(), "isa_reason": _isa_reason, "isas": native.supported_isas(),
            "threads": get_num_threads(), "compiler": native.core.compiler(),
            "fma_gflops_f32": native.fma_gflops("float32"), "fma_gflops_f64": native.fma_gflops("float64"),
            "fork_join_us": native.fork_join_us()}
