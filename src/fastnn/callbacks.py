"""Callbacks: what `fit` calls while it trains."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from . import checks, metrics
from .callback_base import Callback, CallbackList, Logs, require_like
from .progress import ProgressBar

if TYPE_CHECKING:
    import csv

__all__ = ["CSVLogger", "Callback", "CallbackList", "EarlyStopping", "LambdaCallback", "ModelCheckpoint",
           "ProgressBar", "ReduceOnPlateau"]


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_train_begin, on_train_end : callable, optional
        Called with (logs).
    on_epoch_begin, on_epoch_end : callable, optional
        Called with (epoch, logs).
    on_batch_end, on_progress : callable, optional
        Called with (step, logs).

    Examples
    --------
    >>> losses = []
    >>> record = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    >>> record.on_epoch_end(0, {"loss": 0.5})
    >>> losses
    [0.5]
    """

    def __init__(self, *, on_train_begin: Callable[[Logs], Any] | None = None,
                 on_train_end: Callable[[Logs], Any] | None = None,
                 on_epoch_begin: Callable[[int, Logs], Any] | None = None,
                 on_epoch_end: Callable[[int, Logs], Any] | None = None,
                 on_batch_end: Callable[[int, Logs], Any] | None = None,
                 on_progress: Callable[[int, Logs], Any] | None = None) -> None:
        functions = {"on_train_begin": on_train_begin, "on_train_end": on_train_end,
                     "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end,
                     "on_batch_end": on_batch_end, "on_progress": on_progress}
        for name, function in functions.items():
            if function is not None:
                if not callable(function):
                    raise TypeError(f"{name}: expected a function, got {checks.describe(function)}")
                setattr(self, name, function)


class BestSoFar(Callback):
    """A callback that knows when a logged value is better than ever."""

    state_names: tuple[str, ...] = ("best", "best_epoch")

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        self.monitor = checks.name_of("monitor", monitor)
        self.mode = checks.choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = checks.positive_float("min_delta", min_delta, allow_zero=True)
        self.best = math.nan
        self.best_epoch: int | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self.best, self.best_epoch = math.nan, None
        self.sign = {"min": -1.0, "max": 1.0, "auto": 0.0}[self.mode] or self._automatic_sign()

    def improved(self, epoch: int, logs: Logs) -> bool:
        """Whether this epoch is the best so far, by more than min_delta; remember it then."""
        if self.monitor not in logs:
            hint = "; give fit validation_split or validation_data" if self.monitor.startswith("val_") and \
                not any(name.startswith("val_") for name in logs) else ""
            raise ValueError(f"{type(self).__name__} monitors {self.monitor!r}, but the logs hold "
                             f"{', '.join(map(repr, logs))}{hint}")
        value = logs[self.monitor]
        if math.isnan(value) or self.sign * (value - self.best) <= self.min_delta:  # false for best = nan
            return False
        self.best, self.best_epoch = value, epoch
        return True

    def _automatic_sign(self) -> float:
        """1.0 where a larger value is better, as the metric of that name says; -1.0 for losses."""
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return -1.0
        used = {metric.name: metric for metric in getattr(self.model, "metrics", ())}
        metric = used.get(name) or metrics.METRICS.get(name)
        if metric is not None and metric.larger_is_better is not None:
            return 1.0 if metric.larger_is_better else -1.0
        if metric is None:  # a name that no log will hold: `improved` lists those that are there
            return -1.0
        raise ValueError(f"{type(self).__name__}: expected mode 'min' or 'max' for {self.monitor!r}, got "
                         "'auto', which knows losses and fastnn's metrics; try mode='min' or 'max'")


class EarlyStopping(BestSoFar):
    """Stop when a value has not improved for some epochs, and take the best weights back.

    Parameters
    ----------
    monitor : str
        A name of the logs.
    patience : int
        How many epochs in a row may pass without improvement before the training stops; with 0 or 1 the
        first such epoch is the last.
    min_delta : float
        An improvement is more than this.
    mode : {'auto', 'min', 'max'}
        Whether smaller or larger is better; 'auto' knows losses and the metrics of fastnn.
    restore_best : bool
        Put the weights of the best epoch back at the end of the training, whatever ended it.

    Attributes
    ----------
    best, best_epoch
        The best value and its epoch.
    stopped_epoch : int or None
        The epoch after which this callback stopped the training.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Dense(10, "softmax")], input_shape=(8, 8))
    >>> model.compile()
    >>> stop = EarlyStopping(patience=2)
    >>> history = model.fit(X, y, epochs=100, validation_split=0.2, callbacks=stop, verbose=0)
    >>> len(history) < 100
    True
    """

    state_names = (*BestSoFar.state_names, "wait", "stopped_epoch", "best_state")

    def __init__(self, monitor: str = "val_loss", patience: int = 0, min_delta: float = 0.0,
                 mode: str = "auto", restore_best: bool = True) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = checks.positive_int("patience", patience, minimum=0)
        self.restore_best = checks.boolean("restore_best", restore_best)
        self.wait = 0
        self.stopped_epoch: int | None = None
        self.best_state: dict[str, Any] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self.wait, self.stopped_epoch, self.best_state = 0, None, None

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        if state["best_state"] is not None:
            require_like("best_state", state["best_state"], self.model.state_dict())
        super().set_state(state)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.improved(epoch, logs):
            self.wait = 0
            if self.restore_best:
                self.best_state = self.model.state_dict()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        if self.best_state is not None:
            self.model.load_state_dict(self.best_state)
        self.best_state = None


class ReduceOnPlateau(BestSoFar):
    """Multiply the learning rate by `factor` when a value has not improved for some epochs.

    Parameters
    ----------
    monitor, min_delta, mode
        As for `EarlyStopping`.
    factor : float
        Between 0 and 1.
    patience : int
        The epoch in a row without improvement at which the rate falls.
    cooldown : int
        Epochs after a fall that do not count.
    min_rate : float
        The rate goes no lower.

    Attributes
    ----------
    rates : list of float
        The learning rate after each epoch.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1)], input_shape=(1,))
    >>> model.compile(fnn.SGD(1.9), loss="squared_error")
    >>> reduce = ReduceOnPlateau("loss", factor=0.5, patience=2)
    >>> history = model.fit([[0.0], [1.0]], [0.5, 0.0], epochs=50, callbacks=reduce, verbose=0)
    >>> model.optimizer.learning_rate < 1.9
    True
    """

    state_names = (*BestSoFar.state_names, "wait", "cooling", "rates")

    def __init__(self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10,
                 min_delta: float = 0.0, mode: str = "auto", cooldown: int = 0,
                 min_rate: float = 0.0) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = checks.fraction("factor", checks.positive_float("factor", factor))
        self.patience = checks.positive_int("patience", patience)
        self.cooldown = checks.positive_int("cooldown", cooldown, minimum=0)
        self.min_rate = checks.positive_float("min_rate", min_rate, allow_zero=True)
        self.wait = self.cooling = 0
        self.rates: list[float] = []

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self.wait, self.cooling, self.rates = 0, 0, []
        if callable(self.model.optimizer.learning_rate):
            raise TypeError("ReduceOnPlateau: expected an optimizer with a number as its learning rate, "
                            f"got {self.model.optimizer.learning_rate!r}; use one or the other")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        optimizer = self.model.optimizer
        self.wait = 0 if self.improved(epoch, logs) or self.cooling else self.wait + 1
        self.cooling = max(0, self.cooling - 1)
        if self.wait >= self.patience:
            optimizer.learning_rate = min(optimizer.learning_rate,
                                          max(self.factor * optimizer.learning_rate, self.min_rate))
            self.wait, self.cooling = 0, self.cooldown
        self.rates.append(optimizer.learning_rate)


class ModelCheckpoint(BestSoFar):
    """Save the model after each epoch, or after each epoch that is the best so far.

    Parameters
    ----------
    path : path-like
        The file. ``{epoch}`` (counted from 1) and the names of the logs are filled in:
        ``"digits-{epoch:02d}-{val_loss:.3f}.safetensors"``. Missing folders are made.
    monitor, mode
        As for `EarlyStopping`; they matter with `save_best_only`.
    save_best_only : bool
        Save only when `monitor` has improved.

    Examples
    --------
    >>> checkpoint = ModelCheckpoint("best.safetensors", monitor="val_accuracy", save_best_only=True)
    """

    def __init__(self, path: str | os.PathLike[str], monitor: str = "val_loss", save_best_only: bool = False,
                 mode: str = "auto") -> None:
        super().__init__(monitor, mode, 0.0)
        self.path = checks.file_path("path", path)
        self.save_best_only = checks.boolean("save_best_only", save_best_only)

    def on_train_begin(self, logs: Logs) -> None:
        if self.save_best_only:
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only and not self.improved(epoch, logs):
            return
        try:
            path = self.path.format(epoch=epoch + 1, **logs)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"path: expected {{epoch}} and names of the logs ({', '.join(logs)}) in braces, "
                             f"got {self.path!r}: {error}") from None
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self.model.save(path)


class CSVLogger(Callback):
    """Write the logs of each epoch as a line of a CSV file, as they come.

    Parameters
    ----------
    path : path-like
        The file. Its columns are "epoch" (counted from 0) and the names in the first epoch's logs.
    append : bool
        Go on with a file that is there, in its columns, instead of replacing it.
    separator : str
        One character between the columns.

    Examples
    --------
    >>> log = CSVLogger("training.csv")
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False, separator: str = ",") -> None:
        self.path, self.append = checks.file_path("path", path), checks.boolean("append", append)
        if not isinstance(separator, str):
            raise TypeError(f"separator must be one character, got {checks.describe(separator)}")
        if len(separator) != 1 or separator in '"\r\n':
            raise ValueError("separator must be one character that is no quote and no line's end, got "
                             f"{separator[:20]!r}")
        self.separator = separator
        self.file: IO[str] | None = None
        self.writer: csv.DictWriter[str] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        import csv  # here and below, because few trainings need it

        names, goes_on = None, self.append or self.params.get("resumed", False)
        if goes_on and os.path.exists(self.path):
            with open(self.path, newline="") as file:
                names = next(csv.reader(file, delimiter=self.separator), None)
        self.file = open(self.path, "a" if goes_on else "w", newline="")
        self.writer = self._writer(names) if names else None

    def state(self) -> dict[str, Any]:
        assert self.file is not None
        return {"size": self.file.tell()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take away the lines of epochs after the checkpoint, which come again."""
        assert self.file is not None
        self.file.truncate(min(state["size"], self.file.tell()))
        if not state["size"]:
            self.writer = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.file is None:
            raise RuntimeError("CSVLogger: on_train_begin has not opened the file yet")
        if self.writer is None:
            self.writer = self._writer(["epoch", *logs])
            self.writer.writeheader()
        self.writer.writerow({"epoch": epoch, **logs})
        self.file.flush()

    def on_train_end(self, logs: Logs) -> None:
        if self.file is not None:
            self.file.close()
        self.file = self.writer = None

    def _writer(self, names: list[str]) -> csv.DictWriter[str]:
        import csv

        assert self.file is not None
        return csv.DictWriter(self.file, names, restval="", extrasaction="ignore", delimiter=self.separator)
