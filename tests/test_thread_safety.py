"""Threads that share a model, or train one each: the bits of one thread alone."""
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import backends
from fastnn.program import kept
from steps import estimators_or_skip, net, numbers, samples

SIZES = (1, 2, 3, 7, 16, 33, 64, 65, 300)  # rows of a call: a few, whole vectors, more than a block
THREADS = 8


@pytest.fixture(autouse=True)
def often():
    """Threads change as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(work, n=THREADS):
    """work(i) in n threads that begin at once; what each returned. An error of any is raised."""
    start = threading.Barrier(n)

    def begin(i):
        start.wait(60)
        return work(i)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(begin, range(n)))


def recurrent(dtype="float32"):
    model = fnn.Sequential([fnn.GRU(9), fnn.Dense(3, "softmax")], (None, 5), dtype, seed=2)
    model.compile()
    return model


# --------------------------------------------------------------------------------------- one model, many threads

def shared(backend, calls):
    """Threads call one model in all ways that do not train it; every answer must have its bits."""
    model = net((20, 33, 17, 3), "float32")
    X, y = samples(400, dtype="float32")
    places = [(start, n) for n in SIZES for start in (0, 5, 99)]
    expected = {place: model.predict(X[place[0]:sum(place)]) for place in places}
    losses = {n: model.evaluate(X[:n], y[:n]) for n in SIZES}

    def work(seed):
        rng = np.random.default_rng(seed)
        for call in range(calls):
            start, n = places[rng.integers(len(places))]
            rows, right = X[start:start + n], expected[start, n]
            kind = rng.integers(12)
            if kind == 0:
                assert model.evaluate(X[:n], y[:n]) == losses[n]
            elif kind == 1:
                assert_same_bits(model.forward(rows, training=False), right)
            elif kind == 2:
                assert_same_bits(model.predict(rows.astype("float64")), right)
            elif kind == 3 and backend == "native":  # NumPy's products have other bits for other blocks
                assert_same_bits(model.predict(rows, batch_size=int(rng.integers(1, 70))), right)
            else:
                got = model.predict(rows)
                assert got.tobytes() == right.tobytes(), f"thread {seed}, call {call}: {n} rows from {start}"
        return calls

    assert together(work) == [calls] * THREADS


def test_threads_share_a_model(backend):
    shared(backend, 150)


@pytest.mark.slow
def test_threads_share_a_model_for_long(backend):
    shared(backend, 10_000)


@pytest.mark.parametrize("make", [lambda: net((20, 33, 3), "float32"), recurrent], ids=["dense", "recurrent"])
def test_a_new_model_is_first_used_by_many_threads(backend, make):
    """Nothing has been compiled yet, and all want it at once."""
    rng = np.random.default_rng(0)
    shape = (30, 20) if make is not recurrent else (30, 6, 5)
    X, y = rng.standard_normal(shape).astype("float32"), rng.integers(0, 3, 30)
    right = make().predict(X), make().evaluate(X, y)
    for _ in range(5):
        model = make()
        for outputs, losses in together(lambda i, model=model: (model.predict(X), model.evaluate(X, y))):
            assert_same_bits(outputs, right[0])
            assert losses == right[1]


def test_threads_share_an_estimator(backend):
    neural_network = estimators_or_skip()
    X, y = samples(200)
    mlp = neural_network.MLPClassifier((10,), max_iter=3, random_state=0)
    with pytest.warns(Warning, match="Maximum iterations"):
        mlp.fit(X, y)
    right = {n: mlp.predict_proba(X[:n]) for n in SIZES[:6]}
    for i in together(lambda i: [assert_same_bits(mlp.predict_proba(X[:n]), right[n]) for n in right]):
        assert len(i) == len(right)


def test_team_sizes_are_shared(native):
    """Runs of one Program measure its steps together."""
    for _ in range(200):
        team = native.TeamSize()

        def work(i, team=team):
            for _ in range(20):
                threads, steps = team.next(1 + i % 3, 100)
                assert 1 <= threads <= 3 and 1 <= steps <= 100
                team.note(threads, steps, 1e-2)

        together(work, 4)


def test_kept_is_shared():
    cache, made = {}, []

    def work(i):
        for k in range(300):
            key = (k * (i + 1)) % 7
            assert kept(cache, key, lambda key=key: made.append(key) or key, 3) == key

    together(work)
    assert len(cache) <= 3 + THREADS and made


def test_the_instruction_set_may_change_meanwhile(native):
    """Runs and functions have the workspace of the kernels that they run, whichever are chosen in between."""
    isas = backends.isas()
    if len(isas) < 2:
        pytest.skip("this machine runs one instruction set")
    rng = np.random.default_rng(0)
    X, images = samples(130, 33, 3, "float32")[0], rng.standard_normal((20, 9, 9, 2)).astype("float32")
    dense = net((33, 40, 3), "float32")
    conv = fnn.Sequential([fnn.Conv2D(5, 3), fnn.MaxPool2D(2), fnn.Flatten(), fnn.Dense(3)], (9, 9, 2), seed=0)
    x, w = X[:, :17].copy(), rng.standard_normal((17, 19)).astype("float32")

    def answers():
        return dense.predict(X), dense.predict(X[:9]), conv.predict(images), fnn.functional.dense_forward(x, w)

    right = []
    for isa in isas:
        with fnn.use_isa(isa):
            right.append([a.tobytes() for a in answers()])
    over = threading.Event()

    def turn():
        while not over.is_set():
            for isa in isas:
                with fnn.use_isa(isa):
                    over.wait(1e-4)

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        for _ in range(60):
            for a, any_of in zip(answers(), zip(*right, strict=True), strict=True):
                assert a.tobytes() in any_of
    finally:
        over.set()
        turning.join()


# ---------------------------------------------------------------------------------------- two trainings at once

def trained(model, X, y):
    history = model.fit(X, y, epochs=3, batch_size=16, verbose=0)
    return [np.array(history["loss"]), *numbers(model)]


@pytest.mark.parametrize("threads", [1, 2])
def test_two_threads_train_two_models(backend, team, threads):
    team(threads)
    data = [samples(300, dtype="float32", seed=seed) for seed in range(2)]
    alone = [trained(net(dtype="float32", seed=i), *data[i]) for i in range(2)]
    for _ in range(3):
        both = together(lambda i: trained(net(dtype="float32", seed=i), *data[i]), 2)
        for got, expected in zip(both, alone, strict=True):
            for a, b in zip(got, expected, strict=True):
                assert_same_bits(a, b, f"{threads} threads each")


def test_threads_train_estimators_alike(backend):
    """Networks alike share their Programs; each thread's has the bits of one trained alone."""
    neural_network = estimators_or_skip()
    X, y = samples(200)

    def work(i):
        mlp = neural_network.MLPRegressor(hidden_layer_sizes=(11,), max_iter=4, tol=0, random_state=i % 2)
        for _ in range(4):
            mlp.partial_fit(X, X[:, 0] * y)
        return mlp.predict(X)

    alone = [work(0), work(1)]
    for i, got in enumerate(together(work, 4)):
        assert_same_bits(got, alone[i % 2])


def test_predictions_during_training_are_of_weights_it_had(backend):
    """Each weight is that of some step, whole; and the training does not notice."""
    n, steps = 24, 300

    def make():
        model = fnn.Sequential([fnn.Dense(1, use_bias=False, kernel_initializer="zeros")], (n,), "float64")
        model.compile(fnn.SGD(0.05), "squared_error")
        return model

    X, one, alone = np.eye(n), np.ones(n), make()
    values = {0.0}
    for _ in range(steps):
        alone.train_on_batch(X, one)
        values |= set(alone.layers[0].weight.ravel().tolist())
    model, over, seen = make(), threading.Event(), set()

    def predict():
        while not over.is_set():
            seen.update(model.predict(X).ravel().tolist())

    watching = [threading.Thread(target=predict) for _ in range(3)]
    for thread in watching:
        thread.start()
    try:
        while len(seen) < 2 and model.update_count < steps // 2:
            model.train_on_batch(X, one)
        model.fit(X, one, n, steps - model.update_count, shuffle=False, verbose=0)
    finally:
        over.set()
        for thread in watching:
            thread.join()
    assert seen <= values and len(seen) > 1
    assert_same_bits(model.layers[0].weight, alone.layers[0].weight)
