"""Kill a training with checkpoints at random moments, again and again; it must end as if left alone.

    python tests/kill_training.py --kills 1000

Each attempt is a process of its own, forked from this one (which never trains, so that no thread is lost),
goes on with the newest checkpoint and is killed with SIGKILL after a random time. When one gets to the end,
its weights, optimizer state, history and log file are held against those of a training that was never killed.
"""
import argparse
import hashlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time

import numpy as np

import fastnn as fnn

LONGEST = 0.25  # seconds until an attempt is killed, at the most


def train(folder):
    """Train to the end, going on with what is in the folder; a checksum of all that came of it."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 8)), rng.integers(0, 3, 400)
    layers = [fnn.Standardize(), fnn.Dense(48, "tanh"), fnn.Dropout(0.3), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, (8,), seed=1)
    model.compile(fnn.Adam(fnn.CosineDecay(0.01, total=240)), metrics=["accuracy"])
    log = os.path.join(folder, "log.csv")
    callbacks = [fnn.EMA(0.95), fnn.EarlyStopping("val_loss", patience=99), fnn.CSVLogger(log)]
    model.fit(X, y, batch_size=16, epochs=12, validation_split=0.2, callbacks=callbacks, verbose=0,
              checkpoint=os.path.join(folder, "checkpoints"), checkpoint_every=3, resume=True)
    checksum = hashlib.sha256(json.dumps(model.history.history).encode())
    for arrays in (model.state_dict(), *model._numbers.states()):
        for array in arrays.values():
            checksum.update(array.tobytes())
    with open(log, "rb") as file:
        checksum.update(file.read())
    return checksum.hexdigest()


def attempt(folder, seconds):
    """Run the training for at most so long; its checksum, or None where it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reader)
            os.write(writer, train(folder).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    ended = select.select([reader], [], [], seconds)[0]
    if not ended:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as pipe:
        checksum = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a training failed after its predecessor was killed, in {folder}")
    return checksum or None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    started = time.perf_counter()
    work = tempfile.mkdtemp()
    os.mkdir(os.path.join(work, "left-alone"))
    expected = attempt(os.path.join(work, "left-alone"), None)
    kills = trainings = writing = 0
    while kills < arguments.kills:
        folder = os.path.join(work, f"training-{trainings}")
        os.mkdir(folder)
        checksum = None
        while checksum is None:
            checksum = attempt(folder, rng.uniform(0, LONGEST) if kills < arguments.kills else None)
            if checksum is None:
                kills += 1
                checkpoints = os.path.join(folder, "checkpoints")
                names = os.listdir(checkpoints) if os.path.isdir(checkpoints) else []
                writing += any(name.endswith(".partial") for name in names)
        trainings += 1
        if checksum != expected:
            print(f"training {trainings}, after {kills} kills: its end is not that of the training left "
                  f"alone; see {folder}")
            return 1
        shutil.rmtree(folder)
    shutil.rmtree(work)
    seconds = time.perf_counter() - started
    print(f"{kills} kills, {writing} of them while a checkpoint was being written; {trainings} trainings "
          f"came to their end, all with the bits of the one left alone ({seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
