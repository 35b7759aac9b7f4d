"""What the flags of the command ``fastnn`` are made of."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130  # an exit code, as shells have it: 128 + SIGINT


class UsageError(ValueError):
    """A flag whose value does not fit the others or the data."""

    def __init__(self, flag: str, message: str) -> None:
        super().__init__(f"argument {flag}: {message}")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Show defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        without = action.default is None or action.default is False
        return action.help if without else super()._get_help_string(action)


def whole(minimum: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers of at least `minimum`."""
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {minimum}, got {text!r}")
        return value
    return parse


def number(expected: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """A type for argparse: numbers that a condition accepts."""
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value
    return parse


def hidden_sizes(text: str) -> tuple[int, ...]:
    """A type for argparse: ``128,64``, or ``none``."""
    if text == "none":
        return ()
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"expected sizes such as 128 or 128,64, or none, got {text!r}")
    return sizes
