"""The distribution over action tokens, the same at rollout and at update."""

from __future__ import annotations

import torch
from torch import Tensor


class TokenDistribution:
    """Independent categoricals over the slots of an action chunk: softmax(logits / T).

    Everything is computed in float32, so that the ratio of a fresh update to its rollout is 1.

    Args:
        logits: (B, slots, bins).
        temperature: (B, 1) or None for 1. The same T that sampled a trajectory belongs in its update.
    """

    def __init__(self, logits: Tensor, temperature: Tensor | None = None) -> None:
        logits = logits.float()
        if temperature is not None:
            logits = logits / temperature.float()[:, :, None]
        self.log_probs = torch.log_softmax(logits, dim=-1)

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """Sampled tokens, int64 (B, slots): uniform numbers through the inverse cumulative distribution.

        Args:
            noise: float32 (B, slots) in [0, 1), which determines the tokens; None draws it.
        """
        cumulative = self.log_probs.exp().cumsum(-1)
        if noise is None:
            noise = torch.rand_like(cumulative[..., 0])
        # 1 - noise lies in (0, 1]: a draw of exactly 0 would pick the first bin however improbable it is.
        uniform = (1.0 - noise[..., None]) * cumulative[..., -1:]
        return (cumulative < uniform).sum(-1)

    def mode(self) -> Tensor:
        """Most probable tokens, int64 (B, slots); they do not depend on the temperature."""
        return self.log_probs.argmax(-1)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each token, float32 (B, slots)."""
        return self.log_probs.gather(-1, tokens[..., None])[..., 0]

    def entropy(self) -> Tensor:
        """Entropy of each slot in nats, float32 (B, slots)."""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)


def token_cross_entropy(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean negative log-probability of demonstrated tokens, in nats per token.

    Args:
        logits: (B, slots, bins).
        tokens: int64 (B, slots).
        mask: (B, K): 1 for the actions that exist; each has slots / K tokens.
    """
    token_mask = mask.repeat_interleave(tokens.shape[1] // mask.shape[1], dim=1)
    return -(TokenDistribution(logits).log_prob(tokens) * token_mask).sum() / token_mask.sum()
