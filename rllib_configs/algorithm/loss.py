"""The loss of a batch and its terms, as parts of the means over a whole minibatch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import ENTROPY_KEY, POLICY_LOSS_KEY, VF_LOSS_KEY
from torch import Tensor

from rllib_configs.algorithm.sampled_group import (
    MEAN_LOG_RATIO,
    REF_LOGP,
    TOKEN_ENTROPY,
    TOKEN_LOGP,
    TOKEN_MASK,
    TOKEN_WEIGHT,
)
from vla_envs.errors import NonFiniteError

TOTAL_LOSS = "total_loss"
APPROX_KL = "approx_kl"
LOSS_TERMS = (POLICY_LOSS_KEY, ENTROPY_KEY, APPROX_KL, "clip_fraction", "reference_kl", VF_LOSS_KEY, TOTAL_LOSS)
"""Names of all terms that a :class:`Loss` may have, the last of them what is minimized."""


class Coefficients(NamedTuple):
    """How much each term counts, and how far a ratio may go."""

    clip_low: float
    clip_high: float
    entropy: float = 0.0
    reference_kl: float = 0.0
    value: float = 0.0
    value_range: float | None = None


class Loss(NamedTuple):
    """The loss of a batch, and what it consists of."""

    total: Tensor
    terms: dict[str, Tensor]
    """Metric -> the batch's part of its mean over the minibatch; the parts of all batches add up to it."""
    ratio_error: Tensor
    """The largest distance of a ratio from 1."""


def ppo_loss(
    batch: dict[str, Any], forward: dict[str, Tensor], coefficients: Coefficients, token_weight: float, num_rows: float
) -> Loss:
    """PPO's clipped loss over the executed tokens, entropy, KL from a reference, and the critic's error.

    Args:
        batch: columns of B timesteps; with ``MEAN_LOG_RATIO`` ratios are of whole trajectories instead of tokens,
            with ``TOKEN_WEIGHT`` not every token counts the same, with ``VALUE_TARGETS`` there is a critic.
        forward: what the module says of them.
        coefficients: of the terms.
        token_weight: weight of all executed tokens of the whole minibatch: their number, where each counts 1.
        num_rows: timesteps of the whole minibatch.
    """
    mask = batch[TOKEN_MASK].bool()
    # Masked before `exp`: whatever stands where nothing ran, infinity times 0 would be no number.
    logp = forward[TOKEN_LOGP].where(mask, 0.0)
    log_ratio = (logp - batch[TOKEN_LOGP]).where(mask, 0.0)

    def mean(values: Tensor) -> Tensor:
        values = values.where(mask, 0.0)
        if TOKEN_WEIGHT in batch:
            values = values * batch[TOKEN_WEIGHT][:, None]
        return values.sum() / token_weight

    ratio = trajectory_ratio(logp, batch[MEAN_LOG_RATIO]) if MEAN_LOG_RATIO in batch else log_ratio.exp()
    surrogate = clipped_surrogate(
        ratio, batch[Columns.ADVANTAGES][:, None], coefficients.clip_low, coefficients.clip_high
    )
    clipped = (ratio - 1.0 > coefficients.clip_high) | (1.0 - ratio > coefficients.clip_low)
    terms = {
        POLICY_LOSS_KEY: -mean(surrogate),
        ENTROPY_KEY: mean(forward[TOKEN_ENTROPY]),
        APPROX_KL: mean(kl_estimate(log_ratio)),
        "clip_fraction": mean(clipped.float().where(~ratio.isnan(), ratio)),
    }
    if REF_LOGP in batch:
        # The other way round than above: samples of the policy that is optimized, to be kept near the reference.
        terms["reference_kl"] = mean(kl_estimate((batch[REF_LOGP] - logp).where(mask, 0.0)))
    if Columns.VALUE_TARGETS in batch:
        error = value_error(forward[Columns.VF_PREDS], batch, coefficients.value_range)
        terms[VF_LOSS_KEY] = error.sum() / num_rows
    weights = {
        ENTROPY_KEY: -coefficients.entropy,
        "reference_kl": coefficients.reference_kl,
        VF_LOSS_KEY: coefficients.value,
    }
    # A term without a weight has no part in the gradient either, whatever it is.
    weighted = [weight * terms[name] for name, weight in weights.items() if weight and name in terms]
    total = sum(weighted, start=terms[POLICY_LOSS_KEY])
    terms[TOTAL_LOSS] = total
    return Loss(total, terms, (ratio - 1.0).abs().where(mask, 0.0).max())


def clipped_surrogate(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """PPO's surrogate, to be maximized (arXiv 1707.06347); ``low != high`` is DAPO's clip-higher (2503.14476).

    >>> clipped_surrogate(torch.tensor([1.5, 0.5]), torch.tensor([1.0, 1.0]), low=0.2, high=0.25).tolist()
    [1.25, 0.5]
    """
    return torch.minimum(ratio * advantages, ratio.clamp(1.0 - low, 1.0 + high) * advantages)


def value_error(values: Tensor, batch: Mapping[str, Tensor], value_range: float | None) -> Tensor:
    """The squared error of the critic's estimates (B,); with a range, the larger one of the estimates before and after
    they are clipped to it, around what they were before the update, as in OpenAI's PPO2.

    Args:
        values: (B,) the estimates.
        batch: it has ``VALUE_TARGETS`` (B,), and with a range ``VF_PREDS`` (B,), the estimates before the update.
        value_range: how far an estimate may move; None sets no limit.

    >>> batch = {Columns.VALUE_TARGETS: torch.tensor([1.0]), Columns.VF_PREDS: torch.tensor([0.0])}
    >>> value_error(torch.tensor([0.5]), batch, value_range=0.25).tolist()
    [0.5625]
    """
    error = (values - batch[Columns.VALUE_TARGETS]) ** 2
    if value_range is None:
        return error
    before = batch[Columns.VF_PREDS]
    clipped = before + (values - before).clamp(-value_range, value_range)
    return torch.maximum(error, (clipped - batch[Columns.VALUE_TARGETS]) ** 2)


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


KL_GAIN, LARGEST_KL_ERROR = 0.1, 0.2
"""How far the weight of the KL follows the error, and the largest error that counts (arXiv 1909.08593)."""


def adapted_kl_coeff(coeff: float, kl: float, target: float | None) -> float:
    """The next weight of the KL from the reference: higher where the KL is above its target, lower where it is below.

    The proportional controller in log space of Ziegler et al. (arXiv 1909.08593).

    Args:
        coeff: the weight so far.
        kl: what was measured, in nats per token.
        target: what to hold, in nats per token; None leaves the weight as it is.

    Raises:
        NonFiniteError: a KL that is NaN, which would be the weight of all that follows.

    >>> round(adapted_kl_coeff(0.1, kl=0.03, target=0.02), 4)
    0.102
    """
    if target is None:
        return coeff
    if math.isnan(kl):
        raise NonFiniteError("Expect a KL from the reference that is a number, actually: nan.")
    error = min(max(kl / target - 1.0, -LARGEST_KL_ERROR), LARGEST_KL_ERROR)
    return coeff * (1.0 + KL_GAIN * error)
