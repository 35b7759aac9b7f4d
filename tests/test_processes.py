"""Forked, spawned and pooled processes: a child predicts and trains, and no lock or thread is missing there."""
import os
import subprocess
import sys
import textwrap

import pytest

from fastnn import backends

pytestmark = pytest.mark.skipif(not backends.native, reason=f"the native core is not built: {backends.native_error}")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

PRELUDE = """
    import os, signal, sys, threading, time, traceback, warnings
    import numpy as np
    import fastnn as fnn
    from fastnn import backends

    # every step on two threads, however small
    backends.native.SERIAL_FLOPS = 0
    backends.native.TeamSize.next = lambda self, most, steps: (most, steps)
    fnn.set_num_threads(2)

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 20)).astype(np.float32), rng.integers(0, 3, 300)

    def make(seed=1):
        layers = [fnn.Dense(33, "relu"), fnn.Dropout(0.1), fnn.Dense(3, "softmax")]
        model = fnn.Sequential(layers, input_shape=(20,), seed=seed)
        model.compile("adam")
        return model

    def train(model):
        model.fit(X, y, epochs=2, verbose=0)
        return [*model.get_weights(), model.predict(X)]

    def same(got, expected):
        return all(a.tobytes() == b.tobytes() for a, b in zip(got, expected, strict=True))

    def threads():
        return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None

    def team_has_run():
        \"\"\"Have two threads of OpenMP really run in this thread.\"\"\"
        before = threads()
        model = make()
        with fnn.use_backend("native"):
            train(model)
        if before is not None and not team_has_run.done:
            assert threads() == before + 1, "no second thread was started"
        team_has_run.done = True
        return model

    team_has_run.done = False

    def forked(work, seconds=60):
        \"\"\"work() in a child that is forked; 0 where it returned True.\"\"\"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if work() else 2
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "hung"
"""


def run(code, *arguments, seconds=240, main=False, folder=None, **environment):
    """Run the code after the prelude in a process of its own; what it printed. `main` code is in ``__main__`` only."""
    body = textwrap.dedent(code)
    if main:
        body, guarded = body.split("# main\n")
        body += 'if __name__ == "__main__":\n' + textwrap.indent(guarded, "    ")
    program = textwrap.dedent(PRELUDE) + body
    if folder is None:
        command = [sys.executable, "-c", program]
    else:
        (folder / "program.py").write_text(program)
        command = [sys.executable, str(folder / "program.py")]
    settings = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", **environment}
    result = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                            env=settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


FORKS = """
    n, expected, model = int(sys.argv[1]), None, team_has_run()
    ends = []
    for i in range(n):
        before, expected = model.predict(X), train(model.copy())

        def child(grandchildren=i % 5 == 0):
            mine = model.copy()
            fine = same([model.predict(X), mine.predict(X)], [before] * 2) and same(train(mine), expected)
            fine = fine and np.isfinite(make(7).train_on_batch(X, y)["loss"])
            return fine and (not grandchildren or forked(lambda: child(False)) == 0)

        ends.append(forked(child))
        train(model)  # the parent's threads are there as before
    assert ends == [0] * n, ends
    print(sum(end == 0 for end in ends), "of", n)
"""


@needs_fork
@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_a_child_predicts_and_trains(backend):
    """After training on two threads in the parent; a grandchild does too."""
    assert run(FORKS, 10, FASTNN_BACKEND=backend).stdout == "10 of 10\n"


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_a_hundred_children_predict_and_train(backend):
    assert run(FORKS, 100, seconds=1500, FASTNN_BACKEND=backend).stdout == "100 of 100\n"


FORKS_MEANWHILE = """
    n, over = int(sys.argv[1]), threading.Event()
    shared, trained = make(), make(2)

    def predict():
        while not over.is_set():
            shared.predict(X[:np.random.default_rng().integers(1, 300)])

    def fit():
        while not over.is_set():
            trained.fit(X, y, epochs=3, verbose=0)

    team_has_run()
    expected, right = train(make(3)), shared.predict(X)
    busy = [threading.Thread(target=target, daemon=True) for target in (predict, predict, fit)]
    for thread in busy:
        thread.start()

    def child():
        trained.train_on_batch(X, y)  # whatever its weights were just then, and whoever was at it
        fine = np.isfinite(trained.fit(X, y, verbose=0)["loss"][-1])
        return fine and same([shared.predict(X)], [right]) and same(train(make(3)), expected)

    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks while threads run
    ends = [forked(child) for _ in range(n)]
    over.set()
    assert ends == [0] * n, ends
    print(sum(end == 0 for end in ends), "of", n)
    os._exit(0) if not sys.stdout.flush() else None
"""


@needs_fork
@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_forks_while_other_threads_train_and_predict(backend):
    """What those threads held is not held in the child."""
    assert run(FORKS_MEANWHILE, 10, FASTNN_BACKEND=backend).stdout == "10 of 10\n"


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_a_hundred_forks_while_other_threads_train_and_predict(backend):
    assert run(FORKS_MEANWHILE, 100, seconds=1500, FASTNN_BACKEND=backend).stdout == "100 of 100\n"


@needs_fork
def test_a_child_takes_the_turn_of_a_thread_that_is_not_there():
    """Forked in the middle of another thread's training, and out of a callback of one's own."""
    run("""
        inside, go = threading.Event(), threading.Event()
        model, mine = make(), make(2)

        def hold(epoch, logs):
            inside.set()
            assert go.wait(60)

        held = threading.Thread(target=model.fit, args=(X, y), kwargs={
            "verbose": 0, "callbacks": fnn.LambdaCallback(on_epoch_end=hold)})
        held.start()
        assert inside.wait(60)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            model.train_on_batch(X, y)
            raise SystemExit("the parent must refuse a second thread")
        except RuntimeError:
            pass
        assert forked(lambda: model.train_on_batch(X, y)["loss"] > 0) == 0
        go.set()
        held.join()

        def interrupted():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)
            except KeyboardInterrupt:
                return mine.train_on_batch(X, y)["loss"] > 0
            return False

        ends = []
        mine.fit(X, y, verbose=0, callbacks=fnn.LambdaCallback(
            on_epoch_end=lambda epoch, logs: ends.append(forked(interrupted))))
        assert ends == [0], ends
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    """)


@needs_fork
def test_one_thread_is_said_once():
    """A child of a parent that ran no team has all threads; otherwise one, with one warning."""
    run("""
        def asks(expected, warned):
            def child():
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    model = make()
                    for _ in range(3):
                        train(model)
                assert fnn.get_num_threads() == expected, fnn.get_num_threads()
                said = [str(w.message) for w in caught if w.category is RuntimeWarning]
                assert len(said) == warned and all("one thread" in text for text in said), said
                return fnn.backends.info()["threads"] == expected
            return child

        assert forked(asks(2, 0)) == 0  # nothing has run on two threads yet
        team_has_run()
        assert forked(asks(1, 1)) == 0
        assert fnn.get_num_threads() == 2
    """)
    run("""
        fnn.backends.info()  # measures a team
        assert forked(lambda: train(make()) is not None and fnn.get_num_threads() == 1) == 0
    """)


POOLS = """
    def work(model):
        before = model.predict(X)
        return before, train(model)
    # main
    start = team_has_run()
    right = work(start.copy())
    def check(results):
        for before, after in results:
            assert same([before], [right[0]]) and same(after, right[1])
    which = sys.argv[1]
    if which in ("fork", "spawn", "forkserver"):
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        context = multiprocessing.get_context(which)
        if which == "fork":
            warnings.simplefilter("ignore", DeprecationWarning)
        with context.Pool(2) as pool:
            check(pool.map_async(work, [start.copy() for _ in range(3)]).get(200))
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            check([pool.submit(work, start.copy()).result(200)])
    elif which == "thread pool":
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(2) as pool:
            check(pool.map(work, [start.copy() for _ in range(4)]))
    else:
        import joblib
        models = [start.copy() for _ in range(3)]
        check(joblib.Parallel(2, backend=which, timeout=200)(joblib.delayed(work)(model) for model in models))
"""


@pytest.mark.parametrize("which", [
    pytest.param("fork", marks=needs_fork), "loky", pytest.param("spawn", marks=pytest.mark.slow),
    pytest.param("forkserver", marks=[needs_fork, pytest.mark.slow]),
    pytest.param("thread pool", marks=pytest.mark.slow),
    pytest.param("multiprocessing", marks=[needs_fork, pytest.mark.slow]),
    pytest.param("threading", marks=pytest.mark.slow)])
def test_pools(which, tmp_path):
    """Models go to workers and come back trained, with the bits of a training at home."""
    if which in ("loky", "multiprocessing", "threading"):
        pytest.importorskip("joblib", reason="joblib is not installed")
    run(POOLS, which, main=True, folder=tmp_path)


@pytest.mark.slow
def test_scikit_learn_searches_in_processes(tmp_path):
    """loky, after this process has trained on two threads: the scores of a search at home."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    run("""
        # main
        from sklearn.model_selection import GridSearchCV
        from fastnn.estimators import MLPClassifier
        warnings.simplefilter("ignore")
        team_has_run()
        scores = [GridSearchCV(MLPClassifier((9,), max_iter=5, random_state=0), {"alpha": [1e-4, 1e-2]}, cv=3,
                               n_jobs=jobs).fit(X, y).cv_results_["mean_test_score"] for jobs in (1, 2)]
        assert (scores[0] == scores[1]).all(), scores
    """, main=True, folder=tmp_path, PYTHONWARNINGS="ignore")
