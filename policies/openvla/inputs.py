"""What the network sees of an observation: images and instructions as the checkpoints were trained on them.

Images are resampled as TensorFlow does it in the official evaluations on LIBERO, bit for bit. A pixel is a weighted sum
of a few neighbors, its taps. float32 sums depend on their order, so TensorFlow's is kept: rows before columns, tap by
tap, each product rounded before it is added. A product with a matrix of weights adds in an order that depends on
processor and batch size, and rounds a few pixels to the next integer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from policies.openvla.config import BOS, PAD, SPACE, ImageTransformName, TemplateName
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError
from vla_envs.resampling import LANCZOS_RADIUS

JPEG_QUALITY = 95
"""Quality of the JPEG round trip, the default of ``tf.io.encode_jpeg``."""

CROP_AREA = 0.9
"""Share of the image that a crop keeps, as the random crops in fine-tuning did."""

TEMPLATES: Mapping[TemplateName, str] = {
    "openvla": "In: What action should the robot take to {instruction}?\nOut:",
    "openvla-v01": (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. "
        "USER: What action should the robot take to {instruction}? ASSISTANT:"
    ),
}
"""Name -> the text around an instruction."""


class Inputs(NamedTuple):
    """What the network sees of a batch of observations."""

    pixel_values: Tensor
    """Normalized images, float32 (B, images, 3 * towers, H, W)."""
    ids: Tensor
    """Token ids of the prompts, int64 (B, L), padded behind their first id."""
    states: Tensor | None = None
    """Normalized proprioception, float32 (B, P), for the checkpoints that take it."""


class Prompter:
    """Turns instructions into the token ids of prompts.

    Args:
        tokenizer: path of the checkpoint's ``tokenizer.json``.
        template: name in :data:`TEMPLATES`.
        vocabulary_size: number of rows of the embedding, which ids lie below.

    Raises:
        MissingAssetsError: there is no such file.
        DamagedAssetsError: the file holds no tokenizer.
        InvalidArgumentError: the tokenizer has other ids than Llama's.
    """

    def __init__(self, tokenizer: Path, template: TemplateName = "openvla", vocabulary_size: int = 32064) -> None:
        if not tokenizer.is_file():
            raise MissingAssetsError(f"Expect the checkpoint's tokenizer at `{tokenizer}`, actually: no such file.")
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
            # A prompt is never cut, nor padded by anybody else, as in the original code.
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            self.template = TEMPLATES[template]
            self.ids = lru_cache(maxsize=4096)(self._ids)
            actual = {"begin of sequence": self.ids("")[0], "\u2581": self._tokenizer.token_to_id("\u2581")}
            largest = max(self._tokenizer.get_vocab().values())
        except BaseException as error:  # the library raises nothing narrower, and its panics are no Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise DamagedAssetsError(f"`{tokenizer}` is damaged or no tokenizer: {error}") from error
        if largest >= vocabulary_size:
            raise InvalidArgumentError(
                f"Expect `{tokenizer}` to have ids below the {vocabulary_size} rows of the embedding, "
                f"actually: {largest}."
            )
        expected = {"begin of sequence": BOS, "\u2581": SPACE}
        if actual != expected:
            raise InvalidArgumentError(f"Expect `{tokenizer}` to have the ids {expected}, actually: {actual}.")

    def _ids(self, instruction: str) -> tuple[int, ...]:
        """Return the ids of one instruction, with the begin of the sequence and the final space."""
        ids = self._tokenizer.encode(self.template.format(instruction=instruction.lower())).ids
        return tuple(ids if ids[-1] == SPACE else [*ids, SPACE])

    def __call__(self, instructions: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
        """Return the ids of B prompts, int64 (B, L); shorter ones are padded behind the first id."""
        rows = [self.ids(each) for each in instructions]
        length = max(map(len, rows))
        return torch.tensor([[row[0], *[PAD] * (length - len(row)), *row[1:]] for row in rows], device=device)


@dataclass(frozen=True)
class ImageTransform:
    """Makes camera images what a checkpoint was trained on, as the TensorFlow original does.

    They go through a JPEG round trip, because the training data was compressed, are resampled to ``size`` by Lanczos,
    and cropped to their center for checkpoints that were fine-tuned on random crops. The 180 degrees by which the
    original turns LIBERO's images are no part of it: ``VLA-Libero-v0`` turns them. Every recorded pixel of TensorFlow
    2.15 is met exactly.

    Args:
        size: side of the result in pixels, at least 2.
        jpeg: whether to compress and decompress; this part runs on the CPU.
        center_crop: whether to keep the middle 90 % of the area, enlarged to ``size``.

    Raises:
        InvalidArgumentError: the ``size`` is below 2.

    Example:
        >>> import torch
        >>> images = torch.full((2, 256, 256, 3), 90, dtype=torch.uint8)
        >>> ImageTransform(size=224)(images).shape
        torch.Size([2, 224, 224, 3])
    """

    size: int = 224
    jpeg: bool = True
    center_crop: bool = True

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
            InvalidArgumentError: the images have another type or shape.
        """
        _check_images(images)
        if self.jpeg:
            images = jpeg_round_trip(images)
        images = lanczos3_resize(images, self.size)
        return center_crop_resize(images, CROP_AREA, self.size) if self.center_crop else images


@dataclass(frozen=True)
class BicubicResize:
    """Resizes images by Pillow, as the checkpoints' own image processor does, and no more.

    Args:
        size: side of the result in pixels.

    Example:
        >>> import torch
        >>> BicubicResize(size=224)(torch.full((1, 480, 640, 3), 90, dtype=torch.uint8)).shape
        torch.Size([1, 224, 224, 3])
    """

    size: int = 224

    def __call__(self, images: Tensor) -> Tensor:
        """Resize RGB images uint8 (B, H, W, 3) to (B, size, size, 3).

        Raises:
            InvalidArgumentError: the images have another type or shape.
        """
        _check_images(images)
        sides = (self.size, self.size)
        resized = [Image.fromarray(image).resize(sides, Image.Resampling.BICUBIC) for image in images.numpy(force=True)]
        return torch.from_numpy(np.stack([np.asarray(image) for image in resized])).to(images.device)


IMAGE_TRANSFORMS: Mapping[ImageTransformName, Callable[[int], Callable[[Tensor], Tensor]]] = {
    "libero": ImageTransform,
    "libero_uncropped": partial(ImageTransform, center_crop=False),
    "processor": BicubicResize,
}
"""Name -> a transform, made for the side of its results in pixels."""


def jpeg_round_trip(images: Tensor) -> Tensor:
    """Compress and decompress uint8 (B, H, W, 3) as ``tf.io.encode_jpeg`` and ``tf.io.decode_image`` do.

    >>> gray = torch.full((1, 16, 16, 3), 90, dtype=torch.uint8)
    >>> torch.equal(jpeg_round_trip(gray), gray)
    True
    """
    decoded = np.empty(images.shape, np.uint8)
    for image, target in zip(images.numpy(force=True), decoded, strict=True):
        target[:] = simplejpeg.decode_jpeg(_encode_jpeg(image), fastdct=True)
    return torch.from_numpy(decoded).to(images.device)


def pixel_values(images: Tensor, means: Sequence[Sequence[float]], stds: Sequence[Sequence[float]]) -> Tensor:
    """Normalize transformed images once for each vision backbone, as the checkpoint's processor does.

    Args:
        images: uint8 (B, H, W, 3).
        means: means of RGB in [0, 1] for each of N backbones, from ``tvf_normalize_params`` of the checkpoint.
        stds: standard deviations likewise.

    Returns:
        float32 (B, 3 N, H, W) on the device of ``images``.

    >>> images = torch.full((1, 224, 224, 3), 255, dtype=torch.uint8)
    >>> pixel_values(images, means=[[0.0] * 3, [0.5] * 3], stds=[[1.0] * 3, [0.25] * 3])[0, :, 0, 0]
    tensor([1., 1., 1., 2., 2., 2.])
    """
    mean, std = (torch.tensor(each, device=images.device)[..., None, None] for each in (means, stds))
    pixels = images.permute(0, 3, 1, 2).float() / 255
    return ((pixels[:, None] - mean) / std).flatten(1, 2)


def image_batch(given: Any, device: torch.device) -> Tensor:
    """Return the images of one camera as a tensor (B, H, W, 3): a batch or one image, of torch, NumPy or Pillow.

    Args:
        given: a tensor, an array, an image of Pillow, or a list of those.
        device: where images that are no tensor go.

    Raises:
        InvalidArgumentError: these are no images, or some of different sizes.
    """
    if isinstance(given, (list, tuple)):
        batches = [image_batch(each, device) for each in given]
        sizes = {tuple(each.shape[1:]) for each in batches}
        if len(sizes) != 1:
            raise InvalidArgumentError(f"Expect the `images` of a camera to have one size, actually: {sorted(sizes)}.")
        return torch.cat(batches)
    if isinstance(given, Image.Image):
        given = np.asarray(given.convert("RGB"))
    if isinstance(given, np.ndarray) and given.dtype == np.uint8:
        given = torch.from_numpy(given.copy()).to(device)
    if not isinstance(given, Tensor):
        raise InvalidArgumentError(
            "Expect the `images` to be uint8 tensors, arrays or images of Pillow, actually: "
            f"{getattr(given, 'dtype', type(given).__name__)}."
        )
    return given[None] if given.ndim == 3 else given


def _encode_jpeg(image: np.ndarray) -> bytes:
    """Encode with TensorFlow's coefficients: accurate DCT and 4:2:0 chroma; simplejpeg encodes with the fast DCT."""
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


def lanczos3_resize(images: Tensor, size: int) -> Tensor:
    """Resize as ``tf.image.resize`` with ``method="lanczos3", antialias=True``, rounded and clipped to uint8.

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


def center_crop_resize(images: Tensor, area: float, size: int) -> Tensor:
    """Crop the center as ``tf.image.crop_and_resize`` (bilinear) does, truncated as by ``convert_image_dtype``.

    Args:
        images: uint8 (B, H, W, 3).
        area: share of the image to keep, in (0, 1]; each side shrinks by its square root.
        size: side of the result in pixels, at least 2.

    Returns:
        uint8 (B, size, size, 3) on the device of ``images``.

    >>> ramp = torch.tensor([0, 60, 120, 180, 240], dtype=torch.uint8)[:, None].expand(1, 5, 5, 3)
    >>> center_crop_resize(ramp, area=0.25, size=5)[0, 0, :, 0].tolist()
    [60, 90, 120, 150, 180]
    """
    columns = _cropped_rows((images.float() * (1 / 255)).transpose(1, 2), area, size)
    pixels = _cropped_rows(columns.transpose(1, 2), area, size)
    return (pixels * 255.5).to(torch.uint8)


def _lanczos3_rows(pixels: Tensor, size: int) -> Tensor:
    """Resample the rows of float32 (B, H, W, 3) to (B, size, W, 3)."""
    taps = zip(*_lanczos3_taps(pixels.shape[1], size, pixels.device), strict=True)
    products = (pixels.index_select(1, index).mul_(weight[:, None, None]) for index, weight in taps)
    return reduce(Tensor.add_, products)


@lru_cache
def _lanczos3_taps(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return source pixel (int64) and weight (float32) of every tap, both (taps, size)."""
    step = np.float32(1) / (np.float32(size) / np.float32(length))
    scale = max(step, np.float32(1))
    center = (np.arange(size, dtype=np.float32) + 0.5) * step
    first = np.ceil(center - LANCZOS_RADIUS * scale - 0.5)
    source = first + np.arange(int(2 * LANCZOS_RADIUS * scale) + 1, dtype=np.float32)[:, None]
    weight = _lanczos3_kernel(np.abs(source + 0.5 - center) * (1 / scale)) * ((source >= 0) & (source < length))
    weight *= 1 / weight.sum(0)
    index = source.clip(0, length - 1).astype(np.int64)
    return torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device)


def _lanczos3_kernel(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``3 sin(pi x) sin(pi x / 3) / (pi x)^2`` for x >= 0, in TensorFlow's order of operations."""
    pi, radius = np.float32(np.pi), np.float32(LANCZOS_RADIUS)
    positive = np.maximum(x, np.float32(1e-3))  # below, the kernel counts as 1
    lobes = radius * _sin(positive * pi) * _sin(positive * pi / radius)
    kernel = np.where(x <= 1e-3, np.float32(1), lobes / (pi * pi * positive * positive))
    return kernel * (x <= LANCZOS_RADIUS)


def _sin(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the float32 nearest to the sine, as the C library does; NumPy's float32 sine is often one beside it."""
    return np.sin(x.astype(np.float64)).astype(np.float32)


def _cropped_rows(pixels: Tensor, area: float, size: int) -> Tensor:
    """Resample the rows of float32 (B, H, W, 3) to (B, size, W, 3)."""
    low, high, share = _crop_taps(pixels.shape[1], area, size, pixels.device)
    below, above = pixels.index_select(1, low), pixels.index_select(1, high)
    return below + (above - below) * share[:, None, None]


@lru_cache
def _crop_taps(length: int, area: float, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the source pixels to either side (int64) and the share of the second (float32), all (size,)."""
    side = np.sqrt(np.float32(area))
    start = (np.float32(1) - side) / np.float32(2)
    extent = np.float32(length - 1)
    step = ((start + side) - start) * extent / np.float32(size - 1)
    position = start * extent + np.arange(size, dtype=np.float32) * step
    low, high = (torch.from_numpy(each.astype(np.int64)).to(device) for each in (np.floor(position), np.ceil(position)))
    return low, high, torch.from_numpy(position - np.floor(position)).to(device)
