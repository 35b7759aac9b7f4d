"""fastnn beside other libraries: whole training steps and predictions, in turns, in one run.

    python -m benchmarks.peers [--quick] [--threads 1,all] [--workloads NAME,...] [--peers NAME,...]
                               [--mnist FOLDER] [--json FILE] [--png FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from . import report, sequences  # noqa: F401  (adds its workloads)
from .worker import Failure, Worker, cpus, wait_until_idle
from .workloads import LARGEST, WORKLOADS, Workload, disagreement, expected


@dataclass(frozen=True)
class Peer:
    name: str
    module: str
    variant: str
    packages: tuple[str, ...]
    tolerance: float = 2e-4  # of its losses, relative


PEERS = {peer.name: peer for peer in (
    Peer(report.FASTNN, "peer_fastnn", "native", ("fastnn", "fastnn._native")),
    Peer("fastnn on NumPy", "peer_fastnn", "numpy", ("fastnn",)),
    Peer(report.PYTORCH, "peer_torch", "eager", ("torch",)),
    Peer("PyTorch compile", "peer_torch", "compile", ("torch",)),
    Peer("JAX step", "peer_jax", "step", ("jax",)),
    Peer("JAX scan", "peer_jax", "scan", ("jax",)),
    # its Adam adds epsilon before the bias correction, not after as the paper does
    Peer("scikit-learn", "peer_sklearn", "", ("sklearn",), tolerance=1e-3),
    Peer("ONNX Runtime", "peer_onnxruntime", "", ("onnxruntime", "onnx")),
)}
NOT_QUICK = ("PyTorch compile", LARGEST)
QUICK_SECONDS = 90  # shared among the numbers of threads and their workloads; past it none begins
LEAST_ROUNDS, GRACE_SECONDS = 3, 2  # of a workload whose share of the time is over; then one round is enough


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.peers", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true",
                        help=f"within two minutes: short rounds, without {' and '.join(NOT_QUICK)}")
    parser.add_argument("--threads", default="1,all", help='such as "1", "all" or "1,2" (default: 1,all)')
    parser.add_argument("--workloads", help=f"some of: {', '.join(WORKLOADS)}")
    parser.add_argument("--peers", help=f"some of: {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, help="measurements of each peer (default: 9; --quick: 5)")
    parser.add_argument("--seconds", type=float, help="of a measurement, about (default: 0.1; --quick: 0.02)")
    parser.add_argument("--mnist", default=os.environ.get("FASTNN_MNIST"), metavar="FOLDER",
                        help="MNIST's files, for fit (default: FASTNN_MNIST; without it generated rows)")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured")
    parser.add_argument("--png", metavar="FILE", help="draw a chart")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (5 if options.quick else 9)
    options.seconds = options.seconds or (0.02 if options.quick else 0.1)
    n_cpus = len(cpus())
    counts = [str(n_cpus) if word == "all" else word for word in options.threads.split(",")]
    if not all(n.isdecimal() and 1 <= int(n) <= n_cpus for n in counts):
        parser.error(f"--threads: expected all, or numbers from 1 to {n_cpus}, got {options.threads!r}")
    options.threads = list(dict.fromkeys(map(int, counts)))
    for option, known in (("workloads", WORKLOADS), ("peers", PEERS)):
        names = getattr(options, option)
        chosen = list(known) if names is None else [name.strip() for name in names.split(",")]
        if unknown := [name for name in chosen if name not in known]:
            parser.error(f"--{option}: expected some of {', '.join(known)}; got {', '.join(unknown)}")
        if options.quick and names is None:
            chosen = [name for name in chosen if name not in NOT_QUICK]
        setattr(options, f"all_{option}", names is None)
        setattr(options, option, [known[name] for name in chosen])
    return options


def absent(peer: Peer) -> str:
    """The first package that a peer lacks; "" if it is there."""
    for package in peer.packages:
        try:
            if importlib.util.find_spec(package) is None:
                return package
        except ImportError:
            return package
    return ""


class Session:
    """The workers of one number of threads."""

    def __init__(self, peers: list[Peer], threads: int, options: argparse.Namespace) -> None:
        self.threads, self.options = threads, options
        self.failures: list[str] = []
        self.limits: list[report.Row] = []
        self.workers = {peer.name: Worker(peer.module, peer.variant, threads) for peer in peers}
        for name in list(self.workers):
            self._answer(name, "start")

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()

    def _failed(self, text: str) -> None:
        self.failures.append(f"{text} ({self.threads} threads)")
        print(f"FAILED: {self.failures[-1]}", flush=True)

    def _answer(self, name: str, doing: str) -> Any:
        """A worker's answer, None where it failed; one whose process is gone is forgotten."""
        try:
            return self.workers[name].answer()
        except Failure as failure:
            self._failed(f"{name}, {doing}: {failure}")
            if not failure.goes_on:
                self.workers.pop(name).close()
            return None

    def machine(self) -> report.Row | None:
        """The machine's limits at this moment, as fastnn's worker measures them."""
        answer = self.call(report.FASTNN, "machine", self.threads)
        if answer:
            self.limits.append(answer)
        return answer

    def call(self, name: str, function: str, *arguments: Any) -> Any:
        """What a function of the peer's module gives."""
        if name not in self.workers:
            return None
        self.workers[name].send("call", function, *arguments)
        return self._answer(name, function)

    def run(self, workload: Workload, want: np.ndarray, until: float) -> list[report.Row]:
        """Prepare everywhere at once, check, then measure in turns; the rows of the table."""
        ready = self._prepare(workload, want)
        wait_until_idle()
        seconds: dict[str, list[float]] = {name: [] for name in ready}
        restless: set[str] = set()
        peaks = []
        for number in range(self.options.rounds if ready else 0):
            late = time.monotonic() - until
            if late > 0 and number >= LEAST_ROUNDS or late > GRACE_SECONDS and number:
                break
            limits = self.machine()
            if limits:
                peaks.append(limits["gflops"])
            first = number % len(ready)
            for name in ready[first:] + ready[:first]:
                if name not in self.workers:
                    continue
                self.workers[name].send("measure", self.options.seconds)
                answer = self._answer(name, workload.name)
                if answer:
                    seconds[name].append(answer[0])
                    if not answer[1]:
                        restless.add(name)
        peak = median(peaks) if peaks else None
        rows = [report.summary(workload.name, name, self.threads, values, peak)
                for name, values in seconds.items() if values]
        return report.compare([row | {"restless": row["peer"] in restless} for row in rows])

    def _prepare(self, workload: Workload, want: np.ndarray) -> list[str]:
        """The peers that do this workload and agree with float64."""
        ready = []
        for worker in self.workers.values():
            worker.send("prepare", workload)
        for name in list(self.workers):
            got = self._answer(name, workload.name)
            if got is None:  # failed, or not what this library does
                continue
            if wrong := disagreement(workload, got, want, PEERS[name].tolerance):
                self._failed(f"{name}, {workload.name}: wrong, so not timed: {wrong}")
            else:
                ready.append(name)
        return ready


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    started = time.monotonic()
    facts = report.machine_facts()
    title = f"{facts['processor']}, {len(cpus())} processors; " + ", ".join(
        f"{name} {version}" for name, version in {"Python": facts["python"], **facts["versions"]}.items())
    print(title)
    if options.quick:
        print(f"--quick leaves out {' and '.join(NOT_QUICK)}, and measures for a short time")
    missing = {peer.name: absent(peer) for peer in options.peers}
    missing = {name: package for name, package in missing.items() if package}
    for name, package in missing.items():
        print(f"absent: {name}: {package} is not installed; pip install 'fastnn-cpu[bench]' brings all peers")
    peers = [peer for peer in options.peers if peer.name not in missing]
    wants = {w.name: expected(w) for w in options.workloads}

    rows: list[report.Row] = []
    fits: list[report.Row] = []
    failures: list[str] = []
    limits: dict[int, list[report.Row]] = {}
    for i, threads in enumerate(options.threads, 1):
        deadline = started + QUICK_SECONDS * i / len(options.threads) if options.quick else float("inf")
        with closing(Session(peers, threads, options)) as session:
            print(f"\n{report.headline(threads, session.machine())}\n{report.HEADER}", flush=True)
            for left, workload in zip(range(len(options.workloads), 0, -1), options.workloads, strict=True):
                now = time.monotonic()
                if now > deadline:
                    print(f"{workload.name}: left out, no time is left for it")
                    continue
                new = session.run(workload, wants[workload.name], now + (deadline - now) / left)
                rows += new
                print(report.table(new), flush=True)
            if options.all_workloads and time.monotonic() < deadline + GRACE_SECONDS:
                fits += whole_fit(session)
            failures += session.failures
            limits[threads] = session.limits

    print_closing(rows, limits)
    if options.png and rows:
        try:
            report.chart(rows, options.png, title)
        except ImportError as error:
            failures.append(f"no chart: {error}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": facts, "quick": options.quick, "rounds": options.rounds,
                       "seconds": options.seconds, "absent": missing, "limits": limits, "rows": rows,
                       "geometric_means": report.geometric_means(rows), "fit": fits, "failures": failures},
                      file, indent=1)
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"\n{time.monotonic() - started:.0f} s")
    return 1 if failures else 0


def whole_fit(session: Session) -> list[report.Row]:
    from . import fit  # which imports fastnn
    options = session.options
    arguments = options.mnist, min(options.rounds, 7), 2 * options.seconds
    results = session.call(report.FASTNN, "whole_fit", *arguments)
    if not results:
        return []
    print("\n" + fit.table(results), flush=True)
    return [{"threads": session.threads, **r} for r in results]


def print_closing(rows: list[report.Row], limits: dict[int, list[report.Row]]) -> None:
    print()
    for threads, measured in limits.items():
        if measured:
            print(report.limits_over_run(threads, measured))
    if gains := report.gains_of_threads(rows):
        print(f"\n{gains}")
    if means := report.geometric_means(rows):
        print(f"\n{report.means_table(means)}")


if __name__ == "__main__":
    sys.exit(main())
