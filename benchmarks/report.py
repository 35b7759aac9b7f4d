"""What was measured, as a table, as JSON and as a chart."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from .workloads import PREDICTION, TRAINING, WORKLOADS

FASTNN, PYTORCH = "fastnn", "PyTorch"
PACKAGES = ("numpy", "torch", "jax", "scikit-learn", "onnxruntime")


def summary(workload: str, peer: str, threads: int, seconds: list[float], gflops: float | None,
            restless: int) -> dict[str, Any]:
    """One measured row. `seconds`: of a step in each round; `restless`: rounds after which its threads kept spinning."""
    us = [1e6 * s for s in seconds]
    low, _, high = quantiles(us, n=4, method="inclusive") if len(us) > 1 else us * 3
    flops = WORKLOADS[workload].flops
    return {"workload": workload, "task": "train" if WORKLOADS[workload].trains else "predict", "peer": peer,
            "threads": threads, "median_us": median(us), "min_us": min(us), "max_us": max(us), "quartile_1_us": low,
            "quartile_3_us": high, "rounds_us": us, "gflops": flops / median(us) / 1e3,
            "percent_of_peak": 100 * flops / (median(us) * 1e3) / gflops if gflops else None, "restless": restless}


def compare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one workload, the fastest first, with their speed against the best peer and PyTorch."""
    best = min((r["median_us"] for r in rows if r["peer"] != FASTNN), default=None)
    pytorch = next((r["median_us"] for r in rows if r["peer"] == PYTORCH), None)
    for row in rows:
        row["speed_to_best_peer"] = best and best / row["median_us"]
        row["speed_to_pytorch"] = pytorch and pytorch / row["median_us"]
    return sorted(rows, key=lambda r: r["median_us"])


# ---- the table ----

HEADER = f"{'workload':<24}{'peer':<22}{'median us':>11}   {'min .. max':<21}{'to best peer':>12}{'to PyTorch':>12}{'of FLOP limit':>15}"


def number(value: float | None, suffix: str = "") -> str:
    """Three digits that count."""
    if value is None:
        return "-"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}{suffix}"


def table(rows: list[dict[str, Any]]) -> str:
    """The lines of one workload."""
    lines = []
    for i, r in enumerate(rows):
        spread = f"{number(r['min_us'])} .. {number(r['max_us'])}"
        lines.append(f"{'' if i else r['workload']:<24}{r['peer']:<22}{number(r['median_us']):>11}   {spread:<21}"
                     f"{number(r['speed_to_best_peer'], 'x'):>12}{number(r['speed_to_pytorch'], 'x'):>12}"
                     f"{number(r['percent_of_peak'], ' %'):>15}" + ("  threads kept spinning" if r["restless"] else ""))
    return "\n".join(lines)


def geometric_means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times as fast as each peer fastnn is, over the workloads that both did."""
    means = []
    for threads in dict.fromkeys(r["threads"] for r in rows):
        for task in ("train", "predict"):
            own = {r["workload"]: r for r in rows
                   if (r["threads"], r["task"], r["peer"]) == (threads, task, FASTNN)}
            others = [r for r in rows if (r["threads"], r["task"]) == (threads, task) and r["workload"] in own]
            ratios: dict[str, list[float]] = {}
            for name, r in own.items():
                if r["speed_to_best_peer"]:
                    ratios.setdefault("best peer", []).append(r["speed_to_best_peer"])
                for other in (o for o in others if o["workload"] == name and o["peer"] != FASTNN):
                    ratios.setdefault(other["peer"], []).append(other["median_us"] / r["median_us"])
            means += [{"threads": threads, "task": task, "peer": peer, "workloads": len(values),
                       "speed": math.exp(sum(map(math.log, values)) / len(values))} for peer, values in ratios.items()]
    return means


def gains_of_threads(rows: list[dict[str, Any]]) -> list[str]:
    """fastnn's time on one thread over its time on more."""
    own = {(r["workload"], r["threads"]): r["median_us"] for r in rows if r["peer"] == FASTNN}
    counts = sorted({threads for _, threads in own} - {1})
    return [f"{name:<24}" + "  ".join(f"{n} threads {number(own[name, 1] / own[name, n], 'x')}" for n in counts)
            for name in WORKLOADS if counts and all((name, n) in own for n in (1, *counts))]


def machine_facts() -> dict[str, Any]:
    """Processor and versions, for the JSON and the head of the table."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    versions = {}
    for package in ("fastnn-cpu", *PACKAGES):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": model, "system": platform.system(), "python": platform.python_version(), "versions": versions}


# ---- the chart ----

COLOURS = {FASTNN: "#d62728", "fastnn on NumPy": "#e8a5a5", PYTORCH: "#1f77b4", "PyTorch compile": "#8fbbe0",
           "JAX step": "#9bd09b", "JAX scan": "#2ca02c", "scikit-learn": "#ff9f1c", "ONNX Runtime": "#7f6bb3"}


def chart(rows: list[dict[str, Any]], path: str, title: str) -> None:
    """A panel per workload and number of threads, a bar per peer: how long, and the spread."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    counts = list(dict.fromkeys(r["threads"] for r in rows))
    names = [w.name for w in TRAINING + PREDICTION if any(r["workload"] == w.name for r in rows)]
    panels = [(name, n) for n in counts for name in names]
    columns = min(len(panels), 4)
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.2 * columns, 2.1 * lines + 0.5), squeeze=False)
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    for axis, (name, n) in zip(axes.flat, panels, strict=False):
        bars = sorted((r for r in rows if (r["workload"], r["threads"]) == (name, n)), key=lambda r: -r["median_us"])
        values = [r["median_us"] for r in bars]
        spread = [[r["median_us"] - r["min_us"] for r in bars], [r["max_us"] - r["median_us"] for r in bars]]
        axis.barh([r["peer"] for r in bars], values, xerr=spread, color=[COLOURS.get(r["peer"], "grey") for r in bars],
                  error_kw={"elinewidth": 0.8})
        for i, value in enumerate(values):
            axis.text(value, i, f" {number(value)}", va="bottom", fontsize=7)
        axis.set_title(f"{name}, {n} thread{'s' if n > 1 else ''}", fontsize=9)
        axis.set_xlim(0, 1.25 * max(values, default=1))
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Microseconds a training step or prediction, less is better\n{title}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
