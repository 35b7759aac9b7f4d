"""scikit-learn's MLPClassifier and MLPRegressor on fastnn: the same contract, and what was asked for since.

Needs scikit-learn 1.6 or newer: ``pip install "fastnn-cpu[sklearn]"``.
"""

from __future__ import annotations

try:
    import sklearn
except ImportError as error:
    raise ImportError('fastnn.estimators needs scikit-learn: pip install "fastnn-cpu[sklearn]"') from error
if tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < (1, 6):
    raise ImportError(f"fastnn.estimators needs scikit-learn 1.6 or newer, got {sklearn.__version__}: "
                      'pip install --upgrade "fastnn-cpu[sklearn]"')

from .classifier import MLPClassifier  # noqa: E402
from .loading import load_estimator  # noqa: E402
from .migration import from_sklearn  # noqa: E402
from .regressor import MLPRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn", "load_estimator"]
