"""A call of every function of fastnn.functional, and why some ops have none."""
import numpy as np

RNG = np.random.default_rng(0)


def of(*shape):
    return RNG.integers(-8, 9, shape) / 4  # exact in float16


# Each function's arrays, its other arguments, and how many of its arrays it changes in place.
LABELS, ROWS = np.arange(7) % 5, np.eye(5)[np.arange(7) % 5]
CALLS = {
    "dense_forward": ((of(7, 3), of(3, 5), of(5)), ("relu",), 0),
    "dense_backward_input": ((of(7, 5), of(3, 5), of(7, 3)), ("relu",), 0),
    "dense_backward_parameters": ((of(7, 3), of(7, 5)), (), 0),
    "activation_forward": ((of(7, 5),), ("tanh",), 0),
    "activation_backward": ((of(7, 5), of(7, 5)), ("sigmoid",), 0),
    "softmax_forward": ((of(7, 5),), (), 0),
    "softmax_backward": ((of(7, 5), ROWS), (), 0),
    "log_softmax_forward": ((of(7, 5),), (), 0),
    "log_softmax_backward": ((of(7, 5), -ROWS), (), 0),
    "prelu_forward": ((of(7, 5), of(5)), (), 0),
    "prelu_backward_input": ((of(7, 5), of(7, 5), of(5)), (), 0),
    "prelu_backward_parameters": ((of(7, 5), of(7, 5)), (), 0),
    "softmax_cross_entropy": ((of(7, 5), LABELS, np.arange(7.0)), (), 0),
    "sigmoid_cross_entropy": ((of(7, 5), ROWS, np.arange(7.0)), (), 0),
    "poisson_deviance": ((of(7, 5), np.abs(of(7, 5)), np.arange(7.0)), (), 0),
    "squared_error": ((of(7, 5), of(7, 5), np.arange(7.0)), (0.5,), 0),
    "elementwise_loss": ((of(7, 5), of(7, 5), np.arange(7.0)), ("huber",), 0),
    "softmax_focal": ((of(7, 5), LABELS, np.arange(7.0)), (1.5,), 0),
    "multi_class_hinge": ((of(7, 5), LABELS, np.arange(7.0)), (0.75, 2.0), 0),
    "cosine_distance": ((of(7, 5), of(7, 5), np.arange(7.0)), (), 0),
    "standardize": ((of(7, 5), of(5), of(5)), (), 0),
    "sgd": ((of(7, 5), of(7, 5)), (0.1,), 1),
    "momentum": ((of(7, 5), of(7, 5), of(7, 5)), (0.1, 0.5), 2),
    "nesterov": ((of(7, 5), of(7, 5), of(7, 5)), (0.1, 0.5), 2),
    "adam": ((of(7, 5), of(7, 5), of(7, 5), np.abs(of(7, 5))), (0.1, 3), 3),
}
CALLS |= {
    "standardize_backward": ((of(7, 5), of(5)), (), 0),
    "row_normalize": ((of(7, 5),), ("l1",), 0),
    "row_normalize_backward": ((of(7, 5), of(7, 5)), ("l2",), 0),
    "dropout": ((of(7, 5),), (0.3, 5), 0),
    "gaussian_noise": ((of(7, 5),), (0.3, 5), 0),
    "penalty": ((of(7, 5),), (0.2, 0.3), 0),
    "clip_value": ((of(7, 5),), (0.7,), 0),
    "clip_norm": ((of(7, 5),), (3.0,), 0),
    "max_norm": ((of(7, 5),), (1.5,), 0),
}
MASK = np.array([1.0, 1, 0, 1, 1, 1, 0])
TIMES = (np.arange(4) < np.arange(7)[:, np.newaxis]).astype(float)  # of sequences of 0 to 4 steps
STEPS = RNG.integers(-1, 4, (7, 5)).astype(float)
CALLS |= {
    "batch_norm_forward": ((of(7, 5), of(5), of(5), MASK), (0.5,), 0),
    "batch_norm_backward": ((of(7, 5), of(7, 5), of(5), of(5), of(5), MASK), (), 0),
    "batch_norm_fold": ((of(5), np.abs(of(5)), of(5), of(5)), (0.5,), 0),
    "scale_shift": ((of(7, 5), of(5), of(5)), (), 0),
    "layer_norm_forward": ((of(7, 5), of(5), of(5)), (0.5,), 0),
    "layer_norm_backward": ((of(7, 5), of(7, 5), of(7), of(7), of(5)), (), 0),
    "layer_norm_backward_parameters": ((of(7, 5), of(7, 5), of(7), of(7)), (), 0),
}
IMAGES, SMALL, KERNELS = of(7, 4, 6, 4), of(7, 2, 3, 6), of(3, 2, 2, 6)
SLIDING = (2, ((1, 1), (0, 1)), 1, 2)  # strides, padding, dilation, groups
CALLS |= {
    "conv_forward": ((IMAGES, KERNELS, of(6)), ("tanh", None, *SLIDING), 0),
    "conv_backward_input": ((SMALL, KERNELS), ((4, 6), IMAGES, "relu", None, *SLIDING), 0),
    "conv_backward_parameters": ((IMAGES, SMALL), ((3, 2), *SLIDING), 0),
    "conv_transpose_forward": ((SMALL, KERNELS), (of(4), "relu", None, 2, ((1, 0), (0, 0)), 1, 2), 0),
    "conv_transpose_backward_input": ((IMAGES, KERNELS, SMALL), ("relu", None, *SLIDING), 0),
    "conv_transpose_backward_parameters": ((SMALL, IMAGES), ((3, 2), *SLIDING), 0),
    "max_pool_forward": ((IMAGES,), (2, None, 0), 0),
    "max_pool_backward": ((SMALL, RNG.integers(0, 4, SMALL.shape).astype(float)), ((4, 6),), 0),
}
COLOURS, SHRUNK, CELLS = of(7, 4, 6, 3), of(7, 2, 3, 3), of(7, 1, 1, 3)
CALLS |= {
    "group_norm_forward": ((COLOURS, of(3), of(3)), (3, False, 0.5), 0),
    "group_norm_backward": ((COLOURS, COLOURS, CELLS, CELLS, of(3)), (), 0),
    "group_norm_backward_parameters": ((COLOURS, COLOURS, CELLS, CELLS), (), 0),
    "average_pool_forward": ((COLOURS,), ((3, 2), 1, 1, True), 0),
    "average_pool_backward": ((SHRUNK,), ((4, 6), 2), 0),
    "crop_pad": ((COLOURS,), (((1, -2), (-1, 3)),), 0),
    "upsample_forward": ((SHRUNK,), ((2, 3), True), 0),
    "upsample_backward": ((COLOURS,), ((2, 3), True), 0),
    "random_flip": ((COLOURS,), (True, True, 5), 0),
    "random_shift": ((COLOURS,), (1, 0.5, False, 5), 0),
    "random_rotation": ((COLOURS,), (30.0, 0.5, False, 5), 0),
    "time_mean_forward": ((of(7, 4, 5), TIMES), (), 0),
    "time_mean_backward": ((of(7, 5), TIMES), (), 0),
    "time_max_forward": ((of(7, 4, 5), TIMES), (), 0),
    "time_max_backward": ((of(7, 5), STEPS), (4,), 0),
}
DW, W, STATE, SQUARE = of(7, 5), of(7, 5), of(7, 5), np.abs(of(7, 5)) + 17  # a variance is above zero
CALLS |= {
    "adagrad": ((DW, W, SQUARE), (0.1, 1e-3), 2),
    "rmsprop": ((DW, W, SQUARE), (0.1, 0.8), 2),
    "rmsprop_momentum": ((DW, W, SQUARE, STATE), (0.1, 0.8, 0.5), 3),
    "rmsprop_centered": ((DW, W, SQUARE, STATE), (0.1, 0.8), 3),
    "rmsprop_centered_momentum": ((DW, W, SQUARE, STATE, STATE), (0.1, 0.8, 0.5), 4),
    "adadelta": ((DW, W, SQUARE, SQUARE), (0.1, 0.8), 3),
    "amsgrad": ((DW, W, STATE, SQUARE, SQUARE), (0.1, 3), 4),
    "nadam": ((DW, W, STATE, SQUARE), (0.1, 3), 3),
    "adamw": ((DW, W, STATE, SQUARE), (0.1, 3), 3),
    "lion": ((DW, W, STATE), (0.1,), 2),
}
SEQUENCE, STATES = of(7, 4, 5), of(7, 4, 3)
WEIGHTS = {gates: (of(5, gates * 3), of(3, gates * 3)) for gates in (1, 3, 4)}
GATES, STATE_0 = np.abs(of(7, 4, 12)) / 2, of(7, 3)
CALLS |= {
    "rnn_forward": ((SEQUENCE, *WEIGHTS[1], of(3), STATE_0, TIMES), ("sigmoid", None, True), 0),
    "rnn_backward": ((STATES, WEIGHTS[1][1], STATES / 4, STATE_0, TIMES), ("sigmoid", None, True, 2), 0),
    "recurrent_backward_parameters": ((STATES, GATES, STATE_0), (True,), 0),
    "lstm_forward": ((SEQUENCE, *WEIGHTS[4], of(12), STATE_0, STATE_0, TIMES), (True,), 0),
    "lstm_backward": ((STATES, WEIGHTS[4][1], GATES, STATES, STATE_0, STATE_0, STATE_0, TIMES), (True, 2), 0),
    "gru_forward": ((SEQUENCE, *WEIGHTS[3], of(9), of(3), STATE_0, TIMES), (True,), 0),
    "gru_backward": ((STATES, WEIGHTS[3][1], GATES, STATES, STATE_0, STATE_0, TIMES), (True, 2, False), 0),
    "gru_backward_parameters": ((STATES, GATES, STATE_0), (True,), 0),
    "embedding_forward": ((of(5, 3), LABELS), (), 0),
    "embedding_backward": ((of(7, 3), LABELS), (6,), 0),
    "embedding_backward_rows": ((of(7, 3), LABELS), (), 0),
    "distinct_tokens": ((LABELS,), (), 0),
    "token_mask": ((LABELS,), (), 0),
    "step_mask": ((np.trunc(SEQUENCE[..., :2] / 2),), (-0.0,), 0),
    "add": ((of(7, 5), of(7, 5)), (), 0),
    "multiply": ((of(7, 5), of(7, 5)), (), 0),
    "scale": ((of(7, 5),), (0.3,), 0),
}

MADE_OF_OPS = {"adamw", "clip_global_norm"}  # functions that are no op, but made of some
WITHOUT_FUNCTION = {  # op: why it has no function of its name
    **dict.fromkeys(("gather", "check_rows", "gather_time", "gather_lanes"), "picks a step's rows from a Run's data"),
    **dict.fromkeys(("store", "store_time"), "writes a block's rows where a Run has room for all"),
    **dict.fromkeys(("rows_to_time", "time_to_rows", "rows_to_lanes", "lanes_to_rows"), "the functions take samples"),
    "time_weights": "weights and labels of a step in the time layout, where the functions take samples",
    "copy_columns": "a part of an array of the arena; NumPy's y[:, a:b] = x[:, c:d]",
    "loss_sum": "what the losses' row_loss comes to in a step of a Run",
    "weigh_rows": "runs before a user's own loss, held in tests/test_losses.py",
    "sum_chunks": "the second half of conv_backward_parameters, which returns what it makes",
    "conv_pool_forward": "conv_forward and max_pool_forward in one, by a pass over a Program",
    "dense_backward_update": "dense_backward_parameters and an optimizer in one, by a pass over a Program",
    "lazy_update": "any optimizer's step on named rows: its function, given w[rows]",
    "penalty_sum": "a part of penalty",
    **dict.fromkeys(("row_squares", "norm_square"), "a part of clip_norm and clip_global_norm"),
}
