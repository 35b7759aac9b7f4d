"""A model as one file: arrays by name, everything else as JSON in the header. Never code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._version import __version__
from ..history import History
from ..model import Model
from ..parameters import arrays_given
from ..sequential import Sequential
from .records import ModelFileError, Record, read, write
from .values import loss_config, make_loss, make_optimizer, metric_name, optimizer_config, plain

MODELS: dict[str, type[Model]] = {"Sequential": Sequential, "Model": Model}
ADDED = ("checksums", "format", "kind", "training", "settings")  # to what `describe` says, in files
STATE = "state/"  # how the names of arrays begin that only a checkpoint has
Arrays = dict[str, np.ndarray]


def save(model: Model, path: str | os.PathLike) -> None:
    """Write a model: architecture, how it was compiled, parameters, optimizer state, history.

    Parameters
    ----------
    model : Model
        The model.
    path : path-like
        The file; it is replaced only once the new one is complete and on the disk.

    Raises
    ------
    ValueError
        If the model holds what a file cannot: Python functions (an activation, a loss, a metric, a learning
        rate), or layers, losses, optimizers, ... of classes that are not registered. It names them.
    OSError
        If the disk is full, or the like; then what was there is untouched.
    """
    write(path, Record("model", describe(model), arrays_of(model)))


def load(path: str | os.PathLike) -> Model:
    """Read a model that `fastnn.Model.save` wrote, compiled as it was.

    Reading runs no code of the file, takes no more memory than twice the file's size, and finds any damage.

    Parameters
    ----------
    path : path-like
        The file; a checkpoint (see `fastnn.Checkpoint`) will do too.

    Returns
    -------
    Model
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
    record = read(path, ("model", "checkpoint"))
    with described_by(path):
        if record.description["class"] is None:
            raise ValueError(f"a checkpoint, but of a model that a file cannot describe "
                             f"({record.description['why']}); go on with it by fit(..., resume=path)")
        return build(record.description, record.arrays)


@contextmanager
def described_by(path: str | os.PathLike) -> Iterator[None]:
    """Whatever goes wrong while a file's description is followed is the file's fault."""
    try:
        yield
    except ModelFileError:
        raise
    except Exception as error:
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{os.fsdecode(path)}: its description and its arrays make no model: "
                             f"{what}") from error


def describe(model: Model) -> dict[str, Any]:
    """A model without its numbers, as JSON holds it.

    Raises
    ------
    ValueError
        If a file cannot hold it.
    """
    for layer in model.layers:
        where = f"layer {layer.name!r}"
        try:
            plain(layer.get_config(), where)
        except ValueError as error:
            what = str(error) if str(error).startswith(where) else f"{where}: {error}"
            raise ValueError(f"{what}; or save model.get_weights() and make the layers anew") from None
    name = next(name for cls in type(model).__mro__ for name, known in MODELS.items() if known is cls)
    return {"fastnn": __version__, "class": name, "model": plain(model.get_config(), "model"),
            "compiled": compiled_config(model), **counts_of(model),
            **({"names": names} if (names := plain(model.names_config(), "model")) else {})}


def counts_of(model: Model) -> dict[str, Any]:
    """What training counts in a model, and the names in its history."""
    return {"update_count": int(model.update_count), "shuffles": int(model.shuffles),
            "logs": list(model.history.history), **({"since": since} if (since := model._starts()) else {})}


def compiled_config(model: Model) -> dict[str, Any] | None:
    """What `compile` was given, as JSON holds it; None before."""
    if model.optimizer is None:
        return None
    return {"metrics": [[metric_name(metric) for metric in metrics] for metrics in model._metrics],
            "losses": [loss_config(loss) for loss in model._losses], "loss_weights": model._loss_weights,
            "optimizer": optimizer_config(model.optimizer)}


def arrays_of(model: Model) -> Arrays:
    """The numbers of a model by the names that they have in a file; views where that is possible."""
    arrays = {f"model/{name}": array for name, array in model._numbers.all_arrays().items()}
    for i, state in enumerate(model._numbers.states()):
        arrays |= {f"optimizer/{i}/{name}": array for name, array in state.items()}
    return arrays | history_arrays(model.history)


def history_arrays(history: History) -> Arrays:
    """A history's numbers by the names that they have in a file."""
    if not len(history):
        return {}
    return {"history/epoch": np.array(history.epoch, np.int64),
            **{f"history/logs/{name}": np.array(values) for name, values in history.history.items()}}


def history_of(names: Any, arrays: Mapping[str, np.ndarray]) -> History:
    """The history of `history_arrays`, whose logs have these names."""
    history = History()
    logs = {name: arrays[f"history/logs/{name}"].tolist() for name in names}
    for i, epoch in enumerate(arrays["history/epoch"].tolist() if "history/epoch" in arrays else ()):
        history.append(epoch, {name: values[i] for name, values in logs.items()})
    return history


def below(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def build(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Model:
    """The model of `describe` and `arrays_of`."""
    shapes = {name: array.shape for name, array in below("model/", arrays).items()}
    with arrays_given(shapes):
        model = MODELS[description["class"]].from_config(description["model"])
    if compiled := description["compiled"]:
        model.compile(make_optimizer(compiled["optimizer"]), list(map(make_loss, compiled["losses"])) or None,
                      dict(zip(model.output_names, compiled["metrics"], strict=True)), compiled["loss_weights"])
    set_arrays(model, description, arrays)
    model.set_names(description.get("names", {}))
    known = arrays_of(model)
    if unknown := [name for name in arrays if name not in known and not name.startswith(STATE)]:
        raise ValueError(f"{unknown[0]}: the model has no such array")
    said = {name: value for name, value in description.items() if name not in ADDED}
    _require_said({**said, "fastnn": __version__}, describe(model), "")
    return model


def _require_said(said: Any, made: Any, where: str) -> None:
    """Refuse a description that says what the model made of it does not: names nobody reads, say."""
    if isinstance(said, dict) and isinstance(made, dict):
        for name, value in said.items():
            if name not in made:
                raise ValueError(f"{where}{name}: nobody knows what that means")
            _require_said(value, made[name], f"{where}{name}: ")
    elif isinstance(said, list) and isinstance(made, list) and len(said) == len(made):
        for value, its in zip(said, made, strict=True):
            _require_said(value, its, where)
    elif said != made:
        raise ValueError(f"{where}the file says {said!r:.80}, the model {made!r:.80}")


def set_arrays(model: Model, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Give a model, compiled as it was, the numbers of `arrays_of` and `describe`.

    Raises
    ------
    ValueError
        If they are not of such a model.
    """
    states = [below(f"optimizer/{i}/", arrays) for i in range(model.optimizer.n_states)] \
        if model.optimizer and any(name.startswith("optimizer/") for name in arrays) else []
    trained = {name: segment.shape for name, segment in model._numbers.trained.segments.items()}
    for state in states:
        if {name: array.shape for name, array in state.items()} != trained:
            raise ValueError(f"expected optimizer state for {', '.join(trained)}, each of its shape")
    wrong = [name for name, array in below("model/", arrays).items() if array.dtype != model.dtype]
    if wrong:
        raise ValueError(f"expected arrays of {model.dtype}, got {wrong[0]} of another")
    history = history_of(description["logs"], arrays)
    counts = description["update_count"], description["shuffles"]
    if not all(type(count) is int and 0 <= count < 1 << 62 for count in counts):
        raise ValueError(f"update_count, shuffles: expected counts, got {counts}")
    since = dict(description.get("since", {}))
    if not all(name in trained and type(n) is int and 0 < n <= counts[0] for name, n in since.items()):
        raise ValueError(f"since: expected counts of updates for parameters that are trained, got {since!r:.80}")
    model.restore({"arrays": below("model/", arrays), "states": states, "update_count": counts[0],
                   "shuffles": counts[1], "history": history, "since": since})
