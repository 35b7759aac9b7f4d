"""The command ``fastnn``: train or diagnose a digit classifier, check gradients, say what runs here."""

from __future__ import annotations

import argparse
import inspect
import itertools
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

import fastnn as fnn

from . import catalogue, checks
from .data import load_digits, load_mnist, train_test_split
from .flags import HelpFormatter, Parser, UsageError, hidden_sizes, number, whole
from .optimizers import OPTIMIZERS

FOUND = 1  # the doctor found something
INTERRUPTED = 130  # as shells have it: 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE

Images = tuple[np.ndarray, np.ndarray]  # X, y


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
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        print(f"{name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def make_parser() -> argparse.ArgumentParser:
    """All flags."""
    parser = Parser(prog="fastnn", description="Neural networks on the CPU.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastnn {fnn.__version__}")
    commands = parser.add_subparsers(dest="command", required=True,
                                     metavar="{train,diagnose,info,gradcheck}")

    info = commands.add_parser(
        "info", help="say what runs here, and how fast", allow_abbrev=False,
        description="Print version, backend, instruction set and why, threads, compiler, and the rate of "
                    "fused multiply-adds that one core reaches.")
    info.set_defaults(run=run_info)

    train = commands.add_parser(
        "train", help="train a digit classifier and save it", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Train a network on images of digits, test it on held-out images, save it.")
    train.set_defaults(run=run_train)
    flag = add_common_flags(train)
    flag("--validation", type=number("a share from 0 up to 1", lambda x: 0 <= x < 1), default=0.0,
         metavar="SHARE",
         help="share of the training images to look at after each epoch; 0: the test images are looked at")
    flag("--test-rows", type=whole(1), metavar="N", help="images to test on")
    flag("--epochs", type=whole(1), default=20, metavar="N", help="passes over the training images")
    flag("--patience", type=whole(1), metavar="N",
         help="stop when the validation loss has not improved for N epochs, and keep the best weights")
    flag = train.add_argument_group("output").add_argument
    flag("--output", metavar="FILE", help="where to save the model; digits.safetensors or mnist.safetensors "
                                          "in this folder if not given")
    flag("--quiet", action="store_true", help="print the last line only")

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

    check = commands.add_parser(
        "gradcheck", help="check every gradient by finite differences", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Compare backpropagation with finite differences in float64, in a small model for every "
                    "layer, activation, loss, regularizer, constraint and way of clipping, and for frozen "
                    "layers. The exit code is 1 if one fails.")
    check.set_defaults(run=run_gradcheck)
    flag = check.add_argument
    flag("names", nargs="*", metavar="NAME",
         help="check only what has one of these in its name: dense, 'activation relu', 'loss *sigmoid*'")
    flag("--backend", choices=("native", "numpy", "both"), default="both", help="what computes the gradients")
    flag("--dtype", choices=("float32", "float64", "both"), default="both", help="in which numbers")
    flag("--rows", type=whole(1), default=7, metavar="N", help="samples of a check")
    flag("--samples", type=whole(1), default=20, metavar="N", help="entries checked of each tensor")
    flag("--directions", type=whole(1), metavar="N",
         help="derivatives along so many random directions of each tensor, instead of entries")
    flag("--seed", type=whole(0), default=0, metavar="N", help="fixes weights, samples and what is checked")
    flag("--list", action="store_true", help="print the names only")
    return parser


def add_common_flags(parser: argparse.ArgumentParser) -> Callable[..., Any]:
    """The flags that say what is trained and how; returns what adds more to how."""
    flag = parser.add_argument_group("data").add_argument
    flag("--data", choices=("digits", "mnist"), default="digits",
         help="the 8x8 digits that come with fastnn, or MNIST's IDX files in --path")
    flag("--path", metavar="FOLDER", help="where MNIST's files are, gzipped or plain")
    flag("--train-rows", type=whole(1), metavar="N",
         help="images to train on; data without a test part of its own is split behind them, or at 80%%")
    flag = parser.add_argument_group("network").add_argument
    flag("--hidden", type=hidden_sizes, default="256,128", metavar="N,N,...",
         help="units of each hidden layer; 'none' for softmax regression")
    flag("--activation", default="relu", metavar="NAME", help="of the hidden layers")
    flag("--initializer", default="glorot_uniform", metavar="NAME", help="of all weights")
    flag("--dtype", choices=("float32", "float64"), default="float32", help="of parameters and arithmetic")
    flag = parser.add_argument_group("machine").add_argument
    flag("--backend", choices=("native", "numpy"), help="the compiled core or plain NumPy")
    flag("--isa", metavar="NAME", help="instruction set of the compiled core: baseline, avx2, avx512")
    flag("--threads", type=whole(1), metavar="N", help="threads of a large step")
    flag = parser.add_argument_group("training").add_argument
    flag("--optimizer", default="adam", metavar="NAME", help=", ".join(OPTIMIZERS))
    flag("--lr", type=number("a number above 0", lambda x: 0 < x < math.inf), metavar="RATE",
         help="learning rate; the optimizer's own if not given")
    flag("--momentum", type=number("a number from 0 up to 1", lambda x: 0 <= x < 1), metavar="M",
         help="of sgd, momentum or nesterov")
    flag("--batch-size", type=whole(1), default=32, metavar="N", help="images of a step")
    flag("--seed", type=whole(0), default=0, metavar="N", help="fixes initial weights and shuffling")
    return flag


def run_info(arguments: argparse.Namespace) -> int:
    """``fastnn info``."""
    info: dict[str, Any] = fnn.backends.info()
    rows = [("fastnn", fnn.__version__), ("backend", info["backend"]),
            ("ISA", f"{info['isa'] or 'none'} ({info['isa_reason']})")]
    if info["isa"]:
        rows += [("ISAs here", ", ".join(info["isas"])),
                 ("threads", f"{info['threads']} (fork and join take {info['fork_join_us']:.1f} us)"),
                 ("compiler", info["compiler"]),
                 ("peak FMA rate", f"{info['fma_gflops_f32']:.0f} GFLOP/s float32, "
                                   f"{info['fma_gflops_f64']:.0f} GFLOP/s float64, measured on one thread")]
    rows += [("NumPy", info["numpy"]), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    return 0


def run_gradcheck(arguments: argparse.Namespace) -> int:
    """``fastnn gradcheck``."""
    chosen = [case for case in catalogue.cases() if not arguments.names or any(
        name in case.title or fnmatch(case.title, name) for name in arguments.names)]
    if not chosen:
        raise UsageError("NAME", f"nothing is called {' or '.join(map(repr, arguments.names))}; "
                                 "fastnn gradcheck --list prints the names")
    if arguments.list:
        print("\n".join(case.title for case in chosen))
        return 0
    here = ("native", "numpy") if fnn.backends.native else ("numpy",)
    backends = here if arguments.backend == "both" else (arguments.backend,)
    dtypes = ("float64", "float32") if arguments.dtype == "both" else (arguments.dtype,)
    chooses = {"directions": arguments.directions} if arguments.directions else {"samples": arguments.samples}
    width, failed = max(len(case.title) for case in chosen), []
    print(f"{'case':<{width}}  backend  dtype    values  kinks  {'worst tensor':<22}    error  tolerance")
    for backend, dtype, case in itertools.product(backends, dtypes, chosen):
        with fnn.use_backend(backend):
            check = case.check(arguments.rows, dtype, arguments.seed, **chooses)
        worst, values = check.worst, sum(t.checked - t.kinks for t in check.tensors)
        print(f"{case.title:<{width}}  {backend:<7}  {dtype}  {values:>6}  "
              f"{sum(t.kinks for t in check.tensors):>5}  {f'{worst.name} {worst.part}':<22}  "
              f"{worst.error:.1e}    {worst.tolerance:.1e}  {'ok' if check.passed else 'FAILED'}")
        if not check.passed:
            failed.append((f"{case.title}, {backend}", check))
    for title, check in failed:
        print(f"\n{title}: {', '.join(check.failed)}\n{check}")
    n = len(backends) * len(dtypes) * len(chosen)
    print(f"\n{n - len(failed)} of {n} checks passed" + f", {len(failed)} FAILED" * bool(failed))
    return 1 if failed else 0


def run_train(arguments: argparse.Namespace) -> int:
    """``fastnn train``."""
    say: Callable[..., Any] = (lambda *_: None) if arguments.quiet else print
    output = output_path(arguments)
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
        sizes = [math.prod(model.input_shape), *arguments.hidden, *model.output_shape]
        n_parameters = sum(array.size for array in model.named_parameters().values())
        validated = f"{len(watched[0]):,} to validate, " if arguments.validation else ""
        say(f"{arguments.data}: {len(train[0]):,} images to train on, {validated}{len(test[0]):,} to test")
        say(f"network: {'-'.join(map(str, sizes))}, {arguments.activation}, {n_parameters:,} parameters, "
            f"{arguments.dtype}; {model.optimizer}")
        clock = Clock()
        callbacks: list[fnn.Callback] = [clock]
        if arguments.patience:
            callbacks.append(fnn.EarlyStopping(patience=arguments.patience))
        code = 0
        try:
            model.fit(train[0], train[1], batch_size=arguments.batch_size, epochs=arguments.epochs,
                      validation_data=watched, callbacks=callbacks, verbose=0 if arguments.quiet else 1)
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


class Clock(fnn.Callback):
    """Count what was trained on, and the time without validation."""

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


def split(X: np.ndarray, y: np.ndarray, test: float | int) -> tuple[Images, Images]:
    """Hold random rows out; always the same ones, whatever the seed."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test)
    return (X_train, y_train), (X_test, y_test)


def load_images(arguments: argparse.Namespace) -> tuple[Images, Images]:
    """(X, y) to train on and (X, y) to test on."""
    if (arguments.path is None) == (arguments.data == "mnist"):
        raise UsageError("--path", "expected with --data mnist: the folder of train-images-idx3-ubyte.gz "
                         "and the others" if arguments.path is None else "expected only with --data mnist")
    parts = {"all": load_digits()} if arguments.data == "digits" else load_mnist(arguments.path)
    if len(parts) == 2:
        train, test = parts["train"], parts["test"]
        n_train = rows("--train-rows", arguments.train_rows, len(train[0]))
        train = train[0][:n_train], train[1][:n_train]
    else:
        (X, y), = parts.values()
        n_train = rows("--train-rows", arguments.train_rows or math.ceil(0.8 * len(X)), len(X) - 1)
        if arguments.data == "digits":  # they are ordered by writer; MNIST's are not
            train, test = split(X, y, len(X) - n_train)
        else:
            train, test = (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:])
    n_test = rows("--test-rows", arguments.test_rows, len(test[0]))
    return train, (test[0][:n_test], test[1][:n_test])


def rows(flag: str, wanted: int | None, available: int) -> int:
    """How many rows to take."""
    if wanted is not None and wanted > available:
        raise UsageError(flag, f"expected at most {available}, got {wanted}")
    return wanted or available


def choose_machine(arguments: argparse.Namespace, stack: ExitStack) -> str:
    """Backend, instruction set and threads, for as long as the stack lives; returns them in words."""
    if arguments.backend:
        stack.enter_context(fnn.use_backend(arguments.backend))
    if arguments.isa:
        stack.enter_context(fnn.use_isa(arguments.isa))
    if arguments.threads:
        stack.callback(fnn.set_num_threads, fnn.get_num_threads())
        fnn.set_num_threads(arguments.threads)
    if fnn.backend() == "native":
        n = fnn.get_num_threads()
        return f"native backend, {fnn.backends.isa()}, {n} thread{'' if n == 1 else 's'}"
    threads = "the threads of NumPy's BLAS"
    if arguments.threads:
        try:
            from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
        except ImportError:
            raise UsageError("--threads", "expected with the native backend or with threadpoolctl installed; "
                             "set OPENBLAS_NUM_THREADS in the environment instead") from None
        stack.enter_context(threadpool_limits(arguments.threads, user_api="blas"))
        threads = f"{arguments.threads} thread{'' if arguments.threads == 1 else 's'}"
    return f"numpy backend, NumPy {np.__version__}, {threads}"


def make_model(arguments: argparse.Namespace, X: np.ndarray, n_classes: int) -> fnn.Sequential:
    """The network, compiled; it takes raw pixels."""
    layers = [fnn.Flatten(), fnn.Standardize(per_feature=False, name="pixels"),
              *(fnn.Dense(size, arguments.activation, kernel_initializer=arguments.initializer)
                for size in arguments.hidden),
              fnn.Dense(n_classes, "softmax", kernel_initializer=arguments.initializer)]
    model = fnn.Sequential(layers, input_shape=X.shape[1:], dtype=arguments.dtype, seed=arguments.seed)
    make = checks.lookup("optimizer", arguments.optimizer, OPTIMIZERS)
    settings = {"learning_rate": arguments.lr, "momentum": arguments.momentum}
    settings = {name: value for name, value in settings.items() if value is not None}
    if "momentum" in settings and "momentum" not in inspect.signature(make).parameters:
        raise UsageError("--momentum", f"{arguments.optimizer} has none; try --optimizer sgd")
    model.compile(make(**settings), loss="cross_entropy", metrics=["accuracy"])
    return model
