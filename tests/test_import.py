"""What ``import fastnn`` costs, and what it says where the machine or the installation is not as expected."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fastnn
from fastnn import backends

# Packages that fastnn or its extras use, and what of NumPy and the standard library is slow to import.
NOT_IMPORTED = [
    "jax", "matplotlib", "mpi4py", "onnx", "onnxruntime", "pandas", "safetensors", "scipy", "sklearn",
    "threadpoolctl", "torch", "tqdm", "fastnn.cli", "fastnn.data", "fastnn.profiling", "numpy.random",
    "argparse", "asyncio", "csv", "difflib", "json", "pathlib", "shutil", "tempfile", "unittest", "urllib",
]

IMPORT = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
before = set(sys.modules)
import fastnn
print(1e3 * (middle - start), 1e3 * (time.perf_counter() - middle))
print(*sorted(set(sys.modules) - before))
"""


def python(code, folder=None, **environment):
    """Run Python on `code`, with `folder` on its path and other variables of the environment."""
    path = str(folder or Path(fastnn.__file__).parents[1])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTNN_")}
    return subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{code}"],
                          capture_output=True, text=True, env={**clean, **environment})


def test_import_loads_nothing_extra(tmp_path, record_property):
    # Bytecode goes where it can be written, so that the second import is one of an installed package.
    runs = [python(IMPORT, PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(tmp_path)) for _ in range(2)]
    assert runs[-1].returncode == 0, runs[-1].stderr
    times, names = runs[-1].stdout.splitlines()
    extra = sorted(name for name in names.split() for unwanted in NOT_IMPORTED
                   if f"{name}.".startswith(f"{unwanted}."))
    assert not extra, f"import fastnn also imports {extra}; import them where they are used"
    known = sys.stdlib_module_names | {"fastnn", "numpy"}
    other = [name for name in names.split() if name.partition(".")[0] not in known and "cython" not in name]
    assert not other, f"import fastnn also imports {other}"
    numpy_ms, fastnn_ms = map(float, times.split())
    record_property("import_ms", fastnn_ms)
    print(f"import numpy {numpy_ms:.0f} ms, then import fastnn {fastnn_ms:.0f} ms")


@pytest.mark.parametrize("variable, value, words", [
    ("FASTNN_BACKEND", "cuda", ["expected 'native' or 'numpy'", "'cuda'"]),
    pytest.param("FASTNN_ISA", "avx1024", [*map(repr, backends.isas()), "'avx1024'"],
                 marks=pytest.mark.skipif(not backends.native, reason="the compiled core is not here")),
])
def test_a_bad_variable_is_named(variable, value, words):
    run = python("import fastnn", **{variable: value})
    assert run.returncode == 1
    message = run.stderr.splitlines()[-1]
    assert message.startswith(f"ValueError: {variable}: ")
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", backends.isas())
def test_isa_variable(name):
    code = "import fastnn.backends as b; print(b.isa(), b._isa_reason)"
    assert python(code, FASTNN_ISA=name).stdout.strip() == f"{name} chosen by FASTNN_ISA"


MODULE = f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.mark.parametrize("files, reason", [
    ({}, "this installation holds no compiled core for Python"),
    ({MODULE: "no machine code"}, "the compiled core does not load: "),
    ({"_native_missing.txt": "no C compiler was found\n"}, "no C compiler was found"),
], ids=["absent", "broken", "not built"])
def test_without_the_core(tmp_path, files, reason):
    """The package runs on NumPy and says why."""
    ignored = shutil.ignore_patterns("_native*", "__pycache__")
    shutil.copytree(Path(fastnn.__file__).parent, tmp_path / "fastnn", ignore=ignored)
    for name, text in files.items():
        (tmp_path / "fastnn" / name).write_text(text)
    run = python("from fastnn.cli import main; main(['info'])", tmp_path)
    assert run.returncode == 0, run.stderr
    lines = dict(line.split(None, 1) for line in run.stdout.splitlines())
    assert lines["backend"] == "numpy"
    assert lines["ISA"].startswith(f"none (no compiled core: {reason}")
    assert "partially initialized" not in run.stdout
    run = python("import fastnn", tmp_path, FASTNN_BACKEND="native")
    message = run.stderr.splitlines()[-1]
    assert message.startswith("ValueError: FASTNN_BACKEND: there is no native backend here"), message
    assert reason in message
