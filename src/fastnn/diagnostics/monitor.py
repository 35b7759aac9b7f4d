"""`Monitor`: the doctor's figures of every epoch of a training, and what it found."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from .. import checks
from ..callback_base import Callback, Logs
from ..divergence import DivergenceError
from .findings import Evidence, Finding, as_plain, examine
from .measuring import SCALARS, LayerFigures, Measurement, Probe, checked, sample_rows
from .report import findings_text, layer_table


class Monitor(Callback):
    """Record what `fastnn.diagnose` looks at while a model is trained, and say afterwards what was found.

    It looks at a twin of the model, so that the training stays the same bit for bit. A look costs one
    gradient on `rows` rows, one step on a batch, and their figures: some milliseconds for small networks.

    Parameters
    ----------
    X, y, sample_weight : array_like, optional
        Rows to look at; by default some of those that `fit` trains on. Needed where `fit` is given batches.
    every : int, optional
        Look after every so many steps; by default after every epoch, which has no other cost. Counting steps
        has `fit` come back to Python after each.
    rows : int
        How many rows are looked at, at the most.
    histograms : bool
        Whether histograms of activations and gradients are kept.

    Attributes
    ----------
    measurements : list of Measurement
        Before the training, and at every look; their figures are explained in
        ``fastnn.diagnostics.LayerFigures``.
    moments : list of str
        Their names: "before the training", "epoch 0", ... or "step 100", ...
    history : dict of str to list of float
        The logs of each epoch.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(32, "relu"), fnn.Dense(10, "softmax")]
    >>> model = fnn.Sequential(layers, input_shape=(8, 8))
    >>> model.compile(fnn.SGD(0.1))
    >>> monitor = fnn.Monitor()
    >>> history = model.fit(X, y, epochs=3, callbacks=monitor, verbose=0)
    >>> monitor.findings()
    []
    >>> monitor.data["layers"]["dense"]["update_ratio"].shape
    (4,)
    >>> monitor.data["layers"]["dense"]["activations"]["counts"].shape
    (4, 40)
    """

    state_names = ("moments", "history", "steps", "fresh", "uninformed")

    def __init__(self, X: Any = None, y: Any = None, *, sample_weight: Any = None, every: int | None = None,
                 rows: int = 256, histograms: bool = True) -> None:
        if (X is None) != (y is None):
            raise ValueError("X, y: expected both or neither, got one of them")
        if X is None and sample_weight is not None:
            raise ValueError("sample_weight: expected with X and y, got it alone")
        self.given = None if X is None else (X, y, sample_weight)
        self.trained_on: tuple[Any, Any, Any] | None = None
        self.every = None if every is None else checks.positive_int("every", every)
        self.rows = checks.positive_int("rows", rows)
        self.histograms = checks.boolean("histograms", histograms)
        self.probe: Probe | None = None
        self.measurements: list[Measurement] = []
        self.moments: list[str] = []
        self.history: dict[str, list[float]] = {}
        self.divergence: DivergenceError | None = None
        if self.every is not None:  # only then: see Callback.on_batch_end
            self.on_batch_end = self._after_step  # type: ignore[method-assign]

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.trained_on = None

    def set_data(self, X: Any, y: Any, sample_weight: Any) -> None:
        self.trained_on = X, y, sample_weight

    def on_train_begin(self, logs: Logs) -> None:
        data = self.given or self.trained_on
        if data is None:
            raise ValueError("Monitor: expected X and y to look at, because fit is given batches; write "
                             "fnn.Monitor(X, y) with some of the rows")
        self.measurements, self.moments, self.history, self.steps = [], [], {}, 0
        self.divergence = None
        X, y, weight = checked(self.model, *data)
        self.trained_on = None  # a few rows are enough
        sample = sample_rows(self.model, X, y, weight, self.rows)
        self.probe = Probe(self.model, *sample, self.params.get("batch_size") or self.rows)
        self.fresh = self.model.update_count == 0
        self.uninformed = self.probe.uninformed_loss()
        self._look("before the training")

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: all that was measured."""
        return {"measurements": [asdict(m) for m in self.measurements], **super().state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        super().set_state(state)
        self.measurements = [Measurement(**{**m, "layers": tuple(LayerFigures(**figures) for figures in m["layers"])})
                             for m in state["measurements"]]

    def _after_step(self, step: int, logs: Logs) -> None:
        self.steps += 1
        assert self.every is not None
        if self.steps % self.every == 0:
            self._look(f"step {self.steps}")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        if self.every is None:
            self._look(f"epoch {epoch}")

    def on_train_end(self, logs: Logs) -> None:
        error = sys.exc_info()[1]  # what ended the training, while it is on its way up
        self.divergence = error if isinstance(error, DivergenceError) else None

    def _look(self, moment: str) -> None:
        assert self.probe is not None
        self.measurements.append(self.probe.measure(self.histograms))
        self.moments.append(moment)

    def findings(self) -> list[Finding]:
        """What was found, the worst first; what was seen once and was over at the end is left out.

        Returns
        -------
        list of Finding
            Empty for a healthy training.

        Raises
        ------
        RuntimeError
            Before the training.
        """
        if self.probe is None:
            raise RuntimeError("Monitor: no training was seen yet; pass it to fit as a callback first")
        probe = self.probe
        return examine(Evidence(probe.model, self.measurements, self.moments, self.uninformed, probe.y,
                                self.fresh, probe.curvatures, divergence=self.divergence,
                                history=self.history))

    @property
    def data(self) -> dict[str, Any]:
        """All figures as arrays whose first axis is the looks: ready to be plotted.

        "moments", "update" (counts the optimizer's), "loss", "penalty" and "gradient" (norm) of the network;
        under "layers" and the layer's name the figures of ``LayerFigures`` and, with "counts" and "edges",
        the histograms "activations" and "gradients"; under "history" the logs of the epochs.
        """
        names = ("update", "loss", "penalty", "gradient")
        whole = {name: np.array([getattr(m, name) for m in self.measurements]) for name in names}
        layers: dict[str, Any] = {}
        for seen in zip(*(m.layers for m in self.measurements), strict=True):
            figures: dict[str, Any] = {s: np.array([getattr(f, s) for f in seen]) for s in SCALARS}
            layers[seen[0].name] = figures
            for name in seen[0].histograms:
                counts, edges = zip(*(f.histograms[name] for f in seen), strict=True)
                figures[name] = {"counts": np.array(counts), "edges": np.array(edges)}
        return {"moments": list(self.moments), **whole, "layers": layers, "history": dict(self.history)}

    def plot(self, figure: str = "update_ratios", **settings: Any) -> Any:
        """Draw what was seen.

        Parameters
        ----------
        figure : {"update_ratios", "gradient_norms", "saturation", "histograms"}
            Which function of `fastnn.plot`.
        **settings
            Of that function.

        Returns
        -------
        Axes, or an array of them
        """
        from .. import plot  # pictures stand above

        names = ("update_ratios", "gradient_norms", "saturation", "histograms")
        return getattr(plot, checks.choice("figure", figure, names))(self, **settings)

    def to_dict(self) -> dict[str, Any]:
        """`data` and the findings as plain data, None for what is not finite."""
        return as_plain({**self.data, "findings": [asdict(finding) for finding in self.findings()]})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a JSON file.

        Parameters
        ----------
        path : path-like
            The file.
        """
        import json  # here, because few trainings need it

        text = json.dumps(self.to_dict(), allow_nan=False)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def __str__(self) -> str:
        if not self.measurements:
            return "Monitor: no training was seen yet"
        return f"{layer_table(self.measurements[-1])}\n\n{findings_text(self.findings())}"
