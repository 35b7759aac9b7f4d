"""Sealed safetensors files: a description and arrays, with a checksum for every array and for the header.

A file is what safetensors says (8 bytes of length, a header in JSON, the arrays one after the other without a
gap), so that any of its readers can look at the arrays. The header's metadata has one entry, "fastnn", JSON
again: the description, and under "checksums" the CRC-32 of each array and the SHA-256 of the header, taken with
zeros in its own place. So no bit of a file can change unseen.

The library writes the bytes. Reading them is done here, because its reader takes files that this one must
refuse (names given twice, for one), and because header and arrays must come from one open file: another
process may put a new file in its place meanwhile.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np

from .. import checks
from .atomic import replacing

FORMAT_VERSION = 2
MAX_HEADER = 1 << 24  # bytes
NO_SUM = "0" * 64  # what stands in the place of the header's checksum while that is taken
DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U32": "<u4", "U64": "<u8", "I16": "<i2",
          "U16": "<u2", "I8": "|i1", "U8": "|u1"}
OTHERS = {b"\x80": "a pickle", b"PK": "a zip archive, as PyTorch, Keras and NumPy write",
          b"\x89HDF": "an HDF5 file, as Keras wrote", b"\x93NUMPY": "a file of NumPy's"}
JSON_ERRORS = (ValueError, RecursionError)  # what json.loads raises, of bytes too


class ModelFileError(ValueError):
    """The file is damaged, of another program, or of a newer version; the message says what is wrong."""


@dataclass
class Record:
    """What a file holds."""

    kind: str  # "model", "checkpoint" or "estimator"
    description: dict[str, Any]
    arrays: dict[str, np.ndarray]
    path: str = ""  # that it was read from


def write(path: str | os.PathLike, record: Record) -> None:
    """Write a file, or raise OSError and leave what was there."""
    header, arrays = serialize(record)
    with replacing(path) as file:
        file.write(header)
        file.write(arrays)


def serialize(record: Record) -> tuple[bytes, memoryview]:
    """The bytes of a file: its header, and what comes after.

    Examples
    --------
    >>> header, arrays = serialize(Record("model", {"units": 3}, {"w": np.zeros(3)}))
    >>> len(header) % 8, len(arrays)
    (0, 24)
    """
    import json  # here, so that `import fastnn` need not wait for what files alone need

    from safetensors.numpy import save

    arrays = {name: np.asarray(array, order="C") for name, array in record.arrays.items()}
    sums = {"header": NO_SUM, "arrays": {name: crc32(array.data) for name, array in arrays.items()}}
    description = {"checksums": sums, "format": FORMAT_VERSION, "kind": record.kind, **record.description}
    content = save(arrays, {"fastnn": json.dumps(description)})
    end = 8 + int.from_bytes(content[:8], "little")
    if end > MAX_HEADER:
        raise ValueError(f"a file's header holds at most {MAX_HEADER} bytes, the description takes {end}")
    return seal(content[:end]), memoryview(content)[end:]


def seal(header: bytes) -> bytes:
    """A header, its length before it, with its checksum in the place of the zeros."""
    from hashlib import sha256

    return header.replace(NO_SUM.encode(), sha256(header).hexdigest().encode(), 1)


def read(path: str | os.PathLike, kinds: Collection[str]) -> Record:
    """Read a file of one of these kinds.

    The header is bounded, everything it says is held against the length of the file before an array is
    allocated, and no more is allocated than the file has bytes.

    Raises
    ------
    ModelFileError
        If anything is wrong with the file.
    OSError
        If it cannot be read at all.
    """
    with open(checks.file_path("path", path), "rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            description, entries = _read_header(file, size)
            kind = description["kind"]
            if kind not in kinds:
                raise ModelFileError(f"holds {_with_article(kind)}, expected "
                                     f"{' or '.join(map(_with_article, kinds))}{READERS.get(kind, '')}")
            arrays = _read_arrays(file, entries, description["checksums"]["arrays"])
            return Record(kind, description, arrays, os.fsdecode(path))
        except ModelFileError as error:
            raise ModelFileError(f"{os.fsdecode(path)}: {error}") from error.__cause__


READERS = {"estimator": "; read it with fastnn.estimators.load_estimator",
           "model": "; read it with fastnn.load", "gan": "; read it with fastnn.GAN.load",
           "checkpoint": "; go on with it by fit(..., resume=path)"}


def _with_article(kind: str) -> str:
    return f"a{'n' if kind[:1] in 'aeio' else ''} {kind}"


# ---- the header ----

Entry = tuple[str, np.dtype, tuple[int, ...], int, int]  # name, dtype, shape, begin and end of the bytes


def _read_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], list[Entry]]:
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= min(size - 8, MAX_HEADER):
        guess = next((f"; it looks like {what}" for magic, what in OTHERS.items() if start.startswith(magic)),
                     "")
        raise ModelFileError(f"no safetensors file, or a damaged one: it begins with "
                             f"{start.hex(' ') or 'nothing'}, has {size} bytes{guess}")
    text = file.read(length)
    header = _parse(text, "header")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("fastnn"), str):
        raise ModelFileError("a safetensors file, but not one of fastnn's")
    description = _parse(metadata["fastnn"], "description")
    version = description.get("format")
    if version != FORMAT_VERSION or type(version) is not int:
        newer = type(version) is int and version > FORMAT_VERSION
        raise ModelFileError(f"format {version!r}, this fastnn reads {FORMAT_VERSION}; "
                             + ("install a newer fastnn-cpu" if newer else "save it anew"))
    sums = description.get("checksums")
    if not isinstance(sums, dict) or not isinstance(sums.get("header"), str):
        raise ModelFileError("the header is damaged: it has no checksum")
    if not len(sums["header"]) == 64 or seal(_unsealed(start + text, sums["header"])) != start + text:
        raise ModelFileError("the header is damaged: its checksum does not fit")
    if list(metadata) != ["fastnn"] or not isinstance(description.get("kind"), str):
        raise ModelFileError("the header is damaged: expected metadata of fastnn's alone, with a kind")
    entries = sorted((_entry(name, value) for name, value in header.items()), key=lambda entry: entry[3:])
    at = 0
    for name, _, _, begin, end in entries:
        if begin != at:
            raise ModelFileError(f"array {name!r} begins at byte {begin}, expected {at}: arrays must not "
                                 "overlap or leave gaps")
        at = end
    if at != size - 8 - length:
        raise ModelFileError(f"expected {at} bytes of arrays, got {size - 8 - length}: the file is "
                             f"{'cut short' if at > size - 8 - length else 'longer than it should be'}")
    if not isinstance(sums.get("arrays"), dict) or sums["arrays"].keys() != header.keys():
        raise ModelFileError("the header is damaged: expected one checksum for each array")
    return description, entries


def _unsealed(header: bytes, checksum: str) -> bytes:
    """The header with zeros in the place of its checksum, the first such text in it."""
    return header.replace(checksum.encode(), NO_SUM.encode(), 1)


def _parse(text: str | bytes, what: str) -> dict[str, Any]:
    """JSON, an object, without a name given twice."""
    import json

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ModelFileError(f"the {what} is damaged: it has the name {twice!r} twice")
        return result

    try:
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=unique)
        if "\\ud" in text.lower():  # half of a pair of these is no text, as a name must be
            json.dumps(value, ensure_ascii=False).encode()
    except ModelFileError:
        raise
    except JSON_ERRORS as error:
        raise ModelFileError(f"the {what} is damaged: no JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"the {what} is damaged: expected a JSON object, got {type(value).__name__}")
    return value


def _entry(name: str, value: Any) -> Entry:
    """What the header says of an array."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError(f"array {name!r}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ModelFileError(f"array {name!r}: unknown dtype {dtype!r}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or len(shape) > 32:
        raise ModelFileError(f"array {name!r}: shape and data_offsets must be lists of whole numbers")
    begin, end = offsets
    n_bytes = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if end - begin != n_bytes or math.prod(max(n, 1) for n in shape) >= 1 << 48:
        raise ModelFileError(f"array {name!r}: shape {shape} of {dtype} takes {n_bytes} bytes, the header "
                             f"gives it {end - begin}")
    return name, np.dtype(DTYPES[dtype]), tuple(shape), begin, end


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


# ---- the arrays ----


def _read_arrays(file: BinaryIO, entries: list[Entry], sums: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, dtype, shape, begin, end in entries:
        content = np.empty(end - begin, np.uint8)
        if file.readinto(content) != len(content):  # type: ignore[attr-defined]
            raise ModelFileError(f"array {name!r}: the file ends before its {len(content)} bytes do")
        if crc32(content.data) != sums[name]:
            raise ModelFileError(f"array {name!r} is damaged: its checksum does not fit")
        arrays[name] = content.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    return arrays
