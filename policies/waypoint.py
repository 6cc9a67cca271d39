"""The way point: where a chunk of actions leads, which a policy says before it says the chunk."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.bounds import ActionBounds
from policies.configured import ConfiguredPolicy
from policies.distributions import ActionDistribution, negative_log_likelihood
from policies.heads import GaussianHead
from policies.layers import hidden_layers

WAYPOINT_DIM = 3
"""Largest dimension of the way point, which is where the chunk leads: the sum of the displacements dx dy dz (or of all
numbers of shorter actions), or of actions with bounds of their own, which are targets, the last one."""
WAYPOINT_SCALE = 4.0
"""Displacement in action units per unit of the way point, which brings it to order one."""
WAYPOINT_WEIGHT = 200.0
"""Weight of the way point's squared error beside the negative log-likelihood (nats per token)."""


class WayPoint(nn.Sequential):
    """Maps features (B, F) to the way point (B, W), of order one.

    Args:
        features: number of features F.
        hidden: width of the layers between.
        action_dim: number of dimensions A of an action.
        has_targets: whether actions are targets, and no displacements.
    """

    def __init__(self, features: int, hidden: int, action_dim: int, has_targets: bool) -> None:
        self.dim = action_dim if has_targets else min(WAYPOINT_DIM, action_dim)
        super().__init__(*hidden_layers(features, hidden), nn.Linear(hidden, self.dim))
        self.has_targets = has_targets

    def loss(self, waypoint: Tensor, actions: Tensor, mask: Tensor, bounds: ActionBounds) -> Tensor:
        """Return the weighted squared error of way points, given the expert's actions (B, K, A) and their mask (B, K).

        A likelihood says little about distances: without this the places that an instruction looks at take ten times
        as many steps to find what it names.
        """
        return WAYPOINT_WEIGHT * (waypoint - self._demonstrated(actions, mask, bounds)).square().mean()

    def _demonstrated(self, actions: Tensor, mask: Tensor, bounds: ActionBounds) -> Tensor:
        """Return where the existing actions of a chunk lead, (B, W)."""
        if not self.has_targets:
            return (actions * mask[..., None]).sum(1)[:, : self.dim] / WAYPOINT_SCALE
        last = mask.sum(1).long() - 1
        return bounds.normalize(actions)[torch.arange(len(actions)), last]


class WayPointPolicy(ConfiguredPolicy):
    """A policy that says a way point first, and from this and features the distribution of every slot and the value."""

    waypoint: WayPoint
    trunk: nn.Module
    """Maps way point and features (B, W + F) to what the heads are computed from, (B, hidden)."""
    action_head: GaussianHead
    value_head: nn.Module
    has_targets: bool
    """Whether actions are targets, which have bounds of their own, and no displacements."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.bounds = ActionBounds(config.action_dim, config.action_low, config.action_high)
        self.has_targets = config.action_low is not None or config.action_high is not None

    def distribution_and_value(
        self, observations: Mapping[str, Tensor], tokens: Tensor | None = None
    ) -> tuple[ActionDistribution, Tensor]:
        """Return the distribution over tokens (B, slots), each independent of the others, and values (B,)."""
        hidden, _ = self._hidden(observations)
        return self.action_head(hidden), self.value_head(hidden)[:, 0]

    def cloning_loss(self, observations: Mapping[str, Tensor], actions: Tensor, mask: Tensor) -> Tensor:
        """Return the negative log-likelihood of the demonstrated tokens plus the squared error of the way point."""
        hidden, waypoint = self._hidden(observations)
        likelihood_loss = negative_log_likelihood(self.action_head(hidden), self.encode(actions), mask)
        return likelihood_loss + self.waypoint.loss(waypoint, actions, mask, self.bounds)

    def _hidden(self, observations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the trunk's output (B, hidden) and the way point (B, W)."""
        features = self._features(observations)
        waypoint = self.waypoint(features)
        return self.trunk(torch.cat([waypoint, features], dim=-1)), waypoint

    @abstractmethod
    def _features(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return what the way point and the trunk are computed from, (B, F)."""

    def narrow_bounds(self, low: NDArray[np.float32], high: NDArray[np.float32]) -> None:
        """Have the tokens stand for the actions around those that are demonstrated, before any training.

        Joints use a fraction of their range, of which bins and standard deviations are shares.

        Args:
            low: the smallest demonstrated actions (A,).
            high: the largest.
        """
        self.bounds = self.bounds.around(low, high)
        ends = {"action_low": tuple(self.bounds.low.tolist()), "action_high": tuple(self.bounds.high.tolist())}
        self.config = dataclasses.replace(self.config, **ends)

    def decode(self, tokens: Tensor) -> Tensor:
        """Return the actions of tokens (B, slots), float32 (B, K, A) within their bounds."""
        return self.bounds.restore(self.action_head.decode(tokens).unflatten(1, (self.chunk_size, self.action_dim)))

    def encode(self, actions: Tensor) -> Tensor:
        """Return the nearest tokens (B, slots) of actions (B, K, A)."""
        return self.action_head.encode(self.bounds.normalize(actions).flatten(1))
