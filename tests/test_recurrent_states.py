"""Stateful recurrent layers, and embeddings with their two ways to step."""
import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits
from fastnn.optimizers import OPTIMIZERS


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


# ----------------------------------------------------------------------------------------------- stateful

@pytest.mark.parametrize("kind", [fnn.SimpleRNN, fnn.LSTM, fnn.GRU])
def test_batches_go_on_where_the_last_one_ended(backend, kind):
    """In prediction, in evaluation and in training, row by row; until reset_states."""
    whole = fnn.Sequential([kind(5, return_sequences=True)], (6, 4), dtype="float64")
    carried = fnn.Sequential([kind(5, return_sequences=True, stateful=True, batch_size=3)], (2, 4), dtype="float64")
    carried.set_weights(whole.get_weights())
    X, expected = normal(3, 6, 4), whole.predict(normal(3, 6, 4))
    pieces = np.concatenate([X[:, t:t + 2] for t in (0, 2, 4)])
    got = carried.predict(pieces).reshape(3, 3, 2, 5)
    assert_close(np.concatenate(list(got), axis=1), expected, 1e-14, "predict")
    assert np.abs(carried.predict(X[:, :2].copy()) - expected[:, :2]).max() > 1e-3  # it goes on
    carried.reset_states()
    assert_close(carried.predict(X[:, :2].copy()), expected[:, :2], 1e-14, "after reset_states")

    for model in (whole, carried):
        model.compile(fnn.SGD(1e-30), "squared_error")  # the weights stay
    carried.reset_states()
    y = normal(3, 6, 5, seed=1)
    targets = np.concatenate([y[:, t:t + 2] for t in (0, 2, 4)])
    history = carried.fit(pieces, targets, batch_size=3, shuffle=False, verbose=0)
    assert abs(history["loss"][0] - whole.evaluate(X, y)["loss"]) < 1e-12


def test_the_gradient_check_leaves_the_state_alone(backend):
    model = fnn.Sequential([fnn.LSTM(4, stateful=True, batch_size=3), fnn.Dense(2, "softmax")], (5, 2), dtype="float64")
    model.compile("sgd", "cross_entropy")
    X = normal(3, 5, 2)
    model.predict(X)
    before = model.state_dict()
    assert np.abs(before["lstm.state_h"]).max() > 0
    assert fnn.check_gradients(model, X, [0, 1, 0]).passed
    for name, value in model.state_dict().items():
        assert_same_bits(value, before[name], name)


@pytest.mark.parametrize("settings", [{"batch_size": 2}, {"batch_size": 4}, {"batch_size": 3, "shuffle": True}])
def test_rows_between_which_no_state_can_be_carried(settings):
    model = fnn.Sequential([fnn.GRU(4, stateful=True, batch_size=3), fnn.Dense(2)], (5, 2))
    model.compile("sgd", "squared_error")
    with pytest.raises(ValueError, match="batches of 3 rows"):
        model.fit(normal(6, 5, 2), normal(6, 2), **{"shuffle": False, "verbose": 0, **settings})
    with pytest.raises(ValueError, match="batches of 3 rows"):
        model.predict(normal(4, 5, 2))


# ---------------------------------------------------------------------------------------------- embedding

def token_model(optimizer, seed=0, lazy=True, **settings):
    model = fnn.Sequential([fnn.Embedding(11, 5, lazy=lazy, **settings), fnn.Flatten(), fnn.Dense(3, "softmax")], (4,),
                           dtype="float64", seed=seed)
    model.compile(optimizer, "cross_entropy")
    return model


STEPS = [np.array([[1, 2, 2, 5], [5, 1, 9, 9]]), np.array([[2, 2, 3, 3], [0, 3, 2, 0]]), np.array([[5, 5, 5, 1]] * 2)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lazy_steps_follow_the_rule(backend, name):
    """Rows named take the optimizer's op with the model's step number, as if they were a table of their own."""
    model, dense = token_model(OPTIMIZERS[name]()), token_model(OPTIMIZERS[name](), lazy=False)
    table = model.layers[0].weight
    for tokens in STEPS:
        dense.set_weights(model.get_weights())
        states = [dict(views) for views in model._numbers.states()]
        if states:
            dense._numbers.set_states([{k: v.copy() for k, v in s.items()} for s in states])
        before, before_states = table.copy(), [s["embedding.weight"].copy() for s in states]
        for each in (model, dense):
            each.train_on_batch(tokens, [0, 2])
        named = np.isin(np.arange(11), tokens)
        assert_close(table[named], dense.layers[0].weight[named], 1e-12, name)
        assert_same_bits(table[~named], before[~named], name)
        for now, old in zip(model._numbers.states(), before_states, strict=False):
            assert_same_bits(now["embedding.weight"][~named].copy(), old[~named], f"state of {name}")


@pytest.mark.parametrize("settings", [{"regularizer": "l2"}, {"constraint": fnn.MaxNorm(0.01)}])
def test_tables_that_step_densely_all_the_same(backend, settings):
    model, dense = token_model("adam", **settings), token_model("adam", lazy=False, **settings)
    for each in (model, dense):
        for tokens in STEPS:
            each.train_on_batch(tokens, [0, 2])
    assert_same_bits(model.layers[0].weight, dense.layers[0].weight)


def test_clipping_by_norm_sees_the_rows_named(backend):
    model, dense = (token_model(fnn.SGD(1.0, global_clipnorm=0.1), lazy=lazy) for lazy in (True, False))
    for each in (model, dense):
        each.train_on_batch(STEPS[0], [0, 2])
    assert_close(model.layers[0].weight, dense.layers[0].weight, 1e-13)


def test_lazy_bits_do_not_depend_on_threads(native, team):
    tables = []
    for n in (1, 2):
        team(n)
        model = fnn.Sequential([fnn.Embedding(50, 40, lazy=True), fnn.GRU(17), fnn.Dense(3, "softmax")], (9,))
        model.compile("adam", "cross_entropy")
        X = np.random.default_rng(0).integers(0, 50, (30, 9))
        model.fit(X, np.arange(30) % 3, batch_size=8, epochs=3, verbose=0)
        tables.append(model.state_dict())
    for name, value in tables[0].items():
        assert_same_bits(value, tables[1][name], name)


def test_a_lazy_step_costs_the_same_for_any_number_of_tokens(native):
    """By the Program: no op of the step touches an array as large as the table."""
    from fastnn.compilation import Entry

    program = token_model("adam")._compiled.program(Entry("train", True))
    touching = [o.name for o in program.ops if any(a is not None and a.shape == (11, 5) for a in o.operands)]
    assert touching == ["embedding_forward", "lazy_update"]


def test_mask_zero_is_a_mask(backend):
    model = fnn.Sequential([fnn.Embedding(9, 4, mask_zero=True), fnn.GRU(5)], (6,), dtype="float64")
    short = fnn.Sequential([fnn.Embedding(9, 4), fnn.GRU(5)], (None,), dtype="float64")
    short.set_weights(model.get_weights())
    tokens = np.array([[3, 8, 1, 0, 0, 0]])
    assert_close(model.predict(tokens), short.predict(tokens[:, :3]), 1e-14)
