"""What commands that build a network share: its flags, the machine, the model."""

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
from ..flags import UsageError, hidden_sizes, number, whole
from ..optimizers import OPTIMIZERS
from .data import add_data_flags, load_model
from .files import Samples

MODELS = ("dense", "lenet")
RECURRENT = ("rnn", "gru", "lstm")  # models of text
HIDDEN = {"rows": (64, 32), "images": (256, 128), "lenet": (120, 84)}  # sizes of the hidden dense layers
TEXT_MODEL = "; for text recurrent layers: simple ones, GRUs or LSTMs"
SMALL = 20  # pixels: smaller images get small kernels
OPTIMIZER = "adam"  # unless told otherwise
UNITS = "units"  # the layer that gives a regression's numbers their units back


def add_network_flags(parser: argparse.ArgumentParser, text: bool = False) -> Callable[..., Any]:
    """The flags that say what is trained and how, on `text` too; returns what adds more to how."""
    add_data_flags(parser, trains=True, text=text)
    flag = parser.add_argument_group("network").add_argument
    flag("--model", choices=(*MODELS, *RECURRENT * text), default="dense",
         help="dense layers alone, or LeNet-5: two convolutions with pools before them" + TEXT_MODEL * text)
    flag("--hidden", type=hidden_sizes, metavar="N,N,...",
         help="units of each hidden dense layer, 'none' for no such layer (default: 64,32; of images 256,128; of lenet "
              f"120,84{'; of a recurrent layer 128' * text})")
    flag("--activation", default="relu", metavar="NAME", help="of the hidden layers")
    flag("--initializer", default="glorot_uniform", metavar="NAME", help="of all weights")
    flag("--dtype", choices=("float32", "float64"), default="float32", help="of parameters and arithmetic")
    add_machine_flags(parser)
    flag = parser.add_argument_group("training").add_argument
    flag("--optimizer", metavar="NAME", help=f"{', '.join(OPTIMIZERS)} (default: {OPTIMIZER})")
    flag("--lr", type=number("a number above 0", lambda x: 0 < x < math.inf), metavar="RATE",
         help="learning rate; the optimizer's own if not given")
    flag("--momentum", type=number("a number from 0 up to 1", lambda x: 0 <= x < 1), metavar="M",
         help="of sgd, momentum or nesterov")
    flag("--batch-size", type=whole(1), default=32, metavar="N", help="rows of a step")
    flag("--seed", type=whole(0), default=0, metavar="N", help="fixes initial weights and shuffling")
    return flag


def add_machine_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say what it runs on."""
    flag = parser.add_argument_group("machine").add_argument
    flag("--backend", choices=("native", "numpy"), help="the compiled core or plain NumPy")
    flag("--isa", metavar="NAME", help="instruction set of the compiled core: baseline, avx2, avx512")
    flag("--threads", type=whole(1), metavar="N", help="threads of a large step")


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


def hidden(arguments: argparse.Namespace, train: Samples) -> tuple[int, ...]:
    """Units of the hidden dense layers."""
    kind = arguments.model if arguments.model == "lenet" else train.rows
    return HIDDEN[kind] if arguments.hidden is None else arguments.hidden


def make_model(arguments: argparse.Namespace, train: Samples) -> fnn.Sequential:
    """The network for samples as they are, compiled; it knows its classes and columns."""
    shape = train.X.shape[1:]
    if arguments.model == "lenet" and len(shape) not in (2, 3):
        raise UsageError("--model", f"expected dense, as a sample of {train.name} is no image but has shape {shape}")
    settings: dict[str, Any] = {"activation": arguments.activation, "kernel_initializer": arguments.initializer}
    layers: list[fnn.Layer] = [fnn.Standardize(per_feature=len(shape) == 1,
                                               name="inputs" if len(shape) == 1 else "pixels")]
    if arguments.model == "lenet":
        shape = (*shape, 1)[:3]  # one channel, unless there are more
        kernel = {"kernel_size": 3, "padding": "same"} if min(shape[:2]) < SMALL else {"kernel_size": 5}
        for filters in (6, 16):
            layers += [fnn.Conv2D(filters, **kernel, **settings), fnn.MaxPool2D(2)]
    if len(shape) > 1:
        layers.append(fnn.Flatten())
    layers += [fnn.Dense(size, **settings) for size in hidden(arguments, train)]
    layers += outputs_for(train, arguments.initializer)
    model = fnn.Sequential(layers, input_shape=shape, dtype=arguments.dtype, seed=arguments.seed)
    model.classes, model.columns = train.classes, train.columns
    optimizer = make_optimizer(arguments)
    if train.classes is not None:
        model.compile(optimizer, loss="cross_entropy", metrics=["accuracy"])
    else:
        scale = set_units(model, train.y)
        model.compile(optimizer, loss="squared_error", metrics=["r2"], loss_weights=[scale ** -2])
    return model


def outputs_for(train: Samples, initializer: str) -> list[fnn.Layer]:
    """The last layers: shares of the classes; or numbers, whose units a frozen layer gives back."""
    if train.classes is not None:
        return [fnn.Dense(max(len(train.classes), 2), "softmax", kernel_initializer=initializer)]
    assert train.y is not None
    n = 1 if train.y.ndim == 1 else train.y.shape[1]
    units = fnn.Dense(n, kernel_initializer="zeros", name=UNITS)
    units.trainable = False
    return [fnn.Dense(n, kernel_initializer=initializer), units]


def set_units(model: fnn.Sequential, y: Any) -> float:
    """Mean and deviation of the targets, into the frozen layer; training sees targets of mean 0 and deviation 1.

    Several targets have a mean each and one deviation.
    """
    y = y.reshape(len(y), -1)
    scale = float(np.sqrt(y.var(axis=0).mean()))
    if not scale > 1e-12 * float(np.abs(y).max()):
        raise ValueError(f"target: expected different numbers, got {y[0, 0]:g} in every row to train on")
    layer = model.get_layer(UNITS)
    layer.weight[...], layer.bias[...] = scale * np.eye(y.shape[1]), y.mean(axis=0)  # type: ignore[attr-defined]
    return scale


def make_optimizer(arguments: argparse.Namespace, **settings: Any) -> fnn.Optimizer:
    """The optimizer that the flags name."""
    name = OPTIMIZER if arguments.optimizer is None else arguments.optimizer
    make = checks.lookup("optimizer", name, OPTIMIZERS)
    given = {"learning_rate": arguments.lr, "momentum": arguments.momentum}
    settings = {name: value for name, value in given.items() if value is not None} | settings
    if "momentum" in settings and "momentum" not in inspect.signature(make).parameters:
        raise UsageError("--momentum", f"{name} has none; try --optimizer sgd")
    return make(**settings)


OF_THE_FILE = {"model": "dense", "hidden": None, "activation": "relu", "initializer": "glorot_uniform",
               "dtype": "float32", "task": None, "categories": ()}  # flags with what they are if not given


def load_to_go_on(arguments: argparse.Namespace) -> fnn.Model:
    """The model of --from, with its optimizer's state, or with the optimizer that the flags name."""
    for name, usual in OF_THE_FILE.items():
        if getattr(arguments, name) != usual:
            raise UsageError(f"--{name}", "expected without --from, whose model is taken as it is")
    model = load_model(arguments.start)
    if model.optimizer is None or model.loss is None:
        raise UsageError("--from", f"expected a model that was compiled with a loss, {arguments.start} was not")
    if arguments.optimizer is not None or arguments.momentum is not None:
        model.compile(make_optimizer(arguments), *model._compile_settings())
    elif arguments.lr is not None:
        model.optimizer.learning_rate = arguments.lr
    return model
