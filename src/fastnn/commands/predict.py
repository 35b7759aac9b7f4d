"""``fastnn predict``: what a saved model says of rows."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import fastnn as fnn

from .. import functional, losses
from ..classified import decisions
from ..data.tables import TextColumn
from ..flags import FINE, Found, HelpFormatter, UsageError
from ..io.atomic import replacing
from .data import add_data_flags, classes_of, load_for, load_model
from .files import Samples
from .network import add_machine_flags, choose_machine
from .train import writable


def add(commands: Any) -> None:
    """The command's flags."""
    predict = commands.add_parser(
        "predict", help="say what a saved model makes of rows", allow_abbrev=False, formatter_class=HelpFormatter,
        description="Write what a saved model says of each row as CSV: the class by its name, or the number. The "
                    "columns of a table are found by their names, in any order; the target's is left out if it is "
                    "there.",
        epilog="example: fastnn predict iris.safetensors --data new.csv --probabilities --output predictions.csv")
    predict.set_defaults(run=run_predict)
    predict.add_argument("model", metavar="MODEL", help="the model's file")
    add_data_flags(predict, trains=False, targets=False)
    flag = predict.add_argument_group("output").add_argument
    flag("--output", metavar="FILE", help="where to write; stdout if not given")
    flag("--probabilities", action="store_true", help="write the probability of each class too")
    flag("--id", metavar="COLUMN", help="a column of the table that is carried over, and is no input")
    add_machine_flags(predict)


def run_predict(arguments: argparse.Namespace) -> Found:
    """``fastnn predict``."""
    if arguments.output is not None:
        writable("--output", arguments.output, Path(arguments.output))
    with ExitStack() as stack:
        choose_machine(arguments, stack)
        model = load_model(arguments.model)
        if model.columns and arguments.id in [column.name for column in model.columns.inputs]:
            raise UsageError("--id", f"{arguments.id!r} is an input of the model; expected another column")
        samples = load_for(model, arguments, targets=False, leave_out=() if arguments.id is None else (arguments.id,))
        outputs = model.predict(samples.X).reshape(len(samples), -1)
    ids = ids_of(arguments, samples)
    columns = predicted(arguments, model, outputs)
    header = [*([ids[0]] if ids else []), *columns]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*([ids[1]] if ids else []), *columns.values(), strict=True))
    if arguments.output is not None:
        with replacing(arguments.output) as target:
            target.write(file.getvalue().encode())
        print(f"written: {arguments.output} ({len(samples):,} rows)")
    elif not arguments.json:
        sys.stdout.write(file.getvalue())
    document = {"model": arguments.model, "data": arguments.data, "rows": len(samples), "output": arguments.output,
                "classes": classes_of(model), "columns": header}
    return FINE, document | {"predictions": [list(row) for row in zip(
        *([ids[1]] if ids else []), *columns.values(), strict=True)]}


def ids_of(arguments: argparse.Namespace, samples: Samples) -> tuple[str, Sequence[str]] | None:
    """Name and values of the column that is carried over."""
    if arguments.id is None:
        return None
    if samples.table is None:
        raise UsageError("--id", f"expected only with a table, got --data {arguments.data}")
    at = samples.table.index(arguments.id)
    values = samples.table.columns[at]
    assert isinstance(values, TextColumn)
    return samples.table.names[at], values.rows()


def predicted(arguments: argparse.Namespace, model: fnn.Model, outputs: np.ndarray) -> dict[str, list[Any]]:
    """Columns of the answer by their names."""
    classes = classes_of(model)
    if classes is None:
        if arguments.probabilities:
            raise UsageError("--probabilities", "expected with a model that says classes; this one says numbers")
        names = [f"prediction_{i}" for i in range(outputs.shape[1])] if outputs.shape[1] > 1 else ["prediction"]
        return {name: shortest(outputs[:, i]) for i, name in enumerate(names)}
    logits, scores = getattr(model.loss, "from_logits", False), model.loss is not None and model.target_kind == "signs"
    columns: dict[str, list[Any]] = {
        "prediction": [classes[i] for i in decisions(outputs, 0.0 if logits or scores else 0.5)]}
    if arguments.probabilities:
        if scores or isinstance(model.loss, losses.MultiClassHinge):
            raise UsageError("--probabilities", f"expected with a model that gives probabilities; {model.loss.name} "
                                                "makes its outputs scores")
        if logits:
            several = outputs.shape[1] > 1
            outputs = (functional.softmax_forward(outputs) if several else
                       functional.activation_forward(outputs, "sigmoid"))
        if outputs.shape[1] == 1:
            outputs = np.concatenate([1 - outputs, outputs], axis=1)
        columns |= {f"probability_{name}": shortest(outputs[:, i]) for i, name in enumerate(classes)}
    return columns


def shortest(values: np.ndarray) -> list[float]:
    """Numbers with as many digits as their dtype needs to give them back.

    Examples
    --------
    >>> shortest(np.array([0.1], np.float32))
    [0.1]
    """
    return [float(text) for text in values.astype(str)]
