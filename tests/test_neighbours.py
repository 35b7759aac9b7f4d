"""What fastnn leaves alone in the process it runs in, and the libraries that run beside it."""
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import backends
from process_state import changed, floating_point, state
from steps import net, samples

X, Y = samples(200, dtype="float32")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads the floating-point environment as on Linux")


def run(code, *arguments, seconds=300, **environment):
    """Run code in a process of its own; what it printed."""
    program = "import sys\nsys.path.insert(0, sys.argv.pop(1))\n" + textwrap.dedent(code)
    result = subprocess.run([sys.executable, "-c", program, str(Path(__file__).parent), *arguments],
                            capture_output=True, text=True, timeout=seconds,
                            env={**os.environ, "OMP_NUM_THREADS": "2", **environment})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


# ----------------------------------------------------------------------------------------- nothing is changed

def ctrl_c(epoch, logs):
    signal.raise_signal(signal.SIGINT)


def own_loss(fails):
    """A loss in Python, which the core stops for in the middle of a step."""
    seen = []

    def loss(output, target):
        seen.append(floating_point() if sys.platform == "linux" else None)
        if fails and len(seen) == 3:
            raise ZeroDivisionError("in the middle of a step")
        return (output ** 2).sum(axis=1), 2 * output

    loss.seen = seen
    return loss


def train_on(loss):
    model = fnn.Sequential([fnn.Dense(9, "relu"), fnn.Dense(2)], (20,), seed=0)
    model.compile(fnn.SGD(0.01), loss)
    model.fit(X, np.zeros((len(X), 2)), verbose=0)


def estimate():
    from fastnn.estimators import MLPClassifier
    MLPClassifier((9,), n_threads=1, random_state=0).partial_fit(X, Y, classes=range(3)).predict(X)


def interrupted():
    net(dtype="float32").fit(X, Y, verbose=0, callbacks=fnn.LambdaCallback(on_epoch_end=ctrl_c))


def diverge():
    model = fnn.Sequential([fnn.Dense(9), fnn.Dense(1)], (20,), seed=0)
    model.compile(fnn.SGD(1e3), "squared_error")
    model.fit(X, Y, epochs=20, verbose=0)


WORK = {
    "fit": lambda: net(dtype="float32").fit(X, Y, epochs=2, validation_split=0.2, verbose=0),
    "predict, evaluate": lambda: (net(dtype="float32").predict(X), net(dtype="float32").evaluate(X, Y)),
    "train_on_batch": lambda: net(dtype="float32").train_on_batch(X, Y),
    "a loss in Python": lambda: train_on(own_loss(False)),
    "estimator": estimate,
    "L-BFGS": lambda: fnn.fit_lbfgs(net(), X, Y, max_iterations=3),
    "check_gradients": lambda: fnn.check_gradients(net(), X[:4], Y[:4], directions=1),
    "diagnose": lambda: fnn.diagnose(net(dtype="float32"), X, Y),
    "profile": lambda: net(dtype="float32").profile(X, Y, seconds=0.01),
    "functional": lambda: fnn.functional.softmax_forward(X),
    "info": fnn.backends.info,
}
ERRORS = {
    "a row that is not finite": (ValueError, lambda: net(dtype="float32").fit(
        np.where(X > 3, np.nan, X), Y, verbose=0)),
    "divergence": (FloatingPointError, diverge),
    "Ctrl-C": (KeyboardInterrupt, interrupted),
    "an error in a callback": (ZeroDivisionError, lambda: net().fit(
        X, Y, verbose=0, callbacks=fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: 1 / 0))),
    "an error in a step": (ZeroDivisionError, lambda: train_on(own_loss(True))),
}


@pytest.mark.parametrize("name", [*WORK, *ERRORS])
def test_the_process_is_as_before(backend, team, name):
    """Also in a thread that is not the main one, and where the work ends in an error."""
    team(2)
    if name == "estimator":  # what importing scikit-learn changes is not fastnn's doing
        pytest.importorskip("sklearn.neural_network", reason="scikit-learn is not installed")
        import fastnn.estimators  # noqa: F401
    if name == "L-BFGS":
        pytest.importorskip("scipy", reason="SciPy is not installed")

    def work():
        if name in WORK:
            WORK[name]()
            return
        error, function = ERRORS[name]
        with pytest.raises(error):
            function()

    before, threads = state(), backends.native and backends.native.core.max_threads()
    work()
    assert not changed(before, state())
    assert threads == (backends.native and backends.native.core.max_threads())
    if name == "Ctrl-C":
        return  # is the main thread's
    found = []

    def in_thread():
        before = state()
        work()
        found.append(changed(before, state()))

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert found == [{}]


def test_importing_changes_nothing():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    run("""
        import numpy, sklearn.base, scipy.optimize, sklearn.model_selection
        from process_state import changed, state
        before = state()
        import fastnn, fastnn.estimators, fastnn.data
        differs = changed(before, state())
        assert not differs, differs
    """)


@linux_only
def test_python_in_the_middle_of_a_step_sees_the_usual_numbers(backend):
    """Subnormals are flushed inside of the core's steps only."""
    loss = own_loss(False)
    train_on(loss)
    assert set(loss.seen) == {floating_point()}


@linux_only
def test_threads_of_the_team_keep_subnormals(native, team):
    """Training flushes them on its threads and for its time; predictions before and after have them, on all threads."""
    tiny = np.full((64, 20), 1e-41, np.float32)
    model = fnn.Sequential([fnn.Dense(20, kernel_initializer="ones")], (20,), "float32")
    team(2)
    before = model.predict(tiny, batch_size=64)
    assert (before > 0).all() and before[0, 0] < np.finfo(np.float32).tiny
    WORK["fit"]()
    assert_same_bits(model.predict(tiny, batch_size=64), before)


def test_a_handler_of_a_callback_stays():
    """fit puts back the handler of Ctrl-C that it found, but not over one that was set meanwhile."""
    def mine(number, frame):
        pass

    before = signal.getsignal(signal.SIGINT)
    try:
        net().fit(X, Y, verbose=0, callbacks=fnn.LambdaCallback(
            on_epoch_end=lambda epoch, logs: signal.signal(signal.SIGINT, mine)))
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------------------------------------- threadpoolctl

def test_threadpoolctl_sees_and_limits_the_pool(native):
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("counts threads in /proc")
    run("""
        import os
        import numpy as np
        import fastnn as fnn
        from fastnn import backends
        from threadpoolctl import threadpool_info, threadpool_limits, ThreadpoolController

        def openmp():
            return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]

        def started():
            before = len(os.listdir("/proc/self/task"))
            model.fit(X, y, epochs=5, verbose=0)
            return len(os.listdir("/proc/self/task")) - before

        backends.native.SERIAL_FLOPS = 0  # however small a step is, it is worth a team
        backends.native.TeamSize.next = lambda self, most, steps: (most, steps)
        X, y = np.ones((64, 20), np.float32), np.zeros(64, int)
        model = fnn.Sequential([fnn.Dense(9, "relu"), fnn.Dense(2, "softmax")], (20,))
        model.compile()
        assert openmp() == [2] == [fnn.get_num_threads()], openmp()
        with threadpool_limits(1):
            assert openmp() == [1] == [fnn.get_num_threads()], openmp()
            assert started() == 0, "a second thread ran"
            with threadpool_limits(2, user_api="openmp"):
                assert fnn.get_num_threads() == 2
            assert fnn.get_num_threads() == 1
        assert openmp() == [2] == [fnn.get_num_threads()], openmp()
        assert started() == 1, "no second thread ran"
        with threadpool_limits(1, user_api="blas"):
            assert fnn.get_num_threads() == 2  # not fastnn's
        with ThreadpoolController().limit(limits={"openmp": 1}):
            assert fnn.get_num_threads() == 1
        fnn.set_num_threads(1)
        assert openmp() == [1]
    """)


# --------------------------------------------------------------------------------------------- other libraries

BESIDE = """
    import hashlib
    name, order = sys.argv[1:]

    def numpy_work():
        import numpy as np
        a = np.random.default_rng(0).standard_normal((400, 400))
        return np.linalg.solve(a, a @ a)

    def sklearn_work():
        import numpy as np
        from sklearn.cluster import KMeans
        from sklearn.ensemble import HistGradientBoostingRegressor
        X = np.random.default_rng(0).standard_normal((300, 5))
        forest = HistGradientBoostingRegressor(max_iter=2, random_state=0).fit(X, X[:, 0])
        return forest.predict(X) + KMeans(3, n_init=1, random_state=0).fit(X).labels_

    def torch_work():
        import torch
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.Tanh(), torch.nn.Linear(300, 10))
        x, optimizer = torch.randn(256, 300), torch.optim.SGD(layers.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            layers(x).square().mean().backward()
            optimizer.step()
        return layers(x).detach().numpy()

    def jax_work():
        import jax, jax.numpy as jnp
        x = jax.random.normal(jax.random.key(0), (256, 300))
        return jax.jit(jax.grad(lambda w: jnp.tanh(x @ w).sum()))(jnp.ones((300, 20)) / 300)

    def other():
        import numpy as np
        return np.array(globals()[name + "_work"]()).tobytes()

    first = other() if order == "before" else None
    import numpy as np
    import fastnn as fnn

    def train(epoch_end):
        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((2000, 100)).astype(np.float32), rng.integers(0, 3, 2000)
        model = fnn.Sequential([fnn.Dense(200, "relu"), fnn.Dropout(0.1), fnn.Dense(3, "softmax")], (100,), seed=0)
        model.compile("adam")
        model.fit(X, y, batch_size=100, epochs=3, verbose=0, callbacks=fnn.LambdaCallback(on_epoch_end=epoch_end))
        return hashlib.sha256(b"".join(w.tobytes() for w in [*model.get_weights(), model.predict(X)])).hexdigest()

    alone = train(None)
    first = first or other()
    between = []
    assert train(lambda epoch, logs: between.append(other())) == alone, "fastnn's training is another"
    assert between == [first] * 3 and other() == first, "the other library's numbers are others"
    print(alone)
"""


@pytest.mark.parametrize(("name", "order"), [
    ("numpy", "before"),
    *[pytest.param(name, order, marks=pytest.mark.slow)
      for name in ("sklearn", "torch", "jax") for order in ("before", "after")]])
def test_other_libraries_beside(name, order):
    """Imported before fastnn or after it, used between its epochs: both give what they give alone."""
    pytest.importorskip(name, reason=f"{name} is not installed: nothing to run beside")
    namespace = {}
    exec(textwrap.dedent(BESIDE.split("alone = train")[0].split("    first = other")[1].split("\n", 1)[1])
         .replace("import fastnn as fnn", "import fastnn as fnn, hashlib"), namespace)
    assert run(BESIDE, name, order).strip() == namespace["train"](None)


# ------------------------------------------------------------------------------------------ free-threaded Python

def test_the_gil_stays_off():
    """Importing fastnn in a free-threaded Python leaves it so, without a warning."""
    if not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled():
        pytest.skip(f"Python {sys.version.split()[0]} runs with the GIL: nothing to leave off")
    run("""
        import warnings
        warnings.simplefilter("error")
        import fastnn
        assert fastnn.backend() == "native" and not sys._is_gil_enabled()
    """, PYTHON_GIL="")
