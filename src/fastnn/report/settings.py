"""How the model was trained, and on what."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np

from .. import backends, bundles
from .._version import __version__
from ..page import escape, table
from .subject import Subject
from .words import count, seconds


def settings(subject: Subject) -> str:
    """The choices that were made."""
    if subject.is_gan:
        return of_gan(subject)
    model, history = subject.model, subject.history
    said, held = history.settings, history.trained
    rows: list[tuple[str, str]] = []
    if model.optimizer is None:
        rows.append(("compiled", "no"))
    else:
        rows += [("optimizer", repr(model.optimizer)), ("loss", listed(model.output_names, model._losses)),
                 ("metrics", listed(model.output_names, [", ".join(m.name for m in metrics) or "none"
                                                         for metrics in model._metrics]))]
        if len(model.output_names) > 1:
            rows.append(("loss weights", listed(model.output_names, [f"{w:g}" for w in model._loss_weights])))
    if said:
        rows += [("batch size", str(said["batch_size"])), ("steps an epoch", str(said["steps"])),
                 ("epochs", f"{len(history)} of {said['epochs']} asked for"),
                 ("rows trained on", f"{said['rows']:,}" if said["rows"] else "batches of the caller's"),
                 ("shuffled", "each epoch" if said["shuffle"] else "no")]
        if said["resumed"]:
            rows.append(("resumed", "from a checkpoint"))
    elif len(history):
        rows += [("epochs", str(len(history))),
                 ("batch size", f"not known: the history is from a file; {subject.batch_size} here, for doctor and "
                                "profile")]
    if held and held.validation:
        rows.append(("validation rows", f"{bundles.n_rows(held.validation[0]):,}"))
    if history.seconds:
        rows.append(("time an epoch", f"{seconds(float(np.median(history.seconds)))} (median, without validation)"))
        if said.get("rows"):
            per_second = said["rows"] * len(history.seconds) / max(sum(history.seconds), 1e-9)
            rows.append(("training time", f"{seconds(sum(history.seconds))}, {per_second:,.0f} rows a second"))
    rows += [("updates so far", f"{model.update_count:,}"), ("dtype", model.dtype.name), ("seed", str(model.seed)),
             ("sample", shape(model.input_names, model.input_shape)),
             ("output", shape(model.output_names, model.output_shape))]
    return table("How the model was made and trained", ["setting", "value"], rows, name="choices", words=True)


def of_gan(subject: Subject) -> str:
    """The choices for both players."""
    gan = subject.model
    rows = []
    for name in ("generator", "discriminator"):
        player = getattr(gan, name)
        n = sum(array.size for array in player.named_parameters().values())
        rows += [(name, f"{', '.join(type(layer).__name__ for layer in player.layers)}; {n:,} parameters"),
                 (f"{name}'s optimizer", repr(player.optimizer))]
    if gan.loss:
        rows += [("loss", gan.loss), ("label smoothing", f"{gan.label_smoothing:g}"),
                 ("discriminator steps", str(gan.discriminator_steps))]
    rows += [("epochs", str(len(subject.history))), ("seed", str(gan.seed)), ("dtype", gan.generator.dtype.name)]
    return table("How the two networks were made and trained", ["setting", "value"], rows, name="choices", words=True)


def listed(names: list[str], values: Any) -> str:
    """One value, or one for each output."""
    values = list(map(str, values))
    if len(values) == 1:
        return values[0]
    return "; ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True)) or "none"


def shape(names: list[str], shapes: Any) -> str:
    """Of each input or output."""
    return listed(names, [shapes] if len(names) == 1 else shapes)


def environment(subject: Subject) -> str:
    """On what it was trained, and on what this report was made."""
    info = backends.info()
    here = backends.chosen()
    rows = [("fastnn", __version__), ("backend", words_of(here))]
    then = {name: subject.history.settings[name] for name in here if name in subject.history.settings}
    if then and then != here:
        rows.append(("trained on", words_of(then)))
    if here["isa"]:
        rows += [("why this instruction set", str(info["isa_reason"])), ("compiler", str(info["compiler"])),
                 ("peak of one thread", f"{info['fma_gflops_f32']:.0f} GFLOP/s float32, "
                                        f"{info['fma_gflops_f64']:.0f} GFLOP/s float64, multiply-adds in registers")]
    rows += [("processors", str(os.cpu_count())), ("machine", str(info["machine"])), ("NumPy", str(info["numpy"])),
             ("Python", f"{info['python']} on {platform.system()}")]
    return table("What this report was made on", ["what", "value"], rows, name="machine", words=True)


def words_of(chosen: dict[str, Any]) -> str:
    """Backend, instruction set and threads."""
    parts = [str(chosen["backend"]), chosen.get("isa"), chosen.get("threads") and count(chosen["threads"], "thread")]
    return ", ".join(str(part) for part in parts if part)


def footer() -> str:
    """When, and by what."""
    now = datetime.now(UTC)
    return (f'Written <time datetime="{now:%Y-%m-%dT%H:%MZ}">{escape(f"{now:%d %B %Y, %H:%M} UTC")}</time> by '
            "<code>history.report</code>")
