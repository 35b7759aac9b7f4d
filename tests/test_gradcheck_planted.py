"""One backward formula broken at a time, on the NumPy backend: the gradient check names what it spoils."""
from dataclasses import replace

import numpy as np
import pytest

import fastnn as fnn
from fastnn import catalogue
from fastnn.activations import ACTIVATIONS
from fastnn.backends.numpy_backend import NumpyRun
from fastnn.compilation import DX_SLOT, SLOTS, Compiled
from fastnn.inference import INPUTS
from fastnn.program import OPS, Phase, Space

CASES = catalogue.cases()
FORWARD = (Phase.GATHER, Phase.FORWARD)

# Every op that writes a gradient, with the output that gets spoiled. An operand is called dx where it is the
# gradient of x; more kinds of op make or take gradients under other names.
PLANTS = [(name, output) for name, schema in OPS.items() for output in schema.outputs if output[0] == "d"]
PLANTS += [(name, "y") for name in ("add", "multiply", "copy_columns", "rows_to_time", "rows_to_lanes",
                                  "lanes_to_rows", "scale")]
PLANTS += [(f"{name}_backward_parameters", "parts") for name in ("conv", "conv_transpose")]
PLANTS += [(name, "y") for name in ("scale_shift", "crop_pad", "random_flip", "random_shift", "random_rotation")]
PLANTS += [("dropout", "y"), ("row_squares", "row_sum"), ("norm_square", "total"), ("sgd", "w"), ("lazy_update", "w"),
           ("dense_backward_update", "w"), ("dense_backward_update", "b")]


@pytest.fixture(autouse=True)
def on_numpy():
    with fnn.use_backend("numpy"):
        yield


def programs(case):
    """The Programs that the check of a case runs, by the part of the loss they are of."""
    model, (X, y) = case.model(), case.samples(3)
    bound = model.bind(X, y)
    X, y, weight = model._checked(X, y, np.ones(3) if case.weighted else None)
    entry = model._compiled.entry("gradient", y, weight, fused=True)
    entries = {part or "total": entry._replace(part=part) for part in ("", "data", "penalty")}
    entries[INPUTS] = entries["data"]._replace(dx=True)
    found = {part: model._compiled.program(entry) for part, entry in entries.items()}
    sgd = fnn.SGD(1.0, **case.clipping)
    stepping = Compiled(model._graph, model._numbers, model._losses, sgd)
    found["step"] = stepping.program(entry._replace(kind="train"))
    return found, model, bound


def is_planted(o, name, output):
    return o.name == name and o.phase not in FORWARD and o.operand(output) is not None


def spoiled(program, model, name, output, layer):
    """The tensors that an error in that output of one layer's op reaches, by the Program alone."""
    tainted = set()
    for o in program.ops:
        if tainted & {a.place() for a in o.reads}:
            tainted |= {a.place() for a in o.writes}
        if is_planted(o, name, output) and o.layer == layer:
            tainted.add(o.operand(output).place())
    numbers, places = model._numbers, {}
    for i, input_name in enumerate(model.input_names):
        name_of_row = INPUTS if len(model.input_names) == 1 else f"{INPUTS}[{input_name!r}]"
        places[int(Space.BOUND) + DX_SLOT + SLOTS * i, -1, 0] = name_of_row
    for space, layout in ((Space.GRADIENT, numbers.trained), (Space.PARAMETER, numbers.parameters)):
        places |= {s.operand(space, layout.dtype).place(): n for n, s in layout.segments.items()}
    return {places[place] for place in tainted if place in places}


@pytest.fixture
def plant(monkeypatch):
    """``plant(op, output, layer)`` makes the op's kernel write that output 1% too large, but for forward."""
    prepare = NumpyRun._prepare

    def plant(name, output, layer):
        at = OPS[name].operands.index(output)

        def wrong(self, o, rows):
            record, kernel, arrays = prepare(self, o, rows)
            if not is_planted(o, name, output) or o.layer != layer:
                return record, kernel, arrays

            def spoil(*arrays, step):
                adds = o.accumulate or OPS[name].in_place and name != "copy_columns"  # of a gradient it copies all
                start = arrays[at].copy() if adds else 0.0
                kernel(*arrays, step=step)
                arrays[at][...] = start + 1.01 * (arrays[at] - start)

            return record, spoil, arrays

        monkeypatch.setattr(NumpyRun, "_prepare", wrong)

    return plant


def find(name, output):
    """A case with that output in its backward, and the lowest layer whose op has it."""
    for case in CASES:
        found, model, _ = programs(case)
        layers = [o.layer for program in found.values() for o in program.ops if is_planted(o, name, output)]
        if layers:
            return case, found, model, layers[-1]
    raise AssertionError(f"no case of the catalogue has {output} of {name} in its backward")


@pytest.mark.parametrize("name, output", PLANTS, ids=map("-".join, PLANTS))
def test_broken_op_is_found(plant, name, output):
    case, found, model, layer = find(name, output)
    expected = {part: spoiled(program, model, name, output, layer) for part, program in found.items()}
    assert any(expected.values())
    assert case.check(samples=10).passed
    plant(name, output, layer)
    for how in ({"samples": 10}, {"directions": 2}):
        check = case.check(**how)
        failed = {part: {t.name for t in check.part(part) if not t.passed} for part in found}
        assert failed["data"] == expected["data"] | {n for n in expected[INPUTS] if n.startswith(INPUTS)}, check
        assert failed["penalty"] == expected["penalty"], check
        assert failed["total"] == expected["total"] & {t.name for t in check.part("total")}, check
        # a step is held to the gradients: it differs where one of the two is wrong and not the other
        assert failed["step"] == expected["step"] ^ {n for n in expected["total"] if not n.startswith(INPUTS)}, check
    assert not fnn.check_gradients(case.model(), *case.samples(7), dtype="float32", samples=10).passed


def test_nothing_in_a_backward_escapes():
    """Ops of the backward pass that are not planted errors in write no gradient."""
    planted = {name for name, _ in PLANTS} | {"loss_sum", "store", "store_time", "distinct_tokens"}
    for case in CASES:
        for program in programs(case)[0].values():
            names = {o.name for o in program.ops if o.phase >= Phase.BACKWARD and o.kind.name == "NATIVE"}
            rest = names - planted
            assert rest <= {"penalty_sum", "max_norm"}, case.title


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "identity"])
def test_broken_slope_is_found(monkeypatch, name):
    """Layers below the activation are named, the one above is not."""
    case, = (case for case in CASES if case.title == f"activation {name}")
    row = ACTIVATIONS[name]
    assert case.check(samples=10).passed
    monkeypatch.setitem(ACTIVATIONS, name, replace(row, slope=lambda f, alpha: 1.01 * row.slope(f, alpha)))
    failed = case.check(samples=10).failed
    assert set(failed) == {"dense.weight", "dense.bias", "dense_1.weight", "dense_1.bias", INPUTS}


def test_broken_function_of_the_users_is_found():
    """A custom activation whose derivative is not its own."""
    layers = [fnn.Dense(4, (np.sin, np.sin)), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, input_shape=(5,), dtype="float64", seed=0)
    model.compile("sgd", "cross_entropy")
    X, y = np.random.default_rng(0).standard_normal((7, 5)), np.arange(7) % 3
    assert fnn.check_gradients(model, X, y).failed == ["dense.weight", "dense.bias", INPUTS]
