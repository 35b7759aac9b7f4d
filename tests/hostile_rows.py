"""A row for each public thing that is made or called with settings: valid arguments, and what is then done with it.

`ROWS` is what tests/test_hostile_arguments.py goes over; a public name without a row there fails the suite.
"""
import inspect

import numpy as np

import fastnn as fnn
from fastnn import initializers, metrics
from fastnn.layers.recurrent_base import Recurrent

VECTOR, SEQUENCE, IMAGE = (5,), (5, 3), (6, 6, 2)
RNG = np.random.default_rng(0)


class Row:
    """Arguments of a callable that are valid, further ones that its signature does not name, and its use.

    A value is made anew by a function without arguments, where it may be used only once. `names`: what a
    message may call an argument instead.
    """

    def __init__(self, base=(), *more, use=None, call=None, names=()):
        self.base, self.more, self.use, self.call, self.names = dict(base), more, use, call, dict(names)

    def parameters(self, thing):
        """The names of all arguments."""
        kinds = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
        named = [p.name for p in inspect.signature(thing).parameters.values() if p.kind not in kinds]
        return [*named, *(name for name in self.more if name not in named)]

    def arguments(self, **changed):
        """The valid arguments with these changed."""
        given = {k: v() if callable(v) and getattr(v, "__name__", "") == "<lambda>" else v
                 for k, v in self.base.items()}
        return {**given, **changed}


def trains(shape, tokens=False):
    """Put a layer into a model of samples of a shape, predict, train, write it down and make it again."""
    def use(layer):
        model = fnn.Sequential([layer, fnn.Flatten(), fnn.Dense(2)], input_shape=shape)
        model.compile("sgd", "squared_error")
        X = np.zeros((3, *shape), int) if tokens else RNG.random((3, *shape))
        model.predict(X)
        model.fit(X, np.zeros((3, 2)), verbose=0)
        type(layer)(**layer.get_config())
    return use


def steps(optimizer):
    """A step of an optimizer."""
    model = fnn.Sequential([fnn.Dense(2)], input_shape=(3,))
    model.compile(optimizer, "squared_error")
    model.fit(np.ones((3, 3)), np.zeros((3, 2)), verbose=0)
    optimizer.get_config()


TARGETS = {"labels": [0, 1, 2], "labels_or_rows": [0, 1, 2]}  # ones for other kinds


def judges(activation=None):
    """Train with a loss behind an activation."""
    def use(loss):
        model = fnn.Sequential([fnn.Dense(3, activation)], input_shape=(3,))
        model.compile("sgd", loss)
        y = TARGETS.get(model.target_kind, np.ones((3, 3)))
        model.fit(np.ones((3, 3)), y, verbose=0)
        model.evaluate(np.ones((3, 3)), y)
        loss.get_config()
    return use


def falls(schedule):
    """The rates of a schedule are numbers of at least 0; one that grows may end at infinity."""
    for update in (0, 1, 10, 10 ** 6):
        assert schedule(update) >= 0
    steps(fnn.SGD(schedule))
    schedule.get_config()


def penalises(regularizer):
    """Train with a penalty or a constraint, which write themselves down."""
    setting = "kernel_constraint" if isinstance(regularizer, fnn.Constraint) else "kernel_regularizer"
    trains(VECTOR)(fnn.Dense(3, **{setting: regularizer}))


def follows(callback):
    """Train two epochs with a callback."""
    model = fnn.Sequential([fnn.Dense(2)], input_shape=(3,))
    model.compile("sgd", "squared_error")
    model.fit(np.ones((6, 3)), np.zeros((6, 2)), epochs=2, verbose=0, callbacks=[callback],
              validation_data=(np.ones((3, 3)), np.zeros((3, 2))))


def draws(initializer):
    """Initial values."""
    assert np.shape(initializer(np.random.default_rng(0), (3, 2), 3, 2)) == (3, 2)


def loss_of(output, target):
    return ((output - target) ** 2).mean(), 2 * (output - target) / output.size


COMMON = "rate_factors", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm"
DENSE = ("use_bias", "kernel_initializer", "kernel_regularizer", "bias_regularizer", "kernel_constraint", "name")
OF_RECURRENT = [name for name in inspect.signature(Recurrent.__init__).parameters if name not in ("self", "units")]


def rows(names, *arguments, **settings):
    return {name: Row(*arguments, **settings) for name in names.split()}


ROWS = {
    **rows("ELU HardSigmoid LeakyReLU PReLU BatchNorm LayerNorm MinMax PCAWhitening RowNormalize Standardize Flatten",
           use=trains(VECTOR)),
    **rows("AveragePool2D MaxPool2D Cropping2D UpSampling2D ZeroPadding2D RandomFlip RandomShift RandomRotation "
           "GlobalAveragePool2D GlobalMaxPool2D", use=trains(IMAGE)),
    **rows("AveragePool1D MaxPool1D GlobalAveragePool1D GlobalMaxPool1D Masking", use=trains(SEQUENCE)),
    **rows("Conv2D ConvTranspose2D", {"filters": 2, "kernel_size": 2}, *DENSE, use=trains(IMAGE)),
    **rows("GRU LSTM SimpleRNN", {"units": 3}, *OF_RECURRENT, use=trains(SEQUENCE)),
    **rows("Add Concatenate Multiply Layer"),
    "Dense": Row({"units": 3}, use=trains(VECTOR)),
    "Dropout": Row({"rate": 0.5}, use=trains(VECTOR)),
    "GaussianNoise": Row({"stddev": 0.5}, use=trains(VECTOR)),
    "Activation": Row({"activation": "relu"}, use=trains(VECTOR)),
    "GroupNorm": Row({"groups": 2}, use=trains(IMAGE)),
    "DepthwiseConv2D": Row({"kernel_size": 2}, *DENSE, use=trains(IMAGE)),
    "Conv1D": Row({"filters": 2, "kernel_size": 2}, *DENSE, use=trains(SEQUENCE)),
    "Embedding": Row({"tokens": 4, "units": 3}, use=trains(VECTOR, tokens=True)),
    "Bidirectional": Row({"layer": lambda: fnn.GRU(2)}, use=trains(SEQUENCE)),
    "TimeDistributed": Row({"layer": lambda: fnn.Dense(2)}, use=trains(SEQUENCE)),
    "Reshape": Row({"shape": (1, 5)}, use=trains(VECTOR)),
    "Input": Row({"shape": (3,)}),
    "Sequential": Row({"layers": lambda: [fnn.Dense(2)], "input_shape": (3,)},
                      names={"input_shape": ("dense.weight", "Dense expects")}),
    **rows("SGD AMSGrad AdaDelta AdaGrad Adam AdamW Lion Momentum NAdam Nesterov Optimizer RMSprop", (), *COMMON,
           use=lambda o: type(o) is fnn.Optimizer or steps(o)),
    **rows("AbsoluteError CosineDistance Hinge Huber LogCosh MeanSquaredError MultiClassHinge PoissonDeviance Quantile "
           "SmoothL1 SquaredError SquaredHinge", use=judges()),
    **rows("CategoricalCrossEntropy CrossEntropy Focal KLDivergence", use=judges("softmax")),
    "Loss": Row(),
    "FunctionLoss": Row({"function": loss_of}),
    "BinaryCrossEntropy": Row(use=judges("sigmoid")),
    "Poisson": Row(use=judges("softplus")),
    "ConstantRate": Row({"rate": 0.1}, use=falls),
    "ConstantThenInverse": Row({"rate": 0.1, "tau": 3}, use=falls),
    "CosineDecay": Row({"rate": 0.1, "total": 5}, use=falls),
    "CosineRestarts": Row({"rate": 0.1, "period": 5}, use=falls),
    "ExponentialDecay": Row({"rate": 0.1, "factor": 0.5}, use=falls),
    "InverseSquareRootDecay": Row({"rate": 0.1}, use=falls),
    "InverseTimeDecay": Row({"rate": 0.1, "decay": 0.5}, use=falls),
    "OneCycle": Row({"rate": 0.1, "total": 10}, use=falls),
    "PolynomialDecay": Row({"rate": 0.1, "total": 10}, use=falls),
    "StepDecay": Row({"rate": 0.1, "factor": 0.5, "every": 3}, use=falls),
    "WarmUp": Row({"schedule": 0.1, "updates": 3}, use=falls),
    **rows("L1 L2 ElasticNet MaxNorm", use=penalises),
    "Regularizer": Row(),
    "Clipping": Row(),
    "EMA": Row(use=follows),
    "SWA": Row({"start": 1}, use=follows),
    "EarlyStopping": Row(use=follows),
    "ReduceOnPlateau": Row(use=follows),
    "ProgressBar": Row({"verbose": 0}),
    "CSVLogger": Row({"path": "log.csv"}, use=follows),
    "ModelCheckpoint": Row({"path": "model.safetensors"}, use=follows),
    "Checkpoint": Row({"folder": "run"}, names={"every": ["checkpoint_every"]}),
    "ExponentialAverage": Row(),
    "Monitor": Row(use=follows),
    "LambdaCallback": Row(),
    "GradualUnfreezing": Row(),
    "TopK": Row({"k": 2}),
    "use_backend": Row({"name": "numpy"}, names={"name": ["use_backend"]},
                       call=lambda **given: fnn.use_backend(**given).__enter__()),
    "use_isa": Row({"name": "baseline"}, names={"name": ["use_isa"]},
                   call=lambda **given: fnn.use_isa(**given).__enter__()),
    "set_num_threads": Row({"n": 1}, names={"n": ["set_num_threads"]}),
}
THINGS = {name: getattr(metrics if name == "TopK" else fnn, name) for name in ROWS}
ROWS |= {f"initializers.{name}": Row(use=draws) for name in initializers.CLASSES if name != "Ramp"}
THINGS |= {f"initializers.{name}": cls for name, cls in initializers.CLASSES.items() if name != "Ramp"}

# Public names without a row, and where they are tested instead.
ELSEWHERE = {
    "what functions return, made by nobody else": (
        "Descent Diagnosis EntropyDecomposition Finding GradientCheck GradientErrorCurve History LearningRateSearch "
        "LoadReport ModelFileError SanityReport"),
    "subclassed, without settings": "Callback Constraint Schedule",
    "take nothing": "backend get_num_threads",
    "modules and a text": "functional initializers losses schedules __version__",
    "take a model and data, tests/test_hostile_entries.py": (
        "GAN Model balanced_weights check_gradients descend diagnose entropy_decomposition find_learning_rate "
        "fit_lbfgs gradient_error_curve sanity_check"),
    "take models and paths, tests/test_hostile_entries.py; what files hold, tests/fuzz_files.py": (
        "from_keras_weights from_onnx load load_estimator to_onnx to_torch"),
    "takes a module of PyTorch's, tests/test_torch.py": "from_torch",
}
