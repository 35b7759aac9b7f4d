"""fastnn: neural networks on the CPU, at the speed the machine allows."""

from . import functional
from ._version import __version__
from .backends import backend, get_num_threads, set_num_threads, use_backend, use_isa
from .callbacks import Callback, CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint, ProgressBar
from .gradcheck import GradientCheck, check_gradients
from .history import History
from .io import load
from .layers import Activation, Dense, Flatten, Layer, Standardize
from .losses import CrossEntropy, Loss, MeanSquaredError, SquaredError
from .metrics import TopK
from .model import Sequential
from .optimizers import SGD, Adam, Momentum, Nesterov, Optimizer

__all__ = [
    "SGD", "Activation", "Adam", "CSVLogger", "Callback", "CrossEntropy", "Dense", "EarlyStopping", "Flatten",
    "GradientCheck", "History", "LambdaCallback", "Layer", "Loss", "MeanSquaredError", "ModelCheckpoint",
    "Momentum", "Nesterov", "Optimizer", "ProgressBar", "Sequential", "SquaredError", "Standardize", "TopK",
    "__version__", "backend", "check_gradients", "functional", "get_num_threads", "load", "set_num_threads",
    "use_backend", "use_isa",
]
