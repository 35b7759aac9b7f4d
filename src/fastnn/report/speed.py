"""Where the time of a training step goes, op by op, beside what the machine could do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..page import escape, folded, table
from .charts import chart, charts
from .subject import Subject
from .words import count, percent, shorter

SHOWN = 12  # ops of the picture


def profile(subject: Subject) -> str:
    """A picture and a table."""
    measured = subject.profile
    total = sum(op.microseconds for op in measured.ops) or 1.0
    rate = 1e6 * measured.batch_size / measured.step if measured.step else 0.0
    words = (f"A step on {count(measured.batch_size, 'row')} takes {measured.step:.1f} microseconds, {rate:,.0f} rows "
             f"a second, on the {measured.backend} backend and {count(measured.threads, 'thread')}.")
    if measured.peak:
        flops = sum(op.flops for op in measured.ops)
        share = flops / (measured.step * 1e3 * measured.peak) if measured.step else 0.0
        words += (f" That is {percent(share)} of the {measured.peak:.0f} GFLOP/s that its threads reach in "
                  "multiply-adds.")

    def draw(ax: Any) -> None:
        from .. import plot

        ops = tuple(replace(op, layer=shorter(op.layer)) for op in measured.ops)
        plot.profile(replace(measured, ops=ops), ax=ax, n=SHOWN)

    longest = max(measured.ops, key=lambda op: op.microseconds)
    rows = [[f"{op.layer}: {op.op}", f"{op.microseconds:.2f}", f"{op.microseconds / total:.1%}", f"{op.gflops:.1f}",
             f"{op.gflops / measured.peak:.0%}" if measured.peak else "-", f"{op.gbytes:.1f}"] for op in measured.ops]
    header = ["layer: operation", "microseconds", "share", "GFLOP/s", "of peak", "GB/s"]

    def picture() -> str:
        return chart(draw, f"the time of each operation of a step; the longest is {longest.op} of {longest.layer}, "
                           f"{longest.microseconds / total:.0%} of all",
                     width=6.2, height=max(2.4, 1.3 + 0.24 * min(SHOWN + 1, len(rows))))

    made = table("The operations of a step in their order, each timed by itself", header, rows, name="ops")
    return f"<p>{escape(words)}</p>\n{charts(picture)}\n{folded('All operations as a table', made)}"
