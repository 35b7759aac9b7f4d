"""fastnn: neural networks on the CPU, at the speed the machine allows."""

from . import functional, initializers, schedules
from ._version import __version__
from .averaging import EMA, SWA, ExponentialAverage
from .backends import backend, get_num_threads, set_num_threads, use_backend, use_isa
from .callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ProgressBar,
    ReduceOnPlateau,
)
from .gradcheck import GradientCheck, check_gradients
from .history import History
from .io import load
from .layers import Activation, Dense, Flatten, Layer, Standardize
from .lbfgs import fit_lbfgs
from .learning_rate import LearningRateSearch, find_learning_rate
from .losses import CrossEntropy, Loss, MeanSquaredError, SquaredError
from .metrics import TopK
from .model import Sequential
from .optimizers import (
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    Optimizer,
    RMSprop,
)
from .schedules import (
    ConstantRate,
    ConstantThenInverse,
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    InverseSquareRootDecay,
    InverseTimeDecay,
    OneCycle,
    PolynomialDecay,
    Schedule,
    StepDecay,
    WarmUp,
)

__all__ = [
    "EMA", "SGD", "SWA", "AMSGrad", "Activation", "AdaDelta", "AdaGrad", "Adam", "AdamW", "CSVLogger",
    "Callback", "ConstantRate", "ConstantThenInverse", "CosineDecay", "CosineRestarts", "CrossEntropy",
    "Dense", "EarlyStopping", "ExponentialAverage", "ExponentialDecay", "Flatten", "GradientCheck",
    "History", "InverseSquareRootDecay", "InverseTimeDecay", "LambdaCallback", "Layer",
    "LearningRateSearch", "Lion", "Loss", "MeanSquaredError", "ModelCheckpoint", "Momentum", "NAdam",
    "Nesterov", "OneCycle", "Optimizer", "PolynomialDecay", "ProgressBar", "RMSprop", "ReduceOnPlateau",
    "Schedule", "Sequential", "SquaredError", "Standardize", "StepDecay", "TopK", "WarmUp", "__version__",
    "backend", "check_gradients", "find_learning_rate", "fit_lbfgs", "functional", "get_num_threads",
    "initializers", "load", "schedules", "set_num_threads", "use_backend", "use_isa",
]
