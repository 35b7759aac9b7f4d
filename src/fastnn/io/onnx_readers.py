"""What each ONNX operator becomes: a row of `ROWS` is a kind of node and a function that calls layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..activations import ACTIVATIONS, Choice
from ..layers import (
    Activation,
    Add,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    Multiply,
    PReLU,
    RowNormalize,
    Standardize,
)
from .onnx_nodes import MATCHED, Node
from .orders import CHANNELS, ORDERS, SAMPLES, Read, permutation, places_of

if TYPE_CHECKING:
    from .onnx_import import Reader

def require(node: Node, fulfilled: bool, what: str) -> None:
    """Refuse a node that no layer can stand for."""
    if not fulfilled:
        raise ValueError(f"{node}: expected {what}, which is all that fastnn has a layer for")


def constant(reader: Reader, node: Node, i: int, what: str) -> np.ndarray:
    """The constant that is the node's i-th input."""
    array = reader.nodes.constant(node.inputs[i])
    if array is None:
        raise ValueError(f"{node}: expected its {what} to be a constant, got the value {node.inputs[i]!r}")
    return array


def optional(reader: Reader, node: Node, i: int, what: str) -> np.ndarray | None:
    """The same, None where it is left out."""
    return constant(reader, node, i, what) if len(node.inputs) > i and node.inputs[i] else None


def value(reader: Reader, node: Node, i: int = 0) -> Read:
    """What was read as the node's i-th input."""
    if node.inputs[i] in reader.nodes.constants:
        raise ValueError(f"{node}: expected its input {i} to depend on the graph's inputs, got a constant")
    return reader.values[node.inputs[i]]


def short(number: Any) -> float:
    """A setting as it was before it was float32.

    Examples
    --------
    >>> short(np.float32(0.3))
    0.3
    """
    return float(str(np.float32(number)))


# ---- activations ----

BY_OPERATOR = {row.onnx: name for name, row in ACTIVATIONS.items() if row.onnx not in ("Clip", "Identity", "Gelu")}
BY_ROW = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
DEFAULT_ALPHA = {"LeakyRelu": 0.01, "Elu": 1.0, "HardSigmoid": 0.2}


def choice_of(reader: Reader, node: Node) -> Choice | None:
    """The activation that an elementwise node is; None if it is none."""
    kind, given = node.kind, node.attributes
    if kind.removeprefix(MATCHED) in ACTIVATIONS and kind.startswith(MATCHED):
        return Choice(kind.removeprefix(MATCHED))
    if kind == "Gelu":
        return Choice("gelu_tanh" if given.get("approximate") == "tanh" else "gelu")
    if kind == "Clip":
        low, high = (optional(reader, node, i, "bounds") for i in (1, 2))
        require(node, low == -1 and high == 1, "bounds of -1 and 1 (hard_tanh)")
        return Choice("hard_tanh")
    if kind not in BY_OPERATOR:
        return None
    if kind == "HardSigmoid":
        require(node, given.get("beta", 0.5) == 0.5, "beta=0.5")
    if kind == "Selu":
        require(node, not given or np.allclose([given.get("alpha", 1.67326), given.get("gamma", 1.0507)],
                                               [1.67326, 1.0507], rtol=1e-5), "the alpha and gamma of the paper")
    alpha = given.get("alpha", DEFAULT_ALPHA[kind]) if kind in DEFAULT_ALPHA else 0.0
    require(node, kind not in DEFAULT_ALPHA or alpha > 0, "alpha > 0")
    return Choice(BY_OPERATOR[kind], short(alpha))


def ending(reader: Reader, output: str, rows: bool) -> tuple[Choice, str]:
    """The activation that alone sees a value, to be its layer's own, and the name of what it gives."""
    user = reader.nodes.only_user(output)
    if user is None:
        return Choice(), output
    over_features = rows and user.kind in BY_ROW and _over_last(user, 2)
    choice = Choice(BY_ROW[user.kind]) if over_features else choice_of(reader, user)
    if choice is None:
        return Choice(), output
    reader.done.add(user.outputs[0])
    return choice, user.outputs[0]


def _over_last(node: Node, rank: int) -> bool:
    return node.attributes.get("axis", -1) in (-1, rank - 1)


def activation(reader: Reader, node: Node) -> None:
    """An Activation layer."""
    x, choice = value(reader, node), choice_of(reader, node)
    assert choice is not None
    reader.call(Activation(choice), x, node, places=x.places)


def softmax(reader: Reader, node: Node) -> None:
    """Over the features of a row, or of each step."""
    x = value(reader, node)
    rank = len(x.shape) + 1
    require(node, x.order == SAMPLES and x.places is None and rank <= 3 and _over_last(node, rank),
            "softmax over the features of a row or of a step, the last axis")
    reader.call(Activation(BY_ROW[node.kind]), x, node)


# ---- products ----


def gemm(reader: Reader, node: Node) -> None:
    """alpha x W + beta b."""
    given = node.attributes
    x, weight = value(reader, node), constant(reader, node, 1, "weights")
    require(node, len(x.shape) == 1 and not given.get("transA", 0), "rows of features times a matrix")
    weight = (weight.T if given.get("transB", 0) else weight) * given.get("alpha", 1.0)
    bias = optional(reader, node, 2, "bias")
    dense(reader, node, x, weight, None if bias is None else bias * given.get("beta", 1.0), node.outputs[0])


def matmul(reader: Reader, node: Node) -> None:
    """x W, with the b that is added to it."""
    x, weight = value(reader, node), constant(reader, node, 1, "weights")
    require(node, weight.ndim == 2 and x.order == SAMPLES and len(x.shape) <= 2, "rows or steps times a matrix")
    user, output, bias = reader.nodes.only_user(node.outputs[0]), node.outputs[0], None
    if user is not None and user.kind == "Add":
        other = reader.nodes.constant(user.inputs[user.inputs[0] == output])
        if other is not None and other.shape == weight.shape[1:]:
            bias, output = other, user.outputs[0]
            reader.done.add(output)
    dense(reader, node, x, weight, bias, output)


def dense(reader: Reader, node: Node, x: Read, weight: np.ndarray, bias: np.ndarray | None, output: str) -> None:
    """A Dense layer, with the activation behind it."""
    require(node, weight.shape[0] == x.shape[-1], f"weights of {x.shape[-1]} rows")
    choice, output = ending(reader, output, rows=len(x.shape) == 1)
    layer = Dense(weight.shape[1], choice, use_bias=bias is not None)
    arrays = {"weight": x.features(weight)} | ({} if bias is None else {
        "bias": np.broadcast_to(bias, (1, weight.shape[1]))})
    reader.call(layer, x, node, SAMPLES, arrays, output)


# ---- arithmetic ----


def arithmetic(reader: Reader, node: Node) -> None:
    """Two values: a merge layer. A value and a constant: features scaled and shifted."""
    variables = [i for i, name in enumerate(node.inputs) if name not in reader.nodes.constants]
    if len(variables) == len(node.inputs):
        require(node, node.kind in ("Add", "Mul"), "a sum or a product of two values")
        parts = [value(reader, node, i) for i in range(len(node.inputs))]
        require(node, all(part.order == parts[0].order and part.shape == parts[0].shape and
                          _same(part.places, parts[0].places) for part in parts), "values of one shape")
        reader.call(Add() if node.kind == "Add" else Multiply(), parts, node, places=parts[0].places)
        return
    x, last = value(reader, node, variables[0]), node
    require(node, variables[0] == 0 or node.kind in ("Add", "Mul"), "a value that a constant is taken off or divides")
    scale, shift = _affine(reader, node, x, np.ones(()), np.zeros(()))
    while True:
        user = reader.nodes.only_user(last.outputs[0])
        if user is None or user.kind not in ("Add", "Sub", "Mul", "Div"):
            break
        first = user.inputs[0] == last.outputs[0]
        if not first and user.kind in ("Sub", "Div") or user.inputs[int(first)] not in reader.nodes.constants:
            break
        scale, shift, last = *_affine(reader, user, x, scale, shift), user
        reader.done.add(user.outputs[0])
    scale_and_shift(reader, node, x, scale, shift, last.outputs[0])


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or a is not None and b is not None and np.array_equal(a, b)


def _affine(reader: Reader, node: Node, x: Read, scale: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """scale and shift after one more node with a constant."""
    c = reader.nodes.constants.get(node.inputs[1], reader.nodes.constants.get(node.inputs[0]))
    assert c is not None
    c = x.spread(c, node).astype(np.float64)
    if node.kind == "Add":
        return scale, shift + c
    if node.kind == "Sub":
        return scale, shift - c
    factor = c if node.kind == "Mul" else 1 / c
    return scale * factor, shift * factor


def scale_and_shift(reader: Reader, node: Node, x: Read, scale: np.ndarray, shift: np.ndarray, output: str) -> None:
    """y = scale x + shift: Standardize before all weights, a BatchNorm of fixed statistics behind some."""
    scale, shift = (np.broadcast_to(a, x.shape) for a in (scale, shift))  # type: ignore[arg-type]
    if not x.trained and np.all((scale != 0) | (shift == 0)):
        mean = -shift / np.where(scale == 0, 1, scale)
        arrays = {"mean": mean, "scale": scale, "adapted": np.ones(1)}
        reader.call(Standardize(), x, node, arrays=arrays, output=output, places=x.places)
        return
    axes = tuple(range(len(x.shape) - 1))
    require(node, bool(np.all(np.ptp(scale, axes) == 0) and np.all(np.ptp(shift, axes) == 0)),
            "one constant a channel, behind layers with weights")
    gamma, beta = (a[(0,) * len(axes)] for a in (scale, shift))
    layer = BatchNorm()
    reader.call(layer, x, node, output=output, places=x.places, arrays={
        "gamma": gamma, "beta": beta, "running_mean": np.zeros(gamma.shape),
        "running_variance": np.full(gamma.shape, 1 - layer.epsilon)})


# ---- normalisation ----


def batch_norm(reader: Reader, node: Node) -> None:
    """BatchNormalization at inference."""
    x, given = value(reader, node), node.attributes
    require(node, not given.get("training_mode", 0), "training_mode=0")
    require(node, len(x.shape) == 1 or x.order == CHANNELS, "channels on the second axis")
    names = ("gamma", "beta", "running_mean", "running_variance")
    arrays = {name: x.features(constant(reader, node, i + 1, name)) for i, name in enumerate(names)}
    layer = BatchNorm(short(given.get("momentum", 0.9)), short(given.get("epsilon", 1e-5)))
    reader.call(layer, x, node, arrays=arrays, places=x.places)


def layer_norm(reader: Reader, node: Node) -> None:
    """LayerNormalization over the last axis, or over images."""
    x, given = value(reader, node), node.attributes
    gamma, beta = constant(reader, node, 1, "scale"), optional(reader, node, 2, "bias")
    require(node, x.order == SAMPLES and gamma.shape == x.shape[-gamma.ndim:], "a scale for each feature")
    over = given.get("axis", -1) in (-gamma.ndim, len(x.shape) + 1 - gamma.ndim)
    require(node, over and (gamma.ndim == 1 or gamma.ndim == len(x.shape) == 3),
            "normalisation over the last axis or an image")
    axis = -1 if gamma.ndim == 1 else (1, 2, 3)
    layer = LayerNorm(short(given.get("epsilon", 1e-5)), axis, center=beta is not None)
    reader.call(layer, x, node, places=x.places, arrays={
        "gamma": x.features(gamma), **({} if beta is None else {"beta": x.features(beta)})})


def row_normalize(reader: Reader, node: Node) -> None:
    """Rows divided by their norm."""
    x = value(reader, node)
    require(node, not x.trained, "this before every layer with weights")
    reader.call(RowNormalize(node.kind[-2:]), x, node, places=x.places)


def prelu(reader: Reader, node: Node) -> None:
    """A slope for each feature."""
    x = value(reader, node)
    slopes = x.spread(constant(reader, node, 1, "slopes"), node)
    layer = PReLU()
    reader.call(layer, x, node, places=x.places)
    shape = layer.segments["alpha"].shape
    reader.arrays.append((layer, {"alpha": slopes if slopes.size == math.prod(shape) else
                                  slopes[(0,) * (slopes.ndim - 1)]}))


# ---- shapes ----


def transpose(reader: Reader, node: Node) -> None:
    """The same value with its axes in another order."""
    x = value(reader, node)
    rank = len(x.shape) + 1
    axes = tuple(node.attributes.get("perm", range(rank)[::-1]))
    for order in {2: (SAMPLES,), 3: ORDERS}.get(rank, (SAMPLES, CHANNELS)):
        if permutation(rank, x.order, order) == axes:
            reader.values[node.outputs[0]] = Read(x.tensor, order, x.places)
            return
    raise ValueError(f"{node}: expected to bring channels or steps to the front or back, got perm={list(axes)}")


def flatten(reader: Reader, node: Node) -> None:
    """Samples as rows; of images whose channels are first, with the places of the features."""
    x, axis = value(reader, node), node.attributes.get("axis", 1)
    require(node, axis == 1 or axis < 0 and axis + len(x.shape) + 1 == 1, "axis=1")
    as_rows(reader, node, x)


def as_rows(reader: Reader, node: Node, x: Read) -> None:
    """A Flatten layer."""
    if len(x.shape) == 1:
        reader.values[node.outputs[0]] = x
        return
    require(node, x.order in (SAMPLES, CHANNELS) and None not in x.shape, "samples of known size, rows first")
    places = places_of(x) if x.order == CHANNELS else None
    reader.call(Flatten(), x, node, SAMPLES, places=places)


def reshape(reader: Reader, node: Node) -> None:
    """A Flatten layer."""
    x, shape = value(reader, node), constant(reader, node, 1, "shape").tolist()
    size = math.prod(n or 1 for n in x.shape)
    require(node, len(shape) == 2 and shape[0] in (0, -1, 1) and shape[1] in (-1, size), "samples as rows")
    as_rows(reader, node, x)


def concatenate(reader: Reader, node: Node) -> None:
    """Features or channels side by side."""
    parts = [value(reader, node, i) for i in range(len(node.inputs))]
    rank, order = len(parts[0].shape) + 1, parts[0].order
    channel = permutation(rank, SAMPLES, order).index(rank - 1)
    require(node, node.attributes["axis"] in (channel, channel - rank) and all(part.order == order for part in parts),
            "values side by side along their features or channels")
    places = None
    if any(part.places is not None for part in parts):
        sizes = [int(part.shape[0]) for part in parts]  # type: ignore[arg-type]
        firsts = np.cumsum([0, *sizes[:-1]])
        places = np.concatenate([first + (np.arange(n) if part.places is None else part.places)
                                 for part, n, first in zip(parts, sizes, firsts, strict=True)])
    reader.call(Concatenate(), parts, node, places=places)


def nothing(reader: Reader, node: Node) -> None:
    """The value itself."""
    reader.values[node.outputs[0]] = value(reader, node)


def dropout(reader: Reader, node: Node) -> None:
    """A Dropout layer: nothing at inference."""
    x, rate = value(reader, node), optional(reader, node, 1, "ratio")
    reader.call(Dropout(0.5 if rate is None else short(rate)), x, node, places=x.places)


ROWS: dict[str, Callable[[Any, Node], None]] = {
    "Gemm": gemm, "MatMul": matmul,
    **dict.fromkeys([*BY_OPERATOR, "Gelu", "Clip", *(MATCHED + name for name in ACTIVATIONS)], activation),
    "Softmax": softmax, "LogSoftmax": softmax, "PRelu": prelu,
    "Add": arithmetic, "Sub": arithmetic, "Mul": arithmetic, "Div": arithmetic,
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm,
    MATCHED + "row_normalize_l1": row_normalize, MATCHED + "row_normalize_l2": row_normalize,
    "Transpose": transpose, "Flatten": flatten, "Reshape": reshape, "Concat": concatenate,
    "Identity": nothing, "Cast": nothing, "Dropout": dropout,
}
