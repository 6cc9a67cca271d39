"""What JPEG loses."""

import io

import numpy as np
import pytest

from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers.perturb.jpeg import jpeg


@pytest.fixture
def picture():
    """Coarse grey squares with a grain that is hard to compress, not a multiple of the block size."""
    rng = np.random.default_rng(0)
    squares = rng.integers(70, 180, (10, 7, 1)).repeat(8, axis=0).repeat(8, axis=1)
    return (squares[:75, :50] + rng.integers(-30, 31, (75, 50, 1)) + [[[10, 0, -10]]]).astype(np.uint8)


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_the_brightness_is_that_of_libjpeg(picture, quality):
    """To roundings; the two interpolate the colours between their coarser pixels differently."""
    images = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    images.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    expected = luminance(images.open(file))
    difference = np.abs(luminance(images.fromarray(jpeg(picture, quality))) - expected)
    assert difference.mean() < 1.0
    assert np.abs(luminance(images.fromarray(picture)) - expected).mean() > 3 * difference.mean()


def luminance(image):
    return np.asarray(image.convert("YCbCr")).astype(int)[..., 0]


def test_a_worse_quality_loses_more(picture):
    """Over the whole scale."""
    errors = [np.abs(jpeg(picture, quality).astype(int) - picture).mean() for quality in (100, 50, 1)]
    assert errors == sorted(errors)


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_off_the_scale_is_refused(picture, quality):
    """The error names the scale."""
    with pytest.raises(InvalidArgumentError, match="1 to 100"):
        jpeg(picture, quality)
