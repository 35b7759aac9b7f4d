"""``fastnn diagnose``: why a network would not learn well."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import fastnn as fnn

from ..flags import FINE, FOUND, Found, HelpFormatter, whole
from .data import as_inputs, load_training
from .network import add_network_flags, choose_machine, make_model


def add(commands: Any) -> None:
    """The command's flags."""
    diagnose = commands.add_parser(
        "diagnose", help="say why a network would not learn well", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Build the network that `fastnn train` would train with these flags, take a few steps, "
                    "look at every layer, and say what is wrong, why it hurts and what to try. The exit code "
                    "is 1 where something was found.",
        epilog="example: fastnn diagnose --data iris.csv --hidden 30,30,30 --initializer standard_normal")
    diagnose.set_defaults(run=run_diagnose)
    flag = add_network_flags(diagnose)
    flag("--steps", type=whole(1), default=50, metavar="N", help="how many steps are taken")
    flag("--sanity", action="store_true", help="do the sanity checks too: loss at the start, regularization, "
                                               "20 rows by heart, gradients")


def run_diagnose(arguments: argparse.Namespace) -> Found:
    """``fastnn diagnose``."""
    train, _ = load_training(arguments)
    for line in train.said:
        print(line)
    with ExitStack() as stack:
        choose_machine(arguments, stack)
        model = make_model(arguments, train)
        X, y = as_inputs(model, train), train.y
        diagnosis = fnn.diagnose(model, X, y, batch_size=arguments.batch_size, steps=arguments.steps)
        print(diagnosis)
        document = diagnosis.to_dict()
        sane = True
        if arguments.sanity:
            report = fnn.sanity_check(model, X, y)
            print(f"\n{report}")
            sane = report.passed
            document["sanity"] = [asdict(item) for item in report.items]
    return FINE if diagnosis.healthy and sane else FOUND, document
