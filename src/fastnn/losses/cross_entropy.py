"""Losses of probabilities, fused with softmax or sigmoid: right where those are 0 or 1."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..program import Builder, Operand
from .base import OutputsLoss, check_range, emit_fused, emit_loss, emit_shown

SOFTMAX, SIGMOID = "softmax", "sigmoid"
FORMS = {"softmax": SOFTMAX, "log_softmax": SOFTMAX, "sigmoid": SIGMOID}  # by the final activation


class FusedLoss(OutputsLoss):
    """A loss of logits in two forms, softmax's and sigmoid's; a subclass says which op each one is."""

    forms: tuple[str, ...] = (SOFTMAX, SIGMOID)
    ops: dict[str, str] = {}

    def __init__(self, from_logits: bool, *, outputs: str, reduction: str) -> None:
        super().__init__(outputs=outputs, reduction=reduction)
        self.from_logits = checks.boolean("from_logits", from_logits)

    def form(self, activation: str, n_out: int) -> str:
        """Whether the logits are those of a softmax or of a sigmoid.

        Raises
        ------
        ValueError
            If the loss does not go with the activation.
        """
        form = FORMS.get(activation)
        if self.from_logits:
            form = None
            if activation == "identity":
                form = self.forms[0] if len(self.forms) == 1 else SOFTMAX if n_out > 1 else SIGMOID
        if form not in self.forms:
            raise ValueError(
                f"loss: {self.name} expects the last layer's activation to be "
                f"{' or '.join(map(repr, self.forms))}, got {activation!r}; with "
                f"{type(self).__name__}(from_logits=True) it expects none at all")
        return form

    def op(self, activation: str, n_out: int) -> str | None:
        form = self.form(activation, n_out)
        if self.ignore_label is not None and form == SIGMOID:
            raise ValueError("ignore_label: expected None after a sigmoid, whose targets are no labels; give "
                             "the rows to be ignored the sample_weight 0")
        return self.ops[form]

    def target_kind(self, activation: str, n_out: int) -> str:
        return "labels_or_rows" if self.form(activation, n_out) == SOFTMAX else "binary"

    def settings(self) -> dict[str, Any]:
        """The op's own settings."""
        return {}

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        assert fused is not None
        return emit_fused(builder, fused, output, target, weight, gradient=gradient,
                          factor=self.factor(int(output.shape[-1])), **self.settings())

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, **super().get_config()}


def as_ignore_label(value: Any) -> int | None:
    """None, or the whole number of a label."""
    return None if value is None else checks.positive_int("ignore_label", value, minimum=-2 ** 63)


class CrossEntropy(FusedLoss):
    """-sum_j t_j log y_j after softmax (log-likelihood); after sigmoid the sum of binary cross-entropies.

    After sigmoid that is -sum_j (t_j log y_j + (1 - t_j) log(1 - y_j)). Fused with the activation: the
    gradient of its input is y - t, exact where y is 0 or 1.

    Parameters
    ----------
    from_logits : bool
        The network ends without an activation and its outputs are the logits: of a softmax with several
        outputs, of a sigmoid with one. `predict` gives them as they are; metrics see the probabilities.
    label_smoothing : float
        The part s of a target that is spread evenly, as in Keras and PyTorch: t becomes (1 - s) t + s / n
        over n classes, (1 - s) t + s / 2 after sigmoid. Szegedy et al. 2016.
    ignore_label : int, optional
        Rows with this label (-100 in PyTorch, often -1) have weight 0 and are left out of metrics. For labels
        ``(n,)`` after softmax.
    outputs : {"sum", "mean"}
        Of a row's terms. "mean" divides by the number of outputs; after sigmoid that is what Keras and
        PyTorch have, and what `BinaryCrossEntropy` does.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Notes
    -----
    Targets after softmax: integer labels ``(n,)``, one-hot rows or probability rows ``(n, n_out)``; after
    sigmoid: 0, 1 or probabilities, ``(n, n_out)``, or ``(n,)`` with one output. Source: CS231n, "Linear
    classification"; Nielsen, chapter 3.

    Examples
    --------
    A network that does not know yet says 1/2 of each of two classes; its loss is log 2:

    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(2, "softmax", kernel_initializer="zeros")]
    >>> model = fnn.Sequential(layers, input_shape=(3,))
    >>> model.compile(loss=fnn.CrossEntropy())
    >>> round(model.evaluate([[1.0, 2.0, 3.0]], [1])["loss"], 4)
    0.6931
    """

    name = "cross_entropy"
    ops = {SOFTMAX: "softmax_cross_entropy", SIGMOID: "sigmoid_cross_entropy"}

    def __init__(self, from_logits: bool = False, *, label_smoothing: float = 0.0,
                 ignore_label: int | None = None, outputs: str = "sum", reduction: str = "mean") -> None:
        super().__init__(from_logits, outputs=outputs, reduction=reduction)
        self.label_smoothing = checks.fraction("label_smoothing", label_smoothing)
        self.ignore_label = as_ignore_label(ignore_label)

    def settings(self) -> dict[str, Any]:
        return {"smoothing": self.label_smoothing}

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "ignore_label": self.ignore_label,
                **super().get_config()}


class CategoricalCrossEntropy(CrossEntropy):
    """-sum_j t_j log y_j after softmax or log-softmax: one of several classes; Nielsen's log-likelihood.

    `CrossEntropy` with softmax as the only form. It stands for Keras's ``categorical_crossentropy`` and
    ``sparse_categorical_crossentropy`` at once, labels and rows, and for PyTorch's ``CrossEntropyLoss`` (with
    from_logits) and ``NLLLoss`` (after log_softmax). Probabilities that come from elsewhere than a softmax
    are refused: the logits are what makes it exact.

    Parameters
    ----------
    from_logits, label_smoothing, ignore_label, outputs, reduction
        As for `CrossEntropy`; from_logits means a softmax's with any number of outputs.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(4, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=fnn.CategoricalCrossEntropy(from_logits=True, ignore_label=-1))
    >>> round(model.evaluate([[1.0], [2.0]], [3, -1])["loss"], 4)  # log 4, of the first row alone
    1.3863
    """

    name = "categorical_cross_entropy"
    forms = (SOFTMAX,)


class BinaryCrossEntropy(FusedLoss):
    """-(t log y + (1 - t) log(1 - y)), the mean over the outputs: each says yes or no by itself.

    After sigmoid, or from its logits, fused with it and exact at any size. After another activation with
    values in [0, 1] (hard_sigmoid, softmax, your own) y is kept at a distance of 1e-7 from 0 and 1, as in
    Keras, where PyTorch has the logarithm end at -100.

    Parameters
    ----------
    from_logits : bool
        The network ends without an activation and its outputs are the logits.
    label_smoothing : float
        s in t -> (1 - s) t + s / 2, as in Keras; PyTorch has none here.
    outputs : {"mean", "sum"}
        Of a row's outputs; "mean" as in Keras and PyTorch, "sum" as `CrossEntropy` does.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Notes
    -----
    Targets: 0, 1 or probabilities, ``(n, n_out)``, or ``(n,)`` with one output. Source: Nielsen, chapter 3.

    Examples
    --------
    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(1, "sigmoid", kernel_initializer="zeros")]
    >>> model = fnn.Sequential(layers, input_shape=(3,))
    >>> model.compile(loss="binary_cross_entropy")
    >>> round(model.evaluate([[1.0, 2.0, 3.0]], [1])["loss"], 4)
    0.6931
    """

    name = "binary_cross_entropy"
    forms = (SIGMOID,)
    ops = {SIGMOID: "sigmoid_cross_entropy"}

    def __init__(self, from_logits: bool = False, *, label_smoothing: float = 0.0, outputs: str = "mean",
                 reduction: str = "mean") -> None:
        super().__init__(from_logits, outputs=outputs, reduction=reduction)
        self.label_smoothing = checks.fraction("label_smoothing", label_smoothing)

    def op(self, activation: str, n_out: int) -> str | None:
        if self.from_logits or activation == "sigmoid":
            return super().op(activation, n_out)
        check_range(self.name, activation, (0, 1))
        return None

    def target_kind(self, activation: str, n_out: int) -> str:
        return "binary"

    def settings(self) -> dict[str, Any]:
        return {"smoothing": self.label_smoothing}

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        if fused:
            return super().emit(builder, output, target, weight, fused, gradient=gradient)
        return output, emit_loss(builder, "elementwise_loss", output, target, weight, gradient=gradient,
                                 loss="probability_cross_entropy", a=1e-7, b=self.label_smoothing,
                                 factor=self.factor(int(output.shape[-1])))

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, **super().get_config()}


class KLDivergence(FusedLoss):
    """KL(t || y) = sum_j t_j log(t_j / y_j): cross-entropy less the entropy of the targets, 0 where y = t.

    After sigmoid the sum of the divergences of the outputs' Bernoulli distributions, t log(t / y) + (1 - t)
    log((1 - t) / (1 - y)), as sparse autoencoders have it. Fused with the activation; the gradient of its
    input is that of the cross-entropy. `fastnn.entropy_decomposition` shows how the three belong together.

    Parameters
    ----------
    from_logits : bool
        As for `CrossEntropy`.
    outputs : {"sum", "mean"}
        "sum" is the divergence itself, Keras's and PyTorch's "batchmean"; "mean" divides by the number of
        outputs, as PyTorch's KLDivLoss does unless told otherwise.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Notes
    -----
    Targets: as for `CrossEntropy`; labels have no entropy. PyTorch takes log-probabilities, as after
    log_softmax; Keras clips both sides at 1e-7, here nothing is clipped. Source: Kullback and Leibler 1951.

    Examples
    --------
    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(2, "softmax", kernel_initializer="zeros")]
    >>> model = fnn.Sequential(layers, input_shape=(1,))
    >>> model.compile(loss=fnn.KLDivergence())
    >>> model.evaluate([[1.0]], [[0.5, 0.5]])
    {'loss': 0.0}
    """

    name = "kl_divergence"
    ops = CrossEntropy.ops

    def __init__(self, from_logits: bool = False, *, outputs: str = "sum", reduction: str = "mean") -> None:
        super().__init__(from_logits, outputs=outputs, reduction=reduction)

    def settings(self) -> dict[str, Any]:
        return {"divergence": 1}


class Focal(FusedLoss):
    """-sum_j t_j (1 - y_j)^gamma log y_j after softmax: cross-entropy that dwells on what is still wrong.

    After sigmoid the sum over outputs of alpha_t (1 - p_t)^gamma times the binary cross-entropy, p_t = t y +
    (1 - t) (1 - y), the probability given to the truth. Lin et al. 2017, "Focal loss for dense object
    detection". Fused with the activation.

    Parameters
    ----------
    gamma : float
        At least 0; 2 in the paper. With 0 it is the cross-entropy.
    alpha : float, optional
        Balance. After sigmoid alpha_t = alpha where t is 1 and 1 - alpha where it is 0 (0.25 in the paper and
        in torchvision; 1 for both where None, Keras's default). After softmax a plain factor, as in Keras,
        whose default there is 0.25; to balance classes use ``fit(class_weight=...)``.
    from_logits : bool
        As for `CrossEntropy`.
    ignore_label : int, optional
        As for `CrossEntropy`.
    outputs : {"sum", "mean"}
        Of a row's terms; Keras and torchvision take the mean after sigmoid, the sum after softmax.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Notes
    -----
    Targets: as for `CrossEntropy`.

    Examples
    --------
    At a probability of 1/2 the loss is (1/2)^2 log 2:

    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(2, "softmax", kernel_initializer="zeros")]
    >>> model = fnn.Sequential(layers, input_shape=(1,))
    >>> model.compile(loss=fnn.Focal(gamma=2.0))
    >>> round(model.evaluate([[1.0]], [1])["loss"], 4)
    0.1733
    """

    name = "focal"
    ops = {SOFTMAX: "softmax_focal", SIGMOID: "elementwise_loss"}

    def __init__(self, gamma: float = 2.0, alpha: float | None = None, from_logits: bool = False, *,
                 ignore_label: int | None = None, outputs: str = "sum", reduction: str = "mean") -> None:
        super().__init__(from_logits, outputs=outputs, reduction=reduction)
        self.gamma = checks.positive_float("gamma", gamma, allow_zero=True)
        self.alpha = None if alpha is None else checks.positive_float("alpha", alpha)
        self.ignore_label = as_ignore_label(ignore_label)

    def op(self, activation: str, n_out: int) -> str | None:
        op = super().op(activation, n_out)
        if op == "elementwise_loss" and self.alpha is not None and self.alpha >= 1:
            raise ValueError(f"alpha: expected a number below 1 after a sigmoid, where 1 - alpha weighs the "
                             f"zeros, got {self.alpha!r}")
        return op

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        assert fused is not None
        factor = self.factor(int(output.shape[-1]))
        if fused == "softmax_focal":
            return emit_fused(builder, fused, output, target, weight, gradient=gradient, gamma=self.gamma,
                              factor=factor if self.alpha is None else factor * self.alpha)
        balance, factor = (0.5, 2 * factor) if self.alpha is None else (self.alpha, factor)
        dlogits = emit_loss(builder, fused, output, target, weight, gradient=gradient, loss="sigmoid_focal",
                            a=self.gamma, b=balance, factor=factor)
        return emit_shown(builder, "sigmoid", output), dlogits

    def get_config(self) -> dict[str, Any]:
        return {"gamma": self.gamma, "alpha": self.alpha, "ignore_label": self.ignore_label,
                **super().get_config()}
