"""Models written to ONNX against ONNX Runtime, over the whole catalogue; and read back."""
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from fastnn.activations import CUSTOM
from fastnn.catalogue import cases
from fastnn.inference import adapt
from fastnn.io.onnx_export import EXPORTERS
from fastnn.io.orders import permutation
from fastnn.layers import LAYERS

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")
CASES = [case for case in cases() if case.kind in ("layer", "activation") and case.name != CUSTOM]
RTOL, ATOL = 1e-4, 1e-6  # the promise; and what float32 makes of outputs near zero


def session(proto):
    """ONNX Runtime on one thread; a function of a model's inputs in a list."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    made = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in made.get_inputs()]
    return lambda *arrays: made.run(None, dict(zip(names, arrays, strict=True)))


def as_file(X):
    """Samples as the file takes them."""
    return X.astype(np.float32) if X.dtype.kind == "f" else X.astype(np.int64)


def compare(model, X):
    """That ONNX Runtime gives what `predict` gives, for batches of 1, 2 and 33; returns the file."""
    proto = fnn.to_onnx(model)
    assert proto.ir_version == 8 and [(e.domain, e.version) for e in proto.opset_import] == [("", 17)]
    run = session(proto)
    for n in (1, 2, 33):
        got, want = run(as_file(X[:n]))[0], model.predict(X[:n])
        np.testing.assert_allclose(got, want, RTOL, ATOL)
        assert got.shape == want.shape
    return proto


@pytest.fixture(params=CASES, ids=lambda case: case.title)
def written(request):
    """A model of the catalogue, its samples."""
    model, (X, _) = request.param.model("float32"), request.param.samples(33)
    adapt(model, X)
    return model, X


def test_catalogue(written):
    compare(*written)


def test_catalogue_and_back(written):
    model, X = written
    back = fnn.from_onnx(fnn.to_onnx(model))
    np.testing.assert_allclose(back.predict(X), model.predict(X), 1e-5, ATOL)


def test_every_layer_has_an_exporter():
    """So a new layer cannot be forgotten; and the catalogue shows each."""
    assert EXPORTERS.keys() == set(LAYERS.values())
    assert EXPORTERS.keys() == {case.covers for case in CASES if case.covers}


@pytest.mark.parametrize("name", sorted({*fnn.losses.LOSSES}))
def test_losses_do_not_matter(name):
    case = next(case for case in cases() if case.kind == "loss" and case.title.startswith(f"loss {name} "))
    compare(case.model("float32"), case.samples(33)[0])


def test_activations_far_out():
    """Where the decomposed ones could lose their tails."""
    x = np.array([-30, -10, -5, -1, -1e-3, 0, 1e-3, 1, 5, 10, 30], np.float32)[:, np.newaxis]
    for name in fnn.activations.ACTIVATIONS:
        model = fnn.Sequential([fnn.Activation(name)], input_shape=(1,))
        np.testing.assert_allclose(session(fnn.to_onnx(model))(x)[0], model.predict(x), RTOL, 2e-6)


@pytest.mark.parametrize("name", ["dense", "conv2d", "batch-norm", "row-normalize", "multiply"])
def test_second_opinion(name):
    """onnx's own evaluator, which shares no code with ONNX Runtime."""
    from onnx.reference import ReferenceEvaluator
    case = next(case for case in CASES if case.name == name)
    model, (X, _) = case.model("float32"), case.samples(3)
    got = ReferenceEvaluator(fnn.to_onnx(model)).run(None, {"input": as_file(X)})[0]
    np.testing.assert_allclose(got, model.predict(X), RTOL, ATOL)


def test_graph_of_several_inputs_and_outputs(tmp_path):
    image, numbers = fnn.Input((6, 5, 2), name="image"), fnn.Input((4,), name="numbers")
    h = fnn.Conv2D(3, 3, padding="same", activation="relu")(image)
    h = fnn.Add()([h, fnn.Conv2D(3, 1)(h), h])
    row = fnn.Concatenate()([fnn.Flatten()(fnn.MaxPool2D(2)(h)), numbers])
    model = fnn.Model([image, numbers], [fnn.Dense(3, "softmax", name="kind")(row), fnn.Dense(1, name="size")(row)])
    proto = fnn.to_onnx(model, tmp_path / "model.onnx")
    assert [entry.name for entry in proto.graph.output] == ["kind", "size"]
    rng = np.random.default_rng(0)
    X = [rng.random((7, 6, 5, 2), np.float32), rng.random((7, 4), np.float32)]
    back = fnn.from_onnx(tmp_path / "model.onnx")
    assert back.input_names == ["image", "numbers"]
    for got, again, want in zip(session(proto)(*X), back.predict(X), model.predict(X), strict=True):
        np.testing.assert_allclose(got, want, RTOL, ATOL)
        np.testing.assert_allclose(again, want, RTOL, ATOL)


def test_input_that_is_also_an_output_of_no_layer():
    """Names of the file are the model's, whatever layers are called."""
    x = fnn.Input((3,), name="dense")
    model = fnn.Model(x, fnn.Dense(2, name="out")(x))
    X = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(session(fnn.to_onnx(model))(X)[0], model.predict(X), RTOL)


def test_any_number_of_steps():
    model = fnn.Sequential([fnn.Dense(4, "tanh"), fnn.Dense(2, "softmax")], input_shape=(None, 3))
    run, back = session(fnn.to_onnx(model)), fnn.from_onnx(fnn.to_onnx(model))
    for steps in (1, 5):
        X = np.random.default_rng(0).random((2, steps, 3), np.float32)
        np.testing.assert_allclose(run(X)[0], model.predict(X), RTOL)
        np.testing.assert_allclose(back.predict(X), model.predict(X), RTOL)


@pytest.mark.parametrize("kind", [fnn.SimpleRNN, fnn.LSTM, fnn.GRU])
@pytest.mark.parametrize("reverse", [False, True])
def test_masks_anywhere_and_any_number_of_steps(kind, reverse):
    """Steps left out at the start, inside and at the end: the state stays."""
    layers = [fnn.Masking(0.5), kind(4, return_sequences=True, reverse=reverse), fnn.Dense(3, "tanh"), kind(5)]
    model = fnn.Sequential(layers, input_shape=(None, 2))
    run, back, rng = session(fnn.to_onnx(model)), fnn.from_onnx(fnn.to_onnx(model)), np.random.default_rng(0)
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in layers]
    for steps in (1, 6):
        X = rng.standard_normal((4, steps, 2)).astype(np.float32)
        X[1, 0] = X[2, -1] = X[3, steps // 2] = 0.5
        np.testing.assert_allclose(run(X)[0], model.predict(X), RTOL, ATOL)
        np.testing.assert_allclose(back.predict(X), model.predict(X), RTOL, ATOL)


def masked_encoder():
    """States that are handed on, an outer mask, two ways, and all that pools over time."""
    tokens = fnn.Input((None,), name="tokens")
    steps = fnn.Embedding(9, 5, mask_zero=True)(tokens)
    y, h = fnn.GRU(4, return_sequences=True, return_state=True, use_bias=False)(steps)
    z = fnn.SimpleRNN(4, "leaky_relu", return_sequences=True)([fnn.Dense(5, "silu")(y), h])
    both = fnn.Bidirectional(fnn.LSTM(3, return_sequences=True))(z)
    pooled = [fnn.GlobalAveragePool1D()(both), fnn.GlobalMaxPool1D()(y), fnn.GRU(3, reset_after=False)(both)]
    return fnn.Model(tokens, fnn.Dense(3)(fnn.Concatenate()(pooled)), seed=1)


def test_masks_of_tokens_and_back():
    model = masked_encoder()
    proto, rng = fnn.to_onnx(model), np.random.default_rng(0)
    run, back = session(proto), fnn.from_onnx(proto)
    for steps in (1, 5):
        X = rng.integers(0, 3, (6, steps))
        np.testing.assert_allclose(run(as_file(X))[0], model.predict(X), RTOL, ATOL)
        np.testing.assert_allclose(back.predict(X), model.predict(X), RTOL, ATOL)
    assert next(layer for layer in back.layers if isinstance(layer, fnn.Embedding)).mask_zero


@pytest.mark.parametrize("activation", [*fnn.activations.ACTIVATIONS, fnn.LeakyReLU(0.2), fnn.ELU(0.7)], ids=str)
def test_scans_of_every_activation(activation):
    if getattr(activation, "choice", None) is None and not fnn.activations.Choice(activation).elementwise:
        with pytest.raises(ValueError, match="SimpleRNN|softmax"):
            fnn.SimpleRNN(4, activation)
        return
    model = fnn.Sequential([fnn.Masking(), fnn.SimpleRNN(4, activation)], input_shape=(5, 3))
    X = np.random.default_rng(0).standard_normal((6, 5, 3)).astype(np.float32)
    X[:3, 2:] = 0
    back = fnn.from_onnx(fnn.to_onnx(model))
    got, want = back.layers[1].choice, model.layers[1].choice
    assert got.name == want.name and got.alpha == pytest.approx(want.alpha, rel=1e-6)
    np.testing.assert_allclose(back.predict(X), model.predict(X), RTOL, ATOL)


def test_masks_that_no_model_would_have():
    """A file whose layers look at other masks than fastnn's would is refused, not read as something else."""
    def break_node(kind, change):
        proto = fnn.to_onnx(fnn.Sequential([fnn.Masking(), fnn.LSTM(4, return_sequences=True), fnn.GRU(3)], (5, 2)))
        [change(node) for node in proto.graph.node if node.op_type == kind]
        return proto

    def step_of_another(node):
        for inner in next(a.g for a in node.attribute if a.name == "body").node:
            if inner.op_type == "Tanh":
                inner.op_type = "Sigmoid"

    with pytest.raises(fnn.ModelFileError, match=r"node 'lstm/Scan' .*the step of a SimpleRNN, LSTM or GRU"):
        fnn.from_onnx(break_node("Scan", step_of_another))
    x = fnn.Input((5, 2))
    masked = fnn.GRU(3)(fnn.Masking()(x))
    model = fnn.Model(x, fnn.Add()([masked, fnn.GRU(3)(x)]))
    with pytest.raises(fnn.ModelFileError, match="the mask of its sequence"):
        fnn.from_onnx(fnn.to_onnx(model))


@pytest.mark.parametrize("inside", [fnn.RowNormalize, fnn.Flatten, lambda: fnn.Reshape((3,))])
def test_steps_as_rows(inside):
    """What TimeDistributed takes beside layers of the last axis; such a file is not read back."""
    model = fnn.Sequential([fnn.TimeDistributed(inside()), fnn.Dense(2)], input_shape=(None, 3))
    X = np.random.default_rng(0).random((33, 4, 3), np.float32)
    with pytest.raises(fnn.ModelFileError, match=r"node 'time_distributed/Reshape' .*: expected"):
        fnn.from_onnx(compare(model, X))


def test_recurrent_settings():
    """No bias; states in and out; sequences of other layers' steps."""
    x, h0, c0 = fnn.Input((None, 3), name="x"), fnn.Input((4,), name="h0"), fnn.Input((4,), name="c0")
    y, h, c = fnn.LSTM(4, use_bias=False, return_sequences=True, return_state=True)([x, h0, c0])
    model = fnn.Model([x, h0, c0], [fnn.GRU(2, use_bias=False, reverse=True)(y), h, c])
    rng, proto = np.random.default_rng(0), fnn.to_onnx(model)
    X = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, 5, 3), (3, 4), (3, 4))]
    back = fnn.from_onnx(proto)
    for got, again, want in zip(session(proto)(*X), back.predict(X), model.predict(X), strict=True):
        np.testing.assert_allclose(got, want, RTOL, ATOL)
        np.testing.assert_allclose(again, want, RTOL, ATOL)
    stateful = fnn.Sequential([fnn.LSTM(4, stateful=True, batch_size=2)], input_shape=(3, 2))
    with pytest.raises(ValueError, match="layer 'lstm': ONNX keeps no state from one run to the next"):
        fnn.to_onnx(stateful)


def test_reads_back_the_same_layers():
    layers = [fnn.Conv2D(3, 3, 2, "same", activation="gelu"), fnn.MaxPool2D(2), fnn.Flatten(), fnn.Dropout(0.5),
              fnn.Dense(8, fnn.LeakyReLU(0.3), use_bias=False), fnn.BatchNorm(), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, input_shape=(9, 8, 2), dtype="float64")
    back = fnn.from_onnx(fnn.to_onnx(model), "float64")
    assert [type(layer) for layer in back.layers] == [type(la) for la in layers if not isinstance(la, fnn.Dropout)]
    assert [layer.name for layer in back.layers] == [la.name for la in layers if not isinstance(la, fnn.Dropout)]
    assert back.layers[0].choice.name == "gelu" and back.layers[3].choice == layers[4].choice
    assert back.dtype == np.float64 and isinstance(back, fnn.Sequential)
    back.compile("sgd")
    assert np.isfinite(back.train_on_batch(np.ones((4, 9, 8, 2)), [0, 1, 2, 0])["loss"])


def made(nodes, shape, constants, opset=17, rank=2):
    """A file as other programs write it."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "other", [helper.make_tensor_value_info("x", kind, ["n", *shape])],
        [helper.make_tensor_value_info("y", kind, list("nabc")[:rank])],
        [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(kind, inputs, output, **attributes):
    return onnx.helper.make_node(kind, inputs.split(), [output], **attributes)


def random(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def test_images_with_channels_first():
    """A file as PyTorch writes it: the dense weights behind Flatten count channels first."""
    proto = made([node("Conv", "x w b", "c", pads=[1, 1, 1, 1], strides=[1, 1]), node("Relu", "c", "r"),
                  node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]), node("Flatten", "p", "f"),
                  node("BatchNormalization", "f s t m v", "n"), node("PRelu", "n a", "q"),
                  node("Gemm", "q u d", "y", transB=1)], (2, 6, 4),
                 {"w": random(3, 2, 3, 3), "b": random(3), "s": random(18), "t": random(18), "m": random(18),
                  "v": random(18) ** 2 + 1, "a": random(18) ** 2, "u": random(5, 18), "d": random(5)})
    X, model = random(3, 2, 6, 4), fnn.from_onnx(proto)
    assert model.input_shape == (6, 4, 2)
    np.testing.assert_allclose(model.predict(X.transpose(0, 2, 3, 1)), session(proto)(X)[0], RTOL, 1e-5)


def test_sequence_with_channels_first():
    proto = made([node("Conv", "x w", "c", dilations=[2]), node("Transpose", "c", "t", perm=[0, 2, 1]),
                  node("MatMul", "t m", "y")], (3, 9), {"w": random(4, 3, 3), "m": random(4, 2)}, rank=3)
    X, model = random(2, 3, 9), fnn.from_onnx(proto)
    np.testing.assert_allclose(model.predict(X.transpose(0, 2, 1)), session(proto)(X)[0], RTOL, 1e-5)


@pytest.mark.parametrize("kind, gates, states", [("LSTM", 4, "h h"), ("GRU", 3, "h"), ("RNN", 1, "h")])
def test_recurrent_layers_as_pytorch_writes_them(kind, gates, states):
    """Zeros of the batch's size as the first states, a second bias, the output after every step."""
    shape = [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axis", "m"),
             node("Concat", "one m units", "k", axis=0), node("ConstantOfShape", "k", "h")]
    settings = {"linear_before_reset": 1} if kind == "GRU" else {}
    body = onnx.helper.make_node(kind, ["t", "w", "r", "b", "", *states.split()], ["o"], hidden_size=4, **settings)
    proto = made([*shape, node("Transpose", "x", "t", perm=[1, 0, 2]), body, node("Squeeze", "o one", "q"),
                  node("Transpose", "q", "y", perm=[1, 0, 2])], (5, 3),
                 {"zero": np.int64(0), "axis": np.array([0]), "one": np.array([1]), "units": np.array([4]),
                  "w": random(1, gates * 4, 3), "r": random(1, gates * 4, 4), "b": random(1, gates * 8)}, rank=3)
    X, model = random(2, 5, 3), fnn.from_onnx(proto)
    np.testing.assert_allclose(model.predict(X), session(proto)(X)[0], RTOL, 1e-5)


def test_arithmetic_with_constants():
    """Before all weights a Standardize, behind them a BatchNorm of fixed statistics."""
    proto = made([node("Sub", "x m", "a"), node("Div", "a d", "b"), node("Gemm", "b w", "c"), node("Mul", "s c", "e"),
                  node("Add", "e t", "y")], (3,), {"m": random(3), "d": random(1, 3), "w": random(3, 4),
                                                   "s": random(4), "t": np.float32(0.5)})
    X, model = random(5, 3), fnn.from_onnx(proto)
    assert [type(layer) for layer in model.layers] == [fnn.Standardize, fnn.Dense, fnn.BatchNorm]
    np.testing.assert_allclose(model.predict(X), session(proto)(X)[0], RTOL, 1e-5)


@pytest.mark.parametrize("nodes, constants, words", [
    ([node("Sin", "x", "y", name="wave")], {}, r"node 'wave' \(Sin\): no layer of fastnn does that"),
    ([node("Softmax", "x", "y", axis=0)], {}, r"node 'y' \(Softmax\): expected softmax over the features"),
    ([node("Gemm", "x x", "y")], {}, "expected its weights to be a constant"),
    ([node("Div", "c x", "y")], {"c": random(3)}, "that a constant is taken off or divides"),
    ([node("Gemm", "x w", "y")], {"w": random(4, 2)}, "expected weights of 3 rows"),
    ([node("Clip", "x a b", "y")], {"a": np.float32(0), "b": np.float32(6)}, "bounds of -1 and 1"),
    ([onnx.helper.make_node("Mine", ["x"], ["y"], domain="mine")], {}, "standard domain|No opset import"),
])
def test_refuses_by_name(nodes, constants, words):
    with pytest.raises(fnn.ModelFileError, match=words):
        fnn.from_onnx(made(nodes, (3,), constants))


def test_refuses_old_opsets_and_damaged_files(tmp_path):
    with pytest.raises(fnn.ModelFileError, match="expected opset 13 to 23, got 9"):
        fnn.from_onnx(made([node("Relu", "x", "y")], (3,), {}, opset=9))
    path = tmp_path / "model.onnx"
    model = fnn.Sequential([fnn.Conv2D(2, 3, activation="mish"), fnn.Flatten(), fnn.Dense(3)], input_shape=(4, 4, 1))
    fnn.to_onnx(model, path)
    data, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(200):
        bad = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            bad[place] = rng.integers(256)
        path.write_bytes(bad[:rng.integers(len(bad))] if rng.random() < 0.2 else bad)
        try:
            fnn.from_onnx(path)
        except fnn.ModelFileError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 50
    with pytest.raises(OSError):
        fnn.from_onnx(tmp_path / "nothing.onnx")


def test_refuses_what_it_cannot_write():
    class Double(fnn.Layer):
        def forward(self, builder, x, *, activate=True):
            y = builder.like(x)
            builder.emit("add", x, x, y)
            return y

    model = fnn.Sequential([Double(name="twice")], input_shape=(2,))
    with pytest.raises(ValueError, match=r"layer 'twice': nobody has said how Double is written to ONNX"):
        fnn.to_onnx(model)
    EXPORTERS[Double] = lambda g, layer, x: g.map(x, lambda name: g.op("Add", name, name))
    try:
        np.testing.assert_allclose(session(fnn.to_onnx(model))(np.ones((1, 2), np.float32))[0], [[2, 2]])
    finally:
        del EXPORTERS[Double]
    square = fnn.Dense(2, (lambda x: x * x, lambda x: 2 * x), name="square")
    with pytest.raises(ValueError, match=r"layer 'square': its activation is a Python function"):
        fnn.to_onnx(fnn.Sequential([square], input_shape=(2,)))


def test_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r'this needs onnx: pip install "fastnn-cpu\[onnx\]"'):
        fnn.to_onnx(fnn.Sequential([fnn.Dense(2)], input_shape=(2,)))


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_permutations_undo_each_other(rank):
    x = np.zeros(range(1, rank + 1))
    for a in ("samples", "channels", "steps"):
        for b in ("samples", "channels", "steps"):
            assert x.transpose(permutation(rank, a, b)).transpose(permutation(rank, b, a)).shape == x.shape


def test_page_names_every_layer():
    page = Path(__file__).parents[1] / "docs" / "exchange.md"
    if not page.is_file():
        pytest.skip("the documentation is not here")
    text = page.read_text(encoding="utf-8")
    assert [name for name in LAYERS if f"`{name}`" not in text] == []
