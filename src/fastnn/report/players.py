"""What a GAN's generator makes."""

from __future__ import annotations

import numpy as np

from .. import summary
from ..page import beside, table
from .charts import gallery
from .subject import Missing, Subject
from .words import figure

SHOWN = 24


def layers(subject: Subject) -> str:
    """What each player is made of."""
    parts = []
    for name in ("generator", "discriminator"):
        header, *rows = summary.rows(getattr(subject.model, name)._compiled)
        parts.append(table(f"What the {name} is made of; n is the number of rows", header, rows, name=name))
    return beside(*parts)


def alone(subject: Subject) -> str:
    """Why nobody looks at a player by itself."""
    raise Missing("the doctor and the profile look at a model that has a loss of its own; the players of a GAN have it "
                  "from each other")


def samples(subject: Subject) -> str:
    """Images, or figures of the numbers."""
    gan = subject.model
    shape = gan.generator.output_shape
    images = len(shape) == 3 and shape[2] in (1, 3, 4) or len(shape) == 2
    if images:
        made = gan.generate(SHOWN)
        names = [f"sample {i + 1}" for i in range(SHOWN)]
        return gallery(made, names, [f"generated {name}" for name in names])
    if len(shape) != 1:
        raise Missing(f"samples have the shape {shape}, which is neither an image nor a row of numbers")
    made = gan.generate(1000).astype(np.float64)
    rows = [[str(i), *(figure(float(f(made[:, i]))) for f in (np.mean, np.std, np.min, np.median, np.max))]
            for i in range(min(shape[0], SHOWN))]
    return table("1,000 generated samples, by column", ["column", "mean", "std", "least", "median", "largest"], rows,
                 name="made")
