"""Arrays that end where their memory ends, of sizes that are no whole vectors: a training, a prediction, a function.

The numbers are checked here; in a core with sanitizers (tests/sanitize.py) so is every access, and the faults that it
plants are looked for with this file.
"""
import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, rounding


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fit_and_predict(native, team, dtype, threads):
    team(threads)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((37, 17)).astype(dtype), rng.integers(0, 3, 37)

    def trained():
        layers = [fnn.Dense(13, "tanh"), fnn.Activation("softmax"), fnn.Dense(9, "relu"), fnn.Dense(3, "softmax")]
        model = fnn.Sequential(layers, (17,), dtype, seed=1)
        model.compile("adam", "cross_entropy")
        model.fit(X, y, batch_size=8, epochs=2, verbose=0)
        return model.predict(X, batch_size=8)

    got = trained()
    with fnn.use_backend("numpy"):
        assert_close(got, trained(), 1000 * rounding(dtype), "probabilities")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_function(native, dtype):
    x = np.random.default_rng(0).standard_normal((5, 13)).astype(dtype)
    expected = x - np.log(np.exp(x.astype(float)).sum(1, keepdims=True))
    assert_close(fnn.functional.log_softmax_forward(x), expected, 10 * rounding(dtype))
