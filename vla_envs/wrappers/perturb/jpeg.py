"""What JPEG loses, in numpy: the quantised cosine transform of ITU-T T.81, without the lossless coding after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError

Floats = NDArray[np.float64]

BLOCK = 8
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""Quantisation of brightness: table K.1 of ITU-T T.81."""
CHROMINANCE = np.full((BLOCK, BLOCK), 99)
"""Quantisation of colour: table K.2 of ITU-T T.81."""
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""RGB to brightness and colour differences: JFIF 1.02."""

_FREQUENCIES, _PLACES = np.arange(BLOCK)[:, None], np.arange(BLOCK)[None, :]
COSINES = np.sqrt(2.0 / BLOCK) * np.cos(np.pi * (2 * _PLACES + 1) * _FREQUENCIES / (2 * BLOCK))
"""The orthonormal cosine transform (DCT-II) of 8 values."""
COSINES[0] /= np.sqrt(2.0)


def jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) after it was compressed as a JPEG with 4:2:0 chroma and decompressed.

    Equals libjpeg's but for roundings and the interpolation of the chroma.

    Args:
        image: RGB.
        quality: 1 to 100, on the scale of the Independent JPEG Group.

    Raises:
        InvalidArgumentError: a quality outside its range.

    >>> flat = np.full((20, 20, 3), (200, 60, 30), np.uint8)
    >>> int(np.abs(jpeg(flat, 95).astype(int) - flat).max()) < 4
    True
    """
    if not 1 <= quality <= 100:
        raise InvalidArgumentError(f"Expect the `quality` to be from 1 to 100, actually: {quality!r}.")
    height, width, _ = image.shape
    padded = np.pad(image, [(0, -height % (2 * BLOCK)), (0, -width % (2 * BLOCK)), (0, 0)], mode="edge")
    y, cb, cr = np.moveaxis(padded @ TO_YCBCR.T, -1, 0)
    y = _quantise(y - 128.0, _scaled(LUMINANCE, quality)) + 128.0
    cb, cr = (_doubled(_quantise(_halved(each), _scaled(CHROMINANCE, quality))) for each in (cb, cr))
    decoded = np.stack([y, cb, cr], axis=-1) @ np.linalg.inv(TO_YCBCR).T
    return decoded[:height, :width].round().clip(0, 255).astype(np.uint8)


def _scaled(table: NDArray[np.int64], quality: int) -> Floats:
    """A table at a quality, as libjpeg scales it: 50 is the table itself."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((table * percent + 50) // 100, 1, 255).astype(np.float64)


def _quantise(channel: Floats, table: Floats) -> Floats:
    """Round the frequencies of every block of a channel (H, W) to multiples of the table."""
    height, width = channel.shape
    blocks = channel.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(1, 2)
    frequencies = COSINES @ blocks @ COSINES.T
    rounded = (frequencies / table).round() * table
    return (COSINES.T @ rounded @ COSINES).swapaxes(1, 2).reshape(height, width)


def _halved(channel: Floats) -> Floats:
    height, width = channel.shape
    return channel.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


def _doubled(channel: Floats) -> Floats:
    return channel.repeat(2, axis=0).repeat(2, axis=1)
