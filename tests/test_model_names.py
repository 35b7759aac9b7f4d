"""The classes and columns of a model: what may be set, and that files, copies, pickles and checkpoints keep them."""
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data.columns import Column, Columns
from fastnn.io import model_file, records

COLUMNS = Columns((Column("size"), Column("colour", ("green", "red"))), "price", True)


def network(n_out=3, activation="softmax"):
    model = fnn.Sequential([fnn.Dense(n_out, activation)], input_shape=(3,))
    model.compile(loss="cross_entropy")
    return model


@pytest.fixture
def named():
    model = network()
    model.classes, model.columns = ["low", "middle", "high"], COLUMNS
    return model


def test_everything_keeps_them(named, tmp_path):
    named.save(tmp_path / "model")
    X, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3
    named.fit(X, y, epochs=1, verbose=0, checkpoint=tmp_path / "run")
    checkpoint = next(path for path in (tmp_path / "run").iterdir() if path.suffix == ".safetensors")
    for kept in (fnn.load(tmp_path / "model"), fnn.load(checkpoint), named.copy(), named.copy("float64"),
                 pickle.loads(pickle.dumps(named))):
        assert kept.classes == ("low", "middle", "high") and kept.columns == COLUMNS
    assert network().classes is None and network().columns is None
    cut = named.extend([fnn.Dense(2)])
    assert cut.classes is None  # other outputs


@pytest.mark.parametrize("labels", [("a", "b", "c"), (1, 5, 7), (0.5, 1.5, 2.0), ("a", 2, True), np.array([3, 1, 2])])
def test_labels_of_every_kind(labels, tmp_path):
    model = network()
    model.classes = labels
    model.save(tmp_path / "model")
    loaded = fnn.load(tmp_path / "model")
    assert loaded.classes == tuple(labels) and all(type(a) is type(b) for a, b in
                                                   zip(loaded.classes, model.classes, strict=True))
    model.classes = None
    model.save(tmp_path / "model")
    assert fnn.load(tmp_path / "model").classes is None


def test_one_output_has_two():
    model = network(1, "sigmoid")
    model.classes = ["no", "yes"]
    assert model.classes == ("no", "yes")
    with pytest.raises(ValueError, match="expected 2 different labels, one for each output, got 1"):
        model.classes = ["yes"]


def test_what_is_refused():
    model = network()
    for labels, error, words in ((["a", "b"], ValueError, "expected 3 different labels, .* got 2"),
                                 (["a", "a", "b"], ValueError, "got \\('a', 'a', 'b'\\)"),
                                 ([(1,), (2,), (3,)], TypeError, "expected strings or numbers, got \\(1,\\)")):
        with pytest.raises(error, match=f"classes: .*{words}"):
            model.classes = labels
    with pytest.raises(ValueError, match="columns: expected 3 inputs, got 2"):
        model.columns = Columns((Column("a"), Column("b")), "c", True)
    x = fnn.Input((2,))
    with pytest.raises(ValueError, match="classes: expected a model with one output, this one has 2"):
        fnn.Model(x, [fnn.Dense(2)(x), fnn.Dense(2)(x)]).classes = ["a", "b"]


@pytest.mark.parametrize("names", [
    None, [], {}, "x", {"classes": 3}, {"classes": ["a", "b"]}, {"classes": ["a", "a", "b"]},
    {"classes": ["a", "b", []]}, {"classes": ["a", "b", "c"], "more": 1}, {"columns": None}, {"columns": {}},
    {"columns": {"inputs": []}},
    {"columns": {"inputs": [["a", None]], "target": "c", "header": True}},
    {"columns": {"inputs": [["a", None], ["b", [1, 2]]], "target": "c", "header": True}}])
def test_hostile_files(named, names, tmp_path):
    """What a file says of them must be what a model can have; anything else is the one error."""
    description = model_file.describe(named) | {"names": names}
    records.write(tmp_path / "model", records.Record("model", description, model_file.arrays_of(named)))
    with pytest.raises(fnn.ModelFileError):
        fnn.load(tmp_path / "model")
