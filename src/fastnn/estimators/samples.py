"""The rows that an estimator works on: dense or sparse, and outputs for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from .. import checks
from ..compilation import Compiled, Entry
from ..inference import forward_pass
from ..sequential import Sequential

DENSE_ELEMENTS = 1 << 20  # of sparse rows made dense at a time


def rows_at_a_time(X: Any, n: int) -> int:
    """How many rows of sparse samples are made dense together: `n`, or as many as memory should hold."""
    return max(1, min(n, DENSE_ELEMENTS // max(1, X.shape[1])))


def as_rows(X: Any, dtype: np.dtype) -> Any:
    """Samples that rows can be taken from: CSR, or an array that the kernels read as it stands."""
    if sparse.issparse(X):
        return X.tocsr()
    return X if checks.is_gatherable(X) else np.ascontiguousarray(X, dtype)


@dataclass
class Samples:
    """Samples, targets in the form that the loss takes, weights, and which rows are meant (None: all)."""

    X: Any
    y: np.ndarray
    weight: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return self.X.shape[0] if self.rows is None else len(self.rows)

    @property
    def sparse(self) -> bool:
        """Whether rows must be made dense before they are used."""
        return sparse.issparse(self.X)

    def take(self, rows: np.ndarray) -> Samples:
        """Copies of some rows."""
        return Samples(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    def dense(self, rows: Any, dtype: np.dtype) -> np.ndarray:
        """Some rows of X as an array."""
        return np.ascontiguousarray(self.X[rows].toarray(), dtype)


def outputs(model: Sequential, X: Any) -> np.ndarray:
    """The model's outputs for samples that scikit-learn has looked at."""
    if not sparse.issparse(X):
        return model.predict(X)
    X, step = X.tocsr(), rows_at_a_time(X, X.shape[0])
    result = np.empty((X.shape[0], *model.output_shape), model.dtype)
    for start in range(0, X.shape[0], step):
        result[start:start + step] = model.predict(X[start:start + step].toarray())
    return result


def loss_and_outputs(model: Sequential, compiled: Compiled, samples: Samples) -> tuple[float, np.ndarray]:
    """The mean loss of all samples, without penalties, and the model's outputs."""
    result = np.empty((len(samples), *model.output_shape), model.dtype)
    entry = Entry("evaluate", samples.y.ndim == 1, samples.weight is not None, outputs=True, part="data")
    step = rows_at_a_time(samples.X, len(samples)) if samples.sparse else len(samples)
    loss = total = 0.0
    for start in range(0, len(samples), step):
        rows = slice(start, start + step)
        X = samples.dense(rows, model.dtype) if samples.sparse else samples.X[rows]
        weight = None if samples.weight is None else samples.weight[rows]
        share = float(len(X) if weight is None else weight.sum())
        loss += share * forward_pass(compiled, entry, X, samples.y[rows], weight, result[rows], None)
        total += share
    return (loss / total if total else 0.0), result
