"""Pictures: one call each, on the Axes given or on new ones, which it returns; nothing is shown.

Needs matplotlib: ``pip install "fastnn-cpu[plot]"``. Colours survive colour blindness, and lines also have a
style of their own, so that a picture is read in grey too.

>>> import fastnn as fnn
>>> from fastnn import plot
>>> ax = plot.activation("tanh")
>>> plot.save(ax, "tanh.png")
"""

from .checking import gradient_check, gradient_error, profile
from .classes import calibration, confusion_matrix, decision_boundary, embedding, predictions, residuals
from .curves_of_training import compare, curves, history, learning_rate_search, schedule
from .diagram import network
from .functions import activation
from .images import weights, worst_errors
from .layers_over_time import gradient_norms, histograms, saturation, update_ratios
from .style import colour, figure, save
from .surfaces import loss_surface, optimizer_paths

__all__ = [
    "activation", "calibration", "colour", "compare", "confusion_matrix", "curves", "decision_boundary", "embedding",
    "figure", "gradient_check", "gradient_error", "gradient_norms", "histograms", "history", "learning_rate_search",
    "loss_surface", "network", "optimizer_paths", "predictions", "profile", "residuals", "saturation", "save",
    "schedule", "update_ratios", "weights", "worst_errors",
]
