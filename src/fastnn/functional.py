"""The ops as functions on arrays, on the backend in use.

Arrays are float32 or float64, all of one dtype, and C-contiguous; lists and other arrays are converted first,
to the dtype of the first one. Results are new arrays; the optimizer steps change theirs in place. Shapes and
labels are checked, other values are not: these are the kernels, for experiments and tests;
`fastnn.Sequential` is the way to train.

Examples
--------
>>> import numpy as np
>>> from fastnn import functional as F
>>> F.activation_forward(np.array([[-1.0, 2.0]]), "relu")
array([[0., 2.]])
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import backends, checks
from .activations import ACTIVATIONS, default_alpha
from .backends.numpy_kernels import Step
from .checks_arrays import describe, packed, read_array
from .elementwise_losses import ELEMENTWISE_LOSSES
from .operands import MOST_PIXELS, check_size
from .program import OPS

__all__ = [
    "activation_backward", "activation_forward", "adadelta", "adagrad", "adam", "adamw", "amsgrad",
    "average_pool_backward", "average_pool_forward", "batch_norm_backward", "batch_norm_fold", "batch_norm_forward",
    "clip_global_norm", "clip_norm", "clip_value", "conv_backward_input", "conv_backward_parameters", "conv_forward",
    "conv_transpose_backward_input", "conv_transpose_backward_parameters", "conv_transpose_forward",
    "cosine_distance", "crop_pad", "dense_backward_input", "dense_backward_parameters", "dense_forward", "dropout",
    "elementwise_loss", "gaussian_noise", "group_norm_backward", "group_norm_backward_parameters",
    "group_norm_forward", "layer_norm_backward", "layer_norm_backward_parameters", "layer_norm_forward", "lion",
    "log_softmax_backward", "log_softmax_forward", "max_norm", "max_pool_backward", "max_pool_forward", "momentum",
    "multi_class_hinge", "nadam", "nesterov", "penalty", "poisson_deviance", "prelu_backward_input",
    "prelu_backward_parameters", "prelu_forward", "random_flip", "random_rotation", "random_shift", "rmsprop",
    "rmsprop_centered", "rmsprop_centered_momentum", "rmsprop_momentum", "row_normalize", "row_normalize_backward",
    "scale_shift", "sgd", "sigmoid_cross_entropy", "softmax_backward", "softmax_cross_entropy", "softmax_focal",
    "softmax_forward", "squared_error", "standardize", "standardize_backward", "time_max_backward",
    "time_max_forward", "time_mean_backward", "time_mean_forward", "upsample_backward", "upsample_forward",
]

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


# ---------------------------------------------------------------------------------------------- signatures

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
        numbers = tuple(_number(_ARGUMENTS.get(n, n), value)
                        for n, value in zip(self.schema.scalars, scalars, strict=False))
        rate, update = _number("rate", rate), checks.positive_int("update", update)
        arrays = [_plain(o, value) for o, value in zip(self.operands, given, strict=False)]
        dtype = _real(arrays[self.n_inputs if self.in_place else 0])
        if self.in_place:
            for o, value in zip(self.operands[self.n_inputs:], given[self.n_inputs:], strict=True):
                _check_writable(o, value, dtype)
        sizes: dict[str, Any] = {}
        arrays = [a if a is None else _fitted(o, a, dtype, sizes)
                  for o, a in zip(self.operands, arrays, strict=False)]
        if backends.backend() == "native":
            results = self.core.run_converted(tuple(arrays), choice, numbers, rate, update)
            assert results is not NotImplemented, f"{self.schema.name} refuses what was converted for it"
        else:
            results = self._run_numpy(arrays, choice, numbers, rate, update, sizes, dtype)
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


def _number(name: str, value: Any) -> float:
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number that float64 can hold, got {describe(value)}") from None


def _flag(name: str, value: Any) -> int:
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
          "p": "height or 1", "q": "width or 1", "g": "groups", "k": "height", "l": "width"}


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


# ------------------------------------------------------------------------------------------- the functions

def _op(name: str, signature: str, **fixed: int) -> Callable[..., Any]:
    op = _Op(name, signature, fixed)
    return op.core.run if op.core else op.convert


_dense_forward = _op("dense_forward", "x:bi w:io b?:o -> y:bo")
_dense_backward_input = _op("dense_backward_input", "dy:bo w:io f?:bi -> dx:bi")
_dense_backward_parameters = _op("dense_backward_parameters", "x:bi dy:bo -> dw:io db:o")
_activation_forward = _op("activation_forward", "x:bn -> y:bn")
_activation_backward = _op("activation_backward", "dy:bn f:bn -> dx:bn")
_log_softmax_forward = _op("log_softmax_forward", "x:bn -> y:bn")
_log_softmax_backward = _op("log_softmax_backward", "dy:bn y:bn -> dx:bn")
_prelu_forward = _op("prelu_forward", "x:bn slope:n -> y:bn")
_prelu_backward_input = _op("prelu_backward_input", "dy:bn x:bn slope:n -> dx:bn")
_prelu_backward_parameters = _op("prelu_backward_parameters", "dy:bn x:bn -> dslope:n")
_softmax_forward = _op("softmax_forward", "x:bn -> y:bn")
_softmax_backward = _op("softmax_backward", "dy:bn y:bn -> dx:bn")
_FUSED = "logits:bn target:bn|b<n sample_weight?:b.f8 -> y:bn dlogits:bn row_loss:b.f8"
_OF_LABELS = "y:bn target:b<n sample_weight?:b.f8 -> dy:bn row_loss:b.f8"
_OF_ROWS = "y:bn target:bn sample_weight?:b.f8 -> dy:bn row_loss:b.f8"
_softmax_cross_entropy = [_op("softmax_cross_entropy", _FUSED, divergence=d) for d in (0, 1)]
_sigmoid_cross_entropy = [_op("sigmoid_cross_entropy", _FUSED.replace("|b<n", ""), divergence=d)
                          for d in (0, 1)]
_softmax_focal = _op("softmax_focal", _FUSED)
_poisson_deviance = _op("poisson_deviance", _FUSED.replace("|b<n", ""))
_squared_error = _op("squared_error", _OF_ROWS)
_elementwise_loss = _op("elementwise_loss", _OF_ROWS)
_multi_class_hinge = [_op("multi_class_hinge", _OF_LABELS, hardest=h) for h in (0, 1)]
_cosine_distance = _op("cosine_distance", _OF_ROWS)
_standardize = _op("standardize", "x:bn mean:n scale:n -> y:bn")
_standardize_backward = _op("standardize_backward", "dy:bn scale:n -> dx:bn")
_NORMS = {"l1": 1, "l2": 2}
_row_normalize = {k: _op("row_normalize", "x:bn -> y:bn", order=n) for k, n in _NORMS.items()}
_row_normalize_backward = {k: _op("row_normalize_backward", "dy:bn x:bn -> dx:bn", order=n)
                           for k, n in _NORMS.items()}
_batch_norm_backward = _op("batch_norm_backward",
                           "dy:bn x:bn mean:n inverse:n gamma?:n mask?:b -> dx:bn dgamma:n dbeta:n")
_scale_shift = _op("scale_shift", "x:bn scale:n shift?:n -> y:bn")
_layer_norm_forward = _op("layer_norm_forward", "x:bn gamma?:n beta?:n -> y:bn mean:b inverse:b")
_layer_norm_backward = _op("layer_norm_backward", "dy:bn x:bn mean:b inverse:b gamma?:n -> dx:bn")
_layer_norm_backward_parameters = _op("layer_norm_backward_parameters",
                                      "dy:bn x:bn mean:b inverse:b -> dgamma:n dbeta:n")
_batch_norm_forward = _op("batch_norm_forward",
                          "x:bn gamma?:n beta?:n mask?:b -> y:bn mean:n inverse:n")
_batch_norm_fold = _op("batch_norm_fold", "mean:n variance:n gamma?:n beta?:n -> scale:n shift:n")
_sgd = _op("sgd", "dw:* => w:*")
_momentum = _op("momentum", "dw:* => w:* velocity:*")
_nesterov = _op("nesterov", "dw:* => w:* velocity:*")
_adam = _op("adam", "dw:* => w:* mean:* square:*", correct=1)
_adagrad = _op("adagrad", "dw:* => w:* square_sum:*")
_rmsprop = _op("rmsprop", "dw:* => w:* square:*")
_rmsprop_momentum = _op("rmsprop_momentum", "dw:* => w:* square:* velocity:*")
_rmsprop_centered = _op("rmsprop_centered", "dw:* => w:* square:* mean:*")
_rmsprop_centered_momentum = _op("rmsprop_centered_momentum", "dw:* => w:* square:* mean:* velocity:*")
_adadelta = _op("adadelta", "dw:* => w:* square:* square_step:*")
_amsgrad = _op("amsgrad", "dw:* => w:* mean:* square:* largest:*", correct=1)
_nadam = _op("nadam", "dw:* => w:* mean:* square:*", correct=1)
_lion = _op("lion", "dw:* => w:* mean:*")


def _scalars(activation: str, alpha: float | None) -> tuple[float, ...]:
    if alpha is not None:
        return (_number("alpha", alpha),)
    return _ALPHAS.get(activation, ()) if isinstance(activation, str) else ()


def dense_forward(x: Any, w: Any, b: Any = None, activation: str = "identity",
                  alpha: float | None = None) -> np.ndarray:
    """y = f(x w + b): x (B, n_in), w (n_in, n_out), b (n_out) or None; alpha: the activation's default."""
    return _dense_forward((x, w, b), activation, _scalars(activation, alpha))


def dense_backward_input(dy: Any, w: Any, f: Any = None, activation: str = "identity",
                         alpha: float | None = None) -> np.ndarray:
    """dx = (dy w^T) * f': dy (B, n_out), w (n_in, n_out); f (B, n_in) or None is what the slope f' of the
    activation below is a function of, its output or input (see `fastnn.activations`).
    """
    return _dense_backward_input((dy, w, f), activation, _scalars(activation, alpha))


def dense_backward_parameters(x: Any, dy: Any) -> tuple[np.ndarray, np.ndarray]:
    """dw = x^T dy and db = the column sums of dy: x (B, n_in), dy (B, n_out)."""
    return _dense_backward_parameters((x, dy))


def activation_forward(x: Any, activation: str, alpha: float | None = None) -> np.ndarray:
    """y = f(x), x (B, n); alpha is the activation's parameter, by default as `fastnn.activations` has it."""
    return _activation_forward((x,), activation, _scalars(activation, alpha))


def activation_backward(dy: Any, f: Any, activation: str, alpha: float | None = None) -> np.ndarray:
    """dx = dy * f', f' in terms of the activation's output or input `f` (see `fastnn.activations`)."""
    return _activation_backward((dy, f), activation, _scalars(activation, alpha))


def log_softmax_forward(x: Any) -> np.ndarray:
    """log softmax of each row of x (B, n), finite where softmax underflows.

    Examples
    --------
    >>> log_softmax_forward([[1000.0, 0.0]]).tolist()
    [[0.0, -1000.0]]
    """
    return _log_softmax_forward((x,))


def log_softmax_backward(dy: Any, y: Any) -> np.ndarray:
    """dx_ij = dy_ij - exp(y_ij) sum_k dy_ik, y (B, n) the log softmax's output."""
    return _log_softmax_backward((dy, y))


def prelu_forward(x: Any, slope: Any) -> np.ndarray:
    """y_ij = x_ij where x_ij > 0, else slope_j x_ij: x (B, n), slope (n)."""
    return _prelu_forward((x, slope))


def prelu_backward_input(dy: Any, x: Any, slope: Any) -> np.ndarray:
    """dx_ij = dy_ij where x_ij > 0, else dy_ij slope_j."""
    return _prelu_backward_input((dy, x, slope))


def prelu_backward_parameters(dy: Any, x: Any) -> np.ndarray:
    """dslope_j = sum_i dy_ij min(x_ij, 0)."""
    return _prelu_backward_parameters((dy, x))


def softmax_forward(x: Any) -> np.ndarray:
    """softmax of each row of x (B, n).

    Examples
    --------
    >>> softmax_forward([[0.0, 0.0]])
    array([[0.5, 0.5]])
    """
    return _softmax_forward((x,))


def softmax_backward(dy: Any, y: Any) -> np.ndarray:
    """dx_ij = y_ij (dy_ij - sum_k dy_ik y_ik), y (B, n) the softmax's output."""
    return _softmax_backward((dy, y))


def softmax_cross_entropy(logits: Any, target: Any, sample_weight: Any = None, label_smoothing: float = 0.0,
                          factor: float = 1.0, divergence: bool = False) -> tuple[Array, Array, Array]:
    """Probabilities, gradient of the mean loss for the logits (B, n), and each row's loss (float64).

    `target` holds labels (B,) or rows (B, n). Weights (B,) weigh the mean, not the rows' losses. `factor`
    multiplies loss and gradient; `divergence` subtracts the entropy of the target (`fastnn.KLDivergence`).

    Examples
    --------
    >>> probability, dlogits, row_loss = softmax_cross_entropy([[0.0, 0.0]], [1])
    >>> dlogits
    array([[ 0.5, -0.5]])
    """
    settings = label_smoothing, factor
    return _softmax_cross_entropy[_flag("divergence", divergence)]((logits, target, sample_weight), None, settings)


def sigmoid_cross_entropy(logits: Any, target: Any, sample_weight: Any = None, label_smoothing: float = 0.0,
                          factor: float = 1.0, divergence: bool = False) -> tuple[Array, Array, Array]:
    """Probabilities, gradient of the mean loss for the logits, each row's loss (float64); target (B, n)."""
    settings = label_smoothing, factor
    return _sigmoid_cross_entropy[_flag("divergence", divergence)]((logits, target, sample_weight), None, settings)


def poisson_deviance(logits: Any, target: Any, sample_weight: Any = None) -> tuple[Array, Array, Array]:
    """Rates exp(logits), gradient of the mean loss for them, each row's loss (`fastnn.PoissonDeviance`).

    Examples
    --------
    >>> rate, dlogits, row_loss = poisson_deviance([[0.0]], [[0.0]])
    >>> rate.item(), dlogits.item(), row_loss.item()
    (1.0, 1.0, 1.0)
    """
    return _poisson_deviance((logits, target, sample_weight))


def softmax_focal(logits: Any, target: Any, sample_weight: Any = None, gamma: float = 2.0,
                  factor: float = 1.0) -> tuple[Array, Array, Array]:
    """As `softmax_cross_entropy`, for the focal loss (`fastnn.Focal`)."""
    return _softmax_focal((logits, target, sample_weight), None, (gamma, factor))


def batch_norm_forward(x: Any, gamma: Any = None, beta: Any = None, mask: Any = None,
                       epsilon: float = 1e-3) -> tuple[Array, Array, Array]:
    """y = (x - mean) inverse gamma + beta, mean and inverse = 1 / sqrt(variance + epsilon), both (n), of the
    columns of x (B, n); the variance divides by B; gamma and beta (n) or None. Rows with a 0 in mask (B) do
    not count. Images are rows of pixels: x.reshape(-1, channels).

    Examples
    --------
    >>> y, mean, inverse = batch_norm_forward([[1.0], [5.0]], epsilon=0.0)
    >>> y.ravel().tolist(), mean.item(), inverse.item()
    ([-1.0, 1.0], 3.0, 0.5)
    """
    return _batch_norm_forward((x, gamma, beta, mask), None, (epsilon,))


def batch_norm_backward(dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any = None,
                        mask: Any = None) -> tuple[Array, Array, Array]:
    """dx (B, n), dgamma and dbeta (n) of `batch_norm_forward`, whose mean and inverse these are."""
    return _batch_norm_backward((dy, x, mean, inverse, gamma, mask))


def batch_norm_fold(mean: Any, variance: Any, gamma: Any = None, beta: Any = None,
                    epsilon: float = 1e-3) -> tuple[Array, Array]:
    """scale = gamma / sqrt(variance + epsilon) and shift = beta - mean scale, all (n), for `scale_shift`."""
    return _batch_norm_fold((mean, variance, gamma, beta), None, (epsilon,))


def scale_shift(x: Any, scale: Any, shift: Any = None) -> np.ndarray:
    """y_ij = x_ij scale_j + shift_j: x (B, n), scale and shift (n), or None for 0."""
    return _scale_shift((x, scale, shift))


def layer_norm_forward(x: Any, gamma: Any = None, beta: Any = None,
                       epsilon: float = 1e-3) -> tuple[Array, Array, Array]:
    """y = (x - mean) inverse gamma + beta, mean and inverse = 1 / sqrt(variance + epsilon), both (B), of the
    rows of x (B, n); the variance divides by n; gamma and beta (n) or None.
    """
    return _layer_norm_forward((x, gamma, beta), None, (epsilon,))


def layer_norm_backward(dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any = None) -> np.ndarray:
    """dx (B, n) of `layer_norm_forward`, whose mean and inverse these are."""
    return _layer_norm_backward((dy, x, mean, inverse, gamma))


def layer_norm_backward_parameters(dy: Any, x: Any, mean: Any, inverse: Any) -> tuple[Array, Array]:
    """dgamma and dbeta (n) of `layer_norm_forward`."""
    return _layer_norm_backward_parameters((dy, x, mean, inverse))


def squared_error(y: Any, target: Any, sample_weight: Any = None,
                  factor: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for y, and each row's loss factor * sum_j (y_ij - t_ij)^2 (float64)."""
    return _squared_error((y, target, sample_weight), None, (factor,))


def elementwise_loss(y: Any, target: Any, sample_weight: Any = None, loss: str = "absolute_error",
                     factor: float = 1.0, **parameters: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for y (B, n), and each row's loss: factor times the sum over its outputs.

    `loss` is a name of `fastnn.elementwise_losses.ELEMENTWISE_LOSSES`, whose row has the formula and the
    parameters with their defaults.

    Examples
    --------
    >>> dy, row_loss = elementwise_loss([[0.5, 3.0]], [[0.0, 0.0]], loss="huber", delta=1.0)
    >>> dy, row_loss
    (array([[0.5, 1. ]]), array([2.625]))
    """
    checks.lookup("loss", loss, ELEMENTWISE_LOSSES)
    settings = *ELEMENTWISE_LOSSES[loss].settings(parameters), factor
    return _elementwise_loss((y, target, sample_weight), loss, settings)


def multi_class_hinge(y: Any, target: Any, sample_weight: Any = None, margin: float = 1.0, power: float = 1.0,
                      factor: float = 1.0, hardest: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for the scores y (B, n), and each row's loss; target: labels (B,).

    The loss is `fastnn.MultiClassHinge`; `hardest` has only the largest of the other scores count.
    """
    return _multi_class_hinge[_flag("hardest", hardest)]((y, target, sample_weight), None, (margin, power, factor))


def cosine_distance(y: Any, target: Any, sample_weight: Any = None,
                    offset: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for y (B, n), and each row's loss offset - cos(y_i, t_i) (float64)."""
    return _cosine_distance((y, target, sample_weight), None, (offset,))


def standardize(x: Any, mean: Any, scale: Any) -> np.ndarray:
    """y_ij = (x_ij - mean_j) scale_j, x (B, n)."""
    return _standardize((x, mean, scale))


def standardize_backward(dy: Any, scale: Any) -> np.ndarray:
    """dx_ij = dy_ij scale_j, dy (B, n)."""
    return _standardize_backward((dy, scale))


def row_normalize(x: Any, norm: str = "l2") -> np.ndarray:
    """y_i = x_i / |x_i| for each row of x (B, n), by its norm "l2" or "l1"; a row of zeros stays.

    Examples
    --------
    >>> row_normalize([[3.0, 1.0]], "l1")
    array([[0.75, 0.25]])
    """
    return checks.lookup("norm", norm, _row_normalize)((x,))


def row_normalize_backward(dy: Any, x: Any, norm: str = "l2") -> np.ndarray:
    """dx_i = (dy_i - u_i sum_j dy_ij y_ij) / |x_i|: u is y for "l2", sign(x) for "l1"."""
    return checks.lookup("norm", norm, _row_normalize_backward)((dy, x))


def sgd(dw: Any, w: np.ndarray, rate: float) -> None:
    """w -= rate dw, in place.

    Examples
    --------
    >>> w = np.ones(2)
    >>> sgd([1.0, 2.0], w, rate=0.5)
    >>> w
    array([0.5, 0. ])
    """
    _sgd((dw, w), None, (1.0,), rate)


def momentum(dw: Any, w: np.ndarray, velocity: np.ndarray, rate: float, beta: float = 0.9) -> None:
    """velocity = beta velocity - rate dw; w += velocity, in place."""
    _momentum((dw, w, velocity), None, (1.0, beta), rate)


def nesterov(dw: Any, w: np.ndarray, velocity: np.ndarray, rate: float, beta: float = 0.9) -> None:
    """velocity = beta velocity - rate dw; w += beta velocity - rate dw, in place."""
    _nesterov((dw, w, velocity), None, (1.0, beta), rate)


def adam(dw: Any, w: np.ndarray, mean: np.ndarray, square: np.ndarray, rate: float, update: int,
         beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
    """Adam's `update`-th step (from 1), in place; see `fastnn.Adam`."""
    _adam((dw, w, mean, square), None, (1.0, beta_1, beta_2, epsilon), rate, update)


def amsgrad(dw: Any, w: Array, mean: Array, square: Array, largest: Array, rate: float, update: int,
            beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
    """AMSGrad's `update`-th step, in place; see `fastnn.AMSGrad`."""
    _amsgrad((dw, w, mean, square, largest), None, (1.0, beta_1, beta_2, epsilon), rate, update)


def nadam(dw: Any, w: Array, mean: Array, square: Array, rate: float, update: int, beta_1: float = 0.9,
          beta_2: float = 0.999, epsilon: float = 1e-8, momentum_decay: float = 4e-3) -> None:
    """NAdam's `update`-th step, in place; see `fastnn.NAdam`."""
    settings = 1.0, beta_1, beta_2, epsilon, 0.0, 0.0, momentum_decay
    _nadam((dw, w, mean, square), None, settings, rate, update)


def adamw(dw: Any, w: Array, mean: Array, square: Array, rate: float, update: int, beta_1: float = 0.9,
          beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01) -> None:
    """AdamW's `update`-th step, in place: w *= 1 - rate weight_decay, then Adam's; see `fastnn.AdamW`."""
    _adam((dw, w, mean, square), None, (1.0, beta_1, beta_2, epsilon, 0.0, weight_decay), rate, update)


def lion(dw: Any, w: Array, mean: Array, rate: float, beta_1: float = 0.9, beta_2: float = 0.99,
         weight_decay: float = 0.0) -> None:
    """A step of `fastnn.Lion`, in place."""
    _lion((dw, w, mean), None, (1.0, beta_1, beta_2, 0.0, 0.0, weight_decay), rate)


def adagrad(dw: Any, w: Array, square_sum: Array, rate: float, epsilon: float = 1e-10) -> None:
    """A step of `fastnn.AdaGrad`, in place."""
    _adagrad((dw, w, square_sum), None, (1.0, 0.0, 0.0, epsilon), rate)


def rmsprop(dw: Any, w: Array, square: Array, rate: float, rho: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, in place."""
    _rmsprop((dw, w, square), None, (1.0, 0.0, rho, epsilon), rate)


def rmsprop_momentum(dw: Any, w: Array, square: Array, velocity: Array, rate: float, rho: float = 0.9,
                     beta: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop` with momentum, in place."""
    _rmsprop_momentum((dw, w, square, velocity), None, (1.0, beta, rho, epsilon), rate)


def rmsprop_centered(dw: Any, w: Array, square: Array, mean: Array, rate: float, rho: float = 0.9,
                     epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, centered, in place."""
    _rmsprop_centered((dw, w, square, mean), None, (1.0, 0.0, rho, epsilon), rate)


def rmsprop_centered_momentum(dw: Any, w: Array, square: Array, mean: Array, velocity: Array, rate: float,
                              rho: float = 0.9, beta: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, centered and with momentum, in place."""
    _rmsprop_centered_momentum((dw, w, square, mean, velocity), None, (1.0, beta, rho, epsilon), rate)


def adadelta(dw: Any, w: Array, square: Array, square_step: Array, rate: float = 1.0, rho: float = 0.9,
             epsilon: float = 1e-6) -> None:
    """A step of `fastnn.AdaDelta`, in place."""
    _adadelta((dw, w, square, square_step), None, (1.0, 0.0, rho, epsilon), rate)


# ------------------------------------------------------------------- noise, penalties, clipping, constraints

def _array(name: str, value: Any, dims: str) -> np.ndarray:
    """A new array of what was given, as the kernels take it; `dims` as in a signature."""
    operand = _operand(f"{name}:{dims}")
    array = _plain(operand, value)
    assert array is not None
    return _fitted(operand, array, _real(array), {}).copy()


def _require_below(name: str, array: np.ndarray, least: int, end: int) -> None:
    """Refuse whole numbers that are not least..end - 1."""
    wrong = (array < least) | (array >= end)
    if wrong.any():
        raise ValueError(f"{name}: expected {least}..{end - 1}, got {array[wrong][0]}")


def _arrays(signature: str, *given: Any) -> list[Any]:
    """What was given as the kernels take it, of the first one's dtype."""
    operands = list(map(_operand, signature.split()))
    plain = [_plain(o, value) for o, value in zip(operands, given, strict=True)]
    dtype, sizes = _real(plain[0]), {}  # type: ignore[var-annotated]
    return [a if a is None else _fitted(o, a, dtype, sizes) for o, a in zip(operands, plain, strict=True)]


def dropout(x: Any, rate: float, seed: int = 0, update: int = 1, instance: int = 0) -> np.ndarray:
    """Each value zero with probability `rate`, else divided by 1 - rate: "inverted" dropout.

    Parameters
    ----------
    x : array_like, shape (B, n)
        Values; or a gradient dy, since the same call with the same numbers takes that down: dx.
    rate : float
        0 <= rate < 1.
    seed, update, instance : int
        What the mask depends on, besides row and column: the seed of a model or of its `fastnn.Dropout`, the
        number of the update (from 1), which of the model's random layers it is (from 0).

    Returns
    -------
    ndarray, shape (B, n)
        Of x's dtype.

    Examples
    --------
    >>> y = dropout(np.ones((100, 50)), 0.2, seed=1)
    >>> np.unique(y).tolist(), bool(0.78 < (y > 0).mean() < 0.82)
    ([0.0, 1.25], True)
    """
    return _noisy("dropout", x, seed, update, instance, share=checks.fraction("rate", rate))


def gaussian_noise(x: Any, stddev: float, seed: int = 0, update: int = 1, instance: int = 0) -> np.ndarray:
    """y = x + stddev z, z standard normal: x (B, n); seed, update and instance as for `dropout`.

    Its gradient is the identity, dx = dy.

    Examples
    --------
    >>> y = gaussian_noise(np.zeros((100, 50)), 0.1, seed=1)
    >>> bool(0.095 < y.std() < 0.105), bool((y == gaussian_noise(np.zeros((100, 50)), 0.1, seed=1)).all())
    (True, True)
    """
    deviation = checks.positive_float("stddev", stddev, allow_zero=True)
    return _noisy("gaussian_noise", x, seed, update, instance, deviation=deviation)


def _noisy(name: str, x: Any, seed: int, update: int, instance: int, **settings: Any) -> np.ndarray:
    x = _array("x", x, "bn")
    y = np.empty_like(x)
    if x.size:
        call(name, (x, y), seed=checks.seed(seed) % 2 ** 64, own_seed=-1,
             update=checks.positive_int("update", update),
             instance=checks.positive_int("instance", instance, minimum=0), **settings)
    return y


def penalty(w: Any, l1: float = 0.0, l2: float = 0.0) -> tuple[float, np.ndarray]:
    """The penalty l1 sum |w| + l2 / 2 sum w^2 on w (n,) or (rows, n), and its gradient l1 sign(w) + l2 w.

    See `fastnn.L1`, `fastnn.L2` and `fastnn.ElasticNet`.

    Examples
    --------
    >>> penalty([3.0, -4.0], l1=1.0, l2=2.0)
    (32.0, array([ 7., -9.]))
    """
    w = _array("w", w, "*")
    dw, rows = np.zeros_like(w), np.empty(len(w) if w.ndim == 2 else 1)
    call("penalty", (w, dw, rows), l1=checks.positive_float("l1", l1, allow_zero=True),
         l2=checks.positive_float("l2", l2, allow_zero=True))
    return call("penalty_sum", (rows,), real=w.dtype), dw


def clip_value(dw: Any, limit: float) -> np.ndarray:
    """min(max(dw, -limit), limit), dw (n,) or (rows, n); a new array.

    Examples
    --------
    >>> clip_value([3.0, -4.0], 3.5)
    array([ 3. , -3.5])
    """
    dw = _array("dw", dw, "*")
    call("clip_value", (dw,), limit=checks.positive_float("limit", limit))
    return dw


def clip_norm(dw: Any, limit: float) -> np.ndarray:
    """dw limit / |dw| where the Euclidean norm |dw| is above limit, else dw: (n,) or (rows, n); a new array.

    Examples
    --------
    >>> clip_norm([3.0, -4.0], 1.0).round(9)
    array([ 0.6, -0.8])
    """
    return clip_global_norm([dw], limit)[0]


def clip_global_norm(gradients: Sequence[Any], limit: float) -> list[np.ndarray]:
    """The arrays scaled by one factor, so that the Euclidean norm of all together is at most limit.

    Pascanu, Mikolov and Bengio 2013; each (n,) or (rows, n). A new array for each.

    Examples
    --------
    >>> [g.round(9).tolist() for g in clip_global_norm([[3.0], [[-4.0]]], 1.0)]
    [[0.6], [[-0.8]]]
    """
    limit = checks.positive_float("limit", limit)
    arrays = [_array("dw", dw, "*") for dw in gradients]
    total: np.ndarray | None = None
    for dw in arrays:
        rows, before = np.empty(len(dw) if dw.ndim == 2 else 1), total
        total = np.empty(1)
        call("row_squares", (dw, rows))
        call("norm_square", (rows, before, total), real=dw.dtype)
    for dw in arrays:
        call("clip_norm", (total, dw), limit=limit, real=dw.dtype)
    return arrays


def max_norm(w: Any, limit: float) -> np.ndarray:
    """w (n_in, n_out) with each column longer than limit scaled back to that length; a new array.

    See `fastnn.MaxNorm`.

    Examples
    --------
    >>> max_norm([[3.0, 0.3], [4.0, 0.4]], 1.0).round(9)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """
    w = _array("w", w, "io")
    call("max_norm", (w,), limit=checks.positive_float("limit", limit))
    return w


# ------------------------------------------------------------------------------------------- convolutions

def _pair(name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name}: expected a number or two, got {describe(value)}")
    return (checks.positive_int(name, values[0], minimum, MOST_PIXELS),
            checks.positive_int(name, values[1], minimum, MOST_PIXELS))


def _images(rows: int, size: Sequence[int], channels: int, dtype: np.dtype) -> np.ndarray:
    """Room for images."""
    check_size("images", (rows, *size, channels))
    return np.empty((rows, *size, channels), dtype)


def _pads(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """((above, below), (left, right)) of a number, (vertical, horizontal) or all four."""
    vertical, horizontal = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, value)
    return _pair("padding", vertical, 0), _pair("padding", horizontal, 0)


class _Slides:
    """A kernel or window of a size that slides over images."""

    def __init__(self, size: Any, strides: Any, padding: Any, dilation: Any = 1, name: str = "kernel_size") -> None:
        self.size, self.strides, self.pads = _pair(name, size), _pair("strides", strides), _pads(padding)
        self.dilation = _pair("dilation", dilation)
        self.settings = {"kernel_y": self.size[0], "kernel_x": self.size[1], "stride_y": self.strides[0],
                         "stride_x": self.strides[1], "pad_y": self.pads[0][0], "pad_x": self.pads[1][0]}
        self.spans = [(k - 1) * d + 1 - sum(p) for k, d, p in zip(self.size, self.dilation, self.pads, strict=True)]

    def count(self, images: np.ndarray) -> list[int]:
        """How often it fits into images."""
        counts = [(n - span) // s + 1
                  for n, span, s in zip(images.shape[1:3], self.spans, self.strides, strict=True)]
        if min(counts) < 1:
            raise ValueError(f"expected a kernel or window that fits into images of {images.shape[1:3]}, got one of "
                             f"{self.size} with dilation {self.dilation} and padding {self.pads}")
        return counts

    def spread(self, maps: np.ndarray) -> list[int]:
        """The images that it would make such maps of."""
        return [(n - 1) * s + span for n, s, span in zip(maps.shape[1:3], self.strides, self.spans, strict=True)]

    def convolution(self, groups: Any, channels: int, filters: int) -> dict[str, Any]:
        """What the ops of convolutions are told."""
        if channels % checks.positive_int("groups", groups) or filters % groups:
            raise ValueError(f"groups: expected a divisor of {channels} channels and {filters} filters, got {groups}")
        return {**self.settings, "dilation_y": self.dilation[0], "dilation_x": self.dilation[1], "groups": groups}


def conv_forward(x: Any, w: Any, b: Any = None, activation: str = "identity", alpha: float | None = None,
                 strides: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> np.ndarray:
    """y = f(x * w + b) of images x (B, h, w, c), w (kernel height, kernel width, c / groups, filters), b (filters) or
    None. Strides and dilation are a number or (vertical, horizontal), padding also ((above, below), (left, right)).

    Examples
    --------
    >>> conv_forward(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), [0.5])[0, :, :, 0]
    array([[4.5, 4.5],
           [4.5, 4.5]])
    """
    x, w, b = _arrays("x:bhwc w:pqio b?:o", x, w, b)
    slides = _Slides(w.shape[:2], strides, padding, dilation)
    settings = _checked(slides, groups, x.shape[3], w.shape[3], w.shape[2])
    y = _images(len(x), slides.count(x), w.shape[3], x.dtype)
    call("conv_forward", (x, _matrix(w), b, y, None), **_activating(activation, alpha), **settings)
    return y


def conv_backward_input(dy: Any, w: Any, size: tuple[int, int], f: Any = None, activation: str = "identity",
                        alpha: float | None = None, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
                        groups: int = 1) -> np.ndarray:
    """dx (B, h, w, c) of `conv_forward` for images of `size` (h, w), times the slope of the activation below at f, its
    output or input (see `fastnn.activations`), where given.
    """
    dy, w, f = _arrays("dy:bhwo w:pqio f?:bklc", dy, w, f)
    slides = _Slides(w.shape[:2], strides, padding, dilation)
    dx = _images(len(dy), _pair("size", size), w.shape[2] * checks.positive_int("groups", groups), dy.dtype)
    settings = _checked(slides, groups, dx.shape[3], w.shape[3], w.shape[2])
    if slides.count(dx) != list(dy.shape[1:3]):
        raise ValueError(f"size: expected that of images whose maps are {dy.shape[1:3]}, got {size!r}")
    if f is not None and f.shape != dx.shape:
        raise ValueError(f"f: expected shape {dx.shape}, got {f.shape}")
    call("conv_backward_input", (dy, _matrix(w), f, dx), **_activating(activation, alpha), **settings)
    return dx


def conv_backward_parameters(x: Any, dy: Any, kernel_size: Any, strides: Any = 1, padding: Any = 0,
                             dilation: Any = 1, groups: int = 1) -> tuple[Array, Array]:
    """dw (kernel height, kernel width, c / groups, filters) and db (filters) of `conv_forward`."""
    x, dy = _arrays("x:bhwc dy:bklo", x, dy)
    slides = _Slides(kernel_size, strides, padding, dilation)
    return _conv_gradients("conv_backward_parameters", [x, dy, None], x, dy, slides, groups, dy.shape[3])


def conv_transpose_forward(x: Any, w: Any, b: Any = None, activation: str = "identity", alpha: float | None = None,
                           strides: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> np.ndarray:
    """y = f(z + b), z what `conv_backward_input` makes of x (B, h, w, c) with w (kernel height, kernel width,
    filters / groups, c): the transposed convolution, whose padding is cut off. b (filters) or None.

    Examples
    --------
    >>> conv_transpose_forward([[[[1.0], [2.0]]]], np.ones((1, 2, 1, 1)), strides=2).ravel()
    array([1., 1., 2., 2.])
    """
    x, w, b = _arrays("x:bhwc w:pqic b?:o", x, w, b)
    slides = _Slides(w.shape[:2], strides, padding, dilation)
    size = slides.spread(x)
    if min(size) < 1:
        raise ValueError(f"padding: expected to leave a pixel, got {padding!r}")
    y = _images(len(x), size, w.shape[2] * checks.positive_int("groups", groups), x.dtype)
    settings = _checked(slides, groups, y.shape[3], w.shape[3], w.shape[2])
    if b is not None and b.shape != y.shape[3:]:
        raise ValueError(f"b: expected shape {y.shape[3:]}, got {b.shape}")
    call("conv_transpose_forward", (x, _matrix(w), b, y, None), **_activating(activation, alpha), **settings)
    return y


def conv_transpose_backward_input(dy: Any, w: Any, f: Any = None, activation: str = "identity",
                                  alpha: float | None = None, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
                                  groups: int = 1) -> np.ndarray:
    """dx of `conv_transpose_forward`: `conv_forward` of dy without a bias, times the slope of the activation below."""
    dy, w, f = _arrays("dy:bhwo w:pqic f?:bklc", dy, w, f)
    slides = _Slides(w.shape[:2], strides, padding, dilation)
    settings = _checked(slides, groups, dy.shape[3], w.shape[3], w.shape[2])
    dx = _images(len(dy), slides.count(dy), w.shape[3], dy.dtype)
    if f is not None and f.shape != dx.shape:
        raise ValueError(f"f: expected shape {dx.shape}, got {f.shape}")
    call("conv_transpose_backward_input", (dy, _matrix(w), f, dx), **_activating(activation, alpha), **settings)
    return dx


def conv_transpose_backward_parameters(x: Any, dy: Any, kernel_size: Any, strides: Any = 1, padding: Any = 0,
                                       dilation: Any = 1, groups: int = 1) -> tuple[Array, Array]:
    """dw (kernel height, kernel width, filters / groups, c) and db (filters) of `conv_transpose_forward`."""
    x, dy = _arrays("x:bhwc dy:bklo", x, dy)
    slides = _Slides(kernel_size, strides, padding, dilation)
    return _conv_gradients("conv_transpose_backward_parameters", [x, dy], dy, x, slides, groups, dy.shape[3])


def _conv_gradients(name: str, inputs: list[Array | None], images: Array, maps: Array, slides: _Slides, groups: int,
                    filters: int) -> tuple[Array, Array]:
    settings = slides.convolution(groups, images.shape[3], maps.shape[3])
    if slides.count(images) != list(maps.shape[1:3]):
        raise ValueError(f"dy: expected maps of {slides.count(images)} for images of {images.shape[1:3]}, "
                         f"got {maps.shape[1:3]}")
    dw = np.empty((*slides.size, images.shape[3] // groups, maps.shape[3]), images.dtype)
    db = np.empty((1, filters), images.dtype)
    call(name, (*inputs, _matrix(dw), db), **settings)
    return dw, db[0]


def _checked(slides: _Slides, groups: int, channels: int, filters: int, seen: int) -> dict[str, Any]:
    """The settings, if w's third axis is a group's channels."""
    if seen * checks.positive_int("groups", groups) != channels:
        raise ValueError(f"w: expected a third axis of {channels} channels / {groups} groups, got {seen}")
    return slides.convolution(groups, channels, filters)


def _matrix(w: np.ndarray) -> np.ndarray:
    return w.reshape(-1, w.shape[-1])


def _activating(activation: str, alpha: float | None) -> dict[str, Any]:
    checks.lookup("activation", activation, ACTIVATIONS)
    return {"activation": activation, **({} if alpha is None else {"alpha": _number("alpha", alpha)})}


def max_pool_forward(x: Any, pool_size: Any = 2, strides: Any = None, padding: Any = 0) -> tuple[Array, Array]:
    """The largest of each window of images x (B, h, w, c), and where in the window it is, in row order: the first.
    Sizes, strides (by default the sizes) and padding as for `conv_forward`; what lies outside never is the largest.

    Examples
    --------
    >>> y, index = max_pool_forward([[[[1.0], [3.0]], [[2.0], [0.0]]]])
    >>> y.item(), index.item()
    (3.0, 1)
    """
    x, = _arrays("x:bhwc", x)
    slides = _pool(pool_size, strides, padding)
    y = _images(len(x), slides.count(x), x.shape[3], x.dtype)
    index = np.empty(y.shape, np.uint8 if slides.size[0] * slides.size[1] <= 256 else np.int32)
    call("max_pool_forward", (x, y, index), **slides.settings)
    return y, index


def max_pool_backward(dy: Any, index: Any, size: tuple[int, int], pool_size: Any = 2, strides: Any = None,
                      padding: Any = 0) -> np.ndarray:
    """dx (B, h, w, c) of `max_pool_forward`, for images of `size` (h, w)."""
    dy, index = _arrays("dy:bhwc index:bhwc.i4", dy, index)
    slides = _pool(pool_size, strides, padding)
    dx = _images(len(dy), _pair("size", size), dy.shape[3], dy.dtype)
    if slides.count(dx) != list(dy.shape[1:3]):
        raise ValueError(f"size: expected that of images whose pools are {dy.shape[1:3]}, got {size!r}")
    _require_below("index", index, 0, slides.size[0] * slides.size[1])
    few = slides.size[0] * slides.size[1] <= 256
    call("max_pool_backward", (dy, index.astype(np.uint8) if few else index, dx), **slides.settings)
    return dx


def _pool(pool_size: Any, strides: Any, padding: Any) -> _Slides:
    slides = _Slides(pool_size, pool_size if strides is None else strides, padding, name="pool_size")
    if any(max(p) >= k for p, k in zip(slides.pads, slides.size, strict=True)):
        raise ValueError(f"padding: expected less than the window {slides.size}, got {padding!r}")
    return slides


# ------------------------------------------------------------------------------------------------- images

def group_norm_forward(x: Any, gamma: Any = None, beta: Any = None, groups: int = 1, per_pixel: bool = False,
                       epsilon: float = 1e-3) -> tuple[Array, Array, Array]:
    """y = (x - mean) inverse gamma + beta of images x (B, h, w, c), with each image's own mean and
    inverse = 1 / sqrt(variance + epsilon): over its pixels and the channels of each of the groups, mean and inverse
    (B, 1, 1, groups), or of each pixel, (B, h, w, groups). gamma and beta (c), or (h, w, c), or None.

    Examples
    --------
    >>> y, mean, inverse = group_norm_forward(np.arange(8.0).reshape(1, 2, 2, 2), groups=2)
    >>> mean.ravel().tolist()
    [3.0, 4.0]
    """
    x, gamma, beta = _arrays("x:bhwc gamma?:c|hwc beta?:c|hwc", x, gamma, beta)
    per_pixel, epsilon = checks.boolean("per_pixel", per_pixel), _number("epsilon", epsilon)
    if x.shape[3] % checks.positive_int("groups", groups):
        raise ValueError(f"groups: expected a divisor of the {x.shape[3]} channels, got {groups}")
    y, cells = np.empty_like(x), (len(x), *(x.shape[1:3] if per_pixel else (1, 1)), groups)
    mean, inverse = np.empty(cells, x.dtype), np.empty(cells, x.dtype)
    gamma, beta = (a if a is None or a.ndim == 1 else a.reshape(-1, a.shape[-1]) for a in (gamma, beta))
    call("group_norm_forward", (x, gamma, beta, y, mean, inverse), groups=groups, per_pixel=int(per_pixel),
         epsilon=epsilon)
    return y, mean, inverse


def group_norm_backward(dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any = None) -> np.ndarray:
    """dx of `group_norm_forward`, whose mean and inverse these are."""
    dy, x, mean, inverse, gamma = _arrays("dy:bhwc x:bhwc mean:bpqg inverse:bpqg gamma?:c|hwc",
                                          dy, x, mean, inverse, gamma)
    gamma = gamma if gamma is None or gamma.ndim == 1 else gamma.reshape(-1, gamma.shape[-1])
    dx = np.empty_like(x)
    call("group_norm_backward", (dy, x, mean, inverse, gamma, dx), **_grouping(mean, x))
    return dx


def group_norm_backward_parameters(dy: Any, x: Any, mean: Any, inverse: Any) -> tuple[Array, Array]:
    """dgamma and dbeta (c) of `group_norm_forward`."""
    dy, x, mean, inverse = _arrays("dy:bhwc x:bhwc mean:bpqg inverse:bpqg", dy, x, mean, inverse)
    dgamma, dbeta = np.empty(x.shape[3], x.dtype), np.empty(x.shape[3], x.dtype)
    call("group_norm_backward_parameters", (dy, x, mean, inverse, dgamma, dbeta), **_grouping(mean, x))
    return dgamma, dbeta


def _grouping(mean: np.ndarray, x: np.ndarray) -> dict[str, int]:
    """What the ops of group norm are told, by the shape of the means."""
    cells, groups = mean.shape[1:3], mean.shape[3]
    if cells not in ((1, 1), x.shape[1:3]) or x.shape[3] % groups:
        raise ValueError(f"mean: expected shape (rows, 1, 1, groups) or (rows, height, width, groups) for images of "
                         f"shape {x.shape}, got {mean.shape}")
    return {"groups": groups, "per_pixel": int(cells != (1, 1))}


def average_pool_forward(x: Any, pool_size: Any = 2, strides: Any = None, padding: Any = 0,
                         count_padding: bool = False) -> np.ndarray:
    """y = the mean of each window of images x (B, h, w, c). Sizes, strides and zeros as for `max_pool_forward`; the
    zeros count where told so.

    Examples
    --------
    >>> average_pool_forward(np.arange(4.0).reshape(1, 2, 2, 1)).item()
    1.5
    """
    x, = _arrays("x:bhwc", x)
    slides = _pool(pool_size, strides, padding)
    y = _images(len(x), slides.count(x), x.shape[3], x.dtype)
    call("average_pool_forward", (x, y), **slides.settings, count_padding=_flag("count_padding", count_padding))
    return y


def average_pool_backward(dy: Any, size: tuple[int, int], pool_size: Any = 2, strides: Any = None, padding: Any = 0,
                          count_padding: bool = False) -> np.ndarray:
    """dx (B, h, w, c) of `average_pool_forward`, for images of size (h, w)."""
    dy, = _arrays("dy:bhwc", dy)
    dx = _images(len(dy), _pair("size", size), dy.shape[3], dy.dtype)
    slides = _pool(pool_size, strides, padding)
    if slides.count(dx) != list(dy.shape[1:3]):
        raise ValueError(f"size: expected that of images whose pools are {dy.shape[1:3]}, got {size!r}")
    call("average_pool_backward", (dy, dx), **slides.settings, count_padding=_flag("count_padding", count_padding))
    return dx


def crop_pad(x: Any, pads: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """Images x (B, h, w, c) with zeros ((above, below), (left, right)); negative numbers cut off. Its gradient is the
    same call with the signs turned.

    Examples
    --------
    >>> crop_pad(np.ones((1, 2, 2, 1)), ((1, 0), (0, -1)))[0, :, :, 0]
    array([[0.],
           [1.],
           [1.]])
    """
    x, = _arrays("x:bhwc", x)
    above, below, left, right = _signed_pads(pads)
    size = x.shape[1] + above + below, x.shape[2] + left + right
    if min(size) < 1:
        raise ValueError(f"pads: expected to leave a pixel of {x.shape[1:3]}, got {pads!r}")
    y = _images(len(x), size, x.shape[3], x.dtype)
    call("crop_pad", (x, y), pad_y=above, pad_x=left)
    return y


def _signed_pads(pads: Any) -> tuple[int, ...]:
    """The four numbers of ((above, below), (left, right))."""
    pairs = pads if isinstance(pads, (tuple, list)) and len(pads) == 2 else ((), ())
    flat = [n for pair in pairs if isinstance(pair, (tuple, list)) and len(pair) == 2 for n in pair]
    if len(flat) != 4:
        raise ValueError(f"pads: expected ((above, below), (left, right)), got {describe(pads)}")
    return tuple(checks.positive_int("pads", n, -MOST_PIXELS, MOST_PIXELS) for n in flat)


def upsample_forward(x: Any, size: Any = 2, bilinear: bool = False) -> np.ndarray:
    """Images x (B, h, w, c) enlarged by whole factors, a number or (vertical, horizontal): the nearest pixel, or
    bilinear between the centres of four (PyTorch's ``align_corners=False``).

    Examples
    --------
    >>> upsample_forward([[[[0.0], [4.0]]]], (1, 2), bilinear=True).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    x, = _arrays("x:bhwc", x)
    fy, fx = _pair("size", size)
    y = _images(len(x), (x.shape[1] * fy, x.shape[2] * fx), x.shape[3], x.dtype)
    call("upsample_forward", (x, y), factor_y=fy, factor_x=fx, bilinear=_flag("bilinear", bilinear))
    return y


def upsample_backward(dy: Any, size: Any = 2, bilinear: bool = False) -> np.ndarray:
    """dx (B, h, w, c) of `upsample_forward`."""
    dy, = _arrays("dy:bhwc", dy)
    fy, fx = _pair("size", size)
    if dy.shape[1] % fy or dy.shape[2] % fx:
        raise ValueError(f"size: expected divisors of {dy.shape[1:3]}, got {size!r}")
    dx = np.empty((len(dy), dy.shape[1] // fy, dy.shape[2] // fx, dy.shape[3]), dy.dtype)
    call("upsample_backward", (dy, dx), factor_y=fy, factor_x=fx, bilinear=_flag("bilinear", bilinear))
    return dx


def random_flip(x: Any, horizontal: bool = True, vertical: bool = False, seed: int = 0, update: int = 1,
                instance: int = 0) -> np.ndarray:
    """Images x (B, h, w, c) mirrored left to right, or upside down, each with probability 1/2; seed, update and
    instance as for `dropout`. Its own gradient.

    Examples
    --------
    >>> y = random_flip(np.arange(3.0).reshape(1, 1, 3, 1), seed=1)
    >>> y.ravel().tolist() in ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
    True
    """
    return _augmented("random_flip", x, seed, update, instance, horizontal=_flag("horizontal", horizontal),
                      vertical=_flag("vertical", vertical))


def random_shift(x: Any, most: Any = 2, fill: float = 0.0, gradient: bool = False, seed: int = 0, update: int = 1,
                 instance: int = 0) -> np.ndarray:
    """Images x (B, h, w, c) moved by whole numbers of pixels up to `most`, one or (vertical, horizontal), either way;
    `fill` comes in. With `gradient`, dx of dy.
    """
    most_y, most_x = _pair("most", most, 0)
    return _augmented("random_shift", x, seed, update, instance, most_y=most_y, most_x=most_x,
                      gradient=_flag("gradient", gradient), fill=_number("fill", fill))


def random_rotation(x: Any, degrees: float = 10.0, fill: float = 0.0, gradient: bool = False, seed: int = 0,
                    update: int = 1, instance: int = 0) -> np.ndarray:
    """Images x (B, h, w, c) turned about their middles by angles up to `degrees` either way, bilinear between pixels;
    `fill` lies around them. With `gradient`, dx of dy.
    """
    most = float(np.deg2rad(checks.positive_float("degrees", degrees, allow_zero=True)))
    return _augmented("random_rotation", x, seed, update, instance, most=most,
                      gradient=_flag("gradient", gradient), fill=_number("fill", fill))


def _augmented(name: str, x: Any, seed: int, update: int, instance: int, **settings: Any) -> np.ndarray:
    x, = _arrays("x:bhwc", x)
    height, width, channels = x.shape[1:]
    rows = x.reshape(len(x), -1)
    return _noisy(name, rows, seed, update, instance, height=height, width=width, channels=channels,
                  **settings).reshape(x.shape)


# ---------------------------------------------------------------------------------------------- sequences

def time_mean_forward(x: Any, mask: Any = None) -> np.ndarray:
    """y (B, n): the mean of sequences x (B, time, n) over the steps with a 1 in mask (B, time), 0 without any.

    Examples
    --------
    >>> time_mean_forward([[[1.0], [3.0], [8.0]]], [[1.0, 1.0, 0.0]])
    array([[2.]])
    """
    x, mask = _arrays("x:btn mask?:bt", x, mask)
    y = np.empty((len(x), x.shape[2]), x.dtype)
    call("time_mean_forward", (*_in_time(x, mask), y), time=x.shape[1])
    return y


def time_mean_backward(dy: Any, mask: Any) -> np.ndarray:
    """dx (B, time, n) of `time_mean_forward` with dy (B, n) and mask (B, time)."""
    dy, mask = _arrays("dy:bn mask:bt", dy, mask)
    dx = np.empty((mask.shape[1] * len(dy), dy.shape[1]), dy.dtype)
    call("time_mean_backward", (dy, np.ascontiguousarray(mask.T).ravel(), dx), time=mask.shape[1])
    return _by_sample(dx, len(dy))


def time_max_forward(x: Any, mask: Any = None) -> tuple[Array, Array]:
    """y (B, n): the largest of sequences x (B, time, n) over the steps with a 1 in mask (B, time), 0 without any; and
    the first step that has it, (B, n) int32, -1 without any.
    """
    x, mask = _arrays("x:btn mask?:bt", x, mask)
    y = np.empty((len(x), x.shape[2]), x.dtype)
    index = np.empty(y.shape, np.int32)
    call("time_max_forward", (*_in_time(x, mask), y, index), time=x.shape[1])
    return y, index


def time_max_backward(dy: Any, index: Any, time: int) -> np.ndarray:
    """dx (B, time, n) of `time_max_forward`: dy (B, n) at the steps of index (B, n)."""
    dy, index = _arrays("dy:bn index:bn.i4", dy, index)
    time = checks.positive_int("time", time)
    _require_below("index", index, -1, time)
    check_size("sequences", (len(dy), time, dy.shape[1]))
    dx = np.empty((time * len(dy), dy.shape[1]), dy.dtype)
    call("time_max_backward", (dy, index, dx), time=time)
    return _by_sample(dx, len(dy))


def _in_time(x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Sequences and their mask in the time layout."""
    rows = np.ascontiguousarray(np.swapaxes(x, 0, 1)).reshape(-1, x.shape[2])
    return rows, None if mask is None else np.ascontiguousarray(mask.T).ravel()


def _by_sample(rows: np.ndarray, batch: int) -> np.ndarray:
    """Rows of the time layout as sequences."""
    return np.ascontiguousarray(np.swapaxes(rows.reshape(-1, batch, rows.shape[1]), 0, 1))
