"""Sizes around vector edges; the layers of the catalogue: a new one is tested once it has a row there."""
from fastnn.catalogue import LAYER_CASES, Case

__all__ = ["EDGES", "LAYER_CASES", "Case", "model_of", "samples_of"]

EDGES = (1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 64, 100)  # around whole vectors of every instruction set


def model_of(case, dtype="float64", seed=0):
    """The case's model, compiled for labels; its biases are not zero."""
    return case.model(dtype, seed)


def samples_of(case, n, seed=0):
    """n samples and labels."""
    return case.samples(n, seed)
