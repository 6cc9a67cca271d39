"""Distributions over action tokens, the same at rollout and at update.

Everything is computed in float32, so that the ratio of a fresh update to its rollout is 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Normal

LEAST_NOISE = 2.0**-25
"""Noise that takes the place of 0, whose quantile is minus infinity: half the step of float32 noise in [0.5, 1)."""


class ActionDistribution(ABC):
    """Independent distributions over the slots of an action chunk. A token is a bin (int64) or a number (float32).

    Every row of a batch has a temperature of its own.
    """

    @abstractmethod
    def at(self, temperature: Tensor | None) -> ActionDistribution:
        """Return the distribution at another temperature; an update needs the one that sampled the trajectory.

        Args:
            temperature: (B, 1), above 0; None leaves it at 1.
        """

    @abstractmethod
    def sample(self, noise: Tensor | None = None) -> Tensor:
        """Return sampled tokens (B, slots): uniform numbers through the inverse cumulative distribution.

        Args:
            noise: float32 (B, slots) in [0, 1), which determines the tokens; None draws it from torch's generator.
        """

    @abstractmethod
    def mode(self) -> Tensor:
        """Return the most probable tokens (B, slots), which do not depend on the temperature."""

    def choose(self, noise: Tensor | None, greedy: bool) -> Tensor:
        """Return the most probable tokens where ``greedy``, else sampled ones."""
        return self.mode() if greedy else self.sample(noise)

    @abstractmethod
    def log_prob(self, tokens: Tensor) -> Tensor:
        """Return the log-probability, or log-density, of each token, float32 (B, slots)."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """Return the entropy of each slot in nats, float32 (B, slots)."""


class TokenDistribution(ActionDistribution):
    """Categoricals: softmax(logits), and softmax(logits / T) at a temperature T. Tokens are bins, int64.

    Args:
        logits: (B, slots, bins).
        first: token of the first logit.

    Example:
        >>> distribution = TokenDistribution(torch.tensor([[[0.0, 2.0], [1.0, 0.0]]]))
        >>> distribution.mode().tolist()
        [[1, 0]]
        >>> distribution.sample(noise=torch.tensor([[0.95, 0.95]])).tolist()
        [[0, 0]]
    """

    def __init__(self, logits: Tensor, first: int = 0) -> None:
        self.first = first
        self.logits = logits.float()

    def at(self, temperature: Tensor | None) -> TokenDistribution:
        """Return the distribution with divided logits."""
        if temperature is None:
            return self
        return TokenDistribution(self.logits / temperature.float()[..., None], self.first)

    @cached_property
    def log_probs(self) -> Tensor:
        """Log-probability of every bin, float32 (B, slots, bins)."""
        return torch.log_softmax(self.logits, dim=-1)

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """Return sampled bins: the more noise, the lower."""
        cumulative = self.log_probs.exp().cumsum(-1)
        if noise is None:
            noise = torch.rand_like(cumulative[..., 0])
        # 1 - noise lies in (0, 1]: a draw of exactly 0 would pick the first bin however improbable it is.
        uniform = (1.0 - noise[..., None]) * cumulative[..., -1:]
        return (cumulative < uniform).sum(-1) + self.first

    def mode(self) -> Tensor:
        """Return the bins of the largest logits."""
        return self.log_probs.argmax(-1) + self.first

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Return the log-probability of each bin."""
        return self.log_probs.gather(-1, (tokens - self.first)[..., None])[..., 0]

    def entropy(self) -> Tensor:
        """Return the entropy of each slot."""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)


class GaussianDistribution(ActionDistribution):
    """Normal distributions, of standard deviation T * std at a temperature T. Tokens are float32 and not clipped.

    So a schedule of temperatures is a schedule of standard deviations, and T towards 0 is greedy.

    Args:
        mean: (B, slots).
        log_std: (slots,) or (B, slots), natural logarithm of the standard deviation at temperature 1.

    Example:
        >>> distribution = GaussianDistribution(torch.zeros(1, 2), torch.zeros(2)).at(torch.tensor([[0.5]]))
        >>> distribution.sample(noise=torch.tensor([[0.5, 0.8413447]])).round(decimals=4).tolist()
        [[0.0, 0.5]]
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.log_std = log_std.float()
        self.normal = Normal(mean.float(), self.log_std.exp(), validate_args=False)  # checks would wait for the GPU

    def at(self, temperature: Tensor | None) -> GaussianDistribution:
        """Return the distribution with multiplied standard deviations."""
        if temperature is None:
            return self
        return GaussianDistribution(self.normal.mean, self.log_std + temperature.float().log())

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """Return sampled numbers: the more noise, the larger."""
        if noise is None:
            noise = torch.rand_like(self.normal.mean)
        # Normal.icdf is off by up to 0.3 % of a standard deviation in the tails, where erfinv loses float32's digits.
        quantiles = torch.special.ndtri(noise.clamp(min=LEAST_NOISE))
        # Detached, as bins are: a log-probability must not be differentiated through what was sampled.
        return (self.normal.mean + self.normal.stddev * quantiles).detach()

    def mode(self) -> Tensor:
        """Return the means."""
        return self.normal.mean.detach()

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Return the log-density of each number."""
        return self.normal.log_prob(tokens)

    def entropy(self) -> Tensor:
        """Return the differential entropy of each slot, which is negative for small standard deviations."""
        return self.normal.entropy()


def negative_log_likelihood(distribution: ActionDistribution, tokens: Tensor, mask: Tensor) -> Tensor:
    """Return the mean negative log-probability of demonstrated tokens in nats per token: for bins, cross-entropy.

    Args:
        distribution: distribution over tokens (B, slots).
        tokens: demonstrated tokens (B, slots).
        mask: (B, K), 1 for the actions that exist; each has slots / K tokens.
    """
    token_mask = mask.repeat_interleave(tokens.shape[1] // mask.shape[1], dim=1)
    return -distribution.log_prob(tokens).where(token_mask.bool(), 0.0).sum() / token_mask.sum()
