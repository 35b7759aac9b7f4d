"""Tables of rows that tokens look up. Tokens are whole numbers from 0, one for each row (B)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Array, as_arrays, call, room

_MOST = 2 ** 31  # tokens, where no table says how many


def embedding_forward(w: Any, token: Any) -> np.ndarray:
    """y_i = w_token[i]: w (tokens, n), token (B), y (B, n). Sequences are rows: ``token.ravel()``.

    Examples
    --------
    >>> embedding_forward([[1.0, 2.0], [3.0, 4.0]], [1, 1])
    array([[3., 4.],
           [3., 4.]])
    """
    w, token = as_arrays("w:vn token:b<v", w, token)
    y = np.empty((len(token), w.shape[1]), w.dtype)
    call("embedding_forward", (token, w, y))
    return y


def embedding_backward(dy: Any, token: Any, tokens: int) -> np.ndarray:
    """dw (tokens, n) of `embedding_forward`: each row the sum of the dy_i whose token it is.

    Examples
    --------
    >>> embedding_backward([[1.0], [2.0], [4.0]], [1, 0, 1], tokens=3).ravel()
    array([2., 5., 0.])
    """
    tokens = checks.positive_int("tokens", tokens)
    dy, token = as_arrays("dy:bn token:b<v", dy, token, v=tokens)
    dw = room("dw", (tokens, dy.shape[1]), dy.dtype)
    call("embedding_backward", (token, dy, dw))
    return dw


def distinct_tokens(token: Any) -> tuple[Array, Array]:
    """The tokens, each once, in the order in which they come, then -1; and where in them each of token is. Both (B).

    Examples
    --------
    >>> distinct_tokens([7, 2, 7])
    (array([ 7,  2, -1]), array([0, 1, 0]))
    """
    token, = as_arrays("token:b<v", token, v=_MOST)
    rows, place = np.empty_like(token), np.empty_like(token)
    call("distinct_tokens", (token, rows, place), real=np.float64)
    return rows, place


def embedding_backward_rows(dy: Any, place: Any) -> np.ndarray:
    """As `embedding_backward`, but only of the rows that `distinct_tokens` found, at their places: (B, n).

    Examples
    --------
    >>> embedding_backward_rows([[1.0], [2.0], [4.0]], [0, 1, 0]).ravel()
    array([5., 2., 0.])
    """
    dy, place = as_arrays("dy:bn place:b<b", dy, place)
    drows = np.empty_like(dy)
    call("embedding_backward_rows", (place, dy, drows))
    return drows


def token_mask(token: Any) -> np.ndarray:
    """A mask (B), float64: 0 where token (B) is 0, else 1.

    Examples
    --------
    >>> token_mask([3, 0])
    array([1., 0.])
    """
    token, = as_arrays("token:b<v", token, v=_MOST)
    mask = np.empty(len(token))
    call("token_mask", (token, mask))
    return mask
