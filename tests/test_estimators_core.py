"""What the estimators ask of the core: passes of several epochs, penalties a sample, Poisson deviance."""
import itertools

import numpy as np
import pytest

import fastnn as fnn
from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn.backends import Pass
from fastnn.compilation import Entry
from fastnn.functional import call
from steps import net, numbers, run_of, samples, train
from test_kernels import eps, normal
from test_kernels_losses import weights_of, wide


@pytest.mark.parametrize("n, batch, block", [(50, 16, 16), (48, 16, 16), (50, 64, 64), (50, 40, 16)])
@pytest.mark.parametrize("weighted", [False, True])
def test_epochs_in_one_pass_are_passes_of_one_epoch(combination, team, n, batch, block, weighted):
    """Each ends in its own short step; with any number of threads, begun anywhere."""
    X, y = samples(70, dtype=combination.dtype)
    weight = np.linspace(0.5, 2, 70) if weighted else None
    orders = [np.random.default_rng(i).permutation(70)[:n] for i in range(3)]
    batch = min(batch, n)
    for threads in (1, 2):
        team(threads)
        apart, together = net(dtype=combination.dtype), net(dtype=combination.dtype)
        losses = []
        for epoch, order in enumerate(orders):
            walk = Pass(n, batch, block, order, weight)
            walk.rates, walk.losses = np.full(walk.steps, 0.01), np.zeros(walk.steps)
            walk.update_count = epoch * walk.steps
            run = run_of(apart, Entry("train", True, weighted), block, X, y, weight)
            run.begin(walk)
            run.execute(0, walk.steps)
            losses.append(walk.losses)
        walk = Pass(3 * n, batch, block, np.concatenate(orders), weight, epoch_rows=n)
        walk.rates, walk.losses = np.full(walk.steps, 0.01), np.zeros(walk.steps)
        assert walk.steps == 3 * len(losses[0])
        run = run_of(together, Entry("train", True, weighted), block, X, y, weight)
        run.begin(walk)
        run.execute(0, 2)
        run.execute(2, walk.steps)
        assert_same_bits(walk.losses, np.concatenate(losses))
        for got, expected in zip(numbers(together), numbers(apart), strict=True):
            assert_same_bits(got, expected)
        train(together, X, y)  # a pass of one epoch, after one of several


def test_a_host_op_in_a_later_epoch(backend):
    """A Python activation finds its block in every step of every epoch."""
    X, y = samples(20)
    models = [fnn.Sequential([fnn.Dense(9, f), fnn.Dense(3, "softmax")], (20,), "float64", 1)
              for f in ("tanh", (np.tanh, lambda x: 1 - np.tanh(x) ** 2))]
    losses = []
    for model in models:
        model.compile("sgd", "cross_entropy")
        walk = Pass(60, 8, 4, np.tile(np.arange(20), 3), epoch_rows=20)
        walk.rates, walk.losses = np.full(9, 0.1), np.zeros(9)
        run = run_of(model, Entry("train", True), 4, X, y)
        run.begin(walk)
        assert run.execute(0, 9) is None
        losses.append(walk.losses)
    assert_close(losses[1], losses[0], 1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_penalty_of_a_sample(backend, weighted):
    """Coefficients are divided by the step's sum of weights, in every step anew."""
    X, y = samples(10)
    weight = np.linspace(0.5, 3, 10) if weighted else None
    models = []
    for first, last in ((0, 4), (4, 10)):
        rows = slice(first, last)
        total = last - first if weight is None else weight[rows].sum()
        settings = [{"l1": 0.3, "l2": 0.7, "per_sample": True}, {"l1": 0.3 / total, "l2": 0.7 / total}]
        for setting in settings:
            model = fnn.Sequential([fnn.Dense(3, "softmax", kernel_regularizer=fnn.ElasticNet(**setting))],
                                   (20,), "float64", 1)
            model.compile("sgd", "cross_entropy")
            loss = model.train_on_batch(X[rows], y[rows], None if weight is None else weight[rows])["loss"]
            models.append((loss, model.get_weights()))
        assert models[-2][0] == pytest.approx(models[-1][0], rel=1e-14)
        for got, expected in zip(models[-2][1], models[-1][1], strict=True):
            assert_close(got, expected, 1e-15 * (1 + np.abs(expected)))


def test_penalty_of_a_sample_by_call(combination):
    w, dw = normal(combination.dtype, (7, 5)), np.zeros((7, 5), combination.dtype)
    row_penalty = np.empty(7)
    call("penalty", (w, dw, row_penalty), weight_sum=8.0, l1=0.0, l2=4.0, per_sample=1)
    assert_close(dw, w.astype(float) / 2, rounding(combination.dtype) * np.abs(w))
    assert_close(row_penalty, (w.astype(float) ** 2).sum(1) / 4, rounding(np.float64, 5) * 10)


def test_a_regularizers_config_says_whether_it_is_of_a_sample(tmp_path):
    model = fnn.Sequential([fnn.Dense(1, kernel_regularizer=fnn.L2(0.5, per_sample=True))], (2,))
    model.save(tmp_path / "model")
    again = fnn.load(tmp_path / "model").layers[0].kernel_regularizer
    assert again.per_sample and again.l2 == 0.5
    assert "per_sample" not in fnn.L2(0.5).get_config()


@pytest.mark.parametrize("weighted", [False, True])
def test_poisson_deviance(combination, weighted):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        z, (weight, share) = normal(dtype, (rows, n), 3), weights_of(weighted, rows)
        t = np.random.default_rng(n).poisson(1.5, (rows, n)).astype(dtype)
        y, dz, loss = np.empty_like(z), np.empty_like(z), np.empty(rows)
        weights = rows if weight is None else weight.sum()
        call("poisson_deviance", (z, t, weight, y, dz, loss), weight_sum=weights)
        only_loss, other_y = np.empty(rows), np.empty_like(z)
        call("poisson_deviance", (z, t, weight, other_y, None, only_loss), weight_sum=weights)
        assert_same_bits(only_loss, loss)
        z, t = wide(z, t)
        rate = np.exp(z)
        assert_close(y, rate, 6 * eps(dtype) * rate, f"y {rows}x{n}")
        terms = np.where(t > 0, t * (np.log(np.where(t > 0, t, 1)) - z), 0) - t + rate
        sizes = t * (np.abs(z) + 3) + rate
        assert_close(loss, terms.sum(1), 3 * rounding(dtype, n) * sizes.sum(1), f"loss {rows}x{n}")
        error = 8 * eps(dtype) * (rate + t) * share[:, None]
        assert_close(dz, (rate - t) * share[:, None], error, f"dlogits {rows}x{n}")


def test_poisson_deviance_goes_with_the_exponential():
    with pytest.raises(ValueError, match="exponential"):
        fnn.PoissonDeviance().op("identity", 1)
    assert fnn.losses.get("poisson_deviance").op("exponential", 2) == "poisson_deviance"


def test_loss_and_gradients_in_one_pass(backend, monkeypatch):
    """The same as one after the other, also in blocks."""
    X, y = samples(50)
    model = net()
    bound = model.bind(X, y)
    loss, gradients = bound.loss(), {name: g.copy() for name, g in bound.gradients().items()}
    monkeypatch.setattr(type(model._compiled), "block_rows", lambda self, rows: 16)
    together, in_blocks = bound.loss_and_gradients()
    assert together == pytest.approx(loss, rel=1e-13)
    for name, g in in_blocks.items():
        assert_close(g, gradients[name], 1e-13, name)
