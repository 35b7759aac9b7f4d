"""``fastnn train``: train a network and save it."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fastnn as fnn

from ..data.tables import STDIN
from ..flags import FINE, INTERRUPTED, Found, HelpFormatter, UsageError, number, whole
from ..interrupts import deferred_interrupt
from ..report import write_report
from . import text
from .data import as_inputs, first_rows, load_training, split
from .files import Samples
from .network import UNITS, add_network_flags, choose_machine, load_to_go_on, make_model
from .scores import score

STEPS = 400  # of a table, unless told otherwise: as many epochs as make so many, within these bounds
EPOCHS = (20, 100)


def add(commands: Any) -> None:
    """The command's flags."""
    train = commands.add_parser(
        "train", help="train a network on a table, on images or on a text, and save it", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Train a network on the rows of a table, on images, or on the characters of a text; test it on "
                    "what was held out, save it. Columns of text become zeros and ones; inputs, and the numbers of a "
                    "regression, are brought to mean 0 and deviation 1 inside the model, so that it takes and gives "
                    "them as the table has them. Ctrl-C ends the training and saves the model as it is.",
        epilog="example: fastnn train --data iris.csv --target species")
    train.set_defaults(run=run_train)
    flag = add_network_flags(train, text=True)
    flag("--validation", type=number("a share from 0 up to 1", lambda x: 0 <= x < 1), default=0.0,
         metavar="SHARE",
         help="share of the training rows to look at after each epoch; 0: the rows to test on are looked at")
    flag("--test-rows", type=whole(1), metavar="N", help="rows to test on, the first of those held out")
    flag("--epochs", type=whole(1), metavar="N",
         help="passes over the training rows (default: 20; of a table up to 100, as many as make 400 steps)")
    flag("--patience", type=whole(1), metavar="N",
         help="stop when the validation loss has not improved for N epochs, and keep the best weights")
    text.add_flags(train)
    flag = train.add_argument_group("output").add_argument
    flag("--output", metavar="FILE", help="where to save the model; the name of the data with .safetensors, in this "
                                          "folder, if not given")
    flag("--from", dest="start", metavar="FILE", help="go on training the model of this file, with its optimizer's "
                                                      "state unless --optimizer names another")
    flag("--report", metavar="FILE",
         help="write a report there: one HTML page with curves, the doctor's findings, the errors, the settings, ...")
    flag("--checkpoint", metavar="FOLDER",
         help="write a checkpoint there after each epoch; go on with the newest where the folder has some")
    flag("--quiet", action="store_true", help="print the last line only")


def run_train(arguments: argparse.Namespace) -> Found:
    """``fastnn train``."""
    say: Callable[..., Any] = (lambda *_: None) if arguments.quiet else print
    output, page = output_path(arguments), report_path(arguments)
    text.check_flags(arguments)
    if arguments.data == "text":
        return text.run(arguments, output, page, say)
    if arguments.patience and not arguments.validation:
        raise UsageError("--patience", "expected with --validation, because rows to test on must not decide when "
                                       "to stop; try --validation 0.1")
    with ExitStack() as stack:
        machine = choose_machine(arguments, stack)
        model = None if arguments.start is None else load_to_go_on(arguments)
        train, test, validation = load_parts(arguments, model)
        model = model or make_model(arguments, train)
        tell(arguments, say, model, train, test, validation)
        clock = Clock()
        callbacks: list[fnn.Callback] = [clock]
        if arguments.patience:
            callbacks.append(fnn.EarlyStopping(patience=arguments.patience))
        watched = validation or test
        epochs, code = arguments.epochs or usual_epochs(train, arguments.batch_size), FINE
        try:
            model.fit(as_inputs(model, train), train.y, batch_size=arguments.batch_size, epochs=epochs,
                      validation_data=watched and (as_inputs(model, watched), watched.y), callbacks=callbacks,
                      verbose=0 if arguments.quiet else 1, checkpoint=arguments.checkpoint,
                      resume=arguments.checkpoint is not None)
        except KeyboardInterrupt:
            code = INTERRUPTED
            say(f"Interrupted: kept {clock.epochs} of {epochs} epochs"
                f"{' and the steps since' if clock.steps else ''}.")
        with deferred_interrupt():  # a second Ctrl-C too
            model.save(output)
        say(f"saved: {output}")
        if page:
            judged = (as_inputs(model, test), test.y) if test else (None, None)
            write_report(model, page, *judged, training=(as_inputs(model, train), train.y),
                         title=f"Training on {train.name}", data_name=f"{'test' if test else 'training'} {train.rows}")
            say(f"report: {page}")
        scores = score(model, test or train)
        tested = f"test {scores}" if test else f"{scores} of those trained on, none held out"
        print(f"{tested}, {clock.rate():,.0f} {train.rows}/s in training, {machine}")
    return code, {
        "model": str(output), "report": page and str(page),
        "data": arguments.data, "task": "regress" if train.classes is None else "classify",
        "classes": train.classes, "columns": train.columns and train.columns.get_config(),
        "rows": {"train": len(train), "validation": len(validation or ()), "test": len(test or ())},
        "parameters": n_parameters(model), "epochs": clock.epochs, "interrupted": code == INTERRUPTED,
        "history": model.history.history, "test" if test else "train": scores.document(),
        "seconds": clock.seconds, "rows_per_second": clock.rate(), "machine": machine}


def load_parts(arguments: argparse.Namespace,
               model: fnn.Model | None) -> tuple[Samples, Samples | None, Samples | None]:
    """Rows to train on, to test on and to validate on, as the flags say; for a model that goes on, if there is one."""
    train, test = load_training(arguments, model)
    if test is not None:
        test = first_rows("--test-rows", test, arguments.test_rows)
    elif arguments.test_rows is not None:
        raise UsageError("--test-rows", "expected with rows that are held out, got --test 0")
    if not arguments.validation:
        return train, test, None
    n = round(arguments.validation * len(train))
    if not 0 < n < len(train):
        raise UsageError("--validation", f"expected a share that leaves some of {len(train)} rows for each part, got "
                                         f"{arguments.validation}, which holds {n} out")
    train, validation = split(train, n, arguments.split_seed or 0)
    return train, test, validation


def usual_epochs(train: Samples, batch_size: int) -> int:
    """Passes over the rows, where none are asked for."""
    if train.rows == "images":
        return EPOCHS[0]
    steps = -(-len(train) // batch_size)
    return min(max(EPOCHS[0], -(-STEPS // steps)), EPOCHS[1])


def n_parameters(model: fnn.Model) -> int:
    """Numbers that training can move, and those of frozen layers."""
    return sum(array.size for array in model.named_parameters().values())


def tell(arguments: argparse.Namespace, say: Callable[..., Any], model: fnn.Model, train: Samples,
         test: Samples | None, validation: Samples | None) -> None:
    """What is about to be done."""
    for line in train.said:
        say(line)
    dense = [layer for layer in model.layers if isinstance(layer, fnn.Dense) and layer.name != UNITS]
    sizes = [math.prod(model.input_shape), *(layer.units for layer in dense)]
    network = f"{'LeNet-5, ' * (arguments.model == 'lenet')}{'-'.join(map(str, sizes))}, {arguments.activation}" \
        if arguments.start is None else f"that of {arguments.start}"
    validated = f"{len(validation):,} to validate, " if validation else ""
    tested = f"{len(test):,} to test" if test else "none to test"
    say(f"{train.name}: {len(train):,} {train.rows} to train on, {validated}{tested}")
    say(f"network: {network}, {n_parameters(model):,} parameters, {model.dtype}; {model.optimizer}")


class Clock(fnn.Callback):
    """Count what was trained on, and the time without validation."""

    state_names = ("epochs", "seconds")

    def __init__(self) -> None:
        self.rows, self.epochs, self.steps, self.seconds = 0.0, 0, 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        self.before, self.started = self.seconds, time.perf_counter()

    def on_progress(self, step: int, logs: dict[str, float]) -> None:
        self.seconds = self.before + time.perf_counter() - self.started
        self.steps = step

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.epochs, self.steps = self.epochs + 1, 0

    def rate(self) -> float:
        """Rows a second."""
        rows = self.epochs * self.params["rows"] + self.steps * self.params["batch_size"]
        return rows / self.seconds if self.seconds else 0.0


def output_path(arguments: argparse.Namespace) -> Path:
    """Where the model goes; refused before the training if it cannot go there."""
    if arguments.output is None:
        name = "stdin" if arguments.data == STDIN else Path(arguments.data).name
        path = Path(f"{name.removesuffix('.gz').rsplit('.', 1)[0]}.safetensors")
    else:
        path = Path(arguments.output)
    return writable("--output", arguments.output, path)


def writable(flag: str, given: str | None, path: Path) -> Path:
    """The path of a file that can be written."""
    if given == "" or path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(flag, f"expected a file in a folder that can be written to, got {str(path)!r}")
    return path


def report_path(arguments: argparse.Namespace) -> Path | None:
    """Where the report goes, if there is to be one; refused before the training if it cannot go there."""
    return None if arguments.report is None else writable("--report", arguments.report, Path(arguments.report))
