"""Text as tokens: a character each."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .. import checks
from ..checks_arrays import as_any_array
from ..checks_sequences import as_tokens

__all__ = ["Vocabulary", "read_text", "windows"]


class Vocabulary:
    """The characters of a text, each with its number: its place in their order.

    Parameters
    ----------
    text : str
        What the characters are taken from.

    Attributes
    ----------
    characters : str
        All of them, in the order of their code points.

    Examples
    --------
    >>> v = Vocabulary("banana")
    >>> v.encode("nab").tolist(), v.decode([1, 0, 1, 0])
    ([2, 0, 1], 'baba')
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"text: expected a string, got {checks.describe(text)}")
        self.characters = "".join(sorted(set(text)))
        self._codes = np.array([ord(c) for c in self.characters], np.uint32)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text, (len(text),) int64.

        Raises
        ------
        ValueError
            If there is a character that is not among those known.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected a string, got {checks.describe(text)}")
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        tokens = np.searchsorted(self._codes, codes)
        wrong = self._codes[np.minimum(tokens, len(self) - 1)] != codes
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(f"text: expected characters of {self.characters!r}, got {text[at]!r} at place {at}")
        return tokens.astype(np.int64)

    def decode(self, tokens: np.ndarray | list[int]) -> str:
        """The text of tokens."""
        array = as_any_array(tokens, "tokens", f"a list of whole numbers 0..{len(self) - 1}").reshape(1, -1)
        known = as_tokens(array, (None,), len(self), "tokens")[0] if array.size else []
        return "".join(self.characters[i] for i in known)


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a UTF-8 text file.

    Raises
    ------
    ValueError
        If the file is not UTF-8, or empty.
    """
    content = Path(checks.file_path("path", path)).read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got byte {content[error.start]:#04x} at place {error.start}; "
                         "convert the file first, for example with iconv -t utf-8") from None
    if not text:
        raise ValueError(f"{path}: expected text, got an empty file")
    return text


def windows(tokens: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut tokens into sequences, and for each step of them the token that follows.

    Parameters
    ----------
    tokens : numpy.ndarray
        (n,) whole numbers, more than `steps`.
    steps : int
        Tokens of a sequence. What is left at the end is dropped.

    Returns
    -------
    X, y : numpy.ndarray
        ((n - 1) // steps, steps).

    Examples
    --------
    >>> X, y = windows(np.arange(8), 3)
    >>> X.tolist(), y.tolist()
    ([[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]])
    """
    tokens = as_any_array(tokens, "tokens", "a sequence of shape (n,)")
    if tokens.ndim != 1:
        raise ValueError(f"tokens must be a sequence of shape (n,), got {checks.describe(tokens)}")
    n = (len(tokens) - 1) // checks.positive_int("steps", steps)
    if n < 1:
        raise ValueError(f"tokens: expected more than steps={steps} of them, got {len(tokens)}")
    return tokens[:n * steps].reshape(n, steps), tokens[1:n * steps + 1].reshape(n, steps)
