"""A model as a file: its own, and C."""

from __future__ import annotations

from typing import Any


class ModelFiles:
    """The doors of `fastnn.Model` to files."""

    def save(self, path: Any) -> None:
        """Write architecture, settings and numbers to one safetensors file; `fastnn.load` reads it.

        Parameters
        ----------
        path : path-like
            The file; it is replaced only once the new one is complete.

        Raises
        ------
        ValueError
            If the model holds Python functions (a loss, a metric, ...) or classes of your own.
        """
        from .io import save  # files stand above the model
        save(self, path)  # type: ignore[arg-type]

    def export_c(self, path: Any, name: str | None = None) -> None:
        """Write a small model as one C99 header: its weights, and a function that predicts.

        It needs no library but C's own ``math.h``, allocates nothing, and compiles without a warning. What it gives
        is what `predict` gives, within rounding. docs/exchange.md lists the layers, and has an example in C.

        Parameters
        ----------
        path : path-like
            The header; it is replaced only once the new one is complete.
        name : str, optional
            How everything in it begins; by default the file's name without its ending. ``net.h`` has
            ``net_predict(const float *x, float *y)``, which takes one sample, in C order; tokens as ``const int *``.

        Raises
        ------
        ValueError
            If there is a layer that cannot be written, as a stateful one, or the number of steps in time is not known.

        Examples
        --------
        >>> import fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(8, "tanh"), fnn.Dense(3, "softmax")], input_shape=(4,))
        >>> model.export_c("net.h")
        >>> with open("net.h") as file:
        ...     [line.strip() for line in file if "net_predict" in line][-1]
        'static inline void net_predict(const float *x, float *y)'
        """
        from .io import export_c
        export_c(self, path, name)  # type: ignore[arg-type]
