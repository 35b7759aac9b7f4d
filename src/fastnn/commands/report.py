"""``fastnn report``: a report of a saved model, one HTML page."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..flags import FINE, Found, HelpFormatter, whole
from ..report import write_report
from .data import add_data_flags, load_for, load_model
from .network import add_machine_flags, choose_machine
from .scores import score
from .train import writable


def add(commands: Any) -> None:
    """The command's flags."""
    report = commands.add_parser(
        "report", help="write a report of a saved model: one HTML page", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Write a report of a saved model on labelled rows: one HTML page that needs no network, with the "
                    "outcome, the curves of the training that is in the file, what the doctor finds, the layers, the "
                    "confusion matrix and the worst errors, or predicted against true, where the time of a step goes, "
                    "settings and environment. The numbers are those of `fastnn evaluate`. `fastnn train --report "
                    "FILE` writes one at the end of a training.",
        epilog="example: fastnn report iris.safetensors --data iris.csv --output iris.html")
    report.set_defaults(run=run_report)
    report.add_argument("model", metavar="MODEL", help="the model's file")
    add_data_flags(report, trains=False)
    flag = report.add_argument_group("output").add_argument
    flag("--output", metavar="FILE", help="where the page goes; the name of the model with .html, in this folder, if "
                                          "not given")
    flag("--title", metavar="TEXT", help="of the page")
    flag("--batch-size", type=whole(1), metavar="N",
         help="rows of a step, for the doctor and the profile (default: 32, because the model's file does not say)")
    add_machine_flags(report)


def run_report(arguments: argparse.Namespace) -> Found:
    """``fastnn report``."""
    usual = f"{Path(arguments.model).stem}.html"
    page = writable("--output", arguments.output, Path(usual if arguments.output is None else arguments.output))
    with ExitStack() as stack:
        choose_machine(arguments, stack)
        model = load_model(arguments.model)
        samples = load_for(model, arguments)
        title = f"Report on {Path(arguments.model).name}" if arguments.title is None else arguments.title
        write_report(model, page, samples.X, samples.y, title=title, data_name=f"{samples.rows} of {samples.name}",
                     class_names=samples.classes, batch_size=arguments.batch_size)
        scores = score(model, samples)
    print(f"{samples.name}: {scores}\nreport: {page}")
    return FINE, {"model": arguments.model, "data": arguments.data, "report": str(page), **scores.document()}
