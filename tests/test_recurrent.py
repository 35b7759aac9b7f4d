"""Recurrent layers in models: against PyTorch's, masks and lengths, states, threads, truncation."""
import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits

KINDS = {"rnn": fnn.SimpleRNN, "lstm": fnn.LSTM, "gru": fnn.GRU}
COLUMNS = {"rnn": [0], "lstm": [0, 1, 2, 3], "gru": [1, 0, 2]}  # PyTorch's gates, as ours are numbered


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def sequence_model(layer, shape, dtype="float64", head=True):
    """The layer and one linear unit a step, on sequences; all its parameters are random."""
    layers = [layer, fnn.Dense(2)] if head else [layer]
    model = fnn.Sequential(layers, shape, dtype=dtype, seed=1)
    model.compile(fnn.SGD(0.1), "squared_error")
    for i, (name, array) in enumerate(model.named_parameters().items()):
        array[...] = normal(*array.shape, seed=i) * (0.5 if "weight" in name else 0.3)
    return model


# ------------------------------------------------------------------------------------------------ PyTorch

def torch_twin(torch, kind, model, n_in, n, both):
    """PyTorch's layer with the numbers of the model's first one."""
    twin = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](
        n_in, n, bidirectional=both, dtype=torch.float64)
    layer = model.layers[0]
    for prefix, suffix in (("forward_", ""), ("backward_", "_reverse")) if both else (("", ""),):
        def turned(name, prefix=prefix):
            gates = np.split(getattr(layer, prefix + name), len(COLUMNS[kind]), axis=-1)
            return torch.tensor(np.concatenate([gates[i] for i in COLUMNS[kind]], axis=-1).T.copy())

        state = {"weight_ih_l0": turned("weight"), "weight_hh_l0": turned("recurrent_weight"),
                 "bias_ih_l0": turned("bias"), "bias_hh_l0": torch.zeros(len(COLUMNS[kind]) * n, dtype=torch.float64)}
        if kind == "gru":
            state["bias_hh_l0"][2 * n:] = torch.tensor(getattr(layer, f"{prefix}recurrent_bias"))
        with torch.no_grad():
            for name, value in state.items():
                getattr(twin, name + suffix).copy_(value)
    return twin


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 4, 17), (1, 7, 3, 16), (33, 4, 5, 31)],
                         ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("both", [False, True], ids=["forward", "both ways"])
@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_has_the_same_outputs_and_gradients(backend, kind, both, shape):
    """Within 1e-10, with sequences of unequal length, whose padding is masked."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    B, T, n_in, n = shape
    layer = KINDS[kind](n, return_sequences=True)
    model = fnn.Sequential([fnn.Masking(), fnn.Bidirectional(layer) if both else layer], (T, n_in), dtype="float64")
    model.compile("sgd", "squared_error")
    for i, array in enumerate(model.named_parameters().values()):
        array[...] = normal(*array.shape, seed=i) * 0.5
    lengths = np.random.default_rng(3).integers(1, T + 1, B)
    lengths[0] = T
    X, y = normal(B, T, n_in), normal(B, T, n * (1 + both), seed=9)
    there = np.arange(T) < lengths[:, None]
    X *= there[:, :, None]
    model.layers.pop(0)  # of the list alone: `torch_twin` looks at the recurrent layer
    twin = torch_twin(torch, kind, model, n_in, n, both)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(X), torch.tensor(lengths), batch_first=True,
                                                     enforce_sorted=False)
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(twin(packed)[0], batch_first=True, total_length=T)
    got = model.predict(X)
    assert_close(got * there[:, :, None], outputs.detach().numpy(), 1e-10, "outputs")

    loss = 0.5 * (((outputs - torch.tensor(y)) ** 2).sum(-1) * torch.tensor(there)).sum() / there.sum()
    loss.backward()
    loss = loss.item()
    value, gradients = model.bind(X, y).loss_and_gradients()
    assert abs(value - loss) < 1e-10 * loss
    for prefix, suffix in (("forward_", ""), ("backward_", "_reverse")) if both else (("", ""),):
        for name, theirs in (("weight", "weight_ih_l0"), ("recurrent_weight", "weight_hh_l0"), ("bias", "bias_ih_l0")):
            grad = getattr(twin, theirs + suffix).grad.numpy()
            gates = np.split(grad, len(COLUMNS[kind]), axis=0)
            expected = np.concatenate([gates[COLUMNS[kind].index(i)] for i in range(len(gates))], axis=0).T
            found = next(g for key, g in gradients.items() if key.endswith(f".{prefix}{name}"))
            assert_close(found, expected, 1e-10 * max(np.abs(expected).max(), 1e-3), prefix + name)


# ---------------------------------------------------------------------------------------- threads and states

@pytest.mark.parametrize("make", [
    lambda: fnn.SimpleRNN(17, return_sequences=True), lambda: fnn.LSTM(33, return_sequences=True),
    lambda: fnn.GRU(31, return_sequences=True), lambda: fnn.GRU(16, return_sequences=True, reset_after=False),
    lambda: fnn.Bidirectional(fnn.LSTM(16, return_sequences=True))], ids=["rnn", "lstm", "gru", "gru-before", "both"])
def test_bits_do_not_depend_on_threads(native, team, make):
    X, y = normal(37, 6, 5).astype(np.float32), normal(37, 6, 2, seed=1).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        team(n)
        model = sequence_model(make(), (6, 5), "float32")
        model.fit(X, y, batch_size=10, epochs=2, verbose=0)
        results.append((model.predict(X), model.state_dict()))
    for outputs, state in results[1:]:
        assert_same_bits(outputs, results[0][0], "outputs")
        for name, value in state.items():
            assert_same_bits(value, results[0][1][name], name)


def test_blocks_add_their_gradients_up(backend):
    """A step on more rows than a block holds: the gradient is the sum over the blocks."""
    model = sequence_model(fnn.GRU(5, return_sequences=True), (3, 4))
    X, y = normal(12, 3, 4), normal(12, 3, 2, seed=1)
    whole = {k: g.copy() for k, g in model.bind(X, y).gradients().items()}
    parts = [{k: g.copy() for k, g in model.bind(X[i:i + 4], y[i:i + 4]).gradients().items()} for i in (0, 4, 8)]
    for name, gradient in whole.items():
        assert_close(gradient, sum(part[name] for part in parts) / 3, 1e-13, name)


@pytest.mark.parametrize("kind", KINDS)
def test_last_state_is_the_last_output(backend, kind):
    x = fnn.Input((4, 3))
    layer = KINDS[kind](5, return_sequences=True, return_state=True)
    y, h, *_ = layer(x)
    model = fnn.Model(x, [y, h], dtype="float64")
    outputs, last = model.predict(normal(3, 4, 3))
    assert_same_bits(last, np.ascontiguousarray(outputs[:, -1]), kind)
    alone = fnn.Sequential([KINDS[kind](5)], (4, 3), dtype="float64")
    alone.set_weights(model.get_weights())
    assert_same_bits(alone.predict(normal(3, 4, 3)), last, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_with_the_state_handed_on_are_the_whole(backend, kind):
    X = normal(3, 6, 4)
    whole = sequence_model(KINDS[kind](5, return_sequences=True), (6, 4), head=False)
    a, b = fnn.Input((3, 4)), fnn.Input((3, 4))
    layer = KINDS[kind](5, return_sequences=True, return_state=True)
    first, *states = layer(a)
    second, *_ = KINDS[kind](5, return_sequences=True, return_state=True)([b, *states])
    halves = fnn.Model([a, b], [first, second], dtype="float64")
    halves.set_weights(whole.get_weights() * 2)
    outputs = halves.predict([X[:, :3].copy(), X[:, 3:].copy()])
    assert_close(np.concatenate(outputs, axis=1), whole.predict(X), 1e-14, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_truncation_cuts_the_gradient_of_the_state(backend, kind):
    """With bptt_steps the gradient is that of pieces whose initial states are given numbers."""
    X, y = normal(3, 6, 4), normal(3, 6, 5, seed=2)
    whole = sequence_model(KINDS[kind](5, return_sequences=True, bptt_steps=2), (6, 4), head=False)
    states = fnn.Model(*_with_states(kind), dtype="float64")
    states.set_weights(whole.get_weights())
    states.compile("sgd", "squared_error", loss_weights=[1.0, *[0.0] * (1 + (kind == "lstm"))])
    before = [np.zeros((3, 5))] * (1 + (kind == "lstm"))
    total = dict.fromkeys(whole.bind(X, y).gradients(), 0.0)
    for t in (0, 2, 4):
        inputs = [X[:, t:t + 2].copy(), *before]
        targets = [y[:, t:t + 2].copy(), *before]
        for ours, g in zip(total, states.bind(inputs, targets).gradients().values(), strict=True):
            total[ours] = total[ours] + g / 3
        before = list(states.predict(inputs)[1:])
    for name, gradient in whole.bind(X, y).gradients().items():
        assert_close(gradient, total[name], 1e-13, name)
    free = sequence_model(KINDS[kind](5, return_sequences=True), (6, 4), head=False)
    assert np.abs(free.bind(X, y).gradients()[next(iter(total))] - total[next(iter(total))]).max() > 1e-4


def _with_states(kind):
    x, *states = fnn.Input((2, 4)), *(fnn.Input((5,)) for _ in range(1 + (kind == "lstm")))
    outputs = KINDS[kind](5, return_sequences=True, return_state=True)([x, *states])
    return [x, *states], list(outputs)


def test_masked_steps_are_as_if_they_were_not_there(backend):
    """At the end, at the start and in the middle; the output repeats the one before."""
    model = fnn.Sequential([fnn.Masking(), fnn.LSTM(5, return_sequences=True)], (5, 2), dtype="float64", seed=2)
    X = normal(3, 5, 2)
    X[0, 3:] = X[1, 0] = X[2, 2] = 0
    Y = model.predict(X)
    short = fnn.Sequential([fnn.LSTM(5, return_sequences=True)], (None, 2), dtype="float64")
    short.set_weights(model.get_weights())
    assert_close(Y[0], short.predict(X[:1, :3])[0][[0, 1, 2, 2, 2]], 1e-14)
    assert_close(Y[1], np.concatenate([np.zeros((1, 5)), short.predict(X[1:2, 1:])[0]]), 1e-14)
    assert_close(Y[2], short.predict(X[2:, [0, 1, 3, 4]])[0][[0, 1, 1, 2, 3]], 1e-14)


def test_reverse_reads_from_the_last_step(backend):
    model = sequence_model(fnn.GRU(5, return_sequences=True, reverse=True), (6, 4), head=False)
    forwards = sequence_model(fnn.GRU(5, return_sequences=True), (6, 4), head=False)
    X = normal(3, 6, 4)
    assert_close(model.predict(X), forwards.predict(X[:, ::-1].copy())[:, ::-1], 1e-14)


# ------------------------------------------------------------------------------------------- arguments

@pytest.mark.parametrize("make, words", [
    (lambda: fnn.LSTM(0), "units"), (lambda: fnn.GRU(3, stateful=True), "batch_size"),
    (lambda: fnn.SimpleRNN(3, "softmax"), "activation"), (lambda: fnn.LSTM(3, bptt_steps=0), "bptt_steps"),
    (lambda: fnn.Bidirectional(fnn.Dense(3)), "layer"), (lambda: fnn.Bidirectional(fnn.GRU(3), "max"), "merge"),
    (lambda: fnn.Sequential([fnn.LSTM(3)], (4,)), r"\(time, features\)"),
    (lambda: fnn.GRU(3)([fnn.Input((4, 2)), fnn.Input((4,))]), "initial states"),
    (lambda: fnn.Sequential([fnn.Embedding(5, 2)], (3,)).predict([[0, 1, 5]]), r"5"),
    (lambda: fnn.TimeDistributed(fnn.Standardize()), "no numbers of the training set, got Standardize"),
    (lambda: fnn.Model(x := [fnn.Input((4, 2)), fnn.Input((3,))], fnn.Bidirectional(fnn.GRU(3))(x)),
     "expected 2 initial states after the sequence, first those of the layer that reads forwards, got 1"),
], ids=range(11))

def test_errors_say_what_is_wrong(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()


@pytest.mark.parametrize("layer", [
    fnn.SimpleRNN(3, "relu", reverse=True), fnn.LSTM(3, forget_bias=0.5, bptt_steps=4),
    fnn.GRU(3, reset_after=False, return_state=True, recurrent_regularizer="l2"),
    fnn.Bidirectional(fnn.GRU(3), "sum"), fnn.TimeDistributed(fnn.Dense(2, "relu")), fnn.Masking(-1.0),
    fnn.Embedding(7, 2, lazy=True, mask_zero=True)], ids=lambda layer: type(layer).__name__)
def test_config_makes_the_layer_again(layer):
    config = fnn.layers.to_config(layer)
    assert fnn.layers.to_config(fnn.layers.from_config(config)) == config


@pytest.mark.parametrize("make", [
    lambda: fnn.SimpleRNN(17, return_sequences=True), lambda: fnn.LSTM(33, return_sequences=True),
    lambda: fnn.GRU(31, return_sequences=True), lambda: fnn.GRU(16, return_sequences=True, reset_after=False)],
    ids=["rnn", "lstm", "gru", "gru-before"])
def test_steps_in_blocks_are_those_of_the_whole(backend, monkeypatch, make):
    """A step on more rows than a block holds: every op that writes a gradient adds to it from the second block on."""
    from fastnn import compilation

    X, y = normal(24, 3, 4), normal(24, 3, 2, seed=1)
    models = [sequence_model(make(), (3, 4)) for _ in range(2)]
    models[0].fit(X, y, batch_size=12, verbose=0)
    monkeypatch.setattr(compilation, "CACHED_BLOCK", 5)
    monkeypatch.setattr(compilation, "LARGEST_BLOCK", 5)
    assert models[1]._compiled.block_rows(12) == 5
    models[1].fit(X, y, batch_size=12, verbose=0)
    for name, value in models[1].state_dict().items():
        assert_close(value, models[0].state_dict()[name], 1e-13, name)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("kind", [fnn.SimpleRNN, fnn.LSTM, fnn.GRU])
def test_both_ways_from_given_states(backend, kind, merge):
    """As the two layers alone, each from its own."""
    n_states = 1 + (kind is fnn.LSTM)
    inputs = [fnn.Input((5, 2)), *(fnn.Input((3,)) for _ in range(2 * n_states))]
    two = fnn.Bidirectional(kind(3, return_sequences=True, return_state=True), merge)
    model = fnn.Model(inputs, list(two(inputs)), dtype="float64", seed=0)
    ways = [kind(3, return_sequences=True, return_state=True, reverse=reverse) for reverse in (False, True)]
    first, last = ways[0](inputs[:1 + n_states]), ways[1]([inputs[0], *inputs[1 + n_states:]])
    apart = fnn.Model(inputs, [*first, *last], dtype="float64")
    apart.set_weights(model.get_weights())
    X = [normal(4, *tensor.shape, seed=i) for i, tensor in enumerate(inputs)]
    y, *states = model.predict(X)
    a, *own = apart.predict(X)
    b, own = own[n_states], own[:n_states] + own[n_states + 1:]
    merged = {"concat": np.concatenate([a, b], 2), "sum": a + b, "mul": a * b, "ave": (a + b) / 2}[merge]
    assert_close(y, merged, 1e-14)
    for got, want in zip(states, own, strict=True):
        assert_close(got, want, 1e-14)
