"""Curves over epochs, updates and rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import checks
from ..learning_rate import LearningRateSearch
from ..schedules import Schedule
from .style import COLOURS, GREY, dress, line, new_axes, numbers, panels, returned


def history(history: Any, names: str | Iterable[str] | None = None, *, ax: Any = None,
            learning_rate: Any = None, steps_per_epoch: int = 1, log: bool = False) -> Any:
    """The course of a training: loss and metrics, training and validation, a panel each.

    Parameters
    ----------
    history : History or mapping
        What `fit` returned, or its ``history``.
    names : str or iterable of str, optional
        "loss", "accuracy", ...; their validation comes along. By default all, or with `ax` the loss.
    ax : Axes or array of Axes, optional
        As many as there are panels.
    learning_rate : Schedule, or array_like with one number an epoch, optional
        Drawn in a panel of its own.
    steps_per_epoch : int
        Updates of an epoch, for a Schedule.
    log : bool
        Whether the loss has a logarithmic axis.

    Returns
    -------
    Axes, or an array where there are several panels

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> run = fnn.History()
    >>> run.append(0, {"loss": 0.9, "val_loss": 1.0})
    >>> run.append(1, {"loss": 0.5, "val_loss": 0.7})
    >>> plot.history(run).get_ylabel()
    'loss'
    """
    logs = _logs(history)
    known = {name: name for name in logs if not name.startswith("val_")}
    known |= {name[4:]: name for name in logs if name.startswith("val_") and name[4:] not in known}
    if names is None:
        chosen = list(known) if ax is None else ["loss"]
    else:
        if not isinstance(names, (str, list, tuple)) or not names:
            raise TypeError(f"names: expected names of the history, got {checks.describe(names)}")
        chosen = [names] if isinstance(names, str) else list(names)
    for name in chosen:
        checks.lookup("name in the history", name, known)
    axes = panels(ax, len(chosen) + (learning_rate is not None), 3.6 if len(chosen) == 1 else 2.4)
    for name, panel in zip(chosen, axes, strict=False):
        for i, (key, label) in enumerate(((name, "training"), (f"val_{name}", "validation"))):
            if key in logs:
                values = numbers(f"history[{key!r}]", logs[key])
                panel.plot(np.arange(1, len(values) + 1), values, label=label, **line(i),
                           marker="o" if len(values) == 1 else "")
                if len(values) == 1:
                    panel.set_xticks([1])
        if f"val_{name}" in logs and name == "loss" and np.isfinite(values).any():
            best = int(np.nanargmin(values))
            panel.plot(best + 1, values[best], "o", color=COLOURS[1], markersize=6,
                       label=f"lowest: {values[best]:.3g} after epoch {best + 1}")
        if log and name == "loss":
            panel.set_yscale("log")
        dress(panel, "epoch", name, legend=True)
    if learning_rate is not None:
        n = len(next(iter(logs.values())))
        if isinstance(learning_rate, Schedule):
            updates = np.arange(n * steps_per_epoch)
            rates = learning_rate.rates(updates.astype(float))
        else:
            updates, rates, steps_per_epoch = np.arange(n), np.asarray(learning_rate), 1
        axes[-1].plot(1 + updates / steps_per_epoch, rates, **line(2))
        dress(axes[-1], "epoch", "learning rate")
    for panel in axes[:-1]:
        panel.set_xlabel("")
    return returned(axes)


def compare(histories: Mapping[str, Any], name: str = "val_loss", *, ax: Any = None,
            log: bool = False) -> Any:
    """One curve of several trainings.

    Parameters
    ----------
    histories : mapping of str to History
        By the label that each is to have.
    name : str
        "val_loss", "accuracy", ...
    ax : Axes, optional
        To draw on.
    log : bool
        Whether the axis is logarithmic.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> runs = {label: fnn.History() for label in ("slow", "fast")}
    >>> for i, run in enumerate(runs.values()):
    ...     run.append(0, {"loss": 1.0}), run.append(1, {"loss": 0.5 - 0.2 * i})
    (None, None)
    (None, None)
    >>> [text.get_text() for text in plot.compare(runs, "loss").get_legend().get_texts()]
    ['slow', 'fast']
    """
    lines = {label: numbers(f"history {label!r}", checks.lookup("name in the history", name, _logs(run)))
             for label, run in checks.having("histories", histories, "items", "a dict of histories by name").items()}
    ax = curves(None, lines, ax=ax, x_label="epoch", y_label=_words(name), first=1)
    if log:
        ax.set_yscale("log")
    return ax


def curves(x: Any, lines: Mapping[str, Any], *, ax: Any = None, x_label: str = "", y_label: str = "",
           title: str = "", log: str = "", first: float = 0) -> Any:
    """Any lines by name, in the style of all pictures.

    Parameters
    ----------
    x : array_like or None
        Common to all lines; None counts from `first`.
    lines : mapping of str to array_like
        The values of each.
    ax : Axes, optional
        To draw on.
    x_label, y_label, title : str
        With the unit.
    log : {"", "x", "y", "xy"}
        Which axes are logarithmic.
    first : float
        Where counting begins.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> ax = plot.curves([1, 2, 3], {"squares": [1, 4, 9]}, x_label="x", y_label="y", log="y")
    >>> ax.get_yscale()
    'log'
    """
    ax = new_axes(ax)
    checks.having("lines", lines, "items", "a dict of arrays by name")
    x = None if x is None else numbers("x", x)
    if not isinstance(log, str) or not set(log) <= set("xy"):
        raise ValueError(f"log: expected '', 'x', 'y' or 'xy', got {checks.describe(log)}")
    for i, (label, values) in enumerate(lines.items()):
        values = numbers(f"lines[{label!r}]", values)
        if values.ndim != 1 or (x is not None and x.shape != values.shape):
            raise ValueError(f"lines[{label!r}] must have the shape of x, {None if x is None else x.shape}, got "
                             f"{values.shape}")
        ax.plot(first + np.arange(len(values)) if x is None else x, values, label=label, **line(i))
    for axis in log:
        getattr(ax, f"set_{axis}scale")("log")
    return dress(ax, x_label, y_label, title, legend=len(lines) > 1)


def schedule(schedule: Schedule | Mapping[str, Schedule], updates: int, *, ax: Any = None) -> Any:
    """The learning rate over the updates.

    Parameters
    ----------
    schedule : Schedule, or mapping of str to Schedule
        One or several.
    updates : int
        How many updates are shown.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> ax = plot.schedule(fnn.StepDecay(0.1, factor=0.5, every=50), 200)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('update', 'learning rate')
    """
    updates = checks.positive_int("updates", updates)
    several = schedule if isinstance(schedule, Mapping) else {type(schedule).__name__: schedule}
    for each in several.values():
        checks.having("schedule", each, "rates", "a fnn.Schedule, or a dict of some")
    steps = np.arange(updates)
    ax = curves(steps, {label: each.rates(steps.astype(float)) for label, each in several.items()}, ax=ax,
                x_label="update", y_label="learning rate")
    ax.set_ylim(bottom=0)
    return ax


def learning_rate_search(found: LearningRateSearch, *, ax: Any = None) -> Any:
    """The range test of `fastnn.find_learning_rate`, its trials, and the rate that is suggested.

    Parameters
    ----------
    found : LearningRateSearch
        What it returned.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> rates = np.array([0.01, 0.1, 1.0])
    >>> losses = np.array([2.3, 1.5, 4.0])
    >>> found = fnn.LearningRateSearch(rates, losses, losses, {0.1: 0.5}, 0.1)
    >>> plot.learning_rate_search(found).get_xscale()
    'log'
    """
    checks.having("found", found, "smoothed", "what fnn.find_learning_rate returned")
    ax = new_axes(ax)
    ax.plot(found.rates, found.losses, color="0.75", linewidth=1, label="loss of each step")
    ax.plot(found.rates, found.smoothed, label="running average", **line(0))
    tried = {rate: loss for rate, loss in found.trials.items() if np.isfinite(loss)}
    if tried:
        ax.plot(list(tried), list(tried.values()), "s", color=COLOURS[1], markersize=5,
                label="last loss of a trial training")
    ax.axvline(found.suggestion, color=GREY, linestyle="--", linewidth=1.4,
               label=f"suggested: {found.suggestion:.2g}")
    ax.set_xscale("log")
    ceiling = 1.5 * max(float(found.smoothed[0]), *found.losses[:3])
    ax.set_ylim(0, ceiling if np.isfinite(ceiling) and ceiling > 0 else None)
    return dress(ax, "learning rate", "loss", legend=True)


def _logs(history: Any) -> Mapping[str, Any]:
    logs = getattr(history, "history", history)
    if not isinstance(logs, Mapping) or not logs:
        raise ValueError("history: expected what fit returned, with at least one epoch, got "
                         f"{checks.describe(history)}")
    return logs


def _words(name: str) -> str:
    return f"validation {name[4:]}" if name.startswith("val_") else name


