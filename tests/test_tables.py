"""Tables of text: what is read, what it is taken for, and what is refused by file, line and column."""
import csv
import gzip
import io
import re

import numpy as np
import pytest

from fastnn.data import tables
from fastnn.data.columns import Column, Columns, choose_columns, codes_of, labels_of
from fastnn.data.tables import TextColumn, read_table
from hostile_files import damage


@pytest.fixture
def read(tmp_path):
    """Write a file and read it as a table."""
    def read(content, **settings):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **settings)
    return read


def plain(table):
    return [c.rows() if isinstance(c, TextColumn) else c.tolist() for c in table.columns]


@pytest.mark.parametrize("content, names, columns", [
    ("a,b\n1,2\n3,4\n", ("a", "b"), [[1, 3], [2, 4]]),
    ("a;b\r\n1;2\r\n3;4\r\n\r\n\r\n", ("a", "b"), [[1, 3], [2, 4]]),
    ("a\tb\r1\t2\r3\t4", ("a", "b"), [[1, 3], [2, 4]]),
    ("\ufeffa,b\n1,2\n", ("a", "b"), [[1], [2]]),
    ("1,2\n3,4\n", ("column 0", "column 1"), [[1, 3], [2, 4]]),
    ("1,x\n3,y\n", ("column 0", "column 1"), [[1, 3], ["x", "y"]]),
    ('"a, or b",c\n" 1 ", x \n\n2,"y ""q"""\n', ("a, or b", "c"), [[1, 2], ["x", 'y "q"']]),
    ('a,b\n"1","two\nlines"\n2, "x, y"\n', ("a", "b"), [[1, 2], ["two\nlines", "x, y"]]),
    ("a,b\n1e3,-.5\n+2,inf\n", ("a", "b"), [[1000, 2], [-0.5, np.inf]]),
    ("a,b\n1_000,1\n2,1\n", ("a", "b"), [["1_000", "2"], [1, 1]]),
    (",b\n1,2\n", ("column 0", "b"), [[1], [2]]),
    ("größe,b\n1,ä\n", ("größe", "b"), [[1], ["ä"]]),
    ("p,x\ne,x\np,y\n", ("column 0", "column 1"), [["p", "e", "p"], ["x", "x", "y"]]),
    ("kind,cap\ne,x\np,y\n", ("kind", "cap"), [["e", "p"], ["x", "y"]]),
    ("only\n1\n2\n", ("only",), [[1, 2]]),
    ("a,b\n,1\n2,1\n", ("a", "b"), [["", "2"], [1, 1]])])
def test_what_is_read(read, content, names, columns):
    table = read(content)
    assert table.names == names and plain(table) == columns and len(table) == len(columns[0])


def test_the_users_word_is_taken(read):
    assert read("a,b\n1,2\n", header=False).columns[0].rows() == ["a", "1"]
    assert read("1,2\n3,4\n", header=True).names == ("1", "2")
    assert read("a b\n1 2\n", delimiter=" ").names == ("a", "b")
    assert plain(read("zip,x\n01,2\n02,3\n", text=["zip", "other"])) == [["01", "02"], [2, 3]]
    assert plain(read("zip,x\n01,2\n", text=["-2"])) == [["01"], [2]]


def test_gzip_and_stdin(read, monkeypatch):
    content = gzip.compress(b"a,b\n1,2\n")
    assert plain(read(content)) == [[1], [2]]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    table = read_table("-")
    assert plain(table) == [[1], [2]] and table.path == "standard input"
    with pytest.raises(ValueError, match=r"t\.csv: expected a whole gzip file"):
        read(content[:-9])


def test_both_parsers_agree(read, monkeypatch):
    """NumPy's is taken where it can be; Python's reads the same."""
    rng = np.random.default_rng(0)
    rows = [f"{x:.17g},{y:.6g},{kind}" for x, y, kind in
            zip(rng.normal(size=500), rng.normal(size=500) * 1e30, rng.choice(["no", "yes"], 500), strict=True)]
    content = "x,y,kind\n" + "\n".join(rows)
    fast = read(content)
    called = []
    real = tables._any_columns
    monkeypatch.setattr(tables, "_any_columns", lambda *a: called.append(1) or real(*a))
    assert plain(read(content)) == plain(fast) and not called
    monkeypatch.setattr(tables, "_by_numpy", lambda *_: None)
    monkeypatch.setattr(tables, "BLOCK", 7)
    slow = read(content)
    assert called and plain(slow) == plain(fast) and slow.lines.tolist() == fast.lines.tolist() == list(range(2, 502))
    late = read("x\n" + "1\n" * 100 + "two\n")  # text after blocks of numbers
    assert late.columns[0].values == ["1", "two"]


@pytest.mark.parametrize("content, message", [
    (b"", "expected a table, got an empty file"), (b" \n\n ", "empty file"), (b'""\n', "nothing but blanks"),
    (b"a,b\n", r"got a header only \(a, b\)"),
    (b"a,b\n1,2\n3\n", "line 3: expected 2 fields, as the first line has, got 1; fields are taken to be between com"),
    (b"a,b\n1,2\n\n\n3,4,5\n", "line 5: expected 2 fields, as the first line has, got 3"),
    (b'a,b\n1,"2\n3,4\n', "line 3: expected fields between delimiters.* is a quotation mark missing"),
    (b'a,b\n1,"2"x\n', "line 2: expected fields"),
    (b"a,a\n1,2\n", "a different name for each column, got 'a' for columns 0 and 1"),
    (b"\xff\xfea\0", "UTF-16; convert it first"), (b"a,b\n1,\xe9\n", "line 2: expected UTF-8, got byte 0xe9"),
    (b"\x7fELF\0\0\0", "binary file that begins with 7f 45 4c 46")])
def test_what_is_refused(read, content, message):
    with pytest.raises(ValueError, match=rf"t\.csv: .*{message}"):
        read(content)


def test_paths_and_settings(read, tmp_path):
    with pytest.raises(IsADirectoryError, match="expected a file, got a folder"):
        read_table(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv: expected a file, got nothing"):
        read_table("nowhere.csv")
    with pytest.raises(ValueError, match="delimiter: expected one character"):
        read("a,b\n1,2\n", delimiter=", ")


def test_places_of_columns(read):
    table = read("a,b,2\n1,2,3\n")
    assert [table.index(c) for c in ("a", "1", -1, "-1", "2", 2)] == [0, 1, 2, 2, 2, 2]
    with pytest.raises(ValueError, match=r"there is no column 'c'; the columns are 'a', 'b', '2', or 0 to 2"):
        table.index("c")
    with pytest.raises(ValueError, match="no target column '-4'"):
        table.index("-4", "target column")


@pytest.mark.parametrize("value", ["", "NA", "nan", "NaN", "?", "null", "N/A", " "])
@pytest.mark.parametrize("others", [("1", "2"), ("x", "y")])
def test_missing_values_name_the_line(read, value, others):
    """In columns of numbers and of text, after blank lines too."""
    table = read(f"n,v\n1,{others[0]}\n\n2,{value}\n3,{others[1]}\n", header=True)
    with pytest.raises(ValueError, match=rf"t\.csv: line 4, column 'v': expected a value, got "
                                         rf"'{re.escape(value.strip().lower())}', a missing one; fill it in"
                       if others[0] == "1" and value.lower() == "nan" else
                       rf"t\.csv: line 4, column 'v': expected a value, got '{re.escape(value.strip())}', a missing"):
        choose_columns(table, target=0)


@pytest.mark.parametrize("content, message", [
    ("n,v\n1,2\n2,inf\n", "line 3, column 'v': expected a finite number, got inf"),
    ("n;v\n1;2,5\n2;3,5\n", "line 2, column 'v': expected a number, got '2,5'; decimal commas must become points"),
    ("n,v\n" + "1,2\n" * 20 + "1,l5\n", "line 22, column 'v': expected a number, got 'l5'; if these are names"),
    ("n,v\n" + "".join(f"1,no {i}\n" for i in range(101)), "line 2, column 'v': expected numbers or at most 100 diff"),
    ("n\n1\n2\n", "expected a column beside the target 'n', got none")])
def test_columns_that_are_no_inputs(read, content, message):
    with pytest.raises(ValueError, match=rf"t\.csv: {message}"):
        choose_columns(read(content), target=0)


def test_names_become_zeros_and_ones(read):
    table = read("size,colour,price\n1,red,3\n2,green,4\n3,red,5\n")
    columns = choose_columns(table, target=2)
    assert columns.features == ("size", "colour=green", "colour=red") and columns.text == ("colour",)
    assert columns.encode(table).tolist() == [[1, 0, 1], [2, 1, 0], [3, 0, 1]]
    other = read("colour,note,size\ngreen,?,7\n")  # another order, and a column more
    assert columns.encode(other).tolist() == [[7, 1, 0]]
    without = read("4,red\n", header=False)
    assert columns.encode(without).tolist() == [[4, 0, 1]]
    with pytest.raises(ValueError, match="line 2, column 'colour': expected one of the categories that the model "
                                         "knows, green, red, got 'blue'"):
        columns.encode(read("size,colour\n1,blue\n"))
    with pytest.raises(ValueError, match=r"there is no 'size' among 'width', 'colour'"):
        columns.encode(read("width,colour\n1,red\n"))
    with pytest.raises(ValueError, match=r"there is no 'size', 'colour' among .* \(it has no header"):
        columns.encode(read("1,red,5\n1,red,5\n"))


def test_configurations():
    columns = Columns((Column("a"), Column("b", ("x", "y"))), "c", False)
    config = columns.get_config()
    assert Columns.from_config(config) == columns
    for wrong in ({**config, "inputs": [["a", None], ["a", None]]}, {**config, "target": 1}, {**config, "header": 1},
                  {**config, "inputs": [["a", [1]]]}, {**config, "more": 1}):
        with pytest.raises(ValueError, match="columns: expected"):
            Columns.from_config(wrong)


def test_classes(read):
    table = read("x,y,z,w\n1,b,2,0.5\n2,a,1,1\n3,b,2,0.5\n")
    assert [labels_of(table, i) for i in (1, 2, 3)] == [("a", "b"), (1, 2), (0.5, 1.0)]
    assert type(labels_of(table, 2)[0]) is int
    assert codes_of(table, 1, ("a", "b")).tolist() == [1, 0, 1]
    assert codes_of(table, 2, (1, 2)).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="line 3, column 'z': expected one of the classes that the model knows, 2, 3, "
                                         "got '1'"):
        codes_of(table, 2, (2, 3))


@pytest.mark.parametrize("inputs", [800, pytest.param(50_000, marks=pytest.mark.slow)])
def test_damaged_tables(tmp_path, inputs):
    """Whatever the bytes are, a table is refused in the one way or read as Python's csv module reads it."""
    originals = [b"a,b,kind\n1,2.5,x\n-3,1e4,y\n7,8,x\n", b'"a b";c\r\n"1";\r\n2;"x ""y"""\r\n',
                 "größe\tn\n1\t2\n3\t4\n".encode(), b"1,2\n3,4\n\n5,6", gzip.compress(b"a,b\n1,2\n3,4\n")]
    rng, path, read = np.random.default_rng(0), tmp_path / "t.csv", 0
    for _ in range(inputs):
        content = damage(originals[rng.integers(len(originals))], rng)
        path.write_bytes(content)
        try:
            table = read_table(path)
        except ValueError as error:
            assert type(error) is ValueError and str(error).startswith(f"{path}: "), error
            continue
        read += 1
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=table.delimiter,
                                          skipinitialspace=table.delimiter != "\t") if any(map(str.strip, row))
                or len(row) > 1][table.header:]
        for i, column in enumerate(table.columns):
            fields = [row[i].strip() for row in rows]
            assert fields == column.rows() if isinstance(column, TextColumn) else np.array_equal(
                np.array(fields, float), column, equal_nan=True), content
    assert inputs / 20 < read < inputs
