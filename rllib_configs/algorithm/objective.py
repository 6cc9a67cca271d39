"""The objective of a batch of decisions, as shares of the means over a whole minibatch."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import ENTROPY_KEY, POLICY_LOSS_KEY, VF_LOSS_KEY
from torch import Tensor

from policies.rl_module import REF_LOGP, TOKEN_ENTROPY, TOKEN_LOGP
from rllib_configs.algorithm.rollout import EXECUTED_ACTIONS

MEAN_LOG_RATIO = "mean_log_ratio"
"""Column: float32 (B,), the mean log-ratio of all executed tokens of the row's trajectory."""


class Weights(NamedTuple):
    """How much each term counts, and how far a ratio may go."""

    clip_low: float
    clip_high: float
    entropy: float = 0.0
    reference_kl: float = 0.0
    value: float = 0.0


class Objective(NamedTuple):
    """The loss of a batch, and what it consists of."""

    loss: Tensor
    shares: dict[str, Tensor]
    """Metric -> the batch's share of its mean over the minibatch; shares of all batches add up to it."""
    ratio_error: Tensor
    """The largest distance of a ratio from 1."""


def objective(
    batch: dict[str, Any], forward: dict[str, Tensor], weights: Weights, num_tokens: float, num_rows: float
) -> Objective:
    """PPO's clipped objective over the executed tokens, entropy, KL from a reference, and the critic's error.

    Args:
        batch: columns of B decisions; ``MEAN_LOG_RATIO`` has ratios of whole trajectories instead of tokens,
            ``VALUE_TARGETS`` has a critic.
        forward: what the module says of them.
        weights: of the terms.
        num_tokens: executed tokens of the whole minibatch.
        num_rows: decisions of the whole minibatch.
    """
    logp = forward[TOKEN_LOGP]
    mask = executed_tokens(batch[EXECUTED_ACTIONS], logp.shape[1], batch[Columns.ACTIONS].shape[1])

    def share(values: Tensor) -> Tensor:
        return (values * mask).sum() / num_tokens

    log_ratio = logp - batch[TOKEN_LOGP]
    ratio = trajectory_ratio(logp, batch[MEAN_LOG_RATIO]) if MEAN_LOG_RATIO in batch else log_ratio.exp()
    gain = clipped_gain(ratio, batch[Columns.ADVANTAGES][:, None], weights.clip_low, weights.clip_high)
    shares = {
        POLICY_LOSS_KEY: -share(gain),
        ENTROPY_KEY: share(forward[TOKEN_ENTROPY]),
        "approx_kl": share(kl_estimate(log_ratio)),
        "clip_fraction": share(((ratio - 1.0 > weights.clip_high) | (1.0 - ratio > weights.clip_low)).float()),
    }
    loss = shares[POLICY_LOSS_KEY] - weights.entropy * shares[ENTROPY_KEY]
    if REF_LOGP in batch:
        # The other way round than above: samples of the policy that is optimised, to be kept near the reference.
        shares["reference_kl"] = share(kl_estimate(batch[REF_LOGP] - logp))
        loss = loss + weights.reference_kl * shares["reference_kl"]
    if Columns.VALUE_TARGETS in batch:
        error = (forward[Columns.VF_PREDS] - batch[Columns.VALUE_TARGETS]) ** 2
        shares[VF_LOSS_KEY] = error.sum() / num_rows
        loss = loss + weights.value * shares[VF_LOSS_KEY]
    return Objective(loss, shares, ((ratio - 1.0).abs() * mask).max())


def executed_tokens(executed: Tensor, slots: int, chunk_size: int) -> Tensor:
    """float (B, slots): 1 where the token's action ran; what never ran has no part in the outcome."""
    action = torch.arange(slots, device=executed.device) // (slots // chunk_size)
    return (action[None] < executed[:, None]).float()


def clipped_gain(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """PPO's surrogate, to be maximised (arXiv 1707.06347); ``low != high`` is DAPO's clip-higher (2503.14476).

    >>> clipped_gain(torch.tensor([1.5, 0.5]), torch.tensor([1.0, 1.0]), low=0.2, high=0.25).tolist()
    [1.25, 0.5]
    """
    return torch.minimum(ratio * advantages, ratio.clamp(1.0 - low, 1.0 + high) * advantages)


def kl_estimate(log_ratio: Tensor) -> Tensor:
    """KL(q || p) estimated at samples of q, from ``log_ratio = log p - log q``: ``exp(log_ratio) - 1 - log_ratio``.

    Unbiased and never negative: k3 of Schulman's "Approximating KL divergence" (2020), as in GRPO (arXiv 2402.03300).

    >>> kl_estimate(torch.zeros(1)).tolist()
    [0.0]
    """
    return log_ratio.exp() - 1.0 - log_ratio


def trajectory_ratio(logp: Tensor, mean_log_ratio: Tensor) -> Tensor:
    """The ratio of whole trajectories, with a gradient through every token (GSPO-token, arXiv 2507.18071).

    Args:
        logp: (B, slots), with a gradient.
        mean_log_ratio: (B,), of the row's trajectory, without one.

    Returns:
        (B, slots), in value ``exp(mean_log_ratio)``.
    """
    return (mean_log_ratio[:, None] + logp - logp.detach()).exp()
