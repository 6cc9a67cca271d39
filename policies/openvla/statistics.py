"""Statistics of a data set: from the numbers of a model to those of a robot and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vla_envs.errors import InvalidArgumentError

BOUNDS = {"quantiles": ("q01", "q99"), "extremes": ("min", "max")}
"""Name -> what a model's -1 and 1 stand for. LIBERO and Bridge were normalised by quantiles, ALOHA by extremes."""


class Bounds(nn.Module):
    """Numbers in [-1, 1] stand for numbers between two bounds, except where a mask says that they are the same.

    Args:
        statistics: of the actions or the proprioception of a data set, as in ``dataset_statistics.json``.
        bounds: a name of :data:`BOUNDS`.
        margin: what is added to the width; OpenVLA-OFT adds 1e-8, OpenVLA nothing.

    Raises:
        InvalidArgumentError: statistics that lack a bound, or of different lengths.
    """

    low: Tensor
    high: Tensor
    mask: Tensor

    def __init__(self, statistics: Mapping[str, Any], bounds: str = "quantiles", margin: float = 0.0) -> None:
        super().__init__()
        names = BOUNDS[bounds]
        if missing := [name for name in names if name not in statistics]:
            raise InvalidArgumentError(f"Expect statistics with {names}, actually: no {missing[0]!r}.")
        try:
            low, high = (torch.tensor(statistics[name], dtype=torch.float64) for name in names)
            mask = torch.tensor(statistics.get("mask", [True] * len(low)), dtype=torch.bool)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"Expect {names} and `mask` to be lists of numbers: {error}.") from error
        if not low.shape == high.shape == mask.shape:
            raise InvalidArgumentError(
                f"Expect bounds and mask of one length, actually: {len(low)}, {len(high)} and {len(mask)}."
            )
        self.margin = margin
        for name, each in (("low", low), ("high", high), ("mask", mask)):
            self.register_buffer(name, each, persistent=False)

    @property
    def dim(self) -> int:
        """How many numbers there are."""
        return len(self.mask)

    def restore(self, normalised: Tensor) -> Tensor:
        """Numbers of the model (..., dim) to those of the robot, float64."""
        width = self.high - self.low + self.margin
        return torch.where(self.mask, 0.5 * (normalised.double() + 1.0) * width + self.low, normalised.double())

    def normalise(self, numbers: Tensor) -> Tensor:
        """Numbers of the robot (..., dim) to those of the model, clipped to [-1, 1] where they are masked, float64."""
        scaled = 2.0 * (numbers.double() - self.low) / (self.high - self.low + self.margin) - 1.0
        return torch.where(self.mask, scaled.clamp(-1.0, 1.0), numbers.double())
