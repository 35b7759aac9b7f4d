"""What tests of the command share: processes of it, and files for it."""
import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

import fastnn as fnn

# A shell's background job, and so a test run in one, has SIGINT ignored; the child takes it back.
TAKES_SIGINT = ("import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
                "from fastnn.cli import main; sys.exit(main(sys.argv[1:]))")


# where processes find this fastnn
SOURCES = os.pathsep.join([str(Path(fnn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


def python(*arguments):
    """A process of Python that finds this fastnn."""
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=os.environ | {"PYTHONPATH": SOURCES})


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def read_json(result):
    """The document that --json printed, of what the fixture `run` returns."""
    return json.loads("\n".join(result[1]))
