"""Arrays that belong together: of a model with one input (or output) one array, else a tuple of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import checks

Bundle = np.ndarray | tuple[np.ndarray, ...]


def parts(bundle: Bundle | None) -> tuple[np.ndarray, ...]:
    """The arrays, as a tuple; none of None."""
    if bundle is None:
        return ()
    return bundle if isinstance(bundle, tuple) else (bundle,)


def each(function: Callable[[np.ndarray], Any], bundle: Any) -> Any:
    """The function of every array, bundled alike; None of None."""
    if bundle is None:
        return None
    return tuple(map(function, bundle)) if isinstance(bundle, tuple) else function(bundle)


def take(bundle: Any, rows: Any) -> Any:
    """These rows of every array.

    Examples
    --------
    >>> take((np.arange(4), np.arange(4) * 10), slice(1, 3))
    (array([1, 2]), array([10, 20]))
    """
    return each(lambda array: array[rows], bundle)


def joined(several: Sequence[Any]) -> Any:
    """Bundles one after the other."""
    if isinstance(several[0], tuple):
        return tuple(map(np.concatenate, zip(*several, strict=True)))
    return np.concatenate(several)


def n_rows(bundle: Bundle) -> int:
    """Rows of the arrays."""
    return len(parts(bundle)[0])


def one(values: tuple[Any, ...]) -> Any:
    """The only value, or all; None of none."""
    return values if len(values) > 1 else values[0] if values else None


def called(what: str, names: Sequence[str]) -> list[str]:
    """What the arrays of a bundle are called, in errors and in tables.

    Examples
    --------
    >>> called("X", ["input"]), called("X", ["image", "words"])
    (['X'], ["X['image']", "X['words']"])
    """
    return [what] if len(names) == 1 else [f"{what}[{name!r}]" for name in names]


def in_order(what: str, given: Any, names: Sequence[str], default: Any = None) -> list[Any]:
    """One thing for each name, from a list or a dict; a default stands for what is left out."""
    if isinstance(given, Mapping):
        for name in given:
            checks.lookup(f"{what} name", name, dict.fromkeys(names))
        if default is None and (missing := [name for name in names if name not in given]):
            raise ValueError(f"{what}: expected {', '.join(names)}, {', '.join(missing)} left out")
        return [given.get(name, default) for name in names]
    if not isinstance(given, (list, tuple)) or len(given) != len(names):
        raise ValueError(f"{what}: expected a list of {len(names)} or a dict with {', '.join(map(repr, names))}, "
                         f"got {checks.describe(given)}")
    return list(given)
