"""The layers: what they are, and what they look like inside."""

from __future__ import annotations

from .. import summary
from ..page import Html, escape, table
from .subject import Missing, Subject
from .words import figure

EXPLAINED = (
    "Mean and standard deviation are over rows and units; saturated is the share of values on a flat end "
    "of the activation (half is normal for ReLU), dead the share of units that no row moves; the gradient "
    "is that of the layer's parameters; a step that changes the weights by a thousandth of their size "
    "(1e-3) is usual.")


def layers(subject: Subject) -> str:
    """Shapes and parameters, then the figures of the doctor's look."""
    header, *rows = summary.rows(subject.model._compiled)
    made = table("What the network is made of; n is the number of rows", header, rows, name="architecture")
    try:
        return f"{made}\n{inside(subject)}"
    except Missing as missing:
        return f'{made}\n<p class="missing">Not here: what the layers look like inside: {escape(missing)}.</p>'


def activation(subject: Subject, name: str) -> str:
    """Of a layer; also where the loss computes it."""
    return getattr(subject.model.get_layer(name), "activation", "-")


def words(names: list[str]) -> Html:
    """Names of findings in a cell that stays wide enough for them."""
    return Html(f'<span class="found">{escape(", ".join(names))}</span>')


def inside(subject: Subject) -> str:
    """Activations, gradients and steps of every layer."""
    diagnosis = subject.diagnosis
    found: dict[str, list[str]] = {}
    for finding in diagnosis.findings:
        found.setdefault(finding.layer, []).append(finding.name.replace("_", " "))
    header = ["layer", "activation", "output mean", "output std", "saturated", "dead units", "gradient norm",
              "update / weight", "weight std", "doctor"]
    rows = [[la.name, activation(subject, la.name), figure(la.mean), figure(la.std), figure(la.saturated, ".0%"),
             figure(la.dead, ".0%"), figure(la.gradient, ".2e"), figure(la.update_ratio, ".1e"),
             figure(la.weight_std), words(found.get(la.name, ["-"]))]
            for la in diagnosis.measurements[0].layers]
    return (table(f"What the layers look like inside, on {diagnosis.rows:,} {subject.training.name}",  # type: ignore[union-attr]
                  header, rows, name="inside") + f"\n<p>{escape(EXPLAINED)}</p>")
