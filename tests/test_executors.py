"""Both executors run a Program alike: fused or not, in blocks, around host ops, and to a halt."""
import threading
from dataclasses import replace

import numpy as np
import pytest

import fastnn as fnn
from cases import LAYER_CASES, model_of, samples_of
from conftest import assert_close, assert_same_bits, rounding
from fastnn import backends, passes
from fastnn.backends import Halt, Memory, Pass
from fastnn.compilation import TARGET_SLOT, X_SLOT, Entry
from fastnn.graph import Walk
from fastnn.optimizers import OPTIMIZERS
from fastnn.program import ALIGN, OPS, Builder, Kind, Layout, Phase, Plan, Space
from steps import net, numbers, run_of, samples, train

# ------------------------------------------------------------------------------------------------ fusion

@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fused_updates_give_the_same_bits(combination, team, optimizer):
    X, y = samples(20 * 16 + 5, dtype=combination.dtype)
    results = []
    for fused, threads in ((False, 1), (True, 1), (False, 2), (True, 2)):
        team(threads)
        model = net(dtype=combination.dtype, optimizer=optimizer)
        names = [o.name for o in model._compiled.program(Entry("train", True, fused=fused)).ops]
        assert names.count("dense_backward_update") == (3 if fused else 0)
        assert (model.optimizer.op in names) != fused
        results.append([train(model, X, y, fused=fused), *numbers(model)])
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            assert_same_bits(got, expected, optimizer)


def test_slopes_are_fused_and_the_activation_layer_is_the_same(combination):
    """Dense(n, f) and Dense(n) with Activation(f) are one computation."""
    X, y = samples(100, dtype=combination.dtype)
    together = fnn.Sequential([fnn.Dense(33, "tanh"), fnn.Dense(3, "softmax")], (20,), combination.dtype, 3)
    apart = fnn.Sequential([fnn.Dense(33), fnn.Activation("tanh"), fnn.Dense(3, "softmax")], (20,),
                           combination.dtype, 3)
    for model in (together, apart):
        model.compile("sgd", "cross_entropy")
        assert "activation_backward" not in [o.name for o in model._compiled.program(Entry("gradient")).ops]
    assert_same_bits(train(together, X, y), train(apart, X, y))
    assert_same_bits(numbers(together)[0], numbers(apart)[0])


def test_rows_read_where_they_stand_give_the_same_bits(combination):
    X, y = samples(75, 20, dtype=combination.dtype)
    weight = np.linspace(0, 1, 75)
    results = []
    for direct in (False, True):
        model = net(dtype=combination.dtype)
        results.append([train(model, X, y, weight=weight, direct=direct, fused=True), *numbers(model)])
    for got, expected in zip(*results, strict=True):
        assert_same_bits(got, expected)


# ------------------------------------------------------------------------------------------------- arena

def lay_apart(program, rows):
    """Give every slot bytes of its own, so that all arrays of a step are there to see behind it."""
    sizes = dict.fromkeys(range(program.n_slots), 0)
    for a in (a for o in program.ops for a in o.operands if a is not None and a.space is Space.ARENA):
        sizes[a.slot] = max(sizes[a.slot], 16 * a.size(rows, program.time or 1) * a.dtype.itemsize)
    ends = np.cumsum([-(-n // ALIGN) * ALIGN for n in sizes.values()]).tolist()
    program.cache[rows, program.time or 1] = Plan(rows, (0, *ends[:-1]), ends[-1])


@pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: case.name)
def test_pad_lanes_of_the_arena(native_combination, case):
    """Kernels write zeros behind a row, up to whole vectors, and read nothing that was not written."""
    X, y = samples_of(case, 7)
    vector = {"baseline": 16, "avx2": 32, "avx512": 64}[native_combination.isa]
    gradients = []
    for poison in (0, 255):  # bytes of ones are NaN in every real dtype
        model = model_of(case, native_combination.dtype)
        program = model._compiled.program(Entry("gradient", True))
        lay_apart(program, 7)
        run = run_of(model, Entry("gradient", True), 7, X, y)
        run.arena[...] = poison
        run.begin(Pass(7, 7, 7, losses=np.zeros(1)))
        assert run.execute(0, 1) is None
        gradients.append(model._numbers.memory.gradients)
        for o in program.ops:
            private = OPS[o.name].private if o.kind is Kind.NATIVE else ()
            for a in (a for a in o.writes if a.space is Space.ARENA and a.dtype == model.dtype
                      and not any(o.operand(name) == a for name in private)):
                lanes, n = vector // a.dtype.itemsize, a.shape[-1]
                if len(a.shape) == 2:
                    whole = replace(a, shape=("B", -(-n // lanes) * lanes))
                    assert not run.view(whole, 7)[:, n:].any(), f"{o.layer}: {o.name}"
    assert_same_bits(*gradients)


# ------------------------------------------------------------------------------------------------ blocks

@pytest.mark.parametrize("block", [1, 16, 17, 49])
def test_a_step_in_blocks_is_the_step_at_once(combination, team, block):
    X, y = samples(120, dtype=combination.dtype)
    weight, order = np.linspace(0.1, 2, 120), np.random.default_rng(1).permutation(120)
    results = []
    for size, threads in ((50, 1), (block, 1), (block, 2)):
        team(threads)
        model = net(dtype=combination.dtype, optimizer="sgd")
        losses = train(model, X, y, 50, block=size, order=order, weight=weight, rate=0.1)
        results.append([losses, numbers(model)[0]])
    for got, expected in zip(results[1], results[0], strict=True):
        assert_close(got, expected, rounding(combination.dtype, 120), f"blocks of {block}")
    for got, expected in zip(results[2], results[1], strict=True):
        assert_same_bits(got, expected, "two threads")


@pytest.mark.parametrize("isa", backends.isas())
def test_a_pass_over_few_rows_leaves_room_for_many(native, isa):
    """Kernels want workspace for the rows they get: a Run has it for its largest block from the start."""
    X, y = samples(640, 100, 3)
    with fnn.use_isa(isa):
        sizes, results = [], []
        for passes_ in ((640,), (10, 640)):
            model = net((100, 300, 3))
            run = run_of(model, Entry("train", True), 640, X, y)
            before = numbers(model)[0].copy()
            for n in passes_:
                numbers(model)[0][...] = before
                numbers(model)[1][...] = 0
                run.begin(Pass(n, n, n, rates=np.full(1, 0.01), losses=np.zeros(1)))
                assert run.execute(0, 1) is None
                sizes.append(run.state.kept["workspace"].size)
            results.append(numbers(model)[0])
    assert len(set(sizes)) == 1, sizes
    assert_same_bits(*results)


# --------------------------------------------------------------------------------- programs made by hand

def memory_of(layout, dtype):
    return Memory(layout.zeros(), layout.zeros(), np.zeros(0, dtype), np.zeros(0, dtype))


def by_hand(dtype):
    return Builder(Layout(dtype), Layout(dtype), training=False)


def execute(b, walk, rows, arrays):
    program = passes.finish(b)
    run = backends.make_run(program, memory_of(program.parameters, b.dtype), rows)
    for slot, array in arrays.items():
        run.bind(slot, array)
    run.begin(walk)
    return run, run.execute(0, walk.steps)


@pytest.mark.parametrize("source", ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_gather(combination, team, source):
    """Rows of any dtype, in any order, from a view with gaps; labels and weights as they are."""
    team(2)
    rng = np.random.default_rng(0)
    for n in (1, 5, 16, 33):
        values = rng.integers(0, 120, (40, n + 3)) * (0.5 if source[0] == "f" else 1)
        X = values.astype(source)[::2, 1:n + 1]
        labels, weight, order = np.arange(20), rng.random(20), rng.permutation(20)
        b, seen = by_hand(combination.dtype), []
        bound = [b.bound(0, ("B", n), b.dtype), b.bound(1, ("B",), np.int64), b.bound(2, ("B",), np.float64)]
        gathered = [b.arena(a.shape, a.dtype) for a in bound]
        for a, to in zip(bound, gathered, strict=True):
            b.emit("gather", a, to, check_finite=1)
        b.emit("store", gathered[0], b.bound(3, ("B", n), b.dtype))
        b.emit_host(lambda *arrays, seen=seen: seen.append([a.copy() for a in arrays]), gathered[1:], [])
        out = np.zeros((20, n), combination.dtype)
        _, halt = execute(b, Pass(20, 6, 6, order), 6, {0: X, 1: labels, 2: weight, 3: out})
        assert halt is None
        assert_same_bits(out, X[order].astype(combination.dtype), source)
        assert_same_bits(np.concatenate([s[0] for s in seen]), labels[order])
        assert_same_bits(np.concatenate([s[1] for s in seen]), weight[order])


@pytest.mark.parametrize("threads", [1, 2])
def test_host_op_in_the_middle(combination, team, threads):
    """The run goes on behind a host op, in every block of every step; two of them, one at the end."""
    team(threads)
    b, calls = by_hand(combination.dtype), []
    x, doubled, w = b.arena(("B", 5)), b.arena(("B", 5)), b.parameters.add("w", (5, 3))
    y = b.arena(("B", 3))

    def double(x, y):
        calls.append(len(x))
        np.multiply(x, 2, out=y)

    def negate(out):
        np.negative(out, out=out)

    b.emit("gather", b.bound(0, x.shape, b.dtype), x)
    b.emit_host(double, [x], [doubled])
    b.emit("dense_forward", doubled, b.parameter(w), None, y, activation="identity")
    b.emit("store", y, b.bound(3, y.shape, b.dtype))
    b.emit_host(negate, [], [b.bound(3, y.shape, b.dtype)])
    program = passes.finish(b)
    memory = memory_of(program.parameters, b.dtype)
    weights = w.view(memory.parameters)
    weights[...] = np.arange(15).reshape(5, 3)
    X, out = np.arange(115.0).reshape(23, 5), np.zeros((23, 3), combination.dtype)
    run = backends.make_run(program, memory, 4)
    run.bind(0, X)
    run.bind(3, out)
    walk = Pass(23, 10, 4)
    run.begin(walk)
    assert run.execute(0, 1) is None and run.execute(1, 3) is None
    assert calls == [4, 4, 2, 4, 4, 2, 3]
    assert_same_bits(out, (-2 * X @ weights.astype(float)).astype(combination.dtype))


def test_host_op_between_gradient_and_update(backend):
    """Once a step: halving the gradient is halving the rate. An error inside comes out."""
    X, y = samples(30)
    results = []

    def halve(g):
        np.multiply(g, 0.5, out=g)

    for transform, rate in ((None, 0.05), (halve, 0.1), (lambda g: 1 / 0, 0.1)):
        model = net((20, 3), optimizer="sgd")
        b = Builder(model._numbers.parameters, model._numbers.persistent, training=True)
        walk = Walk(model._graph, b)
        walk.values[model._graph.inputs[0]] = model._compiled._input(b, Entry("train"), 0)
        model._compiled._emit_losses(b, walk, Entry("train", True))
        walk.backward()
        b.phase = Phase.TRANSFORM
        for segment in model.layers[0].segments.values() if transform else ():
            b.emit_host(transform, [], [b.gradient(segment)])
        b.phase = Phase.UPDATE
        model._compiled._emit_update(b)
        run = backends.make_run(passes.finish(b, fuse_update=False), model._numbers.memory, 4)
        run.bind(X_SLOT, X)
        run.bind(TARGET_SLOT, y)
        run.begin(Pass(30, 10, 4, rates=np.full(3, rate), losses=np.zeros(3)))
        if len(results) == 2:
            with pytest.raises(ZeroDivisionError):
                run.execute(0, 3)
        else:
            assert run.execute(0, 3) is None
            results.append(numbers(model)[0])
    assert_same_bits(*results)


# ------------------------------------------------------------------------------------------------- halts

@pytest.mark.parametrize("spoiled, op, layer", [
    ("dense.weight", "dense_forward", "dense"), ("dense_1.bias", "dense_forward", "dense_1"),
    ("rate", None, "dense"),
])
def test_check_mode_names_the_first_op(combination, team, spoiled, op, layer):
    team(2)
    model = net(dtype=combination.dtype, activation="relu", optimizer="sgd")
    rates = np.array([0.1, 0.1, 0.1])
    if spoiled == "rate":
        rates[1] = np.inf
    else:
        model.named_parameters()[spoiled][...] = np.inf
    X, y = samples(30, dtype=combination.dtype)
    run = run_of(model, Entry("train", True), 10, np.abs(X) + 1, y)
    run.begin(Pass(30, 10, 10, rates=rates, losses=np.zeros(3)))
    halt = run.execute(0, 3, check=True)
    found = run.program.ops[halt.op]
    assert (halt.reason, halt.step, found.layer) == ("nonfinite_value", int(spoiled == "rate"), layer)
    assert found.name == (op or model.optimizer.op)


@pytest.mark.parametrize("block", [16, 5])
def test_a_row_that_is_not_finite_is_found_before_its_step(combination, team, block):
    team(2)
    order = np.random.default_rng(0).permutation(80)
    before = net(dtype=combination.dtype)
    train(before, *samples(80, dtype=combination.dtype), order=order[:32], block=block)
    for row in (32, 36, 38, 40, 41, 47):
        X, y = samples(80, dtype=combination.dtype)
        X[order[[row, 70]], 3] = np.nan
        X[order[47], 19] = np.inf
        model = net(dtype=combination.dtype)
        run = run_of(model, Entry("train", True), block, X, y)
        run.begin(Pass(80, 16, block, order, rates=np.full(5, 0.01), losses=np.zeros(5)))
        halt = run.execute(0, 5)
        assert (halt.reason, halt.step, halt.row) == ("nonfinite_input", 2, row)
        assert_same_bits(numbers(model)[0], numbers(before)[0])


@pytest.mark.parametrize("n", [1, 16, 19])
def test_check_rows(combination, team, n):
    """Rows that are read where they stand: the first bad one halts, wherever in it the value is."""
    team(2)
    for column, value in ((0, np.nan), (n - 1, -np.inf), (n // 2, np.inf), (None, None)):
        b, X = by_hand(combination.dtype), np.ones((20, n + 2), combination.dtype)[:, 1:-1]
        b.emit("check_rows", b.bound(0, ("B", n), b.dtype))
        b.emit_host(lambda x: None, [b.bound(0, ("B", n), b.dtype)], [])
        X.base[:, [0, -1]] = np.nan  # not of these rows
        if column is not None:
            X[[13, 17], column] = value
        _, halt = execute(b, Pass(20, 6, 4), 4, {0: X})
        assert (halt and (halt.reason, halt.step, halt.row)) == (column is not None and
                                                                ("nonfinite_input", 2, 13) or None)


def test_stop_from_another_thread(backend):
    X, y = samples(100)
    model, walk = net(), Pass(1_000_000, 10, 10, np.resize(np.arange(100), 1_000_000))
    walk.rates, walk.losses = np.full(walk.steps, 0.01), np.zeros(walk.steps)
    run = run_of(model, Entry("train", True), 10, X, y)
    run.begin(walk)
    timer = threading.Timer(0.1, run.stop)
    timer.start()
    halt = run.execute(0, walk.steps)
    timer.join()
    assert halt.reason == "stopped" and 0 < halt.step < walk.steps - 1
    done = halt.step + 1
    assert walk.losses[:done].all() and not walk.losses[done:].any()
    assert run.execute(done, done + 5) is None
    straight = net()
    assert_same_bits(walk.losses[:done + 5], train(straight, X, y, 10, order=walk.index[:10 * (done + 5)]))
    assert_same_bits(numbers(model)[0], numbers(straight)[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_stop_from_a_host_op(combination, team, threads):
    team(threads)
    b, steps = by_hand(combination.dtype), []
    x = b.arena(("B", 5))
    b.emit("gather", b.bound(0, x.shape, b.dtype), x)

    def stop(x):
        steps.append(x[0, 0])
        if len(steps) == 3:
            run.stop()

    b.emit_host(stop, [x], [])
    program = passes.finish(b)
    run = backends.make_run(program, memory_of(program.parameters, b.dtype), 4)
    run.bind(0, np.arange(200.0).reshape(40, 5))
    run.begin(Pass(40, 4, 4))
    assert run.execute(0, 10) == Halt("stopped", 2, len(program.ops), -1)
    assert run.execute(3, 10) is None and len(steps) == 10
