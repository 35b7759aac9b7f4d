"""``fastnn train``: train a digit classifier and save it."""

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

from ..flags import INTERRUPTED, HelpFormatter, UsageError, number, whole
from . import text
from .network import add_common_flags, choose_machine, hidden, load_images, make_model, split


def add(commands: Any) -> None:
    """The command's flags."""
    train = commands.add_parser(
        "train", help="train a digit classifier, or a model of a text, and save it", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Train a network on images of digits, or on the characters of a text; test it on what was held "
                    "out, save it.")
    train.set_defaults(run=run_train)
    flag = add_common_flags(train, text=True)
    flag("--validation", type=number("a share from 0 up to 1", lambda x: 0 <= x < 1), default=0.0,
         metavar="SHARE",
         help="share of the training images to look at after each epoch; 0: the test images are looked at")
    flag("--test-rows", type=whole(1), metavar="N", help="images to test on")
    flag("--epochs", type=whole(1), default=20, metavar="N", help="passes over the training images")
    flag("--patience", type=whole(1), metavar="N",
         help="stop when the validation loss has not improved for N epochs, and keep the best weights")
    text.add_flags(train)
    flag = train.add_argument_group("output").add_argument
    flag("--output", metavar="FILE", help="where to save the model; digits.safetensors, mnist.safetensors or "
                                          "text.safetensors in this folder if not given")
    flag("--checkpoint", metavar="FOLDER",
         help="write a checkpoint there after each epoch; go on with the newest where the folder has some")
    flag("--quiet", action="store_true", help="print the last line only")


def run_train(arguments: argparse.Namespace) -> int:
    """``fastnn train``."""
    say: Callable[..., Any] = (lambda *_: None) if arguments.quiet else print
    output = output_path(arguments)
    text.check_flags(arguments)
    if arguments.data == "text":
        return text.run(arguments, output, say)
    if arguments.patience and not arguments.validation:
        raise UsageError("--patience", "expected with --validation, because test images must not decide when "
                                       "to stop; try --validation 0.1")
    train, test = load_images(arguments)
    watched = test
    if arguments.validation:
        train, watched = split(*train, arguments.validation)
    with ExitStack() as stack:
        threads = choose_machine(arguments, stack)
        model = make_model(arguments, train[0], n_classes=int(max(train[1].max(), test[1].max())) + 1)
        sizes = [math.prod(model.input_shape), *hidden(arguments), *model.output_shape]
        convolutions = "LeNet-5, " if arguments.model == "lenet" else ""
        n_parameters = sum(array.size for array in model.named_parameters().values())
        validated = f"{len(watched[0]):,} to validate, " if arguments.validation else ""
        say(f"{arguments.data}: {len(train[0]):,} images to train on, {validated}{len(test[0]):,} to test")
        say(f"network: {convolutions}{'-'.join(map(str, sizes))}, {arguments.activation}, {n_parameters:,} parameters, "
            f"{arguments.dtype}; {model.optimizer}")
        clock = Clock()
        callbacks: list[fnn.Callback] = [clock]
        if arguments.patience:
            callbacks.append(fnn.EarlyStopping(patience=arguments.patience))
        code = 0
        try:
            model.fit(train[0], train[1], batch_size=arguments.batch_size, epochs=arguments.epochs,
                      validation_data=watched, callbacks=callbacks, verbose=0 if arguments.quiet else 1,
                      checkpoint=arguments.checkpoint, resume=arguments.checkpoint is not None)
        except KeyboardInterrupt:
            code = INTERRUPTED
            say(f"Interrupted: kept {clock.epochs} of {arguments.epochs} epochs"
                f"{' and the steps since' if clock.steps else ''}.")
        model.save(output)
        say(f"saved: {output}")
        accuracy = model.evaluate(test[0], test[1])["accuracy"]
        print(f"test accuracy {accuracy:.2%} ({round(accuracy * len(test[0]))} of {len(test[0])} images), "
              f"{clock.rate():,.0f} images/s in training, {threads}")
    return code


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
        """Images a second."""
        images = self.epochs * self.params["rows"] + self.steps * self.params["batch_size"]
        return images / self.seconds if self.seconds else 0.0


def output_path(arguments: argparse.Namespace) -> Path:
    """Where the model goes; refused before the training if it cannot go there."""
    text = f"{arguments.data}.safetensors" if arguments.output is None else arguments.output
    path = Path(text)
    if not text or path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError("--output", f"expected a file in a folder that can be written to, got {text!r}")
    return path
