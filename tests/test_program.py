"""The Program: registries, arena, barriers, and the passes over its ops."""
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from fastnn import passes
from fastnn.activations import ACTIVATIONS
from fastnn.compilation import Entry
from fastnn.program import ALIGN, OPS, PAD, Builder, Kind, Phase, Space, resolve
from steps import net

CSRC = Path(__file__).resolve().parents[1] / "csrc"
needs_csrc = pytest.mark.skipif(not CSRC.is_dir(), reason="the C sources are not here")

# -------------------------------------------------------------------------------------------- registries

def test_ops_def_is_the_registry(native):
    """One list of ops: names, operands, settings alike in ops.def and in the NumPy kernels."""
    def text(names, schema):
        return " ".join(name + "?" * (name in schema.optional) for name in names)

    registry = {name: (f"{text(s.inputs, s)} -> {text(s.outputs, s)}".strip(), " ".join(s.dims),
                       " ".join(s.scalars)) for name, s in OPS.items()}
    assert registry == {row[0]: tuple(" ".join(field.split()) for field in row[1:])
                        for row in native.core.op_table()}


def test_activations_def_is_the_registry(native):
    assert set(native.core.activation_names()) == set(ACTIVATIONS)


@needs_csrc
def test_derivatives_are_of_the_same_variable():
    rows = re.findall(r"^ACTIVATION\((\w+), (\w+),", (CSRC / "activations.def").read_text(), re.MULTILINE)
    assert {name: of.lower() for name, of in rows} == {a.name: a.derivative_of for a in ACTIVATIONS.values()}


@needs_csrc
@pytest.mark.parametrize("python, c", [(Space, "space"), (Phase, "phase"), (Kind, "kind")])
def test_enums_are_those_of_the_core(python, c):
    text = (CSRC / "fastnn.h").read_text()
    body = re.search(rf"typedef enum \{{([^}}]*)\}} fnn_{c};", text)[1]
    names = [name.split("=")[0].strip().removeprefix("FNN_") for name in body.split(",")]
    assert [n for n in names if not n.startswith("N_")] == [member.name for member in python]
    assert re.search(r"define FNN_PAD (\d+)", text)[1] == str(PAD)
    assert re.search(r"define FNN_ALIGN (\d+)", text)[1] == str(ALIGN)


# ---------------------------------------------------------------------------------------- arena, barriers

ENTRIES = [Entry("predict", outputs=True), Entry("evaluate", True, True, True), Entry("gradient"),
           Entry("train", True, True, True), Entry("train", fused=True), Entry("train", True, direct=True)]
NETS = [(20, 3), (20, 33, 17, 3), (7, 100, 100, 100, 100, 3)]


def programs():
    for widths in NETS:
        for entry in ENTRIES:
            yield f"{widths} {entry}", net(widths)._compiled.program(entry)


def stretches(program):
    """The ops between two meetings of the team."""
    groups = [[]]
    for o in program.ops:
        if o.barrier:
            groups.append([])
        groups[-1].append(o)
    return groups


def arena_range(operand, plan, rows):
    begin = plan.offsets[operand.slot]
    return begin, begin + resolve(operand.shape, rows)[0] * operand.strides[0] * operand.dtype.itemsize


def test_arena_slots_that_live_together_do_not_overlap():
    for name, program in programs():
        for rows in (1, 7, 64):
            plan = program.plan(rows)
            lives = {}  # slot -> first, last stretch, bytes
            for number, group in enumerate(stretches(program)):
                for a in {a for o in group for a in o.operands if a and a.space is Space.ARENA}:
                    begin, end = arena_range(a, plan, rows)
                    assert begin % ALIGN == 0 and 0 <= begin < end <= plan.size, name
                    lives[a.slot] = lives.get(a.slot, (number,))[0], number, begin, end
            for slot, (first, last, begin, end) in lives.items():
                for other, (first2, last2, begin2, end2) in lives.items():
                    apart = slot == other or last < first2 or last2 < first or end <= begin2 or end2 <= begin
                    assert apart, f"{name}: slots {slot} and {other} with {rows} rows"


def test_arena_size():
    """It grows with the rows, and prediction of a deep net reuses what it no longer needs."""
    for name, program in programs():
        sizes = [program.plan(rows).size for rows in (1, 8, 64, 512)]
        assert all(a < b <= 8 * a + 8 * ALIGN * len(program.ops) for a, b in pairwise(sizes)), name
    deep, shallow = (net((50,) * n + (3,))._compiled.program(ENTRIES[0]).plan(64).size for n in (20, 4))
    assert deep == shallow


def cut(n, unit, i, parts):
    return min(n, -(-n // unit) * i // parts * unit)


def as_matrix(operand, ownership, rows):
    """An operand's shape and strides; one axis is a row where a team shares it by columns."""
    shape = resolve(operand.shape, rows)
    if len(shape) == 2:
        return shape, operand.strides
    return ((1, *shape), (0, 1)) if ownership == "region" else ((*shape, 1), (1, 0))


def region(operand, ownership, rows, thread, threads):
    """The part of an operand that a thread touches: slices of its two axes (csrc/share.h)."""
    (n_rows, n), _ = as_matrix(operand, ownership, rows)
    by_row = ownership == "rows" or (n_rows > 1 and n <= PAD * (2 * threads - 1))
    if not ownership:
        return slice(None), slice(None)
    if by_row:
        return slice(cut(n_rows, 1, thread, threads), cut(n_rows, 1, thread + 1, threads)), slice(None)
    return slice(None), slice(cut(n, PAD, thread, threads), cut(n, PAD, thread + 1, threads))


def races(program, rows, threads):
    """Ops that touch 4-byte cells which another thread writes since the last meeting of the team."""
    sizes = {Space.ARENA: program.plan(rows).size, Space.PARAMETER: program.parameters.size * 8,
             Space.GRADIENT: program.parameters.size * 8, Space.OPTIMIZER_STATE: program.parameters.size * 24,
             Space.PERSISTENT: program.persistent.size * 8}
    found = []
    for group in stretches(program):
        seen = {space: np.zeros((2, threads, size // 4), bool) for space, size in sizes.items()}
        for o in group:
            for a in o.operands:
                if a is None or a.space not in seen:
                    continue
                written = a in o.writes
                for thread in range(threads):
                    cells = seen[a.space]
                    offset = program.plan(rows).offsets[a.slot] if a.space is Space.ARENA else a.offset
                    each, where = a.dtype.itemsize // 4, region(a, o.ownership(a), rows, thread, threads)
                    shape, strides = as_matrix(a, o.ownership(a), rows)
                    views = np.ndarray((2, threads, *shape, each), bool, cells, offset // 4,
                                       (*cells.strides[:2], strides[0] * each, strides[1] * each, 1))
                    others = np.arange(threads) != thread
                    if views[0 if written else 1:, others][:, :, *where].any():
                        found.append((o.name, a))
                    views[int(written), thread][where] = True
    return found


@pytest.mark.parametrize("threads", [2, 3])
def test_barriers_keep_threads_apart(threads):
    for name, program in programs():
        for rows in (1, 7, 40):
            assert not races(program, rows, threads), name


def test_races_are_seen_without_barriers():
    for name, program in programs():
        bare = replace(program, ops=tuple(replace(o, barrier=False) for o in program.ops), cache={})
        assert races(bare, 40, 2), name


def test_there_are_no_more_barriers_than_the_dense_net_needs():
    """Rows, one meeting a layer, and the loss's: what the two-thread speed rests on."""
    ops = net((784, 128, 10))._compiled.program(Entry("train", True, fused=True)).ops
    assert sum(o.barrier for o in ops) <= 7, [(o.name, o.barrier) for o in ops]


# ------------------------------------------------------------------------------------------------ passes

def test_updates_are_not_fused_where_the_gradient_is_used():
    """A host op that looks at the gradient keeps it in memory."""
    model = net(optimizer="sgd")
    b = Builder(model._numbers.parameters, model._numbers.persistent, training=True)
    x, dy = b.arena(("B", 20)), b.arena(("B", 33))
    weight, bias = model.layers[0].segments.values()
    for look in (False, True):
        b.ops = []
        b.phase = Phase.BACKWARD
        b.emit("dense_backward_parameters", x, dy, b.gradient(weight), b.gradient(bias))
        b.phase = Phase.TRANSFORM
        if look:
            b.emit_host(lambda g: None, [b.gradient(weight)], [])
        b.phase = Phase.UPDATE
        for segment in (weight, bias):
            model.optimizer.emit(b, segment)
        assert ("dense_backward_update" in [o.name for o in passes.finish(b).ops]) != look


def test_phases_come_in_order():
    """What a step does once stands behind all that it does for every block."""
    for name, program in programs():
        if program.blockable:
            assert all(a.phase < Phase.TRANSFORM or b.phase >= Phase.TRANSFORM
                       for a, b in pairwise(program.ops)), name


def test_predict_looks_at_rows_it_does_not_copy(backend):
    model = fnn.Sequential([fnn.Dense(3, "relu")], input_shape=(30,), seed=0)
    X = np.random.default_rng(0).normal(size=(400, 30)).astype(np.float32)
    program = model._compiled.program(Entry("predict", outputs=True, direct=True))
    assert [o.name for o in program.ops] == ["check_rows", "dense_forward", "store"]
    for row, column, value in ((399, 29, np.inf), (300, 0, np.nan), (17, 16, -np.inf)):
        X[row, column] = value
        with pytest.raises(ValueError, match=rf"row {row}, column {column}\b"):
            model.predict(X)
