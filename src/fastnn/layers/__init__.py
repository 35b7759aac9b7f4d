"""Layers: each builds its parameters and emits its ops, forward and backward."""

from .activations import ELU, Activation, HardSigmoid, LeakyReLU, PReLU
from .base import Layer
from .convolution import Conv1D, Conv2D, ConvTranspose2D, DepthwiseConv2D
from .dense import Dense
from .elementwise import Flatten
from .embedding import Embedding
from .inputs import AdaptedLayer, InputLayer, MinMax, PCAWhitening, RowNormalize, Standardize
from .merge import Add, Concatenate, Multiply
from .noise import Dropout, GaussianNoise
from .normalization import BatchNorm, LayerNorm
from .pooling import MaxPool1D, MaxPool2D
from .recurrent import GRU, LSTM, SimpleRNN
from .recurrent_base import Recurrent
from .registry import LAYERS, from_config, to_config
from .sequence import Bidirectional, Masking, TimeDistributed

LAYERS.update({cls.__name__: cls for cls in (
    Activation, Add, BatchNorm, Bidirectional, Concatenate, Conv1D, Conv2D, ConvTranspose2D, Dense, DepthwiseConv2D,
    Dropout, ELU, Embedding, Flatten, GaussianNoise, GRU, HardSigmoid, LayerNorm, LeakyReLU, LSTM, Masking, MaxPool1D,
    MaxPool2D, MinMax, Multiply, PCAWhitening, PReLU, RowNormalize, SimpleRNN, Standardize, TimeDistributed)})

__all__ = [
    "ELU", "GRU", "LAYERS", "LSTM", "Activation", "AdaptedLayer", "Add", "BatchNorm", "Bidirectional", "Concatenate",
    "Conv1D", "Conv2D", "ConvTranspose2D", "Dense", "DepthwiseConv2D", "Dropout", "Embedding", "Flatten",
    "GaussianNoise", "HardSigmoid", "InputLayer", "Layer", "LayerNorm", "LeakyReLU", "Masking", "MaxPool1D",
    "MaxPool2D", "MinMax", "Multiply", "PCAWhitening", "PReLU", "Recurrent", "RowNormalize", "SimpleRNN",
    "Standardize", "TimeDistributed", "from_config", "to_config",
]
