"""Run the tests on a core that watches itself: AddressSanitizer with UndefinedBehaviorSanitizer, or ThreadSanitizer.

    python tests/sanitize.py address                  # out of bounds, used after free, undefined behaviour
    python tests/sanitize.py thread                   # threads that meet too late, on a team of plain pthreads
    python tests/sanitize.py all --core -n 2          # both, on the tests next to the core, two at a time
    python tests/sanitize.py address tests/test_kernels.py -k pool
    python tests/sanitize.py planted                  # faults are planted in a copy of the core; each must be found

What is not for this command goes to pytest (``-n`` needs pytest-xdist, which then also goes on after a crash). The
core is built in a folder of its own, ``build/sanitize-...``; what was compiled there once is used again.

With AddressSanitizer an op of a Program may touch nothing but its operands and its workspace (csrc/guard.h), and
FASTNN_GUARD leaves room between arrays. Tests that a sanitizer keeps from saying anything are skipped, see `SKIPPED`.
"""
import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

COMMON = "abort_on_error=1:log_path={report}"  # on abort, pytest says in which test


class Sanitizer(NamedTuple):
    """How to build for a sanitizer and how to run under it."""

    flags: str                     # of the compiler, -fsanitize=
    runtime: str                   # what must be loaded before Python
    isas: str | None               # the instruction sets that are built; None: all
    environment: dict[str, str]
    core: tuple[str, ...]          # the tests next to the core


SANITIZERS = {
    "address": Sanitizer(
        "address,undefined", "libasan.so", None,
        {"ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=64:{COMMON}",
         "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:{COMMON}",
         "PYTHONMALLOC": "malloc", "FASTNN_GUARD": "4096"},
        ("test_kernels*", "test_functional*", "test_executors*", "test_program*", "test_thread*", "test_training*",
         "test_convolution*", "test_image_layers*", "test_normalization*", "test_recurrent*", "test_dropout*",
         "test_optimizers*", "test_clipping*", "test_regularization*", "test_gradcheck.py", "test_vector_math*",
         "test_frozen*", "test_graph.py", "test_losses*", "test_loss_weights*", "test_model.py", "test_checks*",
         "test_hostile*", "test_bounds*", "test_process*", "test_reliability*", "test_export_c*")),
    "thread": Sanitizer(
        "thread", "libtsan.so", "avx2",
        {"TSAN_OPTIONS": "halt_on_error=0:exitcode=66:second_deadlock_stack=1:history_size=4:log_path={report}"},
        ("test_thread*", "test_training*", "test_executors*", "test_dropout*", "test_recurrent*", "test_convolution*",
         "test_image_layers*", "test_normalization*", "test_optimizers*", "test_model.py", "test_bounds*")),
}

# (sanitizer, pattern of test ids, why it is skipped there)
SKIPPED = [
    ("*", "*test_memory.py*", "a sanitizer's own memory is in what it measures"),
    ("thread", "*test_threadpoolctl*", "it sets OpenMP's threads, of which there are none here"),
    ("thread", "*test_processes.py*", "it forks, and looks for the threads that OpenMP keeps"),
    ("address", "*test_predictions_during_training*", "an op has the weights closed to Python, which copies them "
     "meanwhile in another thread"),
    ("thread", "*test_predictions_during_training*", "it reads weights while they are written, each number "
     "whole: that is what it promises"),
]


class Fault(NamedTuple):
    """A fault for a copy of the core: `old`, which stands in `path`, becomes `new`, which asks ``planted(name)``."""

    sanitizer: str
    path: str
    old: str
    new: str
    report: str  # what the sanitizer says of it


COPY_ROW = "    const VEC v = FNN(load)(x + j);\n    finite &= v - v == 0;\n    FNN(store)(y + j, v);\n"
FINDER = "tests/test_bounds.py"
FAULTS = {
    "a row of the caller's, read in whole vectors": Fault(
        "address", "gather.inc", TAIL := COPY_ROW.replace("load)(x + j)", "load_lanes)(x + j, n - j)"),
        TAIL.replace("FNN(load_lanes)(x + j, n - j)",
                          "planted({}) ? FNN(load)(x + j) : FNN(load_lanes)(x + j, n - j)"),
        "heap-buffer-overflow.*READ"),
    "one number written into the next array of the arena": Fault(
        "address", "activation.inc", END := "}\n\n/* softmax_backward: dx",
        "  if (planted({})) *FNN(at)(y, r.row + r.rows, 0, s) = 0;\n" + END,
        "use-after-poison.*WRITE"),
    "one number written behind an array of a function": Fault(
        "address", "activation.inc", NEXT := "}\n\n/* log_softmax_backward: dx",
        "  if (planted({})) *FNN(at)(y, r.row + r.rows, 0, s) = 0;\n" + NEXT,
        "use-after-poison.*WRITE"),
    "half of the workspace that an op needs": Fault(
        "address", "executor.c", "return bytes ? bytes(call) : 0;", "return bytes ? bytes(call) >> planted({}) : 0;",
        "use-after-poison"),
    "a vector read where none may begin": Fault(
        "address", "gather.inc", COPY_ROW, COPY_ROW.replace(
            "FNN(load)(x + j)", "planted({}) ? *(const VEC *)(x + j) : FNN(load)(x + j)"),
        "load of misaligned address"),
    "a product of ints that does not fit": Fault(
        "address", "arrays.c", "const int64_t kept = order[i];",
        "const int64_t kept = order[i] + planted({}) * (int)i * 65536 * 65536;",
        "signed integer overflow"),
    "no barrier before an op that reads what others wrote": Fault(
        "thread", "executor.c", "if (call->flags & FNN_BARRIER || call->kind",
        "if ((call->flags & FNN_BARRIER && !planted({})) || call->kind", "data race"),
    "a barrier that orders nothing": Fault(
        "thread", "executor.c", "__atomic_load_n(&team->arrived[other].times, __ATOMIC_ACQUIRE)",
        "(planted({}) ? __atomic_load_n(&team->arrived[other].times, __ATOMIC_RELAXED)"
        " : __atomic_load_n(&team->arrived[other].times, __ATOMIC_ACQUIRE))", "data race"),
}
PLANTED = """
#include <stdlib.h>
#include <string.h>
static inline int planted(const char *name) {
  const char *wanted = getenv("FASTNN_PLANTED");
  return wanted && !strcmp(wanted, name);
}
"""


def pytest_collection_modifyitems(items):
    """Skip what `SKIPPED` says; this file is a plugin of the pytest that it starts."""
    import pytest

    for item in items:
        for sanitizer, pattern, why in SKIPPED:
            if fnmatch.fnmatch(os.environ["FASTNN_SANITIZED"], sanitizer) and fnmatch.fnmatch(item.nodeid, pattern):
                item.add_marker(pytest.mark.skip(reason=f"{os.environ['FASTNN_SANITIZED']} sanitizer: {why}"))


def build(name, source=ROOT, isas=None, folder=None):
    """Build the package for a sanitizer; the folder that it can be imported from."""
    sanitizer, folder = SANITIZERS[name], folder or ROOT / "build" / f"sanitize-{name}"
    shutil.rmtree(folder / "lib", ignore_errors=True)  # what no longer exists would stay
    isas = isas or sanitizer.isas
    environment = os.environ | {"FASTNN_SANITIZE": sanitizer.flags, "FASTNN_REQUIRE_NATIVE": "1"} | (
        {"FASTNN_ISAS": isas} if isas else {})
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(folder),
               "--build-lib", str(folder / "lib")]
    started = time.perf_counter()
    run = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{run.stdout}{run.stderr}\nthe core could not be built for {sanitizer.flags}")
    print(f"{name}: core built with -fsanitize={sanitizer.flags}, {time.perf_counter() - started:.0f} s", flush=True)
    return folder / "lib"


def runtime(name):
    """The libraries to load before Python, which was not linked with them: the sanitizer's, and that of C++, whose
    exceptions in other packages AddressSanitizer looks for when it starts."""
    compiler = os.environ.get("CC", "gcc")

    def find(library):
        command = [compiler, f"-print-file-name={library}"]
        found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        return os.path.realpath(found) if os.path.isabs(found) else ""

    library = find(SANITIZERS[name].runtime)
    if not library:
        sys.exit(f"{SANITIZERS[name].runtime} was not found by {compiler} -print-file-name: GCC and its sanitizers are "
                 "needed (Debian and Ubuntu: apt install gcc; Fedora: dnf install gcc libasan libubsan libtsan)")
    return f"{library} {find('libstdc++.so.6')}".strip()


def run_pytest(name, library, arguments, planted=""):
    """Run pytest on a built package; (exit status, what the sanitizer reported)."""
    reports = library.parent / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    environment = {key: value.format(report=reports / "report") for key, value in SANITIZERS[name].environment.items()}
    environment |= {"LD_PRELOAD": runtime(name), "FASTNN_SANITIZED": name, "FASTNN_PLANTED": planted,
                    "PYTHONPATH": os.pathsep.join((str(library), str(ROOT / "tests")))}
    command = [sys.executable, "-m", "pytest", "-p", "sanitize", "-p", "no:cacheprovider", "--capture=sys", *arguments]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=bool(planted), text=True)
    report = [path.read_text(errors="replace") for path in sorted(reports.iterdir())]
    return run.returncode, "\n".join([*report, run.stderr or ""] if planted else report)


def run_tests(name, core, arguments):
    """Build, run, and print the reports; whether all is well."""
    library = build(name)
    if core:
        arguments = [*(str(p.relative_to(ROOT)) for pattern in SANITIZERS[name].core
                       for p in sorted((ROOT / "tests").glob(f"{pattern.removesuffix('.py')}.py"))), *arguments]
    started = time.perf_counter()
    status, report = run_pytest(name, library, arguments)
    print(report)
    print(f"{name}: {'all well' if not status and not report else 'FAILED'}, pytest's exit status {status}, "
          f"{len(re.findall('^(?:==[0-9]+==ERROR|WARNING: Thread|.*runtime error:)', report, re.MULTILINE))} reports, "
          f"{time.perf_counter() - started:.0f} s", flush=True)
    return not status and not report


def run_planted():
    """Plant every fault in a copy of the core and see that its sanitizer finds it; whether all were found.

    The copy is built once a sanitizer, for the baseline alone; the environment says which fault comes to life.
    Without one the test passes.
    """
    well = True
    for sanitizer in SANITIZERS:
        faults = {name: fault for name, fault in FAULTS.items() if fault.sanitizer == sanitizer}
        folder = ROOT / "build" / f"planted-{sanitizer}"
        copy_with(faults, folder / "source")
        library = build(sanitizer, folder / "source", "baseline", folder)
        status, report = run_pytest(sanitizer, library, [FINDER])
        print(f"{sanitizer}, no fault: {'green' if not status and not report else 'RED'}")
        well &= not status and not report
        for name, fault in faults.items():
            status, report = run_pytest(sanitizer, library, ["-x", FINDER], name)
            found = status and re.search(fault.report, report, re.DOTALL)
            print(f"{sanitizer}, {name}: {'found, ' + found[0].splitlines()[0] if found else 'NOT FOUND'}", flush=True)
            well &= bool(found)
    return well


def copy_with(faults, source):
    """Make `source` a copy of what setup.py needs, with faults; what stays as it is is not compiled again."""
    paths = [*(ROOT / "csrc").iterdir(), *(p for p in (ROOT / "src").rglob("*") if p.suffix not in (".so", ".pyc")),
             *(ROOT / name for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"))]
    contents = {path.relative_to(ROOT): path.read_bytes() for path in paths if path.is_file()}

    def change(path, old, new):
        text = contents[path].decode()
        if text.count(old) != 1:
            sys.exit(f"{path}: expected once, found {text.count(old)} times: {old!r}")
        contents[path] = text.replace(old, new).encode()

    csrc = Path("csrc")
    change(csrc / "fastnn.h", "#include <math.h>\n", f"#include <math.h>{PLANTED}")
    for name, fault in faults.items():
        change(csrc / fault.path, fault.old, fault.new.replace("{}", f'"{name}"'))
    for path in source.rglob("*"):
        if path.is_file() and path.relative_to(source) not in contents:
            path.unlink()
    for path, content in contents.items():
        copy = source / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != content:
            copy.write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*SANITIZERS, "all", "planted"])
    parser.add_argument("--core", action="store_true", help="the tests next to the core only")
    arguments, rest = parser.parse_known_args()
    if arguments.what == "planted":
        return 0 if run_planted() else 1
    names = SANITIZERS if arguments.what == "all" else [arguments.what]
    results = [run_tests(name, arguments.core, rest) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
