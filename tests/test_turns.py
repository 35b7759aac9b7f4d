"""One model is trained by one thread at a time, whatever the entry; another is refused."""
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from steps import estimators_or_skip, net, numbers, samples


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
    pytest.importorskip("scipy", reason="SciPy is not installed: there is no fit_lbfgs")
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
    neural_network = estimators_or_skip()
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
