"""Optimizers: each is one op, applied to every parameter array after the backward pass.

`OPTIMIZERS` has all of them by name; what they share, weight decay among it, is said at `Optimizer`.

Notes
-----
**Rows of a table.** A layer that looks up rows (an embedding) makes a gradient that names the rows its batch
uses, each once, with the sum over the places where it stands. The step on such a table is *lazy*, by one rule
for every optimizer:

    the rows named take the optimizer's op, with the rate, momentum and number t of the model's step;
    all other rows keep their weights and their state, bit for bit.

So a row's state is a history of the steps that named it, and the clock t, which schedules and bias
corrections read, counts the model's steps, not the row's. This is what TensorFlow's LazyAdam does, and
PyTorch's SparseAdam (``Adam(epsilon_hat=True)`` here). It differs from a dense step on the same gradient,
zero elsewhere, where another row has state that moves or fades without a gradient:

==========  ===================================================  ==========================================
optimizer   a row that is not named, lazily                      densely, with a gradient of zero
==========  ===================================================  ==========================================
sgd         stays                                                the same
momentum    stays; its velocity waits undamped                   coasts on, its velocity fades
nesterov    as momentum                                          as momentum
adagrad     stays                                                the same
rmsprop     stays; averages (and velocity) wait                  averages fade, so its next step is longer
adadelta    stays; both averages wait                            both averages fade
adam        stays; m and v wait                                  coasts on m, m and v fade
amsgrad     as adam; the largest v waits                         as adam; the largest v stays
nadam       as adam; mu_t and their product go on with t         as adam
adamw       as adam, and does not decay                          as adam, and decays
lion        stays and does not decay; m waits                    moves by the rate along the sign of m, decays
==========  ===================================================  ==========================================

Bias correction with the model's t: a row named for the first time late has m = (1 - beta_1) dw, which
1 / (1 - beta_1^t), then about 1, no longer corrects; with the usual betas Adam's first step there is
(1 - beta_1) / sqrt(1 - beta_2) = 3.2 rates long. `weight_decay`, of any optimizer, shrinks the rows named
alone. `whole_first` spares the model's first step the dampening, not the row's. Clipping by norm takes the
norm of the rows named, which is that of all. A penalty has a gradient in every row: a table with a
regularizer takes dense steps, and so does one with a constraint.
"""

from __future__ import annotations

from .. import checks
from .adam import Adam, AdamW, AMSGrad, Lion, NAdam
from .adaptive import AdaDelta, AdaGrad, RMSprop
from .base import Optimizer
from .sgd import SGD, Momentum, Nesterov

__all__ = ["OPTIMIZERS", "SGD", "AMSGrad", "AdaDelta", "AdaGrad", "Adam", "AdamW", "Lion", "Momentum",
           "NAdam", "Nesterov", "Optimizer", "RMSprop", "get"]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adagrad": AdaGrad, "rmsprop": RMSprop,
    "adadelta": AdaDelta, "adam": Adam, "amsgrad": AMSGrad, "nadam": NAdam, "adamw": AdamW, "lion": Lion,
}


def get(optimizer: str | Optimizer) -> Optimizer:
    """An optimizer from its name, with its default settings, or the optimizer itself.

    Examples
    --------
    >>> get("sgd")
    SGD(learning_rate=0.01, momentum=0.0, nesterov=False)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer: expected a name or a fastnn Optimizer, got {type(optimizer).__name__}")
    return checks.lookup("optimizer", optimizer, OPTIMIZERS)()
