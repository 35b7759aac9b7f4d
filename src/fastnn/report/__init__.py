"""Reports: what became of a training and of the model, on one HTML page that needs no network and no script."""

from .write import write_report

__all__ = ["write_report"]
