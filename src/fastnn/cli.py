"""The command ``fastnn``: what all its commands have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import fastnn as fnn

from .commands import COMMANDS
from .flags import INTERRUPTED, Parser

BROKEN_PIPE = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default the process's own.

    Returns
    -------
    int
        The exit code: 0, 1 where a gradient is wrong or the doctor found something, 2 after a user's error,
        130 after Ctrl-C.

    Examples
    --------
    >>> main(["train", "--epochs", "1", "--output", ""])
    2
    """
    name = "fastnn"
    try:
        arguments = make_parser().parse_args(argv)
        name += f" {arguments.command}"
        return arguments.run(arguments)
    except SystemExit as stop:  # of argparse: --help, --version, errors
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("Interrupted before there was anything to keep.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has gone, as in `fastnn info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, OSError, FloatingPointError, MemoryError, ImportError) as error:
        print(f"{name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def make_parser() -> argparse.ArgumentParser:
    """All flags."""
    parser = Parser(prog="fastnn", description="Neural networks on the CPU.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastnn {fnn.__version__}")
    names = ",".join(command.__name__.rpartition(".")[2] for command in COMMANDS)
    commands = parser.add_subparsers(dest="command", required=True, metavar=f"{{{names}}}")
    for command in COMMANDS:
        command.add(commands)
    return parser
