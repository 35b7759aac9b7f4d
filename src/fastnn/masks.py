"""The steps of sequences that count, outside of Programs: for metrics, and for means over batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import bundles
from .bundles import Bundle
from .compilation import Compiled, Entry
from .inference import forward_pass
from .layers import Embedding, Masking
from .layers.tensor import Tensor

if TYPE_CHECKING:
    from .model import Model


def mask_source(tensor: Tensor) -> Tensor | None:
    """Where the mask of a sequence comes from: tokens, of which 0 does not count, or the output of a Masking.

    It says of tensors what ``Walk.forward`` does with operands.
    """
    node = tensor.node
    while node is not None and len(tensor.shape) == 2:
        if isinstance(node.layer, Masking):
            return tensor
        if isinstance(node.layer, Embedding) and node.layer.mask_zero:
            return node.inputs[0]
        if not (node.layer.keeps_mask and "time" in node.layer.layouts):
            return None
        tensor = node.inputs[0]
        node = tensor.node
    return None


def masks_of(model: Model, X: Bundle) -> list[np.ndarray | None]:
    """For each output the steps that count, (n, time) of booleans; None where all do."""
    graph, masks = model._graph, list[np.ndarray | None]()
    for output in graph.outputs:
        source = mask_source(output)
        if source is None:
            masks.append(None)
        elif source.node is None:
            masks.append(bundles.parts(X)[graph.inputs.index(source)] != 0)
        else:
            value = model.dtype.type(source.node.layer.mask_value)  # type: ignore[attr-defined]
            masks.append((_values(model, source.node.inputs[0], X) != value).any(axis=2))
    return masks


def _values(model: Model, tensor: Tensor, X: Bundle) -> np.ndarray:
    """What the model makes of the samples there, (n, time, features)."""
    graph, time = model._graph, model._compiled.time(X)
    shape = bundles.n_rows(X), *(time if size is None else size for size in tensor.shape)
    if tensor.node is None:
        return np.asarray(bundles.parts(X)[graph.inputs.index(tensor)], model.dtype).reshape(shape)
    values = np.empty(shape, model.dtype)
    below = Compiled(graph.up_to(tensor), model._numbers)
    forward_pass(below, Entry("predict", outputs=True), X, None, None, values, None)
    return values


def that_count(y: Bundle, outputs: Bundle, masks: list[np.ndarray | None]) -> tuple[Bundle, Bundle]:
    """Targets and outputs without the steps that do not count: of sequences with some, the others one by one."""
    pairs = [(target, value) if mask is None else (target[mask], value[mask])
             for target, value, mask in zip(bundles.parts(y), bundles.parts(outputs), masks, strict=True)]
    targets, values = zip(*pairs, strict=True)
    return bundles.one(targets), bundles.one(values)


def counted_steps(model: Model, y: Bundle, masks: list[np.ndarray | None]) -> list[np.ndarray | None]:
    """For each output how many steps count of each row, (n,); None where it is the same number of all.

    A step counts that is not masked and whose label is not ignored (-1).
    """
    counts: list[np.ndarray | None] = []
    for target, mask, tensor in zip(bundles.parts(y), masks, model._graph.outputs, strict=True):
        if len(tensor.shape) == 2 and target.dtype == np.int64 and target.min(initial=0) < 0:
            mask = target >= 0 if mask is None else mask & (target >= 0)
        counts.append(None if mask is None else mask.sum(axis=1, dtype=np.float64))
    return counts
