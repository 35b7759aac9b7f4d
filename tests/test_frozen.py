"""Frozen layers: what does not move, what is not computed, and that the rest trains as if they were data."""
import warnings

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.compilation import Entry
from fastnn.program import Phase, Space

TRAIN = Entry("train", labels=True)


def net(frozen=(), optimizer="adam", dtype="float32", compiled=True, **settings):
    layers = [fnn.Dense(6, "tanh", **settings), fnn.PReLU(), fnn.Dense(5, "gelu", **settings),
              fnn.Dense(3, "softmax", **settings)]
    model = fnn.Sequential(layers, input_shape=(4,), dtype=dtype, seed=1)
    for i in frozen:
        layers[i].trainable = False
    if compiled:
        model.compile(optimizer, "cross_entropy")
    return model


def data(n=23):
    return np.random.default_rng(0).standard_normal((n, 4)), np.arange(n) % 3


def ops(model, phase, entry=TRAIN):
    return [(o.layer, o.name) for o in model._compiled.program(entry).ops if o.phase == phase]


# --------------------------------------------------------------------------------------------- what moves

@pytest.mark.parametrize("optimizer", fnn.optimizers.OPTIMIZERS)
def test_frozen_weights_keep_their_bits(backend, optimizer):
    X, y = data()
    for frozen in ((0, 1), (2,), (0, 3), (0, 1, 2, 3)):
        model = net(frozen, optimizer, kernel_regularizer=fnn.L2(0.1), kernel_constraint=fnn.MaxNorm(0.5))
        before = model.state_dict()
        model.fit(X, y, batch_size=5, epochs=2, verbose=0)
        model.train_on_batch(X, y)
        still = [model.layers[i].name for i in frozen]
        for name, w in model.state_dict().items():
            if name.rpartition(".")[0] in still:
                assert_same_bits(w, before[name], name)
            else:
                assert (w != before[name]).any(), name


@pytest.mark.parametrize("clipping", [{}, {"global_clipnorm": 0.01}])
def test_the_rest_trains_as_on_the_frozen_layers_outputs(backend, clipping):
    X, y = data()
    X = X.astype("float32")
    model = net((0, 1), fnn.Adam(0.01, **clipping))
    below = fnn.Sequential.from_config({**model.get_config(), "layers": model.get_config()["layers"][:2]})
    above = fnn.Sequential([fnn.Dense(5, "gelu"), fnn.Dense(3, "softmax")], input_shape=(6,), seed=1)
    below.set_weights(model.get_weights()[:3])
    above.set_weights(model.get_weights()[3:])
    above.compile(fnn.Adam(0.01, **clipping), "cross_entropy")
    model.fit(X, y, batch_size=5, epochs=2, verbose=0)
    above.fit(below.predict(X), y, batch_size=5, epochs=2, verbose=0)
    for a, b in zip(model.get_weights()[3:], above.get_weights(), strict=True):
        assert_same_bits(a, b)


def test_gradients_are_those_of_the_whole_network(backend):
    X, y = data()
    whole = net(dtype="float64").bind(X, y).gradients()
    for frozen, left in (((0, 1), ["dense_1", "dense_2"]), ((2,), ["dense", "prelu", "dense_2"])):
        some = net(frozen, dtype="float64").bind(X, y).gradients()
        assert {name.rpartition(".")[0] for name in some} == set(left)
        for name, gradient in some.items():
            np.testing.assert_array_equal(gradient, whole[name])


def test_no_layer_left_to_train(backend):
    model = net((0, 1, 2, 3))
    history = model.fit(*data(), epochs=2, shuffle=False, verbose=0)
    assert history["loss"][0] == history["loss"][1] and not ops(model, Phase.BACKWARD)[:-1]
    assert model.bind(*data()).gradients() == {} and not any(model.copy().snapshot()["states"])


# --------------------------------------------------------------------------------------- what is computed

def test_backward_ends_at_the_lowest_trained_layer():
    backward = ops(net((0, 1)), Phase.BACKWARD)
    assert {layer for layer, _ in backward} == {"dense_1", "dense_2", "loss"}
    assert ("dense_1", "dense_backward_input") not in backward
    for model, kept in ((net((0, 1, 2)), False), (net(), True)):  # z, which gelu's slope alone reads
        z, = (o.operand("z") for o in model._compiled.program(TRAIN).ops
              if (o.layer, o.name) == ("dense_1", "dense_forward"))
        assert (z is not None) == kept


def test_a_frozen_layer_above_passes_the_gradient_on():
    backward = ops(net((1, 2)), Phase.BACKWARD)
    assert ("dense_1", "dense_backward_input") in backward and ("prelu", "prelu_backward_input") in backward
    assert not {"dense_1", "prelu"} & {layer for layer, name in backward if name.endswith("_parameters")}
    assert {layer for layer, _ in ops(net((1, 2)), Phase.UPDATE)} == {"dense", "dense_2"}


def test_no_gradient_and_no_state_are_kept():
    X, y = data()
    whole, some = net(), net((0, 1))
    for model in (whole, some):
        model.train_on_batch(X, y)
    memory = some._numbers.memory
    assert memory.state.size == 2 * memory.gradients.size < memory.parameters.size * 2
    assert set(some.snapshot()["states"][0]) == {"dense_1.weight", "dense_1.bias", "dense_2.weight",
                                                 "dense_2.bias"}
    spaces = [(o.name, a) for o in some._compiled.program(TRAIN).ops for a in o.writes
              if a.space in (Space.GRADIENT, Space.OPTIMIZER_STATE)]
    ends = [a.offset + a.dtype.itemsize * a.shape[0] * a.strides[0] for _, a in spaces]
    assert max(ends) <= memory.state.nbytes


def test_penalties_of_frozen_layers_are_left_out(backend):
    X, y = data()
    plain, free = net(dtype="float64"), net(dtype="float64", kernel_regularizer=fnn.L2(0.3))
    some = net((0, 1), dtype="float64", kernel_regularizer=fnn.L2(0.3))
    loss = plain.evaluate(X, y)["loss"]
    penalties = [0.15 * float((w ** 2).sum()) for w in (layer.weight for layer in some.layers[2:])]
    assert some.evaluate(X, y)["loss"] == pytest.approx(loss + sum(penalties), rel=1e-14)
    assert free.evaluate(X, y)["loss"] > some.evaluate(X, y)["loss"]
    assert fnn.check_gradients(some, X, y).passed


# ------------------------------------------------------------------------------------------ the convention

def test_it_counts_from_the_next_compile_on(backend):
    X, y = data()
    model = net()
    model.layers[0].trainable = False
    before = model.state_dict()
    with pytest.warns(UserWarning, match=r"trainable of 'dense' was changed .*model\.compile again"):
        model.fit(X, y, verbose=0)
    assert (model.layers[0].weight != before["dense.weight"]).any()
    model.compile("adam", "cross_entropy")
    before = model.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y, verbose=0)
    assert_same_bits(model.layers[0].weight, before["dense.weight"])
    model.layers[0].trainable = True
    model.compile("adam", "cross_entropy")
    model.fit(X, y, verbose=0)
    assert (model.layers[0].weight != before["dense.weight"]).any()


def test_summary_counts_both(capsys):
    whole, some = net().summary(), net((0, 1)).summary()
    assert "frozen" not in whole and "trainable" not in whole
    lines = {line.split("  ")[0].strip(): line.split()[-1] for line in some.splitlines()}
    assert lines["trainable"] == str(6 * 5 + 5 + 5 * 3 + 3) and lines["non-trainable"] == str(4 * 6 + 6 + 6)
    assert {"dense (Dense, frozen)", "prelu (PReLU, frozen)", "dense_1 (Dense)"} < set(lines)
    assert net((0, 1), compiled=False).summary() == some
    changed = net()
    changed.layers[0].trainable = False
    assert changed.summary() == whole  # as compiled
    capsys.readouterr()


def test_copies_and_files_are_frozen_alike(backend, tmp_path):
    X, y = data()
    model = net((0, 1))
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    for other in (model.copy(), fnn.load(tmp_path / "model.safetensors"), model.copy("float64")):
        assert [layer.trainable for layer in other.layers] == [False, False, True, True]
        before = other.state_dict()
        other.fit(X, y, verbose=0)
        assert_same_bits(other.layers[0].weight, before["dense.weight"])
        assert (other.layers[2].weight != before["dense_1.weight"]).any()


def test_restored_after_divergence_and_by_callbacks(backend):
    X, y = data()
    model = net((0, 1), "sgd")
    before = model.state_dict()
    model.fit(X, y, epochs=3, verbose=0, validation_split=0.2,
              callbacks=[fnn.EarlyStopping(patience=1), fnn.EMA(0.5)])
    assert_same_bits(model.layers[0].weight, before["dense.weight"])
    fnn.find_learning_rate(model, X, y)
    assert_same_bits(model.layers[0].weight, before["dense.weight"])


def test_states_of_another_freezing_are_refused():
    X, y = data()
    some, whole = net((0, 1)), net()
    for model in (some, whole):
        model.train_on_batch(X, y)
    some.restore(whole.snapshot())
    assert some.bind(X, y).loss() == whole.bind(X, y).loss()
    with pytest.raises(ValueError, match=r"dense\.weight, .*were frozen when"):
        whole.restore(net((0, 1)).snapshot() | {"states": some.snapshot()["states"]})


def test_lbfgs_leaves_them_alone(backend):
    pytest.importorskip("scipy")
    X, y = data()
    model = net((0, 1), dtype="float64")
    before, loss = model.state_dict(), model.evaluate(X, y)["loss"]
    fnn.fit_lbfgs(model, X, y, max_iterations=20)
    assert_same_bits(model.layers[0].weight, before["dense.weight"])
    assert model.evaluate(X, y)["loss"] < loss
    with pytest.raises(ValueError, match="frozen"):
        fnn.fit_lbfgs(net((0, 1, 2, 3)), X, y)


def test_a_gradient_of_a_frozen_array_is_refused():
    class Careless(fnn.Dense):
        def backward(self, builder, dy, *, need_dx):
            builder.gradient(self.segments["weight"])

    model = fnn.Sequential([fnn.Dense(2), Careless(2)], input_shape=(2,))
    model.layers[1].trainable = False
    model.compile("sgd", "squared_error")
    with pytest.raises(ValueError, match=r"careless\.weight is frozen.*builder\.trains"):
        model.fit(np.eye(2), np.eye(2), verbose=0)
