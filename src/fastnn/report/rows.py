"""Rows of X in tables."""

from __future__ import annotations

import numpy as np

from .. import bundles
from .answers import Classes, Numbers
from .subject import Subject
from .words import figure

FEATURES = 12  # that are shown


def header_of(subject: Subject) -> list[str]:
    """The names of the features that are shown; none where samples are no rows of numbers."""
    assert subject.judged is not None
    X = bundles.parts(subject.judged.X)
    if len(X) > 1 or X[0].ndim != 2:
        return []
    n = X[0].shape[1]
    names = subject.feature_names or [f"feature {j}" for j in range(n)]
    return [*names[:FEATURES], *([f"and {n - FEATURES} more"] if n > FEATURES else [])]


def features_of(subject: Subject, row: int) -> list[str]:
    """The features of a row, as `header_of` names them."""
    header = header_of(subject)
    if not header:
        return []
    assert subject.judged is not None
    values = np.asarray(bundles.parts(subject.judged.X)[0][row], np.float64)
    return [*(figure(float(v), ".4g") for v in values[:FEATURES]), *(["\u2026"] if len(values) > FEATURES else [])]


def place(answers: Classes | Numbers, j: int) -> str:
    """Where an answer stands: its row, and its step in time."""
    row = f"{answers.rows[j]}"
    return row if answers.steps is None else f"{row}, step {answers.steps[j]}"
