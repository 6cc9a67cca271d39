"""From scores to the loss, token by token, beside what verl's own functions answered.

``fixtures/verl_tokens.json`` names file and commit. They ran in float64 on 3 groups of 4 responses of 1 to 6 tokens,
without the dual clip that ours do not have.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import POLICY_LOSS_KEY

from rllib_configs.algorithm.loss import Coefficients, ppo_loss
from rllib_configs.algorithm.sampled_group import REF_LOGP, TOKEN_ENTROPY, TOKEN_LOGP, TOKEN_MASK, TOKEN_WEIGHT
from rllib_configs.algorithm.scoring import apply_kl_penalty, generalized_advantages, token_level_scores
from vla_envs.group import group_advantages

VERL = json.loads((Path(__file__).parent / "fixtures" / "verl_tokens.json").read_text())
LENGTHS = np.array(VERL["lengths"])
MASK = np.arange(6) < LENGTHS[:, None]
EXACT = {"rtol": 0, "atol": 1e-9}


def of(name):
    return np.array(VERL[name])


def test_a_score_stands_on_the_last_token_of_its_response():
    """However long it is."""
    np.testing.assert_array_equal(token_level_scores(VERL["scores"], MASK), of("token_level_scores"))


def test_every_token_is_charged_for_leaving_the_reference():
    """``compute_rewards``, which is called ``apply_kl_penalty`` where it is used."""
    penalties = np.where(MASK, VERL["kl_coeff"] * (of("old_logp") - of("ref_logp")), 0.0)
    rewards = apply_kl_penalty(token_level_scores(VERL["scores"], MASK), penalties)
    np.testing.assert_allclose(rewards, of("token_level_rewards"), **EXACT)


def test_the_advantages_of_groups_are_verls():
    """RLOO's as they are; GRPO's divided by the standard deviation of the sample, to which verl adds 1e-6."""
    rewards = of("token_level_rewards").sum(1).reshape(VERL["groups"], -1)
    rloo = np.where(MASK, group_advantages(rewards, "rloo").reshape(-1, 1), 0.0)
    np.testing.assert_allclose(rloo, of("rloo"), **EXACT)
    scale = rewards.std(1, keepdims=True) / (rewards.std(1, ddof=1, keepdims=True) + 1e-6)
    grpo = np.where(MASK, (scale * group_advantages(rewards)).reshape(-1, 1), 0.0)
    np.testing.assert_allclose(grpo, of("grpo"), **EXACT)


def test_the_advantages_of_a_critic_are_verls():
    """Before and after they are whitened over all tokens."""
    rewards, values = of("token_level_rewards"), of("values")
    rows = [
        generalized_advantages(rewards[i, :n], np.append(values[i, :n], 0.0), VERL["gamma"], VERL["lambda"])
        for i, n in enumerate(LENGTHS)
    ]
    advantages, targets = (np.concatenate(each) for each in zip(*rows, strict=True))
    np.testing.assert_allclose(targets, of("returns")[MASK], atol=1e-6)
    whitened = (advantages - advantages.mean()) / np.sqrt(advantages.var(ddof=1) + 1e-8)
    np.testing.assert_allclose(whitened, of("gae")[MASK], atol=1e-6)


@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean"])
def test_the_loss_is_verls(mode):
    """The clipped policy loss, and the KL from the reference as a term of its own."""
    batch = {
        TOKEN_MASK: torch.from_numpy(MASK),
        TOKEN_LOGP: torch.from_numpy(of("old_logp")),
        REF_LOGP: torch.from_numpy(of("ref_logp")),
        Columns.ADVANTAGES: torch.from_numpy(of("grpo")[:, 0]),
    }
    weight = float(MASK.sum())
    if mode == "seq-mean-token-mean":
        batch[TOKEN_WEIGHT], weight = torch.from_numpy(1.0 / LENGTHS), float(len(LENGTHS))
    forward = {TOKEN_LOGP: torch.from_numpy(of("logp")), TOKEN_ENTROPY: torch.zeros(MASK.shape)}
    terms = ppo_loss(batch, forward, Coefficients(VERL["clip_low"], VERL["clip_high"]), weight, len(MASK)).terms
    assert terms[POLICY_LOSS_KEY].item() == pytest.approx(VERL[f"policy_loss {mode}"], abs=1e-7)
    assert terms["reference_kl"].item() == pytest.approx(VERL[f"kl_loss {mode}"], abs=1e-7)
