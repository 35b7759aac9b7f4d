"""The layers of a model in a table: shapes, parameters, floating-point operations."""

from __future__ import annotations

import math

from .compilation import Compiled, Entry


def rows(compiled: Compiled) -> list[tuple[str, str, str, str]]:
    """A header, a row for each layer, and totals."""
    flops: dict[str, int] = {}
    program = compiled.program(Entry("predict", outputs=True))
    for o, n, _ in program.cost(1, program.time or 1):
        flops[o.layer] = flops.get(o.layer, 0) + n
    table = [("layer", "output shape", "parameters", "FLOPs a sample")]
    total = trained = 0
    moved = compiled.moved()
    for layer in compiled.layers:
        sizes = {s.name: math.prod(s.shape) for s in layer.segments.values()}
        n = sum(sizes.values())
        n_trained = sum(size for name, size in sizes.items() if name in moved)
        total, trained = total + n, trained + n_trained
        shape = f"(n, {', '.join(map(str, layer.output_shapes[0]))})"
        kind = f"{type(layer).__name__}{', frozen' * (n_trained < n)}"
        table.append((f"{layer.name} ({kind})", shape, f"{n:,}", f"{flops.get(layer.name, 0):,}"))
    table.append(("total", "", f"{total:,}", f"{sum(flops.values()):,}"))
    if trained < total:
        table += [("trainable", "", f"{trained:,}", ""), ("non-trainable", "", f"{total - trained:,}", "")]
    return table


def text(compiled: Compiled) -> str:
    """The same in lines."""
    table = rows(compiled)
    i, j, k, m = (max(map(len, column)) for column in zip(*table, strict=True))
    return "\n".join(f"{a:<{i}}  {b:<{j}}  {c:>{k}}  {d:>{m}}".rstrip() for a, b, c, d in table)
