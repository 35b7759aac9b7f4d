"""Generative adversarial networks: two models that train each other, on the step-by-step calls of both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import checks
from .backends import permutation
from .callback_base import list_of_callbacks
from .callbacks import Callback, CallbackList, ProgressBar
from .divergence import DivergenceError
from .history import History
from .inference import adapt
from .interrupts import deferred_interrupt
from .io import gan_file
from .model import Model
from .optimizers import Adam, Optimizer

LOSSES = ("non_saturating", "minimax")
Logs = dict[str, float]


class GAN:
    """A generator that learns to make samples like given ones, and a discriminator that learns to tell them apart.

    With D the probability that the discriminator gives a sample of being real (its output is the logit s,
    D = sigmoid(s)), x real samples and z noise, the players descend

    - the discriminator: the mean over both kinds of ``-(1 - smoothing) log D(x) - smoothing log(1 - D(x))`` and
      ``-log(1 - D(G(z)))``, binary cross-entropy;
    - the generator: the mean of ``-log D(G(z))``, non-saturating, or of ``log(1 - D(G(z)))``, minimax.

    Goodfellow et al. 2014 have both for the generator. The minimax game's slope for s is ``-D(G(z))``, next to
    nothing where the discriminator is sure, as it is at first; that of the other is ``D(G(z)) - 1``.

    Parameters
    ----------
    generator : Model
        From noise, an input of any shape, to a sample.
    discriminator : Model
        From a sample to one number, the logit: no activation at the end, `GAN` applies the sigmoid.
    seed : int
        Fixes noise and shuffling; the models have seeds of their own.

    Attributes
    ----------
    generator, discriminator : Model
        As given: usable at any time.
    history : History
        Of the last `fit`.
    stop_training : bool
        A callback sets it to end `fit` after the epoch.

    Raises
    ------
    ValueError, TypeError
        If the models' shapes or dtypes do not fit together.

    Examples
    --------
    Numbers around 3, from noise around 0:

    >>> import numpy as np, fastnn as fnn
    >>> X = np.random.default_rng(0).normal(3.0, 0.5, (512, 1))
    >>> generator = fnn.Sequential([fnn.Dense(8, "relu"), fnn.Dense(1)], input_shape=(2,), seed=1)
    >>> discriminator = fnn.Sequential([fnn.Dense(16, "relu"), fnn.Dense(1)], input_shape=(1,), seed=2)
    >>> gan = fnn.GAN(generator, discriminator)
    >>> gan.compile(fnn.Adam(0.005, beta_1=0.5), fnn.Adam(0.005, beta_1=0.5))
    >>> history = gan.fit(X, batch_size=64, epochs=100, verbose=0)
    >>> bool(abs(gan.generate(1000).mean() - 3.0) < 0.5)
    True
    """

    def __init__(self, generator: Model, discriminator: Model, seed: int = 0) -> None:
        for name, model in (("generator", generator), ("discriminator", discriminator)):
            if not isinstance(model, Model):
                raise TypeError(f"{name}: expected a fastnn.Model, got {checks.describe(model)}")
            if len(model.input_names) > 1 or len(model.output_names) > 1:
                raise ValueError(f"{name}: expected one input and one output, got {len(model.input_names)} and "
                                 f"{len(model.output_names)}")
        if None in generator.input_shape:
            raise ValueError(f"generator: expected an input of known size, got {generator.input_shape}; give it a "
                             "number in place of None")
        if generator.output_shape != discriminator.input_shape:
            raise ValueError("discriminator: expected samples as the generator makes them, of shape "
                             f"{generator.output_shape}, it takes {discriminator.input_shape}; a Reshape or Flatten "
                             "layer may be missing")
        if discriminator.output_shape != (1,):
            raise ValueError("discriminator: expected one output a sample, shape (1,), got "
                             f"{discriminator.output_shape}; end it in fnn.Dense(1)")
        last = discriminator._graph.final(0)
        if last is not None and last.activation != "identity":
            raise ValueError(f"discriminator: expected the logit, no activation at the end, got {last.activation!r} "
                             f"in layer {last.name!r}; GAN applies the sigmoid itself, where rounding does no harm")
        if generator.dtype != discriminator.dtype:
            raise ValueError(f"discriminator: expected the generator's dtype {generator.dtype}, got "
                             f"{discriminator.dtype}")
        self.generator, self.discriminator = generator, discriminator
        self.seed = checks.seed(seed)
        self.history, self.metrics = History(), ()
        self.history.belong(self)
        self.stop_training = False
        self.shuffles = 0
        self.loss = ""

    def compile(self, generator_optimizer: str | Optimizer | None = None,
                discriminator_optimizer: str | Optimizer | None = None, loss: str = "non_saturating",
                label_smoothing: float = 0.1, discriminator_steps: int = 1) -> None:
        """Choose how both are trained; forgets the optimizers' states, keeps the weights.

        Parameters
        ----------
        generator_optimizer, discriminator_optimizer : str or Optimizer, optional
            By default ``Adam(2e-4, beta_1=0.5)`` (Radford, Metz and Chintala 2016).
        loss : {"non_saturating", "minimax"}
            The generator's.
        label_smoothing : float
            The discriminator is to say 1 minus this of real samples, and 0 of generated ones: one-sided
            (Salimans et al. 2016), which keeps it from being too sure.
        discriminator_steps : int
            Steps of the discriminator, each on real samples of its own, for one of the generator.

        Raises
        ------
        ValueError, TypeError
            For arguments that are none of those.
        """
        self.play(loss, label_smoothing, discriminator_steps)
        for model, optimizer in ((self.generator, generator_optimizer),
                                 (self.discriminator, discriminator_optimizer)):
            model.compile(Adam(2e-4, beta_1=0.5) if optimizer is None else optimizer, loss=None)

    def play(self, loss: str, label_smoothing: float, discriminator_steps: int) -> None:
        """Choose the game, as `compile` does, and leave the optimizers as they are."""
        loss = checks.choice("loss", loss, LOSSES)
        smoothing = checks.fraction("label_smoothing", label_smoothing)
        steps = checks.positive_int("discriminator_steps", discriminator_steps)
        self.loss, self.label_smoothing, self.discriminator_steps = loss, smoothing, steps

    def fit(self, X: Any, batch_size: int = 32, epochs: int = 1, *, shuffle: bool = True,
            callbacks: Iterable[Callback] | Callback | None = None, verbose: int = 1) -> History:
        """Train both on real samples.

        A step is `discriminator_steps` steps of the discriminator, each on a batch of real samples and as many
        generated ones, and one of the generator, on the last of those. What is left at an epoch's end is shared
        evenly among as many steps of the discriminator as it needs. The same seeds give the same bits.

        Parameters
        ----------
        X : array_like, shape (n, *sample_shape)
            Real samples, in the range of the generator's outputs.
        batch_size : int
            Real samples of a step of the discriminator.
        epochs : int
            Passes over the samples.
        shuffle : bool
            Draw a new order of the samples for each epoch.
        callbacks : Callback or iterable of Callback, optional
            Called as by `fastnn.training.fit`, with this object as their model. Of fastnn's own those will do
            that ask for no optimizer and no file of the model: `EarlyStopping`, `CSVLogger`, `LambdaCallback`.
        verbose : {0, 1, 2}
            0 is silent, 1 draws a progress bar, 2 prints a line per epoch.

        Returns
        -------
        History
            Per epoch, as the steps went: "discriminator_loss", "generator_loss", and of the discriminator
            "real_accuracy" and "fake_accuracy", the shares of real and of generated samples that it recognised.

        Raises
        ------
        ValueError, TypeError
            For arguments that do not fit, before any work.
        DivergenceError
            When a loss stops being finite; both models have the weights of the epoch's start then.
        KeyboardInterrupt
            After Ctrl-C, with both models and ``gan.history`` as they were after the last step.
        """
        with self._alone():
            return self._fit(X, batch_size, epochs, shuffle, callbacks, verbose)

    def _fit(self, X: Any, batch_size: int, epochs: int, shuffle: bool,
             callbacks: Iterable[Callback] | Callback | None, verbose: int) -> History:
        X = self._samples(X)
        batch = min(checks.positive_int("batch_size", batch_size), len(X))
        epochs = checks.positive_int("epochs", epochs)
        shuffle = checks.boolean("shuffle", shuffle)
        callbacks, bar = list_of_callbacks(callbacks), ProgressBar(verbose)
        if bar.verbose:
            callbacks.append(bar)
        everyone, rows = CallbackList(callbacks), batch * self.discriminator_steps
        self.stop_training, self.history = False, History()
        self.history.belong(self)
        everyone.set_model(self)
        everyone.set_params({"epochs": epochs, "steps": -(-len(X) // rows), "batch_size": rows, "rows": len(X),
                             "resumed": False})
        with deferred_interrupt() as interrupted:
            try:
                everyone.on_train_begin({})
                for epoch in range(epochs):
                    everyone.on_epoch_begin(epoch, {})
                    logs = self._run_epoch(X, batch, shuffle, epoch, everyone, interrupted)
                    self.history.append(epoch, logs)
                    everyone.on_epoch_end(epoch, logs)
                    if interrupted:
                        raise KeyboardInterrupt
                    if self.stop_training:
                        break
            finally:
                everyone.on_train_end(self.history.last())
        return self.history.held(self, None, None, self.generator.update_count)

    def _run_epoch(self, X: np.ndarray, batch: int, shuffle: bool, epoch: int, callbacks: CallbackList,
                   interrupted: list[bool]) -> Logs:
        self.shuffles += shuffle
        order = permutation([self.seed, 1, self.shuffles], len(X)) if shuffle else np.arange(len(X))
        rows, good = batch * self.discriminator_steps, (self.generator.snapshot(), self.discriminator.snapshot())
        totals: Logs = {}
        for step, start in enumerate(range(0, len(X), rows)):
            index = order[start:start + rows]
            one = self._step(X, np.array_split(index, -(-len(index) // batch)))
            if not np.isfinite([*one.values()]).all():
                for model, numbers in zip((self.generator, self.discriminator), good, strict=True):
                    model.restore(numbers)
                player = "discriminator" if not np.isfinite(one["discriminator_loss"]) else "generator"
                raise DivergenceError(epoch, step, player, "its loss", 0)
            totals = {name: totals.get(name, 0.0) + len(index) * value for name, value in one.items()}
            logs = {name: total / (start + len(index)) for name, total in totals.items()}
            callbacks.on_progress(step + 1, logs)
            callbacks.on_batch_end(step, one)
            if interrupted:
                raise KeyboardInterrupt
            if self.stop_training and callbacks.wants_batches:
                break
        return logs

    def train_on_batch(self, X: Any) -> Logs:
        """Take one step: of the discriminator on these samples, in `discriminator_steps` parts, and of the generator.

        Parameters
        ----------
        X : array_like, shape (n, *sample_shape)
            Real samples.

        Returns
        -------
        dict of str to float
            As `fit` logs it, before each player's step.
        """
        with self._alone(), deferred_interrupt() as interrupted:
            X = self._samples(X)
            logs = self._step(X, np.array_split(np.arange(len(X)), min(self.discriminator_steps, len(X))))
        if interrupted:
            raise KeyboardInterrupt
        return logs

    def generate(self, n: int, seed: int = 0) -> np.ndarray:
        """New samples.

        Parameters
        ----------
        n : int
            How many.
        seed : int
            Fixes the noise that they are made from.

        Returns
        -------
        ndarray, shape (n, *sample_shape)
        """
        seed = checks.seed(seed)
        return self.generator.predict(self._noise(checks.positive_int("n", n), [seed]))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of both models' arrays, as "generator.<name>" and "discriminator.<name>"."""
        return {f"{player}.{name}": array for player in ("generator", "discriminator")
                for name, array in getattr(self, player).state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set both models' arrays from what `state_dict` gave."""
        for player in ("generator", "discriminator"):
            getattr(self, player).load_state_dict({name.removeprefix(f"{player}."): array for name, array
                                                   in state.items() if name.startswith(f"{player}.")})

    def save(self, path: str | os.PathLike) -> None:
        """Write everything to one file: both models, their optimizers' state, the counters, the history.

        Parameters
        ----------
        path : path-like
            The file; it is replaced only once the new one is complete and on the disk, whatever kills the program.

        Raises
        ------
        ValueError
            If a model holds what a file cannot; see `fastnn.Model.save`.
        OSError
            If the disk is full, or the like; then what was there is untouched.
        """
        gan_file.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> GAN:
        """Read what `save` wrote: training goes on bit by bit as if it had never stopped.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        GAN

        Raises
        ------
        ModelFileError
            If the file is damaged, of another program or kind, or of a newer version.

        Examples
        --------
        >>> import fastnn as fnn
        >>> generator = fnn.Sequential([fnn.Dense(1)], input_shape=(2,))
        >>> gan = fnn.GAN(generator, fnn.Sequential([fnn.Dense(1)], input_shape=(1,)))
        >>> gan.compile()
        >>> gan.save("gan.safetensors")
        >>> bool((fnn.GAN.load("gan.safetensors").generate(3) == gan.generate(3)).all())
        True
        """
        return gan_file.load(cls, path)

    # ---- one step of the game ----

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread trains one of the two."""
        with self.generator._training.whole(), self.discriminator._training.whole():
            yield

    def _step(self, X: np.ndarray, parts: list[np.ndarray]) -> Logs:
        """The discriminator's steps on these rows of X, then one of the generator on the last fakes."""
        logs: Logs = {}
        for rows in parts:
            fake = self.generator.forward(self._noise(len(rows), [self.seed, 2, self.discriminator.update_count]))
            logs = self._discriminator_step(np.ascontiguousarray(X[rows]), fake)
        return logs | {"generator_loss": self._generator_step(fake)}

    def _discriminator_step(self, real: np.ndarray, fake: np.ndarray) -> Logs:
        """Binary cross-entropy on as many real samples as generated ones."""
        model, total, n = self.discriminator, 0.0, len(real) + len(fake)
        right = []
        for samples, target in ((real, 1 - self.label_smoothing), (fake, 0.0)):
            logit = model.forward(samples).astype(np.float64)
            total += float(np.sum(np.logaddexp(0, logit) - target * logit))
            right.append(float(np.mean((logit > 0) == (target > 0))))
            model.backward((sigmoid(logit) - target) / n, accumulate=samples is fake)
        model.step()
        return {"discriminator_loss": total / n, "real_accuracy": right[0], "fake_accuracy": right[1]}

    def _generator_step(self, fake: np.ndarray) -> float:
        """One step on what the generator's last `forward` gave, through the discriminator as it is now."""
        logit = self.discriminator.forward(fake, frozen=True).astype(np.float64)
        if self.loss == "minimax":  # log(1 - D)
            loss, slope = -float(np.mean(np.logaddexp(0, logit))), -sigmoid(logit)
        else:  # -log D
            loss, slope = float(np.mean(np.logaddexp(0, -logit))), -sigmoid(-logit)
        self.generator.backward(self.discriminator.backward(slope / len(fake)))
        self.generator.step()
        return loss

    def _noise(self, n: int, key: list[int]) -> np.ndarray:
        """Standard normal, fixed by the key."""
        shape = (n, *self.generator.input_shape)
        return np.random.default_rng(key).standard_normal(shape).astype(self.generator.dtype)

    def _samples(self, X: Any) -> np.ndarray:
        """Real samples, checked."""
        if not self.loss:
            raise RuntimeError("the GAN is not compiled: call gan.compile() first")
        X = self.discriminator._inputs(X)
        checks.check_finite(X, "X", self.discriminator.dtype)
        adapt(self.discriminator, X)
        return X


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x), without overflow.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    return np.exp(-np.logaddexp(0, -x))
