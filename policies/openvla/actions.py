"""From the outputs of a model to the actions of a robot and back: bins of tokens, and statistics of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Strict, TypeAdapter
from torch import Tensor, nn

from policies.openvla.config import BoundsName
from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers.discretize_actions import BINS, bin_centers, nearest_tokens

BOUNDS: Mapping[BoundsName, tuple[str, str]] = {"quantiles": ("q01", "q99"), "extremes": ("min", "max")}
"""Name -> the statistics that -1 and 1 stand for. LIBERO and Bridge were normalized by quantiles, ALOHA by extremes."""

_NUMBERS = TypeAdapter(list[Annotated[float, Strict()]])
_MASK = TypeAdapter(list[Annotated[bool, Strict()]])


class Bounds(nn.Module):
    """The bounds that -1 and 1 stand for, except where a mask says that numbers stand for themselves.

    Args:
        statistics: statistics of a data set's actions or proprioception, as in ``dataset_statistics.json``.
        bounds: name in :data:`BOUNDS`.
        margin: what is added to the width; OpenVLA-OFT adds 1e-8, OpenVLA nothing.

    Raises:
        InvalidArgumentError: the statistics lack a bound, have one that is not finite or above the other, or are of
            different lengths.
    """

    low: Tensor
    high: Tensor
    mask: Tensor

    def __init__(self, statistics: Mapping[str, Any], bounds: BoundsName = "quantiles", margin: float = 0.0) -> None:
        super().__init__()
        names = BOUNDS[bounds]
        if missing := [name for name in names if name not in statistics]:
            raise InvalidArgumentError(f"Expect statistics with {names}, actually: no {missing[0]!r}.")
        try:
            low, high = (
                torch.tensor(_NUMBERS.validate_python(statistics[name]), dtype=torch.float64) for name in names
            )
            mask = torch.tensor(_MASK.validate_python(statistics.get("mask", [True] * len(low))), dtype=torch.bool)
        except (ValueError, OverflowError):
            given = {name: statistics[name] for name in (*names, "mask") if name in statistics}
            raise InvalidArgumentError(
                f"Expect {names} to be lists of numbers and `mask` one of truth values, actually: {given}."
            ) from None
        if not low.shape == high.shape == mask.shape:
            raise InvalidArgumentError(
                "Expect bounds and mask of one length, actually: "
                f"{', '.join(str(tuple(each.shape)) for each in (low, high, mask))}."
            )
        if not (low.isfinite() & high.isfinite()).all():
            raise InvalidArgumentError(f"Expect finite {names}, actually: {low.tolist()} and {high.tolist()}.")
        if (low > high).any():
            raise InvalidArgumentError(f"Expect {names} in order, actually: {low.tolist()} and {high.tolist()}.")
        self.margin = margin
        for name, each in (("low", low), ("high", high), ("mask", mask)):
            self.register_buffer(name, each, persistent=False)

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return len(self.mask)

    def restore(self, normalized: Tensor) -> Tensor:
        """Map numbers of the model (..., dim) to those of the robot, float64."""
        width = self.high - self.low + self.margin
        return torch.where(self.mask, 0.5 * (normalized.double() + 1.0) * width + self.low, normalized.double())

    def normalize(self, numbers: Tensor) -> Tensor:
        """Map numbers of the robot (..., dim) to those of the model, float64; scaled ones are clipped to [-1, 1]."""
        scaled = 2.0 * (numbers.double() - self.low) / (self.high - self.low + self.margin) - 1.0
        return torch.where(self.mask, scaled.clamp(-1.0, 1.0), numbers.double())


def decode_ids(ids: Tensor, first_id: int) -> Tensor:
    """Return the centers of the bins that token ids of any shape stand for, float64 in (-1, 1).

    Ids below the 256 of actions count as the highest bin and ids above as the lowest, as in OpenVLA.

    Args:
        ids: token ids, int64.
        first_id: lowest of the action ids, 31744 for Llama 2.

    >>> decode_ids(torch.tensor([31744, 31745, 31999, 5]), 31744)
    tensor([ 0.9961,  0.9961, -0.9961,  0.9961], dtype=torch.float64)
    """
    tokens = (ids - first_id).clamp(0, BINS - 1)
    return torch.from_numpy(bin_centers(tokens.numpy(force=True))).to(ids.device)


def encode_actions(actions: Tensor, first_id: int) -> Tensor:
    """Return the ids of the bins of numbers of any shape, clipped to [-1, 1], int64.

    >>> encode_actions(torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0]), 31744)
    tensor([31999, 31999, 31872, 31745, 31744])
    """
    return torch.from_numpy(nearest_tokens(actions.numpy(force=True))).to(actions.device) + first_id


def statistics_of(data_sets: Mapping[str, Any], unnorm_key: str | None) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the statistics of one of a checkpoint's data sets.

    Args:
        data_sets: name -> statistics, as in ``dataset_statistics.json``.
        unnorm_key: name, without or with the ending of OpenVLA-OFT's; None takes the only one.

    Raises:
        InvalidArgumentError: there is no such data set, or none is named where there are several.
    """
    if unnorm_key is None and len(data_sets) == 1:
        return next(iter(data_sets.items()))
    # OpenVLA-OFT's data sets are those without the steps in which nothing moves.
    for name in (unnorm_key, f"{unnorm_key}_no_noops"):
        if name is not None and name in data_sets:
            return name, data_sets[name]
    raise InvalidArgumentError(f"Expect the `unnorm_key` to be one of {sorted(data_sets)}, actually: {unnorm_key!r}.")
