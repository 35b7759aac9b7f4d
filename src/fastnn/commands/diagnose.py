"""``fastnn diagnose``: why a digit classifier would not learn well."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

import fastnn as fnn

from ..flags import HelpFormatter, whole
from .network import add_common_flags, choose_machine, load_images, make_model

FOUND = 1  # the exit code where the doctor found something


def add(commands: Any) -> None:
    """The command's flags."""
    diagnose = commands.add_parser(
        "diagnose", help="say why a digit classifier would not learn well", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Build the network that `fastnn train` would train with these flags, take a few steps, "
                    "look at every layer, and say what is wrong, why it hurts and what to try. The exit code "
                    "is 1 where something was found.", epilog="example: fastnn diagnose --hidden 30,30,30,30 "
                    "--activation sigmoid --initializer standard_normal")
    diagnose.set_defaults(run=run_diagnose, test_rows=None)
    flag = add_common_flags(diagnose)
    flag("--steps", type=whole(1), default=50, metavar="N", help="how many steps are taken")
    flag("--sanity", action="store_true", help="do the sanity checks too: loss at the start, regularization, "
                                               "20 images by heart, gradients")


def run_diagnose(arguments: argparse.Namespace) -> int:
    """``fastnn diagnose``."""
    (X, y), _ = load_images(arguments)
    with ExitStack() as stack:
        choose_machine(arguments, stack)
        model = make_model(arguments, X, n_classes=int(y.max()) + 1)
        diagnosis = fnn.diagnose(model, X, y, batch_size=arguments.batch_size, steps=arguments.steps)
        print(diagnosis)
        sane = True
        if arguments.sanity:
            report = fnn.sanity_check(model, X, y)
            print(f"\n{report}")
            sane = report.passed
    return 0 if diagnosis.healthy and sane else FOUND
