"""Statistics of columns."""

import numpy as np
import pytest

from vla_envs.wrappers.record import statistics

EXACT = ("min", "max", "mean", "std", "count")


def test_levels_of_images_give_the_figures_of_their_numbers():
    """Counting is exact; a quantile is a level that occurs."""
    images = np.random.default_rng(0).integers(0, 200, (3, 8, 9, 3), np.uint8)
    found, expected = statistics.of_images(images), statistics.of_values(images.reshape(-1, 3) / 255)
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(found[name].reshape(-1), expected[name])
    for name, level in statistics.QUANTILES.items():
        quantile = np.quantile(images.reshape(-1, 3), level, axis=0, method="inverted_cdf") / 255
        np.testing.assert_allclose(found[name].reshape(-1), quantile)
    assert found["count"] == [3]


@pytest.mark.parametrize("shape", [(), (1,), (7,), (4, 7)])
def test_parts_merge_to_the_whole(shape):
    """However unequal the parts are."""
    values = np.random.default_rng(1).normal(3.0, 2.0, (30, *shape))
    merged = statistics.merged([statistics.of_values(part) for part in np.split(values, [2, 9])])
    whole = statistics.of_values(values)
    for name in EXACT:
        np.testing.assert_allclose(merged[name], whole[name])


def test_merged_quantiles_are_bounds():
    """Of the parts' own: the lowest up to the median, the highest above."""
    parts = [statistics.of_values(np.arange(10.0)), statistics.of_values(np.arange(100.0, 110.0))]
    merged = statistics.merged(parts)
    assert merged["q10"] == parts[0]["q10"]
    assert merged["q90"] == parts[1]["q90"]
