"""Penalties on weights and constraints of weights: what keeps a network's weights small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import checks
from .program import Builder, Segment


class Regularizer:
    """A penalty on a parameter array, added to the loss: ``l1 sum |w| + l2 / 2 sum w^2``.

    Its gradient joins that of the data before any clipping; training and evaluation report the sum of both
    losses, as Keras does. A frozen layer's penalty is left out, a constant that training cannot make smaller
    (Keras 3's way). What `L1`, `L2` and `ElasticNet` are.

    Parameters
    ----------
    l1, l2 : float
        Coefficients, at least 0.
    per_sample : bool
        Divide both by the sum of the weights of a step's rows (of its rows, without weights): Nielsen's
        lambda / n and scikit-learn's alpha, with the batch's n. An evaluation in several blocks divides by
        each block's.

    Examples
    --------
    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_regularizer=fnn.ElasticNet(l1=1.0, l2=0.5))
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(loss="squared_error")
    >>> line.weight[...] = 2.0
    >>> model.evaluate([[1.0]], [2.0])  # no error in the data; 1 * 2 + 0.5 / 2 * 2^2
    {'loss': 3.0}
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, per_sample: bool = False) -> None:
        self.l1 = checks.positive_float("l1", l1, allow_zero=True)
        self.l2 = checks.positive_float("l2", l2, allow_zero=True)
        self.per_sample = checks.boolean("per_sample", per_sample)

    def emit(self, builder: Builder, segment: Segment) -> None:
        """Emit the penalty on a parameter array that is trained; its gradient where one is wanted."""
        n_rows = segment.shape[0] if len(segment.shape) > 1 else 1
        row_penalty = builder.arena((n_rows,), "float64")
        gradient = builder.gradient(segment) if builder.differentiates else None
        builder.emit("penalty", builder.parameter(segment), gradient, row_penalty, l1=self.l1, l2=self.l2,
                     per_sample=int(self.per_sample))
        builder.emit("penalty_sum", row_penalty)
        builder.probe(f"penalty of {segment.name}", row_penalty)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"l1": self.l1, "l2": self.l2, **self._rare()}

    def _rare(self) -> dict[str, Any]:
        return {"per_sample": True} if self.per_sample else {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class L1(Regularizer):
    """The penalty l1 sum |w|, whose gradient l1 sign(w) (0 at 0) drives small weights to zero.

    Parameters
    ----------
    l1 : float
        The coefficient.
    per_sample : bool
        As for `Regularizer`.

    Notes
    -----
    Source: CS231n, "Neural Networks Part 2", regularization; Nielsen, chapter 3. Keras's `L1` is the same.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.Dense(3, kernel_regularizer=fnn.L1(1e-3)).kernel_regularizer
    L1(l1=0.001)
    """

    def __init__(self, l1: float = 0.01, per_sample: bool = False) -> None:
        super().__init__(l1=l1, per_sample=per_sample)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, **self._rare()}


class L2(Regularizer):
    """The penalty l2 / 2 sum w^2 (half the squared Frobenius norm), whose gradient is l2 w: weight decay.

    Parameters
    ----------
    l2 : float
        The coefficient lambda of ``lambda / 2 |W|^2``.
    per_sample : bool
        As for `Regularizer`.

    Notes
    -----
    The half is that of CS231n, Nielsen and deeplearning.ai. Keras's `L2` has none: its coefficient is half of
    this one. Sources: CS231n, "Neural Networks Part 2"; Nielsen, chapter 3, divides by the size n of the
    training set: his lambda / n is this l2, or his lambda is it with `per_sample` and full batches.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.Dense(3, kernel_regularizer="l2").kernel_regularizer
    L2(l2=0.01)
    """

    def __init__(self, l2: float = 0.01, per_sample: bool = False) -> None:
        super().__init__(l2=l2, per_sample=per_sample)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2, **self._rare()}


class ElasticNet(Regularizer):
    """The penalty l1 sum |w| + l2 / 2 sum w^2 (Zou and Hastie 2005).

    Parameters
    ----------
    l1, l2 : float
        The coefficients of `L1` and `L2`.
    per_sample : bool
        As for `Regularizer`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.ElasticNet(l1=1e-4, l2=1e-3)
    ElasticNet(l1=0.0001, l2=0.001)
    """

    def __init__(self, l1: float = 0.01, l2: float = 0.01, per_sample: bool = False) -> None:
        super().__init__(l1, l2, per_sample)


class Constraint:
    """What weights must fulfil after every update; `MaxNorm` is one.

    A subclass emits its ops; one that a file should hold has a name in ``fastnn.regularizers.CONSTRAINTS``.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> class NonNegative(fnn.Constraint):
    ...     def emit(self, builder, segment):
    ...         builder.emit_host(lambda w: np.maximum(w, 0, out=w), [], [builder.parameter(segment)])
    >>> layers = [fnn.Dense(1, use_bias=False, kernel_constraint=NonNegative())]
    >>> model = fnn.Sequential(layers, input_shape=(1,))
    >>> model.compile(fnn.SGD(1.0), loss="squared_error")
    >>> history = model.fit([[1.0]], [-5.0], verbose=0)
    >>> model.layers[0].weight
    array([[0.]], dtype=float32)
    """

    def emit(self, builder: Builder, segment: Segment) -> None:
        """Emit what puts a parameter array right."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class MaxNorm(Constraint):
    """The weights into each unit have a Euclidean norm of at most `max_value`: longer ones are scaled back.

    Parameters
    ----------
    max_value : float
        The largest norm of a column of W (n_in, n_out).

    Notes
    -----
    Source: Srivastava et al. (2014), "Dropout", section 5.1; CS231n, "Neural Networks Part 2". The same as
    Keras's ``MaxNorm(max_value, axis=0)``.

    Examples
    --------
    >>> import fastnn as fnn
    >>> unit = fnn.Dense(1, use_bias=False, kernel_constraint=fnn.MaxNorm(1.0))
    >>> model = fnn.Sequential([unit], input_shape=(2,), dtype="float64")
    >>> model.compile(fnn.SGD(1.0), loss="squared_error")
    >>> unit.weight[...] = 0.0
    >>> model.train_on_batch([[3.0, 4.0]], [1.0])["loss"]
    0.5
    >>> unit.weight.round(6)  # 3 and 4 before
    array([[0.6],
           [0.8]])
    """

    def __init__(self, max_value: float = 2.0) -> None:
        self.max_value = checks.positive_float("max_value", max_value)

    def emit(self, builder: Builder, segment: Segment) -> None:
        if len(segment.shape) != 2:
            raise ValueError(f"{segment.name}: MaxNorm expects two axes, got shape {segment.shape}")
        builder.emit("max_norm", builder.parameter(segment), limit=self.max_value)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value}


REGULARIZERS: dict[str, type[Regularizer]] = {"l1": L1, "l2": L2, "elastic_net": ElasticNet}
CONSTRAINTS: dict[str, type[Constraint]] = {"max_norm": MaxNorm}


def _get(argument: str, value: Any, kind: type, registry: Mapping[str, type]) -> Any:
    if value is None or isinstance(value, kind):
        return value
    if isinstance(value, Mapping) and "name" in value:
        settings = dict(value)
        return checks.lookup(argument, settings.pop("name"), registry)(**settings)
    if isinstance(value, str):
        return checks.lookup(argument, value, registry)()
    raise TypeError(f"{argument}: expected a name ({', '.join(map(repr, registry))}), a fastnn "
                    f"{kind.__name__} or None, got {type(value).__name__}")


def get_regularizer(argument: str, value: Any) -> Regularizer | None:
    """A regularizer from its name (with default settings), from its `config`, or as it is.

    Examples
    --------
    >>> get_regularizer("kernel_regularizer", {"name": "l2", "l2": 0.5})
    L2(l2=0.5)
    """
    return _get(argument, value, Regularizer, REGULARIZERS)


def get_constraint(argument: str, value: Any) -> Constraint | None:
    """A constraint from its name, from its `config`, or as it is.

    Examples
    --------
    >>> get_constraint("kernel_constraint", "max_norm")
    MaxNorm(max_value=2.0)
    """
    return _get(argument, value, Constraint, CONSTRAINTS)


def config(value: Regularizer | Constraint | None) -> dict[str, Any] | None:
    """Name and settings as plain data, which `get_regularizer` and `get_constraint` take back.

    Raises
    ------
    ValueError
        If the class is none of fastnn's, so that a file could not name it.

    Examples
    --------
    >>> config(L2(0.5))
    {'name': 'l2', 'l2': 0.5}
    """
    if value is None:
        return None
    names: dict[type, str] = {cls: name for name, cls in (REGULARIZERS | CONSTRAINTS).items()}  # type: ignore
    if type(value) not in names:
        raise ValueError(f"{type(value).__name__} is not registered; add it to REGULARIZERS or CONSTRAINTS "
                         "of fastnn.regularizers under a name")
    return {"name": names[type(value)], **value.get_config()}
