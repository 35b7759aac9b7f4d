"""The ops as functions on arrays, on the backend in use.

Arrays are float32 or float64, all of one dtype, and C-contiguous; lists and other arrays are converted first,
to the dtype of the first one. Results are new arrays; the optimizer steps change theirs in place. Shapes and
labels are checked, other values are not: these are the kernels, for experiments and tests;
`fastnn.Sequential` is the way to train.

Examples
--------
>>> import numpy as np
>>> from fastnn import functional as F
>>> F.activation_forward(np.array([[-1.0, 2.0]]), "relu")
array([[0., 2.]])
"""

from .activations import (
    activation_backward,
    activation_forward,
    log_softmax_backward,
    log_softmax_forward,
    prelu_backward_input,
    prelu_backward_parameters,
    prelu_forward,
    softmax_backward,
    softmax_forward,
)
from .base import call as call
from .convolution import (
    conv_backward_input,
    conv_backward_parameters,
    conv_forward,
    conv_transpose_backward_input,
    conv_transpose_backward_parameters,
    conv_transpose_forward,
)
from .dense import dense_backward_input, dense_backward_parameters, dense_forward
from .embedding import distinct_tokens, embedding_backward, embedding_backward_rows, embedding_forward, token_mask
from .images import crop_pad, random_flip, random_rotation, random_shift, upsample_backward, upsample_forward
from .limits import clip_global_norm, clip_norm, clip_value, max_norm, penalty
from .losses import (
    cosine_distance,
    elementwise_loss,
    multi_class_hinge,
    poisson_deviance,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    softmax_focal,
    squared_error,
)
from .merging import add, multiply, scale
from .noise import dropout, gaussian_noise
from .normalization import (
    batch_norm_backward,
    batch_norm_fold,
    batch_norm_forward,
    group_norm_backward,
    group_norm_backward_parameters,
    group_norm_forward,
    layer_norm_backward,
    layer_norm_backward_parameters,
    layer_norm_forward,
    row_normalize,
    row_normalize_backward,
    scale_shift,
    standardize,
    standardize_backward,
)
from .optimizers import (
    adadelta,
    adagrad,
    adam,
    adamw,
    amsgrad,
    lion,
    momentum,
    nadam,
    nesterov,
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_momentum,
    sgd,
)
from .pooling import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward
from .recurrent import (
    gru_backward,
    gru_backward_parameters,
    gru_forward,
    lstm_backward,
    lstm_forward,
    recurrent_backward_parameters,
    rnn_backward,
    rnn_forward,
)
from .sequences import step_mask, time_max_backward, time_max_forward, time_mean_backward, time_mean_forward

__all__ = [
    "activation_backward", "activation_forward", "adadelta", "adagrad", "adam", "adamw", "add", "amsgrad",
    "average_pool_backward", "average_pool_forward", "batch_norm_backward", "batch_norm_fold", "batch_norm_forward",
    "clip_global_norm", "clip_norm", "clip_value", "conv_backward_input", "conv_backward_parameters",
    "conv_forward", "conv_transpose_backward_input", "conv_transpose_backward_parameters", "conv_transpose_forward",
    "cosine_distance", "crop_pad", "dense_backward_input", "dense_backward_parameters", "dense_forward",
    "distinct_tokens", "dropout", "elementwise_loss", "embedding_backward", "embedding_backward_rows",
    "embedding_forward", "gaussian_noise", "group_norm_backward", "group_norm_backward_parameters",
    "group_norm_forward", "gru_backward", "gru_backward_parameters", "gru_forward", "layer_norm_backward",
    "layer_norm_backward_parameters", "layer_norm_forward", "lion", "log_softmax_backward", "log_softmax_forward",
    "lstm_backward", "lstm_forward", "max_norm", "max_pool_backward", "max_pool_forward", "momentum",
    "multi_class_hinge", "multiply", "nadam", "nesterov", "penalty", "poisson_deviance", "prelu_backward_input",
    "prelu_backward_parameters", "prelu_forward", "random_flip", "random_rotation", "random_shift",
    "recurrent_backward_parameters", "rmsprop", "rmsprop_centered", "rmsprop_centered_momentum", "rmsprop_momentum",
    "rnn_backward", "rnn_forward", "row_normalize", "row_normalize_backward", "scale", "scale_shift", "sgd",
    "sigmoid_cross_entropy", "softmax_backward", "softmax_cross_entropy", "softmax_focal", "softmax_forward",
    "squared_error", "standardize", "standardize_backward", "step_mask", "time_max_backward", "time_max_forward",
    "time_mean_backward", "time_mean_forward", "token_mask", "upsample_backward", "upsample_forward",
]
