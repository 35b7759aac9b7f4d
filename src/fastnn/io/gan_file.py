"""Two models that train each other as one file, in the format of a model's: both, and the game between them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .. import checks
from .._version import __version__
from .model_file import ADDED, Arrays, arrays_of, below, build, describe, described_by, history_arrays, history_of
from .records import Record, read, write

if TYPE_CHECKING:
    from ..gan import GAN

PLAYERS = ("generator", "discriminator")
SETTINGS = ("loss", "label_smoothing", "discriminator_steps")


def save(gan: GAN, path: str | os.PathLike) -> None:
    """Write both models, what `compile` chose, the counters and the history; see `fastnn.GAN.save`."""
    models = {player: getattr(gan, player) for player in PLAYERS}
    arrays = history_arrays(gan.history)
    for player, model in models.items():
        arrays |= {f"{player}/{name}": array for name, array in arrays_of(model).items()}
    write(path, Record("gan", described(gan), arrays))


def load(cls: type[GAN], path: str | os.PathLike) -> GAN:
    """What `save` wrote; `cls` is the class of it."""
    record = read(path, ("gan",))
    said, arrays = record.description, record.arrays
    with described_by(path):
        generator, discriminator = (build(said[player], below(f"{player}/", arrays)) for player in PLAYERS)
        gan = cls(generator, discriminator, said["seed"])
        gan.shuffles = checks.positive_int("shuffles", said["shuffles"], minimum=0)
        if said["game"] is not None:
            gan.play(**said["game"])
        gan.history = history_of(said["logs"], arrays)
        gan.history.belong(gan)
        known: Arrays = {**history_arrays(gan.history), **{name: a for name, a in arrays.items()
                                                            if name.partition("/")[0] in PLAYERS}}
        if unknown := arrays.keys() - known.keys():
            raise ValueError(f"{min(unknown)}: the GAN has no such array")
        made = described(gan)
        if wrong := [name for name, value in said.items() if name not in (*ADDED, *PLAYERS, "fastnn")
                     and (name not in made or made[name] != value)]:
            raise ValueError(f"{wrong[0]}: the GAN has no such thing, or another")
    return gan


def described(gan: GAN) -> dict[str, Any]:
    """All but the numbers."""
    game = {name: getattr(gan, name) for name in SETTINGS} if gan.loss else None
    return {"fastnn": __version__, **{player: describe(getattr(gan, player)) for player in PLAYERS},
            "seed": gan.seed, "shuffles": gan.shuffles, "game": game, "logs": list(gan.history.history)}
