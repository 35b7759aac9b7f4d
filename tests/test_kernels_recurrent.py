"""Recurrent layers' ops: every backend, instruction set and dtype against the equations written out step by step.

What differentiates those is tests/tape.py, in NumPy and float64, and PyTorch where it is installed.
"""
import functools

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits, rounding
from fastnn.backends.numpy_kernels import Step
from fastnn.functional import call
from fastnn.program import OPS
from tape import Var

KINDS = ("rnn", "lstm", "gru", "gru before")
GATES = {"rnn": 1, "lstm": 4, "gru": 3, "gru before": 3}
SHAPES = [(1, 1, 1, 1), (3, 1, 5, 17), (4, 3, 15, 16), (5, 33, 7, 31), (2, 50, 3, 33), (6, 5, 33, 40)]  # T, B, n_in, n
SETTINGS = {  # reverse, masked, with states, bptt
    "plain": (0, 0, 0, 0), "all": (1, 1, 1, 0), "truncated": (0, 1, 1, 2), "reverse": (1, 0, 0, 3)}


class Case:
    """Numbers for one layer, float32 so that every dtype has the same, and what comes out of them."""

    def __init__(self, kind, shape, reverse, masked, states, bptt, seed=0):
        self.kind, self.shape, self.reverse, self.bptt = kind, shape, reverse, bptt
        T, B, n_in, n = shape
        rng = np.random.default_rng(seed)

        def normal(*shape, scale=1.0):
            return (rng.standard_normal(shape) * scale).astype(np.float32)

        columns = GATES[kind] * n
        self.arrays = {"x": normal(T * B, n_in), "w": normal(n_in, columns, scale=n_in ** -0.5),
                       "u": normal(n, columns, scale=n ** -0.5), "b": normal(columns), "bq": None, "h0": None,
                       "c0": None, "mask": None, "dy": normal(T * B, n), "dh_last": None, "dc_last": None}
        if kind == "gru":
            self.arrays["bq"] = normal(n)
        if states:
            names = ("h0", "dh_last") if kind != "lstm" else ("h0", "c0", "dh_last", "dc_last")
            self.arrays |= {name: normal(B, n) for name in names}
        if masked:
            self.arrays["mask"] = (rng.random(T * B) < 0.7).astype(np.float32)

    def run(self, dtype):
        """All results of the forward and the backward ops."""
        a = {k: None if v is None else v.astype(dtype) for k, v in self.arrays.items()}
        T, B, _, n = self.shape
        time, reverse = {"time": T}, {"reverse": self.reverse}
        through, start = reverse | {"bptt": self.bptt}, a["h0"] is not None

        def new(*shape):
            return np.full(shape, 7, dtype)  # not zero, so that what is left unwritten shows

        r = {"y": new(T * B, n), "h_last": new(B, n), "du": new(*a["u"].shape)}
        if start:
            r["dh0"] = new(B, n)
        if self.kind == "rnn":
            r["dz"] = new(T * B, n)
            call("rnn_forward", (a["x"], a["w"], a["u"], a["b"], a["h0"], a["mask"], r["y"], None, r["h_last"]),
                 **time, **reverse, activation="tanh")
            call("rnn_backward", (a["dy"], a["dh_last"], a["u"], r["y"], a["mask"], r["dz"], r.get("dh0")), **time,
                 **through, activation="tanh")
        elif self.kind == "lstm":
            c, r["dz"], r["c_last"] = new(T * B, n), new(T * B, 4 * n), new(B, n)
            if start:
                r["dc0"] = new(B, n)
            call("lstm_forward", (a["x"], a["w"], a["u"], a["b"], a["h0"], a["c0"], a["mask"], r["y"], c, r["dz"],
                                  r["h_last"], r["c_last"]), **time, **reverse)
            call("lstm_backward", (a["dy"], a["dh_last"], a["dc_last"], a["u"], r["dz"].copy(), c, a["c0"], a["mask"],
                                   r["dz"], r.get("dh0"), r.get("dc0")), **time, **through)
        if self.kind in ("rnn", "lstm"):
            call("recurrent_backward_parameters", (r["y"], a["h0"], r["dz"], r["du"]), **time, **reverse)
        else:
            after = {"reset_after": int(self.kind == "gru")}
            gates, dgates, dbq = new(T * B, 4 * n), new(T * B, 4 * n), new(n)
            call("gru_forward", (a["x"], a["w"], a["u"], a["b"], a["bq"], a["h0"], a["mask"], r["y"], gates,
                                 r["h_last"]), **time, **reverse, **after)
            call("gru_backward", (a["dy"], a["dh_last"], a["u"], gates, r["y"], a["h0"], a["mask"], dgates,
                                  r.get("dh0")), **time, **through, **after)
            call("gru_backward_parameters", (r["y"], a["h0"], dgates, r["du"], dbq if a["bq"] is not None else None),
                 **time, **reverse, **after)
            r["dz"] = dgates[:, :3 * n].copy()
            if a["bq"] is not None:
                r["dbq"] = dbq
        return r

    def expected(self, leaf=Var):
        """The same step after step in float64; `leaf` makes an array that is differentiated, by the tape or PyTorch."""
        a = {k: None if v is None else v.astype(np.float64) for k, v in self.arrays.items()}
        T, B, _, n = self.shape
        z = (a["x"] @ a["w"] + a["b"]).reshape(T, B, -1)
        here = {k: leaf(a[k]) for k in ("u", "bq", "h0", "c0") if a[k] is not None}
        h, c = (here[k] if k in here else leaf(np.zeros((B, n))) for k in ("h0", "c0"))
        ys, sums, total = [None] * T, [leaf(z_t) for z_t in z], 0.0
        for k in range(T):
            t = T - 1 - k if self.reverse else k
            if self.bptt and k and k % self.bptt == 0:
                h, c = h.detach(), c.detach()
            new, cell = self.step(sums[t], h, c, here)
            there = self.constant(leaf, np.ones((B, 1)) if a["mask"] is None else a["mask"].reshape(T, B)[t][:, None])
            h, c = new * there + h * (1 - there), cell * there + c * (1 - there)
            ys[t] = h.detach().numpy()
            total = total + (h * self.constant(leaf, a["dy"].reshape(T, B, n)[t])).sum()
        for last, state in (("dh_last", h), ("dc_last", c)):
            if a[last] is not None:
                total = total + (state * self.constant(leaf, a[last])).sum()
        total.backward()

        def gradient(var):
            return np.zeros(var.detach().numpy().shape) if var.grad is None else np.asarray(var.grad)

        r = {"y": np.concatenate(ys), "h_last": h.detach().numpy(), "dz": np.concatenate([gradient(s) for s in sums])}
        r |= {"c_last": c.detach().numpy()} if self.kind == "lstm" else {}
        return r | {f"d{k}": gradient(var) for k, var in here.items()}

    @staticmethod
    def constant(leaf, array):
        return leaf(array).detach()

    def step(self, z, h, c, a):
        """The state after z = x w + b, and the cell."""
        n, u = self.shape[3], a["u"]

        def gate(sums, i):
            return sums[:, i * n:(i + 1) * n]

        if self.kind == "rnn":
            return (z + h @ u).tanh(), c
        if self.kind == "lstm":
            i, f, g, o = (gate(z + h @ u, i) for i in range(4))
            cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * cell.tanh(), cell
        update, reset = ((gate(z, i) + h @ gate(u, i)).sigmoid() for i in range(2))
        if self.kind == "gru":
            candidate = (gate(z, 2) + reset * (h @ gate(u, 2) + a["bq"])).tanh()
        else:
            candidate = (gate(z, 2) + (reset * h) @ gate(u, 2)).tanh()
        return update * h + (1 - update) * candidate, c


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("kind", KINDS)
def test_forward_and_gradients(combination, kind, shape, setting):
    case = Case(kind, shape, *SETTINGS[setting])
    got, expected = case.run(combination.dtype), case.expected()
    assert got.keys() == expected.keys()
    T, B, n_in, n = shape
    for name, value in expected.items():
        terms = T * (n_in + 4 * n) + (T * B if name in ("du", "dbq") else 0)  # of every sum on the way
        error = rounding(combination.dtype, terms) * max(1.0, np.abs(value).max())
        assert_close(got[name], value, error, f"{name} of {kind}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("judge", ["tape", "PyTorch"])
def test_float64_within_1e_10(backend, kind, judge):
    """The bound that the project has set itself, on every result, by both judges."""
    leaf = Var
    if judge == "PyTorch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        leaf = functools.partial(torch.tensor, requires_grad=True)
    for shape in SHAPES:
        for setting in SETTINGS.values():
            case = Case(kind, shape, *setting)
            got = case.run(np.dtype(np.float64))
            for name, value in case.expected(leaf).items():
                assert_close(got[name], value, 1e-10 * max(np.abs(value).max(), 1e-3), f"{name}, {shape}, {setting}")


def test_the_tape_itself():
    """Every operator that differentiates, against finite differences."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((3, 4), (4, 2), (1, 2), (3, 1))]

    def value(vs):
        a, b, c, d = vs
        m = a @ b
        return ((m.sigmoid() + c) * (2 - m.tanh()) - d.exp() * m[:, :1].relu()).sum()

    made = [Var(a) for a in arrays]
    value(made).backward()
    for i, a in enumerate(arrays):
        for at in np.ndindex(a.shape):
            step = np.zeros(a.shape)
            step[at] = 1e-6
            ends = [value([Var(b + sign * step if k == i else b) for k, b in enumerate(arrays)]).numpy()
                    for sign in (1, -1)]
            assert made[i].grad[at] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_rnn_with_other_activations(combination, activation):
    """Slopes of the output and of the input, which z keeps."""
    T, B, n_in, n = 3, 5, 4, 17
    a = {k: None if v is None else v.astype(combination.dtype)
         for k, v in Case("rnn", (T, B, n_in, n), 0, 0, 0, 0).arrays.items()}
    y, z, dz = (np.empty((T * B, n), combination.dtype) for _ in range(3))
    call("rnn_forward", (a["x"], a["w"], a["u"], a["b"], None, None, y, z, None), time=T, activation=activation)
    f = z if activation == "silu" else y
    call("rnn_backward", (a["dy"], None, a["u"], f, None, dz, None), time=T, activation=activation)
    wide = {k: a[k].astype(np.float64) for k in ("x", "w", "u", "b", "dy")}
    sums = [Var(x @ wide["w"] + wide["b"]) for x in np.split(wide["x"], T)]
    h, total = Var(np.zeros((B, n))), 0.0
    for s, dy in zip(sums, np.split(wide["dy"], T), strict=True):
        h = s + h @ wide["u"]
        h = h.relu() if activation == "relu" else h * h.sigmoid()
        total = total + (h * dy).sum()
    total.backward()
    expected = np.concatenate([s.grad for s in sums])
    assert_close(dz, expected, rounding(combination.dtype, T * 40) * np.abs(expected).max(), "dz")


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_has_the_bits_that_it_has_among_others(native_combination, kind):
    T, B, n_in, n = 3, 50, 5, 33
    whole = Case(kind, (T, B, n_in, n), 0, 0, 1, 0)
    y = whole.run(native_combination.dtype)["y"].reshape(T, B, n)
    for rows in (slice(7, 8), slice(0, 3), slice(20, 37)):
        part = Case(kind, (T, len(range(*rows.indices(B))), n_in, n), 0, 0, 1, 0)
        part.arrays = {k: v if v is None else v.reshape(T, B, -1)[:, rows].reshape(-1, v.shape[1]).copy()
                       if k in ("x", "dy") else v[rows] if len(v) == B and k[-1] in "0t" else v
                       for k, v in whole.arrays.items()}
        assert_same_bits(part.run(native_combination.dtype)["y"].reshape(T, -1, n), y[:, rows], kind)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gradients_may_take_the_place_of_gates(combination, kind):
    T, B, n_in, n = 3, 5, 4, 17
    case = Case(kind, (T, B, n_in, n), 0, 1, 0, 0)
    a = {k: None if v is None else v.astype(combination.dtype) for k, v in case.arrays.items()}
    y, c, gates, apart = (np.empty((T * B, m), combination.dtype) for m in (n, n, 4 * n, 4 * n))
    if kind == "lstm":
        call("lstm_forward", (a["x"], a["w"], a["u"], a["b"], None, None, a["mask"], y, c, gates, None, None), time=T)
        arrays = a["dy"], None, None, a["u"], gates, c, None, a["mask"]
    else:
        call("gru_forward", (a["x"], a["w"], a["u"], a["b"], a["bq"], None, a["mask"], y, gates, None), time=T,
             reset_after=1)
        arrays = a["dy"], None, a["u"], gates, y, None, a["mask"]
    rest, settings = (None,) * (1 + (kind == "lstm")), {"reset_after": 1} if kind == "gru" else {}
    call(f"{kind}_backward", (*arrays, apart, *rest), time=T, **settings)
    call(f"{kind}_backward", (*arrays, gates, *rest), time=T, **settings)
    assert_same_bits(gates, apart, kind)


def test_gradients_add_up():
    """du and dbq of a second block of rows are added to the first's."""
    case = Case("gru", (3, 4, 5, 6), 0, 0, 0, 0)
    with fnn.use_backend("numpy"):
        y = case.run(np.dtype(np.float64))["y"]
    once, twice = ([np.zeros((6, 18)), np.zeros(6)] for _ in range(2))
    kernel, settings = OPS["gru_backward_parameters"].kernel, {"reverse": 0, "reset_after": 1}
    for first in (True, False):
        kernel(y, None, np.ones((12, 24)), *twice, step=Step(time=3, first_block=first), **settings)
    kernel(y, None, np.ones((12, 24)), *once, step=Step(time=3), **settings)
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_allclose(2 * a, b)
