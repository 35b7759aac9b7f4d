"""Files and checkpoints of models with several inputs and outputs, and of one that its own process goes on with."""
import numpy as np
import pytest

import fastnn as fnn
from test_checkpoints import RNG, StopAt, Stopped, X, Y, classifier, interrupted, same_training, whole


def two_headed(seed=0):
    """Two inputs, a layer called twice, a sum, two outputs with a loss and metrics each."""
    a, b = fnn.Input((4,), name="a"), fnn.Input((3,), name="b")
    shared = fnn.Dense(4, "tanh", name="shared")
    h = fnn.Concatenate()([fnn.BatchNorm()(fnn.Add()([shared(shared(a)), a])), fnn.Dropout(0.3)(b)])
    model = fnn.Model([a, b], [fnn.Dense(3, "softmax", name="kind")(h), fnn.Dense(1, name="size")(h)], seed=seed)
    model.compile("adam", {"kind": "cross_entropy", "size": "huber"},
                  metrics={"kind": ["accuracy"], "size": ["mae"]}, loss_weights=[1.0, 0.5])
    return model


GRAPH_DATA = ([X, X[:, :3] ** 2], [Y, X[:, 0]])


@pytest.mark.parametrize("at", [(1,), (2, 3)], ids=str)
def test_models_with_several_inputs_and_outputs(at, backend, tmp_path):
    model, _ = interrupted(tmp_path, at, two_headed, GRAPH_DATA, checkpoint_every=2, validation_split=0.2)
    expected, _ = whole(two_headed, GRAPH_DATA, validation_split=0.2)
    same_training(model, expected)
    assert {"kind_accuracy", "val_size_mae"} <= set(expected.history.history)
    other = fnn.load(tmp_path / "best.safetensors")
    assert type(other) is fnn.Model and other.get_config() == model.get_config()
    best = int(np.argmin(model.history["val_loss"]))
    validation = ([x[40:] for x in GRAPH_DATA[0]], [y[40:] for y in GRAPH_DATA[1]])
    assert other.evaluate(*validation)["loss"] == model.history["val_loss"][best]
    other.save(tmp_path / "model")
    same_training(fnn.load(tmp_path / "model"), other)


def test_another_graph_is_refused(tmp_path):
    whole(two_headed, GRAPH_DATA, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="not the same: layers, "):
        whole(lambda: two_headed(seed=1), GRAPH_DATA, checkpoint=tmp_path, resume=True)
    other = (GRAPH_DATA[0], [Y, X[:, 1]])
    with pytest.raises(ValueError, match="not the same: y, "):
        whole(two_headed, other, checkpoint=tmp_path, resume=True)


def test_the_model_that_was_stopped_goes_on(tmp_path):
    """In the same process: weights, and the learning rate that a callback has lowered, are put back."""
    def reduce():
        return fnn.ReduceOnPlateau("loss", 0.5, patience=1, min_delta=9.0)

    settings = {"batch_size": 8, "epochs": 5, "verbose": 0, "checkpoint": tmp_path, "checkpoint_every": 3}
    model, (expected, _) = classifier(), whole(callbacks=lambda: [reduce()], epochs=5)
    with pytest.raises(Stopped):
        model.fit(X, Y, callbacks=[reduce(), StopAt(3, 5)], **settings)
    assert model.optimizer.learning_rate < 0.001
    model.fit(X, Y, callbacks=reduce(), **settings, resume=True)
    same_training(model, expected)
    assert model.optimizer.learning_rate == expected.optimizer.learning_rate


TOKENS = RNG.integers(0, 9, (48, 5))


def stateful():
    layers = [fnn.Embedding(9, 4), fnn.LSTM(5, stateful=True, batch_size=8), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, (5,))
    model.compile("momentum", metrics=["accuracy"])
    return model


def lazy():
    layers = [fnn.Embedding(9, 4, lazy=True, mask_zero=True), fnn.Bidirectional(fnn.GRU(3)), fnn.BatchNorm(),
              fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, (5,))
    model.compile(fnn.Adam(0.01))
    return model


def images():
    layers = [fnn.Conv2D(3, 3, activation="relu"), fnn.BatchNorm(), fnn.MaxPool2D(2), fnn.Flatten(), fnn.Dropout(0.2),
              fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, (6, 6, 1))
    model.compile("adam", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("make, data, settings", [
    (stateful, (TOKENS, Y[:48]), {"shuffle": False}), (lazy, (TOKENS, Y[:48]), {}),
    (images, (RNG.integers(0, 255, (50, 6, 6, 1), dtype=np.uint8), Y), {}),
], ids=["a carried state", "rows of a table", "images"])
@pytest.mark.parametrize("at", [(1,), (2, 3)], ids=str)
def test_sequences_and_images(make, data, settings, at, backend, tmp_path):
    """What layers carry from batch to batch, lazy steps, running statistics."""
    model, _ = interrupted(tmp_path, at, make, data, checkpoint_every=2, **settings)
    same_training(model, whole(make, data, **settings)[0])


@pytest.mark.parametrize("change, words", [
    ({"wait": None}, "wait: expected int, got NoneType"), ({"best": "0.5"}, "best: expected float, got str"),
    ({"best_state": 3.0}, "best_state: expected arrays like the model's, .*dense.weight"),
], ids=str)
def test_state_of_callbacks_that_is_not_theirs(change, words):
    """Is refused, and nothing of it taken."""
    stopping = fnn.EarlyStopping("loss")
    stopping.set_model(classifier())
    stopping.on_train_begin({})
    before = stopping.state()
    with pytest.raises(ValueError, match=words):
        stopping.set_state({**before, "best_epoch": 7, **change})
    np.testing.assert_equal(stopping.state(), before)
