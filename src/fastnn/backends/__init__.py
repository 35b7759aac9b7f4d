"""The two backends and the choice between them.

``FASTNN_BACKEND=numpy`` or `use_backend` chooses the backend, ``FASTNN_ISA=avx2`` or `use_isa` the
instruction set, ``OMP_NUM_THREADS`` or `set_num_threads` the threads.
"""

from __future__ import annotations

import os
import platform
import reprlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np

from ..program import Program
from . import numpy_kernels  # noqa: F401  (registers the ops)
from .numpy_backend import NumpyRun
from .run import Halt, Memory, Pass, Run


def _why_no_core(error: Exception) -> str:
    """Why the compiled core is not here, in the words of the installation where it left any."""
    from importlib.util import find_spec  # only now: this is rare

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        with open(os.path.join(package, "_native_missing.txt"), errors="replace") as notice:
            return notice.read().strip()
    except OSError:
        pass
    if find_spec("fastnn._native") is None:  # the error itself speaks of partially initialized modules
        return f"this installation holds no compiled core for Python {platform.python_version()}"
    return f"the compiled core does not load: {error}"


try:
    from . import native
    native_error = ""
except (ImportError, ValueError) as error:  # ValueError: built for another NumPy
    native = None  # type: ignore[assignment]
    native_error = _why_no_core(error)

__all__ = ["Halt", "Memory", "Pass", "Run", "backend", "get_num_threads", "info", "isa", "isas", "make_run",
           "native", "set_num_threads", "use_backend", "use_isa"]

_NAMES = ("native", "numpy")
MOST_THREADS = 256  # of the core
_isa_reason = "the best that this machine runs"


def _checked(name: str, source: str) -> str:
    if not isinstance(name, str) or name not in _NAMES:
        raise ValueError(f"{source}: expected 'native' or 'numpy', got {reprlib.repr(name)}")
    if name == "native" and native is None:
        raise ValueError(f"{source}: there is no native backend here ({native_error}); reinstall fastnn-cpu "
                         "with a C compiler at hand (FASTNN_REQUIRE_NATIVE=1 shows why it fails), or use "
                         "'numpy'")
    return name


def _choose(name: str) -> None:
    """The one place where the choice changes; the core keeps a copy, for calls too short to ask here."""
    global _current
    _current = name
    if native:
        native.core.set_in_use(name == "native")


_current = ""
_choose(_checked(os.environ.get("FASTNN_BACKEND") or ("native" if native else "numpy"), "FASTNN_BACKEND"))
if native and os.environ.get("FASTNN_ISA"):
    native.select_isa(os.environ["FASTNN_ISA"], "FASTNN_ISA")
    _isa_reason = "chosen by FASTNN_ISA"


def backend() -> str:
    """The backend in use.

    Returns
    -------
    {"native", "numpy"}
        "native" unless ``FASTNN_BACKEND`` or `use_backend` says otherwise or the compiled core is missing.

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.use_backend("numpy"):
    ...     fnn.backend()
    'numpy'
    """
    return _current


class use_backend(AbstractContextManager):
    """Choose the backend of all threads, from here on or for the length of a ``with`` block.

    Parameters
    ----------
    name : {"native", "numpy"}
        "native" is the compiled core, "numpy" runs the same networks in plain NumPy.

    Raises
    ------
    ValueError
        If the name is neither, or the compiled core is missing.

    Examples
    --------
    >>> import fastnn as fnn
    >>> before = fnn.backend()
    >>> with fnn.use_backend("numpy"):
    ...     fnn.functional.softmax_forward([[0.0, 0.0]])
    array([[0.5, 0.5]])
    >>> fnn.backend() == before
    True
    """

    def __init__(self, name: str) -> None:
        self.before = _current
        _choose(_checked(name, "use_backend"))

    def __exit__(self, *exception) -> None:
        _choose(self.before)


def isa() -> str | None:
    """The instruction set whose kernels run.

    Returns
    -------
    {"avx512", "avx2", "baseline"} or None
        None where the compiled core is missing.

    Examples
    --------
    >>> isa() in isas() or isa() is None
    True
    """
    return native.core.isa() if native else None


def isas() -> list[str]:
    """Instruction sets that this machine runs and the core was compiled for: what `use_isa` takes.

    Returns
    -------
    list of str
        The best last; empty where the compiled core is missing.

    Examples
    --------
    >>> isas()                                         # doctest: +SKIP
    ['baseline', 'avx2', 'avx512']
    """
    return native.supported_isas() if native else []


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use one instruction set's kernels in all threads inside a ``with`` block, to compare or to test them.

    Parameters
    ----------
    name : {"avx512", "avx2", "baseline"}
        One of ``fastnn.backends.isas()``. Bits of results may differ between instruction sets.

    Raises
    ------
    ValueError
        If this machine does not run it, or the compiled core is missing.

    Examples
    --------
    >>> import fastnn as fnn
    >>> for name in fnn.backends.isas():
    ...     with fnn.use_isa(name):
    ...         assert fnn.backends.isa() == name
    """
    if native is None:
        raise ValueError(f"use_isa: there is no native backend here to run {name!r} on ({native_error})")
    with native.use_isa(name):
        yield


def get_num_threads() -> int:
    """How many threads a large step uses: OpenMP's number, asked at each call.

    Returns
    -------
    int
        ``OMP_NUM_THREADS``, what `set_num_threads` or threadpoolctl set, or one a core; 1 where the compiled
        core is missing. The numpy backend uses the threads of NumPy's BLAS instead.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.get_num_threads() >= 1
    True
    """
    return min(native.core.max_threads(), native._limit.get()) if native else 1


def set_num_threads(n: int) -> None:
    """Set the number of threads for calls from this thread (OpenMP's own setting).

    Parameters
    ----------
    n : int
        At least 1. Results do not depend on it, bit for bit; small steps run on one thread anyway.

    Raises
    ------
    ValueError
        If n is no whole number of at least 1.

    Examples
    --------
    >>> import fastnn as fnn
    >>> before = fnn.get_num_threads()
    >>> fnn.set_num_threads(1)
    >>> fnn.get_num_threads()
    1
    >>> fnn.set_num_threads(before)
    """
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: expected a whole number of at least 1, got {reprlib.repr(n)}")
    if native:
        native.core.set_max_threads(min(int(n), MOST_THREADS))


def at_most_threads(n: int | None) -> AbstractContextManager[None]:
    """At most so many threads for this thread's calls inside the block; None: no such limit.

    Unlike `set_num_threads` it leaves OpenMP's own number alone, which other libraries may ask for.
    """
    return nullcontext() if n is None or native is None else native.at_most_threads(n)


def all_finite(vector: np.ndarray) -> bool:
    """Whether a contiguous vector of reals holds neither NaN nor infinity; no temporary of its size."""
    if native is not None:
        return native.core.all_finite(vector)
    return all(np.isfinite(vector[i:i + 65536]).all() for i in range(0, len(vector), 65536))


def row_argmax(rows: np.ndarray) -> np.ndarray:
    """The index of the first largest number in each row, ``rows.argmax(-1)``."""
    real = rows.dtype in (np.float32, np.float64)
    if native is not None and rows.ndim == 2 and real and rows.flags.c_contiguous and rows.shape[1]:
        return native.core.row_argmax(rows)
    return rows.argmax(-1)


def permutation(seed: list[int], n: int) -> np.ndarray:
    """The numbers 0 to n - 1 in a random order, (n,) int64, the same with and without the compiled core.

    Fisher and Yates, from the last to the first; place i takes the 32 bits that PCG64 draws for it, scaled to
    0 .. i, so that one order is more likely than another by less than n / 2^32.
    """
    bits = np.random.PCG64(seed).random_raw((n + 1) // 2).view(np.uint32)
    order = np.arange(n)
    if native is not None:
        native.core.shuffle(bits, order)
        return order
    partner = (bits[:n].astype(np.uint64) * np.arange(1, n + 1, dtype=np.uint64) >> np.uint64(32)).tolist()
    shuffled = order.tolist()
    for i in range(n - 1, 0, -1):
        j = partner[i]
        shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
    return np.array(shuffled)


def make_run(program: Program, memory: Memory, rows: int, time: int = 1) -> Run:
    """A Run of the current backend for blocks of at most `rows` rows, and sequences of `time` steps where the
    Program does not say how many."""
    return (NumpyRun if _current == "numpy" else native.NativeRun)(program, memory, rows, program.time or time)


def make_quick_predict(program: Program, memory: Memory, input_shape: tuple[int, ...], n_out: int,
                       ) -> Callable[[object], np.ndarray | None] | None:
    """A function that predicts a few rows at the least cost of a call, on backends that have one."""
    return native.quick_predict(program, memory, input_shape, n_out) if _current == "native" else None


def chosen() -> dict[str, object]:
    """Backend, instruction set and threads as they are chosen now.

    Examples
    --------
    >>> list(chosen())
    ['backend', 'isa', 'threads']
    """
    native_runs = _current == "native"
    return {"backend": _current, "isa": isa() if native_runs else None,
            "threads": get_num_threads() if native_runs else None}


def info() -> dict[str, object]:
    """What runs here, as ``fastnn info`` prints it.

    Returns
    -------
    dict
        "backend", "numpy", "python", "machine", "isa" and why ("isa_reason"), "isas", "threads", "compiler",
        the rate of multiply-adds that one thread reaches in GFLOP/s ("fma_gflops_f32", "fma_gflops_f64") and
        the cost of a parallel region ("fork_join_us"), both measured now. Without the compiled core
        "isa_reason" says why it is missing, and what is measured is None.

    Examples
    --------
    >>> facts = info()
    >>> facts["backend"] == backend(), facts["isa"] == isa()
    (True, True)
    """
    facts: dict[str, object] = {"backend": _current, "numpy": np.__version__,
                                "python": platform.python_version(), "machine": platform.machine()}
    if native is None:
        return {**facts, "isa": None, "isa_reason": f"no compiled core: {native_error}", "isas": [],
                "threads": 1, "compiler": None, "fma_gflops_f32": None, "fma_gflops_f64": None,
                "fork_join_us": None}
    return {**facts, "isa": isa(), "isa_reason": _isa_reason, "isas": isas(),
            "threads": get_num_threads(), "compiler": native.core.compiler(),
            "fma_gflops_f32": native.fma_gflops("float32"), "fma_gflops_f64": native.fma_gflops("float64"),
            "fork_join_us": native.fork_join_us()}
