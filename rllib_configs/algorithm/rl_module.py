"""The RLModule that hosts any policy of this package on RLlib's new API stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from policies.interface import ActionSample, check_finite
from policies.registry import load_policy
from rllib_configs.algorithm.sampled_group import ACTION_TOKENS, NOISE, REF_LOGP, TOKEN_ENTROPY, TOKEN_LOGP
from vla_envs.spec import TEMPERATURE


class VLAModule(TorchRLModule, ValueFunctionAPI):
    """Hosts a :class:`~policies.interface.Policy`.

    ``model_config`` has ``policy``: the keywords of :func:`~policies.registry.load_policy`, and
    optionally ``reference``: True keeps a frozen copy of the policy as it was built, whatever state
    is set later, and adds its log-probabilities (``REF_LOGP``) to the columns of exploration.
    ``seed`` (0) fixes the weights of a fresh policy, so that every process builds the same, and the same reference.
    Batches hold ``TEMPERATURE`` (B, 1) and, to explore, ``NOISE`` beside the observations; without them a module
    samples at 1 by torch's generator, and no update follows, which asks for the column.
    Rollouts return decoded actions for the environment and, as columns of the episode, the tokens
    with their log-probabilities: logits, or means, are never stored.
    """

    def setup(self) -> None:
        """Build or load the policy, and its reference where one is asked for."""
        settings: Any = self.model_config
        with torch.random.fork_rng():
            torch.manual_seed(settings.get("seed", 0))
            self.policy = load_policy(**settings["policy"])
        self.reference = self.policy.frozen_copy() if settings.get("reference", False) else None

    @torch.no_grad()
    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        observations, temperature = batch[Columns.OBS], batch.get(TEMPERATURE)
        outputs = self._columns(
            self.policy.get_action_and_value(observations, temperature=temperature, noise=batch.get(NOISE))
        )
        if self.reference is not None:
            tokens = outputs[ACTION_TOKENS]
            outputs[REF_LOGP] = self.reference.get_action_and_value(
                observations, tokens, temperature=temperature
            ).token_logp
        return outputs

    @torch.no_grad()
    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return self._columns(
            self.policy.get_action_and_value(batch[Columns.OBS], temperature=batch.get(TEMPERATURE), greedy=True)
        )

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        sample = self.policy.get_action_and_value(
            batch[Columns.OBS], batch[ACTION_TOKENS], temperature=batch[TEMPERATURE]
        )
        return {
            TOKEN_LOGP: sample.token_logp,
            TOKEN_ENTROPY: sample.entropy,
            Columns.VF_PREDS: sample.value,
        }

    def train(self, mode: bool = True) -> VLAModule:
        """Stay in evaluation mode, in which RLlib samples: with dropout a fresh update would not have a ratio of 1."""
        return super().train(False)

    def compute_values(self, batch: dict[str, Any], embeddings: Any | None = None) -> Tensor:
        """The critic's estimate, float32 (B,)."""
        return self.policy.get_value(batch[Columns.OBS])

    def get_state(self, components: Any = None, *, inference_only: bool = False, **kwargs: Any) -> dict[str, Any]:
        """The trainable parameters as NumPy arrays: all that learners and runners exchange."""
        return {
            name: parameter.detach().float().cpu().numpy().copy()
            for name, parameter in self.named_parameters()
            if parameter.requires_grad
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Copy parameters by name; those that ``state`` does not name stay.

        Raises:
            NonFiniteError: a weight is NaN or infinite; all stay as they were.
        """
        own = dict(self.named_parameters())
        given = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
        check_finite(given.items(), "The policy stays as it was.")
        with torch.no_grad():
            for name, value in given.items():
                own[name].copy_(value)

    def _columns(self, sample: ActionSample) -> dict[str, Tensor]:
        return {
            Columns.ACTIONS: self.policy.decode(sample.tokens),
            Columns.ACTION_LOGP: sample.token_logp.sum(-1),
            ACTION_TOKENS: sample.tokens,
            TOKEN_LOGP: sample.token_logp,
        }
