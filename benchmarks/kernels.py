"""The ops one at a time: a row per op says its operands and sizes; each becomes a Program of one op."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import backends, passes
from fastnn.activations import ACTIVATIONS
from fastnn.backends import Memory, Pass
from fastnn.backends.numpy_kernels import Step
from fastnn.elementwise_losses import ELEMENTWISE_LOSSES
from fastnn.program import OPS, Builder, Layout, Op, Operand, resolve

RATE = 1e-6  # so small that many steps along one gradient change little
ADAM = {"rate_factor": 1.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}

# (B, i, o), (B, o) and (i, o) of the operands; the first two are quick
PRODUCTS = ((32, 4, 16), (32, 64, 32), (10, 784, 30), (64, 784, 128), (128, 784, 512), (512, 1024, 1024))
ROWS = ((32, 3), (64, 128), (128, 512), (10_000, 16), (512, 1024))
OUTPUTS = ((32, 3), (64, 10), (128, 100), (10_000, 4), (512, 1000))
ARRAYS = ((4, 16), (64, 32), (784, 128), (512, 512), (1024, 1024))
QUICK_SIZES = 2


@dataclass(frozen=True)
class Case:
    """An op with operands such as ``x="B i"``: in the arena, or bound by the caller where marked ``@``;
    of the run's dtype or of the one after a colon."""

    op: str
    sizes: tuple[tuple[int, ...], ...]
    operands: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        return f"{self.op}[{self.label}]" if self.label else self.op


def cases() -> Iterator[Case]:
    """Every row, the activations from their registry."""
    yield Case("gather", ROWS, {"source": "@B o", "y": "B o"}, {"check_finite": 1})
    yield Case("standardize", ROWS, {"x": "B o", "mean": "o", "scale": "o", "y": "B o"})
    yield Case("check_rows", ROWS, {"x": "B o"})
    yield Case("store", ROWS, {"x": "B o", "y": "@B o"})
    for activation in ("identity", "relu"):
        yield Case("dense_forward", PRODUCTS, {"x": "B i", "w": "i o", "b": "o", "y": "B o"},
                   {"activation": activation}, activation)
    yield Case("dense_backward_input", PRODUCTS, {"dy": "B o", "w": "i o", "f": "B i", "dx": "B i"},
               {"activation": "relu"}, "relu")
    yield Case("dense_backward_parameters", PRODUCTS, {"x": "B i", "dy": "B o", "dw": "i o", "db": "o"})
    step = {"x": "B i", "dy": "B o", "w": "i o", "b": "o"}
    yield Case("dense_backward_update", PRODUCTS, step, {"optimizer": "sgd", **ADAM}, "sgd")
    states = {"w_state1": "i o", "w_state2": "i o", "b_state1": "o", "b_state2": "o"}
    yield Case("dense_backward_update", PRODUCTS, step | states, {"optimizer": "adam", **ADAM}, "adam")
    for activation in ACTIVATIONS:
        settings = {"activation": activation, "alpha": 0.1}
        yield Case("activation_forward", ROWS, {"x": "B o", "y": "B o"}, settings, activation)
        yield Case("activation_backward", ROWS, {"dy": "B o", "f": "B o", "dx": "B o"}, settings, activation)
    yield Case("softmax_forward", OUTPUTS, {"x": "B o", "y": "B o"})
    yield Case("softmax_backward", OUTPUTS, {"dy": "B o", "y": "B o", "dx": "B o"})
    loss = {"y": "B o", "dlogits": "B o", "row_loss": "B:float64"}
    whole = {"factor": 1.0}
    for label, target in (("labels", "B:int64"), ("rows", "B o")):
        fused = {"logits": "B o", "target": target, **loss}
        yield Case("softmax_cross_entropy", OUTPUTS, fused, whole, label)
        yield Case("softmax_focal", OUTPUTS, fused, whole | {"gamma": 2.0}, label)
    yield Case("sigmoid_cross_entropy", OUTPUTS, {"logits": "B o", "target": "B o", **loss}, whole)
    yield Case("poisson_deviance", OUTPUTS, {"logits": "B o", "target": "B o", **loss})
    plain = {"y": "B o", "target": "B o", "dy": "B o", "row_loss": "B:float64"}
    yield Case("squared_error", OUTPUTS, plain, {"factor": 0.5})
    for row in ELEMENTWISE_LOSSES.values():
        a, b = row.settings({})
        yield Case("elementwise_loss", OUTPUTS, plain, {"loss": row.name, "a": a, "b": b, **whole}, row.name)
    hinge = {"margin": 1.0, "power": 1.0, **whole}
    yield Case("multi_class_hinge", OUTPUTS, plain | {"target": "B:int64"}, hinge)
    yield Case("cosine_distance", OUTPUTS, plain, {"offset": 1.0})
    yield Case("weigh_rows", OUTPUTS, {"x": "B o", "y": "B o"})
    yield Case("loss_sum", ((32, 1), (512, 1), (10_000, 1)), {"row_loss": "B:float64"})
    for name, schema in OPS.items():
        if schema.optimizer:
            yield Case(name, ARRAYS, dict.fromkeys(schema.operands, "i o"), ADAM)


CASES = {case.name: case for case in cases() if case.op in OPS}
WITHOUT_A_ROW = sorted(set(OPS) - {case.op for case in CASES.values()})


class Kernel:
    """One op of one size on the current backend, with numbers in its operands."""

    def __init__(self, case: Case, size: tuple[int, ...], dtype: str, milliseconds: float) -> None:
        self.case, self.dtype = case, np.dtype(dtype)
        letters = "Bio" if len(size) == 3 else "Bo" if "B" in " ".join(case.operands.values()) else "io"
        self.letters = dict(zip(letters, size, strict=True))
        self.rows = self.letters.get("B", 1)
        layouts = Layout(self.dtype), Layout(self.dtype)
        builder = Builder(*layouts, training=False)
        operands = [self._operand(builder, name) for name in OPS[case.op].operands]
        builder.emit(case.op, *operands, **case.settings)
        program = passes.finish(builder, fuse_update=False)
        self.op: Op = program.ops[0]
        _, self.flops, self.bytes = program.cost(self.rows)[0]
        shapes = [resolve(o.shape, self.rows) for o in self.op.writes or self.op.reads]
        self.elements = max(int(np.prod(shape)) for shape in shapes)
        self.steps = self._steps(milliseconds)
        self.run = backends.make_run(program, Memory(*(np.zeros(0, self.dtype) for _ in range(4))), self.rows)
        self._fill()

    def _operand(self, builder: Builder, name: str) -> Operand | None:
        if name not in self.case.operands:
            return None
        text, _, dtype = self.case.operands[name].partition(":")
        shape = tuple("B" if c == "B" else self.letters[c] for c in text.lstrip("@").split())
        if text.startswith("@"):
            return builder.bound(0, shape, self.dtype)
        return builder.arena(shape, np.dtype(dtype or self.dtype))

    def _steps(self, milliseconds: float) -> int:
        """So many in one call that calling costs little; the same for every backend: tables compare."""
        seconds = max(self.flops / 60e9, self.bytes / 30e9, 1e-7)
        steps = max(1, min(2000, round(1e-3 * milliseconds / seconds)))
        return min(steps, max(1, 2 ** 26 // self.bytes)) if self.bound else steps

    @property
    def bound(self) -> bool:
        return any("@" in text for text in self.case.operands.values())

    def _fill(self) -> None:
        rng = np.random.default_rng(0)
        schema = OPS[self.case.op]
        n_rows = self.rows * self.steps
        self.arrays: list[np.ndarray | None] = []
        for name, operand in zip(schema.operands, self.op.operands, strict=True):
            if operand is None:
                self.arrays.append(None)
                continue
            if "@" in self.case.operands[name]:
                array = np.zeros((n_rows, *operand.shape[1:]), operand.dtype)
                self.run.bind(0, array)
            else:
                array = self.run.view(operand, self.rows)
            array[...] = self._numbers(rng, name, array.shape)
            self.arrays.append(array)
        index = rng.permutation(n_rows) if self.case.op == "gather" else None
        self.walk = Pass(n_rows, self.rows, self.rows, index, rates=np.full(self.steps, RATE),
                         losses=np.zeros(self.steps))
        self.run.begin(self.walk)

    def _numbers(self, rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if "int64" in self.case.operands[name]:
            return rng.integers(0, self.letters["o"], shape)
        numbers = rng.normal(size=shape)
        row = ELEMENTWISE_LOSSES.get(self.case.settings.get("loss", ""))
        if row is not None and name == "y":
            return numbers if row.range[0] < 0 else rng.uniform(0.05, 0.95, shape)
        if row is not None and row.targets in ("signs", "binary"):
            return np.sign(numbers) if row.targets == "signs" else rng.random(shape)
        if name in ("target", "square", "w_state2", "b_state2", "scale"):
            return 0.1 + np.abs(numbers)
        activation = ACTIVATIONS.get(self.case.settings.get("activation", ""))
        if name == "f" and activation.derivative_of == "output":
            return activation.function(numbers, 0.1)
        return numbers

    def verify(self) -> None:
        """One step must give what NumPy gives in float64 from the same numbers."""
        schema = OPS[self.case.op]
        wide = [a if a is None else a.astype("i8" if a.dtype.kind == "i" else "f8") for a in self.arrays]
        step = Step(index=self.walk.index, rate=RATE, weight_sum=self.rows)
        bound = [o is not None and "@" in self.case.operands[n]
                 for n, o in zip(schema.operands, self.op.operands, strict=True)]
        arguments = [a[:self.rows] if is_bound and self.walk.index is None else a
                     for a, is_bound in zip(wide, bound, strict=True)]
        with np.errstate(all="ignore"):
            schema.kernel(*arguments, step=step, **dict(self.op.settings))
        halt = self.run.execute(0, 1)
        assert halt is None, f"{self.case.name}: halted, {halt.reason}"
        if self.case.op == "loss_sum":
            self._compare("loss", self.walk.losses[:1], np.array([step.loss]))
        for i in range(len(schema.inputs), len(schema.operands)):
            if self.arrays[i] is not None:
                rows = slice(0, self.rows) if bound[i] else slice(None)
                self._compare(schema.operands[i], self.arrays[i][rows], wide[i][rows])

    def _compare(self, name: str, got: np.ndarray, want: np.ndarray) -> None:
        terms = max(self.letters.values()) if "dense" in self.case.op else 0
        terms += 0 if "loss" not in name else self.letters["o"]
        allowed = (16 + terms) * np.finfo(self.dtype).eps * max(1.0, float(np.abs(want).max()))
        worst = np.unravel_index(np.argmax(np.abs(got - want)), want.shape)
        error = abs(float(got[worst]) - float(want[worst]))
        assert error <= allowed, (
            f"{self.case.name}, {name}{list(map(int, worst))}: expected {want[worst]!r}, got {got[worst]!r}, "
            f"off by {error:.3g} > {allowed:.3g}; shape {want.shape}, {self.dtype}, {backends.backend()} "
            f"backend, ISA {backends.isa()}")

    def __call__(self) -> None:
        self.run.execute(0, self.steps)
