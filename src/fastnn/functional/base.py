"""Any op on arrays, and functions on arrays made from an op's signature."""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import backends, checks
from ..activations import ACTIVATIONS, default_alpha
from ..backends.numpy_kernels import Step
from ..checks_arrays import describe, packed, read_array
from ..elementwise_losses import ELEMENTWISE_LOSSES
from ..operands import MOST_PIXELS, check_size
from ..program import OPS

Array = np.ndarray
_REALS = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}  # as the core counts them
_ALPHAS = {name: (default_alpha(name),) for name in ACTIVATIONS}
_ARGUMENTS = {"beta1": "beta_1 or beta", "beta2": "beta_2 or rho", "smoothing": "label_smoothing",
              "decay": "weight_decay"}  # what the functions call an op's settings
_CHOICES: dict[str, Mapping[str, Any]] = {"activation": ACTIVATIONS, "loss": ELEMENTWISE_LOSSES}


def call(name: str, arrays: Sequence[np.ndarray | None], *, weight_sum: float = 1.0, rate: float = 0.0,
         update: int = 1, seed: int = 0, row: int = 0, real: Any = None, time: int = 1,
         **settings: Any) -> float:
    """Run any op on arrays in the order of its operands (None: absent); outputs are written in place.

    Their shapes are not checked. Images are (B, h, w, c), sequences (T B, n) of `time` steps T. `row` is the
    number of the first row in its step; `real` the op's dtype where no array tells. Returns what the op adds
    to the loss. Ops on a Run's rows (gather) want a Program.

    Examples
    --------
    >>> call("loss_sum", (np.array([1.0, 2.0]), None), weight_sum=2, factor=1.0)
    1.5
    """
    schema = OPS[name]
    if len(arrays) != len(schema.operands):
        raise ValueError(f"arrays: expected {len(schema.operands)} for {name} "
                         f"({', '.join(schema.operands)}), got {len(arrays)}")
    settings = {**dict.fromkeys(schema.dims, 0), **dict.fromkeys(schema.scalars, 0.0), **settings}
    if settings.get("activation") in _ALPHAS and not settings["alpha"]:
        settings["alpha"], = _ALPHAS[settings["activation"]]
    if backends.backend() == "numpy":
        step = Step(rate=rate, update=update, weight_sum=weight_sum, seed=seed, batch_row=row, time=time)
        with np.errstate(all="ignore"):
            schema.kernel(*arrays, step=step, **settings)
        return float(step.loss)
    native = backends.native
    dims = tuple(native.setting(n, settings[n]) for n in schema.dims)
    scalars = tuple(settings[n] for n in schema.scalars)
    dtype = _REALS[np.dtype(real)] if real else next(
        _REALS[a.dtype] for a in arrays if a is not None and a.dtype in _REALS)
    inside: list[Any] = list(arrays)
    batch = 0
    images = {i: a for i, a in enumerate(arrays) if a is not None and a.ndim == 4
              and schema.operands[i] in schema.lanes}
    for i, array in images.items():
        inside[i] = native.to_lanes(array, "constant" if schema.operands[i].startswith("d") else "edge")
        batch = len(array)
    loss = native.core.call(native.OPCODES[name], dtype, tuple(inside), len(schema.inputs), dims, scalars,
                            rate, update, weight_sum, seed=seed, row=row, time=time, batch=batch)
    for i, array in images.items():
        if i >= len(schema.inputs):
            array[...] = native.from_lanes(inside[i], batch)
    return loss


class _Form(NamedTuple):
    """A shape that an operand may have."""

    dims: str  # a letter for each axis, or "*": one or two axes
    dtype: np.dtype | None  # None: that of the op
    below: str  # the letter whose size labels stay below, or ""


class _Operand(NamedTuple):
    name: str
    optional: bool
    forms: tuple[_Form, ...]


def _operand(text: str) -> _Operand:
    name, _, forms = text.partition(":")
    return _Operand(name.rstrip("?"), name.endswith("?"), tuple(map(_form, forms.split("|"))))


def _form(text: str) -> _Form:
    dims, _, below = text.partition("<")
    dims, _, dtype = dims.partition(".")
    return _Form(dims, np.dtype("i8") if below else np.dtype(dtype) if dtype else None, below)


class _Op:
    """An op by its signature, and the way of arrays that the core cannot use as they stand.

    In ``x:bi w:io b?:o -> y:bo`` letters are sizes and ``?`` marks what may be None. ``b.f8`` is float64 in
    every op: weights of the rows, whose sum a mean divides by. ``bn|b<n`` is one of two: rows, or int64
    labels below n. ``*`` is one or two axes, the same everywhere. What is right of ``->`` is made here; what
    is right of ``=>`` is given too, and changed in place. Besides its arrays (a tuple) an op takes the
    activation or the loss by name, its other settings (a tuple, in the schema's order), the rate and the
    number of the update.
    """

    def __init__(self, name: str, signature: str, fixed: dict[str, int]) -> None:
        inputs, arrow, outputs = re.split(" ([-=]>) ", signature)
        self.schema, self.fixed, self.n_inputs = OPS[name], fixed, len(inputs.split())
        self.operands = tuple(map(_operand, f"{inputs} {outputs}".split()))
        self.in_place = arrow == "=>"
        self.chosen = next((dim for dim in self.schema.dims if dim in _CHOICES), "")
        self.core: Any = None
        if backends.native:
            codes = backends.native.CODES[self.chosen] if self.chosen else None
            self.core = backends.native.core.Op(
                backends.native.OPCODES[name], self.operands, self.n_inputs, self.in_place,
                next(iter(fixed.values()), 0), codes, self.convert)

    def convert(self, given: Sequence[Any], choice: Any = None, scalars: Sequence[Any] = (),
                rate: Any = 0.0, update: Any = 1) -> Any:
        """What the core's ``run`` does, for all that it leaves to Python: conversions, errors, and NumPy."""
        if self.chosen:
            checks.lookup(self.chosen, choice, _CHOICES[self.chosen])
        settings = tuple(number(_ARGUMENTS.get(n, n), value)
                         for n, value in zip(self.schema.scalars, scalars, strict=False))
        rate, update = number("rate", rate), checks.positive_int("update", update)
        arrays = [_plain(o, value) for o, value in zip(self.operands, given, strict=False)]
        dtype = _real(arrays[self.n_inputs if self.in_place else 0])
        if self.in_place:
            for o, value in zip(self.operands[self.n_inputs:], given[self.n_inputs:], strict=True):
                _check_writable(o, value, dtype)
        sizes: dict[str, Any] = {}
        arrays = [a if a is None else _fitted(o, a, dtype, sizes)
                  for o, a in zip(self.operands, arrays, strict=False)]
        if backends.backend() == "native":
            results = self.core.run_converted(tuple(arrays), choice, settings, rate, update)
            assert results is not NotImplemented, f"{self.schema.name} refuses what was converted for it"
        else:
            results = self._run_numpy(arrays, choice, settings, rate, update, sizes, dtype)
        for array, value in zip(arrays[self.n_inputs:], given[self.n_inputs:], strict=True):
            if not np.may_share_memory(array, value):  # type: ignore[arg-type]
                value[...] = array
        return results

    def _run_numpy(self, arrays: list[np.ndarray | None], choice: Any, numbers: tuple[float, ...],
                   rate: float, update: int, sizes: dict[str, Any], dtype: np.dtype) -> Any:
        made = [np.empty([sizes[letter] for letter in o.forms[0].dims], o.forms[0].dtype or dtype)
                for o in self.operands[len(arrays):]]
        weights = [a for a, o in zip(arrays, self.operands, strict=False)
                   if a is not None and o.forms[0].dtype == np.float64]
        total = weights[0].sum() if weights else sizes.get("b", 1)
        weight_sum = float(total) or 1.0  # all zero: so are loss and gradient
        settings: dict[str, Any] = {**self.fixed, **dict(zip(self.schema.scalars, numbers, strict=False))}
        if self.chosen:
            settings[self.chosen] = choice
        absent = [None] * (len(self.schema.operands) - len(self.operands))
        call(self.schema.name, [*arrays, *made, *absent], weight_sum=weight_sum, rate=rate, update=update,
             **settings)
        return tuple(made) if len(made) > 1 else made[0] if made else None


def _real(leader: np.ndarray | None) -> np.dtype:
    """The dtype that the first array chooses."""
    return leader.dtype if leader is not None and leader.dtype in _REALS else np.dtype(np.float64)


def number(name: str, value: Any) -> float:
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number that float64 can hold, got {describe(value)}") from None


def flag(name: str, value: Any) -> int:
    return int(checks.boolean(name, value))


def _plain(o: _Operand, value: Any) -> np.ndarray | None:
    if value is None and o.optional:
        return None
    if np.ma.is_masked(value):
        raise ValueError(f"{o.name}: expected an array of numbers, got a masked array; fill it in with .filled(...)")
    try:
        array = read_array(value)
    except Exception as error:  # whatever the object's own code raises
        raise ValueError(f"{o.name}: expected an array of numbers, got {describe(value)}: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{o.name}: expected an array of numbers, got {describe(value)}")
    return array


def _check_writable(o: _Operand, value: Any, dtype: np.dtype) -> None:
    expected = f"{o.name}: expected a writable array of {dtype}, it is changed in place"
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        raise TypeError(f"{expected}, got {describe(value)}")
    if not value.flags.writeable:
        raise ValueError(f"{expected}, got a read-only one")


_SIZES = {"b": "rows", "i": "n_in", "o": "n_out", "n": "n", "h": "height", "w": "width", "c": "channels", "t": "time",
          "p": "height or 1", "q": "width or 1", "g": "groups", "k": "height", "l": "width", "s": "4 units",
          "v": "tokens"}


def _expected(form: _Form, sizes: dict[str, Any]) -> str:
    if form.dims == "*":
        return f"shape {sizes['*']}" if "*" in sizes else "shape (n,) or (rows, n)"
    shape = ", ".join(str(sizes.get(letter, _SIZES[letter])) for letter in form.dims)
    labels = f"labels 0..{sizes[form.below] - 1} of " if form.below else ""
    return f"{labels}shape ({shape}{',' * (len(form.dims) == 1)})"


def _fitted(o: _Operand, array: np.ndarray, dtype: np.dtype, sizes: dict[str, Any]) -> np.ndarray:
    """The array as the kernels take it; notes its sizes."""
    expected = f"{o.name}: expected {' or '.join(_expected(form, sizes) for form in o.forms)}"
    for form in o.forms:
        if form.dims == "*":
            new, fits = {"*": array.shape}, array.ndim in (1, 2)
        else:
            new, fits = dict(zip(form.dims, array.shape, strict=False)), array.ndim == len(form.dims)
        if fits and all(sizes.get(letter, n) == n for letter, n in new.items()):
            break
    else:
        raise ValueError(f"{expected}, got {describe(array)}")
    if any(n == 0 and letter != "b" for letter, n in new.items()):
        raise ValueError(f"{expected} with at least one column, got {describe(array)}")
    sizes.update(new)
    with np.errstate(all="ignore"):
        converted = packed(array, form.dtype or dtype)
    if form.dtype is not None and form.dtype.kind == "i" and not form.below and (converted != array).any():
        raise ValueError(f"{expected} of whole numbers, got {array[converted != array][0]}")
    if form.below:
        wrong = (converted != array) | (converted < 0) | (converted >= sizes[form.below])
        if wrong.any():
            raise ValueError(f"{expected}, got {array[wrong][0]} at row {np.argmax(wrong)}")
    return converted


def op(name: str, signature: str, **fixed: int) -> Callable[..., Any]:
    op = _Op(name, signature, fixed)
    return op.core.run if op.core else op.convert


def alphas(activation: str, alpha: float | None) -> tuple[float, ...]:
    if alpha is not None:
        return (number("alpha", alpha),)
    return _ALPHAS.get(activation, ()) if isinstance(activation, str) else ()


def as_array(name: str, value: Any, dims: str) -> np.ndarray:
    """A new array of what was given, as the kernels take it; `dims` as in a signature."""
    operand = _operand(f"{name}:{dims}")
    array = _plain(operand, value)
    assert array is not None
    return _fitted(operand, array, _real(array), {}).copy()


def as_arrays(signature: str, *given: Any, **known: int) -> list[Any]:
    """What was given as the kernels take it, of the first one's dtype; `known` sizes are those of letters."""
    operands = list(map(_operand, signature.split()))
    plain = [_plain(o, value) for o, value in zip(operands, given, strict=True)]
    dtype, sizes = _real(plain[0]), {**known}
    return [a if a is None else _fitted(o, a, dtype, sizes) for o, a in zip(operands, plain, strict=True)]


def pair(name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name}: expected a number or two, got {describe(value)}")
    return (checks.positive_int(name, values[0], minimum, MOST_PIXELS),
            checks.positive_int(name, values[1], minimum, MOST_PIXELS))


def room(name: str, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """A new array, whose values are still to come."""
    check_size(name, tuple(shape))
    return np.empty(shape, dtype)


def require_below(name: str, array: np.ndarray, least: int, end: int) -> None:
    """Refuse whole numbers that are not least..end - 1."""
    wrong = (array < least) | (array >= end)
    if wrong.any():
        raise ValueError(f"{name}: expected {least}..{end - 1}, got {array[wrong][0]}")


def activating(activation: str, alpha: float | None) -> dict[str, Any]:
    checks.lookup("activation", activation, ACTIVATIONS)
    return {"activation": activation, **({} if alpha is None else {"alpha": number("alpha", alpha)})}
