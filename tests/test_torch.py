"""Models of PyTorch taken over, and given: the same predictions within 1e-5."""
import numpy as np
import pytest

import fastnn as fnn
from fastnn.catalogue import cases
from fastnn.inference import adapt
from fastnn.io.torch_export import ACTIVATIONS, WRITERS

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing is exchanged with it")
nn = torch.nn
torch.set_num_threads(1)
TOLERANCE = 1e-5  # what issue and page promise
CHANNELS = {2: (0, 2, 1), 3: (0, 3, 1, 2)}  # samples of so many axes with their channels second


def randomized(module):
    """Weights and statistics that are not what they start with."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.3
            tensor.copy_(values.abs() + 0.5 if "var" in name else values)
    return module.eval()


def run(module, X):
    with torch.no_grad():
        result = module(torch.from_numpy(np.ascontiguousarray(X)))
    return (result[0] if isinstance(result, tuple) else result).numpy()


def samples(shape, n=5):
    return np.random.default_rng(0).standard_normal((n, *shape)).astype(np.float32)


MODULES = {
    "mlp": ([nn.Linear(7, 9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 4, bias=False), nn.Softmax(1)], (7,)),
    "nested": ([nn.Sequential(nn.Linear(7, 9), nn.Identity()), nn.LogSoftmax(dim=-1)], (7,)),
    **{type(activation).__name__: ([activation, nn.Linear(7, 3), activation], (7,)) for activation in (
        nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.LeakyReLU(0.3), nn.ELU(0.7), nn.SELU(), nn.GELU(), nn.SiLU(), nn.Mish(),
        nn.Softplus(), nn.Softsign(), nn.Hardtanh(), nn.Hardsigmoid())},
    "gelu-tanh": ([nn.Linear(7, 3), nn.GELU("tanh")], (7,)),
    "lenet": ([nn.Conv2d(2, 6, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
               nn.MaxPool2d(2, stride=1), nn.Flatten(), nn.Linear(8 * 3 * 2, 10), nn.Softmax(dim=1)], (12, 10, 2)),
    "conv-settings": ([nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2), groups=2),
                       nn.Conv2d(6, 12, 3, groups=6, padding="same", bias=False)], (9, 8, 4)),
    "deconv": ([nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), nn.SiLU(),
                nn.ConvTranspose2d(6, 2, 3, stride=2, padding=1, output_padding=1)], (4, 3, 4)),
    "conv1d": ([nn.Conv1d(3, 5, 3, dilation=2, padding=1), nn.MaxPool1d(2), nn.BatchNorm1d(5), nn.Flatten(),
                nn.BatchNorm1d(25), nn.PReLU(25), nn.Linear(25, 2)], (12, 3)),
    "batch-norm": ([nn.BatchNorm2d(3, eps=1e-4, momentum=0.2), nn.PReLU(3), nn.PReLU(), nn.Conv2d(3, 2, 2, bias=False),
                    nn.BatchNorm2d(2, affine=False)], (4, 5, 3)),
    "time": ([nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3), nn.Softmax(-1)], (7, 4)),
    "norm": ([nn.Linear(5, 8), nn.BatchNorm1d(8), nn.LayerNorm(8), nn.LayerNorm(8, elementwise_affine=False)], (5,)),
    "flat-image": ([nn.Flatten(), nn.Dropout(0.1), nn.Linear(30, 4)], (2, 5, 3)),
    "lstm": ([nn.LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.2)], (5, 3)),
    "gru-both": ([nn.GRU(3, 4, bidirectional=True, batch_first=True)], (5, 3)),
    "rnn": ([nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True)], (5, 3)),
    "average": ([nn.AvgPool2d(2, padding=1), nn.AvgPool2d((2, 1), count_include_pad=False, padding=(1, 0)),
                 nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)], (6, 5, 3)),
    "group-norm": ([nn.GroupNorm(2, 4), nn.Upsample(scale_factor=2, mode="bilinear"), nn.InstanceNorm2d(4, affine=True),
                    nn.ConstantPad2d((0, 1, 2, 0), 0.0), nn.AdaptiveMaxPool2d((1, 1)), nn.Flatten()], (3, 4, 4)),
    "conv1d-average": ([nn.Conv1d(3, 4, 3), nn.AvgPool1d(2), nn.AdaptiveMaxPool1d(1), nn.Flatten()], (9, 3)),
    "padded": ([nn.ZeroPad2d((1, 0, 2, 0)), nn.Conv2d(2, 3, 3)], (4, 5, 2)),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    modules, shape = MODULES[name]
    module = randomized(nn.Sequential(*modules))
    care = [m for m in modules if not isinstance(m, (nn.ReLU, nn.Dropout))]
    second = len(shape) == 3 or type(care[0]).__name__ in ("Conv1d", "BatchNorm1d") and len(shape) == 2
    X = samples(shape)
    model = fnn.from_torch(module, shape)
    want = run(module, X.transpose(CHANNELS[len(shape)]) if second else X)
    got = model.predict(X)
    if second and got.ndim > 2:
        got = got.transpose(CHANNELS[got.ndim - 1])
    np.testing.assert_allclose(got, want, 0, TOLERANCE)
    again = fnn.to_torch(model)
    np.testing.assert_allclose(run(again, X.transpose(CHANNELS[len(shape)]) if second else X), want, 0, TOLERANCE)


CASES = [case for case in cases() if case.kind in ("layer", "activation") and not isinstance(case.layers(), tuple)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_catalogue(case):
    """Every model in a row there and back; or an error that names the layer."""
    model, (X, _) = case.model("float64"), case.samples(6)
    adapt(model, X)
    known = all(type(layer) in WRITERS and getattr(getattr(layer, "choice", None), "name", "relu") in
                (*ACTIVATIONS, "identity") for layer in model.layers)
    try:
        module = fnn.to_torch(model)
    except ValueError as error:
        assert any(repr(layer.name) in str(error) for layer in model.layers)
        assert not known or case.name in REFUSED, error
        return
    assert known and case.name not in REFUSED
    as_given = X.transpose(CHANNELS[X.ndim - 1]) if X.ndim == 4 or X.ndim == 3 and second(module) else X
    np.testing.assert_allclose(run(module, as_given), model.predict(X), 0, TOLERANCE)
    back = fnn.from_torch(module, case.input_shape)
    assert back.dtype == np.float64
    np.testing.assert_allclose(back.predict(X), model.predict(X), 0, TOLERANCE)


# For a setting that PyTorch does not have.
REFUSED = {"hard-sigmoid", "average-pool-same", "simple-rnn-gelu", "simple-rnn-reverse", "lstm-masked", "gru-before",
           "bidirectional-sum", "bidirectional-mul", "bidirectional-ave"}


def second(module):
    """Whether the first module that cares wants channels second."""
    kinds = [type(m).__name__ for m in module]
    care = [k for k in kinds if k[:4] in ("Conv", "MaxP", "AvgP", "Batc", "Line", "Laye", "Flat", "Cons", "Mean",
                                          "Recu", "Unfl")]
    return bool(care) and care[0] not in ("Linear", "LayerNorm", "Flatten", "Recurrent", "Unflatten")


def test_there_in_training_mode():
    """Dropout drops and statistics move, by PyTorch's convention of momentum."""
    model = fnn.Sequential([fnn.Dense(4), fnn.BatchNorm(0.9), fnn.Dropout(0.25), fnn.Dense(2)], input_shape=(3,))
    module = fnn.to_torch(model)
    assert not module.training and module[2].p == 0.25 and module[1].momentum == pytest.approx(0.1)


def test_dtype_of_the_parameters():
    assert fnn.from_torch(nn.Sequential(nn.Linear(2, 2)).double(), (2,)).dtype == np.float64
    assert fnn.from_torch(nn.Sequential(nn.Linear(2, 2)), (2,), "float64").dtype == np.float64
    assert next(fnn.to_torch(fnn.Sequential([fnn.Dense(2)], (2,), "float64")).parameters()).dtype == torch.float64


@pytest.mark.parametrize("module, shape, words", [
    (nn.Sequential(nn.Linear(3, 3), nn.Bilinear(2, 2, 2)), (3,), "module '1': fastnn has no layer for Bilinear"),
    (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")), (5, 5, 1), "padding_mode='zeros'"),
    (nn.Sequential(nn.Softmax(dim=0)), (3,), "module '0': expected dim=1"),
    (nn.Sequential(nn.Hardtanh(0, 6)), (3,), "between -1 and 1"),
    (nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten()), (2, 2, 2), "expected a Linear after the Flatten"),
    (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), (5, 5, 1), "ceil_mode=False"),
    (nn.Sequential(), (3,), "at least one layer"),
    (nn.Sequential(nn.Linear(4, 2)), (3,), "module '0': expected a Linear of 3 features"),
])
def test_refuses_by_name(module, shape, words):
    with pytest.raises(ValueError, match=words):
        fnn.from_torch(module, shape)


def test_refuses_what_is_no_module_or_no_row():
    with pytest.raises(TypeError, match=r"module: expected a torch.nn.Module, got list"):
        fnn.from_torch([nn.Linear(2, 2)], (2,))
    x = fnn.Input((2,))
    with pytest.raises(ValueError, match="layers in a row"):
        fnn.to_torch(fnn.Model(x, fnn.Add()([x, fnn.Dense(2)(x)])))
    with pytest.raises(ValueError, match="layer 'row_normalize': PyTorch has no module for RowNormalize"):
        fnn.to_torch(fnn.Sequential([fnn.RowNormalize()], input_shape=(2,)))


def test_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match="this needs torch: pip install torch"):
        fnn.to_torch(fnn.Sequential([fnn.Dense(2)], input_shape=(2,)))
