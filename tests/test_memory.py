"""What training holds: parameters, gradient, state, snapshot, an arena for one block, no copy of X."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

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
