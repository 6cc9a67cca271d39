"""Statistics of columns as LeRobot's ``meta/stats.json`` has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistics = dict[str, NDArray]
"""``min``, ``max``, ``mean``, ``std``, ``count`` and the quantiles ``q01`` ... ``q99`` of a column."""

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
LEVELS = np.arange(256)


def of_values(values: ArrayLike) -> Statistics:
    """Of numbers (T, ...), over the rows; each statistic has at least one dimension, ``count`` (1,) is T.

    >>> of_values([1, 2, 6])["mean"]
    array([3.])
    """
    values = np.asarray(values, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    return {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": np.array([len(values)]),
        **{name: np.quantile(values, level, axis=0) for name, level in QUANTILES.items()},
    }


def of_images(images: NDArray[np.uint8]) -> Statistics:
    """Of images (T, H, W, C), per channel and scaled to [0, 1]: (C, 1, 1); ``count`` (1,) is T.

    Counting the 256 levels gives exact figures without a copy of the images in floating point.
    """
    counts = np.sum([_histogram(image) for image in images], axis=0)
    total = counts.sum(axis=1)
    mean = counts @ LEVELS / total
    variance = (counts * (LEVELS - mean[:, None]) ** 2).sum(axis=1) / total
    reached = counts.cumsum(axis=1) / total[:, None]
    statistics = {
        "min": (counts > 0).argmax(axis=1),
        "max": 255 - (counts > 0)[:, ::-1].argmax(axis=1),
        "mean": mean,
        "std": np.sqrt(variance),
        **{name: (reached >= level).argmax(axis=1) for name, level in QUANTILES.items()},
    }
    scaled = {name: (values / 255).reshape(-1, 1, 1) for name, values in statistics.items()}
    return {**scaled, "count": np.array([len(images)])}


def merged(parts: Sequence[Statistics]) -> Statistics:
    """Of all rows together, from those of their parts.

    Quantiles cannot be had from quantiles: up to the median it is the parts' lowest, above it their highest,
    as in LeRobot's own ``aggregate_feature_stats``.
    """
    stacked = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    count = stacked["count"].sum(axis=0)
    weights = (stacked["count"] / count).reshape(-1, *[1] * (stacked["mean"].ndim - 1))
    mean = (weights * stacked["mean"]).sum(axis=0)
    variance = (weights * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(axis=0)
    return {
        "min": stacked["min"].min(axis=0),
        "max": stacked["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": count,
        **{name: (np.min if level <= 0.5 else np.max)(stacked[name], axis=0) for name, level in QUANTILES.items()},
    }


def _histogram(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(C, 256): how often each channel has each level."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(image, -1, 0)])
