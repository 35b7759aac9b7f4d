"""Values that are hard on kernels: every backend, instruction set and dtype; alone, and in every lane of a vector."""
import inspect

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import functional as F
from fastnn.activations import ACTIVATIONS
from fastnn.elementwise_losses import ELEMENTWISE_LOSSES
from functional_calls import CALLS, LABELS
from hostile import INF, NAN, TALLY, no_arrays, outcome, refused

MOST = 3.4028235e38  # of float32
QUICK = [NAN, INF, -INF, 1e-45, -MOST, 1e4, -0.0]
MORE = [-1e-45, 1.1754942e-38, 2.0 ** -126, 1e-310, MOST, -1e4, 0.0, 1.0, -1.0, 0.5, 88.8, -104.0, 709.8, -745.2]
VALUES = [*QUICK, *(pytest.param(value, marks=pytest.mark.slow) for value in MORE)]


def same(alone, many, what):
    """What a value gives alone is what it gives in each of many places, to the bit."""
    TALLY["answered"] += 1
    assert_same_bits(many, np.broadcast_to(alone, many.shape).copy(), what)
    numbers = ~np.isnan(many)  # the sign of a zero too
    assert (np.signbit(many) == np.signbit(alone))[numbers].all(), what


@pytest.mark.parametrize("value", VALUES)
def test_activations(combination, value):
    """Alone, 17 in a row, 17 rows: one result. NaN stays NaN, and nothing else becomes it but infinities."""
    for name in ACTIVATIONS:
        x = np.full((1, 1), value, combination.dtype)
        y = F.activation_forward(x, name)
        for shape in ((1, 17), (17, 1), (17, 17)):
            same(y, F.activation_forward(np.full(shape, value, x.dtype), name), f"{name}({value}) {shape}")
        for place in range(17):  # each lane by itself, among numbers
            row = np.full((1, 17), 0.25, x.dtype)
            row[0, place] = value
            assert_same_bits(F.activation_forward(row, name)[:, place:place + 1], y, f"{name}({value}) at {place}")
        assert np.isnan(y).all() == np.isnan(x).all() or (np.isinf(x).all() and np.isnan(y).all()), name
        slope = F.activation_backward(np.ones_like(x), y, name)
        same(slope, F.activation_backward(np.ones((1, 17), x.dtype), np.repeat(y, 17, 1), name), f"{name}' at {value}")


LIMITS = {  # activation: at -inf and at inf
    "relu": (0, INF), "sigmoid": (0, 1), "tanh": (-1, 1), "identity": (-INF, INF), "hard_tanh": (-1, 1),
    "hard_sigmoid": (0, 1), "softplus": (0, INF), "leaky_relu": (-INF, INF), "elu": (-1, INF), "softsign": (-1, 1),
}


def test_limits(combination):
    """At infinity an activation is its limit."""
    assert set(LIMITS) <= set(ACTIVATIONS)
    for name, limits in LIMITS.items():
        got = F.activation_forward(np.array([[-INF, INF]], combination.dtype), name)[0]
        np.testing.assert_array_equal(got, limits, err_msg=name)


@pytest.mark.parametrize("value", VALUES)
def test_rows(combination, value):
    """Softmax and its like, and every loss: a row alone gives the bits of each of 17 such rows."""
    dtype = combination.dtype
    for n in (1, 2, 16, 17):
        x = np.linspace(0, 1, n, dtype=dtype)[np.newaxis].copy()
        x[0, -1] = value
        many, labels = np.repeat(x, 17, 0), np.zeros(17, int)
        for name in ("softmax_forward", "log_softmax_forward", "row_normalize"):
            y = getattr(F, name)(x)
            same(y, getattr(F, name)(many), f"{name} {value} {n}")
            assert np.isnan(y).all() or not np.isnan(value), name
        for name in ("softmax_cross_entropy", "softmax_focal"):
            alone, among = (getattr(F, name)(z, t) for z, t in ((x, labels[:1]), (many, labels)))
            same(alone[0], among[0], f"{name} {value} {n}")
            same(alone[2], among[2], f"{name} {value} {n}")
            assert np.isnan(alone[2]).all() or not np.isnan(value), name


@pytest.mark.parametrize("value", VALUES)
def test_losses(combination, value):
    """17 outputs of a value have 17 times one gradient; where the output is NaN the loss is."""
    dtype = combination.dtype
    for name in ELEMENTWISE_LOSSES:
        for target in (0.0, 1.0):
            (dy, loss), (row, _), (_, rows) = (
                F.elementwise_loss(np.full(s, value, dtype), np.full(s, target, dtype), None, name)
                for s in ((1, 1), (1, 17), (17, 1)))
            same(dy, row, f"{name} {value} {target}")
            same(loss, rows, f"{name} {value} {target}")
            assert np.isnan(loss).all() or not np.isnan(value), name
    for target in (0.0, 0.25, 1.0):
        alone, row = (F.sigmoid_cross_entropy(np.full(s, value, dtype), np.full(s, target, dtype))
                      for s in ((1, 1), (1, 17)))
        same(alone[0], row[0], f"sigmoid_cross_entropy {value} {target}")


def test_logits_at_the_ends(combination):
    """Cross-entropy is exact for logits of any finite size, and for targets of exactly 0 and 1."""
    dtype = combination.dtype
    for z in (0.0, 1e-45, 88.8, 1e4, -1e4, 1e30, -1e30):
        for target in (0.0, 0.25, 1.0):
            _, gradient, loss = F.sigmoid_cross_entropy(np.array([[z]], dtype), np.array([[target]], dtype))
            z_ = float(dtype.type(z))
            expected = max(z_, 0) - target * z_ + np.log1p(np.exp(-abs(z_)))
            assert loss[0] == pytest.approx(expected, rel=1e-5, abs=1e-30)
            assert np.isfinite(gradient).all()
        for label, row in ((0, [z, 0.0, 1.0]), (2, [z, z, z]), (1, [-z, z, z]), (0, [z + 2, z, z])):
            p, gradient, loss = F.softmax_cross_entropy(np.array([row], dtype), [label])
            wide = np.array(row, dtype).astype(np.longdouble)
            expected = np.log(np.exp(wide - wide.max()).sum()) + (wide.max() - wide[label])
            assert loss[0] == pytest.approx(float(expected), rel=1e-5, abs=1e-6)
            assert np.isfinite(gradient).all() and p.sum() == pytest.approx(1, rel=1e-5)
    p, _, loss = F.softmax_cross_entropy(np.full((1, 17), 3.0, dtype), [5])  # all equal
    np.testing.assert_allclose(p, 1 / 17, rtol=1e-6)
    assert loss[0] == pytest.approx(np.log(17), rel=1e-6)
    for value, label, expected in ((-INF, 1, np.log(1 + np.e)), (-INF, 0, INF), (INF, 0, NAN), (NAN, 1, NAN)):
        _, _, loss = F.softmax_cross_entropy(np.array([[value, 0.0, 1.0]], dtype), [label])
        np.testing.assert_allclose(loss[0], expected, rtol=1e-6)  # what is masked by -inf has no share


# --------------------------------------------------------------- every function of fastnn.functional

# What a NaN need not reach: values that are selected, left out or only compared; and what goes across rows.
SELECTS = {
    "dropout", "crop_pad", "random_shift", "time_mean_forward", "time_max_forward", "time_mean_backward",
    "max_pool_backward", "time_max_backward", "prelu_backward_input", "dense_backward_input", "conv_backward_input",
    "conv_transpose_backward_input", "step_mask", "batch_norm_forward", "batch_norm_backward", "lion", "amsgrad",
    "rnn_forward", "rnn_backward", "lstm_forward", "lstm_backward", "gru_forward", "gru_backward",
    "gru_backward_parameters", "recurrent_backward_parameters",
}
CALLED = [name for name in CALLS if inspect.isfunction(getattr(F, name))]


def arrays_of(name, dtype):
    """New arrays of a call; labels stay whole, weights of rows float64."""
    return [a.copy() if a is LABELS or a.shape == (7,) or a.dtype.kind in "iu" else a.astype(dtype)
            for a in CALLS[name][0]]


def run(name, arrays):
    """The call's results and what it has changed, as arrays."""
    _, others, in_place = CALLS[name]
    got = getattr(F, name)(*arrays, *others)
    got = list(got) if isinstance(got, tuple) else [] if got is None else [got]
    return [np.asarray(a) for a in [*got, *arrays[len(arrays) - in_place:]]]


def by_rows(name, arrays):
    """Whether each row of the results is of the same row of the first array alone."""
    across = ("parameters", "batch_norm", "clip_norm", "max_norm", "penalty", "time_", "embedding", "distinct")
    return not any(word in name for word in across) and not any(word in name for word in ("dropout", "noise", "random"))


@pytest.mark.parametrize("values", [QUICK[:4], pytest.param(QUICK[4:] + MORE, marks=pytest.mark.slow)],
                         ids=["quick", "more"])
@pytest.mark.parametrize("name", CALLED)
def test_a_number_that_is_none_stays_in_its_row(combination, name, values):
    """Each value in each array: nothing is warned of, NaN shows in the results, other rows keep their bits."""
    plain = run(name, arrays_of(name, combination.dtype))
    for i, given in enumerate(arrays_of(name, combination.dtype)):
        if given.dtype.kind != "f":
            continue
        for value in values:
            for place in sorted({given.size // 2, given.size - 1}):
                arrays = arrays_of(name, combination.dtype)
                arrays[i].flat[place] = value
                before = [a.copy() for a in arrays[:len(arrays) - CALLS[name][2]]]
                results = outcome(lambda: run(name, arrays))  # noqa: B023
                if refused(results):
                    continue
                for a, b in zip(arrays, before, strict=False):
                    assert_same_bits(a, b, f"{name} changed its argument")
                if np.isnan(value) and name not in SELECTS:
                    assert any(np.isnan(r).any() for r in results if r.dtype.kind == "f"), f"{name}: argument {i}"
                if i == 0 and np.isnan(value) and combination.backend == "native":
                    arrays = arrays_of(name, combination.dtype)
                    arrays[0].flat[place] = value
                    with fnn.use_backend("numpy"):
                        for r, other in zip(results, run(name, arrays), strict=True):
                            if r.dtype.kind == "f":  # bilinear weights of 0 let NaN through in the core alone
                                there, here = np.isnan(other), np.isnan(r)
                                assert (there <= here).all() if name == "upsample_forward" else (there == here).all()
                if i == 0 and given.ndim > 1 and len(given) == 7 and by_rows(name, arrays):
                    row = place // (given.size // 7)
                    for r, p in zip(results, plain, strict=True):
                        if len(r) == 7 and r.ndim:
                            others = np.arange(7) != row
                            assert_same_bits(r[others], p[others], f"{name}: {value} in row {row} is seen in others")


@pytest.mark.parametrize("name", CALLED)
def test_no_arrays(name):
    """What is no array is refused by the argument's name, whichever argument it is."""
    parameters = list(inspect.signature(getattr(F, name)).parameters)
    for i, argument in enumerate(parameters[:len(CALLS[name][0])]):
        for what, value in no_arrays().items():
            arrays = arrays_of(name, "f8")
            arrays[i] = value
            got = outcome(lambda: run(name, arrays))  # noqa: B023
            shaped = what in ("no rows", "2^70", "three columns", "number", "nan", "single value", "deep", "no columns")
            optional = what == "None" and inspect.signature(getattr(F, name)).parameters[argument].default is None
            assert refused(got) or shaped or optional, f"{name}({argument}={what}) is {got}"
