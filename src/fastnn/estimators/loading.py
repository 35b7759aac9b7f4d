"""Reading estimators from files."""

from __future__ import annotations

import os

from . import files
from .classifier import MLPClassifier
from .regressor import MLPRegressor


def load_estimator(path: str | os.PathLike) -> MLPClassifier | MLPRegressor:
    """Read an estimator that its `save` wrote.

    Reading runs no code of the file and finds any damage, as `fastnn.load` does.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With the parameters and the fitted attributes that it had: it predicts the same, and `partial_fit` and
        a warm start go on as they would have.

    Raises
    ------
    ModelFileError
        If the file is damaged, of another program, or of a newer version.

    Examples
    --------
    >>> from fastnn.data import load_digits
    >>> from fastnn.estimators import MLPClassifier, load_estimator
    >>> X, y = load_digits()
    >>> X = X.reshape(len(X), -1) / 16
    >>> mlp = MLPClassifier((16,), tol=1.0, n_iter_no_change=3, random_state=0).fit(X, y)
    >>> mlp.save("digits.safetensors")
    >>> bool((load_estimator("digits.safetensors").predict(X) == mlp.predict(X)).all())
    True
    """
    return files.load(path, {cls.__name__: cls for cls in (MLPClassifier, MLPRegressor)})
