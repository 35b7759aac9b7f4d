"""Checkpoints: a training on the disk, and going on with it as if it had never stopped."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from . import backends, bundles, checks
from .callback_base import Callback
from .callbacks import BestSoFar
from .history import RunningLoss
from .io.atomic import PARTIAL, replacing
from .io.model_file import STATE, arrays_of, below, counts_of, describe, described_by, set_arrays
from .io.records import ModelFileError, Record, read, serialize
from .io.values import decode, encode

if TYPE_CHECKING:
    from .model import Model

NAME = re.compile(r"checkpoint-(\d{12})\.safetensors")
BEST = "best.safetensors"
NEVER = 1 << 62  # a step that no epoch has
SAMPLED = 64  # rows of the data that are looked at, to tell it from other data


class Checkpoint:
    """Where and how often `fit` writes checkpoints, and how many it keeps.

    A checkpoint is all that a training needs to go on: weights, optimizer, schedules, shuffling, dropout, the
    state of callbacks, the history, and where in the epoch it is. ``fit(..., checkpoint=..., resume=True)``
    then ends with the same bits as a training that was never stopped. Each is a file of its own, called by
    the number of updates, which `fastnn.load` reads too; that of the best epoch is ``best.safetensors``.

    Parameters
    ----------
    folder : path-like
        Where the files go; it is made if it is not there.
    every : int, optional
        Steps between two checkpoints within an epoch; by default there is one after each epoch only.
    keep : int
        How many of the newest are kept, besides the best.
    monitor, mode
        What "best" looks at, as for `fastnn.EarlyStopping`; by default "val_loss", or "loss" where there is
        no validation.

    Notes
    -----
    A file is written beside the last one, goes to the disk, and only then takes its name. So a full disk, a
    process killed or a machine switched off at any moment leaves the checkpoints that were there whole.

    Functions of yours (losses, metrics, activations) go on with a checkpoint, too, since the model is there;
    `fastnn.load` then refuses it. Iterables of batches must give the same batches when they are walked anew.
    Callbacks of your own name what they need in `Callback.state_names`.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> X, y = np.linspace(0, 1, 40).reshape(20, 2), np.arange(20) % 2
    >>> def train(epochs):
    ...     model = fnn.Sequential([fnn.Dropout(0.5), fnn.Dense(2, "softmax")], input_shape=(2,))
    ...     model.compile("adam")
    ...     return model.fit(X, y, epochs=epochs, verbose=0, checkpoint="run", resume=True)
    >>> train(epochs=3)["loss"] == train(epochs=5)["loss"][:3]
    True
    >>> len(train(epochs=5)), len(fnn.load("run/best.safetensors").layers)
    (5, 2)
    """

    def __init__(self, folder: str | os.PathLike[str], every: int | None = None, keep: int = 3,
                 monitor: str | None = None, mode: str = "auto") -> None:
        if isinstance(folder, bool) or not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"checkpoint: expected a folder or a fastnn.Checkpoint, got {checks.describe(folder)}")
        self.folder = checks.file_path("checkpoint: folder", folder)
        self.every = None if every is None else checks.positive_int("checkpoint_every", every)
        self.keep = checks.positive_int("keep", keep)
        self.monitor = checks.optional_name("monitor", monitor)
        self.mode = checks.choice("mode", mode, ("auto", "min", "max"))


class Keeper:
    """The checkpoints of one call of `fit`: those it writes, and the one that it goes on from.

    Without arguments it does nothing.
    """

    def __init__(self, checkpoint: Checkpoint | None = None, source: Record | None = None) -> None:
        self.checkpoint, self.source = checkpoint, source
        self.every = checkpoint.every if checkpoint else None
        self.settings: dict[str, Any] = {}
        self.left_within: dict[str, Any] | None = None  # an epoch: what is still to be restored there

    @property
    def active(self) -> bool:
        """Whether there is anything to write or to go on with."""
        return self.checkpoint is not None or self.source is not None

    @property
    def resumed(self) -> bool:
        """Whether the training goes on with a checkpoint."""
        return self.source is not None

    def start(self, model: Model, settings: dict[str, Any]) -> None:
        """Take the model and what the training is, before any work; refuse to go on with another training."""
        import json

        self.model = model
        usual = "loss" if settings["validation"] is None else "val_loss"
        monitor = self.checkpoint.monitor if self.checkpoint and self.checkpoint.monitor else usual
        self.best = BestSoFar(monitor, self.checkpoint.mode if self.checkpoint else "auto", 0.0)
        self.best.set_model(model)
        self.best.on_train_begin({})
        self.settings = json.loads(json.dumps(_sketch({**settings, **_settings_of(model)})))
        if self.source is not None:
            with described_by(self.source.path):
                self.state = decode(self.source.description["training"], self.source.arrays)
                saved, rate = dict(self.source.description["settings"]), self.state["rate"]
            _require_same(saved, self.settings, rate)
            self.settings = saved

    # ---- going on ----

    def restore(self, callbacks: Sequence[Callback], epochs: int, steps: int | None) -> int:
        """Put everything back where the checkpoint was taken; the epoch to begin or to go on with."""
        self.callbacks, self.steps = callbacks, steps
        if self.source is None:
            return 0
        assert self.model.optimizer is not None
        state = self.state
        with described_by(self.source.path):
            self._unfreeze(self.source)
            set_arrays(self.model, self.source.description, self.source.arrays)
            if state["rate"] is not None:
                rate = checks.positive_float("rate", state["rate"], allow_zero=True)
                self.model.optimizer.learning_rate = rate
            self.model.stop_training = checks.boolean("stop", state["stop"])
            self.best.set_state(state["best"])
            epoch, step = checks.positive_int("epoch", state["epoch"], 0), state["step"]
        self.path, self.source = self.source.path, None  # its arrays are no longer needed
        if step:
            self.left_within = state
            return epoch
        self._set_states(state)
        return epochs if state["stop"] else epoch

    def _unfreeze(self, source: Record) -> None:
        """Train what was trained at the checkpoint: a callback may have unfrozen layers before it."""
        names = {*below("optimizer/0/", source.arrays), *source.description.get("since", ())}
        numbers = self.model._numbers
        more = names - numbers.trained.segments.keys()
        if more and names <= numbers.parameters.segments.keys():
            self.model.unfreeze(*{name.rpartition(".")[0] for name in more})
            self.model.recompile()

    def begin_epoch(self, totals: RunningLoss, gathered: bundles.Bundle | list | None) -> int:
        """The first step to take; puts back the sums of the losses and what was gathered in those before."""
        self.shuffles = self.model.shuffles if self.checkpoint else 0  # before this epoch's is drawn
        state, self.left_within = self.left_within, None
        if state is None:
            return 0
        with described_by(self.path):
            totals.loss_sum, totals.weight_sum = map(float, state["sums"])
            step, steps = checks.positive_int("step", state["step"]), self.steps
            if steps is not None and step >= steps:
                raise ValueError(f"step: expected less than {steps}, which an epoch has, got {step}")
            if isinstance(gathered, list):
                gathered += state["gathered"]
            else:
                for array, saved in zip(bundles.parts(gathered), bundles.parts(state["gathered"]), strict=True):
                    before = array[:len(saved)]
                    if before.shape != saved.shape:
                        raise ValueError(f"outputs: expected rows of {before.shape[1:]}, got {saved.shape}")
                    before[...] = saved
        self._set_states(state)
        return step

    def _set_states(self, state: Mapping[str, Any]) -> None:
        """Give each callback's state to the next one of its class."""
        left = list(self.callbacks)
        with described_by(self.path):
            states = [(str(name), dict(values)) for name, values in state["callbacks"]]
        for name, values in states:
            taker = next((callback for callback in left if type(callback).__name__ == name), None)
            if taker is None:
                names = ", ".join(name for name, _ in states)
                raise ValueError(f"callbacks: expected those that the checkpoint has the state of, {names}; "
                                 f"there is none to take that of {name}")
            left.remove(taker)
            with described_by(self.path):
                taker.set_state(values)

    # ---- writing ----

    def stop_at(self, step: int) -> int:
        """Where a chunk of steps from `step` must end."""
        return NEVER if self.every is None else step + self.every - step % self.every

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is due after so many steps of an epoch."""
        return self.every is not None and step % self.every == 0

    def within(self, epoch: int, step: int, totals: RunningLoss, gathered: Any) -> None:
        """Write the checkpoint after `step` steps of an epoch."""
        self._write(epoch, step, (totals.loss_sum, totals.weight_sum), gathered, self.shuffles, False)

    def after(self, epoch: int, logs: dict[str, float]) -> None:
        """Write the checkpoint after an epoch."""
        if self.checkpoint is not None:
            improved = self.best.improved(epoch, logs)
            self._write(epoch + 1, 0, (0.0, 0.0), None, self.model.shuffles, improved)

    def _write(self, epoch: int, step: int, sums: tuple[float, float], gathered: Any, shuffles: int,
               best: bool) -> None:
        assert self.checkpoint is not None and self.model.optimizer is not None
        rate = self.model.optimizer.learning_rate
        state = {"epoch": epoch, "step": step, "sums": sums, "gathered": gathered,
                 "rate": None if callable(rate) else rate, "stop": bool(self.model.stop_training),
                 "callbacks": _states(self.callbacks), "best": self.best.state()}
        extra: dict[str, np.ndarray] = {}
        training = encode(state, STATE + "training", extra)
        try:
            description = describe(self.model)
        except ValueError as error:
            description = {"class": None, "why": str(error), **counts_of(self.model)}
        description |= {"shuffles": shuffles, "training": training, "settings": self.settings}
        content = serialize(Record("checkpoint", description, arrays_of(self.model) | extra))
        number = self.model.update_count
        # the best first: a process killed between the two writes both again, should it go on
        for name in [BEST] * best + [f"checkpoint-{number:012d}.safetensors"]:
            with replacing(os.path.join(self.checkpoint.folder, name)) as file:
                for part in content:
                    file.write(part)
        self._remove(number)

    def _remove(self, number: int) -> None:
        """Remove all but the newest, and what is newer: of a run that went on from further back."""
        assert self.checkpoint is not None
        folder, there = self.checkpoint.folder, _numbers(self.checkpoint.folder)
        kept = [n for n in there if n <= number][-self.checkpoint.keep:]
        for name in [there[n] for n in there if n not in kept]:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def make_keeper(checkpoint: Any, every: Any, resume: Any) -> Keeper:
    """From the arguments of `fit`.

    Raises
    ------
    ValueError, TypeError
        If they do not go together, or the folder holds checkpoints and `resume` does not say to go on.
    ModelFileError
        If there is no checkpoint that is whole.
    """
    if checkpoint is None and every is not None:
        raise ValueError(f"checkpoint_every: expected with checkpoint, the folder, got {checks.describe(every)} alone")
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint, every)
    elif every is not None:
        raise ValueError("checkpoint_every: expected a folder as checkpoint; Checkpoint has its own, every=")
    if resume is True and checkpoint is None:
        raise ValueError("resume: expected a folder, or True together with checkpoint, got True alone")
    source = None
    if resume is True:
        source = newest(checkpoint.folder) if os.path.isdir(checkpoint.folder) else None
    elif resume is not None and resume is not False:
        source = _open(resume)
    if checkpoint is not None:
        _prepare(checkpoint.folder, resume)
    return Keeper(checkpoint, source)


def newest(folder: str) -> Record | None:
    """The newest checkpoint of a folder that is whole; None where there is none at all.

    Raises
    ------
    ModelFileError
        If none of those there is whole.
    """
    error = None
    for name in reversed(_numbers(folder).values()):
        path = os.path.join(folder, name)
        try:
            return read(path, ("checkpoint",))
        except ModelFileError as damage:
            error = damage
            warnings.warn(f"{damage}; going on from the checkpoint before it", stacklevel=2)
    if error is not None:
        raise error
    return None


def _open(resume: Any) -> Record:
    if isinstance(resume, bool) or not isinstance(resume, (str, os.PathLike)):
        raise TypeError(f"resume: expected a folder, a checkpoint file or True, got {checks.describe(resume)}")
    resume = checks.file_path("resume", resume)
    if not os.path.isdir(resume):
        return read(resume, ("checkpoint",))
    record = newest(resume)
    if record is None:
        raise FileNotFoundError(f"resume: expected checkpoints in {resume!r}, found none")
    return record


def _prepare(folder: str, resume: Any) -> None:
    """Make the folder; refuse one with checkpoints that are not gone on with; remove unfinished files."""
    os.makedirs(folder, exist_ok=True)
    if _numbers(folder) and resume is not True:
        there = resume and os.fspath(resume)
        if not there or not any(os.path.realpath(p) == os.path.realpath(folder)
                                for p in (there, os.path.dirname(there) or ".")):
            raise ValueError(f"checkpoint: {folder!r} holds checkpoints of another training; go on with it "
                             "by resume=True, or choose another folder")
    for name in os.listdir(folder):
        if name.endswith(PARTIAL) and (name.startswith(BEST) or NAME.match(name)):
            os.unlink(os.path.join(folder, name))


def _numbers(folder: str) -> dict[int, str]:
    """The checkpoints in a folder by their number of updates, rising."""
    return {int(match[1]): match[0] for match in map(NAME.fullmatch, sorted(os.listdir(folder))) if match}


# ---- the state of callbacks ----


def _states(callbacks: Sequence[Callback]) -> list[tuple[str, dict[str, Any]]]:
    states = [(type(callback).__name__, callback.state()) for callback in callbacks]
    return [(name, state) for name, state in states if state]


# ---- what a training is ----


def describe_data(**arrays: Any) -> dict[str, Any]:
    """What tells data from other data: shape, dtype, and a checksum of some rows."""
    return {name: _fingerprint(value) for name, value in arrays.items()}


def _fingerprint(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_fingerprint(v) for v in value]
    if isinstance(value, Mapping):
        return {name: _fingerprint(v) for name, v in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    rows = np.linspace(0, max(len(value) - 1, 0), min(len(value), SAMPLED)).astype(int)
    return [list(value.shape), value.dtype.str, crc32(value[rows].tobytes())]


def _settings_of(model: Model) -> dict[str, Any]:
    assert model.optimizer is not None
    try:
        layers: Any = model.get_config()
    except ValueError:  # a class that is not registered
        layers = [[type(layer).__name__, layer.get_config()] for layer in model.layers]
    optimizer = dict(model.optimizer.get_config())
    return {"layers": layers, "learning_rate": optimizer.pop("learning_rate"),
            "losses": model._losses, "loss_weights": model._loss_weights,
            "optimizer": [type(model.optimizer).__name__, optimizer],
            "metrics": [[metric.name for metric in metrics] for metrics in model._metrics],
            "backend": f"{backends.backend()} {backends.isa()}"}


def _sketch(value: Any) -> Any:
    """A value as JSON, functions by their names."""
    if isinstance(value, Mapping):
        return {str(name): _sketch(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sketch(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _sketch(value.tolist())
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if hasattr(value, "get_config"):
        return [type(value).__name__, _sketch(value.get_config())]
    return getattr(value, "__qualname__", type(value).__name__)


def _require_same(saved: dict[str, Any], settings: dict[str, Any], rate: Any) -> None:
    """Refuse to go on with another training; `rate` is the learning rate at the checkpoint.

    A callback may have changed it since the training began: in a process that goes on, it has either value.
    """
    other = [name for name in {**saved, **settings} if saved.get(name) != settings.get(name)]
    if "learning_rate" in other and settings["learning_rate"] == rate:
        other.remove("learning_rate")
    if "backend" in other:
        warnings.warn("resume: the checkpoint is of the backend and instruction set "
                      f"{saved.get('backend')!s:.80}, here is {settings['backend']}: results will differ by "
                      "rounding", stacklevel=4)
        other.remove("backend")
    if other:
        raise ValueError("resume: expected the training that the checkpoint is of; these are not the same: "
                         + "; ".join(f"{name}, {_short(saved.get(name))} there and "
                                     f"{_short(settings.get(name))} here" for name in other))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
