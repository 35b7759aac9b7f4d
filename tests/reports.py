"""What tests of reports share: small models, and a report written, looked at and taken apart."""
import numpy as np
import pytest

import fastnn as fnn
from fastnn import profiling
from fastnn.data import load_digits, train_test_split
from fastnn.report import write_report
from pages import check_page

pytest.importorskip("matplotlib", reason="the extra [plot] is not installed")
X, X_TEST, Y, Y_TEST = train_test_split(*load_digits())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Pictures are drawn, but not written, and profiles are short: those take most of the time."""
    monkeypatch.setattr("fastnn.plot.style.svg", lambda ax: "<svg/>")
    monkeypatch.setitem(profiling.profile.__kwdefaults__, "seconds", 0.01)


def network(*layers, shape=(8, 8), loss="cross_entropy", optimizer="adam", **settings):
    first = [fnn.Flatten(), fnn.Standardize()] if shape == (8, 8) else []
    model = fnn.Sequential([*first, *layers], input_shape=shape, seed=0)
    model.compile(optimizer, loss, **settings)
    return model


def classifier(**settings):
    return network(fnn.Dense(16, "relu"), fnn.Dense(10, "softmax"), metrics=["accuracy", "f1"], **settings)


def table_data(n=200, columns=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, columns))


def report(history_or_model, path, *data, **settings):
    """Write it, look at what every page must hold, return the page."""
    if isinstance(history_or_model, fnn.History):
        history_or_model.report(path, *data, **settings)
    else:
        write_report(history_or_model, path, *data, **settings)
    return check_page(path.read_text(encoding="utf-8"))


def outcome(page):
    return page.one("p", "outcome").text


def missing(page):
    return [p.text for p in page.all("p", "missing")]


def figures(page):
    """The exact numbers at the top, by name."""
    return {cell.all("dt")[0].text: float(cell.all("data")[0].attributes["value"])
            for cell in page.one("dl", "figures").children if cell.all("data")}
