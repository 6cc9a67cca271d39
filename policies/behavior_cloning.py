"""Behavior cloning: from demonstrations to an initial policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.interface import Policy, trained_parameters
from vla_envs.errors import NonFiniteError

NONFINITE_STEPS_IN_A_ROW = 3
"""Gradient steps in a row whose loss or gradient is not finite, and which are not taken, that end a training."""
WARM_UP_STEPS = 50
"""Number of gradient steps until the full learning rate."""


@dataclass(frozen=True)
class Demonstrations:
    """Observations and actions of an expert, one row per visited state."""

    observations: dict[str, NDArray]
    """Observations, (M, ...) each."""
    actions: NDArray[np.float32]
    """The expert's next K actions from each state, (M, K, A)."""
    mask: NDArray[np.float32]
    """1 where the action exists, 0 beyond the end of the demonstration, (M, K)."""

    def __len__(self) -> int:
        return len(self.actions)


def clone(
    policy: Policy,
    demonstrations: Demonstrations,
    *,
    steps: int,
    lr: float,
    batch_size: int,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Fit the policy to the demonstrations in place, by its own cloning loss.

    Args:
        policy: policy that is trained in place, on the device it is on.
        demonstrations: M rows, at least one.
        steps: number of gradient steps.
        lr: learning rate of Adam, after a short warm-up annealed linearly to 0.
        batch_size: number of rows per gradient step, drawn with replacement.
        seed: seed of the drawing.
        on_step: called with the number of steps done and the step's loss.

    Raises:
        ValueError: there are no rows.
        InvalidArgumentError: a parameter that would be trained is not float32.
        NonFiniteError: the loss or its gradient is not finite, several times in a row; such steps are not taken.
    """
    if not len(demonstrations):
        raise ValueError("Expect at least one demonstrated state to clone, actually: none.")
    rng = np.random.default_rng(seed)
    parameters = trained_parameters(policy)
    optimizer = torch.optim.Adam(parameters, lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP_STEPS, 1.0) * (1.0 - step / steps)
    )
    policy.train()
    not_taken = 0
    for step in range(1, steps + 1):
        rows = rng.integers(len(demonstrations), size=batch_size)
        loss = policy.cloning_loss(*_batch(demonstrations, rows, _device(policy)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        not_taken = 0 if (loss + norm).isfinite() else not_taken + 1
        if not_taken == NONFINITE_STEPS_IN_A_ROW:
            raise NonFiniteError(
                f"Cloning ends at step {step} of {steps}, because the loss ({loss.item()}) or its gradient "
                f"({norm.item()}) was not finite in {not_taken} steps in a row: lower the learning rate of {lr:g} "
                "(--bc.lr), or look for NaN in the demonstrations."
            )
        if not not_taken:
            optimizer.step()
        schedule.step()
        on_step(step, loss.item())
    policy.eval()


def _batch(
    demonstrations: Demonstrations, rows: NDArray, device: torch.device
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    def take(array: NDArray) -> Tensor:
        return torch.from_numpy(array[rows]).to(device)

    observations = {key: take(each) for key, each in demonstrations.observations.items()}
    mask = take(demonstrations.mask)
    # Whatever stands beyond the end of a demonstration, its likelihood must not overflow.
    return observations, take(demonstrations.actions).where(mask[..., None] > 0, 0.0), mask


def _device(policy: Policy) -> torch.device:
    return next(policy.parameters()).device
