"""Every activation at its tails and on a dense sample, its slope, PyTorch's figures, and layers with them.

mpmath judges values and slopes. In the native core values stay within ULP_BOUND units in the last place on
every instruction set; `benchmarks/ulp_sweep.py` measures all floats. NumPy rounds the arguments of its
exponentials once, so its bound grows with the logarithm of the result; it is right in the tails too.
"""
import pickle
from functools import cache

import mpmath
import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close
from fastnn import functional as F
from fastnn.activations import ACTIVATIONS, choose
from fastnn.losses import get

ULP_BOUND = 4.0
SLOPE_BOUND = 8.0  # epsilons of max(1, slope); slopes of some activations cross zero
SELU = mpmath.mpf("1.0507009873554804934193349852946"), mpmath.mpf("1.7580993408473768599402175208123")
EXACT = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "hard_tanh": lambda x: max(min(x, mpmath.mpf(1)), mpmath.mpf(-1)),
    "hard_sigmoid": lambda x: max(min((x + 3) / 6, mpmath.mpf(1)), mpmath.mpf(0)),
    "softsign": lambda x: x / (1 + abs(x)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "leaky_relu": lambda x: x if x > 0 else x / 100,
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "selu": lambda x: SELU[0] * x if x > 0 else SELU[1] * mpmath.expm1(x),
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / (1 + mpmath.exp(-mpmath.sqrt(8 / mpmath.pi) * (x + x**3 * 44715 / 1000000))),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "exponential": mpmath.exp,
}
LIMITS = {  # at -inf and inf
    "sigmoid": (0, 1), "tanh": (-1, 1), "hard_tanh": (-1, 1), "hard_sigmoid": (0, 1), "softsign": (-1, 1),
    "relu": (0, np.inf), "elu": (-1, np.inf), "selu": (-float(SELU[1]), np.inf), "gelu": (0, np.inf),
    "gelu_tanh": (0, np.inf), "silu": (0, np.inf), "mish": (0, np.inf), "softplus": (0, np.inf),
    "exponential": (0, np.inf),
}
TORCH = {
    "identity": "Identity", "sigmoid": "Sigmoid", "tanh": "Tanh", "hard_tanh": "Hardtanh",
    "hard_sigmoid": "Hardsigmoid", "softsign": "Softsign", "relu": "ReLU", "leaky_relu": "LeakyReLU",
    "elu": "ELU", "selu": "SELU", "gelu": "GELU", "silu": "SiLU", "mish": "Mish", "softplus": "Softplus",
}


@cache
def points(name, dtype):
    """Dense near 0, in the tails, at subnormal results and near the borders of polynomials and pieces."""
    rng = np.random.default_rng(0)
    limit = 110 if dtype == "float32" else 760
    x = np.concatenate([np.exp(rng.uniform(-80, 3, 60)), *(rng.uniform(0, end, 60) for end in (1, 4, 16, 40)),
                        rng.uniform(0, limit, 60), 0.67 + rng.uniform(-0.02, 0.02, 20),
                        2.2 + rng.uniform(-0.02, 0.02, 40), 3 - np.exp(rng.uniform(-12, 0, 20))])
    x = np.concatenate([x, -x]).astype(dtype)
    return x[~np.isin(x, ACTIVATIONS[name].kinks)]


@cache
def exact(name, dtype, derivative):
    """Exact values as a float64 and its remainder."""
    with mpmath.workdps(120 if derivative else 60):
        if derivative:
            step = mpmath.mpf(10) ** -20  # relative: no step across a kink
            values = [(EXACT[name](v * (1 + step)) - EXACT[name](v * (1 - step))) / (2 * step * v)
                      for v in map(mpmath.mpf, points(name, dtype).tolist())]
        else:
            values = [EXACT[name](v) for v in map(mpmath.mpf, points(name, dtype).tolist())]
        high = [float(v) for v in values]
        return np.array(high), np.array([float(v - h) if np.isfinite(h) else 0.0
                                         for v, h in zip(values, high, strict=True)])


def units(values, dtype):
    """One unit in the last place of each."""
    limits = np.finfo(dtype)
    return np.ldexp(1.0, np.maximum(np.frexp(values)[1] - 1, limits.minexp) - limits.nmant)


def inputs_of_slope(name, x):
    return x if ACTIVATIONS[name].derivative_of == "input" else F.activation_forward(x, name)


def test_every_activation_is_here():
    assert set(EXACT) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values(combination, name):
    dtype = combination.dtype
    high, low = exact(name, dtype.name, False)
    got = F.activation_forward(points(name, dtype.name)[None], name)[0].astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.abs((got - high) - low) / units(high, dtype)
        error[(np.abs(high) > np.finfo(dtype).max) & np.isinf(got)] = 0
        numpy_bound = 8 + 3 * np.abs(np.log(np.maximum(np.abs(high), np.finfo(dtype).smallest_subnormal)))
    bound = np.full(high.shape, ULP_BOUND) if combination.backend == "native" else numpy_bound
    worst = np.argmax(error / bound)
    assert (error <= bound).all(), (f"{name}({points(name, dtype.name)[worst]!r}): expected {high[worst]!r}, "
                                    f"got {got[worst]!r}, {error[worst]:.2f} ULP")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes(combination, name):
    dtype = combination.dtype
    x = points(name, dtype.name)
    slope = exact(name, dtype.name, True)[0]
    keep = np.abs(slope) < 1e30
    f = inputs_of_slope(name, x[None])
    got = F.activation_backward(np.ones_like(f), f, name)[0]
    error = SLOPE_BOUND * np.finfo(dtype).eps * np.maximum(1, np.abs(slope[keep]))
    assert_close(got[keep], slope[keep], error, name)


@pytest.mark.parametrize("name", LIMITS)
def test_limits(combination, name):
    dtype = combination.dtype
    most = np.finfo(dtype).max
    x = np.array([[-np.inf, -most, most, np.inf, np.nan]], dtype)
    y = F.activation_forward(x, name)[0]
    low, high = (dtype.type(v) for v in LIMITS[name])
    assert y[0] == low and y[3] == high and np.isnan(y[4]), y
    assert y[1] == low and y[2] >= min(high, most) * dtype.type(0.999), y
    f = inputs_of_slope(name, x[:, :4])
    slopes = F.activation_backward(np.ones_like(f), f, name)[0]
    assert name == "exponential" or np.isfinite(slopes).all(), slopes


def test_known_tails(combination):
    one = 16 * np.finfo(combination.dtype).eps
    for name, x, y in (("softplus", -100, 3.720075976020836e-44), ("gelu", -6, -5.919525870226189e-09),
                       ("sigmoid", -100, 3.720075976020836e-44), ("gelu", -14, -1.0904952e-43),
                       ("silu", -100, -3.720075976020836e-42)):
        got = F.activation_forward(np.array([[x]], combination.dtype), name)[0, 0]
        assert abs(got - y) <= 4 * one * abs(y) + 64 * np.finfo("f4").smallest_subnormal, (name, got)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "hard_sigmoid"])
@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_alpha(combination, name, alpha):
    dtype = combination.dtype
    x = np.linspace(-4, 4, 33).astype(dtype)[None] + dtype.type(0.01)
    row, wide = ACTIVATIONS[name], x.astype(np.float64)
    y = F.activation_forward(x, name, alpha)
    assert_close(y, row.function(wide, alpha), 8 * np.finfo(dtype).eps * np.maximum(1, np.abs(y)), name)
    numeric = (row.function(wide + 1e-6, alpha) - row.function(wide - 1e-6, alpha)) / 2e-6
    assert_close(F.activation_backward(np.ones_like(x), y, name, alpha), numeric, 1e-5, f"{name} slope")


@pytest.mark.parametrize("name", [*TORCH, "gelu_tanh", "softmax", "log_softmax"])
def test_agreement_with_torch(backend, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = torch.nn.GELU(approximate="tanh") if name == "gelu_tanh" else \
        torch.nn.Softmax(1) if name == "softmax" else torch.nn.LogSoftmax(1) if name == "log_softmax" else \
        getattr(torch.nn, TORCH[name])()
    rng = np.random.default_rng(0)
    x, dy = 3 * rng.standard_normal((20, 33)), rng.standard_normal((20, 33))
    tx = torch.tensor(x, requires_grad=True)
    ty = module(tx)
    ty.backward(torch.tensor(dy))
    if name in ACTIVATIONS:
        y = F.activation_forward(x, name)
        dx = F.activation_backward(dy, x if ACTIVATIONS[name].derivative_of == "input" else y, name)
    else:
        y = getattr(F, f"{name}_forward")(x)
        dx = getattr(F, f"{name}_backward")(dy, y)
    np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-10, atol=1e-15)
    rtol = 1e-7 if name == "hard_sigmoid" else 1e-10  # PyTorch's slope is 1 / 6 in float32
    np.testing.assert_allclose(dx, tx.grad.numpy(), rtol=rtol, atol=1e-14)


# ----------------------------------------------------------------------------------- rows, learned slopes

def test_log_softmax(combination):
    dtype = combination.dtype
    for n in (1, 2, 15, 16, 17, 33, 100):
        rng = np.random.default_rng(n)
        x = (10 * rng.standard_normal((7, n))).astype(dtype)
        x[0] += 1000
        x[1, 0] = 500
        dy = rng.standard_normal((7, n)).astype(dtype)
        wide = x.astype(np.float64) - x.max(1, keepdims=True)
        expected = wide - np.log(np.exp(wide).sum(1, keepdims=True))
        eps = np.finfo(dtype).eps
        y = F.log_softmax_forward(x)
        assert_close(y, expected, 4 * eps * (1 + np.abs(expected)), f"{n} columns")
        slope = dy - np.exp(expected) * dy.sum(1, keepdims=True, dtype=np.float64)
        size = np.abs(dy).sum(1, keepdims=True)
        assert_close(F.log_softmax_backward(dy, y), slope, (n + 20) * eps * (1 + size), f"dx, {n} columns")


def test_prelu(combination):
    dtype = combination.dtype
    for rows, n in ((1, 3), (7, 15), (33, 17), (5, 100)):
        rng = np.random.default_rng(n)
        x, dy = rng.standard_normal((2, rows, n)).astype(dtype)
        slope = rng.standard_normal(n).astype(dtype)
        eps = np.finfo(dtype).eps
        wide = slope.astype(np.float64)
        assert_close(F.prelu_forward(x, slope), np.where(x > 0, x, wide * x), 4 * eps * np.abs(x))
        got = F.prelu_backward_input(dy, x, slope)
        assert_close(got, np.where(x > 0, dy, wide * dy), 4 * eps * np.abs(dy))
        terms = np.where(x > 0, 0, x.astype("f8") * dy)
        assert_close(F.prelu_backward_parameters(dy, x), terms.sum(0), 2 * eps * np.abs(terms).sum(0))


# --------------------------------------------------------------------------------------- layers with them

def square(x):
    return x * x


def square_slope(x):
    return 2 * x


def network(activation, last="softmax", loss="cross_entropy", dtype="float64"):
    model = fnn.Sequential([fnn.Dense(17, activation), fnn.Dense(6), fnn.Activation(activation),
                            fnn.Dense(3, last)], input_shape=(5,), dtype=dtype, seed=3)
    model.compile(fnn.SGD(0.05), loss)
    return model


X = np.random.default_rng(0).standard_normal((12, 5))
LABELS = np.arange(12) % 3
YOUR_OWN = square, square_slope


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "softmax", "log_softmax", pytest.param(YOUR_OWN, id="your own")])
def test_gradients_through_both_layers(backend, activation):
    check = fnn.check_gradients(network(activation), X, LABELS, samples=40)
    assert check.passed, check


def test_log_softmax_with_a_loss(backend):
    targets = np.random.default_rng(1).standard_normal((12, 3))
    assert fnn.check_gradients(network("tanh", "log_softmax", "squared_error"), X, targets).passed
    log, plain = network("tanh", "log_softmax"), network("tanh", "softmax")
    assert fnn.check_gradients(log, X, LABELS).passed
    assert log.evaluate(X, LABELS) == plain.evaluate(X, LABELS)
    np.testing.assert_allclose(np.exp(log.predict(X)), plain.predict(X), rtol=1e-12)


def test_your_own_trains_like_the_built_in(backend):
    own, built_in = network((lambda x: np.tanh(x), lambda x: 1 - np.tanh(x) ** 2)), network("tanh")
    for model in (own, built_in):
        model.fit(X, LABELS, batch_size=5, epochs=3, verbose=0)
    np.testing.assert_allclose(own.predict(X), built_in.predict(X), rtol=1e-10)
    assert own.predict(X[:1]).shape == (1, 3)


def test_your_own_must_keep_the_shape(backend):
    with pytest.raises(ValueError, match=r"shape \(12, 17\), got \(12,\)"):
        network((lambda x: x.sum(1), square_slope)).predict(X)


def test_your_own_is_copied_and_pickled_but_not_saved(tmp_path):
    model = network(YOUR_OWN)
    for other in (model.copy(), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="layer 'dense': its activation is a Python function"):
        model.save(tmp_path / "model.safetensors")


@pytest.mark.parametrize("activation", [
    fnn.LeakyReLU(0.1), fnn.ELU(0.5), fnn.Activation("elu", alpha=0.5), "swish", fnn.HardSigmoid(0.25),
], ids=repr)
def test_alpha_is_saved(tmp_path, activation):
    model = fnn.Sequential([fnn.Dense(17, activation), activation if not isinstance(activation, str) else
                            fnn.Activation(activation), fnn.PReLU(0.1), fnn.Dense(3, "softmax")],
                           input_shape=(5,))
    model.compile()
    model.save(tmp_path / "model.safetensors")
    loaded = fnn.load(tmp_path / "model.safetensors")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(fnn.Sequential.from_config(model.get_config()).predict(X), model.predict(X))


def test_names_with_alpha():
    assert fnn.Dense(3, "leaky_relu").get_config()["activation"] == "leaky_relu"
    assert fnn.Dense(3, fnn.LeakyReLU(0.1)).get_config()["activation"] == {"name": "leaky_relu", "alpha": 0.1}
    assert fnn.Dense(3, fnn.LeakyReLU(0.1)).activation == "leaky_relu"
    assert get("cross_entropy").op("log_softmax", 3) == "softmax_cross_entropy"


@pytest.mark.parametrize("value, alpha, error, words", [
    ("rellu", None, ValueError, "did you mean 'relu'"),
    (np.tanh, None, TypeError, "a pair of functions"),
    (3, None, TypeError, "activation: expected a name"),
    ("tanh", 0.1, ValueError, "alpha: tanh has no parameter"),
    ("elu", -1.0, ValueError, "alpha"),
    (YOUR_OWN, 1.0, ValueError, "alpha: expected None"),
])
def test_errors(value, alpha, error, words):
    with pytest.raises(error, match=words):
        choose("activation", value, alpha)
