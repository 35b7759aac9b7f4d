"""What a process shares among its libraries: `state` is the same before and after one of them has worked."""
import ctypes
import locale
import os
import platform
import random
import signal
import sys
import threading
import warnings

import numpy as np


def floating_point():
    """Rounding, exceptions and what is done with subnormals, of this thread; not which exceptions there have been."""
    fenv = ctypes.create_string_buffer(64)
    ctypes.CDLL(None).fegetenv(fenv)
    if platform.machine() in ("x86_64", "AMD64"):  # the x87's control word, then MXCSR at the end of 32 bytes
        return int.from_bytes(fenv.raw[:2], "little"), int.from_bytes(fenv.raw[28:32], "little") & 0xFFC0
    return int.from_bytes(fenv.raw[:4], "little")


def state():
    kind, key, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "environment": dict(os.environ), "directory": os.getcwd(), "locale": locale.setlocale(locale.LC_ALL),
        "floating point": floating_point() if sys.platform == "linux" else None,
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "NumPy's errors": (np.geterr(), np.geterrcall(), np.getbufsize()), "printing": np.get_printoptions(),
        "random": random.getstate(), "NumPy's random": (kind, key.tobytes(), *rest),
        "warnings": list(warnings.filters), "recursion": sys.getrecursionlimit(),
        "switching": sys.getswitchinterval(), "stack": threading.stack_size(),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "processors": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook)}


def changed(before, after):
    """What differs, by name."""
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}
