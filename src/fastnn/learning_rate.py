"""Finding a learning rate: the range test, and short trainings at the rates that it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import bundles, checks
from .bundles import Bundle
from .divergence import DivergenceError
from .inference import adapt
from .model import Model
from .training import fit, train_on_batch

SMOOTHING = 0.9  # of the losses of the range test, a running average with bias correction
BLOWN_UP = 4.0  # times the smallest loss so far: the range test ends
FARTHEST = 16.0  # times the rate of the smallest loss: the first trial, where the range test did not blow up
WORSE_IN_A_ROW = 3  # trials at falling rates before the search is over


@dataclass(frozen=True)
class LearningRateSearch:
    """What `find_learning_rate` found.

    Attributes
    ----------
    rates, losses : numpy.ndarray
        The range test: the rate of each step, rising, and the loss before it.
    smoothed : numpy.ndarray
        Those losses as a running average.
    trials : dict of float to float
        Rate and last loss of each trial training, by rising rate; NaN where it diverged.
    suggestion : float
        The rate to train with.

    Examples
    --------
    >>> found = LearningRateSearch(np.array([0.1, 1.0]), np.array([2.0, 3.0]), np.array([2.0, 3.0]),
    ...                            {0.1: 0.5, 0.2: 0.4}, 0.2)
    >>> print(found)
    range test: 2 steps, rates 0.1 to 1, smallest loss 2 at 0.1
      rate       0.1  loss       0.5  ############
      rate       0.2  loss       0.4  ##########  <-
    suggested learning rate: 0.2
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    trials: dict[float, float] = field(default_factory=dict)
    suggestion: float = math.nan

    def plot(self, **settings: Any) -> Any:
        """Draw the range test and the trials: `fastnn.plot.learning_rate_search`, which has the settings."""
        from . import plot  # pictures stand above
        return plot.learning_rate_search(self, **settings)

    def __str__(self) -> str:
        lines = [f"range test: {len(self.rates)} steps, rates {self.rates[0]:.3g} to "
                 f"{self.rates[-1]:.3g}, smallest loss {self.smoothed.min():.4g} at "
                 f"{self.rates[self.smoothed.argmin()]:.3g}"]
        best = min((loss for loss in self.trials.values() if loss == loss), default=math.nan)
        for rate, loss in self.trials.items():
            mark = "  <-" if rate == self.suggestion else ""
            bar = "" if loss != loss else "#" * min(40, round(10 * loss / max(best, 1e-12)))
            lines.append(f"  rate {rate:9.3g}  loss {loss:9.4g}  {bar}{mark}")
        return "\n".join([*lines, f"suggested learning rate: {self.suggestion:.3g}"])


def find_learning_rate(model: Model, X: Any, y: Any, batch_size: int = 32, epochs: int = 1, *,
                       lowest: float = 1e-7, highest: float = 10.0, steps: int = 100, trials: bool = True,
                       sample_weight: Any = None) -> LearningRateSearch:
    """A good constant learning rate for a training of so many epochs.

    First the range test (Smith 2017): one training whose rate rises from `lowest` to `highest`, until the
    loss blows up. It finds the order of magnitude. Then trial trainings of `epochs` epochs each, from the
    weights that the model has now, at rates a factor of 2 apart below the one that blew up, and six around
    the best; the rate that ends with the smallest loss is suggested. Weights, optimizer and random state are
    put back.

    Parameters
    ----------
    model : Model
        The model, compiled. Its optimizer begins afresh; its own learning rate plays no part.
    X, y, batch_size, epochs, sample_weight
        As for `fit`: what the suggested rate is for. A trial costs as much as that training, and there are
        about 15.
    lowest, highest : float
        Ends of the range test.
    steps : int
        Steps of the range test.
    trials : bool
        False leaves the trials out: then a quarter of the rate with the smallest loss is suggested.

    Returns
    -------
    LearningRateSearch
        ``suggestion``, and the curves; ``print`` shows them.

    Raises
    ------
    ValueError
        If the loss is not finite at the lowest rate, or an argument does not fit.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(32, "relu"), fnn.Dense(10, "softmax")]
    >>> model = fnn.Sequential(layers, input_shape=(8, 8))
    >>> model.compile(fnn.Adam())
    >>> found = fnn.find_learning_rate(model, X, y)
    >>> 0.003 < found.suggestion < 0.1
    True
    >>> model.optimizer.learning_rate = found.suggestion
    """
    checks.known_model(model)._require_compiled()
    batch_size = checks.positive_int("batch_size", batch_size)
    epochs, steps = checks.positive_int("epochs", epochs), checks.positive_int("steps", steps, minimum=2)
    lowest, highest = checks.positive_float("lowest", lowest), checks.positive_float("highest", highest)
    if lowest >= highest:
        raise ValueError(f"lowest: expected less than highest={highest:g}, got {lowest:g}")
    trials = checks.boolean("trials", trials)
    X, y, weight = model._checked(X, y, sample_weight)
    with model._training.whole(nests=True), _put_back(model) as start_afresh:
        start_afresh()
        adapt(model, X)
        rates, losses = _range_test(model, X, y, weight, batch_size, np.geomspace(lowest, highest, steps))
        smoothed = _smooth(losses)
        if not trials:
            return LearningRateSearch(rates, losses, smoothed, {}, float(rates[smoothed.argmin()]) / 4)

        def trial(rate: float) -> float:
            start_afresh()
            assert model.optimizer is not None
            model.optimizer.learning_rate = rate
            try:
                fit(model, X, y, batch_size, epochs, sample_weight=weight, verbose=0)
            except DivergenceError:
                return math.nan
            return model.evaluate(X, y, sample_weight=weight)["loss"]

        ended = _search(trial, float(min(rates[-1], FARTHEST * rates[smoothed.argmin()])), lowest)
    ended = dict(sorted(ended.items()))
    suggestion = min(ended, key=lambda rate: _or_inf(ended[rate]))
    return LearningRateSearch(rates, losses, smoothed, ended, suggestion)


@contextmanager
def _put_back(model: Model) -> Iterator[Any]:
    """Give a function that takes the model to its beginning; leave the model as it was in the end."""
    assert model.optimizer is not None
    saved, optimizer = model.snapshot(), model.optimizer
    rate, stop = optimizer.learning_rate, model.stop_training
    try:
        yield lambda: model.restore({**saved, "states": [], "update_count": 0})
    finally:
        optimizer.learning_rate, model.stop_training = rate, stop
        model.restore(saved)


def _range_test(model: Model, X: Bundle, y: Bundle, weight: np.ndarray | None,
                batch_size: int, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rates that were used and the loss before each step."""
    assert model.optimizer is not None
    rng = np.random.default_rng([model.seed, 2])
    losses: list[float] = []
    n, order = bundles.n_rows(X), np.zeros(0, np.int64)
    smallest = average = math.inf
    for i, rate in enumerate(rates):
        if len(order) < min(batch_size, n):
            order = rng.permutation(n)
        rows, order = order[:batch_size], order[batch_size:]
        model.optimizer.learning_rate = float(rate)
        try:
            logs = train_on_batch(model, *(bundles.take(a, rows) for a in (X, y, weight)))
        except DivergenceError:
            break
        losses.append(logs["loss"])
        average = _smooth(np.array(losses))[-1]
        smallest = min(smallest, average)
        if i > 5 and average > BLOWN_UP * smallest:
            break
    if len(losses) < 2:
        raise ValueError(f"lowest: the training diverges at a learning rate of {rates[0]:g}; try "
                         "standardized inputs (a Standardize layer first) or a smaller lowest")
    return rates[:len(losses)], np.array(losses)


def _smooth(losses: np.ndarray) -> np.ndarray:
    """A running average with bias correction."""
    average, result = 0.0, np.empty(len(losses))
    for i, loss in enumerate(losses):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        result[i] = average / (1 - SMOOTHING ** (i + 1))
    return result


def _or_inf(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


def _search(trial: Any, highest: float, lowest: float) -> dict[float, float]:
    """Trials from the highest rate down by halves until they get worse, then finer ones around the best."""
    ended: dict[float, float] = {}
    rate, worse = highest, 0
    while rate >= lowest and worse < WORSE_IN_A_ROW:
        before = min((_or_inf(loss) for loss in ended.values()), default=math.inf)
        ended[rate] = trial(rate)
        worse = worse + 1 if math.isfinite(before) and not ended[rate] < before else 0
        rate /= 2
    best = min(ended, key=lambda r: _or_inf(ended[r]))
    for quarters in (-3, -2, -1, 1, 2, 3):
        near = best * 2.0 ** (quarters / 4)
        ended[near] = trial(near)
    return ended
