"""The order of the house: which file imports which, how long files are, what an installation contains."""

import ast
import doctest
import importlib
import importlib.metadata
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "fastnn"

# A module imports from its own floor and from those below. A package stands for all its files; the cycles
# that one floor would allow are refused by test_no_cycles.
FLOORS = [
    {"_version", "checks", "checks_arrays", "checks_targets", "checks_sequences", "numerical", "schema",
     "operands", "bundles", "program", "passes", "image_passes", "activations", "elementwise_losses", "data"},
    {"backends"},
    {"functional"},
    {"layers", "losses", "metrics", "metric_functions", "classified", "optimizers", "clipping", "schedules",
     "initializers", "regularizers", "history", "class_weights"},
    {"model", "sequential", "model_state", "model_data", "model_files", "model_names", "step_by_step", "transfer",
     "parameters", "graph", "architecture", "compilation", "inference", "masks", "summary",
     "turns"},
    {"checkpoints", "interrupts",
     "training", "divergence", "profiling", "callback_base", "callbacks", "progress", "gradcheck",
     "gradient_error", "catalogue", "catalogue_conv", "catalogue_sequences",
     "diagnostics", "io", "learning_rate", "averaging", "lbfgs", "descent", "unfreezing", "gan"},
    {"estimators", "plot", "page", "lessons", "report", "commands", "cli", "flags", "__main__"},
]
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names}

# Methods that stand for a function higher up: imported inside the method, when it is called.
STAIRS = {
    ("fastnn.model", "fastnn.training"): "Model.fit",
    ("fastnn.model", "fastnn.profiling"): "Model.profile",
    ("fastnn.model_files", "fastnn.io"): "Model.save, Model.export_c",
    ("fastnn.history", "fastnn.plot"): "History.plot",
    ("fastnn.history", "fastnn.report"): "History.report",
    ("fastnn.schedules.base", "fastnn.plot"): "Schedule.plot",
    ("fastnn.learning_rate", "fastnn.plot"): "LearningRateSearch.plot",
    ("fastnn.gradient_error", "fastnn.plot"): "GradientErrorCurve.plot",
    ("fastnn.gradcheck", "fastnn.plot"): "GradientCheck.plot",
    ("fastnn.profiling", "fastnn.plot"): "Profile.plot",
    ("fastnn.diagnostics.monitor", "fastnn.plot"): "Monitor.plot",
}

# The doors of the house: who alone may import what.
ONLY = {
    "fastnn._native": "backends",
    "sklearn": "estimators",
    "matplotlib": "plot",
    "onnx": "io",
    "torch": "io",
}

LINES = 420  # about 400
LONG_FILES: dict[str, str] = {}  # path: why it is not split


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("fastnn", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(node: ast.AST, inside: bool = False):
    """Every node below this one and whether it is in a function, except what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not for_types_only(child):
            yield child, inside
            yield from statements(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))


@cache
def imports(module: str) -> frozenset[str]:
    """The dotted names of all that a module imports; of ``from a import b``, a.b where that is a module."""
    path = modules()[module]
    known = {*modules(), "fastnn._native"}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node, inside in statements(ast.parse(path.read_text())):
        names = set()
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            names = {name if name in known else base for name in names}
        found |= {name for name in names if not (inside and (module, name) in STAIRS)}
    return frozenset(found)


def part(module: str) -> str:
    """The part of the house that a module of the package belongs to: backends for fastnn.backends.native."""
    return (module.split(".") + [""])[1]


needs_source = pytest.mark.skipif(not SOURCE.is_dir(), reason="the source tree is not here")


@needs_source
def test_every_module_has_a_floor():
    missing = {part(module) for module in modules()} - FLOOR.keys() - {""}
    assert not missing, f"give {missing} a place in FLOORS"


@needs_source
def test_imports_run_one_way():
    wrong = []
    for module in filter(part, modules()):
        floor = FLOOR[part(module)]
        inner = sorted(name for name in imports(module) if name.startswith("fastnn."))
        wrong += [f"{module} imports {name}" for name in inner if FLOOR.get(part(name), -1) > floor]
    assert not wrong, "upwards: " + ", ".join(wrong)


@needs_source
def test_nobody_imports_the_roof():
    """Below the top floor modules import each other, not what fastnn/__init__.py collects."""
    wrong = [module for module in modules() if "fastnn" in imports(module) and part(module) not in FLOORS[-1]]
    assert not wrong


@needs_source
def test_no_cycles():
    def reached(module, seen):
        for name in imports(module) & modules().keys() - seen:
            seen.add(name)
            reached(name, seen)
        return seen

    circular = [module for module in modules() if module in reached(module, set())]
    assert not circular, f"these import themselves in the end: {circular}"


@needs_source
@pytest.mark.parametrize("what", ONLY)
def test_only_one_part_imports(what):
    wrong = [
        f"{module} imports {name}"
        for module in modules() if part(module) != ONLY[what]
        for name in imports(module) if f"{name}.".startswith(f"{what}.")
    ]
    assert not wrong, "\n".join(wrong)


@needs_source
def test_line_budget():
    paths = [
        path
        for folder, pattern in [("src", "*.py"), ("src", "*.pyx"), ("csrc", "*"), ("tests", "*.py"),
                                ("benchmarks", "*.py"), ("examples", "*.py"), (".", "setup.py")]
        for path in (ROOT.glob(pattern) if folder == "." else (ROOT / folder).rglob(pattern))
    ]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in paths if p.is_file()}
    long = {path: n for path, n in lengths.items() if n > LINES and path not in LONG_FILES}
    assert not long, f"split these, or say in LONG_FILES why not: {long}"
    assert all(lengths.get(path, 0) > LINES for path in LONG_FILES), "LONG_FILES names short files"


@needs_source
def test_isa_tables_agree():
    """A row in setup.py has its row in dispatch.c."""
    built = re.findall(r'^    Isa\("(\w+)"', (ROOT / "setup.py").read_text(), re.MULTILINE)
    dispatched = re.findall(r"\{&fnn_table_(\w+),", (ROOT / "csrc" / "dispatch.c").read_text())
    assert built == dispatched


def test_version():
    assert importlib.metadata.version("fastnn-cpu") == fastnn.__version__


def test_runtime_dependencies():
    required = importlib.metadata.requires("fastnn-cpu")
    assert {re.match(r"[\w-]+", r)[0] for r in required if "extra ==" not in r} == {"numpy", "safetensors"}


def test_import_is_light():
    """Optional packages are imported on use, not by ``import fastnn``."""
    optional = ["sklearn", "scipy", "matplotlib", "torch", "jax", "onnx", "mpi4py", "tqdm"]
    code = f"import sys, fastnn; print([m for m in {optional} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]", out.stdout


PUBLIC = sorted(name for name in fastnn.__all__ if not name.startswith("_"))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    """Every public name says what it is and shows it: the example in its docstring runs."""
    thing = getattr(fastnn, name)
    text = thing.__doc__  # not the parent's
    assert text, f"fastnn.{name} has no docstring"
    if callable(thing) and not (inspect.isclass(thing) and issubclass(thing, Exception)):
        assert ">>>" in text, f"fastnn.{name} has no example"


NEEDS = {
    "fastnn.backends.native": "fastnn._native",
    "fastnn.estimators": "sklearn",
    "fastnn.plot": "matplotlib",
    "fastnn.lessons": "matplotlib",
    "fastnn.io.onnx_export": "onnx",
    "fastnn.io.onnx_import": "onnx",
    "fastnn.io.torch_export": "torch",
    "fastnn.io.torch_import": "torch",
    "fastnn.io.torch_modules": "torch",
}


@pytest.mark.parametrize("name", sorted(modules().keys() - {"fastnn.__main__"}) if SOURCE.is_dir() else [])
def test_examples_in_docstrings(name, tmp_path, monkeypatch):
    for part, package in NEEDS.items():
        if f"{name}.".startswith(f"{part}."):
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name),
                             optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@needs_source
def test_readme_example(tmp_path, monkeypatch):
    """The Python of the README runs as written."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    scope: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
