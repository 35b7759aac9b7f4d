"""``fastnn gradcheck``: every gradient against finite differences."""

from __future__ import annotations

import argparse
import itertools
from fnmatch import fnmatch
from typing import Any

import fastnn as fnn

from .. import catalogue
from ..flags import FINE, FOUND, Found, HelpFormatter, UsageError, whole


def add(commands: Any) -> None:
    """The command's flags."""
    check = commands.add_parser(
        "gradcheck", help="check every gradient by finite differences", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Compare backpropagation with finite differences in float64, in a small model for every "
                    "layer, activation, loss, regularizer, constraint and way of clipping, and for frozen "
                    "layers. The exit code is 1 if one fails.",
        epilog="example: fastnn gradcheck 'activation relu' --backend native --dtype float64")
    check.set_defaults(run=run_gradcheck)
    flag = check.add_argument
    flag("names", nargs="*", metavar="NAME",
         help="check only what has one of these in its name: dense, 'activation relu', 'loss *sigmoid*'")
    flag("--backend", choices=("native", "numpy", "both"), default="both", help="what computes the gradients")
    flag("--dtype", choices=("float32", "float64", "both"), default="both", help="in which numbers")
    flag("--rows", type=whole(1), default=7, metavar="N", help="samples of a check")
    flag("--samples", type=whole(1), default=20, metavar="N", help="entries checked of each tensor")
    flag("--directions", type=whole(1), metavar="N",
         help="derivatives along so many random directions of each tensor, instead of entries")
    flag("--seed", type=whole(0), default=0, metavar="N", help="fixes weights, samples and what is checked")
    flag("--list", action="store_true", help="print the names only")


def run_gradcheck(arguments: argparse.Namespace) -> Found:
    """``fastnn gradcheck``."""
    chosen = [case for case in catalogue.cases() if not arguments.names or any(
        name in case.title or fnmatch(case.title, name) for name in arguments.names)]
    if not chosen:
        raise UsageError("NAME", f"nothing is called {' or '.join(map(repr, arguments.names))}; "
                                 "fastnn gradcheck --list prints the names")
    if arguments.list:
        print("\n".join(case.title for case in chosen))
        return FINE, {"names": [case.title for case in chosen]}
    here = ("native", "numpy") if fnn.backends.native else ("numpy",)
    backends = here if arguments.backend == "both" else (arguments.backend,)
    dtypes = ("float64", "float32") if arguments.dtype == "both" else (arguments.dtype,)
    chooses = {"directions": arguments.directions} if arguments.directions else {"samples": arguments.samples}
    width, failed = max(len(case.title) for case in chosen), []
    rows = []
    print(f"{'case':<{width}}  backend  dtype    values  kinks  {'worst tensor':<22}    error  tolerance")
    for backend, dtype, case in itertools.product(backends, dtypes, chosen):
        with fnn.use_backend(backend):
            check = case.check(arguments.rows, dtype, arguments.seed, **chooses)
        worst, values = check.worst, sum(t.checked - t.kinks for t in check.tensors)
        print(f"{case.title:<{width}}  {backend:<7}  {dtype}  {values:>6}  "
              f"{sum(t.kinks for t in check.tensors):>5}  {f'{worst.name} {worst.part}':<22}  "
              f"{worst.error:.1e}    {worst.tolerance:.1e}  {'ok' if check.passed else 'FAILED'}")
        rows.append({"case": case.title, "backend": backend, "dtype": dtype, "values": values, "tensor": worst.name,
                     "part": worst.part, "error": worst.error, "tolerance": worst.tolerance, "passed": check.passed})
        if not check.passed:
            failed.append((f"{case.title}, {backend}", check))
    for title, check in failed:
        print(f"\n{title}: {', '.join(check.failed)}\n{check}")
    n = len(backends) * len(dtypes) * len(chosen)
    print(f"\n{n - len(failed)} of {n} checks passed" + f", {len(failed)} FAILED" * bool(failed))
    return FOUND if failed else FINE, {"passed": n - len(failed), "failed": len(failed), "checks": rows}
