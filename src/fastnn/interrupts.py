"""Ctrl-C while the core works."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[list[bool]]:
    """Note Ctrl-C instead of raising between two statements that belong together; raised after the chunk.

    In a child that is forked meanwhile, as by a callback or an iterable of batches, Ctrl-C does what it always does.
    """
    noted: list[bool] = []
    process = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            signal.default_int_handler(number, frame)
        noted.append(True)

    if threading.current_thread() is not threading.main_thread() or \
            signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield noted
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        if signal.getsignal(signal.SIGINT) is note:  # and not what a callback has put there
            signal.signal(signal.SIGINT, signal.default_int_handler)
