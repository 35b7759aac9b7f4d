"""The public functions on arrays: every form of input, every refusal, on both backends."""
import inspect
import threading

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits, rounding
from fastnn import functional as F
from fastnn.program import OPS
from functional_calls import CALLS, LABELS, MADE_OF_OPS, WITHOUT_FUNCTION, of

each = pytest.mark.parametrize("name", CALLS)


def real(array, dtype):
    """Labels stay whole numbers and row weights float64; the rest is of the dtype."""
    return array if array is LABELS or array.shape == (7,) else array.astype(dtype)


def results(name, arrays, others):
    """What the function returns, and what it has made of its in-place arrays."""
    got = getattr(F, name)(*arrays, *others)
    changed = arrays[len(arrays) - CALLS[name][2]:]
    if name == "penalty":
        got = np.array(got[:1]), got[1]  # the value itself is a float
    return [*(got if isinstance(got, tuple) else [] if got is None else [got]), *changed]


def expected_of(name, dtype):
    arrays, others, _ = CALLS[name]
    return results(name, [real(a, dtype).copy() for a in arrays], others)


def test_every_op_has_its_function():
    """Or a reason why not: a new op needs one of the two."""
    assert set(F.__all__) == set(CALLS) | MADE_OF_OPS
    assert set(OPS) - set(F.__all__) == WITHOUT_FUNCTION.keys() and all(WITHOUT_FUNCTION.values())
    for name in F.__all__:
        assert ">>>" in getattr(F, name).__doc__ and inspect.signature(getattr(F, name)).return_annotation


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backends_agree(native, name, dtype):
    with fnn.use_backend("numpy"):
        expected = expected_of(name, dtype)
    got = expected_of(name, dtype)
    assert len(got) == len(expected)
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert a.dtype == b.dtype and a.flags.c_contiguous
        assert_close(a, b, rounding(dtype, 7) * 16 * max(1, np.abs(b).max()), f"{name}, {i}")


def swapped(a):
    return a.astype(a.dtype.newbyteorder())


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


FORMS = {"list": lambda a: a.tolist(), "Fortran": np.asfortranarray,
         "reversed": lambda a: a[::-1].copy()[::-1],
         "view": lambda a: np.repeat(a, 2, -1)[..., ::2], "rows": lambda a: np.repeat(a, 2, 0)[::2],
         "swapped": swapped, "unaligned": unaligned, "read-only": read_only,
         "subclass": lambda a: a.view(np.ma.MaskedArray)}


@each
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_arrays(backend, name, form):
    """Whatever holds the numbers, the results have the same bits; inputs are left alone."""
    arrays, others, in_place = CALLS[name]
    arrays = [real(a, "float64") for a in arrays]
    given = [FORMS[form](a) for a in arrays[:len(arrays) - in_place]]
    before = [np.array(a) for a in given]
    given += [a.copy() for a in arrays[len(arrays) - in_place:]]
    for got, expected in zip(results(name, given, others), expected_of(name, "float64"), strict=True):
        assert_same_bits(np.asarray(got), expected, form)
    for a, b in zip(given, before, strict=False):
        assert_same_bits(np.asarray(a), b.astype(b.dtype))


@each
@pytest.mark.parametrize("form", ["Fortran", "view", "reversed", "unaligned", "swapped"])
def test_forms_of_arrays_changed_in_place(backend, name, form):
    arrays, others, in_place = CALLS[name]
    given = [FORMS[form](a.copy()) if i >= len(arrays) - in_place else a for i, a in enumerate(arrays)]
    if form == "swapped" and in_place:
        with pytest.raises(TypeError, match="expected a writable array of float64"):
            getattr(F, name)(*given, *others)
        return
    for got, expected in zip(results(name, given, others), expected_of(name, "float64"), strict=True):
        assert_same_bits(np.array(got, copy=True, order="C"), expected, form)


@each
def test_dtypes(backend, name):
    """The first array says which: float32 and float64 stay, others become float64; results are of it."""
    arrays, others, in_place = CALLS[name]
    first = len(arrays) - in_place if in_place else 0
    for leader, dtype in (("f4", "f4"), ("f8", "f8"), ("f2", "f8"), ("i1", "f8")):
        if in_place and leader != dtype:
            continue
        given = [real(a, np.float64).copy() for a in arrays]
        if leader == "i1":
            given[0] = np.trunc(given[0])
        plain = [real(a, dtype).copy() for a in given]
        given[first] = given[first].astype(leader)
        given[first + 1:] = [a.astype(dtype) if in_place else a for a in given[first + 1:]]
        for got, expected in zip(results(name, given, others), results(name, plain, others), strict=True):
            assert_same_bits(got, expected, f"{leader} first")


@each
def test_wrong_shapes_and_kinds(backend, name):
    arrays, others, _ = CALLS[name]
    parameters = list(inspect.signature(getattr(F, name)).parameters)
    for i, a in enumerate(arrays):
        wrongs = [np.ones((*a.shape, 2)), np.ones(()), np.ones((2,) * 3), a.astype(complex), a.astype(object),
                  a.astype(str)]
        if name in ("embedding_forward", "step_mask"):  # any number of rows, of any width
            del wrongs[2]
        elif len(arrays) > 1:
            wrongs.append(np.ones([n + 1 for n in a.shape], a.dtype))
        for wrong in wrongs:
            given = [b.copy() for b in arrays]
            given[i] = wrong
            with pytest.raises((ValueError, TypeError)) as info:
                getattr(F, name)(*given, *others)
            named = str(info.value).partition(": expected")[0]
            assert named in parameters[:len(arrays)], info.value
            if wrong.dtype.kind not in "fi":
                assert named == parameters[i] and isinstance(info.value, TypeError)


def test_wrong_values(backend):
    x = np.ones((4, 3))
    for labels in ([0, 1, 2, 3], [0, -1, 0, 0], [0, 0.5, 0, 0], [0, 1, np.nan, 0]):
        with pytest.raises(ValueError, match=r"target: expected .*labels 0\.\.2"):
            F.softmax_cross_entropy(x, labels)
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        F.activation_forward(x, "rellu")
    with pytest.raises((TypeError, ValueError)):
        F.activation_forward(x, ["relu"])
    with pytest.raises(TypeError, match="rate"):
        F.sgd(x, x.copy(), "fast")
    for update in (0, -1, 1.5):
        with pytest.raises((TypeError, ValueError), match="update"):
            F.adam(x, *np.ones((3, 4, 3)), 0.1, update)
    with pytest.raises(ValueError, match="read-only"):
        F.sgd(x, read_only(x), 0.1)
    with pytest.raises(TypeError, match="float32"):
        F.momentum(x, x.astype("f4"), x.copy(), 0.1)
    with pytest.raises(TypeError, match="changed in place"):
        F.sgd(x, x.tolist(), 0.1)
    with pytest.raises(ValueError, match="column"):
        F.softmax_forward(np.ones((3, 0)))
    with pytest.raises(ValueError, match="3 for sgd|2 for sgd"):
        F.call("sgd", (x,))


def test_no_rows(backend):
    empty = np.ones((0, 5), "float32")
    for name in ("activation_forward", "softmax_forward"):
        got = getattr(F, name)(empty, *CALLS[name][1])
        assert got.shape == (0, 5) and got.dtype == np.float32
    for loss in (F.softmax_cross_entropy, F.sigmoid_cross_entropy, F.squared_error):
        assert [a.shape for a in loss(empty, empty)][-2:] == [(0, 5), (0,)]
    assert F.softmax_cross_entropy(empty, np.zeros(0, int))[2].shape == (0,)


def test_forms_that_share_memory(backend):
    """The same array twice, and a gradient that is the weight itself."""
    x = of(7, 5)
    assert_close(F.dense_backward_parameters(x, x)[0], x.T @ x, rounding("float64", 7) * 28)
    w = x.copy()
    F.sgd(w, w, 0.25)
    assert_close(w, 0.75 * x, rounding("float64"))
    with pytest.raises(ValueError):
        F.dense_forward(x, x)


def test_results_are_new_arrays(backend):
    x = of(4, 16)
    for name in ("activation_forward", "softmax_forward"):
        results_ = [getattr(F, name)(x, *CALLS[name][1][:1] and ("identity",)) for _ in range(2)]
        assert not np.may_share_memory(results_[0], results_[1]) and not np.may_share_memory(results_[0], x)


@each
def test_weights_of_rows(backend, name):
    """A loss divides by the sum of the weights; with none, by the number of rows."""
    arrays, others, _ = CALLS[name]
    if "sample_weight" not in inspect.signature(getattr(F, name)).parameters:
        return
    function, weight = getattr(F, name), arrays[2]
    plain = function(*arrays[:2], None, *others)
    weighted = function(*arrays, *others)
    assert_same_bits(weighted[-1], plain[-1])
    assert_close(weighted[-2], plain[-2] * 7 * weight[:, None] / weight.sum(), rounding("float64") * 2)
    for a, b in zip(function(*arrays[:2], np.ones(7), *others), plain, strict=True):
        assert_same_bits(a, b)


def test_many_shapes_on_the_native_backend(native):
    """Small ones and such as hand the GIL over or outgrow the stack, against NumPy."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        rows, n_in, n_out = (2 ** rng.uniform(0, 7, 3)).astype(int)
        dtype = rng.choice(["float32", "float64"])
        x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((rows, n_in), (n_in, n_out), n_out))
        size = np.abs(x) @ np.abs(w) + np.abs(b)
        assert_close(F.dense_forward(x, w, b), x.astype(float) @ w + b, rounding(dtype, n_in) * size)


def test_functions_in_threads(native):
    """The fast path holds the GIL for small arrays only and shares nothing between calls."""
    inputs = {n: np.random.default_rng(n).standard_normal((n, n)).astype("f4") for n in (3, 30, 130)}
    expected = {n: F.dense_forward(x, x, x[0], "tanh") for n, x in inputs.items()}
    wrong = []

    def work():
        for n, x in list(inputs.items()) * 50:
            if not (F.dense_forward(x, x, x[0], "tanh") == expected[n]).all():
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_backend_in_use_runs_it(native):
    """Switching back and forth; NumPy's and the core's bits differ somewhere."""
    x = np.random.default_rng(0).standard_normal((64, 64)).astype("f4")
    inside = F.activation_forward(x, "tanh")
    with fnn.use_backend("numpy"):
        assert_same_bits(F.activation_forward(x, "tanh"), np.tanh(x))
    assert_same_bits(F.activation_forward(x, "tanh"), inside)
    assert (inside != np.tanh(x)).any()


def test_recurrent_functions_are_the_layers(backend):
    """States and gradients of a model of one layer, from the functions."""
    rng = np.random.default_rng(2)
    x, dy = rng.standard_normal((6, 5, 3)), rng.standard_normal((6, 5, 4))
    for layer, name in ((fnn.SimpleRNN, "rnn"), (fnn.LSTM, "lstm"), (fnn.GRU, "gru")):
        model = fnn.Sequential([layer(4, return_sequences=True)], (5, 3), "float64", seed=1)
        own = model.layers[0]
        own.bias[...] = rng.standard_normal(own.bias.shape)
        y, *kept = getattr(F, f"{name}_forward")(x, own.weight, own.recurrent_weight, own.bias)
        assert_close(y, model.predict(x), 1e-14)
        if name == "gru":
            dz, dh0 = F.gru_backward(dy, own.recurrent_weight, kept[0], y)
            du, _ = F.gru_backward_parameters(y, dz)
            dz = dz[:, :, :12]
        else:
            arrays = (y,) if name == "rnn" else (kept[1], kept[0])
            dz, dh0, *_ = getattr(F, f"{name}_backward")(dy, own.recurrent_weight, *arrays)
            du = F.recurrent_backward_parameters(y, dz)
        dw, db = F.dense_backward_parameters(x.reshape(30, 3), dz.reshape(30, -1))
        model.compile("sgd", "squared_error")
        gradients = model.bind(x, y - 30 * dy).gradients()  # of the mean over 30 steps: dy at each
        for got, parameter in ((dw, "weight"), (du, "recurrent_weight"), (db, "bias")):
            assert_close(got, gradients[f"{own.name}.{parameter}"], 1e-13, f"{name}, {parameter}")


def test_wrong_recurrent_settings():
    x = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match=r"u: expected shape \(4, 16\), 4 gates of 4 units, got \(4, 12\)"):
        F.lstm_forward(x, np.ones((4, 12)), np.ones((4, 12)))
    with pytest.raises(ValueError, match="dgates: expected 4 x 4 columns"):
        F.gru_backward_parameters(x, np.ones((2, 3, 12)))
    with pytest.raises(ValueError, match="bq: expected None"):
        F.gru_forward(x, np.ones((4, 12)), np.ones((4, 12)), bq=np.ones(4), reset_after=False)
    with pytest.raises(ValueError, match="bptt"):
        F.rnn_backward(x, np.ones((4, 4)), x, bptt=-1)
    with pytest.raises(ValueError, match=r"token: expected labels 0\.\.1 .* got 2 at row 1"):
        F.embedding_forward(np.ones((2, 3)), [0, 2])


# ------------------------------------------------------------------- noise, penalties, clipping, constraints

def test_random_functions_draw_what_the_layers_draw(backend):
    """The mask of a model's second random layer at its third update."""
    x = of(6, 40)
    for layer, function, share in ((fnn.Dropout, F.dropout, 0.4), (fnn.GaussianNoise, F.gaussian_noise, 0.7)):
        model = fnn.Sequential([fnn.Dropout(0.1), layer(share)], (40,), "float64", seed=3)
        model.compile("sgd", "squared_error")
        model.update_count = 2
        y = function(F.dropout(x, 0.1, seed=3, update=3), share, seed=3, update=3, instance=1)
        assert model.bind(x, np.zeros_like(x)).loss() == pytest.approx((y ** 2).sum() / 12, rel=1e-14)
        assert (function(x, share, seed=4) != function(x, share)).any()
        assert_same_bits(function(x[:0], share), x[:0])


def test_penalty_clipping_and_constraint_are_their_formulas(combination):
    w, error = of(7, 5).astype(combination.dtype), rounding(combination.dtype, 35)
    for array in (w, w[0]):
        value, dw = F.penalty(array, 0.2, 0.3)
        exact = array.astype(float)
        assert value == pytest.approx(0.2 * np.abs(exact).sum() + 0.15 * (exact ** 2).sum(), rel=error)
        assert_close(dw, 0.2 * np.sign(exact) + 0.3 * exact, error)
        assert_same_bits(F.clip_value(array, 0.75), np.clip(array, -0.75, 0.75))
        norm = np.linalg.norm(exact)
        assert_close(F.clip_norm(array, 0.5), exact * 0.5 / norm, error)
        assert_same_bits(F.clip_norm(array, norm + 1), array)
    together = np.sqrt((w.astype(float) ** 2).sum() + (w[0].astype(float) ** 2).sum())
    for got, g in zip(F.clip_global_norm([w, w[0]], 0.5), (w, w[0]), strict=True):
        assert_close(got, g * 0.5 / together, error)
    assert F.clip_global_norm([], 1.0) == []
    columns = np.linalg.norm(w.astype(float), axis=0)
    assert_close(F.max_norm(w, 2.0), w * np.minimum(1, 2 / columns), error)


def test_wrong_settings():
    x = np.ones((4, 3))
    for function, others, name in [
            (F.dropout, (1.0,), "rate"), (F.dropout, (0.5, -1), "seed"), (F.dropout, (0.5, 0, 0), "update"),
            (F.gaussian_noise, (-0.1,), "stddev"), (F.penalty, (-1.0,), "l1"),
            (F.clip_value, (0.0,), "limit"), (F.clip_norm, (np.nan,), "limit"),
            (F.max_norm, (-1.0,), "limit"), (F.row_normalize, ("l3",), "norm")]:
        with pytest.raises(ValueError, match=name):
            function(x, *others)
