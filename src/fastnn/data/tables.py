"""Tables in text: CSV and its relatives, read whole, column by column; what is wrong is named by file and line."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

__all__ = ["Table", "TextColumn", "read_table"]

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # that are guessed
MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "?"}  # what stands for a value that is not there
BLOCK = 10_000  # rows worked on at a time
SAMPLE, ROWS = 1 << 16, 20  # bytes and rows by which delimiter and header are guessed
MOSTLY = 0.9  # a column with a larger share of numbers was meant to hold numbers alone
STDIN = "-"


@dataclass(frozen=True)
class TextColumn:
    """A column of text: its different values, and which of them each row has.

    Examples
    --------
    >>> TextColumn(["no", "yes"], np.array([1, 0, 1])).rows()
    ['yes', 'no', 'yes']
    """

    values: list[str]
    codes: np.ndarray

    def rows(self) -> list[str]:
        """The value of each row."""
        return [self.values[code] for code in self.codes]


@dataclass(frozen=True)
class Table:
    """What `read_table` read.

    Attributes
    ----------
    path : str
        Where from, for messages.
    names : tuple of str
        Of the columns; "column 0" and so on where the file has no header.
    columns : tuple of numpy.ndarray or TextColumn
        float64 where every value is a number, with NaN and infinity as the file has them; text otherwise.
    header : bool
        Whether the file's first line has the names.
    delimiter : str
        What stands between the fields.
    lines : numpy.ndarray
        On which line of the file each row ends.
    """

    path: str
    names: tuple[str, ...]
    columns: tuple[np.ndarray | TextColumn, ...]
    header: bool
    delimiter: str
    lines: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def index(self, column: str | int, what: str = "column") -> int:
        """The place of a column, by its name or its number: 0 is the first, -1 the last.

        Examples
        --------
        >>> table = Table("t.csv", ("a", "b"), (np.zeros(1), np.ones(1)), True, ",", np.array([2]))
        >>> table.index("b"), table.index("-1"), table.index(0)
        (1, 1, 0)
        """
        if column in self.names:
            return self.names.index(str(column))
        if re.fullmatch(r"-?\d+", str(column)) and -len(self.names) <= int(column) < len(self.names):
            return int(column) % len(self.names)
        listed = ", ".join(map(repr, self.names))
        raise ValueError(f"{self.path}: there is no {what} {column!r}; the columns are {listed:.400}"
                         f"{'...' * (len(listed) > 400)}, or 0 to {len(self.names) - 1}, or -1 for the last")

    def error(self, message: str, column: int, row: int | None = None) -> ValueError:
        """What is wrong with a column, at a row of it."""
        where = "" if row is None else f"line {self.lines[row]}, "
        return ValueError(f"{self.path}: {where}column {self.names[column]!r}: {message}")

    def require_complete(self, column: int) -> None:
        """Refuse a missing value, by its line."""
        values = self.columns[column]
        if isinstance(values, TextColumn):
            absent = np.isin(values.codes, [i for i, v in enumerate(values.values) if v.lower() in MISSING])
        else:
            absent = np.isnan(values)
        if absent.any():
            row = int(absent.argmax())
            got = repr(values.values[values.codes[row]]) if isinstance(values, TextColumn) else "'nan'"
            n = int(absent.sum())
            rest = f" ({n} rows of this column have none)" if n > 1 else ""
            raise self.error(f"expected a value, got {got}, a missing one{rest}; fill it in or leave the row out, "
                             "or leave the column out with --ignore", column, row)

    def numbers(self, column: int) -> np.ndarray:
        """A column of numbers; refuses missing values, infinity and text."""
        self.require_complete(column)
        values = self.columns[column]
        if isinstance(values, TextColumn):
            raise self.not_a_number(column)
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise self.error(f"expected a finite number, got {values[row]}", column, row)
        return values

    def not_a_number(self, column: int, hint: str = "") -> ValueError:
        """The error for the first value of a text column that is no number."""
        values = self.columns[column]
        assert isinstance(values, TextColumn)
        wrong = np.array([not _is_number(value) for value in values.values])[values.codes]
        row = int(wrong.argmax())
        text = values.values[values.codes[row]]
        if re.fullmatch(r"[+-]?[\d. ]*,\d+", text):
            hint = "; decimal commas must become points: write 3.5 for 3,5"
        return self.error(f"expected a number, got {text!r:.80}{hint}", column, row)

    def is_spoilt(self, column: int) -> bool:
        """Whether a column of text was meant to hold numbers: most of it does, or it has decimal commas."""
        values = self.columns[column]
        if not isinstance(values, TextColumn):
            return False
        numbers = np.array([_is_number(value) for value in values.values])[values.codes]
        return bool(numbers.mean() > MOSTLY) or all(re.fullmatch(r"[+-]?\d*,\d+", v) for v in values.values)


def read_table(path: str | os.PathLike[str], *, header: bool | None = None, delimiter: str | None = None,
               text: Collection[str | int] = ()) -> Table:
    r"""Read a table of text: comma-, semicolon- or tab-separated, with or without a header.

    Fields may be quoted; blank lines, a byte order mark and any line ends are taken as they come; a gzipped file
    is seen by its first bytes. A column is of numbers if every value in it is one.

    Parameters
    ----------
    path : path-like
        The file; "-" is the standard input.
    header : bool, optional
        Whether the first line has the names of the columns; by default it is looked whether it could.
    delimiter : str, optional
        What stands between the fields; by default the one of comma, semicolon and tab that cuts the first lines
        into equally many.
    text : collection of str or int
        Columns that are text even if all their values are numbers; names that are not there are passed over.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If the file is no table: it names the line.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> with open("size.csv", "w") as file:
    ...     _ = file.write("length,width,kind\n5.1,3.5,small\n7.0,3.2,large\n")
    >>> table = read_table("size.csv")
    >>> table.names, table.columns[0].tolist(), table.columns[2].rows()
    (('length', 'width', 'kind'), [5.1, 7.0], ['small', 'large'])
    """
    name, data = _content(path)
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ValueError(f"delimiter: expected one character, got {delimiter!r}")
    delimiter, rows = _first_rows(name, data, delimiter)
    if not rows:
        raise ValueError(f"{name}: expected a table, got nothing but blanks")
    if header is None:
        header = _looks_like_header(rows)
    names = _names(name, rows[0], header)
    if len(rows) - header < 1:
        raise ValueError(f"{name}: expected rows of values, got a header only ({', '.join(names):.200})")
    kept = _chosen(names, text)
    columns, lines = _by_numpy(data, delimiter, rows, header, kept) or \
        _any_columns(name, data, delimiter, header, names, kept)
    return Table(name, names, columns, header, delimiter, lines)


# ---- the file ----


def _content(path: str | os.PathLike[str]) -> tuple[str, bytes]:
    """A name for messages, and the bytes of a text."""
    name = os.fsdecode(path)
    if name == STDIN:
        name, data = "standard input", sys.stdin.buffer.read()
    else:
        if os.path.isdir(name):
            raise IsADirectoryError(f"{name}: expected a file, got a folder")
        if not os.path.exists(name):
            raise FileNotFoundError(f"{name}: expected a file, got nothing of that name")
        with open(name, "rb") as file:
            data = file.read()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{name}: expected a whole gzip file, got one that is damaged or cut short "
                             f"({error})") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{name}: expected UTF-8, got UTF-16; convert it first, for example with "
                         "iconv -f utf-16 -t utf-8")
    if b"\0" in data[:SAMPLE]:
        raise ValueError(f"{name}: expected a table in text (CSV), an NPZ or an IDX file, got a binary file "
                         f"that begins with {data[:4].hex(' ')}")
    try:
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}: line {line}: expected UTF-8, got byte {data[error.start]:#04x}; convert the file "
                         "first, for example with iconv -f latin1 -t utf-8") from None
    if not data.strip():
        raise ValueError(f"{name}: expected a table, got an empty file")
    return name, data


def _lines(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", errors="replace", newline="")


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _records(name: str, data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each row that is not blank."""
    reader = csv.reader(_lines(data), delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
    try:
        for row in reader:
            if not _is_blank(row):
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{name}: line {reader.line_num}: expected fields between delimiters, quoted or plain, "
                         f"got something else ({error}); is a quotation mark missing?") from None


def _first_rows(name: str, data: bytes, delimiter: str | None) -> tuple[str, list[list[str]]]:
    """The delimiter and the first rows."""
    sample = data if len(data) <= SAMPLE else data[:data.rfind(b"\n", 0, SAMPLE) + 1] or data
    if delimiter is None:
        first = sample.strip().split(b"\n", 1)[0]
        delimiter = max(DELIMITERS, key=lambda d: (_width(name, sample, d), first.count(d.encode())))
    return delimiter, [row for _, row in islice(_records(name, sample, delimiter), ROWS)]


def _width(name: str, sample: bytes, delimiter: str) -> int:
    """The number of fields of the first rows; 0 if it differs, or is 1, or their quotes are wrong."""
    try:
        widths = {len(row) for _, row in islice(_records(name, sample, delimiter), ROWS)}
    except ValueError:
        return 0
    return widths.pop() if len(widths) == 1 and widths != {1} else 0


# ---- the header ----


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _looks_like_header(rows: list[list[str]]) -> bool:
    """Whether the first row has names: text above numbers; or text alone, each once, that does not come again."""
    first, rest = [field.strip() for field in rows[0]], rows[1:]
    if not rest:
        return not any(map(_is_number, first))
    below = [[row[i].strip() for row in rest if i < len(row)] for i in range(len(first))]
    def is_name(text: str) -> bool:
        return not _is_number(text) and text.lower() not in MISSING
    if any(is_name(text) and all(_is_number(v) or v.lower() in MISSING for v in values)
           and any(map(_is_number, values)) for text, values in zip(first, below, strict=True)):
        return True
    repeats = any(text in values for text, values in zip(first, below, strict=True))
    return all(map(is_name, first)) and len(set(first)) == len(first) and not repeats


def _names(name: str, first: list[str], header: bool) -> tuple[str, ...]:
    names = [(field.strip() if header else "") or f"column {i}" for i, field in enumerate(first)]
    for i, each in enumerate(names):
        if each in names[:i]:
            raise ValueError(f"{name}: expected a different name for each column, got {each!r} for columns "
                             f"{names.index(each)} and {i}; if the file has no header, say --no-header")
    return tuple(names)


def _chosen(names: tuple[str, ...], text: Collection[str | int]) -> set[int]:
    """Places of the columns in `text` that are there."""
    table = Table("", names, (), True, ",", np.zeros(0))
    found = set()
    for column in text:
        try:
            found.add(table.index(column))
        except ValueError:
            continue
    return found


# ---- the columns ----

Columns = tuple[tuple[np.ndarray | TextColumn, ...], np.ndarray]  # and the line of each row


def _by_numpy(data: bytes, delimiter: str, rows: list[list[str]], header: bool, text: set[int]) -> Columns | None:
    """The columns by NumPy's parser, several times as fast; None for what it cannot take or would not take alike.

    Text are those in `text` and those with text in the first `rows`.
    """
    outside = rb'[^"\r\n' + re.escape(delimiter).encode() + b"]"
    if b'"' in data and (data.count(b'"') % 2 or re.search(outside + b'"' + outside + rb'| "', data)):
        return None  # NumPy takes any quotation mark as it comes
    if len({len(row) for row in rows}) > 1:
        return None
    first = list(zip(*rows[header:], strict=True))
    text = text | {i for i, fields in enumerate(first) if _numbers(fields) is None}
    dtype = np.dtype([(f"{i}", object if i in text else np.float64) for i in range(len(first))])
    try:
        values = np.loadtxt(_lines(data), dtype, delimiter=delimiter, skiprows=int(header), quotechar='"',
                            comments=None, ndmin=1)
    except ValueError:
        return None
    n_lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if n_lines != len(values) + header:  # blank lines, or some in quotes
        return None
    columns = [_text_column([values[name]]) if dtype[name].kind == "O" else np.ascontiguousarray(values[name])
               for name in dtype.names or ()]
    return tuple(columns), np.arange(len(values)) + 1 + header


def _text_column(parts: Iterable[Iterable[str]]) -> TextColumn:
    """Text, given some rows at a time."""
    known: dict[str, int] = {}
    codes = [np.array([known.setdefault(value.strip(), len(known)) for value in part]) for part in parts]
    return TextColumn(list(known), np.concatenate(codes))


def _any_columns(name: str, data: bytes, delimiter: str, header: bool, names: tuple[str, ...],
                 text: set[int]) -> Columns:
    """The columns by the csv module, which says on which line it is; text are those in `text` and whatever is."""
    parts: list[list[np.ndarray | tuple[str, ...]]] = [[] for _ in names]
    lines: list[np.ndarray] = []
    for block_lines, block in _blocks(name, data, delimiter, header, len(names)):
        lines.append(np.array(block_lines))
        for i, fields in enumerate(block):
            values = None if i in text else _numbers(fields)
            parts[i].append(fields if values is None else values)
    mixed = {i for i, column in enumerate(parts) if len({isinstance(part, np.ndarray) for part in column}) > 1}
    if mixed - text:  # the first rows were numbers: read them as text
        return _any_columns(name, data, delimiter, header, names, text | mixed)
    return tuple(np.concatenate(column) if isinstance(column[0], np.ndarray) else _text_column(column)
                 for column in parts), np.concatenate(lines)


def _blocks(name: str, data: bytes, delimiter: str, header: bool,
            width: int) -> Iterator[tuple[list[int], list[tuple[str, ...]]]]:
    """Lines and columns, some rows at a time."""
    records = islice(_records(name, data, delimiter), int(header), None)
    while block := list(islice(records, BLOCK)):
        for line, row in block:
            if len(row) != width:
                raise ValueError(f"{name}: line {line}: expected {width} fields, as the first line has, got {len(row)}"
                                 f"; fields are taken to be between {DELIMITERS.get(delimiter, repr(delimiter))}")
        yield [line for line, _ in block], list(zip(*(row for _, row in block), strict=True))


def _numbers(fields: Sequence[str]) -> np.ndarray | None:
    """Fields as float64, or None if one is no number."""
    try:
        values = np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        return None
    return None if "_" in "".join(fields) else values
