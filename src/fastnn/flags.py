"""What the flags of the command ``fastnn`` are made of."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

FINE, FOUND, WRONG_USE, BUG, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 70, 130, 141
EXIT_CODES = {
    FINE: "fine",
    FOUND: "something was found: a wrong gradient, a network that would not learn well, a score below --min-...",
    WRONG_USE: "a flag, a file or data is wrong, or training diverged: the line on stderr says what to do",
    BUG: "an error inside fastnn, which should not be: run it again with --traceback and report it",
    INTERRUPTED: "stopped by Ctrl-C; `fastnn train` has saved a model that can be used",
    BROKEN_PIPE: "the reader of the output has gone, as in `fastnn info | head -1`",
}

Found = tuple[int, dict[str, Any]]  # what a command returns: its exit code, and its document for --json


class UsageError(ValueError):
    """A flag whose value does not fit the others or the data."""

    def __init__(self, flag: str, message: str) -> None:
        super().__init__(f"argument {flag}: {message}")


class ParseError(ValueError):
    """What argparse refuses, and for which command."""

    def __init__(self, prog: str, message: str) -> None:
        super().__init__(message)
        self.prog = prog


class Parser(argparse.ArgumentParser):
    """A parser whose errors are raised; that of ``fastnn`` has one for each of its `commands`."""

    commands: Mapping[str, argparse.ArgumentParser]

    def error(self, message: str) -> NoReturn:
        raise ParseError(self.prog, message)


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Show defaults where there are any, and examples as they stand."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example"):
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        without = action.default is None or action.default is False or action.default == ()
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
