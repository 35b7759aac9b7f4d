"""Layers: each builds its parameters and emits its ops, forward and backward."""

from .activations import ELU, Activation, HardSigmoid, LeakyReLU, PReLU
from .augmentation import RandomFlip, RandomRotation, RandomShift
from .average_pooling import (
    AveragePool1D,
    AveragePool2D,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
)
from .base import Layer
from .convolution import Conv1D, Conv2D, ConvTranspose2D, DepthwiseConv2D
from .dense import Dense
from .elementwise import Flatten, Reshape
from .embedding import Embedding
from .images import Cropping2D, UpSampling2D, ZeroPadding2D
from .inputs import AdaptedLayer, InputLayer, MinMax, PCAWhitening, RowNormalize, Standardize
from .merge import Add, Concatenate, Multiply
from .noise import Dropout, GaussianNoise
from .normalization import BatchNorm, GroupNorm, LayerNorm
from .pooling import MaxPool1D, MaxPool2D
from .recurrent import GRU, LSTM, SimpleRNN
from .recurrent_base import Recurrent
from .registry import LAYERS, from_config, to_config
from .sequence import Bidirectional, Masking, TimeDistributed

LAYERS.update({cls.__name__: cls for cls in (
    Activation, Add, AveragePool1D, AveragePool2D, BatchNorm, Bidirectional, Concatenate, Conv1D, Conv2D,
    ConvTranspose2D, Cropping2D, Dense, DepthwiseConv2D, Dropout, ELU, Embedding, Flatten, GaussianNoise,
    GlobalAveragePool1D, GlobalAveragePool2D, GlobalMaxPool1D, GlobalMaxPool2D, GroupNorm, GRU, HardSigmoid,
    LayerNorm, LeakyReLU, LSTM, Masking, MaxPool1D, MaxPool2D, MinMax, Multiply, PCAWhitening, PReLU, RandomFlip,
    RandomRotation, RandomShift, Reshape, RowNormalize, SimpleRNN, Standardize, TimeDistributed, UpSampling2D,
    ZeroPadding2D)})

__all__ = [
    "ELU", "GRU", "LAYERS", "LSTM", "Activation", "AdaptedLayer", "Add", "BatchNorm", "Bidirectional", "Concatenate",
    "Conv1D", "Conv2D", "ConvTranspose2D", "Dense", "DepthwiseConv2D", "Dropout", "Embedding", "Flatten",
    "GaussianNoise", "HardSigmoid", "InputLayer", "Layer", "LayerNorm", "LeakyReLU", "Masking", "MaxPool1D",
    "MaxPool2D", "MinMax", "Multiply", "PCAWhitening", "PReLU", "Recurrent", "RowNormalize", "SimpleRNN",
    "Standardize", "TimeDistributed", "from_config", "to_config", "RandomFlip", "RandomRotation", "RandomShift",
    "AveragePool1D", "AveragePool2D", "GlobalAveragePool1D", "GlobalAveragePool2D", "GlobalMaxPool1D",
    "GlobalMaxPool2D", "Cropping2D", "UpSampling2D", "ZeroPadding2D", "Reshape", "GroupNorm",
]
