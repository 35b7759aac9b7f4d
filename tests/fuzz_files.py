"""Feed the file readers damaged and hostile files: each must be refused in its one way, or say what it says.

    python tests/fuzz_files.py --inputs 1000000 --seed 0

Half of the inputs are files with bytes changed, cut, moved, added: a reader of sealed files must refuse
every one that differs from the file it came from. The others have something changed in what they
describe, with checksums that fit, as somebody would write them on purpose: those may be read, but then
what comes of them must say what the file says. IDX and ONNX files have no checksums; what is read is held
against the bytes by a second, simple reader, and against onnx's own evaluator. Anything else that is raised,
or a process that dies, is a bug; the input is kept.
"""
import argparse
import gzip
import json
import math
import os
import signal
import struct
import sys
import tempfile
import time
import warnings

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import read_idx
from fastnn.data.columns import Column, Columns
from fastnn.io import gan_file, records
from fastnn.io.model_file import arrays_of, below, describe
from hostile_files import damage, hostile, hostile_onnx

X, Y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
IDX = [(8, "u1", (3, 4, 5)), (0x0D, ">f4", (7,)), (0x0B, ">i2", (2, 3))]


def holds(said, got):
    """Whether what was read says at least what the file says; numbers may have been made floats."""
    if isinstance(said, dict) and isinstance(got, dict):
        if said.get("is") == got.get("is") == "array":
            return True  # by whatever name
        return all(key in got and holds(value, got[key]) for key, value in said.items())
    if isinstance(said, list) and isinstance(got, list):
        return len(said) == len(got) and all(map(holds, said, got))
    return said == got or said is None or (said != said and got != got)  # None: left out, NaN: NaN


# ---- the readers ----


def network(seed=0):
    layers = [fnn.Standardize(), fnn.Dense(5, fnn.LeakyReLU(0.2), kernel_regularizer="l2"), fnn.Dropout(0.2),
              fnn.Dense(3, "softmax", kernel_constraint="max_norm")]
    model = fnn.Sequential(layers, (4,), seed=seed)
    model.compile(fnn.Adam(fnn.WarmUp(fnn.CosineDecay(0.01, total=9), updates=2), global_clipnorm=1.0),
                  fnn.CrossEntropy(label_smoothing=0.1), ["accuracy"])
    return model


def graph():
    x, twice = fnn.Input((4,)), fnn.Dense(4, "tanh")
    h = fnn.Add()([twice(twice(x)), x])
    outputs = [fnn.Dense(2, "softmax", name="a")(h), fnn.Dense(1, name="b")(fnn.Concatenate()([h, x]))]
    model = fnn.Model(x, outputs)
    model.compile("sgd", ["cross_entropy", "mse"], metrics={"a": ["accuracy"], "b": ["mae"]}, loss_weights=[1.0, 0.5])
    return model


def callbacks():
    return [fnn.EarlyStopping("loss", patience=5), fnn.EMA(0.9)]


class Model:
    """`fastnn.load` of a model's file."""

    def originals(self, folder):
        for i, layers in enumerate(([fnn.Dense(2)], [fnn.PReLU(), fnn.Dense(3, "gelu"), fnn.Dense(2)])):
            model = fnn.Sequential(layers, (4,), "float64", i)
            model.save(os.path.join(folder, f"model-{i}"))
        images = [fnn.Conv2D(2, 3, activation="relu", padding="same"), fnn.MaxPool2D(2), fnn.Flatten(), fnn.BatchNorm(),
                  fnn.Dense(2)]
        fnn.Sequential(images, (4, 4, 1)).save(os.path.join(folder, "model-2"))
        model = network()
        model.fit(X, Y, epochs=2, verbose=0)
        model.classes = ["no", "yes", 3]
        model.columns = Columns((Column("size"), Column("colour", ("blue", "green", "red"))), "kind", True)
        model.save(os.path.join(folder, "model-3"))
        graph().save(os.path.join(folder, "model-4"))

    def read(self, path, content):
        model = fnn.load(path)
        description = parse(content)
        got = json.loads(json.dumps(describe(model)))
        for name in ("checksums", "format", "kind", "fastnn"):
            description.pop(name, None)
        assert holds(description, got), f"the file says {description!r:.2000}, the model {got!r:.2000}"
        arrays = arrays_of(model)
        for name, array in records.read(path, ("model", "checkpoint")).arrays.items():
            if not name.startswith("state/"):
                np.testing.assert_array_equal(arrays[name], array, name)
        shapes = [layer.input_shape for layer in model.layers] + [layer.output_shape for layer in model.layers]
        if type(model) is fnn.Sequential and all(None not in s and math.prod(s) < 10_000 for s in shapes):
            try:
                assert model.predict(np.zeros((2, *model.input_shape))).shape == (2, *model.output_shape)
            except (OverflowError, MemoryError):
                pass  # the file says a dilation of 2^200


class Checkpoint:
    """``fit(resume=)`` with a checkpoint, and `fastnn.load`."""

    def originals(self, folder):
        checkpoint = fnn.Checkpoint(folder, every=2, keep=4)
        network().fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=callbacks(), checkpoint=checkpoint)

    def read(self, path, content):
        try:
            network().fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=callbacks(), resume=path)
        except FloatingPointError:
            pass  # the file says a rate at which the training diverges


class Estimator:
    """`fastnn.load_estimator`."""

    def originals(self, folder):
        estimators = pytest.importorskip("fastnn.estimators")
        words = np.array(["no", "yes", "perhaps"])[Y]
        settings = {"hidden_layer_sizes": (5,), "max_iter": 2}
        mlp = estimators.MLPClassifier(**settings, class_weight={"no": 2.0}, activation=fnn.LeakyReLU(0.2))
        mlp.fit(X, words).save(os.path.join(folder, "classifier"))
        mlp = estimators.MLPRegressor(**settings, random_state=np.random.RandomState(0), loss=fnn.Huber(0.5))
        mlp.fit(X, X[:, :2]).save(os.path.join(folder, "regressor"))

    def read(self, path, content):
        estimator = fnn.load_estimator(path)
        assert not hasattr(estimator, "model_") or len(estimator.predict(X)) == len(X)
        estimator.save(f"{path}-again")
        with open(f"{path}-again", "rb") as file:
            got = parse(file.read())
        unheld = ("checksums", "state", "fastnn")
        description = {name: value for name, value in parse(content).items() if name not in unheld}
        for said in (description, got):
            said["parameters"] = dict(said["parameters"]["value"])
        assert holds(description, got), f"the file says {description!r:.2000}, the estimator {got!r:.2000}"


class Idx:
    """`fastnn.data.read_idx`, plain and gzipped."""

    def originals(self, folder):
        rng = np.random.default_rng(0)
        for i, (code, dtype, shape) in enumerate(IDX):
            body = bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
            body += rng.bytes(math.prod(shape) * np.dtype(dtype).itemsize)
            for name, text in ((f"{i}.idx", body), (f"{i}.idx.gz", gzip.compress(body))):
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(text)

    def read(self, path, content):
        array = read_idx(path)
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        n_axes, itemsize = content[3], array.itemsize
        assert struct.unpack_from(f">{n_axes}I", content, 4) == array.shape
        assert array.byteswap().tobytes() == content[4 + 4 * n_axes:] if itemsize > 1 else \
            array.tobytes() == content[4 + 4 * n_axes:]


class Onnx:
    """`fastnn.from_onnx`: onnx's own evaluator must say the same of what is read."""

    def originals(self, folder):
        pytest.importorskip("onnx")
        dense = [fnn.Standardize(), fnn.Dense(3, "gelu"), fnn.BatchNorm(),
                 fnn.Dense(2, fnn.LeakyReLU(0.2), use_bias=False)]
        image = [fnn.Conv2D(2, 3, 2, "same", activation="mish"), fnn.MaxPool2D(2), fnn.Flatten(),
                 fnn.Dense(2, "softmax")]
        steps = [fnn.Masking(0.5), fnn.GRU(3, return_sequences=True), fnn.SimpleRNN(2, "mish", reverse=True)]
        for i, (layers, shape) in enumerate(((dense, (4,)), (image, (5, 4, 2)), (steps, (4, 2)))):
            fnn.to_onnx(fnn.Sequential(layers, shape), os.path.join(folder, f"{i}.onnx"))
        fnn.to_onnx(fnn.Model(*self.graph()), os.path.join(folder, "graph.onnx"))

    def graph(self):
        x = fnn.Input((4,))
        return x, fnn.Concatenate()([fnn.Add()([x, fnn.Dense(4, "tanh")(x)]), fnn.LayerNorm()(x)])

    def read(self, path, content):
        from onnx.reference import ReferenceEvaluator
        model = fnn.from_onnx(path)
        shape = model.input_shape
        if isinstance(shape[0], tuple) or None in shape or math.prod(shape) > 10_000:
            return
        x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
        x[0, -1] = 0.5  # a step that Masking leaves out
        try:
            evaluator = ReferenceEvaluator(path)
            axes = evaluator.proto_.graph.input[0].type.tensor_type.shape.dim
            if [axis.dim_value for axis in axes[1:]] != list(shape):
                return  # its channels are first
            want = evaluator.run(None, {evaluator.input_names[0]: x})
        except Exception:  # what the file says cannot be run, or not by it
            return
        got = model.predict(x)
        for y, expected in zip(got if isinstance(got, tuple) else (got,), want, strict=True):
            if np.ndim(expected) > 2:  # in another order of axes
                y, expected = np.sort(y, axis=None), np.sort(expected, axis=None)
            if np.isfinite(expected).all():
                np.testing.assert_allclose(y, expected, 1e-3, 1e-4 * max(1, abs(expected).max()))


class Gan:
    """`fastnn.GAN.load`."""

    def originals(self, folder):
        generator = fnn.Sequential([fnn.Dense(3, "tanh"), fnn.BatchNorm(), fnn.Dense(4)], (2,))
        gan = fnn.GAN(generator, fnn.Sequential([fnn.Dense(3, "relu"), fnn.Dense(1)], (4,)), seed=3)
        gan.save(os.path.join(folder, "gan-0"))
        gan.compile("sgd", "adam", "minimax", label_smoothing=0.2)
        gan.fit(X, batch_size=8, epochs=2, verbose=0)
        gan.save(os.path.join(folder, "gan-1"))

    def read(self, path, content):
        gan, said = fnn.GAN.load(path), parse(content)
        got = json.loads(json.dumps(gan_file.described(gan)))
        assert all(holds(said[name], got[name]) for name in said.keys() - {"checksums", "format", "kind", "fastnn",
                                                                           "generator", "discriminator"})
        for player in gan_file.PLAYERS:
            assert holds({k: v for k, v in said[player].items() if k != "fastnn"}, got[player])
            arrays = arrays_of(getattr(gan, player))
            for name, array in below(f"{player}/", records.read(path, ("gan",)).arrays).items():
                np.testing.assert_array_equal(arrays[name], array, name)
        assert len(gan.generate(2)) == 2


READERS = {"model": (Model(), fnn.ModelFileError), "checkpoint": (Checkpoint(), ValueError),
           "estimator": (Estimator(), fnn.ModelFileError), "idx": (Idx(), ValueError),
           "onnx": (Onnx(), fnn.ModelFileError), "gan": (Gan(), fnn.ModelFileError)}
UNSEALED = ("idx", "onnx")  # without checksums


def parse(content):
    """The description in a sealed file."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8:end])["__metadata__"]["fastnn"])


def run(kind, inputs, seed):
    """Feed one reader; how many inputs were refused and how many were read. Raises at the first bug."""
    reader, error = READERS[kind]
    rng = np.random.default_rng([seed, list(READERS).index(kind)])
    refused = read = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        reader.originals(folder)
        originals = []
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                originals.append(file.read())
        path = os.path.join(folder, "input")
        for i in range(inputs):
            original = originals[rng.integers(len(originals))]
            sealed = kind in UNSEALED or i % 2
            if kind == "onnx" and i % 4:
                content = hostile_onnx(original, rng)
            else:
                content = hostile(original, rng) if not sealed else damage(original, rng)
            with open(path, "wb") as file:
                file.write(content)
            try:
                reader.read(path, content)
                assert kind in UNSEALED or not sealed or content == original, "damage was not seen"
                read += 1
            except error as problem:
                assert type(problem) in (error, fnn.ModelFileError), f"raised {type(problem).__name__}"
                refused += 1
            except KeyboardInterrupt:
                break
            except BaseException:
                kept = os.path.join(tempfile.gettempdir(), f"fuzz-{kind}-{seed}-{i}")
                with open(kept, "wb") as file:
                    file.write(content)
                print(f"{kind}, input {i} of seed {seed}; kept as {kept}", file=sys.stderr)
                raise
    return refused, read


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C ends a reader's run and counts what was done
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=READERS, action="append")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for kind in arguments.reader or READERS:
        started = time.perf_counter()
        refused, read = run(kind, arguments.inputs, arguments.seed)
        print(f"{kind}: {refused + read} inputs, {refused} refused, {read} read as they say "
              f"({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
