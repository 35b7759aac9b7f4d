"""What users give to a model and what its outputs are worth: samples and targets checked, metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import bundles, checks, losses
from .bundles import Bundle, in_order, one
from .compilation import Compiled, n_out
from .graph import Graph
from .masks import that_count
from .metrics import Metric, evaluate_all


class ModelData:
    """The doors of `fastnn.Model` for arrays."""

    _graph: Graph
    _compiled: Compiled
    _losses: tuple[losses.Loss, ...]
    _metrics: list[list[Metric]]
    input_names: list[str]
    output_names: list[str]
    dtype: np.dtype

    def _require_compiled(self) -> losses.Loss:
        if not self._losses:
            raise RuntimeError("the model is not compiled: call model.compile(optimizer=..., loss=...) first")
        return self._losses[0]

    @property
    def target_kind(self) -> str:
        """What targets are: a kind of `fastnn.checks.as_targets`; of the first output, where there are several."""
        self._require_compiled()
        return self._target_kind(0)

    def _target_kind(self, i: int) -> str:
        head = self._compiled.heads[i]
        return head.loss.target_kind(head.activation, n_out(head.tensor))

    def _inputs(self, X: Any, name: str = "X") -> Bundle:
        """Samples, checked but for their values."""
        tensors = self._graph.inputs
        given = [X] if len(tensors) == 1 else in_order(name, X, self.input_names)
        names = bundles.called(name, self.input_names)
        arrays = []
        for array, tensor, key in zip(given, tensors, names, strict=True):
            tokens = self._compiled.tokens(tensor)
            arrays.append(checks.as_tokens(array, tensor.shape, self._compiled.most_tokens(tensor), key) if tokens
                          else checks.as_input(array, checks.known_shape(array, tensor.shape), self.dtype, key))
            checks.check_same_length(len(arrays[0]), arrays[-1], key, names[0])
        return one(tuple(arrays))

    def _checked(self, X: Any, y: Any, sample_weight: Any, names: tuple[str, str] = ("X", "y"),
                 ) -> tuple[Any, Any, np.ndarray | None]:
        self._require_compiled()
        X = self._inputs(X, names[0])
        n, time = bundles.n_rows(X), self._compiled.time(X)
        for array in bundles.parts(X):
            checks.check_finite(array, names[0], self.dtype)
        weight = checks.as_sample_weight(sample_weight, n)
        several = len(self.output_names) > 1
        targets = []
        for i, given in enumerate(in_order(names[1], y, self.output_names) if several else [y]):
            name = bundles.called(names[1], self.output_names)[i]
            shape, ignore = self._graph.outputs[i].shape, self._losses[i].ignore_label
            target = checks.as_targets_of(given, self._target_kind(i), shape, n, time, self.dtype, name, ignore)
            if ignore is not None and len(shape) == 1:
                weight = checks.without_ignored(weight, target, name)
            targets.append(target)
        return X, one(tuple(targets)), weight

    def _empty_outputs(self, X: Bundle) -> Any:
        n, time = bundles.n_rows(X), self._compiled.time(X)
        return one(tuple(np.empty((n, *(time if size is None else size for size in tensor.shape)), self.dtype)
                          for tensor in self._graph.outputs))

    def _evaluate_metrics(self, y: Bundle, outputs: Bundle | None,
                          masks: list[np.ndarray | None] | None = None) -> dict[str, float]:
        """Every metric by name; of sequences each step that counts is a row."""
        results: dict[str, float] = {}
        if outputs is None:
            return results
        if masks is not None:
            y, outputs = that_count(y, outputs, masks)
        for i, (targets, values) in enumerate(zip(bundles.parts(y), bundles.parts(outputs), strict=True)):
            if not self._metrics[i]:
                continue
            n = n_out(self._graph.outputs[i])
            labels = targets.ndim == values.ndim - 1
            found = evaluate_all(self._metrics[i], targets.reshape(-1) if labels else targets.reshape(-1, n),
                                 values.reshape(-1, n))
            prefix = f"{self.output_names[i]}_" if len(self.output_names) > 1 else ""
            results |= {prefix + name: value for name, value in found.items()}
        return results
