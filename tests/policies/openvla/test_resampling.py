"""Resampling against TensorFlow's recorded answers, PyTorch's own and what holds for every image."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample

from policies.openvla.resampling import centre_crop_resize, lanczos3_resize

RECORDED = ["syn256", "noise256", "syn128"]


def smooth_image(height, width):
    """A wave along each side, uint8 (1, H, W, 3)."""
    y, x = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 5, width)
    waves = torch.stack([x.sin() * y.cos(), (x + y).sin(), x.cos().expand(height, width)], dim=-1)
    return (127.5 + 120 * waves).to(torch.uint8)[None]


@pytest.mark.parametrize("name", RECORDED)
def test_lanczos_is_tensorflows(recorded_image, name):
    """In every pixel, shrinking (256) and enlarging (128)."""
    assert torch.equal(lanczos3_resize(recorded_image(name, "jpeg_decoded"), 224), recorded_image(name, "resized"))


@pytest.mark.parametrize("name", RECORDED)
def test_the_crop_is_tensorflows(recorded_image, name):
    """In every pixel."""
    assert torch.equal(centre_crop_resize(recorded_image(name, "resized"), 0.9, 224), recorded_image(name, "cropped"))


@pytest.mark.parametrize(("height", "width"), [(480, 640), (256, 100), (96, 128)])
def test_lanczos_is_pillows_on_smooth_images(height, width):
    """Of any shape, within the rounding of its fixed-point weights."""
    image = smooth_image(height, width)
    expected = np.asarray(Image.fromarray(image[0].numpy()).resize((224, 224), Image.Resampling.LANCZOS))
    error = lanczos3_resize(image, 224)[0].int() - torch.from_numpy(expected.astype(np.int32))
    assert error.abs().max() <= 1


def test_an_image_of_the_right_size_is_left_alone():
    """TensorFlow does not resample it at all."""
    image = torch.randint(0, 256, (1, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(lanczos3_resize(image, 96), image)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (96, 128)])
@pytest.mark.parametrize(("area", "size"), [(0.9, 224), (0.5, 100)])
def test_the_crop_is_a_scaled_grid_in_torch(height, width, area, size):
    """Of any shape; ``grid_sample`` interpolates at the same points, and the crop cuts the fraction off."""
    image = smooth_image(height, width)
    side = area**0.5
    grid = affine_grid(torch.tensor([[[side, 0, 0], [0, side, 0]]]), (1, 3, size, size), align_corners=True)
    sampled = grid_sample(image.permute(0, 3, 1, 2).float(), grid, align_corners=True).permute(0, 2, 3, 1)
    fraction = sampled * (255.5 / 255) - centre_crop_resize(image, area, size)
    assert fraction.min() > -0.01
    assert fraction.max() < 1.01


def test_the_crop_of_everything_is_the_image():
    """An area of one keeps every pixel."""
    image = smooth_image(64, 64)
    assert torch.equal(centre_crop_resize(image, 1.0, 64), image)
