"""Numbers in words."""

from __future__ import annotations

import math


def count(n: int, what: str) -> str:
    """So many of something.

    Examples
    --------
    >>> count(1, "epoch"), count(1200, "epoch")
    ('1 epoch', '1,200 epochs')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def percent(share: float) -> str:
    """A share, with a second decimal; all and nothing only where it is all or nothing.

    Examples
    --------
    >>> percent(0.97494), percent(0.999999), percent(1.0)
    ('97.49%', '>99.99%', '100%')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    if share > 0.9999:
        return ">99.99%"
    return f"{share:.2%}"


def figure(value: float, spec: str = ".3g") -> str:
    """A number, or a dash where there is none.

    Examples
    --------
    >>> figure(0.12345), figure(float("nan"))
    ('0.123', '-')
    """
    return "-" if math.isnan(value) else f"{value:{spec}}"


def seconds(value: float) -> str:
    """A time.

    Examples
    --------
    >>> seconds(0.0123), seconds(75), seconds(7500)
    ('12.3 ms', '1 min 15 s', '2 h 5 min')
    """
    if value < 0.1:
        return f"{1e3 * value:.3g} ms"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def shorter(name: str) -> str:
    """A name that fits beside an axis.

    Examples
    --------
    >>> shorter("standardize"), len(shorter("a" * 80))
    ('standardize', 20)
    """
    return name if len(name) <= 20 else f"{name[:19]}\u2026"
