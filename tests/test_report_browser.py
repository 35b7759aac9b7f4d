"""Reports and lessons as a browser shows them, at a desk's and at a phone's width, light and dark."""
import numpy as np
import pytest

import fastnn as fnn
from browser import measured, needs_chromium, screenshot
from fastnn.lessons import LESSONS
from fastnn.lessons.site import write_site
from reports import X_TEST, Y_TEST, X, Y, classifier, network, table_data

pytestmark = needs_chromium
WIDTHS = (1280, 390)
LONG = "a name without a space is longer than any phone is wide ".replace(" ", "_") * 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Reports of a good classifier and of a sick network with long names, of numbers, and a lesson's page."""
    folder = tmp_path_factory.mktemp("pages")
    history = classifier().fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    history.report(folder / "good.html", X_TEST, Y_TEST)
    layers = [fnn.Dense(9, "sigmoid", kernel_initializer="standard_normal", name=f"{LONG}{i}") for i in range(3)]
    sick = network(*layers, fnn.Dense(3, "softmax"), shape=(30,), optimizer=fnn.SGD(50.0))
    rows = table_data(300, 30)
    sick.fit(rows, rows[:, :3].argmax(1), epochs=1, verbose=0).report(
        folder / "sick.html", title=LONG, class_names=[f"{i}{LONG}" for i in range(3)],
        feature_names=[f"{LONG}{i}" for i in range(30)])
    numbers = network(fnn.Dense(2), shape=(30,), loss="squared_error")
    numbers.fit(rows, rows[:, :2], epochs=1, verbose=0).report(folder / "numbers.html")
    write_site([LESSONS["slowdown"].run(epochs=60)], folder / "site")
    text = (folder / "site" / "slowdown.html").read_text(encoding="utf-8")
    (folder / "lesson.html").write_text(text.replace('src="', f'src="{(folder / "site").as_uri()}/'), encoding="utf-8")
    return folder


NAMES = ("good", "sick", "numbers", "lesson")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_fits_and_is_readable(folder, dark):
    """No page scrolls sideways, every image is there, text is large and stands out, nothing is fetched."""
    texts = [(folder / f"{name}.html").read_text(encoding="utf-8") for name in NAMES]
    found = measured(texts, WIDTHS, folder, dark)
    cases = [(name, width) for name in NAMES for width in WIDTHS]
    assert len(found) == len(cases)
    for (name, width), seen in zip(cases, found, strict=True):
        case = f"{name} at {width}: {seen}"
        assert seen["width"] == width and seen["dark"] == dark, case
        assert seen["scroll"] <= width and not seen["outside"] and not seen["clipped"], case
        assert seen["contrast"][0] >= 4.5, case  # WCAG 2.2, 1.4.3
        assert seen["smallest"] >= 12, case
        assert seen["images"] > 0 and seen["tables"] > 0 and seen["height"] > 900, case
        if name != "lesson":  # which has its picture in a file beside it
            assert not seen["broken"] and not seen["fetched"], case


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_is_drawn(folder, tmp_path, width, dark):
    """What is on the screen is no blank page, from the top to the bottom."""
    from PIL import Image

    height = 3000
    screenshot(folder / "good.html", tmp_path / "page.png", width, height, dark)
    with Image.open(tmp_path / "page.png") as image:
        assert image.size == (width, height)
        grey = np.asarray(image.convert("L"), float)
        colours = len(image.convert("RGB").getcolors(width * height))
    paper = np.median(grey)
    assert paper < 60 if dark else paper > 200
    drawn = (np.abs(grey - paper) > 60).reshape(10, -1).mean(axis=1)  # of each tenth
    assert colours > 100 and (drawn > 0.002).all() and drawn.mean() < 0.5, drawn
