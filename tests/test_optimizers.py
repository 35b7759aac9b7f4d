"""Optimizers: against formulas in float64, against PyTorch, inside models."""

import itertools
import math
from functools import partial

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits
from fastnn.functional import call
from fastnn.optimizers import OPTIMIZERS
from fastnn.program import OPS

RATE = 0.05

# One row per form of an optimizer: everything that it can be told to do differently.
FORMS = {
    "sgd": fnn.SGD(RATE),
    "momentum": fnn.Momentum(RATE),
    "momentum, rate outside": fnn.Momentum(RATE, rate_outside=True),
    "momentum, damped": fnn.Momentum(RATE, 0.8, dampening=0.8),
    "momentum, PyTorch's damping": fnn.Momentum(RATE, 0.8, dampening=0.3, rate_outside=True,
                                                whole_first=True),
    "nesterov": fnn.Nesterov(RATE),
    "nesterov, rate outside": fnn.Nesterov(RATE, rate_outside=True),
    "adagrad": fnn.AdaGrad(RATE),
    "adagrad, Keras's": fnn.AdaGrad(RATE, initial_accumulator=0.1, epsilon=1e-7, epsilon_inside=True),
    "rmsprop": fnn.RMSprop(RATE),
    "rmsprop, epsilon inside": fnn.RMSprop(RATE, epsilon=1e-4, epsilon_inside=True),
    "rmsprop, momentum": fnn.RMSprop(RATE, 0.95, momentum=0.7),
    "rmsprop, centered": fnn.RMSprop(RATE, 0.95, centered=True),
    "rmsprop, centered, momentum": fnn.RMSprop(RATE, 0.95, 0.7, centered=True, rate_outside=True),
    "adadelta": fnn.AdaDelta(epsilon=1e-3),
    "adam": fnn.Adam(RATE),
    "adam, uncorrected": fnn.Adam(RATE, bias_correction=False),
    "adam, epsilon hat": fnn.Adam(RATE, epsilon=1e-3, epsilon_hat=True),
    "amsgrad": fnn.AMSGrad(RATE, beta_2=0.8),
    "amsgrad, the paper's": fnn.AMSGrad(RATE, beta_2=0.8, bias_correction=False),
    "nadam": fnn.NAdam(RATE),
    "nadam, Keras's": fnn.NAdam(RATE, epsilon=1e-7, momentum_decay=1.0),
    "adamw": fnn.AdamW(RATE, weight_decay=0.1),
    "lion": fnn.Lion(RATE, weight_decay=0.1),
}
FORMS |= {f"{name}, decay": kind(RATE, weight_decay=0.3) for name, kind in OPTIMIZERS.items()}
FORMS |= {"rmsprop, centered, momentum, decay": fnn.RMSprop(RATE, 0.95, 0.7, centered=True, weight_decay=0.3)}


def reference(o, w, gradients, rates):
    """All steps of an optimizer in float64, written from the papers with plain names; w after each."""
    zeros, name, path = np.zeros_like(w), type(o).__name__, []
    v, m, s = zeros, zeros, np.full_like(w, getattr(o, "initial_accumulator", 0.0))
    u, product = zeros, 1.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        def root(x, o=o):
            inside = getattr(o, "epsilon_inside", False)
            return np.sqrt(x + o.epsilon) if inside else np.sqrt(x) + o.epsilon
        w = w * (1 - rate * o.weight_decay)
        if name in ("SGD", "Momentum", "Nesterov"):
            damped = g if o.whole_first and t == 1 else (1 - o.dampening) * g
            v = o.momentum * v - (damped if o.rate_outside else rate * damped)
            scale = rate if o.rate_outside else 1
            w = w + (scale * o.momentum * v - rate * g if o.nesterov else scale * v)
        elif name == "AdaGrad":
            s = s + g**2
            w = w - rate * g / root(s)
        elif name == "RMSprop":
            s, m = o.rho * s + (1 - o.rho) * g**2, o.rho * m + (1 - o.rho) * g
            d = g / root(s - m**2 if o.centered else s)
            v = o.momentum * v + (d if o.rate_outside else rate * d)
            w = w - (rate * v if o.rate_outside else v)
        elif name == "AdaDelta":
            s = o.rho * s + (1 - o.rho) * g**2
            d = np.sqrt(u + o.epsilon) / np.sqrt(s + o.epsilon) * g
            u = o.rho * u + (1 - o.rho) * d**2
            w = w - rate * d
        elif name == "Lion":
            w = w - rate * np.sign(o.beta_1 * m + (1 - o.beta_1) * g)
            m = o.beta_2 * m + (1 - o.beta_2) * g
        else:
            m, v = o.beta_1 * m + (1 - o.beta_1) * g, o.beta_2 * v + (1 - o.beta_2) * g**2
            u = np.maximum(u, v)
            c1, c2 = (1 - o.beta_1**t, 1 - o.beta_2**t) if o.bias_correction else (1, 1)
            second = (u if name == "AMSGrad" else v) / c2
            ahead = m / c1
            if name == "NAdam":
                mu, following = (o.beta_1 * (1 - 0.5 * 0.96 ** (i * o.momentum_decay)) for i in (t, t + 1))
                product *= mu
                ahead = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
            epsilon = o.epsilon / math.sqrt(c2) if getattr(o, "epsilon_hat", False) else o.epsilon
            w = w - rate * ahead / (np.sqrt(second) + epsilon)
        path.append(w)
    return path


def numbers(dtype, shape, n, seed=0):
    """Gradients of several steps, all different."""
    return [np.random.default_rng([seed, i]).standard_normal(shape).astype(dtype) for i in range(n)]


def states_of(o, w):
    return [np.full_like(w, value) for value in o.initial_states]


def steps(o, w, gradients, rates=None):
    """w after each step of the optimizer's op."""
    states, path = states_of(o, w), []
    rates = o.rates(0, len(gradients)) if rates is None else rates
    for update, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        call(o.op, (g, w, *states), rate=rate, update=update, **o.scalars())
        path.append(w.copy())
    return path


def test_every_optimizer_has_a_form_here():
    assert {type(o) for o in FORMS.values()} == set(OPTIMIZERS.values())
    assert {o.op for o in FORMS.values()} == {name for name, op in OPS.items() if op.optimizer}
    for o in FORMS.values():
        assert o.n_states == len(OPS[o.op].operands) - 2


@pytest.mark.parametrize("form", FORMS)
def test_formula(combination, form):
    """Five steps; in float32 quotients are good to 2^-21, and AdaDelta divides small sums."""
    o, dtype = FORMS[form], combination.dtype
    for shape in [(1,), (16,), (17,), (33,), (3, 5), (7, 31)]:
        gradients = numbers(dtype, shape, 5)
        w = np.random.default_rng(1).standard_normal(shape).astype(dtype)
        exact_gradients = [g.astype(np.float64) for g in gradients]
        expected = reference(o, w.astype(np.float64), exact_gradients, o.rates(0, 5))
        for t, (got, exact) in enumerate(zip(steps(o, w, gradients), expected, strict=True)):
            error = 256 * (t + 1) * np.finfo(dtype).eps
            assert_close(got, exact, error, f"{form} {shape}, step {t + 1}")


@pytest.mark.parametrize("form", FORMS)
def test_fused_step_is_the_same(combination, form):
    """dense_backward_update has the bits of the gradients' op and the optimizer's, one after the other."""
    o, dtype = FORMS[form], combination.dtype
    for rows, n_in, n_out in itertools.product((1, 5, 33), (3, 60), (1, 17, 40)):
        x, dy = numbers(dtype, (rows, n_in), 1)[0], numbers(dtype, (rows, n_out), 1, 1)[0]
        start = [a[0] for a in (numbers(dtype, (n_in, n_out), 1, 2), numbers(dtype, (n_out,), 1, 3))]
        apart, fused = ([(w.copy(), *states_of(o, w)) for w in start] for _ in range(2))
        for update in (1, 2):
            gradients = fnn.functional.dense_backward_parameters(x, dy)
            for g, arrays in zip(gradients, apart, strict=True):
                call(o.op, (g, *arrays), rate=RATE, update=update, **o.scalars())
            operands = [[*arrays, *[None] * (4 - len(arrays))] for arrays in fused]
            call("dense_backward_update", (x, dy, *operands[0], *operands[1]), optimizer=o.op, rate=RATE,
                 update=update, **o.scalars())
        for a, b in zip(itertools.chain(*apart), itertools.chain(*fused), strict=True):
            assert_same_bits(b, a, f"{form} {rows}x{n_in}x{n_out}")


@pytest.mark.parametrize("form", FORMS)
def test_nan_and_zero_gradients(combination, form):
    """A NaN reaches its weight and no other; without gradient or state there is decay alone."""
    o, dtype = FORMS[form], combination.dtype
    w = np.linspace(1, 2, 33).astype(dtype)
    g = np.zeros(33, dtype)
    g[20] = np.nan
    got = steps(o, w.copy(), [g], [RATE])[0]
    assert np.isnan(got[20])
    decayed = w * dtype.type(1 - RATE * o.weight_decay)
    np.testing.assert_array_equal(np.delete(got, 20), np.delete(decayed, 20))


TORCH = {
    "sgd": ("SGD", {}, fnn.SGD),
    "sgd, decay": ("SGD", {"weight_decay": 0.2}, partial(fnn.SGD, weight_decay=0.2)),  # coupled: the same
    "momentum": ("SGD", {"momentum": 0.9}, partial(fnn.Momentum, rate_outside=True)),
    "momentum, damped": ("SGD", {"momentum": 0.8, "dampening": 0.3},
                         partial(fnn.SGD, momentum=0.8, dampening=0.3, rate_outside=True, whole_first=True)),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, partial(fnn.Nesterov, rate_outside=True)),
    "adagrad": ("Adagrad", {}, fnn.AdaGrad),
    "adagrad, accumulator": ("Adagrad", {"initial_accumulator_value": 0.3},
                             partial(fnn.AdaGrad, initial_accumulator=0.3)),
    "rmsprop": ("RMSprop", {}, partial(fnn.RMSprop, rho=0.99)),
    "rmsprop, momentum": ("RMSprop", {"momentum": 0.6},
                          partial(fnn.RMSprop, rho=0.99, momentum=0.6, rate_outside=True)),
    "rmsprop, centered": ("RMSprop", {"centered": True}, partial(fnn.RMSprop, rho=0.99, centered=True)),
    "rmsprop, centered, momentum": ("RMSprop", {"centered": True, "momentum": 0.6, "alpha": 0.9},
                                    partial(fnn.RMSprop, momentum=0.6, centered=True, rate_outside=True)),
    "adadelta": ("Adadelta", {}, fnn.AdaDelta),
    "adam": ("Adam", {}, fnn.Adam),
    "adam, large epsilon": ("Adam", {"eps": 0.1}, partial(fnn.Adam, epsilon=0.1)),
    "amsgrad": ("Adam", {"amsgrad": True, "betas": (0.9, 0.7)}, partial(fnn.AMSGrad, beta_2=0.7)),
    "nadam": ("NAdam", {}, fnn.NAdam),
    "nadam, decay": ("NAdam", {"weight_decay": 0.2, "decoupled_weight_decay": True},
                     partial(fnn.NAdam, weight_decay=0.2)),
    "amsgrad, decay": ("AdamW", {"weight_decay": 0.2, "amsgrad": True, "betas": (0.9, 0.7)},
                       partial(fnn.AMSGrad, beta_2=0.7, weight_decay=0.2)),
    "adamw": ("AdamW", {"weight_decay": 0.2}, partial(fnn.AdamW, weight_decay=0.2)),
}


@pytest.fixture
def torch():
    """PyTorch in float64: its NAdam keeps the product of the momenta in the default dtype."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its optimizers are not compared")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("falling", [False, True], ids=["constant", "falling"])
def test_twenty_steps_of_pytorch(backend, torch, name, falling):
    """Within 1e-12 in float64, from the first step on; also while the rate changes."""
    kind, settings, make = TORCH[name]
    schedule = fnn.ExponentialDecay(RATE, 0.8) if falling else fnn.ConstantRate(RATE)
    w = np.random.default_rng(5).standard_normal((4, 7))
    gradients = numbers(np.float64, w.shape, 20, 6)
    parameter = torch.tensor(w, requires_grad=True)
    theirs = getattr(torch.optim, kind)([parameter], lr=RATE, **settings)
    ours = steps(make(schedule), w.copy(), gradients)
    for t, g in enumerate(gradients):
        theirs.param_groups[0]["lr"] = schedule(t)
        parameter.grad = torch.tensor(g)
        theirs.step()
        assert_close(ours[t], parameter.detach().numpy(), 1e-12, f"{name}, step {t + 1}")


def test_rate_outside_matters_only_when_the_rate_changes(backend):
    w, gradients = np.zeros(5), numbers(np.float64, 5, 6)
    for kind in (fnn.Momentum, fnn.Nesterov, partial(fnn.RMSprop, momentum=0.9)):
        paths = [[steps(kind(rate, rate_outside=outside), w.copy(), gradients)[-1]
                  for outside in (False, True)] for rate in (0.1, fnn.ExponentialDecay(0.1, 0.5))]
        assert np.allclose(*paths[0], rtol=1e-13) and not np.allclose(*paths[1], rtol=1e-2)


# ------------------------------------------------------------------------------------------- inside models

def small_model(optimizer, dtype="float64", seed=0):
    layers = [fnn.Dense(17, "tanh"), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, input_shape=(5,), dtype=dtype, seed=seed)
    model.compile(optimizer, "cross_entropy")
    return model


def samples(n=40):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 5)), rng.integers(0, 3, n)


@pytest.mark.parametrize("form", FORMS)
def test_model_takes_the_steps(backend, form):
    """What fit does in four steps, rebuilt from the model's own gradients and the formula."""
    o, (X, y) = FORMS[form], samples()
    model, twin = small_model(o), small_model("sgd")
    model.fit(X, y, batch_size=10, shuffle=False, verbose=0)
    names = list(twin.named_parameters())
    start = {name: a.copy() for name, a in twin.named_parameters().items()}
    gradients: dict[str, list] = {name: [] for name in names}
    for step in range(4):
        rows = slice(10 * step, 10 * step + 10)
        for name, g in twin.bind(X[rows], y[rows]).gradients().items():
            gradients[name].append(g.copy())
        for name, w in twin.named_parameters().items():
            w[...] = reference(o, start[name], gradients[name], o.rates(0, step + 1))[-1]
    for name, w in model.named_parameters().items():
        assert_close(w, twin.named_parameters()[name], 1e-9, f"{form}, {name}")


@pytest.mark.parametrize("form", FORMS)
def test_save_load_copy_and_go_on(backend, form, tmp_path):
    X, y = samples()
    model = small_model(FORMS[form])
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    others = [fnn.load(tmp_path / "model.safetensors"), model.copy()]
    model.fit(X, y, verbose=0)
    for other in others:
        assert repr(other.optimizer) == repr(model.optimizer)
        other.fit(X, y, verbose=0)
        for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
            assert_same_bits(a, b, form)


# ------------------------------------------------------------------------------------------ rows of a table

BATCHES = [[0, 3], [1, 3], [3, 4], [0, 1], [3, 0]]  # the rows that each step names; none names row 2


def lazy_steps(o, w, gradients):
    """What `fastnn.optimizers` says of a table: the op on the rows named, with the model's clock."""
    states = states_of(o, w)
    for update, (rows, g) in enumerate(zip(BATCHES, gradients, strict=True), 1):
        part = [a[rows] for a in (w, *states)]
        call(o.op, (g[rows], *part), rate=RATE, update=update, **o.scalars())
        for a, value in zip((w, *states), part, strict=True):
            a[rows] = value
    return w, states


def sparse_gradients():
    gradients = numbers(np.float64, (5, 3), len(BATCHES))
    for rows, g in zip(BATCHES, gradients, strict=True):
        g[[i for i in range(5) if i not in rows]] = 0
    return gradients


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lazy_steps_are_as_documented(backend, name):
    """Rows not named stay; where that is the dense step too, the table says so."""
    o, gradients = OPTIMIZERS[name](RATE), sparse_gradients()
    w = np.random.default_rng(1).standard_normal((5, 3))
    lazy, states = lazy_steps(o, w.copy(), gradients)
    np.testing.assert_array_equal(lazy[2], w[2])
    for state, initial in zip(states, o.initial_states, strict=True):
        assert (state[2] == initial).all() and (state[3] != initial).all()
    dense = steps(o, w.copy(), gradients)[-1]
    row, = (line for line in fnn.optimizers.__doc__.splitlines() if line.startswith(f"{name} "))
    assert (lazy == dense).all() == row.endswith("the same")
    if name == "adamw":
        assert (np.abs(dense[2]) < np.abs(w[2])).all()  # it decays


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("theirs, make", [
    ("SGD", fnn.SGD), ("Adagrad", fnn.AdaGrad), ("SparseAdam", partial(fnn.Adam, epsilon_hat=True))])
def test_lazy_steps_of_pytorch(backend, torch, theirs, make):
    w = np.random.default_rng(1).standard_normal((5, 3))
    parameter = torch.tensor(w, requires_grad=True)
    optimizer = getattr(torch.optim, theirs)([parameter], lr=RATE)
    gradients = sparse_gradients()
    for rows, g in zip(BATCHES, gradients, strict=True):
        parameter.grad = torch.sparse_coo_tensor(torch.tensor([rows]), torch.tensor(g[rows]), w.shape,
                                                 check_invariants=True)
        optimizer.step()
    assert_close(lazy_steps(make(RATE), w.copy(), gradients)[0], parameter.detach().numpy(), 1e-12, theirs)


def test_late_first_step_of_a_row(backend):
    w, o = np.zeros((1, 1)), fnn.Adam()
    call("adam", (np.ones((1, 1)), w, *states_of(o, w)), rate=1.0, update=10**6, **o.scalars())
    assert w.item() == pytest.approx(-0.1 / math.sqrt(0.001), rel=1e-6)


def test_dense_steps_move_unused_rows(backend):
    """A row whose gradient is zero takes its steps too: the velocity goes on, the averages decay."""
    w, velocity = np.zeros(2), np.array([0.0, 1.0])
    call("momentum", (np.array([1.0, 0.0]), w, velocity), rate=0.1, **fnn.Momentum(0.1).scalars())
    np.testing.assert_allclose(w, [-0.1, 0.9])


# --------------------------------------------------------------------------------------- what they share

@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_of_every_optimizer(backend, name):
    """The decay is the weights' alone: with or without, the states are those of the same gradients."""
    X, y = samples()
    plain, decayed = (small_model(OPTIMIZERS[name](RATE, weight_decay=d, rate_factors={"dense_1": 0.5}))
                      for d in (0.0, 0.2))
    start = plain.state_dict()
    for model in (plain, decayed):
        model.train_on_batch(X, y)
    for (n, a), b in zip(plain.named_parameters().items(), decayed.get_weights(), strict=True):
        rate = RATE * (0.5 if n.startswith("dense_1.") else 1)
        assert_close(b, a - rate * 0.2 * start[n], 1e-14, n)
    for a, b in zip(plain.snapshot()["states"], decayed.snapshot()["states"], strict=True):
        for n in a:
            assert_same_bits(b[n], a[n])
    assert decayed.optimizer.get_config()["weight_decay"] == 0.2


def test_decay_of_both_kinds_is_the_same_for_sgd_alone(backend):
    X, y = samples()
    def after(optimizer, regularizer=None):
        layer = fnn.Dense(3, "softmax", use_bias=False, kernel_regularizer=regularizer)
        model = fnn.Sequential([layer], input_shape=(5,), dtype="float64", seed=0)
        model.compile(optimizer, "cross_entropy")
        model.fit(X, y, batch_size=10, shuffle=False, verbose=0)
        return layer.weight
    for kind in (fnn.SGD, fnn.Momentum, fnn.Adam):
        decoupled, coupled = after(kind(RATE, weight_decay=0.2)), after(kind(RATE), fnn.L2(0.2))
        assert np.allclose(decoupled, coupled, rtol=1e-12, atol=0) == (kind is fnn.SGD)


def test_rate_factors(backend):
    """A layer's factor, a parameter's before it, and 0 for neither moving."""
    X, y = samples()
    def after(**settings):
        model = small_model(fnn.SGD(0.1, **settings))
        before = {n: a.copy() for n, a in model.named_parameters().items()}
        model.train_on_batch(X, y)
        return {n: a - before[n] for n, a in model.named_parameters().items()}
    plain = after()
    moved = after(rate_factors={"dense": 0.5, "dense.bias": 0, "dense_1.weight": 2})
    factors = {"dense.weight": 0.5, "dense.bias": 0, "dense_1.weight": 2, "dense_1.bias": 1}
    for name, factor in factors.items():
        np.testing.assert_allclose(moved[name], factor * plain[name], rtol=1e-10, atol=1e-15, err_msg=name)


def test_bad_settings():
    with pytest.raises(ValueError, match="in rate_factors 'dens'.*did you mean 'dense'"):
        small_model(fnn.SGD(rate_factors={"dens": 1.0}))
    with pytest.raises(TypeError, match="rate_factors: expected a dict"):
        fnn.SGD(rate_factors=[1.0])
    with pytest.raises(ValueError, match="nesterov"):
        fnn.SGD(nesterov=True)
    for kind, settings in [(fnn.Adam, {"beta_1": 1.0}), (fnn.RMSprop, {"rho": -0.1}),
                           (fnn.AdaGrad, {"epsilon": 0}), (fnn.Lion, {"weight_decay": -1.0}),
                           (fnn.SGD, {"learning_rate": 0.0})]:
        with pytest.raises(ValueError, match=next(iter(settings))):
            kind(**settings)
