"""Model files: what they hold, what is refused at save, and that no damage goes unseen."""
import json
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import catalogue
from fastnn.io import model_file, records
from fastnn.layers import LAYERS
from fastnn.losses import LOSSES
from fastnn.optimizers import OPTIMIZERS
from fastnn.schedules import SCHEDULES


def trained(seed=0):
    rng = np.random.default_rng(seed)
    layers = [fnn.Standardize(), fnn.Dense(5, "tanh"), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, (4,), seed=seed)
    model.compile(fnn.Adam(0.01), metrics=["accuracy"])
    model.fit(rng.normal(size=(20, 4)), rng.integers(0, 3, 20), epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    trained().save(path)
    return path.read_bytes()


def load(content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    return fnn.load(path)


def refused(content, tmp_path, words):
    with pytest.raises(fnn.ModelFileError, match=f"model.safetensors: .*{words}") as caught:
        load(content, tmp_path)
    return caught.value


def parts(content):
    """The header as an object, its description likewise, and the arrays' bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    return header, json.loads(header["__metadata__"]["fastnn"]), content[end:]


def assemble(header, description, arrays):
    """The bytes of a file with a header that is sealed anew: hostile rather than damaged."""
    description["checksums"]["header"] = records.NO_SUM
    header["__metadata__"]["fastnn"] = json.dumps(description)
    text = json.dumps(header).encode()
    return records.seal(struct.pack("<Q", len(text)) + text) + bytes(arrays)


# ---- what a file holds ----


def test_everything_comes_back(tmp_path):
    model = trained()
    model.save(tmp_path / "model")
    other = fnn.load(tmp_path / "model")
    assert other.get_config() == model.get_config()
    assert other.history.history == model.history.history and other.history.epoch == [0, 1]
    assert list(other.history.history) == list(model.history.history)
    assert (other.update_count, other.shuffles) == (model.update_count, model.shuffles)
    for mine, its in ((model.state_dict(), other.state_dict()), *zip(
            model._numbers.states(), other._numbers.states(), strict=True)):
        assert list(mine) == list(its)
        for name in mine:
            assert_same_bits(its[name], mine[name], name)


def test_any_safetensors_reader_sees_the_arrays(tmp_path):
    model = trained()
    model.save(tmp_path / "model")
    arrays = load_file(tmp_path / "model")
    for name, value in model.state_dict().items():
        assert_same_bits(arrays[f"model/{name}"], value, name)


def test_the_same_model_is_the_same_bytes(tmp_path, content):
    trained().save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content


@pytest.mark.parametrize("case", catalogue.cases(), ids=lambda case: case.title)
def test_everything_registered(case, tmp_path):
    """Every layer, activation, loss, regularizer, constraint and clipping, and its numbers."""
    model, (X, y) = case.model("float32"), case.samples(9)
    model.fit(X, y, epochs=1, verbose=0)
    path = tmp_path / "model"
    if case.name == "custom":
        with pytest.raises(ValueError, match="layer 'dense': its activation is a Python function"):
            model.save(path)
        return
    model.save(path)
    other = fnn.load(path)
    several = len(model.output_names) > 1
    for mine, its in zip(*(m.predict(X) if several else [m.predict(X)] for m in (model, other)), strict=True):
        assert_same_bits(its, mine)
    assert other.evaluate(X, y) == model.evaluate(X, y)
    assert other.fit(X, y, verbose=0).history == model.fit(X, y, verbose=0).history
    for name, value in model.state_dict().items():
        assert_same_bits(other.state_dict()[name], value, name)


def test_every_layer_has_a_case():
    assert {case.covers for case in catalogue.LAYER_CASES} >= set(LAYERS.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on(name, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    model = fnn.Sequential([fnn.Dense(5, "tanh"), fnn.Dense(3, "softmax")], (4,))
    model.compile(OPTIMIZERS[name](weight_decay=0.01, rate_factors={"dense": 0.5}, clipnorm=1.0))
    model.fit(X, y, epochs=2, batch_size=7, verbose=0)
    model.save(tmp_path / "model")
    other = fnn.load(tmp_path / "model")
    assert repr(other.optimizer) == repr(model.optimizer)
    for a in (model, other):
        a.fit(X, y, epochs=2, batch_size=7, verbose=0)
    for name, value in model.state_dict().items():
        assert_same_bits(other.state_dict()[name], value, name)


SCHEDULE_CASES = {
    "constant": fnn.ConstantRate(0.1), "warm_up": fnn.WarmUp(fnn.CosineDecay(0.1, total=9), updates=3),
    "exponential": fnn.ExponentialDecay(0.1, 0.5), "step": fnn.StepDecay(0.1, 0.5, every=3),
}


@pytest.mark.parametrize("name", SCHEDULE_CASES)
def test_schedules(name, tmp_path):
    model = fnn.Sequential([fnn.Dense(1)], (2,))
    model.compile(fnn.SGD(SCHEDULE_CASES[name]), "squared_error")
    model.save(tmp_path / "model")
    assert fnn.load(tmp_path / "model").optimizer.learning_rate == SCHEDULE_CASES[name]
    assert SCHEDULE_CASES.keys() <= SCHEDULES.keys() and len(LOSSES) > 10


# ---- what is refused at save ----


class Mine(fnn.Layer):
    def forward(self, builder, x, *, activate=True):
        return x

    def backward(self, builder, dy, *, need_dx):
        return dy


class MyOptimizer(fnn.SGD):
    pass


class MyRate(fnn.Schedule):
    def rates(self, updates):
        return np.full(len(updates), 0.1)


class MyLoss(fnn.SquaredError):
    name = "my_loss"


class MyPenalty(fnn.L2):
    pass


@pytest.mark.parametrize("layers, settings, words", [
    ([Mine()], {}, "layer 'mine': Mine is a class of yours.*LAYERS"),
    ([fnn.Dense(2, (np.sin, np.cos))], {}, r"layer 'dense': its activation is a Python function \(sin\)"),
    ([fnn.Dense(2, kernel_regularizer=MyPenalty())], {}, "layer 'dense': MyPenalty is not registered.*REGULARIZERS"),
    ([fnn.Dense(2)], {"optimizer": MyOptimizer()}, "optimizer: MyOptimizer is a class of yours.*OPTIMIZERS"),
    ([fnn.Dense(2)], {"optimizer": fnn.SGD(lambda t: 0.1)}, "learning_rate is a Python function.*number"),
    ([fnn.Dense(2)], {"optimizer": fnn.SGD(MyRate())}, "learning_rate: MyRate is a class of yours"),
    ([fnn.Dense(2)], {"loss": MyLoss()}, "loss: MyLoss is a class of yours.*model.compile"),
    ([fnn.Dense(2)], {"loss": lambda y, t: (0, y)}, "loss: '.*' is a Python function.*model.compile"),
    ([fnn.Dense(2)], {"metrics": [np.linalg.norm]}, "metrics: 'norm' is a Python function.*model.compile"),
], ids=["layer", "activation", "penalty", "optimizer", "rate", "schedule", "loss class", "loss", "metric"])
def test_refused_by_name_with_what_to_do(layers, settings, words, tmp_path):
    (tmp_path / "model").write_text("before")
    for layer in layers:
        layer.input_shape = ()  # parameters of a test are made once
    model = fnn.Sequential(layers, (2,))
    if settings:
        model.compile(**{"loss": "squared_error", **settings})
    with pytest.raises(ValueError, match=words):
        model.save(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_text() == "before"


def test_a_registered_class_of_yours(tmp_path, monkeypatch):
    monkeypatch.setitem(LAYERS, "Mine", Mine)
    monkeypatch.setitem(OPTIMIZERS, "myoptimizer", MyOptimizer)
    model = fnn.Sequential([Mine(), fnn.Dense(2)], (2,))
    model.compile(MyOptimizer(0.5), "squared_error")
    model.save(tmp_path / "model")
    other = fnn.load(tmp_path / "model")
    assert type(other.layers[0]) is Mine and type(other.optimizer) is MyOptimizer


# ---- damage ----


def test_every_bit_counts(content, tmp_path):
    """One flipped bit, anywhere: bit i % 8 of byte i, for all bytes."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with open(path, "r+b") as file:
        for i, byte in enumerate(content):
            file.seek(i)
            file.write(bytes([byte ^ 1 << i % 8]))
            file.flush()
            with pytest.raises(fnn.ModelFileError, match="model.safetensors: "):
                fnn.load(path)
            file.seek(i)
            file.write(bytes([byte]))
    assert fnn.load(path).history.epoch == [0, 1]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, -1000, -4, -1])
def test_cut_short(content, tmp_path, size):
    refused(content[:size], tmp_path, "cut short|no safetensors file|damaged")


@pytest.mark.parametrize("more", [b"\0", b"\0" * 8, b"x" * 4096])
def test_trailing_bytes(content, tmp_path, more):
    refused(content + more, tmp_path, "longer than it should be")


def first_array(header):
    return next(name for name in header if name.startswith("model/"))


def test_damage_with_a_seal_that_fits(content, tmp_path):
    """A header that somebody wrote on purpose."""
    def refuse(change, words):
        header, description, arrays = parts(content)
        change(header, description)
        refused(assemble(header, description, arrays), tmp_path, words)

    def entry(**values):
        return lambda h, d: h[first_array(h)].update(values)

    assert load(assemble(*parts(content)), tmp_path).update_count == 2
    begin, end = parts(content)[0][first_array(parts(content)[0])]["data_offsets"]
    refuse(entry(data_offsets=[begin - 4, end - 4]), "must not overlap or leave gaps")
    refuse(entry(data_offsets=[begin, begin]), "bytes, the header gives it 0")
    refuse(entry(data_offsets=[end, begin]), "the header gives it -")
    refuse(entry(data_offsets=[begin]), "lists of whole numbers")
    refuse(entry(shape=[1 << 62]), "takes .* bytes, the header gives it")
    refuse(entry(shape=[0, 1 << 40, 1 << 40]), "the header gives it")
    refuse(entry(shape=[-3]), "lists of whole numbers")
    refuse(entry(shape=[2.5]), "lists of whole numbers")
    refuse(entry(shape=[True]), "lists of whole numbers")
    refuse(entry(shape=[1] * 33), "lists of whole numbers")
    refuse(entry(dtype="BF16"), "unknown dtype 'BF16'")
    refuse(entry(dtype=7), "unknown dtype 7")
    refuse(entry(more=1), "expected dtype, shape and data_offsets")
    refuse(lambda h, d: h.pop(first_array(h)), "gaps|one checksum for each")
    refuse(lambda h, d: d["checksums"]["arrays"].update(x=0), "one checksum for each array")
    refuse(lambda h, d: d["checksums"]["arrays"].update({first_array(h): 0}), "its checksum does not fit")
    refuse(lambda h, d: h["__metadata__"].update(other="x"), "metadata of fastnn's alone")
    refuse(lambda h, d: d.update(kind="estimator"), "holds an estimator, expected a model.*load_estimator")
    refuse(lambda h, d: d.update(kind=3), "with a kind")


@pytest.mark.parametrize("change, words", [
    (lambda d: d.update({"class": "Net"}), "KeyError: 'Net'"),
    (lambda d: d["model"]["layers"][1].update({"class": "os.system"}), "unknown class of a layer 'os.system'"),
    (lambda d: d["model"]["layers"][1].update(units=6), r"dense.weight: the layers make its shape \(4, 6\)"),
    (lambda d: d["model"]["layers"][1].update(units=10**15), r"dense.weight must have at most 2\*\*40 numbers"),
    (lambda d: d["model"].update(input_shape=[10**12, 10**12, 3]), "standardize.mean must have at most"),
    (lambda d: d["model"]["layers"].append({"class": "Dense", "units": 2}), "dense_2.weight.*None"),
    (lambda d: d["model"]["layers"].pop(), "dense_1.bias.*None"),
    (lambda d: d["model"].update(dtype="float64"), "expected arrays of float64"),
    (lambda d: d["model"].update(dtype="int32"), "dtype must be"),
    (lambda d: d["model"].update(layers=3), "TypeError"),
    (lambda d: d.pop("model"), "KeyError"),
    (lambda d: d.update(update_count=-1), "expected counts"),
    (lambda d: d.update(update_count=1.5), "expected counts"),
    (lambda d: d.update(shuffles=True), "expected counts"),
    (lambda d: d.update(compiled=None), "optimizer"),
    (lambda d: d["compiled"]["optimizer"].update(name="sgd", beta_1=0.5), "beta_1"),
    (lambda d: d["compiled"]["optimizer"].update(learning_rate=-1), "learning_rate"),
    (lambda d: d["compiled"]["losses"][0].update(name="eval"), "KeyError: 'eval'"),
    (lambda d: d["compiled"].update(metrics=["os.remove"]), "unknown metric"),
    (lambda d: d.update(logs=["loss", "val_loss"]), "val_loss"),
    (lambda d: d.update(logs=["loss"]), "history/logs/accuracy"),
])
def test_descriptions_that_do_not_fit(content, tmp_path, change, words):
    header, description, arrays = parts(content)
    change(description)
    refused(assemble(header, description, arrays), tmp_path, words)


def test_other_versions_and_other_programs(content, tmp_path):
    header, description, arrays = parts(content)
    for version, words in ((3, "format 3, .* install a newer fastnn-cpu"), (1, "format 1, .* save it anew"),
                           (None, "format None"), ("2", "format '2'"), (2.0, "format 2.0"),
                           (True, "format True")):
        refused(assemble(header, description | {"format": version}, arrays), tmp_path, words)
    refused(save({"w": np.zeros(3)}), tmp_path, "not one of fastnn's")
    refused(save({"w": np.zeros(3)}, {"fastnn": "{}"}), tmp_path, "format None")
    refused(b"PK\x03\x04" + bytes(100), tmp_path, "no safetensors file.*looks like a zip archive")
    refused(b"\x89HDF\r\n\x1a\n" + bytes(100), tmp_path, "looks like an HDF5 file")
    refused(b"\x80\x04\x95" + bytes(100), tmp_path, "looks like a pickle")
    refused(b"", tmp_path, "begins with nothing, has 0 bytes")


def sealed(text, description=None):
    """A file of this header alone."""
    if description is not None:
        text = json.dumps({"__metadata__": {"fastnn": description}})
    return struct.pack("<Q", len(text)) + text.encode()


@pytest.mark.parametrize("file, words", [
    (sealed('{"__metadata__": {"a": "b"}, "__metadata__": {}}'), "the name '__metadata__' twice"),
    (sealed("", '{"format": 2, "format": 2}'), "the name 'format' twice"),
    (sealed("", '{"model": {"units": 1, "units": 1}}'), "the name 'units' twice"),
    (sealed("[" * 100_000), "no JSON"), (sealed("", "[" * 100_000), "no JSON"),
    (sealed("[]"), "expected a JSON object, got list"), (sealed("", "3"), "expected a JSON object, got int"),
    (sealed('{"a": ' + "9" * 5000 + "}"), "no JSON"), (sealed("{}"), "not one of fastnn's"),
    (sealed('{"__metadata__": {"fastnn": 3}}'), "not one of fastnn's"),
    (sealed("", '{"format": 2}'), "no checksum"),
    (sealed("", '{"format": 2, "checksums": {"header": 0}}'), "no checksum"),
    (sealed("", '{"format": 2, "checksums": {"header": "00"}}'), "its checksum does not fit"),
    (struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc", "no JSON"),
    (sealed("", '{"logs": ["\\ud800"]}'), "no JSON.*surrogates"),
    (struct.pack("<Q", 1 << 63) + b"{}", "no safetensors file"),
    (struct.pack("<Q", records.MAX_HEADER + 1) + bytes(records.MAX_HEADER + 1), "no safetensors file"),
])
def test_headers(file, words, tmp_path):
    refused(file, tmp_path, words)


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        fnn.load(tmp_path / "none")
    with pytest.raises(OSError):
        fnn.load(tmp_path)


LOAD = """
import re, sys
import fastnn as fnn

def peak():  # of this process alone: getrusage counts what it was forked from
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])

fnn.Sequential([fnn.Dense(3)], (2,)).save(sys.argv[1] + ".small")
fnn.load(sys.argv[1] + ".small").predict([[1.0, 2.0]])  # the modules are in memory now
before = peak()
model = fnn.load(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("trained", [False, True])
def test_memory(trained, tmp_path):
    """Reading takes at most twice the file's size, the model and its optimizer's state included."""
    n = 2500 if trained else 4000
    model = fnn.Sequential([fnn.Dense(n, use_bias=False)], (n,))
    if trained:
        model.compile("adam", "mse")
        model.train_on_batch(np.ones((1, n)), np.ones((1, n)))
    model.save(tmp_path / "model")
    size = os.path.getsize(tmp_path / "model")
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(fnn.__file__))}
    run = subprocess.run([sys.executable, "-c", LOAD, str(tmp_path / "model")], capture_output=True, text=True,
                         env=environment)
    assert run.returncode == 0, run.stderr
    small = 1 << 22  # for Python's own objects
    assert size > 60e6 and 1.5 * size < int(run.stdout) < 2 * size + small, f"{int(run.stdout) / size:.2f} times"


def test_names_of_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = fnn.Sequential([fnn.Dense(2, name="größe")], (2,))
    for path in ("plain", b"bytes", "mit Umlaut ü", tmp_path / "a" / ".." / "path"):
        (tmp_path / "a").mkdir(exist_ok=True)
        model.save(path)
        assert fnn.load(path).layers[0].name == "größe"
    assert re.search("größe", str(list(model_file.arrays_of(model))))


def test_a_model_without_numbers(tmp_path):
    fnn.Sequential([fnn.Flatten()], (2, 3)).save(tmp_path / "model")
    assert fnn.load(tmp_path / "model").output_shape == (6,)
