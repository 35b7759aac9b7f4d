"""Every op in plain NumPy: the reference, and the backend where no compiler was.

A kernel takes the op's operands as arrays in the order of its declaration (None where absent), writes its
outputs in place, and takes its settings and the `Step` by keyword. The string above it is the op's row in
``csrc/ops.def``; a test holds the two equal. One file per family, as in ``csrc``.
"""

from . import (  # noqa: F401  (each registers its ops)
    augment,
    conv,
    dense,
    elementwise,
    embedding,
    group_norm,
    image,
    lanes,
    losses,
    merge,
    normalization,
    optimizer,
    pool,
    random,
    recurrent,
    regularization,
    rows,
    time,
    time_pool,
)
from .base import Step

__all__ = ["Step"]
