"""Behaviour cloning: from demonstrations to a first policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.distributions import TokenDistribution
from policies.interface import Policy


@dataclass(frozen=True)
class Demonstrations:
    """What the expert saw and would have done next, one row per visited state."""

    observations: dict[str, NDArray]
    """Batched observations, (M, ...) each."""
    actions: NDArray[np.float32]
    """(M, K, A): the expert's next K actions from each state."""
    mask: NDArray[np.float32]
    """(M, K): 1 where the action exists, 0 beyond the end of the demonstration."""

    def __len__(self) -> int:
        return len(self.actions)


def clone(
    policy: Policy,
    demonstrations: Demonstrations,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Fit the policy to the demonstrations in place by cross-entropy on its action tokens.

    Args:
        policy: trained in place, on the device it is on.
        demonstrations: M rows.
        epochs: passes over the rows.
        learning_rate: Adam's, annealed linearly to 0.
        batch_size: rows per gradient step.
        seed: of the shuffling.
        on_epoch: called with the epoch and its mean loss in nats per token.

    Raises:
        ValueError: no rows.
    """
    if not len(demonstrations):
        raise ValueError("Expect at least one demonstrated state to clone, actually: none.")
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * -(-len(demonstrations) // batch_size)
    optimizer = torch.optim.Adam(policy.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    policy.train()
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(demonstrations), generator=generator).split(batch_size):
            loss = cloning_loss(policy, *_batch(demonstrations, rows.numpy(), _device(policy)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        on_epoch(epoch, float(np.mean(losses)))
    policy.eval()


def cloning_loss(policy: Policy, observations: dict[str, Tensor], actions: Tensor, mask: Tensor) -> Tensor:
    """Mean negative log-probability of the demonstrated tokens, in nats."""
    logits, _ = policy.logits_and_value(observations)
    token_logp = TokenDistribution(logits).log_prob(policy.encode(actions))
    token_mask = mask.repeat_interleave(policy.action_dim, dim=1)
    return -(token_logp * token_mask).sum() / token_mask.sum()


def _batch(
    demonstrations: Demonstrations, rows: NDArray, device: torch.device
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    def take(array: NDArray) -> Tensor:
        return torch.from_numpy(array[rows]).to(device)

    observations = {key: take(each) for key, each in demonstrations.observations.items()}
    return observations, take(demonstrations.actions), take(demonstrations.mask)


def _device(policy: Policy) -> torch.device:
    return next(policy.parameters()).device
