"""Estimators as files: parameters, fitted attributes and the model behind them, without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from ..io import model_file
from ..io.records import Record, read, write
from ..io.values import FORMS, Arrays, Form, decode, encode, plain
from ..layers import Layer, from_config, to_config

if TYPE_CHECKING:
    from .base import BaseMLP

BINARIZER = ("neg_label", "pos_label", "sparse_output", "y_type_", "sparse_input_", "classes_")


def save(estimator: BaseMLP, path: str | os.PathLike, known: type) -> None:
    """Write an estimator, fitted or not; `known` is its class among fastnn's.

    Raises
    ------
    ValueError
        If it holds what a file cannot: Python functions, callbacks, objects of other classes. It names them.
    """
    name = type(estimator).__name__
    if type(estimator) is not known:
        raise ValueError(f"{name} is a class of yours, which a file cannot hold; save its model_, or the "
                         f"{known.__name__} that has the same attributes")
    parameters = estimator.get_params(deep=False)
    state = {key: value for key, value in estimator.__getstate__().items() if key not in parameters}
    model = state.pop("model_", None)
    arrays: Arrays = {}
    for key, value in parameters.items():
        if key == "callbacks" and value is not None:
            raise ValueError(f"{name}: its callbacks are Python objects, which a file cannot hold; call "
                             "set_params(callbacks=None) before saving")
    try:
        description = {"estimator": name, "parameters": encode(parameters, "state/parameters", arrays),
                       "state": encode(state, "state/state", arrays)}
        description |= {"class": None} if model is None else model_file.describe(model)
    except ValueError as error:
        raise ValueError(f"{name}: {str(error).removeprefix('state/')}") from None
    if model is not None:
        arrays |= model_file.arrays_of(model)
    write(path, Record("estimator", description, arrays))


def load(path: str | os.PathLike, classes: Mapping[str, type]) -> Any:
    """The estimator of a file; `classes` are those it may be of."""
    record = read(path, ("estimator",))
    description, arrays = record.description, record.arrays
    with model_file.described_by(path):
        cls = classes[description["estimator"]]
        estimator = cls(**decode(description["parameters"], arrays))
        if estimator.callbacks is not None:
            raise ValueError("callbacks: a file has none")
        state = decode(description["state"], arrays)
        for name in state:
            if hasattr(cls, name) or name in estimator.get_params(deep=False):
                raise ValueError(f"{name!r:.80} is no fitted attribute")
        ours = ("estimator", "parameters", "state")
        described = {name: value for name, value in description.items() if name not in ours}
        if description["class"] is not None:
            state["model_"] = model_file.build(described, arrays)
        elif described.keys() - {*model_file.ADDED, "class"} or model_file.below("model/", arrays):
            raise ValueError("it holds a model, but not of which class")
        estimator.__setstate__({**estimator.__getstate__(), **state})
        if "model_" in state:
            names = estimator.__dict__.pop("feature_names_in_", None)  # these samples have none
            # what is not whole cannot predict
            if len(estimator.predict(np.zeros((1, estimator.n_features_in_)))) != 1:
                raise ValueError("classes_: it predicts none of them")
            if names is not None:
                estimator.feature_names_in_ = names
    return estimator


def _encode_random_state(value: np.random.RandomState, where: str, arrays: Arrays) -> Any:
    _, key, position, has_gauss, gauss = value.get_state(legacy=True)
    return [encode(np.asarray(key), where, arrays), int(position), int(has_gauss), float(gauss)]


def _decode_random_state(value: Any, arrays: Arrays) -> np.random.RandomState:
    key, position, has_gauss, gauss = value
    if [type(v) for v in value[1:]] != [int, int, float] or not 0 <= position <= 624 or has_gauss not in (0, 1):
        raise ValueError(f"expected a random state, got {value[1:]!r:.80}")
    state = np.random.RandomState()
    state.set_state(("MT19937", decode(key, arrays), position, has_gauss, gauss))
    return state


def _encode_binarizer(value: LabelBinarizer, where: str, arrays: Arrays) -> Any:
    return encode({name: getattr(value, name) for name in BINARIZER}, where, arrays)


def _decode_binarizer(value: Any, arrays: Arrays) -> LabelBinarizer:
    attributes, binarizer = decode(value, arrays), LabelBinarizer()
    for name in BINARIZER:
        setattr(binarizer, name, attributes[name])
    return binarizer


FORMS += [
    Form("random_state", np.random.RandomState, _encode_random_state, _decode_random_state),
    Form("label_binarizer", LabelBinarizer, _encode_binarizer, _decode_binarizer),
    Form("layer", Layer, lambda v, where, arrays: plain(to_config(v), where),
         lambda v, arrays: from_config(v)),
]
