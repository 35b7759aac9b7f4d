"""What cross-entropy is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..checks_arrays import as_numbers, describe


class EntropyDecomposition(NamedTuple):
    """H(p, q) = H(p) + KL(p || q), in nats.

    Attributes
    ----------
    cross_entropy : float or numpy.ndarray
        H(p, q) = -sum_j p_j log q_j.
    entropy : float or numpy.ndarray
        H(p) = -sum_j p_j log p_j.
    divergence : float or numpy.ndarray
        KL(p || q) = sum_j p_j log(p_j / q_j).

    Examples
    --------
    >>> EntropyDecomposition(0.75, 0.5, 0.25).divergence
    0.25
    """

    cross_entropy: Any
    entropy: Any
    divergence: Any


def entropy_decomposition(p: Any, q: Any) -> EntropyDecomposition:
    """Cross-entropy, entropy and Kullback-Leibler divergence of distributions: H(p, q) = H(p) + KL(p || q).

    Why cross-entropy trains like the divergence: the targets' own entropy H(p) does not depend on the
    network, so both have the same gradient, and the least possible cross-entropy is H(p), 0 for labels.
    Source: Cover and Thomas, Elements of Information Theory, chapter 2; CS231n, "Linear classification".

    Parameters
    ----------
    p, q : array_like, shape (n,) or (rows, n)
        The true distribution and the one that stands for it; rows are added up along the last axis. Where q
        is 0 and p is not, cross-entropy and divergence are infinite; where p is 0 the term is 0.

    Returns
    -------
    EntropyDecomposition
        Three floats, or three arrays ``(rows,)``; each is computed by itself.

    Raises
    ------
    ValueError
        If shapes differ, or a row is no distribution: an entry negative or not finite, a sum other than 1.

    Examples
    --------
    >>> found = entropy_decomposition([0.5, 0.5], [0.25, 0.75])
    >>> [round(number, 4) for number in found]
    [0.837, 0.6931, 0.1438]
    >>> abs(found.cross_entropy - (found.entropy + found.divergence)) < 1e-15
    True
    """
    p, q = _distribution("p", p), _distribution("q", q)
    if p.shape != q.shape:
        raise ValueError(f"q: expected the shape of p, {p.shape}, got {q.shape}")
    with np.errstate(divide="ignore"):
        log_q = np.log(q)
    log_p = np.log(np.where(p > 0, p, 1))
    surprise = -np.where(p > 0, p * np.where(p > 0, log_q, 0), 0)
    gap = np.where(p > 0, p * (log_p - np.where(p > 0, log_q, 0)), 0)
    sums = (terms.sum(axis=-1) for terms in (surprise, -p * log_p, gap))
    return EntropyDecomposition(*(float(s) + 0.0 if p.ndim == 1 else s + 0.0 for s in sums))  # no -0


def _distribution(name: str, value: Any) -> np.ndarray:
    array = as_numbers(value, name, "distributions of shape (n,) or (rows, n)", "give it numbers").astype(np.float64)
    expected = f"{name}: expected distributions of shape (n,) or (rows, n)"
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{expected}, got {describe(value)}")
    if not (array >= 0).all() or not np.isfinite(array).all():
        raise ValueError(f"{expected} with no negative entry, got {array.min():g}")
    sums = array.sum(axis=-1)
    worst = np.ravel(sums)[np.argmax(np.abs(sums - 1))]
    if abs(worst - 1) > 1e-6:
        raise ValueError(f"{expected} that sum to 1, got the sum {worst:g}; divide by it")
    return array
