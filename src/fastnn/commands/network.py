"""What commands that build a network share: their flags, the images, the machine, the model."""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

import fastnn as fnn

from .. import checks
from ..data import load_digits, load_mnist, train_test_split
from ..flags import UsageError, hidden_sizes, number, whole
from ..optimizers import OPTIMIZERS

Images = tuple[np.ndarray, np.ndarray]  # X, y

HIDDEN = {"dense": (256, 128), "lenet": (120, 84)}  # sizes of each model's hidden dense layers
RECURRENT = ("rnn", "gru", "lstm")  # models of text
TEXT_DATA = "; or a text, whose next character is to be said"
TEXT_MODEL = "; for text recurrent layers: simple ones, GRUs or LSTMs"
SMALL = 20  # pixels: smaller images get small kernels


def add_common_flags(parser: argparse.ArgumentParser, text: bool = False) -> Callable[..., Any]:
    """The flags that say what is trained and how, on `text` too; returns what adds more to how."""
    flag = parser.add_argument_group("data").add_argument
    flag("--data", choices=("digits", "mnist", "text")[:3 if text else 2], default="digits",
         help="the 8x8 digits that come with fastnn, or MNIST's IDX files in --path" + TEXT_DATA * text)
    flag("--path", metavar="PATH", help="where MNIST's files are, gzipped or plain" + "; the text file" * text)
    flag("--train-rows", type=whole(1), metavar="N",
         help="images to train on; data without a test part of its own is split behind them, or at 80%%")
    flag = parser.add_argument_group("network").add_argument
    flag("--model", choices=(*HIDDEN, *RECURRENT * text), default="dense",
         help="dense layers alone, or LeNet-5: two convolutions with pools before them" + TEXT_MODEL * text)
    flag("--hidden", type=hidden_sizes, metavar="N,N,...",
         help="units of each hidden dense layer, 'none' for no such layer (default: 256,128; of lenet 120,84"
              f"{'; of a recurrent layer 128' * text})")
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
    test = test[0][:n_test], test[1][:n_test]
    if arguments.model == "lenet":
        train, test = ((X[..., np.newaxis], y) for X, y in (train, test))  # one channel
    return train, test


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


def hidden(arguments: argparse.Namespace) -> tuple[int, ...]:
    """Units of the hidden dense layers."""
    return HIDDEN[arguments.model] if arguments.hidden is None else arguments.hidden


def make_model(arguments: argparse.Namespace, X: np.ndarray, n_classes: int) -> fnn.Sequential:
    """The network, compiled; it takes raw pixels."""
    settings: dict[str, Any] = {"activation": arguments.activation, "kernel_initializer": arguments.initializer}
    layers: list[fnn.Layer] = [fnn.Standardize(per_feature=False, name="pixels")]
    if arguments.model == "lenet":
        kernel = {"kernel_size": 3, "padding": "same"} if min(X.shape[1:3]) < SMALL else {"kernel_size": 5}
        for filters in (6, 16):
            layers += [fnn.Conv2D(filters, **kernel, **settings), fnn.MaxPool2D(2)]
    layers += [fnn.Flatten(), *(fnn.Dense(size, **settings) for size in hidden(arguments)),
               fnn.Dense(n_classes, "softmax", kernel_initializer=arguments.initializer)]
    model = fnn.Sequential(layers, input_shape=X.shape[1:], dtype=arguments.dtype, seed=arguments.seed)
    make = checks.lookup("optimizer", arguments.optimizer, OPTIMIZERS)
    settings = {"learning_rate": arguments.lr, "momentum": arguments.momentum}
    settings = {name: value for name, value in settings.items() if value is not None}
    if "momentum" in settings and "momentum" not in inspect.signature(make).parameters:
        raise UsageError("--momentum", f"{arguments.optimizer} has none; try --optimizer sgd")
    model.compile(make(**settings), loss="cross_entropy", metrics=["accuracy"])
    return model
