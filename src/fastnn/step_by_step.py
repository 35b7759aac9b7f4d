"""Training step by step, for what `fit` does not foresee: forward, backward, step."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

import numpy as np

from . import bundles, checks
from .backends import Pass, Run
from .compilation import DX_SLOT, OUTPUT_SLOT, SLOTS, TARGET_SLOT, X_SLOT, Compiled, Entry
from .inference import bind
from .parameters import Numbers, fitting
from .turns import Turn


class StepByStep:
    """The three calls that a loop of one's own is made of; `fastnn.Model` has them."""

    _compiled: Compiled
    _numbers: Numbers
    dtype: np.dtype
    seed: int
    output_names: list[str]
    optimizer: Any
    update_count: int
    _training: Turn
    _pending: tuple[ExitStack, Run, Any, bool, int] | None = None

    def forward(self, X: Any, training: bool = True, frozen: bool = False) -> Any:
        """The outputs for a batch; with `training` as in training, and kept for `backward`.

        Parameters
        ----------
        X : array_like or several
            The batch, as `predict` takes it.
        training : bool
            Whether layers behave as in training (dropout drops, batches are normalised by their own numbers, which
            running statistics follow); otherwise this is `predict`.
        frozen : bool
            Whether the parameters are taken as constants: `backward` then computes the gradient of the inputs
            alone, and leaves those of the parameters, and running statistics, as they are. What the
            discriminator of a GAN is to its generator.

        Returns
        -------
        ndarray or tuple of ndarray
            One for each output.

        Raises
        ------
        RuntimeError
            If another thread trains the model. `forward`, `backward` and `step` go on from each other, so they are
            calls of one thread.

        Examples
        --------
        A loop of one's own, for a loss of one's own, (y - t)^4 / 4:

        >>> import numpy as np, fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(1)], input_shape=(1,), seed=0)
        >>> model.compile(fnn.SGD(0.5), loss=None)
        >>> X = np.linspace(-1, 1, 20)[:, np.newaxis]
        >>> for _ in range(200):
        ...     error = model.forward(X) - 2 * X
        ...     dX = model.backward(error ** 3 / len(X))
        ...     model.step()
        >>> bool(abs(model.predict([[1.0]]).item() - 2) < 0.3)
        True
        """
        if not checks.boolean("training", training):
            return self.predict(X)  # type: ignore[attr-defined]
        X = bundles.each(np.ascontiguousarray, self._inputs(X))  # type: ignore[attr-defined]
        part = "inputs" if checks.boolean("frozen", frozen) else ""
        with self._training.part():
            self._release()
            compiled, n = self._compiled, bundles.n_rows(X)
            outputs = self._empty_outputs(X)  # type: ignore[attr-defined]
            stack = ExitStack()
            run = stack.enter_context(compiled.borrow(Entry("forward", outputs=True, dx=True, part=part), n,
                                                      compiled.time(X)))
            bind(run, X_SLOT, X)
            bind(run, OUTPUT_SLOT, outputs)
            run.begin(Pass(n, n, n, update_count=self.update_count, seed=self.seed))
            run.execute_ops(0, run.program.n_forward)
            self._pending = stack, run, X, frozen, threading.get_ident()
        return outputs

    def backward(self, dy: Any, accumulate: bool = False) -> Any:
        """The gradient of the inputs, given that of what `forward` returned; gradients of parameters are kept.

        Parameters
        ----------
        dy : array_like or several
            The gradient of some loss for each output, in its shape.
        accumulate : bool
            Add to the parameters' gradients of the last call instead of replacing them: several batches then
            make one `step`.

        Returns
        -------
        ndarray or tuple of ndarray
            One for each input, None for tokens. `named_gradients` has those of the parameters.

        Raises
        ------
        RuntimeError
            Without a `forward` of this thread before it, or if another one has trained the model since.
        """
        with self._training.part(goes_on=True):
            return self._backward(dy, accumulate)

    def _backward(self, dy: Any, accumulate: bool) -> Any:
        if self._pending is None or self._pending[-1] != threading.get_ident():
            raise RuntimeError("backward: expected model.forward(X) first, in the same thread; each forward has one "
                               "backward")
        _, run, X, frozen, _ = self._pending
        n, graph = bundles.n_rows(X), self._compiled.graph
        accumulate = checks.boolean("accumulate", accumulate)
        names = self.output_names
        given = bundles.in_order("dy", dy, names) if len(names) > 1 else [dy]
        outputs = bundles.parts(self._empty_outputs(X))  # type: ignore[attr-defined]
        bound = []
        for i, (array, output) in enumerate(zip(given, outputs, strict=True)):
            name = bundles.called("dy", names)[i]
            array = np.ascontiguousarray(fitting(output, array, "an array of the output", name))
            run.bind(TARGET_SLOT + SLOTS * i, array)
            bound.append(array)  # alive until the ops have run
        dx = tuple(None if self._compiled.tokens(tensor) else np.empty(x.shape, self.dtype)
                   for x, tensor in zip(bundles.parts(X), graph.inputs, strict=True))
        for i, array in enumerate(dx):
            run.bind(DX_SLOT + SLOTS * i, array if array is None else array.reshape(n, -1))
        gradients = self._numbers.memory.gradients
        before = gradients.copy() if accumulate or frozen else None
        run.execute_ops(run.program.n_forward, len(run.program.ops))
        if frozen:  # some ops make both kinds of gradients
            gradients[...] = before
        elif before is not None:
            gradients += before
        self._release()
        return dx if len(dx) > 1 else dx[0]

    def step(self) -> None:
        """One step of the optimizer along the gradients that `backward` left, with penalties and clipping.

        Raises
        ------
        RuntimeError
            If the model is not compiled, or another thread trains it or has done so since this one's `forward`.
        """
        optimizer, losses = self.optimizer, np.zeros(1)
        if optimizer is None:
            raise RuntimeError("the model is not compiled: call model.compile(optimizer=..., loss=None) first")
        with self._training.part(goes_on=True), self._compiled.borrow(Entry("update"), 1) as run:
            run.begin(Pass(1, 1, 1, rates=optimizer.rates(self.update_count, 1), losses=losses,
                           update_count=self.update_count, seed=self.seed,
                           momenta=optimizer.momenta(self.update_count, 1)))
            run.execute(0, 1)
            self.update_count += 1
            self._training.end_parts()

    def _release(self) -> None:
        """Give back the Run that waits for a backward."""
        if self._pending is not None:
            stack, *_ = self._pending
            self._pending = None
            stack.close()
