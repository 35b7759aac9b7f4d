"""How the training went: curves of loss, metrics and learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..page import folded, table
from ..progress import format_value
from ..schedules import Schedule
from .charts import chart, charts
from .subject import Missing, Subject

SHOWN = 40  # epochs of the table


def curves(subject: Subject) -> str:
    """A picture for each of them, and the numbers."""
    history = subject.history
    if not len(history):
        raise Missing("there is no history of a training with this model")
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history.history))
    pictures: list[Callable[[], str]] = [partial(curve, subject, name) for name in names]
    if not subject.is_gan:
        pictures.append(partial(rate, subject))
    return charts(*pictures) + epochs_table(subject)


def curve(subject: Subject, name: str) -> str:
    """One name, training and validation, with the best epoch marked."""
    history, best = subject.history, None if subject.is_gan else subject.best_epoch
    lines = [key for key in (name, f"val_{name}") if key in history.history]
    known = {key: [value for value in history[key] if math.isfinite(value)] or [math.nan] for key in lines}
    ends = [f"{'validation' if key != name else 'training'} from {format_value(values[0])} to "
            f"{format_value(values[-1])}" for key, values in known.items()]

    def draw(ax: Any) -> None:
        from .. import plot

        plot.history(history, name, ax=ax)
        if best is not None:
            ax.axvline(best[0] + 1, color="0.45", linewidth=1, linestyle=":", label=f"best epoch: {best[0] + 1}")
            ax.legend(fontsize="small", edgecolor="none", framealpha=0.8)

    words = name.replace("_", " ")
    return chart(draw, f"{words} over {len(history)} epochs: {', '.join(ends)}",
                 f"{words[0].upper()}{words[1:]}: {', '.join(ends)}.")


def rate(subject: Subject) -> str:
    """The learning rate, where it changes."""
    optimizer, history = subject.model.optimizer, subject.history
    if optimizer is None:
        raise Missing("the learning rate, because the model is not compiled")
    recorded = np.array(history.rates)
    if isinstance(optimizer.learning_rate, Schedule):
        updates = max(1, subject.model.update_count)
        ends = optimizer.learning_rate.rates(np.array([0.0, updates - 1.0]))

        def draw(ax: Any) -> None:
            from .. import plot

            plot.schedule(optimizer.learning_rate, updates, ax=ax)
    elif callable(optimizer.learning_rate):
        raise Missing("the learning rate, because it is a function of the caller's")
    elif len(recorded) and not (recorded == recorded[0]).all():
        ends = recorded[[0, -1]]

        def draw(ax: Any) -> None:
            from .. import plot

            plot.curves(None, {"learning rate": recorded}, ax=ax, x_label="epoch", y_label="learning rate", first=1)
    else:
        return f"<p>The learning rate was {optimizer.learning_rate:g} all the time.</p>"
    return chart(draw, f"the learning rate, from {ends[0]:.3g} to {ends[1]:.3g}",
                 f"Learning rate: from {ends[0]:.3g} to {ends[1]:.3g}.")


def epochs_table(subject: Subject) -> str:
    """The numbers of the curves, folded away."""
    history, best = subject.history, subject.best_epoch
    n = len(history)
    shown = sorted({*np.linspace(0, n - 1, min(n, SHOWN)).round().astype(int).tolist(), *([best[0]] if best else [])})
    names = list(history.history)
    rows = [[f"{history.epoch[i] + 1}{' (best)' if best and best[0] == i and not subject.is_gan else ''}",
             *("-" if math.isnan(history[name][i]) else format_value(history[name][i]) for name in names)]
            for i in shown]
    caption = "Loss and metrics by epoch" + (f", {len(shown)} of {n} epochs" if len(shown) < n else "")
    header = ["epoch", *(name.replace("_", " ") for name in names)]
    return folded("The curves as a table", table(caption, header, rows, name="epochs"))
