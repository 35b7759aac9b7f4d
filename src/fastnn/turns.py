"""Who may train a model: one thread at a time, also in a process that was forked meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_process = object()  # this process: a forked child has another


def _renew() -> None:
    global _process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class _Held:
    """What one process knows of a turn. A child gets a new one: the threads that its parent had are not there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner: int | None = None  # the thread that trains
        self.nests = False  # whether it may begin whole trainings in between
        self.open: int | None = None  # the thread that goes on with `backward` or `step`
        self.lost: set[int] = set()  # threads that were there before another one came in between


class Turn:
    """The turn to train one model (or estimator); `what` and `instead` are words for the error.

    Examples
    --------
    >>> turn = Turn("model", "model.copy()")
    >>> with turn.whole():
    ...     with turn.part():  # of the same training
    ...         pass
    """

    def __init__(self, what: str, instead: str) -> None:
        self.what, self.instead = what, instead
        self._by_process: dict[object, _Held] = {}

    def _held(self) -> _Held:
        return self._by_process.get(_process) or self._by_process.setdefault(_process, _Held())

    @contextmanager
    def whole(self, nests: bool = False) -> Iterator[None]:
        """A training from begin to end. Inside, the same thread may take parts, and where it `nests` whole ones.

        Raises
        ------
        RuntimeError
            If another thread trains, or this one does already.
        """
        held = self._held()
        if held.owner == threading.get_ident():
            if not held.nests:
                raise RuntimeError(f"this {self.what} is in the middle of a training, which has called this "
                                   f"function; train {self.instead} here")
            yield
            return
        with self._taken(held, nests):
            yield

    @contextmanager
    def part(self, goes_on: bool = False) -> Iterator[None]:
        """One call of a training by hand: `forward`, and what `goes_on` with it in the same thread.

        Raises
        ------
        RuntimeError
            If another thread trains, or has done so since this one began.
        """
        held, me = self._held(), threading.get_ident()
        if held.owner == me:
            yield
            return
        with self._taken(held, False, goes_on):
            if not goes_on:
                held.lost.discard(me)
            held.open = me
            yield

    @contextmanager
    def _taken(self, held: _Held, nests: bool, goes_on: bool = False) -> Iterator[None]:
        me = threading.get_ident()
        if not held.lock.acquire(blocking=False):
            raise self._busy()
        try:
            other = held.open if held.open != me else None
            if goes_on and (other is not None or me in held.lost):
                raise RuntimeError(f"another thread has trained this {self.what} since this one called forward; call "
                                   f"forward, backward and step from one thread, and train {self.instead} in the other")
            if other is not None:
                held.lost.add(other)
                held.open = None
            held.owner, held.nests = me, nests
            yield
        finally:
            held.owner = None
            held.lock.release()

    def end_parts(self) -> None:
        """The parts of this thread belong to nothing any more: another may begin."""
        self._held().open = None

    def refuse_others(self) -> None:
        """Raise if another thread trains."""
        if self._held().owner not in (None, threading.get_ident()):
            raise self._busy()

    def _busy(self) -> RuntimeError:
        return RuntimeError(f"this {self.what} is being trained in another thread; train {self.instead} instead")
