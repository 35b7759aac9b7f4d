"""The same bits for any number of threads, for a row alone and in a batch, for instruction sets in turn."""
import itertools

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits, rounding
from fastnn import backends
from fastnn.compilation import Entry
from fastnn.optimizers import OPTIMIZERS
from steps import net, numbers, samples, train

WIDTHS = [(4, 16, 3), (20, 10, 10), (17, 33, 1), (64, 10, 48, 2), (30, 100, 65, 10), (5, 200, 129, 17)]


def results(team, threads, widths, dtype, batch, rows, optimizer="adam", **entry):
    team(threads)
    model = net(widths, dtype, optimizer, "relu")
    X, y = samples(rows, widths[0], widths[-1], dtype)
    return [train(model, X, y, batch, **entry), *numbers(model)]


@pytest.mark.parametrize("batch", [1, 7, 32, 65])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_threads(native_combination, team, widths, batch):
    """Rows or columns, whole tiles or none: each thread's share of any shape."""
    dtype, rows = native_combination.dtype, 6 * batch + 2
    for fused in (False, True):
        one = results(team, 1, widths, dtype, batch, rows, fused=fused)
        for threads in (2, 3):
            other = results(team, threads, widths, dtype, batch, rows, fused=fused)
            for got, expected in zip(other, one, strict=True):
                assert_same_bits(got, expected, f"{threads} threads, {widths}, batch {batch}, fused {fused}")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_over_many_steps(native, team, optimizer, dtype):
    one, two = (results(team, n, (64, 100, 10), dtype, 32, 20_000, optimizer, fused=True) for n in (1, 2))
    for got, expected in zip(two, one, strict=True):
        assert_same_bits(got, expected, optimizer)


@pytest.mark.slow
@pytest.mark.parametrize("threads", range(2, 9))
def test_more_threads(native_combination, team, threads):
    for widths, batch in itertools.product(WIDTHS, (1, 2, 3, 5, 16, 17, 33, 100)):
        one, other = (results(team, n, widths, native_combination.dtype, batch, 3 * batch + 1, fused=True)
                      for n in (1, threads))
        for got, expected in zip(other, one, strict=True):
            assert_same_bits(got, expected, f"{threads} threads, {widths}, batch {batch}")


def test_team_sizes_that_change_between_steps(native, monkeypatch):
    """What TeamSize does by itself: one thread and two in turns, within one fit."""
    X, y = samples(3000, 64, 10, "float32")
    weights = []
    for choose in (lambda steps, turn: (1, steps), lambda steps, turn: (1 + turn % 2, min(steps, 3))):
        turns = itertools.count()
        monkeypatch.setattr(native, "SERIAL_FLOPS", 0)
        monkeypatch.setattr(native.core, "max_threads", lambda: 2)
        monkeypatch.setattr(native.TeamSize, "next", lambda self, most, steps, choose=choose, turns=turns:
                            choose(steps, next(turns)))
        model = net((64, 100, 10), "float32")
        history = model.fit(X, y, epochs=2, verbose=0)
        weights.append([np.array(history["loss"]), *numbers(model)])
    for got, expected in zip(*weights, strict=True):
        assert_same_bits(got, expected)


def test_a_team_is_tried_once_there_is_some_work(native, monkeypatch):
    """Milliseconds of steps run on one thread; then each size is measured, and the faster one kept."""
    team, clock = native.TeamSize(), itertools.count(0, 1e-3)
    monkeypatch.setattr(native.time, "perf_counter", lambda: next(clock))
    seconds, sizes, work = {1: 1e-4, 2: 6e-5}, [], 0.0
    while work < 1:
        threads, steps = team.next(2, 10_000)
        team.note(threads, steps, steps * seconds[threads])
        sizes += [threads] * steps
        work += steps * seconds[threads]
    assert team.PATIENCE <= sizes.index(2) * seconds[1] <= 2 * team.PATIENCE
    assert sizes[len(sizes) // 2:].count(2) > 0.8 * len(sizes[len(sizes) // 2:])
    long, short = native.TeamSize(), native.TeamSize()
    assert long.next(2, 100) == short.next(2, 100) == (1, 1)
    long.note(1, 1, 0.1)
    short.note(1, 1, 1e-5)
    assert long.next(2, 100) == (2, 1)
    for _ in range(20):
        threads, steps = short.next(2, 10_000)
        assert threads == 1
        short.note(1, steps, 1e-5 * steps)


def test_set_num_threads(native):
    before = fnn.get_num_threads()
    try:
        fnn.set_num_threads(3)
        assert fnn.get_num_threads() == 3
    finally:
        fnn.set_num_threads(before)
    for wrong in (0, -1, 1.5, "2", True, None):
        with pytest.raises(ValueError, match="set_num_threads"):
            fnn.set_num_threads(wrong)


def test_threadpoolctl_sets_the_threads(native):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert fnn.get_num_threads() == 1


# ----------------------------------------------------------------------------------------- rows, batches

LAYERS = [([n], last) for n in (1, 3, 10, 16, 17, 33, 64, 65, 100, 257) for last in ("tanh", "softmax")] + \
    [([33, 10], "softmax"), ([100, 65, 3], "sigmoid")]


@pytest.mark.parametrize("n_in", [1, 5, 16, 33, 100, 784])
def test_a_row_alone_gives_the_bits_of_the_row_in_a_batch(native_combination, team, n_in):
    rows = 37
    X = np.random.default_rng(n_in).standard_normal((rows, n_in)).astype(native_combination.dtype)
    for widths, last in LAYERS:
        team(1)
        layers = [fnn.Dense(n, "relu") for n in widths[:-1]] + [fnn.Dense(widths[-1], last)]
        model = fnn.Sequential(layers, (n_in,), native_combination.dtype, seed=n_in)
        together, what = model.predict(X), f"{n_in} -> {widths} {last}"
        assert_same_bits(np.concatenate([model.predict(X[i:i + 1]) for i in range(rows)]), together, what)
        for batch_size in (1, 2, 3, 5, 16, 36, 37, 50):
            assert_same_bits(model.predict(X, batch_size=batch_size), together, f"{what}, {batch_size} rows")
        many = np.concatenate([X] * 11)  # more rows than a block, read where they stand
        assert_same_bits(model.predict(many)[-rows:], together, f"{what}, the last of many")
        team(2)
        assert_same_bits(model.predict(X, batch_size=37), together, f"{what}, two threads")
        assert_same_bits(model.predict(X.tolist()), together, f"{what}, a list")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_alone_on_numpy(dtype):
    """NumPy's products give the bits no such promise; the numbers are the same to rounding."""
    X = np.random.default_rng(0).standard_normal((37, 100)).astype(dtype)
    with fnn.use_backend("numpy"):
        model = fnn.Sequential([fnn.Dense(64, "tanh"), fnn.Dense(10, "softmax")], (100,), dtype)
        assert_close(model.predict(X, batch_size=1), model.predict(X), rounding(dtype, 100))


def test_losses_do_not_depend_on_the_block(native_combination):
    """Evaluation adds the rows' losses in double."""
    X, y = samples(300, dtype=native_combination.dtype)
    model = net(dtype=native_combination.dtype)
    one = model.evaluate(X, y)["loss"]
    for batch_size in (1, 7, 64, 300, 1000):
        assert model.evaluate(X, y, batch_size=batch_size)["loss"] == pytest.approx(one, rel=1e-14)


# ------------------------------------------------------------------------------------- instruction sets

def test_instruction_sets_in_turn(native):
    """A model's Runs go on with other kernels: as if there had never been others."""
    X, y = samples(200, 33, 3, "float32")
    model, fresh = net((33, 40, 3), "float32"), {}
    for isa in backends.isas():
        with fnn.use_isa(isa):
            other = net((33, 40, 3), "float32")
            fresh[isa] = other.predict(X), other.predict(X[:1]), other.evaluate(X, y)
    for isa in [*backends.isas(), *backends.isas()]:
        with fnn.use_isa(isa):
            assert_same_bits(model.predict(X), fresh[isa][0])
            assert_same_bits(model.predict(X[:1]), fresh[isa][1])
            assert model.evaluate(X, y) == fresh[isa][2]


def test_use_isa_and_backend_refuse_what_is_not_there():
    with pytest.raises(ValueError, match="use_isa"), fnn.use_isa("avx1024"):
        pass
    with pytest.raises(ValueError, match="use_backend"):
        fnn.use_backend("torch")
    assert fnn.backend() in ("native", "numpy")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pad_lanes_stay_zero(native_combination, team, optimizer):
    """The vectors hold whole rows of vectors; between the logical arrays there is nothing."""
    for fused, threads in ((False, 1), (True, 1), (True, 2)):
        team(threads)
        model = net((17, 33, 10, 3), native_combination.dtype, optimizer)
        train(model, *samples(100, 17, dtype=native_combination.dtype), fused=fused)
        model._compiled.program(Entry("gradient"))
        layout, memory = model._numbers.parameters, model._numbers.memory
        for vector in (memory.parameters, memory.gradients, *memory.state.reshape(-1, layout.size)):
            rest = vector.copy()
            for view in layout.views(rest).values():
                view[...] = 0
            assert not rest.any()
