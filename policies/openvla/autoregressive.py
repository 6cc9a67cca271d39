"""OpenVLA (arXiv 2406.09246): one action, whose tokens are decoded one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.distributions import ActionDistribution
from policies.interface import ActionSample, check_computed, check_given
from policies.openvla.checkpoint import Checkpoint
from policies.openvla.config import OpenVLAOptions
from policies.openvla.inputs import Inputs
from policies.openvla.policy import OpenVLAPolicy


class AutoregressiveOpenVLA(OpenVLAPolicy):
    """A checkpoint of OpenVLA: each token of an action depends on those before it."""

    kind = "openvla"
    margin = 0.0

    def __init__(self, checkpoint: Checkpoint, options: OpenVLAOptions) -> None:
        super().__init__(checkpoint, options)
        self.chunk_size = 1

    def action_logits(self, inputs: Inputs, action_tokens: Tensor | None = None) -> Tensor:
        """Return float32 logits (B, slots, ids) of each slot behind ``action_tokens`` (B, slots), or greedy ones."""
        if action_tokens is None:
            action_tokens = self.generate(inputs)
        return self.network.logits(self._hidden(inputs, action_tokens), *self.ids)

    @torch.no_grad()
    def generate(self, inputs: Inputs, temperature: Tensor | None = None) -> Tensor:
        """Return greedy tokens (B, slots), or sampled ones at a ``temperature`` (B, 1)."""
        sample = self._decode(inputs, temperature, greedy=temperature is None)
        check_computed(sample.token_logp)
        return sample.tokens

    def distribution_and_value(
        self, observations: Mapping[str, Tensor], tokens: Tensor | None = None
    ) -> tuple[ActionDistribution, Tensor]:
        """Return the distribution of each slot behind the ``tokens`` before it, and values."""
        hidden = self._hidden(self._inputs(observations), check_given(tokens))
        return self._distribution(hidden), self._value(hidden[:, 0])

    def get_value(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return the critic's estimate, which depends on no token."""
        with self.own_parameters():
            embeddings, valid = self._embed(self._inputs(observations))
            none = valid.new_zeros(len(valid), 0, dtype=torch.int64)
            return self._value(self.network.causal(embeddings, valid, none)[:, 0])

    def get_action_and_value(
        self,
        observations: Mapping[str, Tensor],
        tokens: Tensor | None = None,
        *,
        temperature: Tensor | None = None,
        greedy: bool = False,
        noise: Tensor | None = None,
    ) -> ActionSample:
        """Sample slot by slot, or score given ``tokens`` in one pass."""
        if tokens is not None:
            return super().get_action_and_value(observations, tokens, temperature=temperature)
        with self.own_parameters():
            return self._decode(self._inputs(observations), temperature, greedy, noise)

    def _hidden(self, inputs: Inputs, tokens: Tensor) -> Tensor:
        """Return the hidden states (B, slots, hidden) from which the logits of each slot are computed."""
        embeddings, valid = self._embed(inputs)
        return self.network.causal(embeddings, valid, tokens[:, :-1])

    def _decode(
        self, inputs: Inputs, temperature: Tensor | None, greedy: bool, noise: Tensor | None = None
    ) -> ActionSample:
        """Sample slot by slot; see :meth:`get_action_and_value` for ``greedy`` and ``noise``."""
        decoding = self.network.decode(*self._embed(inputs), self.slots - 1)
        value = self._value(decoding.hidden)
        chosen: list[tuple[Tensor, Tensor, Tensor]] = []
        for slot in range(self.slots):
            if chosen:
                decoding.append(chosen[-1][0][:, 0])
            distribution = self._distribution(decoding.hidden[:, None]).at(temperature)
            draw = None if noise is None else noise[:, slot : slot + 1]
            tokens = distribution.choose(draw, greedy)
            chosen.append((tokens, distribution.log_prob(tokens), distribution.entropy()))
        tokens, logp, entropy = (torch.cat(each, dim=1) for each in zip(*chosen, strict=True))
        return ActionSample(tokens, logp, entropy, value)
