"""``fastnn train --data text``: a recurrent network that says which character comes next, and writes some."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import fastnn as fnn

from ..data.text import Vocabulary, read_text, windows
from ..flags import FINE, INTERRUPTED, Found, UsageError, number, whole
from ..interrupts import deferred_interrupt
from ..report import write_report
from ..schedules import CosineDecay
from .data import check_flags as check_data_flags
from .network import MODELS as DENSE
from .network import RECURRENT, choose_machine, make_optimizer

LAYERS: tuple[Callable[..., fnn.Layer], ...] = (fnn.SimpleRNN, fnn.GRU, fnn.LSTM)
MODELS = dict(zip(RECURRENT, LAYERS, strict=True))
NOT_OF_TEXT = {"test_rows": None, "start": None, "validation": 0.0, "patience": None, "activation": "relu",
               "initializer": "glorot_uniform"}  # flags that mean nothing for text, with what they are if not given
OF_TEXT = {"steps": 64, "sample": 400, "temperature": 1.0}
UNITS = (128,)
EMBEDDING = 64  # numbers a character
HELD_OUT = 0.1  # the share of the text, its end
LONG = 256  # steps of the sequences that are held out: a state from zero costs little there
EPOCHS = 20
RATE = 4e-3  # of adam at first, unless told otherwise; it falls along a cosine


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that only text has."""
    flag = parser.add_argument_group("text").add_argument
    flag("--steps", type=whole(1), default=OF_TEXT["steps"], metavar="N", help="characters of a sequence in training")
    flag("--sample", type=whole(0), default=OF_TEXT["sample"], metavar="N", help="characters to write at the end")
    flag("--temperature", type=number("a number above 0", lambda x: 0 < x < math.inf), default=OF_TEXT["temperature"],
         metavar="T", help="of what is written: below 1 likely characters become likelier")


def check_flags(arguments: argparse.Namespace) -> None:
    """Refuse flags that mean nothing for a text, and the other way round."""
    text = arguments.data == "text"
    for name, usual in (NOT_OF_TEXT if text else OF_TEXT).items():
        if getattr(arguments, name) != usual:
            flag = "from" if name == "start" else name.replace("_", "-")
            raise UsageError(f"--{flag}", f"expected only with{'out' * text} --data text")
    if (arguments.model in MODELS) != text:
        models = RECURRENT if text else DENSE
        raise UsageError("--model", f"expected {' or '.join(models)} with --data {arguments.data}, "
                                    f"got {arguments.model}")
    if text:
        check_data_flags(arguments)


def run(arguments: argparse.Namespace, output: Path, page: Path | None, say: Callable[..., Any]) -> Found:
    """Train, measure the held-out text, save, write a sample."""
    units, arguments.epochs = arguments.hidden or UNITS, arguments.epochs or EPOCHS
    text = read_text(arguments.path)
    vocabulary = Vocabulary(text)
    tokens = vocabulary.encode(text)
    cut = len(tokens) - max(int(HELD_OUT * len(tokens)), 2)
    if cut <= arguments.steps:
        raise UsageError("--steps", f"expected fewer than the {cut} characters to train on, got {arguments.steps}")
    X, y = windows(tokens[:cut], arguments.steps)
    held_out = windows(tokens[cut:], min(LONG, len(tokens) - cut - 1))
    with ExitStack() as stack:
        threads = choose_machine(arguments, stack)
        model = make_text_model(arguments, units, len(vocabulary), n_steps=-(-len(X) // arguments.batch_size))
        n_parameters = sum(array.size for array in model.named_parameters().values())
        say(f"text: {len(tokens):,} characters, {len(vocabulary)} different ones; {cut:,} to train on, "
            f"{len(tokens) - cut:,} held out")
        say(f"network: {arguments.model} {'-'.join(map(str, units))}, {n_parameters:,} parameters, "
            f"{arguments.dtype}; {arguments.steps} steps in time; {model.optimizer}")
        code, began = FINE, time.perf_counter()
        try:
            model.fit(X, y, batch_size=arguments.batch_size, epochs=arguments.epochs, validation_data=held_out,
                      verbose=0 if arguments.quiet else 1, checkpoint=arguments.checkpoint,
                      resume=arguments.checkpoint is not None)
        except KeyboardInterrupt:
            code = INTERRUPTED
            say("Interrupted: kept the steps so far.")
        seconds = time.perf_counter() - began
        model.classes = vocabulary.characters
        with deferred_interrupt():
            model.save(output)
        say(f"saved: {output}")
        if arguments.sample and not code:
            say(f"sample:\n{write(model, vocabulary, arguments.sample, arguments.temperature, arguments.seed)}")
        if page:
            write_report(model, page, *held_out, training=(X, y), title=f"Training on {Path(arguments.path).name}",
                         data_name="held-out sequences", class_names=[repr(c) for c in vocabulary.characters])
            say(f"report: {page}")
        loss = model.evaluate(*held_out)["loss"]
        perplexity = math.exp(loss)
        print(f"held-out loss {loss:.4f} nats a character, perplexity {perplexity:.3f}, "
              f"{seconds:.1f} s in training, {threads}")
    return code, {
        "model": str(output), "data": arguments.path, "task": "text", "parameters": n_parameters,
        "characters": {"train": cut, "test": len(tokens) - cut, "different": len(vocabulary)},
        "interrupted": code == INTERRUPTED, "history": model.history.history,
        "test": {"loss": loss, "perplexity": perplexity}, "seconds": seconds, "machine": threads}


def make_text_model(arguments: argparse.Namespace, units: tuple[int, ...], n_tokens: int,
                    n_steps: int) -> fnn.Sequential:
    """The network, compiled; `n_steps` of an epoch."""
    make = MODELS[arguments.model]
    layers: list[fnn.Layer] = [fnn.Embedding(n_tokens, EMBEDDING)]
    layers += [make(size, return_sequences=True) for size in units]
    layers.append(fnn.Dense(n_tokens, "softmax"))
    model = fnn.Sequential(layers, input_shape=(None,), dtype=arguments.dtype, seed=arguments.seed)
    settings: dict[str, Any] = {"global_clipnorm": 5.0}
    rate = arguments.lr or (RATE if arguments.optimizer in (None, "adam") else None)
    if rate is not None:
        settings["learning_rate"] = CosineDecay(rate, n_steps * arguments.epochs, final=0.1 * rate)
    model.compile(make_optimizer(arguments, **settings), loss="cross_entropy")
    return model


def write(model: fnn.Sequential, vocabulary: Vocabulary, n: int, temperature: float = 1.0, seed: int = 0,
          start: str = "\n") -> str:
    """`n` characters that the model draws, each given all before it.

    A copy of the network reads a character at a time and carries its state from one to the next.
    """
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class"] in ("SimpleRNN", "GRU", "LSTM"):
            layer |= {"stateful": True, "batch_size": 1}
    reader = fnn.Sequential.from_config(config | {"input_shape": [1]})
    reader.set_weights(model.get_weights())
    rng = np.random.default_rng(seed)
    token = vocabulary.encode(start if start in vocabulary.characters else vocabulary.characters[0])[-1]
    written = []
    for _ in range(n):
        share = reader.predict([[token]])[0, 0].astype(np.float64) ** (1 / temperature)
        token = rng.choice(len(share), p=share / share.sum())
        written.append(token)
    return vocabulary.decode(written)
