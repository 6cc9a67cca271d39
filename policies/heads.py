"""Action heads: from hidden features to a distribution over the slots of a chunk."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from policies.distributions import ActionDistribution, GaussianDistribution, TokenDistribution

LEAST_STD, INITIAL_STD, MOST_STD = 0.05, 0.3, 1.0
"""Standard deviations of an action at temperature 1, in action units, which reach from -1 to 1."""


class BoundedLogStd(nn.Module):
    """Learnable logarithms of standard deviations (slots,), which stay between ``LEAST_STD`` and ``MOST_STD``.

    A sigmoid keeps them inside: unlike clamped ones they have a gradient near their bounds too, so that an
    entropy bonus can still widen what cloning has narrowed.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        share = math.log(INITIAL_STD / LEAST_STD) / math.log(MOST_STD / LEAST_STD)
        self.share_logit = nn.Parameter(torch.full((slots,), math.log(share / (1.0 - share))))

    def forward(self) -> Tensor:
        """Return the logarithms of the standard deviations (slots,)."""
        return math.log(LEAST_STD) + math.log(MOST_STD / LEAST_STD) * self.share_logit.sigmoid()


class FixedLogStd(nn.Module):
    """The logarithm of one standard deviation for all slots, which nothing trains."""

    log_std: Tensor

    def __init__(self, slots: int, std: float) -> None:
        super().__init__()
        self.register_buffer("log_std", torch.full((slots,), math.log(std)), persistent=False)

    def forward(self) -> Tensor:
        """Return the logarithms of the standard deviations (slots,)."""
        return self.log_std


class GaussianHead(nn.Module):
    """Maps features (B, width) to a normal distribution per slot, whose standard deviation no state changes.

    The gradient of each slot's mean is multiplied by the slot's share of the variance, as in the natural gradient of
    a normal distribution and in arXiv 2203.09168. A log-density alone pulls at a mean by 1 / std: what little noise a
    gripper has, which is all but certain, would move the shared layers more than the way of the hand does.

    Args:
        width: number of features.
        slots: number of tokens in a chunk.
        std: standard deviation at temperature 1, in action units; None learns that of each slot.
    """

    def __init__(self, width: int, slots: int, std: float | None = None) -> None:
        super().__init__()
        self.mean = nn.Linear(width, slots)
        self.log_std = BoundedLogStd(slots) if std is None else FixedLogStd(slots, std)

    def forward(self, hidden: Tensor) -> ActionDistribution:
        """Return the distribution over float32 tokens (B, slots)."""
        return GaussianDistribution(*self._mean_and_log_std(hidden))

    def decode(self, tokens: Tensor) -> Tensor:
        """Return the actions (B, slots) of tokens: the same numbers, clipped to [-1, 1]."""
        return tokens.clamp(-1.0, 1.0)

    def encode(self, actions: Tensor) -> Tensor:
        """Return the tokens of actions (B, slots): the same numbers."""
        return actions

    def _mean_and_log_std(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.mean(hidden), self.log_std()
        variance = (2.0 * log_std.detach()).exp()
        fixed = mean.detach()
        return fixed + variance / variance.mean() * (mean - fixed), log_std


class TokenHead(GaussianHead):
    """Maps features (B, width) to a discretized normal distribution per slot, over bins evenly spaced in [-1, 1].

    Bins next to each other are alike, so what one sampled token teaches moves its neighbors too;
    256 independent logits per slot need far more data, and group RL scatters their probability.
    """

    centers: Tensor

    def __init__(self, width: int, slots: int, bins: int) -> None:
        super().__init__(width, slots)
        self.bins = bins
        self.register_buffer("centers", torch.linspace(-1.0, 1.0, bins), persistent=False)

    def forward(self, hidden: Tensor) -> ActionDistribution:
        """Return the distribution over int64 tokens (B, slots)."""
        mean, log_std = self._mean_and_log_std(hidden)
        distance = (self.centers - mean[..., None]) / log_std.exp()[:, None]
        return TokenDistribution(-0.5 * distance.square())

    def decode(self, tokens: Tensor) -> Tensor:
        """Return the centers of bins (B, slots), float32 in [-1, 1]."""
        return self.centers[tokens]

    def encode(self, actions: Tensor) -> Tensor:
        """Return the nearest bins of actions (B, slots), int64."""
        return ((actions.clamp(-1.0, 1.0) + 1.0) / 2.0 * (self.bins - 1)).round().long()
