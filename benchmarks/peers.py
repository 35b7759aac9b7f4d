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
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from . import report
from .worker import Failure, Worker, cpus, wait_until_idle
from .workloads import LARGEST, WORKLOADS, Workload, disagreement, expected


@dataclass(frozen=True)
class Peer:
    name: str
    module: str
    variant: str
    packages: tuple[str, ...]


PEERS = (
    Peer(report.FASTNN, "peer_fastnn", "native", ("fastnn", "fastnn._native")),
    Peer("fastnn on NumPy", "peer_fastnn", "numpy", ("fastnn",)),
    Peer(report.PYTORCH, "peer_torch", "eager", ("torch",)),
    Peer("PyTorch compile", "peer_torch", "compile", ("torch",)),
    Peer("JAX step", "peer_jax", "step", ("jax",)),
    Peer("JAX scan", "peer_jax", "scan", ("jax",)),
    Peer("scikit-learn", "peer_sklearn", "", ("sklearn",)),
    Peer("ONNX Runtime", "peer_onnxruntime", "", ("onnxruntime", "onnx")),
)
QUICK_SECONDS = 95  # for everything but the start and the last workload under way
LEAST_ROUNDS = 3


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true",
                        help=f"within two minutes: short rounds, no torch.compile, no {LARGEST}")
    parser.add_argument("--threads", default="1,all", help='such as "1", "all" or "1,2" (default: 1,all)')
    parser.add_argument("--workloads", help="names, separated by commas: " + ", ".join(WORKLOADS))
    parser.add_argument("--peers", help="names, separated by commas: " + ", ".join(p.name for p in PEERS))
    parser.add_argument("--rounds", type=int, help="measurements of each peer (default: 9; --quick: 5)")
    parser.add_argument("--seconds", type=float, help="of one measurement, about (default: 0.1; --quick: 0.02)")
    parser.add_argument("--mnist", default=os.environ.get("FASTNN_MNIST"), metavar="FOLDER",
                        help="MNIST's files, for fit (default: FASTNN_MNIST; without it generated rows)")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured")
    parser.add_argument("--png", metavar="FILE", help="draw a chart")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (5 if options.quick else 9)
    options.seconds = options.seconds or (0.02 if options.quick else 0.1)
    n_cpus = len(cpus())
    try:
        counts = [n_cpus if t == "all" else int(t) for t in options.threads.split(",")]
    except ValueError:
        parser.error(f"--threads: expected numbers or all, got {options.threads!r}")
    if not all(1 <= n <= n_cpus for n in counts):
        parser.error(f"--threads: expected 1 to {n_cpus}, got {options.threads!r}")
    options.thread_counts = list(dict.fromkeys(counts))
    options.workloads = _chosen(parser, "--workloads", options.workloads, WORKLOADS)
    options.peers = _chosen(parser, "--peers", options.peers, {p.name: p for p in PEERS})
    return options


def _chosen(parser: argparse.ArgumentParser, option: str, names: str | None, known: dict[str, Any]) -> list[Any] | None:
    if names is None:
        return None
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"{option}: expected some of {', '.join(known)}; got {', '.join(unknown)}")
    return [known[name] for name in wanted]


def present(peers: list[Peer], say: Any) -> list[Peer]:
    """The peers that are installed; the others are named."""
    found = []
    for peer in peers:
        missing = [p for p in peer.packages if not _installed(p)]
        if missing:
            say(f"absent: {peer.name} ({', '.join(missing)} not installed; pip install 'fastnn-cpu[bench]' has all peers)")
        else:
            found.append(peer)
    return found


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False


class Session:
    """All workers of one number of threads."""

    def __init__(self, peers: list[Peer], threads: int, options: argparse.Namespace, failures: list[str]) -> None:
        self.threads, self.options, self.failures = threads, options, failures
        self.workers = {p.name: Worker(p.module, p.variant, threads) for p in peers}
        for name, worker in list(self.workers.items()):
            try:
                worker.answer()
            except Failure as error:
                self._drop(name, f"does not start: {error}")
        self.limits: list[dict[str, Any]] = []

    def _drop(self, name: str, why: str) -> None:
        self.failures.append(f"{name}, {self.threads} threads: {why}")
        print(f"FAILED: {self.failures[-1]}", flush=True)
        self.workers.pop(name).close()

    def machine(self) -> dict[str, Any] | None:
        """The machine's limits at this moment, as fastnn's worker measures them."""
        if report.FASTNN not in self.workers:
            return None
        limits, _ = self.workers[report.FASTNN].ask("call", "machine", self.threads)
        self.limits.append(limits)
        return limits

    def run(self, workload: Workload, want: np.ndarray, until: float) -> list[dict[str, Any]]:
        """Prepare everywhere at once, check, then measure in turns; the rows of the table."""
        ready = self._prepare(workload, want)
        wait_until_idle()
        seconds: dict[str, list[float]] = {name: [] for name in ready}
        restless = dict.fromkeys(ready, 0)
        peaks = []
        for number in range(self.options.rounds):
            if number >= LEAST_ROUNDS and time.monotonic() > until:
                break
            if limits := self.machine():
                peaks.append(limits["gflops"])
            for name in ready[number % len(ready):] + ready[:number % len(ready)] if ready else ():
                if name not in self.workers:
                    continue
                try:
                    step_seconds, idle = self.workers[name].ask("measure", self.options.seconds)
                except Failure as error:
                    self._drop(name, f"{workload.name}: {error}")
                    continue
                seconds[name].append(step_seconds)
                restless[name] += not idle
        peak = median(peaks) if peaks else None
        return report.compare([report.summary(workload.name, name, self.threads, seconds[name], peak, restless[name])
                               for name in ready if name in self.workers])

    def _prepare(self, workload: Workload, want: np.ndarray) -> list[str]:
        """The peers that do this workload and agree with float64."""
        ready = []
        for worker in self.workers.values():
            worker.prepare(workload)
        for name, worker in list(self.workers.items()):
            try:
                got = worker.answer()
            except Failure as error:
                self.failures.append(f"{name}, {workload.name}: {error}")
                print(f"FAILED: {self.failures[-1]}", flush=True)
                if not worker.process.is_alive():
                    self.workers.pop(name).close()
                continue
            if got is None:  # not what this library does
                continue
            if wrong := disagreement(workload, got, want):
                self.failures.append(f"{name}, {workload.name}: wrong, so not timed: {wrong}")
                print(f"FAILED: {self.failures[-1]}", flush=True)
                continue
            ready.append(name)
        return ready

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    started = time.monotonic()
    facts = report.machine_facts()
    notes: list[str] = []

    def say(text: str) -> None:
        notes.append(text)
        print(text, flush=True)

    say(f"{facts['processor']}, {len(cpus())} processors; Python {facts['python']}; "
        + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    peers = present(options.peers or list(PEERS), say)
    workloads = options.workloads or list(WORKLOADS.values())
    if options.quick:
        left_out = [p.name for p in peers if p.variant == "compile" and not options.peers]
        left_out += [w.name for w in workloads if w.name == LARGEST and not options.workloads]
        peers = [p for p in peers if p.name not in left_out]
        workloads = [w for w in workloads if w.name not in left_out]
        say(f"--quick leaves out {', '.join(left_out) or 'nothing'}")
    wants = {w.name: expected(w) for w in workloads}

    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    limits: dict[int, list[dict[str, Any]]] = {}
    fits: list[dict[str, Any]] = []
    pieces = len(options.thread_counts) * len(workloads)
    for threads in options.thread_counts:
        with ExitStack() as stack:
            session = Session(peers, threads, options, failures)
            stack.callback(session.close)
            print("\n" + headline(threads, session.machine()))
            print(report.HEADER, flush=True)
            for workload in workloads:
                now = time.monotonic()
                share = max(0.0, started + QUICK_SECONDS - now) / pieces if options.quick else float("inf")
                pieces -= 1
                new = session.run(workload, wants[workload.name], now + share)
                rows += new
                print(report.table(new), flush=True)
            if report.FASTNN in session.workers and not options.workloads:
                fits += run_fit(session, options)
            limits[threads] = session.limits
    print_closing(rows, limits, failures)
    if options.json:
        write_json(options, facts, rows, limits, fits, failures, notes)
    if options.png and rows:
        try:
            report.chart(rows, options.png, notes[0])
        except ImportError as error:
            failures.append(f"no chart: {error}")
            print(f"FAILED: {failures[-1]}")
    print(f"\n{time.monotonic() - started:.0f} s")
    return 1 if failures else 0


def headline(threads: int, limits: dict[str, Any] | None) -> str:
    text = f"{threads} thread{'s' if threads > 1 else ''}"
    if limits:
        text += (f": {limits['gflops']:.1f} GFLOP/s of float32 multiply-adds in registers ({limits['isa']}, "
                 f"{limits['compiler']}), fork/join {limits['fork_join_us']:.2f} us")
    return text


def run_fit(session: Session, options: argparse.Namespace) -> list[dict[str, Any]]:
    from . import fit
    try:
        results, _ = session.workers[report.FASTNN].ask("call", "fit_as_a_whole", options.mnist, min(options.rounds, 5),
                                                        options.quick)
    except Failure as error:
        session.failures.append(f"fit: {error}")
        print(f"FAILED: {session.failures[-1]}", flush=True)
        return []
    print("\n" + fit.table(results), flush=True)
    return [{"threads": session.threads, **r} for r in results]


def print_closing(rows: list[dict[str, Any]], limits: dict[int, list[dict[str, Any]]], failures: list[str]) -> None:
    for threads, measured in limits.items():
        if measured:
            print(f"\n{threads} threads over the whole run: "
                  + ", ".join(f"{what} {report.number(min(values))} .. {report.number(max(values))} {unit}"
                              for what, key, unit in (("peak", "gflops", "GFLOP/s"), ("fork/join", "fork_join_us", "us"))
                              for values in [[m[key] for m in measured]]))
    if gains := report.gains_of_threads(rows):
        print("\nfastnn with more threads\n" + "\n".join(gains))
    if means := report.geometric_means(rows):
        print("\ngeometric means: how many times as fast fastnn is")
        for m in means:
            print(f"{m['threads']} threads  {m['task']:<9}{m['peer']:<22}{report.number(m['speed'], 'x'):>8}"
                  f"   ({m['workloads']} workloads)")
    for failure in failures:
        print(f"FAILED: {failure}")


def write_json(options: argparse.Namespace, facts: dict[str, Any], rows: list[dict[str, Any]],
               limits: dict[int, list[dict[str, Any]]], fits: list[dict[str, Any]], failures: list[str],
               notes: list[str]) -> None:
    with open(options.json, "w") as file:
        json.dump({"machine": facts, "quick": options.quick, "rounds": options.rounds, "seconds": options.seconds,
                   "notes": notes, "limits": limits, "rows": rows, "geometric_means": report.geometric_means(rows),
                   "fit": fits, "failures": failures}, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
