"""``fastnn info``: what runs here, and how fast."""

from __future__ import annotations

import argparse
import platform
from typing import Any

import fastnn as fnn

from ..flags import FINE, Found, HelpFormatter


def add(commands: Any) -> None:
    """The command's flags."""
    info = commands.add_parser(
        "info", help="say what runs here, and how fast", allow_abbrev=False, formatter_class=HelpFormatter,
        description="Print version, backend, instruction set and why, threads, compiler, and the rate of "
                    "fused multiply-adds that one core reaches.",
        epilog="example: fastnn info --json")
    info.set_defaults(run=run_info)


def run_info(arguments: argparse.Namespace) -> Found:
    """``fastnn info``."""
    info: dict[str, Any] = fnn.backends.info()
    rows = [("fastnn", fnn.__version__), ("backend", info["backend"]),
            ("ISA", f"{info['isa'] or 'none'} ({info['isa_reason']})")]
    if info["isa"]:
        rows += [("ISAs here", ", ".join(info["isas"])),
                 ("threads", f"{info['threads']} (fork and join take {info['fork_join_us']:.1f} us)"),
                 ("compiler", info["compiler"]),
                 ("peak FMA rate", f"{info['fma_gflops_f32']:.0f} GFLOP/s float32, "
                                   f"{info['fma_gflops_f64']:.0f} GFLOP/s float64, measured on one thread")]
    rows += [("NumPy", info["numpy"]), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    return FINE, {**info, "python": platform.python_version(), "platform": platform.platform()}
