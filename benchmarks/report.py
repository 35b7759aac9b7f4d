"""What was measured, as a table, as JSON and as a chart."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from .workloads import WORKLOADS

FASTNN, PYTORCH = "fastnn", "PyTorch"
PACKAGES = ("fastnn-cpu", "numpy", "torch", "jax", "scikit-learn", "onnxruntime")

Row = dict[str, Any]


def summary(workload: str, peer: str, threads: int, seconds: list[float], gflops: float | None) -> Row:
    """One measured row. `seconds`: of a step in each round; `gflops`: what the machine could do."""
    us = [1e6 * s for s in seconds]
    low, middle, high = quantiles(us, n=4, method="inclusive") if len(us) > 1 else us * 3
    rate = WORKLOADS[workload].flops / middle / 1e3
    return {"workload": workload, "task": "train" if WORKLOADS[workload].trains else "predict", "peer": peer,
            "threads": threads, "median_us": middle, "min_us": min(us), "max_us": max(us),
            "quartile_1_us": low, "quartile_3_us": high, "rounds_us": us, "gflops": rate,
            "percent_of_flop_limit": gflops and 100 * rate / gflops}


def compare(rows: list[Row]) -> list[Row]:
    """The rows of one workload, the fastest first, with their speed against the best peer and PyTorch."""
    best = min((r["median_us"] for r in rows if r["peer"] != FASTNN), default=None)
    pytorch = next((r["median_us"] for r in rows if r["peer"] == PYTORCH), None)
    for row in rows:
        row["speed_to_best_peer"] = best and best / row["median_us"]
        row["speed_to_pytorch"] = pytorch and pytorch / row["median_us"]
    return sorted(rows, key=lambda r: r["median_us"])


# ---- the table ----

HEADER = (f"{'workload':<26}{'peer':<17}{'median us':>10}  {'min .. max':<18}"
          f"{'to best peer':>13}{'to PyTorch':>11}{'FLOP limit':>11}")


def number(value: float | None, suffix: str = "") -> str:
    """Three digits that count."""
    if value is None:
        return "-"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}{suffix}"


def table(rows: list[Row]) -> str:
    """The lines of one workload."""
    lines = []
    for i, r in enumerate(rows):
        spread = f"{number(r['min_us'])} .. {number(r['max_us'])}"
        name = "" if i else r["workload"]
        lines.append(f"{name:<26}{r['peer']:<17}{number(r['median_us']):>10}  {spread:<18}"
                     f"{number(r['speed_to_best_peer'], 'x'):>13}{number(r['speed_to_pytorch'], 'x'):>11}"
                     f"{number(r['percent_of_flop_limit'], ' %'):>11}"
                     + ("  threads kept spinning" if r.get("restless") else ""))
    return "\n".join(lines)


def geometric_means(rows: list[Row]) -> list[Row]:
    """How many times as fast as each peer fastnn is, over the workloads that both did."""
    ratios: dict[tuple, list[float]] = {}
    own = {(r["threads"], r["workload"]): r for r in rows if r["peer"] == FASTNN}
    for r in own.values():
        if r["speed_to_best_peer"]:
            ratios.setdefault((r["threads"], r["task"], "best peer"), []).append(r["speed_to_best_peer"])
    for r in rows:
        mine = own.get((r["threads"], r["workload"]))
        if mine and mine is not r:
            key = r["threads"], r["task"], r["peer"]
            ratios.setdefault(key, []).append(r["median_us"] / mine["median_us"])
    return [{"threads": threads, "task": task, "peer": peer, "workloads": len(values),
             "speed": math.exp(sum(map(math.log, values)) / len(values))}
            for (threads, task, peer), values in sorted(ratios.items(), key=lambda item: item[0][:2])]


def means_table(means: list[Row]) -> str:
    lines = ["geometric means: how many times as fast as the peer fastnn is"]
    for m in means:
        lines.append(f"{_threads(m['threads']):<11}{m['task']:<9}{m['peer']:<17}{number(m['speed'], 'x'):>8}"
                     f"   ({m['workloads']} workloads)")
    return "\n".join(lines)


def gains_of_threads(rows: list[Row]) -> str:
    """fastnn's time on one thread over its time on more."""
    own = {(r["workload"], r["threads"]): r["median_us"] for r in rows if r["peer"] == FASTNN}
    counts = sorted({threads for _, threads in own} - {1})
    lines = []
    for name in WORKLOADS:
        gains = [f"{n}: {number(own[name, 1] / own[name, n], 'x')}" for n in counts
                 if (name, 1) in own and (name, n) in own]
        if gains:
            lines.append(f"{name:<26}{'  '.join(gains)}")
    return "\n".join(["fastnn on more threads against one", *lines]) if lines else ""


def headline(threads: int, limits: Row | None) -> str:
    if not limits:
        return _threads(threads)
    return (f"{_threads(threads)}: {limits['gflops']:.1f} GFLOP/s of float32 multiply-adds in registers "
            f"({limits['isa']}, {limits['compiler']}), fork/join {limits['fork_join_us']:.2f} us")


def limits_over_run(threads: int, measured: list[Row]) -> str:
    """Every percentage is of the peak at its time: this is how far the machine drifted."""
    def span(key: str) -> str:
        values = [m[key] for m in measured]
        return f"{number(min(values))} .. {number(median(values))} .. {number(max(values))}"
    return (f"{_threads(threads)}, least .. median .. most over the run: peak {span('gflops')} GFLOP/s, "
            f"fork/join {span('fork_join_us')} us")


def _threads(n: int) -> str:
    return f"{n} thread{'s' if n > 1 else ''}"


def machine_facts() -> Row:
    """Processor and versions, for the JSON and the head of the table."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = lines[0].partition(":")[2].strip() if lines else model
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": model, "system": platform.system(), "python": platform.python_version(),
            "versions": versions}


# ---- the chart ----

COLOURS = {FASTNN: "#d62728", "fastnn on NumPy": "#e8a5a5", PYTORCH: "#1f77b4", "PyTorch compile": "#8fbbe0",
           "JAX step": "#9bd09b", "JAX scan": "#2ca02c", "scikit-learn": "#ff9f1c", "ONNX Runtime": "#7f6bb3"}


def chart(rows: list[Row], path: str, title: str) -> None:
    """A panel per workload and number of threads, a bar per peer: median, least and most."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    panels: dict[tuple[int, str], list[Row]] = {}
    for r in rows:
        panels.setdefault((r["threads"], r["workload"]), []).append(r)
    columns = min(len(panels), 4)
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.2 * columns, 2.1 * lines + 0.6), squeeze=False)
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    for axis, ((threads, name), bars) in zip(axes.flat, panels.items(), strict=False):
        bars = sorted(bars, key=lambda r: -r["median_us"])
        values = [r["median_us"] for r in bars]
        spread = [[r["median_us"] - r["min_us"] for r in bars], [r["max_us"] - r["median_us"] for r in bars]]
        colours = [COLOURS.get(r["peer"], "grey") for r in bars]
        axis.barh([r["peer"] for r in bars], values, xerr=spread, color=colours, error_kw={"elinewidth": 0.8})
        for i, value in enumerate(values):
            axis.text(value, i, f" {number(value)}", va="bottom", fontsize=7)
        axis.set_title(f"{name}, {_threads(threads)}", fontsize=9)
        axis.set_xlim(0, 1.25 * max(values))
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Microseconds a training step or prediction: less is better\n{title}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
