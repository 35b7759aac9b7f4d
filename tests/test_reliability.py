"""Short runs of the kill test and of the fuzzing, whose long runs docs/reliability.md records."""
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
import fuzz_files

HERE = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="attempts are forked")
def test_killed_twenty_times():
    path = os.pathsep.join(filter(None, (str(Path(fnn.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, str(HERE / "kill_training.py"), "--kills", "20"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300,
                         env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.match(r"20 kills, \d+ of them while .* all with the bits of the one left alone", run.stdout)


@pytest.mark.parametrize("kind", fuzz_files.READERS)
def test_a_thousand_damaged_files(kind):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        refused, read = fuzz_files.run(kind, 1000, seed=1)
    assert refused > 800 and read > 0, (refused, read)
