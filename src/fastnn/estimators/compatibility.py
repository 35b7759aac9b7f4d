"""What newer releases of scikit-learn have: the callback protocol of 1.9, and nothing where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
    HAS_CALLBACKS = True
except ImportError:
    HAS_CALLBACKS = False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method: Callable) -> Callable:
        """The method as it is."""
        return method


class FitTasks:
    """The hooks of scikit-learn's callbacks around a fit and its iterations.

    Parameters
    ----------
    estimator
        The estimator.
    max_iterations : int
        At most so many subtasks.
    data : callable
        Gives a dict of X, y and metadata, as the hooks get them; not called where there are no hooks.
    """

    def __init__(self, estimator: Any, max_iterations: int, data: Callable[[], dict[str, Any]]) -> None:
        self.estimator = estimator
        self.context: Any = None
        self.task: Any = None
        if HAS_CALLBACKS and (getattr(estimator, "_skl_callbacks", None)
                              or hasattr(estimator, "_parent_callback_ctx")):
            self.data = data()
            self.context = estimator._init_callback_context(max_subtasks=max_iterations)
            self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin_iteration(self) -> None:
        """Before an epoch."""
        if self.context is not None:
            self.task = self.context.subcontext(task_name="iteration")
            self.task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end_iteration(self) -> bool:
        """After it; whether a callback wants no more of them."""
        return self.task is not None and self._end(self.task)

    def end(self) -> None:
        """After the fit."""
        if self.context is not None:
            self._end(self.context)

    def _end(self, context: Any) -> bool:
        return context.call_on_fit_task_end(estimator=self.estimator, **self.data,
                                            reconstruction_attributes=self.estimator._fitted_now)
