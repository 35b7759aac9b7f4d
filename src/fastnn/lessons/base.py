"""What a lesson is: an experiment, the figures it found, a picture, and words about them."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .. import checks

LARGEST = 58_000  # bytes of a picture that goes with few colours, if it must


class Results(NamedTuple):
    """What an experiment found: rows of a table, the header first, and figures by name for the text."""

    table: Sequence[Sequence[str]]
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Lesson:
    """An experiment of the course notes, measured here.

    Attributes
    ----------
    number : int
        Its place in the list.
    name, title : str
        What the command calls it, and in words.
    experiment : callable
        Does it, with the settings given; returns what `results` and `picture` take.
    results : callable
        Table and figures of what it returned.
    picture : callable
        Draws it; returns Axes.
    text : str
        A paragraph with the figures in braces.
    small : mapping
        Settings with which it takes about a second, for tests.
    ideas : tuple of str
        Headings of docs/concepts.md that it shows.

    Examples
    --------
    >>> from fastnn.lessons import LESSONS
    >>> lesson = LESSONS["slowdown"]
    >>> done = lesson.run(epochs=60)
    >>> done.table[0]
    ['cost', 'at the start', 'after 50 epochs', 'after 60 epochs', 'epochs until below 0.5']
    """

    number: int
    name: str
    title: str
    experiment: Callable[..., Any]
    results: Callable[[Any], Results]
    picture: Callable[[Any], Any]
    text: str
    small: Mapping[str, Any] = field(default_factory=dict)
    ideas: tuple[str, ...] = ()

    def run(self, **settings: Any) -> Done:
        """Do the experiment."""
        return self.told(self.experiment(**settings))

    def told(self, found: Any) -> Done:
        """Table, figures and words of what the experiment returned."""
        table, figures = self.results(found)
        words = " ".join(self.text.split()).format(**figures)
        return Done(self, found, [list(map(str, row)) for row in table], dict(figures), words)

    @property
    def program(self) -> str:
        """The lines of Python that do the experiment and draw the picture, as a program of its own."""
        source = inspect.getsource(sys.modules[self.experiment.__module__])
        imports, functions = [], []
        for node in ast.parse(source).body:
            text = ast.get_source_segment(source, node) or ""
            if isinstance(node, ast.Import) or isinstance(node, ast.ImportFrom) and not node.level:
                imports.append(text)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name != self.results.__name__:
                functions.append(text)
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) != "LESSON":
                functions.append(text)
        start = f'"""{self.title}: what `fastnn lesson {self.name}` does."""\n' + "\n".join(imports)
        end = f'found = experiment()\nplot.save(picture(found), "{self.name}.png")\n'
        return "\n\n\n".join([start, *functions, end])


@dataclass(frozen=True)
class Done:
    """A lesson that was run.

    Attributes
    ----------
    lesson : Lesson
        Which.
    found : object
        What the experiment returned.
    table : list of list of str
        The header and the rows.
    figures : dict
        By name.
    words : str
        The paragraph, with the figures.

    Examples
    --------
    >>> from fastnn.lessons import LESSONS
    >>> print(str(LESSONS["slowdown"].run(epochs=60)).splitlines()[0])
    1. Learning slowdown
    """

    lesson: Lesson
    found: Any
    table: list[list[str]]
    figures: dict[str, Any]
    words: str

    def save(self, folder: Path) -> list[Path]:
        """Write NAME.png and NAME.py; returns their paths."""
        from .. import plot

        picture, program = folder / f"{self.lesson.name}.png", folder / f"{self.lesson.name}.py"
        axes = self.lesson.picture(self.found)
        for colours in (64, 32):
            plot.save(axes, picture, colours)
            if picture.stat().st_size < LARGEST:
                break
        program.write_text(self.lesson.program, encoding="utf-8")
        return [picture, program]

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.table, strict=True)]
        rows = ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                          for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                for row in self.table]
        return "\n".join([f"{self.lesson.number}. {self.lesson.title}", "", *rows, "",
                          textwrap.fill(self.words, 100)])


def first_below(values: Any, limit: float) -> float | str:
    """How many steps until a value is below a limit, or "never".

    Examples
    --------
    >>> first_below([3.0, 1.0, 0.5], 1.5), first_below([3.0], 1.0)
    (1, 'never')
    """
    return next((i for i, value in enumerate(values) if value < limit), "never")


def registry(lessons: Sequence[Lesson]) -> dict[str, Lesson]:
    """Lessons by name, in the order of their numbers.

    Examples
    --------
    >>> registry([])
    {}
    """
    return {lesson.name: lesson for lesson in sorted(lessons, key=lambda lesson: lesson.number)}


def find(name: str, lessons: Mapping[str, Lesson]) -> Lesson:
    """A lesson by its name or its number.

    Examples
    --------
    >>> from fastnn.lessons import LESSONS
    >>> find("1", LESSONS).name
    'slowdown'
    """
    numbers = {str(lesson.number): key for key, lesson in lessons.items()}
    return checks.lookup("lesson", numbers.get(name, name), lessons)
