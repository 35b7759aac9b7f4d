"""What a finding is, what rules look at, and the registry of rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..bundles import Bundle
from ..divergence import DivergenceError
from ..model import Model
from .measuring import LayerFigures, Measurement

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that keeps a network from learning well.

    Attributes
    ----------
    name : str
        The rule's, one of ``fastnn.diagnostics.RULES``.
    layer : str
        The layer's name; "network", "input" or "targets" where it is none of them.
    figure, threshold : float
        What was measured, and the value beyond which the rule speaks.
    severity : {"error", "warning", "note"}
        Whether it keeps the network from learning, or is likely to, or is good to know.
    what : str
        The figure in words.
    why : str
        Why it hurts.
    remedy : str
        What to try.
    when : str
        The moments at which it was seen.
    source : str
        Where the threshold comes from.

    Examples
    --------
    >>> print(Finding("dead_units", "dense", 0.5, 0.25, "warning", "half of the units are dead",
    ...               "they do not learn", "a smaller learning rate"))
    warning: dead_units in dense: half of the units are dead [0.5, limit 0.25]
      why: they do not learn
      try: a smaller learning rate
    """

    name: str
    layer: str
    figure: float
    threshold: float
    severity: str
    what: str
    why: str
    remedy: str
    when: str = ""
    source: str = ""

    def __str__(self) -> str:
        when = f", {self.when}" if self.when else ""
        return (f"{self.severity}: {self.name} in {self.layer}: {self.what} [{self.figure:.3g}, limit "
                f"{self.threshold:g}]{when}\n  why: {self.why}\n  try: {self.remedy}")


class Outcome(NamedTuple):
    """The loss before and after a few steps, at the model's learning rate, a tenth of it and ten times it."""

    steps: int
    before: float
    after: float  # infinite where the training diverged
    tenth: float
    tenfold: float


@dataclass(frozen=True)
class Evidence:
    """What rules look at.

    Attributes
    ----------
    model : Model
        For its settings.
    measurements, moments : list
        The network at several moments, and their names.
    uninformed : float
        The loss of an output layer whose weights are zero.
    targets : numpy.ndarray, or a tuple of them
        Of the probed rows.
    fresh : bool
        Whether the network was untrained at the first moment.
    curvatures : callable
        Lowest and highest eigenvalue of the Hessian at the last moment; costs some 50 gradients.
    outcome : Outcome, optional
        Of a few steps of training.
    divergence : DivergenceError, optional
        What ended the training.
    history : dict of str to list of float
        Losses and metrics of each epoch so far.
    """

    model: Model
    measurements: list[Measurement]
    moments: list[str]
    uninformed: float
    targets: Bundle
    fresh: bool
    curvatures: Callable[[], tuple[float, float]]
    outcome: Outcome | None = None
    divergence: DivergenceError | None = None
    history: dict[str, list[float]] = field(default_factory=dict)

    @property
    def last(self) -> Measurement:
        """The network as it is now."""
        return self.measurements[-1]

    def learned(self, measurement: Measurement) -> bool:
        """Whether little is left of the loss that a network has which says nothing."""
        return measurement.data_loss <= 0.1 * self.uninformed

    def layers(self) -> Iterator[tuple[int, Measurement, LayerFigures]]:
        """Every layer at every moment."""
        for moment, measurement in enumerate(self.measurements):
            for layer in measurement.layers:
                yield moment, measurement, layer

    def when(self, moments: list[int]) -> str:
        """Some of the moments in words."""
        if not moments or len(self.measurements) == 1:
            return ""
        if len(moments) == 1:
            return self.moments[moments[0]]
        if len(moments) == len(self.moments):
            return f"{self.moments[0]} and {self.moments[-1]}" if len(moments) == 2 else "all the time"
        return f"from {self.moments[moments[0]]} to {self.moments[moments[-1]]}"


class Found(NamedTuple):
    """What a rule yields: the layer, the figure, the figure in words, and the moment if it has one."""

    layer: str
    figure: float
    what: str
    moment: int | None = None
    remedy: str = ""  # instead of the rule's


@dataclass(frozen=True)
class Rule:
    """One way in which a network can be sick.

    Attributes
    ----------
    name : str
        Of its findings.
    find : callable
        Takes the evidence and the threshold, yields `Found`.
    threshold : float
        The figure is bad above it, or with `below` under it.
    severity, why, remedy, source : str
        As in `Finding`.
    """

    name: str
    find: Callable[[Evidence, float], Iterator[Found]]
    threshold: float
    severity: str
    why: str
    remedy: str
    source: str
    below: bool = False

    @property
    def doc(self) -> str:
        """What its figure is, in a line."""
        return (self.find.__doc__ or "").strip().splitlines()[0]


RULES: dict[str, Rule] = {}


def rule(threshold: float, severity: str, *, why: str, remedy: str, source: str, below: bool = False,
         ) -> Callable[[Callable], Callable]:
    """Register the decorated function as the rule of its name; the parameters are the fields of `Rule`.

    Examples
    --------
    A rule of one's own, which `fastnn.diagnose` and `fastnn.Monitor` apply from here on:

    >>> @rule(1e6, "note", why="large models are slow", remedy="fewer units", source="here")
    ... def too_large(evidence, limit):
    ...     \"\"\"How many parameters there are.\"\"\"
    ...     n = sum(a.size for a in evidence.model.named_parameters().values())
    ...     if n > limit:
    ...         yield Found("network", n, f"{n} parameters")
    >>> RULES.pop("too_large").doc
    'How many parameters there are.'
    """
    def register(find: Callable) -> Callable:
        RULES[find.__name__] = Rule(find.__name__, find, threshold, severity, why, remedy, source, below)
        return find

    return register


def examine(evidence: Evidence) -> list[Finding]:
    """What all rules find, the worst first.

    Of a layer that a rule speaks of at several moments, the worst is told; what was seen at one moment and
    was over at the end is not.
    """
    findings = []
    for r in RULES.values():
        cases: dict[str, list[Found]] = {}
        for found in r.find(evidence, r.threshold):
            cases.setdefault(found.layer, []).append(found)
        for layer, several in cases.items():
            moments = [found.moment for found in several if found.moment is not None]
            if len(moments) == 1 and moments[0] != len(evidence.measurements) - 1:
                continue
            worst = (min if r.below else max)(several, key=lambda found: found.figure)
            findings.append(Finding(r.name, layer, float(worst.figure), r.threshold, r.severity, worst.what,
                                    r.why, worst.remedy or r.remedy, evidence.when(moments), r.source))
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def as_plain(value: Any) -> Any:
    """Findings, figures and arrays as lists, dicts and numbers that JSON holds; None for what is not finite.

    Examples
    --------
    >>> as_plain({"a": np.array([1.0, np.nan])})
    {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {name: as_plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
