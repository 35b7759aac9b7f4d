"""Schedules against their formulas and PyTorch, inside training, saved and loaded."""

import math

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.functional import call
from fastnn.schedules import SCHEDULES, get

# name: a schedule and its formula, straight from the docstring
FORMULAS = {
    "constant": (fnn.ConstantRate(0.1), lambda t: 0.1),
    "inverse_time": (fnn.InverseTimeDecay(0.1, 0.03), lambda t: 0.1 / (1 + 0.03 * t)),
    "constant_then_inverse": (fnn.ConstantThenInverse(0.1, 20), lambda t: 0.1 * 20 / max(t, 20)),
    "exponential": (fnn.ExponentialDecay(0.1, 0.7, 10), lambda t: 0.1 * 0.7 ** (t / 10)),
    "step": (fnn.StepDecay(0.1, 0.5, 7), lambda t: 0.1 * 0.5 ** (t // 7)),
    "inverse_square_root": (fnn.InverseSquareRootDecay(0.1, 5), lambda t: 0.1 / math.sqrt(1 + t / 5)),
    "polynomial": (fnn.PolynomialDecay(0.1, 40, 2, 0.01), lambda t: 0.01 + 0.09 * max(0, 1 - t / 40) ** 2),
    "cosine": (fnn.CosineDecay(0.1, 40, 0.01),
               lambda t: 0.01 + 0.09 * (1 + math.cos(math.pi * min(t, 40) / 40)) / 2),
    "cosine_restarts": (fnn.CosineRestarts(0.1, 15),
                        lambda t: 0.1 * (1 + math.cos(math.pi * (t % 15) / 15)) / 2),
    "warm_up": (fnn.WarmUp(0.1, 10), lambda t: 0.1 * min((t + 1) / 10, 1)),
}
OTHERS = [fnn.OneCycle(0.1, 50), fnn.OneCycle(0.1, 50, momentum=None), fnn.CosineRestarts(0.1, 5, 2, 0.01),
          fnn.StepDecay(0.1, 0.5, (3, 10)), fnn.WarmUp(fnn.CosineDecay(0.1, 30), 4)]
ALL = [schedule for schedule, _ in FORMULAS.values()] + OTHERS


def test_every_schedule_is_tested():
    assert {type(schedule) for schedule in ALL} == set(SCHEDULES.values())


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name):
    schedule, formula = FORMULAS[name]
    expected = [formula(t) for t in range(60)]
    np.testing.assert_allclose(schedule.rates(np.arange(60.0)), expected, rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_one_rate_or_many(schedule):
    """Wherever a chunk begins, its rates are those of the single updates."""
    rates = schedule.rates(np.arange(70.0))
    assert rates.shape == (70,) and rates.dtype == np.float64
    for t in (0, 1, 29, 69):
        assert schedule(t) == rates[t] == schedule.rates(np.arange(t, 70.0))[0]
    assert (rates >= 0).all() and schedule(10**9) >= 0


def test_restarts_grow():
    schedule = fnn.CosineRestarts(0.1, 5, multiplier=2)
    restarts = [t for t in range(1, 200) if schedule(t) > schedule(t - 1)]
    assert restarts == [5, 15, 35, 75, 155] and all(schedule(t) == 0.1 for t in restarts)


def test_vaswani():
    """Warm-up and inverse square root: rate min(s / n, sqrt(n / s)) in the s-th update."""
    schedule = fnn.WarmUp(fnn.InverseSquareRootDecay(0.2, 40), 40)
    s = np.arange(1, 300)
    np.testing.assert_allclose(schedule.rates(s - 1.0), 0.2 * np.minimum(s / 40, np.sqrt(40 / s)), rtol=1e-14)


@pytest.mark.parametrize("ours, theirs", [
    (fnn.ExponentialDecay(0.1, 0.9), lambda s, o: s.ExponentialLR(o, 0.9)),
    (fnn.StepDecay(0.1, 0.5, 7), lambda s, o: s.StepLR(o, 7, 0.5)),
    (fnn.StepDecay(0.1, 0.5, (3, 10)), lambda s, o: s.MultiStepLR(o, [3, 10], 0.5)),
    (fnn.PolynomialDecay(0.1, 40, 2), lambda s, o: s.PolynomialLR(o, 40, 2)),
    (fnn.CosineDecay(0.1, 50, 0.01), lambda s, o: s.CosineAnnealingLR(o, 50, 0.01)),
    (fnn.CosineRestarts(0.1, 7, 2, 0.01), lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, 2, 0.01)),
    (fnn.OneCycle(0.1, 50), lambda s, o: s.OneCycleLR(o, 0.1, 50)),
], ids=lambda value: type(value).__name__)
def test_pytorch(ours, theirs):
    """The same rates, and for one-cycle the same momenta."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its schedules are not compared")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    scheduler = theirs(torch.optim.lr_scheduler, optimizer)
    rates, momenta = [], []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        if len(rates) < 50:
            scheduler.step()
    np.testing.assert_allclose(ours.rates(np.arange(50.0)), rates, rtol=1e-10)
    if ours.momenta(np.arange(50.0)) is not None:
        np.testing.assert_allclose(ours.momenta(np.arange(50.0)), momenta, rtol=1e-12)


# ------------------------------------------------------------------------------------------ inside training

def model_of(optimizer, X=None):
    model = fnn.Sequential([fnn.Dense(7, "tanh"), fnn.Dense(3, "softmax")], input_shape=(5,), dtype="float64")
    model.compile(optimizer, "cross_entropy")
    return model


def samples(n=60):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 5)), rng.integers(0, 3, n)


@pytest.mark.parametrize("optimizer", [fnn.Momentum, fnn.Nesterov, fnn.Adam], ids=lambda o: o.__name__)
def test_fit_follows_rate_and_momentum(backend, optimizer):
    """One-cycle over three epochs, against the same steps one by one with both numbers set by hand."""
    X, y = samples()
    schedule = fnn.OneCycle(0.1, 18)
    model, twin = model_of(optimizer(schedule)), model_of("sgd")
    model.fit(X, y, batch_size=10, epochs=3, shuffle=False, verbose=0)
    hand = optimizer(0.1)
    states = {name: [np.zeros_like(w) for _ in range(hand.n_states)]
              for name, w in twin.named_parameters().items()}
    for t in range(18):
        rows = slice(10 * (t % 6), 10 * (t % 6) + 10)
        settings = {**hand.scalars(), "beta1": float(schedule.momenta(np.array([float(t)]))[0])}
        gradients = {name: g.copy() for name, g in twin.bind(X[rows], y[rows]).gradients().items()}
        for name, w in twin.named_parameters().items():
            stepped = w.copy()
            arrays = gradients[name], stepped, *states[name]
            call(hand.op, arrays, rate=schedule(t), update=t + 1, **settings)
            w[...] = stepped
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_function_and_schedule_are_alike(backend):
    X, y = samples()
    rates = fnn.InverseTimeDecay(0.5, 0.1), lambda t: 0.5 / (1 + 0.1 * t)
    models = [model_of(fnn.SGD(rate)) for rate in rates]
    for model in models:
        model.fit(X, y, batch_size=7, epochs=2, verbose=0)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_saved_with_the_model(schedule, tmp_path):
    assert get(schedule.get_config()) == schedule
    model = model_of(fnn.Momentum(schedule))
    model.save(tmp_path / "model.safetensors")
    loaded = fnn.load(tmp_path / "model.safetensors")
    assert repr(loaded.optimizer) == repr(model.optimizer)
    np.testing.assert_array_equal(loaded.optimizer.rates(3, 9), model.optimizer.rates(3, 9))


def test_reduce_on_plateau(backend):
    """The rate falls at the patience-th epoch without improvement, then rests, and never below the least."""
    values = iter([1.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5])
    reduce = fnn.ReduceOnPlateau("loss", factor=0.1, patience=2, cooldown=1, min_rate=0.003)
    reduce.set_model(model_of(fnn.SGD(0.1)))
    reduce.on_train_begin({})
    for epoch, value in enumerate(values):
        reduce.on_epoch_end(epoch, {"loss": value})
    np.testing.assert_allclose(reduce.rates, [0.1] * 3 + [0.01] * 5 + [0.003] * 4)
    reduce.set_model(model_of(fnn.SGD(fnn.CosineDecay(0.1, 10))))
    with pytest.raises(TypeError, match="expected an optimizer with a number"):
        reduce.on_train_begin({})


def test_bad_settings():
    for make, word in [(lambda: fnn.ExponentialDecay(0.1, -1.0), "factor"),
                       (lambda: fnn.StepDecay(0.1, 0.5, 0), "every"),
                       (lambda: fnn.StepDecay(0.1, 0.5, (5, 3)), "every"),
                       (lambda: fnn.CosineDecay(0.0, 5), "rate"),
                       (lambda: fnn.CosineRestarts(0.1, 5, 0.5), "multiplier"),
                       (lambda: fnn.OneCycle(0.1, 10, momentum=(0.9, 1.0)), "momentum"),
                       (lambda: get({"name": "cosin"}), "did you mean 'cosine'")]:
        with pytest.raises(ValueError, match=word):
            make()
    with pytest.raises(TypeError, match="subclass fastnn.Schedule"):
        fnn.WarmUp(lambda t: 0.1, 5)
