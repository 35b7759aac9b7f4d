"""The examples: each ends within its time and finds what it says, on three seeds; quick versions run always."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn as fnn

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
QUICK = {"residual.py": (1,), "rnn_addition.py": (1,), "multi_output.py": (1,), "transfer_digits.py": (1,),
         "gan_digits.py": (1, 2)}
pytestmark = pytest.mark.skipif(not NAMES, reason="the examples are not here")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_example_finds_what_it_says(name):
    path = os.pathsep.join([str(Path(fnn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=240,
                         env={**os.environ, "PYTHONPATH": path})
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("\n") >= 3, "it says what it found"


@pytest.mark.parametrize("name", sorted(QUICK))
def test_quick_versions(name, one_thread, capsys):
    """One seed; of the GAN, which needs the most time, a few epochs, which assert nothing about its samples."""
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(*QUICK[name])
    assert "seed 0: " in capsys.readouterr().out
