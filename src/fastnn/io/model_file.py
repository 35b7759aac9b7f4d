"""A model as one safetensors file: arrays by name, everything else as JSON in the header. Never code."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..losses import LOSSES, FunctionLoss, registered
from ..model import Sequential
from ..optimizers import OPTIMIZERS
from ..schedules import Schedule

FORMAT_VERSION = 1


class ModelFileError(ValueError):
    """The file is not a model that this version of fastnn can read."""


def save(model: Sequential, path: str | os.PathLike) -> None:
    """Write a model: architecture, how it was compiled, parameters, optimizer state.

    Parameters
    ----------
    model : Sequential
        The model.
    path : path-like
        The file; it is replaced only once the new one is complete.

    Raises
    ------
    ValueError
        If the model holds Python functions (an activation, a loss, a metric, a learning rate), which a file
        cannot, or a loss class of its own.
    """
    import json  # here, so that `import fastnn` need not wait for what files alone need

    from safetensors.numpy import save_file

    _refuse_functions(model)
    numbers = model.snapshot()
    tensors = {f"model/{name}": np.ascontiguousarray(a) for name, a in numbers["arrays"].items()}
    for i, arrays in enumerate(numbers["states"]):
        tensors |= {f"optimizer/{i}/{name}": np.ascontiguousarray(a) for name, a in arrays.items()}
    description = {"format": FORMAT_VERSION, "model": model.get_config(), "compiled": _compiled_config(model),
                   "update_count": numbers["update_count"], "shuffles": numbers["shuffles"]}
    partial = os.fspath(path) + ".partial"
    try:
        save_file(tensors, partial, metadata={"fastnn": json.dumps(description)})
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def _refuse_functions(model: Sequential) -> None:
    for layer in model.layers:
        for argument, value in layer.get_config().items():
            if any(map(callable, value if isinstance(value, (tuple, list)) else [value])):
                raise ValueError(f"layer {layer.name!r}: its {argument} is a Python function, which a file "
                                 "cannot hold; save model.get_weights() and make the layers anew")


def _compiled_config(model: Sequential) -> dict[str, Any] | None:
    if model.loss is None or model.optimizer is None:
        return None
    for metric in model.metrics:
        if not metric.registered:
            raise ValueError(f"metrics: {metric.name!r} is a Python function, which a file cannot hold; call "
                             "model.compile without it before saving")
    if isinstance(model.loss, FunctionLoss):
        raise ValueError(f"loss: {model.loss.name!r} is a Python function, which a file cannot hold; call "
                         "model.compile with a loss of fastnn's before saving")
    if not registered(model.loss):
        raise ValueError(f"loss: {type(model.loss).__name__} is a class of yours, which a file cannot hold; "
                         "call model.compile with a loss of fastnn's before saving")
    settings = model.optimizer.get_config()
    if isinstance(model.optimizer.learning_rate, Schedule):
        settings["learning_rate"] = model.optimizer.learning_rate.get_config()
    elif callable(model.optimizer.learning_rate):
        raise ValueError("optimizer: its learning_rate is a Python function, which a file cannot hold; set "
                         "model.optimizer.learning_rate to a number or a fastnn.Schedule before saving")
    names = {cls: name for name, cls in OPTIMIZERS.items()}
    return {"optimizer": {"name": names[type(model.optimizer)], **settings},
            "loss": {"name": model.loss.name, **model.loss.get_config()},
            "metrics": [metric.name for metric in model.metrics]}


def load(path: str | os.PathLike) -> Sequential:
    """Read a model that `fastnn.Sequential.save` wrote, compiled as it was.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Sequential
        The model, ready to predict and to be trained on.

    Raises
    ------
    ModelFileError
        If the file is damaged, of another program, or of a newer version.

    Examples
    --------
    >>> import os, tempfile, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(2,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     loaded = fnn.load(path)
    >>> bool((loaded.predict([[1.0, 2.0]]) == model.predict([[1.0, 2.0]])).all())
    True
    """
    import json

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            description = json.loads((file.metadata() or {}).get("fastnn", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ModelFileError(f"{path}: not a readable model file: {error}") from error
    if not isinstance(description, dict):
        raise ModelFileError(f"{path}: a safetensors file, but not of a fastnn model")
    if description.get("format") != FORMAT_VERSION:
        raise ModelFileError(f"{path}: format {description.get('format')!r}, this fastnn reads "
                             f"{FORMAT_VERSION}; install a newer fastnn-cpu")
    try:
        return _build(description, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: its description and its arrays do not fit together: "
                             f"{error}") from error


def _build(description: dict[str, Any], tensors: dict[str, np.ndarray]) -> Sequential:
    model = Sequential.from_config(description["model"])
    if compiled := description["compiled"]:
        loss, optimizer = dict(compiled["loss"]), dict(compiled["optimizer"])
        model.compile(OPTIMIZERS[optimizer.pop("name")](**optimizer), LOSSES[loss.pop("name")](**loss),
                      compiled["metrics"])
    states: list[dict[str, np.ndarray]] = []
    while any(name.startswith(f"optimizer/{len(states)}/") for name in tensors):
        prefix = f"optimizer/{len(states)}/"
        states.append({n.removeprefix(prefix): a for n, a in tensors.items() if n.startswith(prefix)})
    arrays = {n.removeprefix("model/"): a for n, a in tensors.items() if n.startswith("model/")}
    model.restore({"arrays": arrays, "states": states, "update_count": int(description["update_count"]),
                    "shuffles": int(description["shuffles"]), "history": model.history})
    return model
