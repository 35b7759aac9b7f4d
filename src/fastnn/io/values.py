"""Python values as JSON and arrays, and back, without pickle: what files hold beside a model's own arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..losses import LOSSES, Loss, registered
from ..metrics import Metric, resolve
from ..optimizers import OPTIMIZERS, Optimizer
from ..schedules import SCHEDULES, Schedule, get
from .records import DTYPES

Arrays = dict[str, np.ndarray]
SCALARS = (str, int, float, bool, type(None))
HOW_TO = "; a file holds numbers, strings, arrays and fastnn's own objects"


def plain(value: Any, where: str) -> Any:
    """A configuration as JSON holds it: lists for tuples and arrays, Python's numbers for NumPy's.

    Raises
    ------
    ValueError
        If there is anything else in it; `where` says in what.

    Examples
    --------
    >>> plain({"units": np.int64(3), "shape": (2, 3)}, "layer 'dense'")
    {'units': 3, 'shape': [2, 3]}
    >>> plain({"activation": abs}, "layer 'dense'")
    Traceback (most recent call last):
    ValueError: layer 'dense': its activation is a Python function (abs), which a file cannot hold
    """
    if type(value) in SCALARS:
        return value
    if isinstance(value, (np.generic, np.ndarray)) and value.dtype.kind in "biufU":
        return value.tolist()
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ValueError(f"{where}: expected names, got {name!r}, which a file cannot hold as one")
        return {name: plain(v, where if isinstance(v, Mapping) else f"{where}: its {name}")
                for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, where) for v in value]
    raise ValueError(f"{where} is {_kind(value)}, which a file cannot hold")


def _kind(value: Any) -> str:
    if isinstance(value, type) or not callable(value):
        return f"a {type(value).__name__}"
    name = getattr(value, "__qualname__", type(value).__name__)
    return f"a Python function ({name})"


# ---- objects of fastnn ----


def optimizer_config(optimizer: Optimizer) -> dict[str, Any]:
    """Name and settings of an optimizer, as plain data.

    Raises
    ------
    ValueError
        If its class is none of fastnn's, or its learning rate is a function or a schedule of the user's.
    """
    name = next((name for name, cls in OPTIMIZERS.items() if cls is type(optimizer)), None)
    cls = type(optimizer).__name__
    rate: Any = optimizer.learning_rate
    if name is None:
        raise ValueError(f"optimizer: {cls} is a class of yours, which a file cannot hold; register it, "
                         f"fastnn.optimizers.OPTIMIZERS[{cls.lower()!r}] = {cls}, wherever the file is "
                         "written and read, or call model.compile with one of fastnn's before saving")
    if isinstance(rate, Schedule):
        rate = schedule_config(rate)
    elif callable(rate):
        raise ValueError("optimizer: its learning_rate is a Python function, which a file cannot hold; set "
                         "model.optimizer.learning_rate to a number or a fastnn.Schedule before saving")
    return plain({"name": name, **optimizer.get_config(), "learning_rate": rate}, "optimizer")


def schedule_config(schedule: Schedule) -> dict[str, Any]:
    """Name and settings of a schedule, as plain data."""
    if SCHEDULES.get(schedule.name) is not type(schedule):
        cls = type(schedule).__name__
        raise ValueError(f"learning_rate: {cls} is a class of yours without a name, which a file cannot "
                         f"hold; write class {cls}(fnn.Schedule, name={cls.lower()!r})")
    return plain(schedule.get_config(), "learning_rate")


def loss_config(loss: Loss) -> dict[str, Any]:
    """Name and settings of a loss, as plain data."""
    if not registered(loss):
        what = f"{loss.name!r} is a Python function" if type(loss).__name__ == "FunctionLoss" else \
            f"{type(loss).__name__} is a class of yours"
        raise ValueError(f"loss: {what}, which a file cannot hold; call model.compile with a loss of "
                         "fastnn's before saving")
    return plain({"name": loss.name, **loss.get_config()}, "loss")


def metric_name(metric: Metric) -> str:
    """The registered name of a metric."""
    if not metric.registered:
        raise ValueError(f"metrics: {metric.name!r} is a Python function, which a file cannot hold; call "
                         "model.compile without it before saving")
    return metric.name


def make_optimizer(config: Mapping[str, Any]) -> Optimizer:
    """An optimizer from its `optimizer_config`."""
    settings = dict(config)
    return OPTIMIZERS[settings.pop("name")](**settings)


def make_loss(config: Mapping[str, Any]) -> Loss:
    """A loss from its `loss_config`."""
    settings = dict(config)
    return LOSSES[settings.pop("name")](**settings)


# ---- any value ----


@dataclass(frozen=True)
class Form:
    """How values of a type are held: as a JSON value, with their arrays put into a dict under a name."""

    tag: str
    type: type
    encode: Callable[[Any, str, Arrays], Any]
    decode: Callable[[Any, Arrays], Any]


def encode(value: Any, where: str, arrays: Arrays) -> Any:
    """A value as JSON; its arrays go into `arrays`, under names that begin with `where`.

    Raises
    ------
    ValueError
        If a file cannot hold it, or something in it.

    Examples
    --------
    >>> arrays = {}
    >>> encode({"best": (1, np.float32(0.5)), "w": np.ones(2)}, "state", arrays)["is"]
    'dict'
    >>> arrays
    {'state/w': array([1., 1.])}
    """
    if type(value) in SCALARS:
        return value
    if type(value) is list:
        return [encode(v, f"{where}/{i}", arrays) for i, v in enumerate(value)]
    for form in FORMS:
        if isinstance(value, form.type):
            return {"is": form.tag, "value": form.encode(value, where, arrays)}
    raise ValueError(f"{where} is {_kind(value)}, which a file cannot hold{HOW_TO}")


def decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `encode` was given.

    Raises
    ------
    LookupError, TypeError, ValueError
        If it is nothing that `encode` gives.

    Examples
    --------
    >>> arrays = {}
    >>> decode(encode({"best": (1, np.float32(0.5)), 2: None}, "state", arrays), arrays)
    {'best': (1, np.float32(0.5)), 2: None}
    """
    if type(value) in SCALARS:
        return value
    if type(value) is list:
        return [decode(v, arrays) for v in value]
    if type(value) is not dict or value.keys() != {"is", "value"}:
        raise ValueError(f"expected a value with its form, got {value!r:.80}")
    form = next((form for form in FORMS if form.tag == value["is"]), None)
    if form is None:
        raise ValueError(f"unknown form {value['is']!r:.80}")
    return form.decode(value["value"], dict(arrays))


def _list(value: Any) -> list:
    if type(value) is not list:
        raise ValueError(f"expected a list, got {value!r:.80}")
    return value


def _encode_dict(value: dict, where: str, arrays: Arrays) -> Any:
    return [[encode(k, f"{where}/key", arrays), encode(v, f"{where}/{k}", arrays)] for k, v in value.items()]


def _decode_dict(pairs: Any, arrays: Arrays) -> dict:
    result = {decode(k, arrays): decode(v, arrays) for k, v in map(_list, _list(pairs))}
    if len(result) < len(pairs):
        raise ValueError(f"expected different names, got {[k for k, _ in pairs]!r:.80}")
    return result


def _encode_array(value: np.ndarray, where: str, arrays: Arrays) -> Any:
    """Numbers go to the arrays, everything else (booleans, text, objects) into the JSON."""
    if value.dtype.newbyteorder("<").str in DTYPES.values():
        while where in arrays:
            where += "'"
        arrays[where] = value.astype(value.dtype.newbyteorder("="))
        return where
    if value.dtype.kind not in "bUO":
        raise ValueError(f"{where} is an array of {value.dtype}, which a file cannot hold{HOW_TO}")
    dtype = "object" if value.dtype.kind == "O" else value.dtype.newbyteorder("=").str
    return [dtype, list(value.shape), encode(value.ravel().tolist(), where, arrays)]


def _decode_array(value: Any, arrays: Arrays) -> np.ndarray:
    if isinstance(value, str):
        return arrays[value].copy()
    name, shape, items = value
    dtype = np.dtype(name)
    items = decode(items, arrays)
    if dtype.kind not in "bUO" or dtype.itemsize > 1 << 20 or len(items) != np.prod(shape, dtype=object):
        raise ValueError(f"expected an array of booleans, text or objects, got {name!r:.80}, {shape!r:.80}")
    array = np.empty(len(items), dtype)
    array[:] = items
    return array.reshape(shape)


def _decode_scalar(value: Any, arrays: Arrays) -> np.generic:
    name, number = value
    scalar = np.dtype(name).type(number)
    if scalar.dtype.kind not in "biufU" or (scalar.item() != number and number == number):
        raise ValueError(f"expected a scalar of NumPy's, got {number!r:.80} as {name!r:.80}")
    return scalar


def _schedule(config: Any) -> Schedule:
    schedule = get(config)
    if not isinstance(schedule, Schedule):
        raise ValueError(f"expected a schedule, got {config!r:.80}")
    return schedule


FORMS = [
    Form("dict", dict, _encode_dict, _decode_dict),
    Form("tuple", tuple, lambda v, where, arrays: encode(list(v), where, arrays),
         lambda v, arrays: tuple(decode(_list(v), arrays))),
    Form("scalar", np.generic, lambda v, where, arrays: [v.dtype.str, plain(v, where)], _decode_scalar),
    Form("array", np.ndarray, _encode_array, _decode_array),
    Form("optimizer", Optimizer, lambda v, where, arrays: optimizer_config(v),
         lambda v, arrays: make_optimizer(v)),
    Form("loss", Loss, lambda v, where, arrays: loss_config(v), lambda v, arrays: make_loss(v)),
    Form("schedule", Schedule, lambda v, where, arrays: schedule_config(v), lambda v, arrays: _schedule(v)),
    Form("metric", Metric, lambda v, where, arrays: metric_name(v), lambda v, arrays: resolve(v)),
]  # in this order: the first whose type fits
