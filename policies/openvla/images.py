"""What the official OpenVLA and OpenVLA-OFT evaluations on LIBERO do to an image before the model sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from policies.openvla.resampling import centre_crop_resize, lanczos3_resize
from vla_envs.errors import InvalidArgumentError

JPEG_QUALITY = 95
"""The default of ``tf.io.encode_jpeg``."""

CROP_AREA = 0.9
"""Share of the image that is kept: that of the random crops in fine-tuning."""


@dataclass(frozen=True)
class ImageTransform:
    """Camera images to the images that a checkpoint was trained on, as the TensorFlow original makes them.

    A JPEG round trip, because the training data was compressed; Lanczos to ``size``; and the centre
    crop of checkpoints that were fine-tuned on random crops. The 180 degrees by which the original
    turns LIBERO's images are no part of it: ``VLA-Libero-v0`` turns them. Every recorded pixel of
    TensorFlow 2.15 is met exactly.

    Args:
        size: side of the result in pixels, at least 2.
        jpeg: whether to compress and decompress; this part runs on the CPU.
        centre_crop: whether to keep the middle 90 % of the area, enlarged to ``size``.

    Raises:
        InvalidArgumentError: a ``size`` below 2.

    Example:
        >>> import torch
        >>> images = torch.full((2, 256, 256, 3), 90, dtype=torch.uint8)
        >>> ImageTransform(size=224)(images).shape
        torch.Size([2, 224, 224, 3])
    """

    size: int = 224
    jpeg: bool = True
    centre_crop: bool = True

    def __post_init__(self) -> None:
        if self.size < 2:  # crop_and_resize spaces its samples by size - 1
            raise InvalidArgumentError(f"Expect the `size` to be at least 2 pixels, actually: {self.size}.")

    def __call__(self, images: Tensor) -> Tensor:
        """Transform a batch.

        Args:
            images: uint8 (B, H, W, 3), RGB, upright.

        Returns:
            uint8 (B, size, size, 3) on the device of ``images``.

        Raises:
            InvalidArgumentError: another type or shape.
        """
        _check_images(images)
        if self.jpeg:
            images = jpeg_round_trip(images)
        images = lanczos3_resize(images, self.size)
        return centre_crop_resize(images, CROP_AREA, self.size) if self.centre_crop else images


@dataclass(frozen=True)
class BicubicResize:
    """What the checkpoints' own image processor does, which uses Pillow: no more than resizing.

    Args:
        size: side of the result in pixels.

    Example:
        >>> import torch
        >>> BicubicResize(size=224)(torch.full((1, 480, 640, 3), 90, dtype=torch.uint8)).shape
        torch.Size([1, 224, 224, 3])
    """

    size: int = 224

    def __call__(self, images: Tensor) -> Tensor:
        """Resize uint8 (B, H, W, 3), RGB, to (B, size, size, 3).

        Raises:
            InvalidArgumentError: another type or shape.
        """
        _check_images(images)
        sides = (self.size, self.size)
        resized = [Image.fromarray(image).resize(sides, Image.Resampling.BICUBIC) for image in images.numpy(force=True)]
        return torch.from_numpy(np.stack(resized)).to(images.device)


IMAGE_TRANSFORMS: dict[str, Callable[[int], Callable[[Tensor], Tensor]]] = {
    "libero": ImageTransform,
    "libero_uncropped": partial(ImageTransform, centre_crop=False),
    "processor": BicubicResize,
}
"""Name -> transform of a size. ``libero`` is that of the LIBERO checkpoints of OpenVLA and OpenVLA-OFT, which were
fine-tuned on random crops; ``processor`` is that of OpenVLA itself."""


def jpeg_round_trip(images: Tensor) -> Tensor:
    """Compress and decompress uint8 (B, H, W, 3) as ``tf.io.encode_jpeg`` and ``tf.io.decode_image`` do.

    >>> grey = torch.full((1, 16, 16, 3), 90, dtype=torch.uint8)
    >>> torch.equal(jpeg_round_trip(grey), grey)
    True
    """
    decoded = np.empty(images.shape, np.uint8)
    for image, target in zip(images.numpy(force=True), decoded, strict=True):
        target[:] = simplejpeg.decode_jpeg(_encode_jpeg(image), fastdct=True)
    return torch.from_numpy(decoded).to(images.device)


def pixel_values(images: Tensor, means: Sequence[Sequence[float]], stds: Sequence[Sequence[float]]) -> Tensor:
    """Normalise transformed images once for each vision backbone, as the checkpoint's processor does.

    Args:
        images: uint8 (B, H, W, 3).
        means: N times RGB in [0, 1], from ``tvf_normalize_params`` in the checkpoint's ``preprocessor_config.json``.
        stds: the same of the standard deviations.

    Returns:
        float32 (B, 3 N, H, W) on the device of ``images``.

    >>> images = torch.full((1, 224, 224, 3), 255, dtype=torch.uint8)
    >>> pixel_values(images, means=[[0.0] * 3, [0.5] * 3], stds=[[1.0] * 3, [0.25] * 3])[0, :, 0, 0]
    tensor([1., 1., 1., 2., 2., 2.])
    """
    mean, std = (torch.tensor(each, device=images.device)[..., None, None] for each in (means, stds))
    pixels = images.permute(0, 3, 1, 2).float() / 255
    return ((pixels[:, None] - mean) / std).flatten(1, 2)


def _encode_jpeg(image: np.ndarray) -> bytes:
    """JPEG with TensorFlow's coefficients: accurate DCT and 4:2:0 chroma; simplejpeg encodes with the fast DCT."""
    stream = BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    return stream.getvalue()


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor):
        raise InvalidArgumentError(f"Expect the `images` to be a tensor, actually: {type(images).__name__}.")
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise InvalidArgumentError(
            f"Expect the `images` to be uint8 (B, H, W, 3), actually: {images.dtype} {tuple(images.shape)}."
        )
