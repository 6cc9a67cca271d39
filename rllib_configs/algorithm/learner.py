"""The learner of VLAPPO: a clipped token-level policy gradient, with or without a critic."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate, GeneralAdvantageEstimation
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import ENTROPY_KEY, POLICY_LOSS_KEY, VF_LOSS_KEY
from torch import Tensor

from policies.rl_module import TOKEN_ENTROPY, TOKEN_LOGP
from rllib_configs.algorithm.callbacks import GROUP_ADVANTAGE
from rllib_configs.algorithm.config import GAE
from rllib_configs.algorithm.rollout import EXECUTED_ACTIONS


class VLALearner(PPOTorchLearner):
    """PPO's clipped objective over tokens (arXiv 1707.06347), advantages from groups or from GAE."""

    def build(self) -> None:
        """Build, leaving out PPO's critic pass when groups give the advantages."""
        super().build()
        if not self._uses_critic:
            self._learner_connector.remove(AddOneTsToEpisodesAndTruncate)
            self._learner_connector.remove(GeneralAdvantageEstimation)

    @property
    def _uses_critic(self) -> bool:
        return self.config.adv_estimator == GAE

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """Mean over the executed tokens of the clipped objective, minus entropy, plus the value loss."""
        mask = _executed_tokens(batch, fwd_out[TOKEN_LOGP])
        advantages = batch[Columns.ADVANTAGES if self._uses_critic else GROUP_ADVANTAGE][:, None]
        log_ratio = fwd_out[TOKEN_LOGP] - batch[TOKEN_LOGP]
        ratio = log_ratio.exp()
        high = config.clip_param if config.clip_param_high is None else config.clip_param_high
        clipped = ratio.clamp(1.0 - config.clip_param, 1.0 + high)
        policy_loss = -_mean(torch.minimum(ratio * advantages, clipped * advantages), mask)
        entropy = _mean(fwd_out[TOKEN_ENTROPY], mask)
        loss = policy_loss - self.entropy_coeff_schedulers_per_module[module_id].get_current_value() * entropy
        metrics = {
            POLICY_LOSS_KEY: policy_loss,
            ENTROPY_KEY: entropy,
            "approx_kl": _mean(ratio - 1.0 - log_ratio, mask),
            "clip_fraction": _mean((ratio != clipped).float(), mask),
        }
        if self._uses_critic:
            rows = mask.amax(-1)
            error = (fwd_out[Columns.VF_PREDS] - batch[Columns.VALUE_TARGETS]) ** 2
            metrics[VF_LOSS_KEY] = _mean(error, rows)
            loss = loss + config.vf_loss_coeff * metrics[VF_LOSS_KEY]
        self.metrics.log_dict(metrics, key=module_id, window=1)
        return loss


def _executed_tokens(batch: dict[str, Any], token_logp: Tensor) -> Tensor:
    """float (B, slots): 1 where the token's action ran; what never ran has no part in the outcome."""
    slots = token_logp.shape[1]
    chunk_size = batch[Columns.ACTIONS].shape[1]
    action = torch.arange(slots, device=token_logp.device) // (slots // chunk_size)
    mask = (action[None] < batch[EXECUTED_ACTIONS][:, None]).float()
    if Columns.LOSS_MASK in batch:
        mask = mask * batch[Columns.LOSS_MASK].float()[:, None]
    return mask


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1.0)
