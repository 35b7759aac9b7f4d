"""The two-player loop: gradients by differences, the losses by hand, seeds, Ctrl-C, callbacks, errors."""
import signal

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.compilation import Entry
from fastnn.program import Space


def players(dtype="float64", dropout=0.0, batch_norm=True, seed=0):
    generator = fnn.Sequential(
        [fnn.Dense(5, "tanh"), *[fnn.BatchNorm()] * batch_norm, fnn.Dense(3)], input_shape=(2,), dtype=dtype, seed=seed)
    discriminator = fnn.Sequential(
        [fnn.Dense(7, "tanh"), *[fnn.BatchNorm()] * batch_norm, *[fnn.Dropout(dropout)] * bool(dropout),
         fnn.Dense(4, "gelu"), fnn.Dense(1)], input_shape=(3,), dtype=dtype, seed=seed + 1)
    return generator, discriminator


def make(dtype="float64", optimizer=None, seed=0, **settings):
    gan = fnn.GAN(*players(dtype, seed=seed, dropout=settings.pop("dropout", 0.0),
                           batch_norm=settings.pop("batch_norm", True)), seed=seed)
    gan.compile(optimizer or fnn.SGD(1.0), optimizer or fnn.SGD(1.0), **settings)
    return gan


def samples(n=20, seed=0):
    return np.random.default_rng(seed).normal(1.0, 0.5, (n, 3))


def log_d(logit):
    return -np.logaddexp(0, -logit)


# ----------------------------------------------------------------------------------------------- gradients

def generator_loss(gan, noise, kind):
    """By the formula, from what both say; layers behave as in training."""
    logit = gan.discriminator.forward(gan.generator.forward(noise), frozen=True)
    return float(np.mean(-log_d(logit) if kind == "non_saturating" else log_d(-logit)))


@pytest.mark.parametrize("kind", ["non_saturating", "minimax"])
def test_the_generators_gradient_by_differences(backend, kind):
    """Through the discriminator, which is frozen: every weight of the generator, in float64."""
    gan = make(loss=kind)
    noise = np.random.default_rng(3).standard_normal((6, 2))
    gan.generator.forward(noise)
    before = {name: w.copy() for name, w in gan.generator.named_parameters().items()}
    loss = gan._generator_step(gan.generator.forward(noise))
    gradients = {name: before[name] - w for name, w in gan.generator.named_parameters().items()}  # SGD at rate 1
    gan.generator.set_weights(list(before.values()))
    assert loss == pytest.approx(generator_loss(gan, noise, kind), rel=1e-13)
    h = 1e-5  # the error of a central difference: h^2 / 6 f''' + epsilon f / h, about 1e-10
    for name, w in gan.generator.named_parameters().items():
        for at in np.ndindex(w.shape):
            kept, both = w[at], []
            for step in (h, -h):
                w[at] = kept + step
                both.append(generator_loss(gan, noise, kind))
            w[at] = kept
            assert (both[0] - both[1]) / (2 * h) == pytest.approx(gradients[name][at], abs=1e-9), (name, at)


def test_the_discriminators_gradient_by_differences(backend):
    gan = make(label_smoothing=0.2)
    real, fake = samples(6), samples(6, 1)

    def loss():
        on_real, on_fake = gan.discriminator.forward(real), gan.discriminator.forward(fake)
        return float(-np.mean(np.concatenate([0.8 * log_d(on_real) + 0.2 * log_d(-on_real), log_d(-on_fake)])))

    weights = gan.discriminator.named_parameters()
    before = {name: w.copy() for name, w in weights.items()}
    logs = gan._discriminator_step(real, fake)
    gradients = {name: before[name] - w for name, w in weights.items()}
    gan.discriminator.set_weights(list(before.values()))
    assert logs["discriminator_loss"] == pytest.approx(loss(), rel=1e-13)
    h = 1e-5
    for name, w in weights.items():
        for at in np.ndindex(w.shape):
            kept, both = w[at], []
            for step in (h, -h):
                w[at] = kept + step
                both.append(loss())
            w[at] = kept
            assert (both[0] - both[1]) / (2 * h) == pytest.approx(gradients[name][at], abs=1e-9), (name, at)


def test_the_generators_step_leaves_the_discriminator_alone(backend):
    gan = make(dropout=0.3)
    gan.train_on_batch(samples())
    before = gan.discriminator.state_dict(), {n: g.copy() for n, g in gan.discriminator.named_gradients().items()}
    gan._generator_step(gan.generator.forward(np.ones((4, 2)) * np.arange(4)[:, None]))
    for kept, now in zip(before, (gan.discriminator.state_dict(), gan.discriminator.named_gradients()), strict=True):
        for name, array in now.items():
            assert_same_bits(array, kept[name], name)


def test_a_frozen_discriminator_costs_no_gradients_of_parameters():
    gan = make(batch_norm=False)
    gan.train_on_batch(samples())
    entry = Entry("forward", outputs=True, dx=True)
    whole, frozen = (gan.discriminator._compiled.programs[entry._replace(part=part)].ops for part in ("", "inputs"))
    assert any(a.space is Space.GRADIENT for o in whole for a in o.writes)
    assert not any(a.space is Space.GRADIENT for o in frozen for a in o.writes)
    assert sum(o.flops(64) for o in frozen) < 0.75 * sum(o.flops(64) for o in whole)


# ------------------------------------------------------------------------------------------------- the loop

def test_fit_is_its_steps(backend):
    X = samples(26)
    gan, other = make(optimizer="adam", discriminator_steps=2), make(optimizer="adam", discriminator_steps=2)
    history = gan.fit(X, batch_size=5, epochs=1, shuffle=False, verbose=0)
    logs, sizes = [], []
    for start in (0, 10, 20):  # of the last, each part has three rows
        logs.append(other.train_on_batch(X[start:start + 10]))
        sizes.append(len(X[start:start + 10]))
    assert (gan.discriminator.update_count, gan.generator.update_count) == (6, 3)
    for name, array in gan.state_dict().items():
        assert_same_bits(array, other.state_dict()[name], name)
    for name, values in history.history.items():
        assert values[0] == pytest.approx(np.average([one[name] for one in logs], weights=sizes), rel=1e-12), name
    assert list(history.history) == ["discriminator_loss", "real_accuracy", "fake_accuracy", "generator_loss"]


def test_a_step_by_hand(backend):
    """The three calls of each player, as one would write them."""
    X = samples(8)
    gan, (G, D) = make(optimizer=fnn.SGD(0.1), label_smoothing=0.1), players()
    gan.train_on_batch(X)
    G.compile(fnn.SGD(0.1), loss=None)
    D.compile(fnn.SGD(0.1), loss=None)
    fake = G.forward(np.random.default_rng([0, 2, 0]).standard_normal((8, 2)))
    for x, target in ((X, 0.9), (fake, 0.0)):
        logit = D.forward(x)
        D.backward((1 / (1 + np.exp(-logit)) - target) / 16, accumulate=x is fake)
    D.step()
    logit = D.forward(fake, frozen=True)
    G.backward(D.backward((1 / (1 + np.exp(-logit)) - 1) / 8))
    G.step()
    for model, own in ((gan.generator, G), (gan.discriminator, D)):
        for name, array in model.state_dict().items():
            np.testing.assert_allclose(array, own.state_dict()[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_seeds_fix_everything(backend, dtype):
    runs = []
    for seed in (0, 0, 1):
        gan = make(dtype, "adam", seed, dropout=0.2)
        gan.fit(samples(30), batch_size=8, epochs=2, verbose=0)
        runs.append((gan.state_dict(), gan.history.history, gan.generate(5, seed=4)))
    for name, array in runs[0][0].items():
        assert_same_bits(array, runs[1][0][name], name)
    assert runs[0][1] == runs[1][1] != runs[2][1]
    assert_same_bits(runs[0][2], runs[1][2])
    assert (gan.generate(5) != gan.generate(5, seed=1)).all() and gan.generate(5).dtype == dtype
    assert_same_bits(gan.generate(7)[:5], gan.generate(5))


def test_bits_do_not_depend_on_threads(native, team):
    results = []
    for n in (1, 2):
        team(n)
        gan = make("float32", "adam", dropout=0.2)
        gan.fit(samples(70), batch_size=33, epochs=2, verbose=0)
        results.append(gan.state_dict())
    for name, array in results[0].items():
        assert_same_bits(array, results[1][name], name)


def test_it_learns_a_distribution(backend):
    """A ring of four points: all of them are found."""
    rng = np.random.default_rng(0)
    centres = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    X = centres[rng.integers(0, 4, 512)] + 0.05 * rng.standard_normal((512, 2))
    G = fnn.Sequential([fnn.Dense(32, "relu"), fnn.Dense(32, "relu"), fnn.Dense(2)], input_shape=(4,), seed=1)
    D = fnn.Sequential([fnn.Dense(32, "relu"), fnn.Dense(32, "relu"), fnn.Dense(1)], input_shape=(2,), seed=2)
    gan = fnn.GAN(G, D)
    gan.compile(fnn.Adam(2e-3, beta_1=0.5), fnn.Adam(2e-3, beta_1=0.5))
    gan.fit(X, batch_size=64, epochs=120, verbose=0)
    made = gan.generate(400)
    distance = np.linalg.norm(made[:, None] - centres, axis=2)
    assert np.mean(distance.min(axis=1) < 0.3) > 0.7
    assert np.bincount(distance.argmin(axis=1), minlength=4).min() > 20


def test_minimax_saturates():
    """Where the discriminator is sure, one loss has a slope and the other next to none."""
    norms = {}
    for kind in ("minimax", "non_saturating"):
        gan = make(loss=kind, batch_norm=False)
        gan.discriminator.layers[-1].weight[...] = 0
        gan.discriminator.layers[-1].weight[0] = 1e-3
        gan.discriminator.layers[-1].bias[...] = -20
        before = gan.generator.state_dict()
        gan._generator_step(gan.generator.forward(np.ones((4, 2))))
        norms[kind] = max(np.abs(w - before[name]).max() for name, w in gan.generator.state_dict().items())
    assert norms["minimax"] < 1e-7 * norms["non_saturating"]


# ------------------------------------------------------------------------------- callbacks, Ctrl-C, divergence

def test_callbacks_and_progress(backend, capsys, tmp_path):
    calls = []
    gan = make("float32", "adam")
    gan.fit(samples(20), batch_size=8, epochs=3, verbose=2, callbacks=[
        fnn.CSVLogger(tmp_path / "log.csv"), fnn.EarlyStopping("generator_loss", patience=5),
        fnn.LambdaCallback(on_batch_end=lambda step, logs: calls.append((step, sorted(logs))))])
    assert [step for step, _ in calls] == [0, 1, 2] * 3
    assert calls[0][1] == ["discriminator_loss", "fake_accuracy", "generator_loss", "real_accuracy"]
    assert capsys.readouterr().out.count("generator_loss") == 3
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    stop = fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(gan, "stop_training", True))
    assert len(gan.fit(samples(), epochs=9, verbose=0, callbacks=stop)) == 1


def test_early_stopping_takes_the_best_back(backend):
    gan, states = make("float32", "adam"), []
    stop = fnn.EarlyStopping("discriminator_loss", patience=2, mode="max")
    gan.fit(samples(), epochs=30, verbose=0, callbacks=[
        stop, fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: states.append(gan.state_dict()))])
    for name, array in gan.state_dict().items():
        assert_same_bits(array, states[stop.best_epoch][name], name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_goes_on_as_if_never_stopped(backend, dtype, tmp_path):
    """Weights, optimizers, noise, shuffling and history, bit by bit; what was saved does not matter any more."""
    path, settings = tmp_path / "gan.safetensors", {"dropout": 0.2, "discriminator_steps": 2, "loss": "minimax"}
    one = make(dtype, fnn.Adam(0.01), **settings)
    for _ in range(2):
        one.fit(samples(), batch_size=4, epochs=2, verbose=0)
    other = make(dtype, fnn.Adam(0.01), **settings)
    other.fit(samples(), batch_size=4, epochs=2, verbose=0)
    other.save(path)
    history = dict(other.history.history)
    other.fit(samples(), batch_size=4, epochs=1, verbose=0)
    loaded = fnn.GAN.load(path)
    assert loaded.history.history == history and loaded.history.epoch == [0, 1]
    assert (loaded.loss, loaded.label_smoothing, loaded.discriminator_steps) == ("minimax", 0.1, 2)
    loaded.fit(samples(), batch_size=4, epochs=2, verbose=0)
    for name, value in one.state_dict().items():
        assert_same_bits(loaded.state_dict()[name], value, name)
    assert loaded.history.history == one.history.history
    assert_same_bits(loaded.generate(5), one.generate(5))


def test_files_of_other_kinds_and_damaged_ones(tmp_path):
    gan = fnn.GAN(*players())
    gan.save(tmp_path / "gan")  # not compiled
    assert fnn.GAN.load(tmp_path / "gan").loss == ""
    gan.compile("sgd", "adam")
    gan.save(tmp_path / "gan")
    gan.generator.save(tmp_path / "model")
    with pytest.raises(fnn.ModelFileError, match="holds a gan, expected .*; read it with fastnn.GAN.load"):
        fnn.load(tmp_path / "gan")
    with pytest.raises(fnn.ModelFileError, match="holds a model, expected a gan; read it with fastnn.load"):
        fnn.GAN.load(tmp_path / "model")
    content = (tmp_path / "gan").read_bytes()
    for at in range(0, len(content), 97):
        (tmp_path / "bad").write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1:])
        with pytest.raises(fnn.ModelFileError):
            fnn.GAN.load(tmp_path / "bad")
    from fastnn.io import records
    record = records.read(tmp_path / "gan", ("gan",))
    for change in ({"seed": -1}, {"shuffles": 0.5}, {"game": {"loss": "chess", "label_smoothing": 0.1,
                   "discriminator_steps": 1}}, {"mood": 1}, {"generator": record.description["discriminator"]}):
        said = {name: value for name, value in record.description.items()
                if name not in ("checksums", "format", "kind")}
        records.write(tmp_path / "bad", records.Record("gan", said | change, record.arrays))
        with pytest.raises(fnn.ModelFileError, match="bad: its description and its arrays make no model"):
            fnn.GAN.load(tmp_path / "bad")
    records.write(tmp_path / "bad", records.Record("gan", said, {**record.arrays, "umpire/model": np.ones(1)}))
    with pytest.raises(fnn.ModelFileError, match="umpire/model: the GAN has no such array"):
        fnn.GAN.load(tmp_path / "bad")


def test_ctrl_c_leaves_usable_models(backend):
    gan = make("float32", "adam")

    def interrupt(step, logs):
        if gan.generator.update_count == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        gan.fit(samples(), batch_size=8, epochs=100, verbose=0, callbacks=fnn.LambdaCallback(on_batch_end=interrupt))
    assert gan.generator.update_count == gan.discriminator.update_count == 5 and len(gan.history) == 1
    assert np.isfinite(gan.generate(4)).all() and np.isfinite(gan.discriminator.predict(samples())).all()
    gan.fit(samples(), epochs=1, verbose=0)


def test_divergence_is_named(backend):
    gan = make(optimizer=fnn.SGD(1e200), batch_norm=False)
    before = gan.state_dict()
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=r"epoch 0, step 0.*'generator' \(its"):
        gan.fit(samples(), batch_size=4, epochs=3, verbose=0)
    for name, array in gan.state_dict().items():
        assert_same_bits(array, before[name], name)


# -------------------------------------------------------------------------------------------------- arguments

def dense(*sizes, n_in=3, activation=None, dtype="float32"):
    layers = [fnn.Dense(size) for size in sizes[:-1]] + [fnn.Dense(sizes[-1], activation or "identity")]
    return fnn.Sequential(layers, input_shape=(n_in,), dtype=dtype)


@pytest.mark.parametrize("generator, discriminator, error, words", [
    (dense(4, n_in=2), dense(1), ValueError, r"discriminator: .*of shape \(4,\), it takes \(3,\).*Reshape or Flatten"),
    (dense(3), dense(2), ValueError, r"discriminator: expected one output a sample, shape \(1,\), got \(2,\)"),
    (dense(3), dense(1, activation="sigmoid"), ValueError, r"expected the logit.*got 'sigmoid' in layer 'dense'"),
    (dense(3), dense(1, dtype="float64"), ValueError, "generator's dtype float32, got float64"),
    (None, dense(1), TypeError, r"generator: expected a fastnn\.Model, got None"),
    (dense(3), "D", TypeError, r"discriminator: expected a fastnn\.Model, got 'D'"),
])
def test_players_that_do_not_fit(generator, discriminator, error, words):
    with pytest.raises(error, match=words):
        fnn.GAN(generator, discriminator)


def test_several_inputs_are_refused():
    a, b = fnn.Input((3,)), fnn.Input((3,))
    with pytest.raises(ValueError, match="discriminator: expected one input and one output, got 2 and 1"):
        fnn.GAN(dense(3), fnn.Model([a, b], fnn.Dense(1)(fnn.Add()([a, b]))))


def test_wrong_arguments():
    gan = fnn.GAN(dense(3, n_in=2), dense(1))
    with pytest.raises(RuntimeError, match=r"not compiled: call gan\.compile"):
        gan.fit(samples())
    with pytest.raises(ValueError, match=r"loss 'wasserstein'.*'non_saturating'"):
        gan.compile(loss="wasserstein")
    with pytest.raises(ValueError, match="label_smoothing"):
        gan.compile(label_smoothing=1.5)
    with pytest.raises(ValueError, match="discriminator_steps"):
        gan.compile(discriminator_steps=0)
    gan.compile()
    assert gan.generator.optimizer.beta_1 == 0.5
    with pytest.raises(ValueError, match=r"X.*\(3,\)"):
        gan.fit(samples()[:, :2])
    with pytest.raises(ValueError, match=r"X.*nan"):
        gan.fit(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="verbose: expected 0, 1 or 2"):
        gan.fit(samples(), verbose=3)
    with pytest.raises(ValueError, match="n must be an integer"):
        gan.generate(0)
    with pytest.raises(TypeError, match="callbacks"):
        gan.fit(samples(), callbacks=[print])
