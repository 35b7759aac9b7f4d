"""Pictures on the page: charts by `fastnn.plot` as SVG, and small images of samples as PNG, all in the file itself."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..page import escape, figure
from .subject import Missing


def chart(draw: Callable[[Any], Any], alt: str, caption: str = "", *, width: float = 4.6, height: float = 3.0) -> str:
    """A figure that `draw` draws on Axes of so many inches; without matplotlib the reason why there is none."""
    try:
        from .. import plot
        from ..plot.style import plain_text, svg

        with plain_text():
            ax = plot.figure(width=width, height=height)
            draw(ax)
            source = svg(ax)
    except ImportError as error:
        raise Missing(f"the picture, {alt}: {error}") from error
    return figure(f"data:image/svg+xml;base64,{b64encode(source.encode()).decode()}", alt, caption)


def charts(*made: Callable[[], str]) -> str:
    """Charts beside each other where there is room; each of them, or why it is not there."""
    parts = []
    for make in made:
        try:
            parts.append(make())
        except Missing as missing:
            parts.append(f'<p class="missing">Not here: {escape(missing)}.</p>')
    return f'<div class="charts">\n{"".join(part + chr(10) for part in parts)}</div>'


def gallery(images: np.ndarray, captions: Sequence[str], alts: Sequence[str]) -> str:
    """Images (n, height, width[, channels]) with captions in HTML, the least value black and the largest white."""
    finite = images[np.isfinite(images)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    shades = np.nan_to_num((images.astype(np.float64) - low) / ((high - low) or 1.0)).clip(0, 1)
    items = []
    for pixels, caption, alt in zip(np.rint(255 * shades).astype(np.uint8), captions, alts, strict=True):
        source = f"data:image/png;base64,{b64encode(png(pixels)).decode()}"
        items.append(f'<li><figure><img src="{source}" alt="{escape(alt)}" width="{pixels.shape[1]}" '
                     f'height="{pixels.shape[0]}"><figcaption>{caption}</figcaption></figure></li>')
    return "<ul class=\"images\">\n" + "\n".join(items) + "\n</ul>"


def png(pixels: np.ndarray) -> bytes:
    r"""A PNG of bytes (height, width) or (height, width, 1, 3 or 4 channels).

    Examples
    --------
    >>> png(np.zeros((2, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    kind = {1: 0, 3: 2, 4: 6}[channels]  # grey, RGB, RGBA
    lines = b"".join(b"\0" + line.tobytes() for line in pixels.reshape(height, width * channels))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, kind, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))
