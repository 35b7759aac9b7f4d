"""fastnn: neural networks on the CPU, at the speed the machine allows."""

from . import functional
from ._version import __version__
from .backends import backend, get_num_threads, set_num_threads, use_backend, use_isa
from .callbacks import Callback, CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint, ProgressBar
from .clipping import Clipping
from .gradcheck import GradientCheck, check_gradients
from .history import History
from .io import load
from .layers import (
    Activation,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    Layer,
    MinMax,
    PCAWhitening,
    RowNormalize,
    Standardize,
)
from .losses import CrossEntropy, Loss, MeanSquaredError, SquaredError
from .metrics import TopK
from .model import Sequential
from .optimizers import SGD, Adam, Momentum, Nesterov, Optimizer
from .regularizers import L1, L2, Constraint, ElasticNet, MaxNorm, Regularizer

__all__ = [
    "L1", "L2", "SGD", "Activation", "Adam", "CSVLogger", "Callback", "Clipping", "Constraint",
    "CrossEntropy", "Dense", "Dropout", "EarlyStopping", "ElasticNet", "Flatten", "GaussianNoise",
    "GradientCheck", "History", "LambdaCallback", "Layer", "Loss", "MaxNorm", "MeanSquaredError", "MinMax",
    "ModelCheckpoint", "Momentum", "Nesterov", "Optimizer", "PCAWhitening", "ProgressBar", "Regularizer",
    "RowNormalize", "Sequential", "SquaredError", "Standardize", "TopK", "__version__", "backend",
    "check_gradients", "functional", "get_num_threads", "load", "set_num_threads", "use_backend", "use_isa",
]
