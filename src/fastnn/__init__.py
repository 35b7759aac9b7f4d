"""fastnn: neural networks on the CPU, at the speed the machine allows."""

from . import functional, initializers, losses, schedules
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
from .checkpoints import Checkpoint
from .class_weights import balanced_weights
from .clipping import Clipping
from .descent import Descent, descend
from .diagnostics import Diagnosis, Finding, Monitor, SanityReport, diagnose, sanity_check
from .gan import GAN
from .gradcheck import GradientCheck, check_gradients
from .gradient_error import GradientErrorCurve, gradient_error_curve
from .history import History
from .io import ModelFileError, from_keras_weights, from_onnx, from_torch, load, to_onnx, to_torch
from .layers import (
    ELU,
    GRU,
    LSTM,
    Activation,
    Add,
    AveragePool1D,
    AveragePool2D,
    BatchNorm,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Cropping2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSigmoid,
    Layer,
    LayerNorm,
    LeakyReLU,
    Masking,
    MaxPool1D,
    MaxPool2D,
    MinMax,
    Multiply,
    PCAWhitening,
    PReLU,
    RandomFlip,
    RandomRotation,
    RandomShift,
    Reshape,
    RowNormalize,
    SimpleRNN,
    Standardize,
    TimeDistributed,
    UpSampling2D,
    ZeroPadding2D,
)
from .layers.tensor import Input
from .lbfgs import fit_lbfgs
from .learning_rate import LearningRateSearch, find_learning_rate
from .losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    CosineDistance,
    CrossEntropy,
    EntropyDecomposition,
    Focal,
    FunctionLoss,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanSquaredError,
    MultiClassHinge,
    Poisson,
    PoissonDeviance,
    Quantile,
    SmoothL1,
    SquaredError,
    SquaredHinge,
    entropy_decomposition,
)
from .metrics import TopK
from .model import Model
from .model_state import LoadReport
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
from .sequential import Sequential
from .unfreezing import GradualUnfreezing

__all__ = [
    "ELU", "EMA", "GAN", "GRU", "L1", "L2", "LSTM", "SGD", "SWA", "AMSGrad", "AbsoluteError", "Activation", "AdaDelta",
    "AdaGrad", "Adam", "AdamW", "Add", "AveragePool1D", "AveragePool2D", "BatchNorm", "Bidirectional",
    "BinaryCrossEntropy", "CSVLogger", "Callback", "CategoricalCrossEntropy", "Checkpoint", "Clipping", "Concatenate",
    "ConstantRate", "ConstantThenInverse", "Constraint", "Conv1D", "Conv2D", "ConvTranspose2D", "CosineDecay",
    "CosineDistance", "CosineRestarts", "Cropping2D", "CrossEntropy", "Dense", "DepthwiseConv2D", "Descent",
    "Diagnosis", "Dropout", "EarlyStopping", "ElasticNet", "Embedding", "EntropyDecomposition", "ExponentialAverage",
    "ExponentialDecay", "Finding", "Flatten", "Focal", "FunctionLoss", "GaussianNoise", "GlobalAveragePool1D",
    "GlobalAveragePool2D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GradientCheck", "GradientErrorCurve",
    "GradualUnfreezing", "GroupNorm", "HardSigmoid", "Hinge", "History", "Huber", "Input", "InverseSquareRootDecay",
    "InverseTimeDecay", "KLDivergence", "LambdaCallback", "Layer", "LayerNorm", "LeakyReLU", "LearningRateSearch",
    "Lion", "LoadReport", "LogCosh", "Loss", "Masking", "MaxNorm", "MaxPool1D", "MaxPool2D", "MeanSquaredError",
    "MinMax", "Model", "ModelCheckpoint", "ModelFileError", "Momentum", "Monitor", "MultiClassHinge", "Multiply",
    "NAdam", "Nesterov", "OneCycle", "Optimizer", "PCAWhitening", "PReLU", "Poisson", "PoissonDeviance",
    "PolynomialDecay", "ProgressBar", "Quantile", "RMSprop", "RandomFlip", "RandomRotation", "RandomShift",
    "ReduceOnPlateau", "Regularizer", "Reshape", "RowNormalize", "SanityReport", "Schedule", "Sequential", "SimpleRNN",
    "SmoothL1", "SquaredError", "SquaredHinge", "Standardize", "StepDecay", "TimeDistributed", "TopK", "UpSampling2D",
    "WarmUp", "ZeroPadding2D", "__version__", "backend", "balanced_weights", "check_gradients", "descend", "diagnose",
    "entropy_decomposition", "find_learning_rate", "fit_lbfgs", "from_keras_weights", "from_onnx", "from_torch",
    "functional", "get_num_threads", "gradient_error_curve", "initializers", "load", "load_estimator", "losses",
    "sanity_check", "schedules", "set_num_threads", "to_onnx", "to_torch", "use_backend", "use_isa",
]


def load_estimator(path):
    """Read an `MLPClassifier` or `MLPRegressor` that its `save` wrote; `fastnn.estimators.load_estimator`.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    MLPClassifier or MLPRegressor

    Examples
    --------
    >>> from fastnn.estimators import MLPRegressor
    >>> MLPRegressor(hidden_layer_sizes=(32, 16), activation="gelu").save("mlp.safetensors")
    >>> load_estimator("mlp.safetensors")
    MLPRegressor(activation='gelu', hidden_layer_sizes=(32, 16))
    """
    from .estimators import load_estimator as load  # which needs scikit-learn
    return load(path)
