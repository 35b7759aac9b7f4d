"""What the columns of a table are to a model: inputs by name, names as one-hot columns, a target, its classes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .tables import Table, TextColumn

__all__ = ["Column", "Columns", "MOST_CATEGORIES", "choose_columns", "labels_of"]

MOST_CATEGORIES = 100  # a column of text with more different values is no kind of anything: names, dates, notes


@dataclass(frozen=True)
class Column:
    """An input: a number, or one of some categories, each of which is 0 or 1 to the model.

    Examples
    --------
    >>> Column("colour", ("green", "red")).features
    ('colour=green', 'colour=red')
    """

    name: str
    categories: tuple[str, ...] | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the numbers that the model gets."""
        return (self.name,) if self.categories is None else tuple(f"{self.name}={c}" for c in self.categories)


@dataclass(frozen=True)
class Columns:
    """The columns that a model was trained on; a model file keeps them.

    Attributes
    ----------
    inputs : tuple of Column
        In the order that the model takes them in.
    target : str
        The column that it says.
    header : bool
        Whether the names are the file's own, and not numbers.

    Examples
    --------
    >>> columns = Columns((Column("size"), Column("colour", ("green", "red"))), "price", True)
    >>> columns.features
    ('size', 'colour=green', 'colour=red')
    >>> Columns.from_config(columns.get_config()) == columns
    True
    """

    inputs: tuple[Column, ...]
    target: str
    header: bool

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the model's inputs, those of a column of names one by one."""
        return tuple(feature for column in self.inputs for feature in column.features)

    @property
    def text(self) -> tuple[str, ...]:
        """Names of the columns that are categories."""
        return tuple(column.name for column in self.inputs if column.categories is not None)

    def get_config(self) -> dict[str, Any]:
        """The columns as plain data."""
        return {"inputs": [[column.name, None if column.categories is None else list(column.categories)]
                           for column in self.inputs], "target": self.target, "header": self.header}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Columns:
        """The columns from `get_config`.

        Raises
        ------
        ValueError
            If it is nothing that `get_config` gives.
        """
        inputs = tuple(Column(name, None if categories is None else tuple(categories))
                       for name, categories in config["inputs"])
        columns = cls(inputs, config["target"], config["header"])
        names = [columns.target, *(name for c in inputs for name in (c.name, *(c.categories or ())))]
        if not all(type(name) is str for name in names) or type(columns.header) is not bool:
            raise ValueError(f"columns: expected names, got {names!r:.80}")
        if columns.get_config() != config or len({c.name for c in inputs}) < len(inputs):
            raise ValueError(f"columns: expected inputs of different names, a target and a header, got {config!r:.80}")
        return columns

    def places(self, table: Table, leave_out: Collection[int] = ()) -> list[int]:
        """Where a table has each input: by name; by order where one of the two has no names.

        Parameters
        ----------
        table : Table
            Another table, in any order, with more columns or not.
        leave_out : collection of int
            Columns that are no inputs, whatever their names.
        """
        free = [i for i in range(len(table.names)) if i not in leave_out]
        by_name = {table.names[i]: i for i in free}
        missing = [column.name for column in self.inputs if column.name not in by_name]
        if not missing:
            return [by_name[column.name] for column in self.inputs]
        if not (self.header and table.header) and len(free) == len(self.inputs):
            return free
        got = "" if table.header else " (it has no header: say --header if its first line has the names)"
        raise ValueError(f"{table.path}: expected the columns that the model was trained on; there is no "
                         f"{', '.join(map(repr, missing)):.300} among {', '.join(map(repr, by_name)):.300}{got}")

    def encode(self, table: Table, leave_out: Collection[int] = ()) -> np.ndarray:
        """The model's inputs from a table, (n, features) float64.

        Raises
        ------
        ValueError
            If a column is not there, or a value is missing, is no number or a category that is not known.

        Examples
        --------
        >>> table = Table("t.csv", ("colour", "size"), (TextColumn(["red"], np.array([0])), np.array([3.0])), True,
        ...               ",", np.array([2]))
        >>> Columns((Column("size"), Column("colour", ("green", "red"))), "price", True).encode(table)
        array([[3., 0., 1.]])
        """
        X = np.zeros((len(table), len(self.features)))
        start = 0
        for column, i in zip(self.inputs, self.places(table, leave_out), strict=True):
            if column.categories is None:
                X[:, start] = table.numbers(i)
            else:
                at = codes_of(table, i, column.categories, "categories")
                X[np.arange(len(table)), start + at] = 1.0
            start += len(column.features)
        return X


def choose_columns(table: Table, target: int, leave_out: Collection[int] = (),
                   categories: Collection[int] = ()) -> Columns:
    """What a table's columns are to a model that is to be trained on it; `categories` are text for sure.

    Raises
    ------
    ValueError
        If there is no input left, a value is missing, or a column of text has too many different values.

    Examples
    --------
    >>> table = Table("t.csv", ("colour", "size"), (TextColumn(["red"], np.array([0])), np.array([3.0])), True, ",",
    ...               np.array([2]))
    >>> choose_columns(table, target=1).inputs
    (Column(name='colour', categories=('red',)),)
    """
    inputs = []
    for i, name in enumerate(table.names):
        if i == target or i in leave_out:
            continue
        if isinstance(values := table.columns[i], np.ndarray):
            table.numbers(i)
            inputs.append(Column(name))
            continue
        table.require_complete(i)
        if i not in categories and table.is_spoilt(i):
            raise table.not_a_number(i, "; if these are names of something, say --categories with the column's name")
        if len(values.values) > MOST_CATEGORIES:
            raise table.error(f"expected numbers or at most {MOST_CATEGORIES} different names, got "
                              f"{len(values.values)}, such as {values.values[values.codes[0]]!r:.40}; leave the "
                              "column out with --ignore, or turn it into numbers", i, 0)
        inputs.append(Column(name, tuple(sorted(values.values))))
    if not inputs:
        raise ValueError(f"{table.path}: expected a column beside the target {table.names[target]!r}, got none; "
                         f"fields are taken to be between {table.delimiter!r}, say --delimiter if they are not")
    return Columns(tuple(inputs), table.names[target], table.header)


def labels_of(table: Table, column: int) -> tuple[Any, ...]:
    """The classes of a target column, in order: text, whole numbers as int, others as float.

    Examples
    --------
    >>> labels_of(Table("t.csv", ("y",), (np.array([2.0, 1.0, 2.0]),), True, ",", np.arange(3)), 0)
    (1, 2)
    """
    table.require_complete(column)
    values = table.columns[column]
    if isinstance(values, TextColumn):
        return tuple(sorted(values.values))
    return distinct(table.numbers(column))


def distinct(values: np.ndarray) -> tuple[Any, ...]:
    """The different values of an array in order, whole numbers as int."""
    found = np.unique(values)
    if found.dtype.kind == "f" and (found == np.rint(found)).all() and np.abs(found).max(initial=0) < 2**53:
        found = found.astype(np.int64)
    return tuple(found.tolist())


def codes_of(table: Table, column: int, known: Sequence[Any], what: str = "classes") -> np.ndarray:
    """The place of each row's value among those that are known."""
    table.require_complete(column)
    values, place = table.columns[column], {value: i for i, value in enumerate(known)}
    if isinstance(values, TextColumn):
        codes = np.array([place.get(value, -1) for value in values.values])[values.codes]
    else:
        places = np.array([place.get(value, -1) for value in np.unique(values).tolist()])
        codes = places[np.unique(values, return_inverse=True)[1]]
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        got = values.values[values.codes[row]] if isinstance(values, TextColumn) else f"{values[row]:g}"
        raise table.error(f"expected one of the {what} that the model knows, {', '.join(map(str, known)):.200}, got "
                          f"{got!r:.80}", column, row)
    return codes
