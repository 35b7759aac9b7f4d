"""``fastnn evaluate``: how good a saved model is on labelled rows."""

from __future__ import annotations

import argparse
import math
from contextlib import ExitStack
from typing import Any

from ..flags import FINE, FOUND, Found, HelpFormatter, UsageError, number
from .data import add_data_flags, load_for, load_model
from .network import add_machine_flags, choose_machine
from .scores import score


def add(commands: Any) -> None:
    """The command's flags."""
    evaluate = commands.add_parser(
        "evaluate", help="measure a saved model on labelled rows", allow_abbrev=False, formatter_class=HelpFormatter,
        description="Measure a saved model on labelled rows: loss and accuracy, precision, recall and F1 of each "
                    "class, and which classes are taken for which; of a regression R2, the root of the mean squared "
                    "error and the mean absolute error. The columns of a table are found by their names. Of digits and "
                    "mnist the part is taken that `fastnn train` tests on.",
        epilog="example: fastnn evaluate iris.safetensors --data iris.csv")
    evaluate.set_defaults(run=run_evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="the model's file")
    add_data_flags(evaluate, trains=False)
    flag = evaluate.add_argument_group("limits").add_argument
    flag("--min-accuracy", type=number("a share from 0 to 1", lambda x: 0 <= x <= 1), metavar="SHARE",
         help="the exit code is 1 if the accuracy is less")
    flag("--min-r2", type=number("a number up to 1", lambda x: -math.inf < x <= 1), metavar="R2",
         help="the same for a regression")
    add_machine_flags(evaluate)


def run_evaluate(arguments: argparse.Namespace) -> Found:
    """``fastnn evaluate``."""
    with ExitStack() as stack:
        choose_machine(arguments, stack)
        model = load_model(arguments.model)
        samples = load_for(model, arguments)
        scores = score(model, samples)
    for flag, name in (("--min-accuracy", "accuracy"), ("--min-r2", "r2")):
        if getattr(arguments, f"min_{name}") is not None and name not in scores.values:
            raise UsageError(flag, f"expected with a model that has one; this one has {', '.join(scores.values)}")
    loss = f", loss {scores.values['loss']:.4g}" if "loss" in scores.values else ""
    others = "".join(f", {name} {value:.4g}" for name, value in scores.values.items()
                     if name not in ("loss", "accuracy", "r2", "rmse", "mae"))
    print(f"{samples.name}: {scores}{loss}{others}")
    if scores.classes is not None:
        print(f"\n{scores.table()}\n\n{scores.matrix()}")
    code = FINE
    for name, least in (("accuracy", arguments.min_accuracy), ("r2", arguments.min_r2)):
        if least is not None and not scores.values[name] >= least:
            code = FOUND
            print(f"{name} {scores.values[name]:.4f} is less than the {least} asked for")
    return code, {"model": arguments.model, "data": arguments.data, **scores.document()}
