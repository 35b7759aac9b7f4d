"""What the doctor found."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..diagnostics import RULES, Finding
from ..page import escape
from .headline import plain
from .subject import Subject
from .words import count


def findings(subject: Subject) -> str:
    """Each finding: what it is, why it hurts, what to try."""
    diagnosis = subject.diagnosis
    o = diagnosis.outcome
    steps = (f"On copies of the network as it is now: the loss on {diagnosis.rows:,} rows is {loss(o.before)}; "
             f"after {count(o.steps, 'more step')} it is {loss(o.after)}, at a tenth of the learning rate "
             f"{loss(o.tenth)}, at ten times it {loss(o.tenfold)}. A network that says nothing has "
             f"{loss(diagnosis.expected_loss)}.")
    if diagnosis.healthy:
        told = f'<p class="healthy">Healthy: none of {len(RULES)} rules found anything.</p>'
    else:
        told = '<div class="findings">\n' + "\n".join(map(article, grouped(diagnosis.findings))) + "\n</div>"
    return f"{told}\n<p>{escape(steps)}</p>"


def grouped(found: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of one rule together, in the order of the first of each."""
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        groups.setdefault(finding.name, []).append(finding)
    return list(groups.values())


def article(several: Sequence[Finding]) -> str:
    """What one rule found, in one layer or in several."""
    first = several[0]
    layers = ", ".join(finding.layer for finding in several)
    if len(several) == 1:
        what = f"<p>{escape(sentence(first.what))} <small>{escape(measured(first))}</small></p>"
    else:
        items = "\n".join(f"<li><b>{escape(finding.layer)}:</b> {escape(finding.what)}. "
                          f"<small>{escape(measured(finding))}</small></li>" for finding in several)
        what = f"<ul>\n{items}\n</ul>"
    source = f"\n<p><small>Threshold: {escape(first.source)}.</small></p>" if first.source else ""
    remedies = "; ".join(dict.fromkeys(finding.remedy for finding in several))
    return (f'<div class="finding {escape(first.severity)}">\n'
            f'<h3><span class="kind">{escape(first.severity)}</span> {escape(plain(first.name))} in '
            f"{escape(layers)}</h3>\n{what}\n"
            f"<p><b>Why it hurts:</b> {escape(first.why)}.</p>\n"
            f"<p><b>What to try:</b> {escape(remedies)}.</p>{source}\n</div>")


def measured(finding: Finding) -> str:
    """The figure beside its limit."""
    when = f", {finding.when}" if finding.when else ""
    return f"({finding.figure:.3g}, limit {finding.threshold:g}{when})"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def loss(value: float) -> str:
    """A loss, or that there is none."""
    return f"{value:.4g}" if math.isfinite(value) else "no number any more"
