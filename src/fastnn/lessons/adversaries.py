"""A generative adversarial network in two dimensions: what it learns, what it leaves out, and which cost to choose."""

import numpy as np

import fastnn as fnn
from fastnn import plot

from .base import Lesson, Results

HILLS = 1.5 * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)


def real_points(n, rng):
    """Eight hills on a ring."""
    return HILLS[rng.integers(0, 8, n)] + 0.06 * rng.standard_normal((n, 2))


def network(n_in, n_out, seed):
    layers = [fnn.Dense(64, "leaky_relu", kernel_initializer="he_normal") for _ in range(2)]
    return fnn.Sequential([*layers, fnn.Dense(n_out)], input_shape=(n_in,), seed=seed)


def players(loss="non_saturating", rate=1e-3, discriminator_rate=1e-3):
    gan = fnn.GAN(network(8, 2, seed=2), network(2, 1, seed=1))  # the discriminator gives a logit
    gan.compile(fnn.Adam(rate, beta_1=0.5), fnn.Adam(discriminator_rate, beta_1=0.5), loss, label_smoothing=0.0)
    return gan


def sigmoid(logit):
    return 0.5 + 0.5 * np.tanh(0.5 * logit)


def gradients_when_sure(steps):
    """How large a gradient an untrained generator's points get from a discriminator that was trained alone."""
    gan, rng = players(), np.random.default_rng(0)
    judge = gan.discriminator
    for _ in range(steps):
        points = np.concatenate([real_points(128, rng), gan.generator.predict(rng.standard_normal((128, 8)))])
        logit = judge.forward(points)
        judge.backward((sigmoid(logit) - np.repeat([[1.0], [0.0]], 128, axis=0)) / 256)
        judge.step()
    points = gan.generate(500)
    p = sigmoid(judge.forward(points, frozen=True))
    found = {}
    for loss, slope in (("non_saturating", p - 1), ("minimax", -p)):  # of -log D and of log(1 - D), for the logit
        judge.forward(points, frozen=True)
        found[loss] = float(np.median(np.linalg.norm(judge.backward(slope), axis=1)))
    return found


def experiment(epochs=250, alone=3000):
    real = real_points(2048, np.random.default_rng(0))
    settings = {"cost -log D": {}, "cost log(1 - D)": {"loss": "minimax"},
                "-log D, a fast D, a slow G": {"discriminator_rate": 2e-3, "rate": 5e-4}}
    points = {}
    for name, chosen in settings.items():
        gan = players(**chosen)
        gan.fit(real, batch_size=128, epochs=epochs, verbose=0)
        points[name] = gan.generate(2000)
    return {"points": points, "real": real, "steps": epochs * 16, "gradients": gradients_when_sure(alone)}


def near_hills(points):
    """Which hill each point is on: within four deviations; -1 for none."""
    distance = np.linalg.norm(points[:, None] - HILLS, axis=2)
    return np.where(distance.min(axis=1) < 0.24, distance.argmin(axis=1), -1)


def picture(found):
    axes = plot.figure(rows=2, columns=2, height=6.2)
    for i, (ax, (name, points)) in enumerate(zip(
            axes.ravel(), {"real points": found["real"], **found["points"]}.items(), strict=True)):
        ax.scatter(*points[:800].T, s=5, color=plot.colour(i), marker="os^D"[i], linewidths=0)
        ax.plot(*HILLS.T, "k+", markersize=10)
        ax.set_title(name, fontsize="small")
        ax.set_xlim(-2.4, 2.4)
        ax.set_ylim(-2.4, 2.4)
        ax.set_aspect("equal")
        ax.set_xlabel("$x_1$" if i > 1 else "")
        ax.set_ylabel("" if i % 2 else "$x_2$")
    return axes


def results(found):
    table = [["points of", "on a hill", "hills with 2% or more", "fullest hill"]]
    figures = {}
    for key, (name, points) in zip(("real", "good", "saturating", "collapsed"),
                                   {"the data": found["real"], **found["points"]}.items(), strict=True):
        hill = near_hills(points)
        shares = np.bincount(hill[hill >= 0], minlength=8) / len(points)
        figures |= {f"{key}_on": float((hill >= 0).mean()), f"{key}_hills": int((shares > 0.02).sum()),
                    f"{key}_fullest": float(shares.max())}
        table.append([name, f"{figures[f'{key}_on']:.0%}", str(figures[f"{key}_hills"]), f"{shares.max():.0%}"])
    strong, weak = found["gradients"]["non_saturating"], found["gradients"]["minimax"]
    return Results(table, {**figures, "strong": strong, "weak": weak, "times": strong / weak, "steps": found["steps"]})


LESSON = Lesson(17, "adversaries", "A generative adversarial network in two dimensions", experiment, results, picture,
                """
A generator turns random numbers into points, a discriminator learns to tell them from real ones, and the
generator learns from nothing but the discriminator's gradient: which way to move a point so that it looks more
real. No loss says where the eight hills are, and yet after {steps:,} steps of both, {good_on:.0%} of the points
lie on one, on {good_hills} of the eight. Which cost the generator has decides whether it starts at all. To
minimise log(1 - D), the chance of being caught, sounds right; but in the beginning every point is caught, and
there that cost is flat: from a discriminator that is sure of itself an untrained generator gets a gradient of
{weak:.0e}, while -log D, which asks for the same, gives {strong:.1f}, {times:,.0f} times as much. With the
first, {saturating_on:.0%} of the points end on a hill. The third network shows the other trouble. Its
discriminator learns fast and its generator slowly: {collapsed_on:.0%} of its points are on hills, each point a
good forgery, but {collapsed_fullest:.0%} on the fullest one alone. That is mode collapse: the cost asks whether
a point is likely, never whether all kinds of points are there.""",
                {"epochs": 30, "alone": 1000}, ("Generative adversarial networks",))
