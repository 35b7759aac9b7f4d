"""`write_report`: the sections of a report, one after the other, each of them there or with the reason why not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import checks
from ..history import History
from ..io.atomic import replacing
from ..page import escape, page
from . import classes, course, doctor, headline, network, numbers, players, settings, speed
from .style import STYLE
from .subject import Missing, Subject

Section = tuple[str, str, Callable[[Subject], str]]
FIRST: tuple[Section, ...] = (
    ("curves", "Curves", course.curves),
    ("doctor", "What the doctor found", doctor.findings),
    ("layers", "Layers", network.layers),
)
LAST: tuple[Section, ...] = (
    ("profile", "Where the time of a step goes", speed.profile),
    ("settings", "Settings", settings.settings),
    ("environment", "Environment", settings.environment),
)


def write_report(model: Any, path: str | os.PathLike[str], X: Any = None, y: Any = None, *,
                 sample_weight: Any = None, training: tuple | None = None, history: History | None = None,
                 title: str | None = None, data_name: str | None = None,
                 class_names: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
                 feature_names: Sequence[Any] | None = None, image_shape: tuple[int, ...] | None = None,
                 batch_size: int | None = None) -> None:
    """Write a report of a model, and of its training where the history is known: one HTML file.

    It has the outcome, curves, what the doctor found (`fastnn.diagnose`), the layers, for classes the confusion
    matrix, figures of each class, the worst errors and how sure the network is, for numbers predicted against
    true, where the time of a step goes, settings and environment. What cannot be said is said so, in a line.
    Pictures need matplotlib. The model stays as it is: what must train works on copies.

    Parameters
    ----------
    model : Model or GAN
        Compiled or not, trained or not.
    path : path-like
        The file; it is replaced only once the new one is complete.
    X, y, sample_weight : array_like, optional
        Labelled rows to judge the model by, best those that it has not seen, as `evaluate` takes them. By default
        those that the history holds: `fit`'s validation rows, or the rows trained on where there were none.
    training : tuple, optional
        ``(X, y)`` or ``(X, y, sample_weight)`` for the doctor and the profile; by default the rows that the
        history holds, or those to judge by.
    history : History, optional
        By default ``model.history``.
    title : str, optional
        Of the page.
    data_name : str, optional
        What the rows to judge by are called: "test images".
    class_names : sequence, optional
        By label; with several outputs a dict by output. By default ``model.classes``.
    feature_names : sequence, optional
        By column of X; by default those of the table that `fastnn train` read.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of images that are given as flat rows.
    batch_size : int, optional
        Rows of a step, for the doctor and the profile; by default as in the training, or 32 where nobody knows.

    Raises
    ------
    ValueError, TypeError
        For rows or names that do not fit the model, before any work.
    OSError
        If the file cannot be written; what was there is then untouched.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Standardize(), fnn.Dense(10, "softmax")], input_shape=(8, 8))
    >>> model.compile(metrics=["accuracy"])
    >>> history = model.fit(X[:1500], y[:1500], epochs=2, verbose=0)
    >>> write_report(model, "digits.html", X[1500:], y[1500:], data_name="test images")
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a file name, got {checks.describe(path)}")
    subject = Subject.of(model, X, y, sample_weight, training, history, data_name, class_names, feature_names,
                         image_shape, batch_size)
    title = "Training report" if title is None else title
    text = whole_page(subject, title)
    with replacing(path) as file:
        file.write(text.encode())


def whole_page(subject: Subject, title: str) -> str:
    """The HTML of a report."""
    parts = [(name, words, written(subject, make)) for name, words, make in sections(subject)]
    body = "\n".join([headline.headline(subject), *(
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(words)}</h2>\n{text}\n</section>'
        for name, words, text in parts)])
    links = "\n".join(f'<a href="#{name}">{escape(words)}</a>' for name, words, _ in parts)
    return page(title, body, nav=links, nav_label="sections", style=STYLE, footer=settings.footer())


def sections(subject: Subject) -> list[Section]:
    """Those of this model: what its outputs are decides which."""
    if subject.is_gan:
        return [FIRST[0], ("samples", "Generated samples", players.samples),
                ("layers", "Layers", players.layers), ("doctor", "What the doctor found", players.alone), *LAST[1:]]
    middle: list[Section] = []
    for i, name in enumerate(subject.output_names):
        of, at = (f" of {name}", f"-{i}") if len(subject.output_names) > 1 else ("", "")
        for make, word, words in ((classes, "classes", "Classes"), (numbers, "numbers", "Predicted against true")):
            if make.applies(subject, i):
                middle.append((word + at, words + of, lambda s, make=make, i=i: make.section(s, i)))  # type: ignore[misc]
    return [*FIRST, *(middle or [("outputs", "Predictions", headline.not_judged)]), *LAST]


def written(subject: Subject, make: Callable[[Subject], str]) -> str:
    """A section, or why it is not there."""
    try:
        return make(subject)
    except Missing as missing:
        return f'<p class="missing">Not here: {escape(missing)}.</p>'
