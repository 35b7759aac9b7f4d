"""What the numbers of a model stand for: the classes that its outputs say, the columns that its inputs are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.columns import Columns

KINDS = (str, int, float, bool)  # of classes


class ModelNames:
    """Names for outputs and inputs, which a model file keeps."""

    input_shape: Any
    output_shape: Any
    _classes: tuple[Any, ...] | None = None
    _columns: Columns | None = None

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """What each output stands for, in order: strings or numbers; None where nobody said.

        A model with one output, as after a sigmoid, has two: what 0 and what 1 stands for. Files, copies and pickles
        keep them; ``model.classes[i]`` is the label of class i.

        Examples
        --------
        >>> import fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(4,))
        >>> model.classes = ["setosa", "versicolor", "virginica"]
        >>> model.classes[model.predict([[5.1, 3.5, 1.4, 0.2]]).argmax()] in model.classes
        True
        >>> model.classes = ["setosa", "versicolor"]
        Traceback (most recent call last):
        ValueError: classes: expected 3 different labels, one for each output, got 2
        """
        return self._classes

    @classes.setter
    def classes(self, labels: Sequence[Any] | None) -> None:
        if labels is None:
            self._classes = None
            return
        labels = tuple(label.item() if hasattr(label, "item") else label for label in labels)
        if self.output_shape and isinstance(self.output_shape[0], tuple):
            raise ValueError(f"classes: expected a model with one output, this one has {len(self.output_shape)}")
        n = max(self.output_shape[-1] or 0, 2) if self.output_shape else 2
        if len(labels) != n or len(set(labels)) != n:
            got = f"got {len(labels)}" if len(labels) != n else f"got {labels!r:.200}"
            raise ValueError(f"classes: expected {n} different labels, one for each output, {got}")
        if wrong := [label for label in labels if type(label) not in KINDS]:
            raise TypeError(f"classes: expected strings or numbers, got {wrong[0]!r:.80}")
        self._classes = labels

    @property
    def columns(self) -> Columns | None:
        """The columns of the table that the model was trained on; None where it was no table.

        `fastnn train` sets them, so that `fastnn predict` finds the columns of another table by their names.
        """
        return self._columns

    @columns.setter
    def columns(self, columns: Columns | None) -> None:
        if columns is not None and len(columns.features) != math.prod(self.input_shape):
            raise ValueError(f"columns: expected {math.prod(self.input_shape)} inputs, got {len(columns.features)}")
        self._columns = columns

    def names_config(self) -> dict[str, Any]:
        """Classes and columns as plain data; empty where there are none."""
        classes = {} if self._classes is None else {"classes": list(self._classes)}
        return classes | ({} if self._columns is None else {"columns": self._columns.get_config()})

    def set_names(self, config: dict[str, Any]) -> None:
        """Take classes and columns from `names_config`."""
        self.classes, self.columns = config.get("classes"), None
        if "columns" in config:
            from .data.columns import Columns  # here, so that `import fastnn` need not wait for what few models have
            self.columns = Columns.from_config(config["columns"])
