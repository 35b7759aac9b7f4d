"""Transfer learning: parts of models, new heads, freezing, rates by depth, gradual unfreezing."""
import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.compilation import Entry
from fastnn.program import Phase


def chain(frozen=(), optimizer="adam", dtype="float32", compiled=True):
    layers = [fnn.Standardize(), fnn.Dense(6, "tanh"), fnn.BatchNorm(), fnn.Dense(5, "relu"), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, input_shape=(4,), dtype=dtype, seed=1)
    for i in frozen:
        layers[i].trainable = False
    if compiled:
        model.compile(optimizer, "cross_entropy", ["accuracy"])
    return model


def data(n=24):
    return np.random.default_rng(0).standard_normal((n, 4)) + 3, np.arange(n) % 3


def two_towers():
    """Two inputs; a layer called on both; a residual sum; two outputs."""
    a, b = fnn.Input((4,), "a"), fnn.Input((4,), "b")
    shared = fnn.Dense(5, "tanh", name="shared")
    left, right = shared(a), shared(b)
    wide = fnn.Dense(5, "relu", name="wide")(left)
    total = fnn.Add(name="total")([wide, right])
    outputs = [fnn.Dense(3, "softmax", name="kind")(total), fnn.Dense(1, name="size")(wide)]
    return fnn.Model([a, b], outputs, seed=2), left, right


def by_hand(model, *names):
    """Arrays of these layers."""
    return {name: w for name, w in model.state_dict().items() if name.rpartition(".")[0] in names}


# ---------------------------------------------------------------------------------------------------- cut

def test_a_cut_says_what_the_layer_says(backend):
    X, y = data()
    model = chain(dtype="float64")
    model.fit(X, y, epochs=2, verbose=0)
    part = model.cut("dense_1")
    s = model.state_dict()
    mean, scale = s["standardize.mean"], s["standardize.scale"]
    h = np.tanh((X - mean) * scale @ s["dense.weight"] + s["dense.bias"])
    h = (h - s["batch_norm.running_mean"]) / np.sqrt(s["batch_norm.running_variance"] + 1e-3)
    h = h * s["batch_norm.gamma"] + s["batch_norm.beta"]
    expected = np.maximum(h @ s["dense_1.weight"] + s["dense_1.bias"], 0)
    np.testing.assert_allclose(part.predict(X), expected, rtol=1e-12, atol=1e-13)
    assert isinstance(part, fnn.Sequential) and part.optimizer is None
    assert [layer.name for layer in part.layers] == ["standardize", "dense", "batch_norm", "dense_1"]
    assert model.cut(model.layers[1]).output_shape == (6,)


def test_a_cut_is_independent(backend):
    X, y = data()
    model = chain()
    part = model.cut("dense_1")
    before, whole = part.predict(X), model.predict(X)
    model.fit(X, y, verbose=0)
    assert_same_bits(part.predict(X), before)
    part.layers[1].weight[...] = 0
    assert (model.predict(X) != whole).any()
    again = chain().cut("dense_2")
    again.compile("adam", "cross_entropy")
    model = chain()
    for each in (model, again):
        each.fit(X, y, verbose=0)
    assert_same_bits(again.predict(X), model.predict(X))


def test_parts_of_graphs(backend):
    model, left, right = two_towers()
    A, B = data()[0], data()[0][::-1] - 1
    s = model.state_dict()
    hidden = [np.tanh(x @ s["shared.weight"] + s["shared.bias"]) for x in (A, B)]
    wide = np.maximum(hidden[0] @ s["wide.weight"] + s["wide.bias"], 0)
    part = model.cut("wide")  # of one input alone
    assert part.input_names == ["a"] and type(part) is fnn.Model
    np.testing.assert_allclose(part.predict(A), wide, rtol=1e-5, atol=1e-5)
    total = model.cut("total")
    assert total.input_names == ["a", "b"] and len(total.layers) == 3
    np.testing.assert_allclose(total.predict([A, B]), wide + hidden[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.cut(right).predict(B), hidden[1], rtol=1e-5, atol=1e-5)
    several = model.cut(["wide", left])
    for got, expected in zip(several.predict(A), (wide, hidden[0]), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for name, array in several.state_dict().items():
        assert_same_bits(array, s[name], name)


def test_several_layers_of_a_chain(backend):
    X = data()[0]
    model = chain()
    both = model.cut(["dense", "dense_2"])
    assert type(both) is fnn.Model and both.output_names == ["dense", "dense_2"]
    hidden, said = both.predict(X)
    assert_same_bits(said, model.predict(X))
    assert_same_bits(hidden, model.cut("dense").predict(X))


def test_what_cannot_be_cut():
    model, left, _ = two_towers()
    with pytest.raises(ValueError, match=r"layer: 'shared' is called 2 times.*tensor of the call"):
        model.cut("shared")
    with pytest.raises(ValueError, match=r"layer.*'wid'.*'wide'"):
        model.cut("wid")
    with pytest.raises(ValueError, match="is not of this model"):
        model.cut(fnn.Dense(3))
    with pytest.raises(ValueError, match="no layer's output in this model"):
        model.cut(fnn.Input((4,)))
    with pytest.raises(ValueError, match="at least one layer"):
        model.cut([])
    with pytest.raises(ValueError, match="one twice"):
        model.cut([left, left])
    with pytest.raises(TypeError, match=r"layer must be a name, got 3"):
        model.cut(3)


# ------------------------------------------------------------------------------------------------- extend

def test_a_new_head(backend):
    X, y = data()
    model = chain()
    model.fit(X, y, epochs=2, verbose=0)
    new = model.cut("dense_1").extend([fnn.Dropout(0.1), fnn.Dense(7, "softmax")], seed=5)
    assert isinstance(new, fnn.Sequential) and new.layers[-1].name == "dense_2"
    for name, array in by_hand(model, "standardize", "dense", "batch_norm", "dense_1").items():
        assert_same_bits(new.state_dict()[name], array, name)
    other, same = (model.cut("dense_1").extend([fnn.Dropout(0.1), fnn.Dense(7, "softmax")], seed=s) for s in (6, 5))
    assert (other.layers[-1].weight != new.layers[-1].weight).any()
    assert_same_bits(same.layers[-1].weight, new.layers[-1].weight)
    before = new.state_dict()
    new.freeze(up_to="dense_1")
    new.compile("adam", "cross_entropy")
    new.fit(X + 10, y, verbose=0)  # frozen statistics stay too
    for name, array in new.state_dict().items():
        assert (array == before[name]).all() == (name.rpartition(".")[0] != "dense_2"), name


def test_heads_of_graphs(backend):
    X = data()[0]
    model = chain(compiled=False)
    both = model.cut("dense").extend(lambda h: [fnn.Dense(2, name="first")(h), fnn.Dense(1, name="second")(h)])
    assert both.output_names == ["first", "second"] and both.output_shape == ((2,), (1,))
    towers, *_ = two_towers()
    joined = towers.extend(lambda kind, size: fnn.Concatenate()([kind, size]))
    kind, size = towers.predict([X, X])
    assert_same_bits(joined.predict([X, X]), np.concatenate([kind, size], axis=1))
    assert model.cut("dense").extend(lambda h: fnn.Add()([h, fnn.Dense(6)(h)])).output_shape == (6,)


def test_what_cannot_be_a_head():
    model, towers = chain(), two_towers()[0]
    for wrong in ([], [3], None, "dense"):
        with pytest.raises(TypeError, match=r"layers: expected a list of fastnn layers, or a function"):
            model.extend(wrong)
    with pytest.raises(ValueError, match="a function of the model's 2 outputs"):
        towers.extend([fnn.Dense(2)])
    with pytest.raises(ValueError, match="every name must be given once"):
        model.extend([fnn.Dense(2, name="dense")])
    with pytest.raises(ValueError, match="already belongs to a model"):
        model.extend([model.layers[1]])


# ----------------------------------------------------------------------------------------------- freezing

def test_freezing_by_name_and_by_place():
    def trained(model):
        return [layer.name for layer in model.layers if layer.trainable and layer.segments]

    model = chain()
    model.freeze("dense", model.layers[3])
    assert trained(model) == ["batch_norm", "dense_2"]
    model.unfreeze()
    model.freeze(up_to="batch_norm")
    assert trained(model) == ["dense_1", "dense_2"]
    model.freeze()
    model.unfreeze(down_to="dense_1")
    assert trained(model) == ["dense_1", "dense_2"]
    towers, *_ = two_towers()
    towers.freeze(up_to="wide")
    assert trained(towers) == ["kind", "size"]
    towers.freeze()
    towers.unfreeze("kind", down_to="shared")
    assert trained(towers) == ["shared", "wide", "kind", "size"]
    with pytest.raises(ValueError, match=r"'dense_7'"):
        model.freeze(up_to="dense_7")


def test_frozen_layers_cost_nothing():
    X, y = data()
    model = chain()
    model.freeze(up_to="dense_1")
    model.compile("adam", "cross_entropy")
    model.fit(X, y, verbose=0)
    ops = model._compiled.program(Entry("train", labels=True)).ops
    assert {o.layer for o in ops if o.phase == Phase.BACKWARD} == {"dense_2", "loss"}
    assert {o.layer for o in ops if o.phase == Phase.UPDATE} == {"dense_2"}
    assert not any(o.name == "dense_backward_input" for o in ops)
    n = sum(segment.n_elements for segment in model.layers[-1].segments.values())
    assert model._numbers.memory.state.size == 2 * n and model._numbers.memory.gradients.size == n


def test_a_frozen_branch_of_a_graph_costs_nothing():
    model, *_ = two_towers()
    model.freeze("shared", "size")
    model.compile("adam", {"kind": "cross_entropy", "size": "squared_error"})
    ops = model._compiled.program(Entry("train", labels=(True, False))).ops
    assert {o.layer for o in ops if o.phase == Phase.UPDATE} == {"wide", "kind"}
    assert "shared" not in {o.layer for o in ops if o.phase == Phase.BACKWARD}
    assert {name.rpartition(".")[0] for name in model.named_gradients()} == {"wide", "kind"}


def test_recompile_keeps_the_optimizers_state(backend):
    X, y = data()
    model, never = chain((1, 2)), chain((1, 2))
    for each in (model, never):
        each.fit(X, y, epochs=2, verbose=0)
    states = model.snapshot()["states"]
    model.recompile()  # nothing has changed
    for each in (model, never):
        each.fit(X, y, epochs=2, verbose=0)
    assert_same_bits(model.predict(X), never.predict(X))
    model = chain((1, 2))
    model.fit(X, y, epochs=2, verbose=0)
    model.unfreeze("batch_norm")
    model.recompile()
    for old, new in zip(states, model.snapshot()["states"], strict=True):
        assert new.keys() - old.keys() == {"batch_norm.gamma", "batch_norm.beta"}
        for name, array in new.items():
            assert_same_bits(array, old[name] if name in old else np.zeros_like(array), name)
    assert model.update_count == never.update_count // 2 and [m.name for m in model.metrics] == ["accuracy"]
    with pytest.raises(RuntimeError, match="not compiled"):
        chain(compiled=False).recompile()


# ------------------------------------------------------------------------------------------ rates by depth

def test_rates_by_depth(backend):
    model = chain(dtype="float64", compiled=False)
    factors = model.rates_by_depth(0.5)
    assert factors == {"dense": 1 / 8, "batch_norm": 1 / 4, "dense_1": 1 / 2, "dense_2": 1.0}
    X, y = data()
    plain = chain(dtype="float64", optimizer=fnn.SGD(0.1))
    model.compile(fnn.SGD(0.1, rate_factors=factors), "cross_entropy")
    before = model.state_dict()
    for each in (plain, model):
        each.train_on_batch(X, y)
    for name, w in model.named_parameters().items():
        whole = plain.named_parameters()[name] - before[name]
        np.testing.assert_allclose(w - before[name], factors[name.rpartition(".")[0]] * whole, rtol=1e-9, atol=1e-16)
    towers, *_ = two_towers()
    assert towers.rates_by_depth(0.1) == pytest.approx({"shared": 0.01, "wide": 0.1, "kind": 1, "size": 1})
    with pytest.raises(ValueError, match=r"factor: expected at most 1, got 2"):
        model.rates_by_depth(2)


# --------------------------------------------------------------------------------------- gradual unfreezing

def test_layers_are_unfrozen_in_turn(backend):
    X, y = data()
    model = chain((1, 2, 3))
    seen, states = [], []

    def look(epoch, logs):
        seen.append([layer.name for layer in model.layers if layer.trainable and layer.segments])
        states.append(model.snapshot()["states"][0].keys())

    before = model.state_dict()
    turns = fnn.GradualUnfreezing(every=2)
    moved = []
    model.fit(X, y, batch_size=8, epochs=7, verbose=0, callbacks=[turns, fnn.LambdaCallback(
        on_epoch_end=look, on_epoch_begin=lambda epoch, logs: moved.append(
            (model.named_parameters()["dense.weight"] != before["dense.weight"]).any()))])
    tops = (["dense_2"], ["dense_1", "dense_2"], ["batch_norm", "dense_1", "dense_2"])
    assert seen[::2] == [*map(list, tops), ["dense", "batch_norm", "dense_1", "dense_2"]] and seen[1] == seen[0]
    assert turns.unfrozen == 3 and not any(moved)
    assert {name.rpartition(".")[0] for name in states[3]} == set(tops[1])
    assert model.update_count == 7 * 3
    assert (model.named_parameters()["dense.weight"] != before["dense.weight"]).any()


def test_it_trains_as_by_hand(backend):
    X, y = data()
    model, byhand = chain((1, 2, 3), fnn.SGD(0.05, 0.9)), chain((1, 2, 3), fnn.SGD(0.05, 0.9))
    model.fit(X, y, batch_size=8, epochs=4, verbose=0,
              callbacks=fnn.GradualUnfreezing([["dense_1", "batch_norm"], "dense"], every=1))
    byhand.fit(X, y, batch_size=8, verbose=0)
    for names in (("dense_1", "batch_norm"), ("dense",), ()):
        if names:
            byhand.unfreeze(*names)
        byhand.recompile()
        byhand.fit(X, y, batch_size=8, verbose=0)
    for name, array in model.state_dict().items():
        assert_same_bits(array, byhand.state_dict()[name], name)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("every", [None, 2])
def test_it_goes_on_from_a_checkpoint(backend, tmp_path, optimizer, every):
    X, y = data()

    def train(epochs, folder, **settings):
        model = chain((1, 2, 3), optimizer)
        model.fit(X, y, batch_size=8, epochs=epochs, verbose=0, checkpoint=tmp_path / folder, resume=True,
                  checkpoint_every=every, callbacks=fnn.GradualUnfreezing(every=2), **settings)
        return model

    whole = train(7, "whole")
    train(4, "parts")
    parts = train(7, "parts")
    for name, array in whole.state_dict().items():
        assert_same_bits(parts.state_dict()[name], array, name)


@pytest.mark.parametrize("optimizer", [fnn.Adam, fnn.AdamW, fnn.AMSGrad, fnn.NAdam])
def test_bias_correction_counts_from_a_layers_own_start(backend, optimizer, tmp_path):
    """A layer unfrozen after 12 updates steps as in a new training, one that goes on steps as before."""
    X, y = data()
    model = chain((1, 2), optimizer(0.01), "float64")
    model.fit(X, y, batch_size=8, epochs=4, verbose=0)
    model.unfreeze("dense")
    model.recompile()
    path = tmp_path / "model.safetensors"
    model.save(path)
    before, others = model.state_dict(), (model.copy(), fnn.load(path))
    for _ in range(3):
        for each in (model, *others):
            each.train_on_batch(X, y)
        for other in others:  # whatever holds the state holds the counts
            for name, array in model.state_dict().items():
                assert_same_bits(other.state_dict()[name], array, name)
    moved = {name: w - before[name] for name, w in model.state_dict().items()}
    assert 0 < np.abs(moved["dense.weight"]).max() < 3 * 1.1 * 0.01  # without correction it is about 3 and 9 times that
    first = chain((1, 2), optimizer(0.01), "float64")
    first.load_state_dict(before)
    first.unfreeze("dense")
    first.compile(optimizer(0.01), "cross_entropy")
    again = fnn.load(path)
    for each in (first, again):
        each.train_on_batch(X, y)
    assert_same_bits(first.layers[1].weight, again.layers[1].weight)  # the first step, of the same gradient
    assert (first.layers[-1].weight != again.layers[-1].weight).any()


def test_what_cannot_be_unfrozen():
    X, y = data()
    with pytest.raises(ValueError, match=r"expected a model with frozen layers.*model\.freeze\(up_to"):
        chain().fit(X, y, verbose=0, callbacks=fnn.GradualUnfreezing())
    with pytest.raises(ValueError, match="'dense_9'"):
        chain((1,)).fit(X, y, verbose=0, callbacks=fnn.GradualUnfreezing(["dense_9"]))
    with pytest.raises(TypeError, match="layers: expected a list of names"):
        fnn.GradualUnfreezing("dense")
    with pytest.raises(ValueError, match="every"):
        fnn.GradualUnfreezing(every=0)


# ---------------------------------------------------------------------------------------- weights by name

def test_weights_by_name_with_a_report():
    model = chain()
    other = fnn.Sequential([fnn.Standardize(), fnn.Dense(6, name="dense"), fnn.Dense(9, name="dense_1"),
                            fnn.Dense(2, name="new")], input_shape=(4,))
    before = other.state_dict()
    report = other.load_state_dict(model.state_dict(), strict=False)
    assert {"dense.weight", "dense.bias", "standardize.mean"} <= set(report.matched)
    assert report.missing == ("new.weight", "new.bias")
    assert set(report.mismatched) == {"dense_1.weight", "dense_1.bias"}
    assert "batch_norm.gamma" in report.unexpected and "dense_2.weight" in report.unexpected
    assert_same_bits(other.layers[1].weight, model.layers[1].weight)
    assert_same_bits(other.state_dict()["dense_1.weight"], before["dense_1.weight"])
    assert "mismatched: dense_1.weight, dense_1.bias" in str(report)
