"""Files that are replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from .. import checks

PARTIAL = ".partial"  # how the names of files end that are still being written


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` at the end of the block: all of it on the disk, or nothing.

    What is written goes to a file beside `path`. Once that is on the disk (fsync) it is renamed to `path`,
    and the folder, which holds the names, goes to the disk too. Whatever ends the block early, or a process
    that is killed at any point, leaves what `path` was before.

    Raises
    ------
    OSError
        If the disk is full, or anything else keeps the file from being whole; `path` is then untouched.

    Examples
    --------
    >>> with replacing("notes.txt") as file:
    ...     _ = file.write(b"one")
    >>> with suppress(KeyError), replacing("notes.txt") as file:
    ...     _ = file.write(b"two, or so it would have been")
    ...     raise KeyError
    >>> with open("notes.txt") as file:
    ...     print(file.read(), os.listdir())
    one ['notes.txt']
    """
    path = checks.file_path("path", path)
    partial = f"{path}.{os.getpid()}-{threading.get_ident()}{PARTIAL}"
    try:
        with open(partial, "wb") as file:
            with suppress(FileNotFoundError):
                os.chmod(partial, stat.S_IMODE(os.stat(path).st_mode))  # what was private stays so
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
    _sync_folder(os.path.dirname(path) or ".")


def _sync_folder(folder: str) -> None:
    if os.name == "nt":  # which has no such call, and needs none
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot do that for folders
            raise
    finally:
        os.close(descriptor)
