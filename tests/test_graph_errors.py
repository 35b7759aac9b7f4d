"""Models as graphs: wrong graphs, data, losses, and steps out of order, each with what it says."""
import numpy as np
import pytest

import fastnn as fnn
from test_graph import LABELS, NUMBERS, A, B, N, joined, two_outputs


def test_graphs_that_are_none():
    x, other = fnn.Input((4,)), fnn.Input((4,))
    y = fnn.Dense(3)(x)
    with pytest.raises(TypeError, match=r"inputs: expected tensors, such as fastnn\.Input"):
        fnn.Model(np.ones(4), y)
    with pytest.raises(TypeError, match="outputs: expected tensors"):
        fnn.Model(x, fnn.Dense(3))
    with pytest.raises(ValueError, match="outputs: expected different tensors, got one twice"):
        fnn.Model(x, [y, y])
    with pytest.raises(ValueError, match="inputs: expected every Input that an output depends on.*is missing"):
        fnn.Model(other, y)
    with pytest.raises(ValueError, match="inputs: expected what fastnn.Input gave, got the output of a layer"):
        fnn.Model(y, fnn.Dense(2)(y))
    with pytest.raises(ValueError, match=r"expected samples of one shape, got shapes \(4,\), \(3,\)"):
        fnn.Add()([x, y])
    with pytest.raises(ValueError, match=r"expected a list of at least two tensors, got one"):
        fnn.Add()(x)
    with pytest.raises(TypeError, match=r"expected one tensor, got 2"):
        fnn.Dense(3)([x, other])
    with pytest.raises(TypeError, match=r"expected tensors such as fastnn.Input gives.*model\.predict"):
        fnn.Dense(3)(np.ones((2, 4)))
    layer = fnn.Dense(3)
    layer(x)
    with pytest.raises(ValueError, match="is shared, so every call must have the same shapes"):
        fnn.Model([x, other], fnn.Add()([layer(x), layer(fnn.Dense(5)(other))]))
    model = fnn.Model(x, y)
    with pytest.raises(ValueError, match="already belongs to a model"):
        model.layers[0](other)
    with pytest.raises(ValueError, match="already belongs to a model"):
        fnn.Model(x, y)


def test_data_that_does_not_fit():
    model, X, y = joined()
    with pytest.raises(ValueError, match=r"X: expected a list of 2 or a dict with 'a', 'b', got shape"):
        model.predict(A)
    with pytest.raises(ValueError, match=r"X: expected a, b, b left out"):
        model.predict({"a": A})
    with pytest.raises(ValueError, match=r"'c'.*'a', 'b'"):
        model.predict({"a": A, "c": B})
    with pytest.raises(ValueError, match=r"X\['b'\].*\(3,\)"):
        model.predict([A, A])
    with pytest.raises(ValueError, match=r"X\['b'\]"):
        model.predict([A, B[:3]])
    with pytest.raises(ValueError, match="nan"):
        model.fit([A, np.where(B > 1, np.nan, B)], y, verbose=0)
    model, X, y = two_outputs()
    with pytest.raises(ValueError, match="y: expected a list of 2 or a dict with 'kind', 'size'"):
        model.fit(X, LABELS, verbose=0)
    with pytest.raises(ValueError, match=r"y\['kind'\]"):
        model.fit(X, [LABELS + 3, NUMBERS], verbose=0)
    with pytest.raises(ValueError, match=r"y\['size'\]"):
        model.fit(X, {"kind": LABELS, "size": NUMBERS[:, :1]}, verbose=0)


def test_losses_that_do_not_fit():
    model, *_ = two_outputs()
    with pytest.raises(ValueError, match="loss: expected kind, size, size left out"):
        model.compile("sgd", {"kind": "cross_entropy"})
    with pytest.raises(ValueError, match="loss: expected a list of 2"):
        model.compile("sgd", ["cross_entropy"])
    with pytest.raises(ValueError, match="loss: expected the same reduction for all outputs"):
        model.compile("sgd", [fnn.CrossEntropy(reduction="sum"), "squared_error"])
    with pytest.raises(ValueError, match=r"loss_weights"):
        model.compile("sgd", ["cross_entropy", "squared_error"], loss_weights=[1.0, -1.0])
    with pytest.raises(ValueError, match=r"'weight'.*'kind'"):
        model.compile("sgd", ["cross_entropy", "squared_error"], loss_weights={"weight": 1.0})
    x = fnn.Input((4,))
    p = fnn.Dense(3, "softmax", name="p")(x)
    model = fnn.Model(x, [p, fnn.Dense(2)(p)])
    with pytest.raises(ValueError, match=r"contains the activation of layer 'p', whose output goes to another"):
        model.compile("sgd", ["cross_entropy", "squared_error"])


def test_steps_out_of_order():
    model, X, y = two_outputs()
    with pytest.raises(RuntimeError, match=r"backward: expected model\.forward\(X\) first"):
        model.backward([np.ones((N, 3)), np.ones((N, 2))])
    model.forward(X)
    with pytest.raises(ValueError, match=r"dy\['size'\]: expected an array of the output of shape \(7, 2\), got"):
        model.backward([np.ones((N, 3)), np.ones((N, 3))])
    model.backward([np.ones((N, 3)), np.ones((N, 2))])
    with pytest.raises(RuntimeError, match="each forward has one backward"):
        model.backward([np.ones((N, 3)), np.ones((N, 2))])
    with pytest.raises(RuntimeError, match="not compiled"):
        fnn.Sequential([fnn.Dense(2)], input_shape=(3,)).step()
    with pytest.raises(TypeError, match="frozen"):
        model.forward(X, frozen=1)
