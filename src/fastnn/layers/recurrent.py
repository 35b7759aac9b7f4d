"""The recurrent layers: SimpleRNN, LSTM, GRU."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..activations import choose
from ..program import Builder, Operand
from .recurrent_base import Recurrent


class SimpleRNN(Recurrent):
    """h_t = f(x_t W + h_{t-1} U + b): the plain recurrent layer (Elman 1990).

    Parameters
    ----------
    units : int
        Size of the state.
    activation : str or Activation layer
        f, an elementwise one of `fastnn.activations.ACTIVATIONS`: "tanh", or "relu" with
        ``recurrent_initializer="identity"``.
    **settings
        `return_sequences` and the others of `fastnn.layers.Recurrent`.

    Attributes
    ----------
    weight, recurrent_weight, bias : numpy.ndarray, shapes (n_in, units), (units, units), (units,)
        W, U and b, writable views, once the layer is in a model.

    Notes
    -----
    PyTorch's `RNN` has W and U transposed and a second bias, which adds to b.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> line = fnn.SimpleRNN(1, "identity", return_sequences=True, kernel_initializer="ones",
    ...                      recurrent_initializer="ones")
    >>> fnn.Sequential([line], input_shape=(4, 1)).predict(np.ones((1, 4, 1))).ravel().tolist()  # running sums
    [1.0, 2.0, 3.0, 4.0]
    """

    def __init__(self, units: int, activation: object = "tanh", **settings: Any) -> None:
        super().__init__(units, **settings)
        self.name = self.given_name or "simple_rnn"
        self.choice = choose("activation", activation)
        if not self.choice.elementwise:
            raise ValueError(f"activation: expected an elementwise one of fastnn.activations.ACTIVATIONS, "
                             f"got {activation!r}; put an Activation layer after a SimpleRNN that has \"identity\"")

    def emit_forward(self, builder: Builder, x: Operand, first: list[Operand | None], y: Operand,
                     last: list[Operand | None]) -> Any:
        mask = builder.mask_of(x)
        z = builder.like(y) if self.choice.slope_of_input and builder.differentiates else None
        builder.emit("rnn_forward", x, *self.parameters(builder, "weight", "recurrent_weight", "bias"), *first, mask, y,
                     z, *last, activation=self.choice.name, alpha=self.choice.alpha, reverse=int(self.reverse))
        return mask, y if z is None else z

    def emit_backward(self, builder: Builder, dy: Operand | None, dlast: list[Operand | None],
                      first: list[Operand | None], y: Operand, kept: Any, dstart: list[Operand | None]) -> Operand:
        mask, f = kept
        dz = builder.like(y)
        builder.emit("rnn_backward", dy, *dlast, *self.parameters(builder, "recurrent_weight"), f, mask, dz, *dstart,
                     activation=self.choice.name, alpha=self.choice.alpha, **self.through_time)
        return dz

    def get_config(self) -> dict[str, object]:
        return {"activation": self.choice.config(), **super().get_config()}


class LSTM(Recurrent):
    """Long short-term memory: a state h, and a cell c that gates fill, keep and show.

    z = x_t W + h_{t-1} U + b, of four gates of `units` columns each in the order i f g o;
    i, f, o = sigmoid(z_i, z_f, z_o), g = tanh(z_g); c_t = f c_{t-1} + i g; h_t = o tanh(c_t)
    (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000).

    Parameters
    ----------
    units : int
        Size of h and of c.
    forget_bias : float
        Where b_f starts: 1, as Jozefowicz, Zaremba and Sutskever (2015) advise and as in Keras; PyTorch has 0.
    **settings
        `return_sequences` and the others of `fastnn.layers.Recurrent`.

    Attributes
    ----------
    weight, recurrent_weight, bias : numpy.ndarray, shapes (n_in, 4 units), (units, 4 units), (4 units,)
        W, U and b, writable views, once the layer is in a model. Keras has the same shapes and order (it calls
        g c). PyTorch has the same order, W and U transposed, and a second bias, which adds to b.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.LSTM(3, return_sequences=True), fnn.LSTM(2)], input_shape=(5, 4))
    >>> model.predict(np.ones((1, 5, 4))).shape
    (1, 2)
    >>> model.layers[0].bias
    array([0., 0., 0., 1., 1., 1., 0., 0., 0., 0., 0., 0.], dtype=float32)
    """

    gates = ("i", "f", "g", "o")
    n_states = 2

    def __init__(self, units: int, *, forget_bias: float = 1.0, **settings: Any) -> None:
        super().__init__(units, **settings)
        self.name = self.given_name or "lstm"
        self.forget_bias = checks.positive_float("forget_bias", forget_bias, allow_zero=True)

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        values = super().initial(rng)
        if self.use_bias:
            values["bias"] = np.repeat([0.0, self.forget_bias, 0.0, 0.0], self.units)
        return values

    def emit_forward(self, builder: Builder, x: Operand, first: list[Operand | None], y: Operand,
                     last: list[Operand | None]) -> Any:
        mask = builder.mask_of(x)
        kept = (builder.like(y), builder.arena(("BT", 4 * self.units))) if builder.differentiates else (None, None)
        builder.emit("lstm_forward", x, *self.parameters(builder, "weight", "recurrent_weight", "bias"), *first, mask,
                     y, *kept, *last, reverse=int(self.reverse))
        return mask, *kept

    def emit_backward(self, builder: Builder, dy: Operand | None, dlast: list[Operand | None],
                      first: list[Operand | None], y: Operand, kept: Any, dstart: list[Operand | None]) -> Operand:
        mask, c, gates = kept
        builder.emit("lstm_backward", dy, *dlast, *self.parameters(builder, "recurrent_weight"), gates, c, first[1],
                     mask, gates, *dstart, **self.through_time)
        return gates  # their gradients, in their place: half the memory traffic

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "forget_bias": self.forget_bias}


class GRU(Recurrent):
    """The gated recurrent unit: h_t = z h_{t-1} + (1 - z) n, a mean of the old state and a new one.

    z, r = sigmoid(x_t W_zr + h_{t-1} U_zr + b_zr), and the candidate n, of columns in the order z r n,

    - with `reset_after` is tanh(x_t W_n + b_n + r (h_{t-1} U_n + b'_n)), as cuDNN, PyTorch and Keras have it;
    - without is tanh(x_t W_n + b_n + (r h_{t-1}) U_n), as in the paper (Cho et al. 2014).

    Parameters
    ----------
    units : int
        Size of the state.
    reset_after : bool
        Which candidate.
    **settings
        `return_sequences` and the others of `fastnn.layers.Recurrent`.

    Attributes
    ----------
    weight, recurrent_weight, bias : numpy.ndarray, shapes (n_in, 3 units), (units, 3 units), (3 units,)
        W, U and b, writable views, once the layer is in a model; the gates in Keras's order.
    recurrent_bias : numpy.ndarray, shape (units,)
        b'_n, with `reset_after`.

    Notes
    -----
    Keras has a bias of shape (2, 3 units), whose rows add up but in the last gate; PyTorch also, and the order
    r z n, with W and U transposed.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.GRU(3), fnn.Dense(1)], input_shape=(None, 2))
    >>> model.predict(np.ones((4, 7, 2))).shape, model.predict(np.ones((4, 9, 2))).shape
    ((4, 1), (4, 1))
    """

    gates = ("z", "r", "n")

    def __init__(self, units: int, *, reset_after: bool = True, **settings: Any) -> None:
        super().__init__(units, **settings)
        self.name = self.given_name or "gru"
        self.reset_after = checks.boolean("reset_after", reset_after)

    def biases(self) -> dict[str, int]:
        return super().biases() | ({"recurrent_bias": self.units} if self.reset_after else {})

    def emit_forward(self, builder: Builder, x: Operand, first: list[Operand | None], y: Operand,
                     last: list[Operand | None]) -> Any:
        mask = builder.mask_of(x)
        gates = builder.arena(("BT", 4 * self.units)) if builder.differentiates else None
        parameters = self.parameters(builder, "weight", "recurrent_weight", "bias", "recurrent_bias")
        builder.emit("gru_forward", x, *parameters, *first, mask, y, gates, *last, reverse=int(self.reverse),
                     reset_after=int(self.reset_after))
        return mask, gates

    def emit_backward(self, builder: Builder, dy: Operand | None, dlast: list[Operand | None],
                      first: list[Operand | None], y: Operand, kept: Any, dstart: list[Operand | None]) -> Operand:
        mask, gates = kept
        builder.emit("gru_backward", dy, *dlast, *self.parameters(builder, "recurrent_weight"), gates, y, *first, mask,
                     gates, *dstart, **self.through_time, reset_after=int(self.reset_after))
        return gates  # their gradients, in their place

    def emit_recurrent_gradient(self, builder: Builder, y: Operand, h0: Operand | None, dz: Operand) -> None:
        weight, *bias = (builder.gradient(self.segments[name]) for name in ("recurrent_weight", "recurrent_bias")
                         if name in self.segments)
        builder.emit("gru_backward_parameters", y, h0, dz, weight, *bias, reverse=int(self.reverse),
                     reset_after=int(self.reset_after))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "reset_after": self.reset_after}
