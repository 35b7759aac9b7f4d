"""What ends a training early: values that are not finite, Ctrl-C, another thread; two backends' curves."""
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits
from fastnn.activations import ACTIVATIONS
from fastnn.data import load_digits, train_test_split
from fastnn.optimizers import OPTIMIZERS
from fastnn.training import DivergenceError
from steps import net, samples


def model_for(rate, dtype="float64", optimizer=fnn.SGD, **compiled):
    model = net((20, 33, 17, 3), dtype, activation="relu")
    model.compile(optimizer(rate), **compiled)
    return model


def explodes_at(n, rate):
    return lambda update: 0.05 if update < n else rate


def run_to(model, X, y, updates, **settings):
    """Train until so many updates are done."""
    def stop(step, logs):
        model.stop_training = model.update_count == updates

    if updates:
        model.fit(X, y, epochs=100, callbacks=fnn.LambdaCallback(on_batch_end=stop), verbose=0, **settings)
    assert model.update_count == updates


# -------------------------------------------------------------------------------------------- divergence

HOW = {"plain": {}, "in order": {"shuffle": False}, "callback": {}, "float16": {"code": "f2"},
       "memmap": {"code": ">f4"}}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("rate", [1e300, np.inf])
def test_divergence(backend, how, rate, tmp_path):
    """The error names epoch, step and layer; the weights are those of an earlier step, all finite."""
    X, y = samples(160)
    code = HOW[how].get("code", "f8")
    if how == "memmap":
        mapped = np.memmap(tmp_path / "X", code, "w+", shape=X.shape)
        mapped[...] = X
        X = mapped
    else:
        X = X.astype(code)
    model, ended = model_for(explodes_at(25, rate)), []
    callbacks = [fnn.LambdaCallback(on_train_end=ended.append)]
    if how == "callback":
        callbacks.append(fnn.LambdaCallback(on_batch_end=lambda step, logs: None))
    settings = {"batch_size": 16, "shuffle": HOW[how].get("shuffle", True)}
    with pytest.raises(DivergenceError) as info:
        model.fit(X, y, epochs=9, callbacks=callbacks, verbose=0, **settings)
    error = info.value
    assert isinstance(error, FloatingPointError)
    assert error.epoch == 2 and error.step in (5, 6) and error.layer in {a.name for a in model.layers}
    assert f"epoch 2, step {error.step}" in str(error) and repr(error.layer) in str(error)
    assert len(model.history) == 2 and ended == [model.history.last()]
    good = 2 * 10 + int(re.search(r"before step (\d+)", str(error))[1])
    assert model.update_count == good <= 26
    again = model_for(explodes_at(25, rate))
    run_to(again, X, y, good, **settings)
    for got, expected in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.isfinite(got).all()
        assert_same_bits(got, expected)
    if good <= 25:
        model.optimizer.learning_rate = 0.05
        assert np.isfinite(model.fit(X, y, verbose=0)["loss"][0])  # and it goes on


def test_divergence_in_an_iterator_of_batches(backend):
    X, y = samples(160)
    model = model_for(explodes_at(25, 1e300))
    batches = [(X[i:i + 16], y[i:i + 16]) for i in range(0, 160, 16)]
    with pytest.raises(DivergenceError, match="epoch 2, step [56]") as info:
        model.fit(batches, epochs=9, verbose=0)
    assert (info.value.epoch, info.value.step) in ((2, 5), (2, 6))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_divergence_of_the_optimizer_state_alone(backend):
    """A gradient whose square overflows spoils Adam's average before it spoils a weight or a loss."""
    X, y = np.full((8, 20), 1e3), np.full((8, 1), 1e19)
    model = fnn.Sequential([fnn.Dense(1)], (20,), "float32")
    model.compile("adam", "squared_error")
    model.layers[0].weight[...] = 0
    with pytest.raises(DivergenceError):
        model.fit(X, y, epochs=3, verbose=0)
    assert not model.layers[0].weight.any() and model.update_count == 0


def test_a_loss_that_overflows_is_named(backend):
    model = fnn.Sequential([fnn.Dense(1)], (2,), "float32")
    model.compile(fnn.SGD(1e-3), "squared_error")
    with pytest.raises(DivergenceError, match="step 0.*'loss'"):
        model.fit([[1e30, 1e30]], [[-1e30]], verbose=0)


# ------------------------------------------------------------------------------------ rows not finite

@pytest.mark.parametrize("code", ["<f4", ">f4", "<f8", "f2"])
@pytest.mark.parametrize("batch_size", [16, 100])
def test_nan_in_a_file_is_found_before_it_is_used(backend, code, batch_size, tmp_path):
    X, y = samples(100)
    mapped = np.memmap(tmp_path / "X", code, "w+", shape=X.shape)
    mapped[...] = X
    mapped[70, 3] = np.nan
    model, expected = model_for(0.1), model_for(0.1)
    with pytest.raises(ValueError, match=r"X\[70, 3\] is nan"):
        model.fit(mapped, y, batch_size=batch_size, shuffle=False, verbose=0)
    for start in range(0, 70 - batch_size, batch_size):
        expected.train_on_batch(mapped[start:start + batch_size], y[start:start + batch_size])
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        assert_same_bits(a, b)
    assert model.update_count == expected.update_count
    shuffled = model_for(0.1)
    with pytest.raises(ValueError, match=r"X\[70, 3\] is nan"):
        shuffled.fit(mapped, y, batch_size=batch_size, verbose=0)
    assert all(np.isfinite(w).all() for w in shuffled.get_weights())
    for use in (lambda: model.predict(mapped), lambda: model.evaluate(mapped, y)):
        with pytest.raises(ValueError, match=r"X\[70, 3\] is nan"):
            use()


@pytest.mark.parametrize("in_memory", [False, True])
def test_nan_in_a_file_of_targets(backend, in_memory, tmp_path):
    X, _ = samples(100)
    rows = np.memmap(tmp_path / "y", "f8", "w+", shape=(100, 2))
    rows[70, 1] = np.inf
    model = fnn.Sequential([fnn.Dense(2)], (20,), "float64")
    model.compile("sgd", "squared_error")
    for use in (lambda: model.fit(X, rows, shuffle=in_memory, verbose=0), lambda: model.evaluate(X, rows)):
        with pytest.raises(ValueError, match=r"y\[70, 1\] is inf"):
            use()
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_standardize_refuses_nan_in_a_file(backend, tmp_path):
    X, y = samples(100)
    mapped = np.memmap(tmp_path / "X", "f8", "w+", shape=X.shape)
    mapped[...] = X
    mapped[70, 3] = np.nan
    model = fnn.Sequential([fnn.Standardize(), fnn.Dense(3, "softmax")], (20,), "float64")
    model.compile()
    with pytest.raises(ValueError, match=r"X\[70, 3\] is nan"):
        model.fit(mapped, y, verbose=0)
    mapped[70, 3] = 0
    model.fit(mapped, y, verbose=0)  # nothing of the first try is left
    assert_close(model.state_dict()["standardize.mean"], np.array(mapped).mean(0), 1e-14)


@pytest.mark.parametrize("spoil, words", [
    (lambda X, y: X.__setitem__((70, 3), np.nan), r"X\[70, 3\] is nan"),
    (lambda X, y: X.__setitem__((99, 19), -np.inf), r"X\[99, 19\] is -inf"),
    (lambda X, y: y.__setitem__(50, 3), r"y\[50\] is 3"),
    (lambda X, y: y.__setitem__(50, -1), r"y\[50\] is -1"),
])
def test_bad_rows_in_memory_are_refused_before_any_work(backend, spoil, words):
    X, y = samples(100)
    spoil(X, y)
    model, begun = model_for(0.1), []
    before = model.get_weights()
    watch = fnn.LambdaCallback(on_train_begin=begun.append)
    good = samples(10)
    for use in (lambda: model.fit(X, y, callbacks=watch, verbose=0), lambda: model.train_on_batch(X, y),
                lambda: model.fit(*good, validation_data=(X, y), callbacks=watch, verbose=0)):
        with pytest.raises(ValueError, match=words):
            use()
    assert not begun and model.update_count == 0
    for a, b in zip(model.get_weights(), before, strict=True):
        assert_same_bits(a, b)


# ----------------------------------------------------------------------------------------------- threads

def test_a_model_is_trained_by_one_thread(backend):
    """The second is refused, others may predict; the lock is free afterwards, whatever ended the training."""
    X, y = samples(100)
    model, started, go_on = model_for(0.01), threading.Event(), threading.Event()

    def wait(epoch, logs):
        started.set()
        assert go_on.wait(20)

    thread = threading.Thread(target=model.fit, args=(X, y), kwargs={
        "callbacks": fnn.LambdaCallback(on_epoch_begin=wait), "verbose": 0})
    thread.start()
    assert started.wait(20)
    for use in (lambda: model.fit(X, y, verbose=0), lambda: model.train_on_batch(X, y)):
        with pytest.raises(RuntimeError, match="another thread"):
            use()
    model.predict(X)
    model.copy().fit(X, y, verbose=0)
    go_on.set()
    thread.join()
    assert model.update_count == 4

    def fail(epoch, logs):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        model.fit(X, y, callbacks=fnn.LambdaCallback(on_epoch_end=fail), verbose=0)
    model.fit(X, y, verbose=0)


def test_threads_predict_on_one_model(backend):
    X, y = samples(700)
    model = model_for(0.01)
    sizes = [1, 10, 64, 65, 300, 700] * 5
    expected = {n: (model.predict(X[:n]), model.evaluate(X[:n], y[:n])) for n in sizes}
    wrong = []

    def work(seed):
        for n in np.random.default_rng(seed).permutation(sizes):
            outputs, results = model.predict(X[:n]), model.evaluate(X[:n], y[:n])
            if not (outputs == expected[n][0]).all() or results != expected[n][1]:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FORK = """
import os, sys, numpy as np, fastnn as fnn
fnn.set_num_threads(2)
X, y = np.random.default_rng(0).standard_normal((2000, 100)).astype("f4"), np.arange(2000) % 10
def weights():
    model = fnn.Sequential([fnn.Dense(200, "relu"), fnn.Dense(10, "softmax")], (100,))
    model.compile()
    model.fit(X, y, verbose=0)
    return model.get_weights()
before = weights()
child = os.fork()
same = all((a == b).all() for a, b in zip(before, weights()))
if not child:
    os._exit(not same)
sys.exit(os.waitpid(child, 0)[1] or not same)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_training_goes_on_after_a_fork(native):
    """OpenMP's team does not come along; the child trains on one thread, to the same weights."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=60)


# ------------------------------------------------------------------------------------------------ Ctrl-C

class CtrlC(fnn.Callback):
    """Ctrl-C out of a timer; notes when it came."""

    def __init__(self, after):
        self.after, self.at, self.ended = after, 0.0, 0.0

    def on_epoch_begin(self, epoch, logs):
        if epoch == 1:
            threading.Timer(self.after, self.press).start()

    def press(self):
        self.at = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    def on_train_end(self, logs):
        self.ended = time.perf_counter()


@pytest.mark.parametrize("batch_size", [4, 64])
@pytest.mark.parametrize("staged", [False, True])
def test_ctrl_c(backend, batch_size, staged):
    X, y = samples(100_000 if batch_size == 64 else 2000, dtype="f4")
    X = X.astype("f2") if staged else X
    model, press = model_for(0.01, "float32"), CtrlC(0.15)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, batch_size=batch_size, epochs=10 ** 6, callbacks=press, verbose=0)
    assert 0 < press.ended - press.at < 0.1 + 0.4, "the second number is for a busy machine"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert 1 <= len(model.history) and model.update_count > len(model.history)
    updates = model.update_count
    again = model_for(0.01, "float32")
    steps = -(-len(X) // batch_size)
    if updates > 3 * steps:  # whole epochs come cheaper than single steps
        again.fit(X, y, batch_size=batch_size, epochs=updates // steps, verbose=0)
    if updates > again.update_count:
        run_to(again, X, y, updates, batch_size=batch_size)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        assert_same_bits(a, b)


def test_ctrl_c_between_epochs(backend):
    """Pressed while Python is busy with the last epoch's callbacks: not lost, and the epoch is kept."""
    X, y = samples(100)
    model = model_for(0.01)
    press = fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, epochs=1, callbacks=press, verbose=0)
    assert len(model.history) == 1 and model.update_count == 4


def test_ctrl_c_belongs_to_others_where_they_took_it(backend):
    X, y = samples(100)
    pressed = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        press = fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: os.kill(os.getpid(), signal.SIGINT))
        assert len(model_for(0.01).fit(X, y, epochs=2, callbacks=press, verbose=0)) == 2
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(pressed) == 2


# ---------------------------------------------------------------------------------- two backends, one curve

def curves(native, dtype, optimizer, activation, epochs, rows=None, batch_size=32):
    X, _, y, _ = train_test_split(*load_digits())
    found = []
    for backend in ("native", "numpy"):
        with fnn.use_backend(backend):
            layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(32, activation), fnn.Dense(10, "softmax")]
            model = fnn.Sequential(layers, (8, 8), dtype)
            model.compile(optimizer)
            losses = []

            def record(step, logs, losses=losses):
                losses.append(logs["loss"])

            model.fit(X[:rows], y[:rows], batch_size=batch_size, epochs=epochs, verbose=0,
                      callbacks=fnn.LambdaCallback(on_batch_end=record))
            found.append(np.array(losses))
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_loss_curves_agree(native, optimizer):
    """In float64 at learning rate 1e-3, over epochs."""
    optimizer = OPTIMIZERS[optimizer](1e-3)
    got, expected = curves(native, "float64", optimizer, "relu", 5)
    assert expected[-45:].mean() < expected[:45].mean()
    assert_close(got, expected, 1e-9)


@pytest.mark.parametrize("rate", [1e-3, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_first_steps_agree(native, activation, optimizer, rate):
    if activation == "exponential" and rate > 0.01:
        pytest.skip("exponentials of exponentials diverge at this rate")
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-3)):
        got, expected = curves(native, dtype, OPTIMIZERS[optimizer](rate), activation, 1, 20 * 16, 16)
        assert len(got) == 20
        if dtype == "float64" or rate < 0.01:  # at a large rate some networks multiply float32's rounding
            assert_close(got, expected, tolerance * np.maximum(1, expected), dtype)
        assert_close(got[0], expected[0], 16 * np.finfo(dtype).eps * 10, f"{dtype}, first step")
