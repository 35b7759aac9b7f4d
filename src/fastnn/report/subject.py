"""What a report is about: the model, its history, the rows it is judged by, and what it said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .. import bundles, checks
from ..diagnostics import Diagnosis, diagnose
from ..gan import GAN
from ..history import History
from ..masks import masks_of
from ..model import Model
from ..profiling import Profile
from .answers import Classes, Marks, Numbers, answers_of

BATCH = 32  # rows of a step where the history does not say


class Missing(Exception):
    """Why a section, or a part of one, is not there: a line without its full stop."""


class Rows(NamedTuple):
    """Labelled rows, checked, and what they are called."""

    X: Any
    y: Any
    weight: np.ndarray | None
    name: str

    @property
    def n(self) -> int:
        """How many."""
        return bundles.n_rows(self.X)


@dataclass(eq=False)
class Subject:
    """Everything that the sections look at; what costs time is computed when first asked for.

    Attributes
    ----------
    model : Model or GAN
        Never changed.
    history : History
        Empty where there is none.
    judged, training : Rows or None
        Those to judge the model by; those for the doctor and the profile.
    seen : bool
        Whether it is judged by the rows it was trained on.
    class_names, feature_names, image_shape
        As `write_report` takes them.
    why_no_rows : str
        Where there are none.
    given_batch : int or None
        Rows of a step, where the caller says.
    """

    model: Any
    history: History
    judged: Rows | None
    training: Rows | None
    class_names: Mapping[str, Sequence[str]]
    feature_names: Sequence[str] | None
    image_shape: tuple[int, ...] | None
    seen: bool = False
    why_no_rows: str = ""
    given_batch: int | None = None

    @classmethod
    def of(cls, model: Any, X: Any, y: Any, sample_weight: Any, training: tuple | None, history: History | None,
           data_name: str | None, class_names: Any, feature_names: Any, image_shape: Any,
           batch_size: int | None) -> Subject:
        """From the arguments of `write_report`, which are checked here."""
        if not isinstance(model, (Model, GAN)):
            raise TypeError(f"model: expected a fastnn.Model or fastnn.GAN, got {checks.describe(model)}")
        history = model.history if history is None else history
        if not isinstance(history, History):
            raise TypeError(f"history: expected what fit returned, got {checks.describe(history)}")
        if batch_size is not None:
            batch_size = checks.positive_int("batch_size", batch_size)
        if isinstance(model, GAN):
            if X is not None or y is not None:
                raise ValueError("X, y: expected without, because nothing judges the samples of a GAN, got some")
            return cls(model, history, None, None, {}, None, None)
        if class_names is None:
            class_names = model.classes
        if feature_names is None and model.columns is not None:
            feature_names = model.columns.features
        if (X is None) != (y is None):
            raise ValueError("X, y: expected both or neither, got one of them")
        if not model._losses:
            return cls(model, history, None, None, {}, None, None,
                       why_no_rows="the model is not compiled with a loss")
        judged, trained = None, None
        held = history.trained if history.trained and history.trained.model is model else None
        if training is not None:
            if not isinstance(training, (tuple, list)) or len(training) not in (2, 3):
                raise TypeError(f"training: expected (X, y) or (X, y, weight), got {checks.describe(training)}")
            weight = training[2] if len(training) == 3 else None
            checked = model._checked(training[0], training[1], weight, ("training X", "training y"))
            trained = Rows(*checked, "training rows")
        elif held and held.rows:
            trained = Rows(*held.rows, "training rows")
        if X is not None:
            judged = Rows(*model._checked(X, y, sample_weight), data_name or "rows given")
        elif held and held.validation:
            judged = Rows(*held.validation, data_name or "validation rows")
        elif trained:
            judged = trained._replace(name=data_name or trained.name)
        seen = judged is not None and trained is not None and judged.X is trained.X
        why = "" if judged else "there are no rows to judge the model by; give X and y"
        self = cls(model, history, judged, trained or judged, names_by_output(class_names, model),
                   texts("feature_names", feature_names), image_shape, seen, why, batch_size)
        self._check_names()
        return self

    def _check_names(self) -> None:
        shape = self.model.input_shape
        if self.image_shape is not None and math.prod(self.image_shape) != math.prod(shape):
            raise ValueError(f"image_shape: expected the shape of {math.prod(shape)} numbers, got {self.image_shape}")
        if self.feature_names is not None and len(self.model.input_names) == 1 and len(shape) == 1 and \
                len(self.feature_names) != shape[0]:
            raise ValueError(f"feature_names: expected {shape[0]}, one for each column of X, got "
                             f"{len(self.feature_names)}")
        for i, (name, tensor) in enumerate(zip(self.output_names, self.model._graph.outputs, strict=True)):
            given = self.class_names.get(name)
            n = max(2, tensor.shape[-1])
            if given is not None and len(given) != n and not isinstance(self.answers(i), Numbers):
                raise ValueError(f"class_names: expected {n}, one for each class of {name!r}, got {len(given)}")

    @property
    def is_gan(self) -> bool:
        """Whether this is about two models that train each other."""
        return isinstance(self.model, GAN)

    @property
    def output_names(self) -> list[str]:
        """Of the model."""
        return self.model.output_names

    @property
    def batch_size(self) -> int:
        """Rows of a step."""
        return self.given_batch or self.history.settings.get("batch_size") or BATCH

    @cached_property
    def evaluated(self) -> tuple[dict[str, float], tuple[np.ndarray, ...]]:
        """What `evaluate` says of the rows to judge by, and the outputs as metrics see them."""
        assert self.judged is not None
        model = self.model.copy() if self.model._carried else self.model  # whose states would go on
        results, outputs = model._evaluated(self.judged.X, self.judged.y, self.judged.weight)
        return results, bundles.parts(outputs)

    @property
    def results(self) -> dict[str, float]:
        """What `evaluate` says of the rows to judge by; empty where there are none."""
        return self.evaluated[0] if self.judged else {}

    def answers(self, i: int) -> Classes | Numbers | Marks | None:
        """What the i-th output said, beside what was true; None where there are no rows."""
        if self.judged is None:
            return None
        known = self.__dict__.setdefault("_answers", {})
        if i not in known:
            mask = masks_of(self.model, self.judged.X)[i]
            known[i] = answers_of(self.model, i, bundles.parts(self.judged.y)[i], self.evaluated[1][i], mask)
        return known[i]

    def names_of_classes(self, i: int, n: int) -> list[str]:
        """In words, or their numbers."""
        return list(self.class_names.get(self.output_names[i]) or map(str, range(n)))

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """The doctor's, of the model as it is."""
        if self.training is None:
            raise Missing(self.why_no_rows)
        try:
            return diagnose(self.model, self.training.X, self.training.y, sample_weight=self.training.weight,
                            batch_size=self.batch_size, history=self.history)
        except (ValueError, FloatingPointError) as error:  # nothing to train, ...
            raise Missing(str(error)) from error

    @cached_property
    def profile(self) -> Profile:
        """The time of a step's ops."""
        if self.training is None:
            raise Missing(self.why_no_rows)
        return self.model.profile(self.training.X, self.training.y, self.batch_size,
                                  sample_weight=self.training.weight)

    @property
    def best_epoch(self) -> tuple[int, str] | None:
        """Where the loss was lowest, as an index into the history, and by which loss; None without one."""
        for name in ("val_loss", "loss"):
            values = np.array(self.history.history.get(name, []))
            if np.isfinite(values).any():
                return int(np.nanargmin(values)), name
        return None

    @property
    def images(self) -> tuple[int, ...] | None:
        """The shape of a sample where it is an image."""
        shape = self.model.input_shape
        if len(self.model.input_names) > 1:
            return None
        if self.image_shape is not None:
            return tuple(self.image_shape)
        if None in shape or min(shape) < 1 or any(layer.layouts[0] == "time" for layer in self.model.layers):
            return None
        grey, coloured = len(shape) == 2, len(shape) == 3 and shape[2] in (1, 3, 4)
        return tuple(shape) if (grey or coloured) and min(shape[:2]) > 1 else None


def names_by_output(names: Any, model: Model) -> dict[str, list[str]]:
    """Names of classes by output."""
    if names is None:
        return {}
    if isinstance(names, Mapping):
        for name in names:
            checks.lookup("class_names output", name, dict.fromkeys(model.output_names))
        return {name: texts("class_names", values) or [] for name, values in names.items()}
    return {model.output_names[0]: texts("class_names", names) or []}


def texts(what: str, names: Any) -> list[str] | None:
    """Names as strings."""
    if names is None:
        return None
    if isinstance(names, (str, bytes)) or not hasattr(names, "__iter__"):
        raise TypeError(f"{what}: expected a sequence of names, got {checks.describe(names)}")
    return [str(name) for name in names]
