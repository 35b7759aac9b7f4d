"""Values of a graph of layers: `Input` makes one, calling a layer makes others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import checks

if TYPE_CHECKING:
    from .base import Layer

Shape = tuple[int | None, ...]


class Tensor:
    """A value of a graph, before there are numbers: the shape of a sample, and which call of a layer makes it.

    Attributes
    ----------
    shape : tuple of int or None
        Of one sample; None is a number of steps in time that the data says.
    name : str
        The input's, or its layer's.
    """

    def __init__(self, shape: Shape, node: Node | None = None, name: str = "") -> None:
        self.shape, self.node, self.given_name = shape, node, name

    @property
    def name(self) -> str:
        return self.given_name if self.node is None else self.node.layer.name

    def __repr__(self) -> str:
        return f"Tensor(shape={self.shape}, name={self.name!r})"


class Node:
    """One call of a layer: a shared layer has several.

    `many` says that it was called on a list; then `fastnn.layers.Layer.forward` gets a tuple.
    """

    def __init__(self, layer: Layer, inputs: tuple[Tensor, ...], many: bool, shapes: tuple[Shape, ...]) -> None:
        self.layer, self.inputs, self.many = layer, inputs, many
        self.outputs = tuple(Tensor(shape, self) for shape in shapes)


def Input(shape: Any, name: str | None = None) -> Tensor:
    """An input of a `fastnn.Model`.

    Parameters
    ----------
    shape : tuple of int or None
        Of one sample: ``(features,)``, ``(time, features)``, ``(height, width, channels)``. The first of two
        or, for tokens, the only one may be None: as many steps as the data has.
    name : str, optional
        By which `fit` and `predict` take it from a dict; "input", "input_1", ... by default.

    Returns
    -------
    Tensor
        What layers are called on.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.Input((4,))
    >>> h = fnn.Dense(4, "relu")(x)
    >>> model = fnn.Model(x, fnn.Dense(3, "softmax")(fnn.Add()([x, h])))
    >>> model.output_shape
    (3,)
    """
    return Tensor(input_shape("shape", shape), name=checks.optional_name("name", name) or "")


def input_shape(name: str, shape: Any) -> Shape:
    """A sample's shape, whose first axis may be None: steps in time."""
    if isinstance(shape, (tuple, list)) and len(shape) in (1, 2) and shape[0] is None:
        return (None, *(checks.shape_tuple(name, tuple(shape[1:])) if len(shape) == 2 else ()))
    return checks.shape_tuple(name, shape)
