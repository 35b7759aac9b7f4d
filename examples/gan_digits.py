"""A generative adversarial network that writes digits, first with fastnn.GAN, then the same step by step.

The images are the 8 x 8 digits that come with the package. A classifier trained on the real ones judges the samples:
how many it recognises with confidence (a probability of at least 0.9), and which digits are among them.

    python examples/gan_digits.py [seeds]
"""
import sys
import time

import numpy as np

import fastnn as fnn
from fastnn.data import load_digits

NOISE = 32
BATCH = 64
EPOCHS = 160
ADAM = {"learning_rate": 1e-3, "beta_1": 0.5}
CONFIDENT = 0.9


def players(seed):
    """A generator from noise to 64 pixels in [-1, 1], and a discriminator from those to a logit."""
    generator = fnn.Sequential(
        [fnn.Dense(128, use_bias=False), fnn.BatchNorm(0.9), fnn.Activation("relu"),
         fnn.Dense(256, use_bias=False), fnn.BatchNorm(0.9), fnn.Activation("relu"), fnn.Dense(64, "tanh")],
        input_shape=(NOISE,), seed=seed)
    discriminator = fnn.Sequential(
        [fnn.Dense(256), fnn.LeakyReLU(0.2), fnn.Dropout(0.3), fnn.Dense(128), fnn.LeakyReLU(0.2), fnn.Dropout(0.3),
         fnn.Dense(1)], input_shape=(64,), seed=seed + 1)
    return generator, discriminator


def judge(X, y):
    """A classifier of real digits."""
    model = fnn.Sequential([fnn.Dense(128, "relu"), fnn.Dropout(0.3), fnn.Dense(10, "softmax")], input_shape=(64,))
    model.compile("adam", "cross_entropy", ["accuracy"])
    history = model.fit(X, y, batch_size=32, epochs=30, validation_split=0.2, verbose=0)
    print(f"the judge recognises {history['val_accuracy'][-1]:.1%} of real digits it has not seen")
    return model


def step_by_step(X, epochs, seed=0):
    """What fastnn.GAN does, in full: the samples' generator."""
    generator, discriminator = players(seed)
    generator.compile(fnn.Adam(**ADAM), loss=None)
    discriminator.compile(fnn.Adam(**ADAM), loss=None)
    rng = np.random.default_rng(seed)

    def sigmoid(s):
        return 1 / (1 + np.exp(-s))

    for _ in range(epochs):
        order = rng.permutation(len(X))
        for start in range(0, len(X), BATCH):
            real = X[order[start:start + BATCH]]
            n = len(real)
            fake = generator.forward(rng.standard_normal((n, NOISE)))
            # the discriminator: real samples are to be 0.9 (smoothed), generated ones 0
            logit = discriminator.forward(real)
            discriminator.backward((sigmoid(logit) - 0.9) / (2 * n))
            logit = discriminator.forward(fake)
            discriminator.backward(sigmoid(logit) / (2 * n), accumulate=True)
            discriminator.step()
            # the generator: what it made is to be taken for real, -log D; the slope comes down through D
            logit = discriminator.forward(fake, frozen=True)
            generator.backward(discriminator.backward((sigmoid(logit) - 1) / n))
            generator.step()
    return generator


def verdict(classifier, samples):
    """The share of samples recognised with confidence, and how many of each digit are among those."""
    p = classifier.predict(samples)
    sure = p.max(axis=1) >= CONFIDENT
    return sure.mean(), np.bincount(p[sure].argmax(axis=1), minlength=10)


def picture(image):
    """Five shades of a digit."""
    return ["".join(" .+#@"[min(4, int((v + 1) * 2.5))] * 2 for v in row) for row in image.reshape(8, 8)]


def main(seeds=3, epochs=EPOCHS):
    X, y = load_digits()
    X = (X.reshape(-1, 64) / 8 - 1).astype("float32")
    classifier = judge(X, y)
    for seed in range(seeds):
        started = time.perf_counter()
        gan = fnn.GAN(*players(seed), seed=seed)
        gan.compile(fnn.Adam(**ADAM), fnn.Adam(**ADAM), label_smoothing=0.1)
        history = gan.fit(X, batch_size=BATCH, epochs=epochs, verbose=0)
        samples = gan.generate(1000, seed)
        share, counts = verdict(classifier, samples)
        print(f"seed {seed}: {share:.1%} of 1,000 samples recognised, of the digits 0 to 9 {counts.tolist()}; "
              f"real {history['real_accuracy'][-1]:.0%}, fake {history['fake_accuracy'][-1]:.0%} told apart; "
              f"{time.perf_counter() - started:.0f} s")
        if epochs == EPOCHS:
            assert share >= 0.6, f"expected 60% or more, got {share:.1%}"
            assert counts.all(), f"expected all ten digits, got {counts}"
    print(*map("  ".join, zip(*map(picture, samples[:6]), strict=True)), sep="\n")
    share, counts = verdict(classifier, step_by_step(X, epochs).predict(
        np.random.default_rng(1).standard_normal((1000, NOISE))))
    print(f"step by step: {share:.1%} recognised, of the digits 0 to 9 {counts.tolist()}")
    if epochs == EPOCHS:
        assert share >= 0.6 and counts.all()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
