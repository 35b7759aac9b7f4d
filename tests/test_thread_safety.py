"""Threads that share a model, or train one each; one model is trained by one thread at a time."""
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import backends
from fastnn.program import kept
from steps import net, numbers, samples

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
    neural_network = pytest.importorskip("fastnn.estimators", reason="scikit-learn is not installed")
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
    neural_network = pytest.importorskip("fastnn.estimators", reason="scikit-learn is not installed")
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


# ------------------------------------------------------------------------- one model, one thread that trains it

class Held:
    """A callback that stops a training in the middle until it is let go."""

    def __init__(self):
        self.inside, self.go = threading.Event(), threading.Event()
        self.callback = fnn.LambdaCallback(on_epoch_end=self.wait)

    def wait(self, epoch, logs):
        self.inside.set()
        assert self.go.wait(60)


def gan_of(model):
    """A GAN whose discriminator is the model."""
    return fnn.GAN(fnn.Sequential([fnn.Dense(model.input_shape[0])], (2,), model.dtype), model)


def single():
    model = fnn.Sequential([fnn.Dense(7, "tanh"), fnn.Dense(1)], (20,), "float64", seed=3)
    model.compile("adam", "squared_error")
    return model


TRAINERS = {
    "fit": lambda m, X, y: m.fit(X, y, verbose=0),
    "fit on batches": lambda m, X, y: m.fit([(X, y)], verbose=0),
    "train_on_batch": lambda m, X, y: m.train_on_batch(X, y),
    "forward": lambda m, X, y: m.forward(X),
    "frozen forward": lambda m, X, y: m.forward(X, frozen=True),
    "step": lambda m, X, y: m.step(),
    "compile": lambda m, X, y: m.compile(),
    "recompile": lambda m, X, y: m.recompile(),
    "gradients": lambda m, X, y: m.bind(X, y).gradients(),
    "loss_and_gradients": lambda m, X, y: m.bind(X, y).loss_and_gradients(),
    "input_gradient": lambda m, X, y: m.bind(X, y).input_gradient(),
    "bound step": lambda m, X, y: m.bind(X, y).step(),
    "fit_lbfgs": lambda m, X, y: fnn.fit_lbfgs(m, X, y),
    "find_learning_rate": lambda m, X, y: fnn.find_learning_rate(m, X, y),
    "GAN.compile": lambda m, X, y: gan_of(m).compile(),
}


def test_a_second_thread_is_refused(backend):
    X, y = samples(60)
    targets = y.astype(float)
    alone = single()
    alone.fit(X, targets, epochs=2, verbose=0)
    model, held = single(), Held()
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(model.fit, X, targets, epochs=2, verbose=0, callbacks=held.callback)
        assert held.inside.wait(60)
        try:
            for name, train in TRAINERS.items():
                with pytest.raises(RuntimeError, match="trained in another thread"):
                    train(model, X, targets)
                    pytest.fail(f"{name} was not refused")
            assert model.predict(X).shape == (60, 1) and model.evaluate(X, targets)["loss"] > 0
            other = model.copy()
            other.fit(X, targets, verbose=0)  # what the error says
        finally:
            held.go.set()
        training.result(60)
    assert_same_bits(numbers(model)[0], numbers(alone)[0], "refused calls changed nothing")
    assert model.optimizer is not None and model.loss.name == "squared_error"
    model.fit(X, targets, verbose=0)


def test_a_second_thread_is_refused_a_gan(backend):
    gan, held = gan_of(single()), Held()
    gan.compile()
    X = samples(20)[0]
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(gan.fit, X, verbose=0, callbacks=held.callback)
        assert held.inside.wait(60)
        try:
            for train in (lambda: gan.fit(X, verbose=0), lambda: gan.train_on_batch(X), gan.compile,
                          lambda: gan.generator.forward(gan._noise(3, [0])), gan.discriminator.step):
                with pytest.raises(RuntimeError, match="trained in another thread"):
                    train()
            assert gan.generate(5).shape == (5, 20)
        finally:
            held.go.set()
        history = training.result(60)
    assert gan.history["generator_loss"] == history["generator_loss"] and len(history) == 1


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_second_thread_is_refused_an_estimator(backend, solver):
    neural_network = pytest.importorskip("fastnn.estimators", reason="scikit-learn is not installed")
    from sklearn.base import clone
    X, y = samples(50)
    held = Held()
    mlp = neural_network.MLPClassifier((5,), max_iter=4, tol=0, random_state=0, solver=solver)
    with pytest.warns(Warning):
        alone = clone(mlp).fit(X, y)
        other = clone(mlp)
        original = neural_network.base.BaseMLP._refuse_nonfinite

        def wait(self, *arguments):
            if self is mlp and not held.inside.is_set():
                held.wait(0, {})
            return original(self, *arguments)

        patch = pytest.MonkeyPatch()
        with patch.context() as patched, ThreadPoolExecutor(1) as pool:
            patched.setattr(neural_network.base.BaseMLP, "_refuse_nonfinite", wait)
            training = pool.submit(mlp.fit, X, y)
            assert held.inside.wait(60)
            try:
                for train in [mlp.fit, mlp.partial_fit] if solver == "adam" else [mlp.fit]:
                    with pytest.raises(RuntimeError, match="trained in another thread; train a clone"):
                        train(X, y)
                with pytest.raises(RuntimeError, match="trained in another thread"):
                    mlp.model_.train_on_batch(X, y)
                other.fit(X, y)
                assert mlp.predict(X).shape == (50,)
            finally:
                held.go.set()
            training.result(60)
    for a, b in zip(mlp.coefs_, alone.coefs_, strict=True):
        assert_same_bits(a, b)


def test_forward_backward_step_belong_together(backend):
    """Another thread between them is an error, not a wrong gradient."""
    X, _ = samples(10)
    model, dy = single(), np.ones((10, 1))
    model.forward(X)
    with ThreadPoolExecutor(1) as pool:
        def elsewhere(function, *arguments, **settings):
            return pool.submit(function, *arguments, **settings).result(60)

        with pytest.raises(RuntimeError, match="another thread"):
            elsewhere(model.backward, dy)
        with pytest.raises(RuntimeError, match="another thread"):
            elsewhere(model.step)
        model.backward(dy)  # it was refused before it did anything
        model.step()
        for between in (lambda: model.train_on_batch(X, dy), lambda: model.forward(X),
                        lambda: model.bind(X, dy).gradients()):
            model.forward(X)
            elsewhere(between)
            with pytest.raises(RuntimeError, match="another thread has trained this model"):
                model.backward(dy)
            model.forward(X)
            model.backward(dy)
            elsewhere(between)
            with pytest.raises(RuntimeError, match="another thread has trained this model"):
                model.step()
        model.forward(X)
        model.backward(dy)
        model.step()
        elsewhere(model.forward, X)
        elsewhere(model.backward, dy)
        elsewhere(model.step)


def test_a_training_inside_a_training_is_refused(backend):
    X, y = samples(20)
    model, refused = net(), []

    def begin_again(epoch, logs):
        for train in (lambda: model.fit(X, y, verbose=0), lambda: model.train_on_batch(X, y)):
            with pytest.raises(RuntimeError, match="in the middle of a training"):
                train()
            refused.append(epoch)
        model.bind(X, y).gradients()  # looking is allowed

    model.fit(X, y, epochs=2, verbose=0, callbacks=fnn.LambdaCallback(on_epoch_end=begin_again))
    assert refused == [0, 0, 1, 1]
    with pytest.raises(ZeroDivisionError):
        model.fit(X, y, verbose=0, callbacks=fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: 1 / 0))
    model.fit(X, y, verbose=0)  # an error lets go
