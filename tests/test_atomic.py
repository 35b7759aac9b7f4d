"""What is written to the disk is whole, or what was there stays."""
import os
import resource
import signal

import pytest

import fastnn as fnn
from fastnn.io import atomic


def model_of(seed=0):
    return fnn.Sequential([fnn.Dense(50)], (50,), seed=seed)


def test_order_of_what_goes_to_the_disk(tmp_path, monkeypatch):
    """The file's bytes before its name, the name before the folder: what a loss of power leaves is whole."""
    calls = []

    def spy(name):
        original = getattr(os, name)

        def called(*arguments, **settings):
            calls.append(name)
            return original(*arguments, **settings)
        monkeypatch.setattr(atomic.os, name, called)

    for name in ("fsync", "replace"):
        spy(name)
    model_of().save(tmp_path / "model")
    assert calls == ["fsync", "replace", "fsync"]


def test_a_full_disk(tmp_path):
    """The file-size limit of a process stands for it: the write comes up short, then fails."""
    path = tmp_path / "model"
    model_of(0).save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        with pytest.raises(OSError):
            model_of(1).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failing_disk(tmp_path, monkeypatch, failing):
    path = tmp_path / "model"
    model_of(0).save(path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError(5, "Input/output error")
    monkeypatch.setattr(atomic.os, failing, fail)
    with pytest.raises(OSError, match="Input/output"):
        model_of(1).save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_permissions_stay(tmp_path):
    path = tmp_path / "model"
    model_of().save(path)
    assert path.stat().st_mode & 0o600 == 0o600
    path.chmod(0o600)
    model_of(1).save(path)
    assert path.stat().st_mode & 0o777 == 0o600
