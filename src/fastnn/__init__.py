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
from .clipping import Clipping
from .gradcheck import GradientCheck, check_gradients
from .history import History
from .io import load
from .layers import (
    ELU,
    Activation,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    HardSigmoid,
    Layer,
    LeakyReLU,
    MinMax,
    PCAWhitening,
    PReLU,
    RowNormalize,
    Standardize,
)
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
from .regularizers import L1, L2, Constraint, ElasticNet, MaxNorm, Regularizer
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
    "ELU", "EMA", "L1", "L2", "SGD", "SWA", "AMSGrad", "Activation", "AdaDelta", "AdaGrad", "Adam", "AdamW",
    "CSVLogger", "Callback", "Clipping", "ConstantRate", "ConstantThenInverse", "Constraint", "CosineDecay",
    "CosineRestarts", "CrossEntropy", "Dense", "Dropout", "EarlyStopping", "ElasticNet",
    "ExponentialAverage", "ExponentialDecay", "Flatten", "GaussianNoise", "GradientCheck", "HardSigmoid",
    "History", "InverseSquareRootDecay", "InverseTimeDecay", "LambdaCallback", "Layer", "LeakyReLU",
    "LearningRateSearch", "Lion", "Loss", "MaxNorm", "MeanSquaredError", "MinMax", "ModelCheckpoint",
    "Momentum", "NAdam", "Nesterov", "OneCycle", "Optimizer", "PCAWhitening", "PReLU", "PolynomialDecay",
    "ProgressBar", "RMSprop", "ReduceOnPlateau", "Regularizer", "RowNormalize", "Schedule", "Sequential",
    "SquaredError", "Standardize", "StepDecay", "TopK", "WarmUp", "__version__", "backend",
    "check_gradients", "find_learning_rate", "fit_lbfgs", "functional", "get_num_threads", "initializers",
    "load", "schedules", "set_num_threads", "use_backend", "use_isa",
]
