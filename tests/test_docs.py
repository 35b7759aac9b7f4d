"""docs/concepts.md: its examples run, its tables are what is registered, and every idea is whole."""

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

from fastnn import (
    activations,
    diagnostics,
    initializers,
    layers,
    lessons,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "concepts.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not here")

REGISTRIES = {
    "activations": activations.ACTIVATIONS | activations.ROW_ACTIVATIONS, "losses": losses.LOSSES,
    "optimizers": optimizers.OPTIMIZERS, "schedules": schedules.SCHEDULES,
    "initializers": initializers.INITIALIZERS, "regularizers": regularizers.REGULARIZERS,
    "constraints": regularizers.CONSTRAINTS, "layers": layers.LAYERS, "metrics": metrics.METRICS,
    "rules": diagnostics.RULES,
}
IDEAS = [  # at least these, by their headings
    "universality", "saturation", "dead ReLU", "softmax", "quadratic cost", "learning slowdown",
    "cross-entropy", "easy gradient", "softmax or sigmoid", "backpropagation", "gradient checking",
    "vanishing", "exploding", "clipping", "Xavier and He", "mini-batch", "momentum", "bias correction",
    "saddle", "L-BFGS", "weight averaging", "range test", "schedules", "reduce on plateau", "overfitting",
    "L2 and L1", "max-norm", "dropout", "Gaussian noise", "early stopping", "input normalisation",
    "whitening", "hyper-parameter", "sanity checks", "diagnosis", "own", "rates by layer",
    "size of an update", "KL divergence", "label smoothing", "focal", "outliers", "hinge", "counts",
    "loss of your own", "class weights", "the V", "frozen", "batch normalisation", "running statistics",
    "layer normalisation", "group normalisation", "instance normalisation", "augmentation", "pooling", "enlarging",
    "recurrent networks", "through time", "LSTM", "GRU", "unequal length", "both directions", "embeddings",
    "perplexity", "residual", "multi-task", "adversarial", "transfer learning", "fine-tuning",
]


def page():
    return PAGE.read_text(encoding="utf-8")


def sections():
    """(heading, text) of every idea."""
    parts = re.split(r"^### (.+)\n", page(), flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def examples(text):
    return "".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


NAMES = [heading for heading, _ in sections()] if PAGE.is_file() else []


@pytest.fixture(scope="module")
def prelude():
    """What the page's first lines define."""
    first = page().split("\n## ")[0]
    scope = {}
    source = "\n".join(line[4:] for line in examples(first).splitlines())
    exec(compile(source, "concepts.md", "exec"), scope)
    return scope


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name, prelude, tmp_path, monkeypatch):
    """And print what the page says they do."""
    monkeypatch.chdir(tmp_path)
    text = examples(dict(sections())[name])
    test = doctest.DocTestParser().get_doctest(text, dict(prelude), name, str(PAGE), 0)
    assert test.examples, "no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    told = []
    runner.run(test, out=told.append)
    assert runner.failures == 0, "".join(told)


@pytest.mark.parametrize("name", NAMES)
def test_every_idea_is_whole(name):
    """A formula, the name here, where it comes from, an example of few lines."""
    text = dict(sections())[name]
    for label in ("Formula", "In fastnn", "Source"):
        assert len(re.findall(rf"^- \*\*{label}\*\*: .+", text, re.MULTILINE)) == 1, label
    assert "`" in re.search(r"\*\*In fastnn\*\*: (.+)", text)[1]
    assert 1 <= examples(text).count(">>> ") <= 6


@pytest.mark.parametrize("idea", IDEAS)
def test_ideas_are_there(idea):
    assert any(idea.lower() in heading.lower() for heading in NAMES)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_everything_registered_is_there(kind):
    prefix = "fnn." if kind == "layers" else ""
    missing = [name for name in REGISTRIES[kind] if f"| `{prefix}{name}` |" not in page()]
    assert not missing, "python docs/tables.py writes the tables anew"


def test_tables_are_up_to_date():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert set(tables.TABLES) == set(re.findall(r"<!-- table: (\w+) -->", page()))
    assert tables.filled(page()) == page(), "python docs/tables.py writes them anew"


def test_every_lesson_is_linked():
    """From each idea that it shows."""
    text = dict(sections())
    for lesson in lessons.LESSONS.values():
        for idea in lesson.ideas:
            assert f"`fastnn lesson {lesson.name}`" in text[idea], (lesson.name, idea)


@pytest.mark.skipif(not (DOCS / "images").is_dir(), reason="an sdist leaves the pictures out")
def test_pictures():
    """Small, made by docs/pictures.py, and where the pages say they are."""
    plot = pytest.importorskip("fastnn.plot")
    images = {path.stem for path in (DOCS / "images").iterdir()}
    helpers = {"colour", "curves", "figure", "save"}
    assert images == set(plot.__all__) - helpers | {"report"} | {f"lesson-{name}" for name in lessons.LESSONS}, \
        "python docs/pictures.py makes them anew"
    for path in (DOCS / "images").iterdir():
        assert path.stat().st_size < 60_000, path
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.read_bytes()[25] == 3, "expected a palette"
    for text, folder in ((page(), ""), ((DOCS / "pictures.md").read_text(), ""),
                         ((DOCS.parent / "README.md").read_text(), "docs/")):
        shown = re.findall(rf"\]\({folder}images/([\w-]+)\.png\)", text)
        assert shown and set(shown) <= images
    drawn = set(re.findall(r"^## plot\.(\w+)$", (DOCS / "pictures.md").read_text(), re.MULTILINE))
    assert drawn == set(plot.__all__) - helpers
    assert set(re.findall(r"\[`plot\.(\w+)`\]\(pictures\.md#plot\1\)", page())) <= drawn
    assert page().count("(pictures.md#") == len(re.findall(r"\[`plot\.(\w+)`\]\(pictures\.md#plot\1\)", page()))


def test_links_inside_the_page():
    """Every anchor is a heading."""
    headings = re.findall(r"^#+ (.+)$", page(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", page())) <= anchors
