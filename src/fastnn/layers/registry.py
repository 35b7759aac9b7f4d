"""What layers there are, by the names of their classes; layers as plain data, and back."""

from __future__ import annotations

from typing import Any

from .. import checks
from .base import Layer

LAYERS: dict[str, type[Layer]] = {}  # filled by the package, once it has imported them all


def to_config(layer: Layer) -> dict[str, Any]:
    """A layer as plain data: its class, its arguments, and whether it is frozen.

    Raises
    ------
    ValueError
        If its class is not registered, so that `from_config` could not make it.
    """
    cls = type(layer)
    if LAYERS.get(cls.__name__) is not cls:
        raise ValueError(f"layer {layer.name!r}: {cls.__name__} is a class of yours, which copies and files "
                         "know by its name alone; register it, fastnn.layers.LAYERS"
                         f"[{cls.__name__!r}] = {cls.__name__}, wherever a file is written and read")
    frozen = {} if layer.trainable else {"trainable": False}
    return {"class": type(layer).__name__, **layer.get_config(), **frozen}


def from_config(config: dict[str, Any]) -> Layer:
    """A new layer from `to_config`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from_config(to_config(fnn.Flatten(name="rows")))
    Flatten(name='rows')
    """
    arguments = dict(config)
    cls = checks.lookup("class of a layer", arguments.pop("class", None), LAYERS)  # type: ignore[arg-type]
    trainable = arguments.pop("trainable", True)
    layer = cls(**arguments)
    layer.trainable = trainable
    return layer
