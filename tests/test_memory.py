"""What training holds: parameters, gradient, state, snapshot, an arena for one block, no copy of X."""

import gc
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastnn as fnn
from fastnn.compilation import KEPT_KINDS
from fastnn.program import KEPT_SIZES

resource = pytest.importorskip("resource", reason="peak memory is read through the resource module")

PEAK = """
    import resource
    import numpy as np
    import fastnn as fnn

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""


def grown(code: str, *arguments: object) -> tuple[float, float]:
    """Run the code in a process of its own; the bytes by which its peak grew, and those it expected."""
    program = "import sys\n" + textwrap.dedent(PEAK) + textwrap.dedent(code)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    used, expected = map(float, result.stdout.split())
    return used, expected


def test_parameters_gradient_state_snapshot():
    used, expected = grown("""
        X, y = np.zeros((64, 1500), np.float32), np.zeros(64, np.int64)
        layers = [fnn.Dense(1500, "relu"), fnn.Dense(1500, "relu"), fnn.Dense(10, "softmax")]
        warm = fnn.Sequential([fnn.Dense(2, "softmax")], input_shape=(1500,))
        warm.compile()
        warm.fit(X, y, verbose=0)
        before = peak()
        model = fnn.Sequential(layers, input_shape=(1500,))
        model.compile("adam")
        model.fit(X, y, batch_size=32, epochs=3, verbose=0)
        n = 4 * sum(w.size for w in model.get_weights())
        # parameters, gradient, Adam's state, a snapshot of all but the gradient
        print(peak() - before, n * (1 + 1 + 2 + 3))
    """)
    # before them, initial weights are drawn in float64, one array at a time
    assert used < 1.25 * expected, f"training took {used / 1e6:.0f} MB, expected {expected / 1e6:.0f} MB"


@pytest.mark.parametrize("kind", ["contiguous", "strided rows", "uint8", "memmap", "float16 memmap"])
def test_x_is_not_copied(kind, tmp_path):
    dtype = {"uint8": np.uint8, "float16 memmap": np.float16}.get(kind, np.float32)
    if "memmap" in kind:
        rows = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", dtype, (100_000, 256))
        for start in range(0, len(rows), 10_000):
            rows[start:start + 10_000] = 1
        del rows
    used, size = grown("""
        kind, path = sys.argv[1:]
        dtype = {"uint8": np.uint8}.get(kind, np.float32)
        if "memmap" in kind:
            X = np.load(path, mmap_mode="r")
        else:
            X = np.ones((100_000, 512 if kind == "strided rows" else 256), dtype)[:, :256]
        y = np.zeros(len(X), np.int64)
        model = fnn.Sequential([fnn.Dense(4, "relu"), fnn.Dense(2, "softmax")], input_shape=(256,))
        model.compile()
        model.fit(np.zeros((64, 256), np.float32), np.zeros(64, np.int64), verbose=0)
        before = peak()
        model.fit(X, y, batch_size=1000, epochs=1, verbose=0)
        # pages of a mapped file count while they are mapped, but are the system's to take back
        print(peak() - before - (X.nbytes if "memmap" in kind else 0), X.nbytes)
    """, kind, tmp_path / "X.npy")
    limit = 0.3 * size + 8e6  # the order of the rows, labels, an arena, staged blocks
    assert used < limit, f"fit took {used / 1e6:.0f} MB beside {size / 1e6:.0f} MB of X"


GROWTH = """
    import gc
    kind, steps = sys.argv[1], int(sys.argv[2])

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

    rng = np.random.default_rng(0)
    layers, shape = {
        "dense": ([fnn.Dense(16, "relu"), fnn.Dropout(0.1), fnn.BatchNorm()], (16,)),
        "convolution": ([fnn.Conv2D(2, 3, activation="relu"), fnn.MaxPool2D(2), fnn.Flatten()], (6, 6, 1)),
        "recurrent": ([fnn.GRU(4)], (3, 2))}[kind]
    X, y = rng.standard_normal((20_000, *shape)).astype(np.float32), rng.integers(0, 3, 20_000)
    model = fnn.Sequential([*layers, fnn.Dense(3, "softmax")], shape, seed=0)
    model.compile("adam", metrics=["accuracy"])
    epochs = steps // 10_000
    model.fit(X, y, batch_size=2, epochs=10, verbose=0)
    before = resident()
    model.fit(X, y, batch_size=2, epochs=epochs, verbose=0)
    assert model.update_count == steps + 100_000
    print(resident() - before, 1e6)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads resident memory in /proc")
@pytest.mark.parametrize("kind", ["dense", "convolution", "recurrent"])
def test_a_million_steps_take_no_memory(kind):
    used, limit = grown(GROWTH, kind, 1_000_000)
    print(f"a million steps, {kind}: resident memory grew by {used / 1e6:.2f} MB")
    assert used < limit, f"resident memory grew by {used / 1e6:.2f} MB"


def small(n_in=5):
    model = fnn.Sequential([fnn.Dense(4, "relu"), fnn.Dense(3, "softmax")], (n_in,), seed=0)
    model.compile()
    return model


def fail(model, X, y):
    with pytest.raises(ZeroDivisionError):
        model.fit(X, y, verbose=0, callbacks=fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: 1 / 0))


def by_hand(model, X, y):
    model.backward(model.forward(X))
    model.step()


AGAIN = {
    "fit": lambda model, X, y, path: model.fit(X, y, batch_size=7, validation_split=0.2, verbose=0),
    "fit on batches": lambda model, X, y, path: model.fit([(X[:9], y[:9]), (X, y)], verbose=0),
    "train_on_batch": lambda model, X, y, path: model.train_on_batch(X, y),
    "forward, backward, step": lambda model, X, y, path: by_hand(model, X, y),
    "predict": lambda model, X, y, path: (model.predict(X), model.predict(X[:1]), model.predict(X.tolist())),
    "evaluate": lambda model, X, y, path: model.evaluate(X, y),
    "compile": lambda model, X, y, path: (model.compile(), model.fit(X, y, verbose=0)),
    "copy": lambda model, X, y, path: model.copy().fit(X, y, verbose=0),
    "a new model": lambda model, X, y, path: small().fit(X, y, verbose=0),
    "save, load": lambda model, X, y, path: (model.save(path), fnn.load(path).predict(X)),
    "gradients": lambda model, X, y, path: model.bind(X, y).gradients(),
    "a fit that fails": lambda model, X, y, path: fail(model, X, y),
    "functional": lambda model, X, y, path: fnn.functional.softmax_forward(X),
}


def counts_after(name, tmp_path, count, calls):
    """What `count` gives after so many calls, and after as many again."""
    rng = np.random.default_rng(0)
    X, y, model, counts = rng.standard_normal((40, 5)).astype("float32"), rng.integers(0, 3, 40), small(), []
    for _ in range(2):
        for _ in range(calls):
            AGAIN[name](model, X, y, tmp_path / "model.safetensors")
        gc.collect()
        counts.append(count())
    return counts


@pytest.mark.parametrize("name", AGAIN)
def test_calls_leave_no_objects(backend, name, tmp_path):
    before, after = counts_after(name, tmp_path, lambda: len(gc.get_objects()), 20)
    assert after - before < 15, f"20 calls of {name} left {after - before} objects"


@pytest.mark.slow
@pytest.mark.parametrize("name", AGAIN)
def test_calls_leave_no_memory(backend, name, tmp_path):
    """Python's blocks of memory; NumPy keeps a few hundred small arrays' for the next ones."""
    before, after = counts_after(name, tmp_path, sys.getallocatedblocks, 500)
    print(f"{name}, {fnn.backend()} backend: 500 calls left {after - before} blocks")
    assert after - before < 200, f"500 calls of {name} left {after - before} blocks of memory"


def test_sizes_of_calls_are_not_kept_for_ever(backend):
    """Batches and sequences of any number of sizes: the memory of the last few kinds waits for the next call."""
    recurrent = fnn.Sequential([fnn.GRU(3), fnn.Dense(3, "softmax")], (None, 2))
    recurrent.compile()
    for n in range(1, 2 * KEPT_KINDS):
        recurrent.predict(np.zeros((2, n, 2)))
        recurrent.train_on_batch(np.zeros((n, 2, 2)), np.zeros(n, int))
    compiled = recurrent._compiled
    assert len(compiled._idle) == KEPT_KINDS
    for program in compiled.programs.values():
        assert len(program.cache) <= KEPT_SIZES and len(program.packed) <= KEPT_SIZES
