"""Models as C headers: compiled without a warning, run, and compared with predict."""
import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import fastnn as fnn
from fastnn.activations import CUSTOM
from fastnn.catalogue import cases
from fastnn.inference import adapt
from fastnn.io.c_export import WRITERS
from fastnn.io.c_functions import FORMULAS
from fastnn.layers import LAYERS

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(not COMPILER, reason="there is no C compiler here to compile the header")
TOLERANCE = 1e-5  # what issue and page promise
FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wsign-conversion",
         "-Wdouble-promotion", "-Werror", "-O1"]


def compiled(model, folder):
    """The header as a function of a model's inputs, one sample each."""
    model.export_c(folder / "net.h")
    real = "float" if model.dtype == np.float32 else "double"
    tokens = [model._compiled.tokens(tensor) for tensor in model._graph.inputs]
    kinds = [*(f"const {'int' if whole else real}" for whole in tokens), *[real] * len(model._graph.outputs)]
    names = [f"p{i}" for i in range(len(kinds))]
    parameters = ", ".join(f"{kind} *{name}" for kind, name in zip(kinds, names, strict=True))
    (folder / "net.c").write_text(f'#include "net.h"\nvoid run({parameters});\nvoid run({parameters})\n'
                                  f"{{ net_predict({', '.join(names)}); }}\n")
    done = subprocess.run([COMPILER, *FLAGS, "-shared", "-fPIC", "net.c", "-o", "net.so", "-lm"], cwd=folder,
                          capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    function = ctypes.CDLL(str(folder / "net.so")).run
    shapes = [tensor.shape for tensor in model._graph.outputs]

    def predict(*samples):
        samples = [np.ascontiguousarray(x, np.intc if whole else model.dtype)
                   for x, whole in zip(samples, tokens, strict=True)]
        results = [np.full((*shape,), np.nan, model.dtype) for shape in shapes]
        function(*(ctypes.c_void_p(a.ctypes.data) for a in (*samples, *results)))
        return results
    return predict


CASES = [case for case in cases() if case.kind in ("layer", "activation") and case.name != CUSTOM]


def agrees(model, X, folder):
    run = compiled(model, folder)
    for x, want in zip(X, model.predict(X), strict=True):
        np.testing.assert_allclose(run(x)[0], want, 0, TOLERANCE)


@needs_compiler
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_catalogue(case, tmp_path):
    model, (X, _) = case.model("float32"), case.samples(3)
    adapt(model, X)
    agrees(model, X, tmp_path)


def test_every_layer_is_written():
    assert WRITERS.keys() == set(LAYERS.values())


@needs_compiler
def test_masks_and_states_in_double(tmp_path):
    """Tokens of which some do not count, states handed on, both ways, and pooling over the steps that count."""
    tokens, more = fnn.Input((5,), name="tokens"), fnn.Input((5, 2), name="more")
    y, h, c = fnn.LSTM(4, return_sequences=True, return_state=True)(fnn.Embedding(9, 3, mask_zero=True)(tokens))
    z, *states = fnn.LSTM(4, use_bias=False, return_sequences=True, return_state=True)([fnn.Dense(3, "gelu")(y), h, c])
    both, h1, h2 = fnn.Bidirectional(fnn.GRU(3, return_state=True), "ave")(fnn.TimeDistributed(fnn.BatchNorm())(z))
    masked = fnn.Masking(0.5)(more)
    rnn = fnn.SimpleRNN(3, fnn.LeakyReLU(0.2), reverse=True, return_sequences=True)(masked)
    gru = fnn.GRU(2, reset_after=False, use_bias=False)(fnn.Dropout(0.5)(rnn))
    pooled = [fnn.GlobalAveragePool1D()(rnn), fnn.GlobalMaxPool1D()(masked), fnn.GlobalMaxPool1D()(z)]
    out = fnn.Dense(3)(fnn.Concatenate()([both, h1, h2, gru, *states, *pooled]))
    model = fnn.Model([tokens, more], [out, y], dtype="float64", seed=1)
    run, rng = compiled(model, tmp_path), np.random.default_rng(0)
    X = rng.integers(0, 3, (6, 5)), rng.standard_normal((6, 5, 2))
    X[0][0], X[1][1], X[1][2, ::2] = 0, 0.5, 0.5
    want = model.predict(list(X))
    for i in range(6):
        for got, value in zip(run(X[0][i], X[1][i]), want, strict=True):
            np.testing.assert_allclose(got, value[i], 1e-12, 1e-14)
    assert "net_predict(const int *x_tokens, const double *x_more, double *" in (tmp_path / "net.h").read_text()


@needs_compiler
def test_lenet(tmp_path):
    layers = [fnn.Conv2D(6, 5, padding="same", activation="tanh"), fnn.MaxPool2D(2),
              fnn.Conv2D(16, 5, activation="relu"), fnn.MaxPool2D(2), fnn.Flatten(),
              fnn.Dense(120, "gelu"), fnn.BatchNorm(), fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, input_shape=(28, 28, 1))
    agrees(model, np.random.default_rng(0).random((3, 28, 28, 1)), tmp_path)


@needs_compiler
def test_graph_of_several_inputs_and_outputs_in_double(tmp_path):
    """Places in work are given back, and taken again while others are still needed."""
    a, b = fnn.Input((6, 5, 2), name="an image"), fnn.Input((4,), name="numbers")
    h = fnn.Conv2D(3, 3, padding="same", activation="relu")(a)
    h = fnn.Add()([h, fnn.Conv2D(3, 1)(h), h])
    row = fnn.Concatenate()([fnn.Flatten()(fnn.MaxPool2D(2)(h)), b, fnn.Dense(5)(b)])
    out = [fnn.Dense(3, "softmax", name="kind")(row), fnn.Multiply(name="size")([fnn.Dense(4)(row), b])]
    model = fnn.Model([a, b], out, dtype="float64")
    run, rng = compiled(model, tmp_path), np.random.default_rng(0)
    X = [rng.random((3, 6, 5, 2)), rng.random((3, 4))]
    want = model.predict(X)
    for i in range(3):
        for got, y in zip(run(X[0][i], X[1][i]), want, strict=True):
            np.testing.assert_allclose(got, y[i], 1e-12)
    text = (tmp_path / "net.h").read_text()
    assert "net_predict(const double *x_an_image, const double *x_numbers, double *y_kind, double *y_size)" in text


@needs_compiler
@pytest.mark.parametrize("name", FORMULAS)
def test_activations_far_out(name, tmp_path):
    model = fnn.Sequential([fnn.Activation(name)], input_shape=(13,), dtype="float64")
    x = np.array([-745, -100, -30, -6, -1, -1e-9, 0, 1e-9, 1, 6, 30, 100, 700.0])
    want = model.predict(x[np.newaxis])[0]
    np.testing.assert_allclose(compiled(model, tmp_path)(x)[0], want, 1e-13, 1e-300)


def test_formulas_are_all_there():
    assert FORMULAS.keys() == fnn.activations.ACTIVATIONS.keys() - {"identity"}


@needs_compiler
def test_two_networks_in_one_program(tmp_path):
    """Nothing in a header meets what is in another."""
    for name in ("one", "two"):
        fnn.Sequential([fnn.Dense(2, "relu")], input_shape=(2,)).export_c(tmp_path / f"{name}.h")
    (tmp_path / "main.c").write_text('#include "one.h"\n#include "two.h"\nint main(void)\n'
                                     "{ float x[2] = {0}, y[2]; one_predict(x, y); two_predict(y, x); return 0; }\n")
    subprocess.run([COMPILER, *FLAGS, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_the_place_of_a_value_is_used_again(tmp_path):
    model = fnn.Sequential([fnn.Dense(100) for _ in range(10)], input_shape=(100,))
    model.export_c(tmp_path / "net.h")
    assert "float work[200];" in (tmp_path / "net.h").read_text()


class Twice(fnn.Layer):
    """A layer of the user's."""

    def forward(self, builder, x, *, activate=True):
        y = builder.like(x)
        builder.emit("add", x, x, y)
        return y


def test_refuses_by_name(tmp_path):
    square = fnn.Dense(2, (lambda x: x * x, lambda x: 2 * x), name="square")
    with pytest.raises(ValueError, match="layer 'square': its activation is a Python function, which C cannot call"):
        fnn.Sequential([square], input_shape=(2,)).export_c(tmp_path / "net.h")
    stateful = fnn.Sequential([fnn.LSTM(4, stateful=True, batch_size=2)], input_shape=(3, 2))
    with pytest.raises(ValueError, match="layer 'lstm': the state of a stateful layer cannot be written in C"):
        stateful.export_c(tmp_path / "net.h")
    with pytest.raises(ValueError, match="layer 'twice': nobody has said how Twice is written in C; expected one of D"):
        fnn.Sequential([Twice(name="twice")], input_shape=(2,)).export_c(tmp_path / "net.h")
    with pytest.raises(ValueError, match=r"expected samples of known size, got \(None, 2\)"):
        fnn.Sequential([fnn.Dense(2)], input_shape=(None, 2)).export_c(tmp_path / "net.h")
    with pytest.raises(ValueError, match="name: expected one that C allows, such as 'net', got '2'"):
        fnn.Sequential([fnn.Dense(2)], input_shape=(2,)).export_c(tmp_path / "2.h")
    assert not list(tmp_path.iterdir())
