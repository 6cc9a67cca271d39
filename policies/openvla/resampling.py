"""TensorFlow's image resampling, bit for bit: a pixel is a weighted sum of a few neighbours, its taps.

float32 sums depend on their order, so TensorFlow's is kept: rows before columns, tap after tap, each
product rounded before it is added. A product with a matrix of weights adds in an order that depends
on processor and batch size, and rounds a few pixels to the next integer.
"""

from __future__ import annotations

from functools import lru_cache, reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LANCZOS_RADIUS = 3
"""Reach of the kernel to either side, in pixels of the source or of the target, whichever are larger."""


def lanczos3_resize(images: Tensor, size: int) -> Tensor:
    """What ``tf.image.resize`` does with ``method="lanczos3", antialias=True``, rounded and clipped to uint8.

    Args:
        images: uint8 (B, H, W, 3); the ratio of the sides is not kept.
        size: side of the result in pixels, at least 1.

    Returns:
        uint8 (B, size, size, 3) on the device of ``images``.

    >>> step = torch.tensor([0, 0, 0, 0, 90, 90, 90, 90], dtype=torch.uint8)[:, None].expand(1, 8, 8, 3)
    >>> lanczos3_resize(step, 4)[0, 0, :, 0].tolist()
    [0, 4, 86, 91]
    """
    rows = _lanczos3_rows(images.float(), size)
    pixels = _lanczos3_rows(rows.transpose(1, 2), size).transpose(1, 2)
    return pixels.round().clamp(0, 255).to(torch.uint8)


def centre_crop_resize(images: Tensor, area: float, size: int) -> Tensor:
    """What ``tf.image.crop_and_resize`` (bilinear) makes of the centre, truncated as ``convert_image_dtype`` does.

    Args:
        images: uint8 (B, H, W, 3).
        area: share of the image to keep, in (0, 1]; each side shrinks by its square root.
        size: side of the result in pixels, at least 2.

    Returns:
        uint8 (B, size, size, 3) on the device of ``images``.

    >>> ramp = torch.tensor([0, 60, 120, 180, 240], dtype=torch.uint8)[:, None].expand(1, 5, 5, 3)
    >>> centre_crop_resize(ramp, area=0.25, size=5)[0, 0, :, 0].tolist()
    [60, 90, 120, 150, 180]
    """
    columns = _cropped_rows((images.float() * (1 / 255)).transpose(1, 2), area, size)
    pixels = _cropped_rows(columns.transpose(1, 2), area, size)
    return (pixels * 255.5).to(torch.uint8)


def _lanczos3_rows(pixels: Tensor, size: int) -> Tensor:
    """float32 (B, H, W, 3) to (B, size, W, 3)."""
    taps = zip(*_lanczos3_taps(pixels.shape[1], size, pixels.device), strict=True)
    products = (pixels.index_select(1, index).mul_(weight[:, None, None]) for index, weight in taps)
    return reduce(Tensor.add_, products)


@lru_cache
def _lanczos3_taps(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Source pixel int64 and weight float32 of every tap, both (taps, size)."""
    step = np.float32(1) / (np.float32(size) / np.float32(length))
    scale = max(step, np.float32(1))
    centre = (np.arange(size, dtype=np.float32) + 0.5) * step
    first = np.ceil(centre - LANCZOS_RADIUS * scale - 0.5)
    source = first + np.arange(int(2 * LANCZOS_RADIUS * scale) + 1, dtype=np.float32)[:, None]
    weight = _lanczos3_kernel(np.abs(source + 0.5 - centre) * (1 / scale)) * ((source >= 0) & (source < length))
    weight *= 1 / weight.sum(0)
    index = source.clip(0, length - 1).astype(np.int64)
    return torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device)


def _lanczos3_kernel(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """``3 sin(pi x) sin(pi x / 3) / (pi x)^2`` for x >= 0, in TensorFlow's order of operations."""
    pi = np.float32(np.pi)
    positive = x.clip(1e-3)  # below, the kernel counts as 1
    lobes = LANCZOS_RADIUS * _sin(positive * pi) * _sin(positive * pi / LANCZOS_RADIUS)
    kernel = np.where(x <= 1e-3, np.float32(1), lobes / (pi * pi * positive * positive))
    return kernel * (x <= LANCZOS_RADIUS)


def _sin(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The float32 nearest to the sine, as the C library gives it; NumPy's float32 sine is often one beside it."""
    return np.sin(x.astype(np.float64)).astype(np.float32)


def _cropped_rows(pixels: Tensor, area: float, size: int) -> Tensor:
    """float32 (B, H, W, 3) to (B, size, W, 3)."""
    low, high, share = _crop_taps(pixels.shape[1], area, size, pixels.device)
    below, above = pixels.index_select(1, low), pixels.index_select(1, high)
    return below + (above - below) * share[:, None, None]


@lru_cache
def _crop_taps(length: int, area: float, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The source pixels to either side, int64, and the share float32 of the second, all (size,)."""
    side = np.sqrt(np.float32(area))
    start = (np.float32(1) - side) / np.float32(2)
    extent = np.float32(length - 1)
    step = ((start + side) - start) * extent / np.float32(size - 1)
    position = start * extent + np.arange(size, dtype=np.float32) * step
    low, high = (torch.from_numpy(each.astype(np.int64)).to(device) for each in (np.floor(position), np.ceil(position)))
    return low, high, torch.from_numpy(position - np.floor(position)).to(device)
