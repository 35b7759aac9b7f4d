"""Pictures of checks and measurements: gradients against differences, time by op."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..gradcheck import GradientCheck
from ..gradient_error import GradientErrorCurve
from ..profiling import Profile
from .style import COLOURS, GREY, dress, line, new_axes


def gradient_check(check: GradientCheck, *, ax: Any = None) -> Any:
    """The error of each tensor's gradient, with what is allowed; errors of 0 stand at the left edge.

    Parameters
    ----------
    check : GradientCheck
        Of `fastnn.check_gradients`.
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
    >>> model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(5,), dtype="float64")
    >>> model.compile()
    >>> check = fnn.check_gradients(model, np.eye(5), np.arange(5) % 3)
    >>> plot.gradient_check(check).get_xscale()
    'log'
    """
    rows = checks.having("check", check, "tensors", "what fnn.check_gradients returned").tensors
    ax = new_axes(ax, height=max(2.0, 1.1 + 0.24 * len(rows)))
    errors, allowed = (np.array([getattr(t, name) for t in rows]) for name in ("error", "tolerance"))
    floor = 0.3 * min([e for e in errors if e > 0] or [1e-16])
    y, passed = np.arange(len(rows)), np.array([t.passed for t in rows])
    shown = np.maximum(np.nan_to_num(errors, nan=floor), floor)
    ax.hlines(y, floor, shown, color="0.8", linewidth=1.2)
    ax.plot(shown[passed], y[passed], "o", color=COLOURS[0], label="passed")
    if not passed.all():
        ax.plot(shown[~passed], y[~passed], "X", color=COLOURS[1], markersize=9, label="failed")
    ax.plot(allowed, y, "|", color="black", markersize=12, markeredgewidth=1.8, label="allowed")
    ax.set_yticks(y, [t.name if t.part == "data" else f"{t.name}, {t.part}" for t in rows], fontsize="small")
    ax.invert_yaxis()
    ax.set_xscale("log")
    dress(ax, "relative error |g - n| / (|g| + |n|)", "", f"backpropagation in {check.dtype}")
    # below the axes: inside it would hide a row
    ax.legend(frameon=False, fontsize="small", ncols=3, loc="upper left",
              bbox_to_anchor=(0, -0.14 - 0.5 / len(rows)))
    return ax


def gradient_error(curve: GradientErrorCurve, *, ax: Any = None) -> Any:
    """The error of finite differences over their step: a V whose tip is the best step.

    Parameters
    ----------
    curve : GradientErrorCurve
        Of `fastnn.gradient_error_curve`.
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
    >>> steps = np.array([1e-6, 1e-3])
    >>> curve = fnn.GradientErrorCurve(steps, steps, np.array([1e-9, 1e-7]), "float64")
    >>> plot.gradient_error(curve).get_xlabel()
    'step h of the differences'
    """
    checks.having("curve", curve, "central", "what fnn.gradient_error_curve returned")
    ax = new_axes(ax)
    ax.loglog(curve.steps, curve.forward, label="(f(h) - f(0)) / h", **line(1))
    ax.loglog(curve.steps, curve.central, label="(f(h) - f(-h)) / 2h", **line(0))
    step, error = curve.best
    ax.plot(step, error, "o", color=COLOURS[0], label=f"best: {error:.1g} at h = {step:.1g}")
    return dress(ax, "step h of the differences", "relative error", f"a {curve.dtype} loss", legend=True)


def profile(profile: Profile, *, ax: Any = None, n: int = 16) -> Any:
    """The time of each op of a step; dark is what its operations would take at the machine's peak.

    Parameters
    ----------
    profile : Profile
        Of `model.profile`.
    ax : Axes, optional
        To draw on.
    n : int
        How many ops are shown, those that take longest; the others are one bar.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> from fastnn.profiling import OpProfile, Profile
    >>> ops = (OpProfile("dense", "dense_forward", 10.0, 500_000, 4096),)
    >>> ax = plot.profile(Profile(ops, 10.0, 32, "native", 1, peak=100.0))
    >>> [text.get_text() for text in ax.texts]
    ['50 GFLOP/s, 50%']
    """
    n = checks.positive_int("n", n)
    ops = list(checks.having("profile", profile, "ops", "what model.profile returned").ops)
    kept = sorted(sorted(range(len(ops)), key=lambda i: -ops[i].microseconds)[:n])
    others = [op for i, op in enumerate(ops) if i not in kept]
    labels = [f"{ops[i].layer}: {ops[i].op}" for i in kept]
    times = [ops[i].microseconds for i in kept]
    flops = [ops[i].flops for i in kept]
    if others:
        labels.append(f"{len(others)} other ops")
        times.append(sum(op.microseconds for op in others))
        flops.append(sum(op.flops for op in others))
    ax = new_axes(ax, height=max(2.0, 1.2 + 0.24 * len(labels)))
    y = np.arange(len(labels))
    ax.barh(y, times, color="#9ECAE1", edgecolor=GREY, linewidth=0.5, label="time")
    if profile.peak:
        ax.barh(y, [f / profile.peak / 1e3 for f in flops], color="#08306B", height=0.4,
                label="at the machine's peak")
    for i, (t, f) in enumerate(zip(times, flops, strict=True)):
        if f and t:
            rate = f / t / 1e3
            of_peak = f", {rate / profile.peak:.0%}" if profile.peak else ""
            ax.annotate(f"{rate:.0f} GFLOP/s{of_peak}", (t, i), (3, 0), textcoords="offset points",
                        va="center", fontsize="x-small")
    ax.set_yticks(y, labels, fontsize="small")
    ax.invert_yaxis()
    ax.margins(x=0.22)
    threads = f"{profile.threads} thread{'s' if profile.threads > 1 else ''}"
    peak = f", peak {profile.peak:.0f} GFLOP/s" if profile.peak else ""
    dress(ax, "microseconds", "", f"a step of {profile.batch_size} rows: {profile.step:.0f} us\n"
                                  f"{profile.backend} backend, {threads}{peak}", legend=True)
    ax.grid(axis="y", visible=False)
    return ax
