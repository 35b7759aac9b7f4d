"""The command ``fastnn``: what all its commands have in common."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Any

import fastnn as fnn

from .commands import COMMANDS
from .flags import BROKEN_PIPE, BUG, EXIT_CODES, INTERRUPTED, WRONG_USE, ParseError, Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default the process's own.

    Returns
    -------
    int
        The exit code, one of `fastnn.flags.EXIT_CODES`.

    Examples
    --------
    >>> main(["train", "--epochs", "1", "--output", ""])
    2
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    wants_json, wants_traceback = "--json" in argv, "--traceback" in argv
    name = "fastnn"
    try:
        try:
            arguments = parse(argv)
            name += f" {arguments.command}"
            with redirect_stdout(sys.stderr) if wants_json else nullcontext(), warnings.catch_warnings():
                warnings.showwarning = lambda message, *_, **__: print(
                    f"{name}: warning: {one_line(message)}", file=sys.stderr)
                code, document = arguments.run(arguments)
        except SystemExit as stop:  # of --help and --version
            return int(stop.code or 0)
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            code, message = explain(error)
            document = {"error": message}
            if wants_traceback:
                traceback.print_exc()
            print(f"{getattr(error, 'prog', name)}: {message}", file=sys.stderr)
        if wants_json:
            print(as_json(name, code, document))
        sys.stdout.flush()
        return code
    except OSError as error:  # of stdout: the reader of a pipe has gone, as in `fastnn info | head -1`; a disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        print(f"{name}: error: stdout: {one_line(error)}", file=sys.stderr)
        return WRONG_USE


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; of a flag that nobody knows the error names those like it.

    Examples
    --------
    >>> parse(["train", "--epoch", "3"])
    Traceback (most recent call last):
    fastnn.flags.ParseError: unrecognized arguments: --epoch 3; did you mean --epochs?
    """
    from difflib import get_close_matches  # only now: it is for errors

    parser = make_parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        known = parser.commands[arguments.command]._option_string_actions
        near = get_close_matches(unknown[0].partition("=")[0], known, 1) if unknown[0].startswith("-") else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ParseError(f"fastnn {arguments.command}", f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return arguments


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code of an error, and what to say of it in a line.

    Examples
    --------
    >>> explain(ValueError("argument --lr: expected a number above 0, got '0'"))
    (2, "error: argument --lr: expected a number above 0, got '0'")
    >>> explain(KeyError("x"))
    (70, "error inside fastnn, please report it with what --traceback prints: KeyError: 'x'")
    """
    text = one_line(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted before there was anything to keep"
    if isinstance(error, (ValueError, OSError, FloatingPointError, MemoryError, ImportError)):
        return WRONG_USE, f"error: {text or type(error).__name__}"
    return BUG, f"error inside fastnn, please report it with what --traceback prints: {type(error).__name__}: {text}"


def one_line(message: object) -> str:
    r"""A message without its line breaks.

    Examples
    --------
    >>> one_line("a\n  b")
    'a b'
    """
    return " ".join(str(message).split())


def as_json(command: str, code: int, document: Mapping[str, Any]) -> str:
    """What --json prints: the command, the version, the exit code, and what was found.

    Examples
    --------
    >>> as_json("fastnn info", 0, {"loss": float("nan")}).splitlines()[-2:]
    ['  "loss": null', '}']
    """
    head = {"command": command.removeprefix("fastnn").strip(), "fastnn": fnn.__version__, "exit_code": code}
    return json.dumps(_plain({**head, **document}), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it: NumPy's numbers as Python's, null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_parser() -> Parser:
    """All flags."""
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = Parser(prog="fastnn", description="Neural networks on the CPU.", allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    epilog=f"exit codes:\n{codes}\n\n`fastnn COMMAND --help` has the flags of a command and an "
                           "example.\nexample: fastnn train --data iris.csv --target species")
    parser.add_argument("--version", action="version", version=f"fastnn {fnn.__version__}")
    names = ",".join(command.__name__.rpartition(".")[2] for command in COMMANDS)
    commands = parser.add_subparsers(dest="command", required=True, metavar=f"{{{names}}}")
    for command in COMMANDS:
        command.add(commands)
    parser.commands = commands.choices
    for each in (parser, *commands.choices.values()):  # before the command's name and after it
        usual = False if each is parser else argparse.SUPPRESS
        each.add_argument("--json", action="store_true", default=usual,
                          help="print one JSON document on stdout, everything else on stderr")
        each.add_argument("--traceback", action="store_true", default=usual,
                          help="after an error print where in the program it came up")
    return parser
