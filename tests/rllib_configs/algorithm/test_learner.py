"""The learner: which tokens move, in which direction, and how far."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate, GeneralAdvantageEstimation
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from policies.rl_module import ACTION_TOKENS, TOKEN_ENTROPY, TOKEN_LOGP
from rllib_configs.algorithm.callbacks import GROUP_ADVANTAGE
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.rollout import EXECUTED_ACTIONS
from tests.rllib_configs.setups import reach_config
from vla_envs.group import ESTIMATORS

ROWS, CHUNK, DIM = 5, 3, 2
SLOTS = CHUNK * DIM


def make_learner(runner=None, learning_rate=1e-3, entropy_coeff=0.0, **groups):
    config = reach_config(**groups)
    config.training(lr=learning_rate, entropy_coeff=entropy_coeff, minibatch_size=None)
    runner = runner or GroupEnvRunner(config=config)
    return config.build_learner(env=runner.env)


@pytest.fixture(scope="module")
def grpo():
    return make_learner(clip_param_high=0.4)


@pytest.fixture(scope="module")
def gae():
    return make_learner(adv_estimator="gae")


def make_batch(advantage=1.0, log_ratio=0.0, executed=(3, 3, 3, 3, 3)):
    """A made-up batch and forward pass; ``log_ratio`` is that of every token."""
    token_logp = torch.full((ROWS, SLOTS), -1.0, requires_grad=True)
    batch = {
        Columns.ACTIONS: torch.zeros(ROWS, CHUNK, DIM),
        EXECUTED_ACTIONS: torch.tensor(executed),
        TOKEN_LOGP: token_logp.detach() - log_ratio,
        GROUP_ADVANTAGE: torch.full((ROWS,), advantage),
        Columns.ADVANTAGES: torch.full((ROWS,), advantage),
        Columns.VALUE_TARGETS: torch.zeros(ROWS),
    }
    forward = {
        TOKEN_LOGP: token_logp,
        TOKEN_ENTROPY: torch.full((ROWS, SLOTS), 2.0, requires_grad=True),
        Columns.VF_PREDS: torch.arange(ROWS, dtype=torch.float32).requires_grad_(),
    }
    return batch, forward


def loss_of(learner, batch, forward):
    config = learner.config.get_config_for_module(DEFAULT_MODULE_ID)
    return learner.compute_loss_for_module(module_id=DEFAULT_MODULE_ID, config=config, batch=batch, fwd_out=forward)


def token_gradient(learner, batch, forward):
    return torch.autograd.grad(loss_of(learner, batch, forward), forward[TOKEN_LOGP])[0]


def test_tokens_of_actions_that_never_ran_get_no_gradient(grpo):
    """Where an episode ended in the middle of a chunk; the others share the mean."""
    executed = (3, 2, 1, 3, 0)
    gradient = token_gradient(grpo, *make_batch(executed=executed))
    ran = torch.arange(SLOTS) // DIM < torch.tensor(executed)[:, None]
    torch.testing.assert_close(gradient, -ran.float() / ran.sum())


@given(st.floats(-2, 2).filter(lambda advantage: abs(advantage) > 1e-3), st.floats(-1, 1))
def test_the_ratio_is_clipped_only_where_it_has_gone_far_enough(grpo, advantage, log_ratio):
    """Above 1.4 for what was good and below 0.8 for what was bad: then there is no gradient."""
    ratio = np.exp(log_ratio)
    if min(abs(ratio - 0.8), abs(ratio - 1.4)) < 1e-4:
        return
    gradient = token_gradient(grpo, *make_batch(advantage, log_ratio))
    far_enough = ratio > 1.4 if advantage > 0 else ratio < 0.8
    expected = 0.0 if far_enough else -advantage * ratio / (ROWS * SLOTS)
    torch.testing.assert_close(gradient, torch.full_like(gradient, expected), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("log_ratio", "clipped"), [(0.3, True), (0.15, False)])
def test_without_an_upper_clip_both_sides_are_alike(gae, log_ratio, clipped):
    """1.35 is above 1.2, and 1.16 is not."""
    gradient = token_gradient(gae, *make_batch(1.0, log_ratio))
    assert bool((gradient == 0).all()) == clipped


def test_entropy_is_rewarded_by_its_weight():
    """Over the executed tokens."""
    learner = make_learner(entropy_coeff=0.5)
    batch, forward = make_batch(executed=(3, 0, 0, 0, 0))
    gradient = torch.autograd.grad(loss_of(learner, batch, forward), forward[TOKEN_ENTROPY])[0]
    assert gradient[0].tolist() == pytest.approx([-0.5 / SLOTS] * SLOTS)
    assert not gradient[1:].any()


def test_the_critic_learns_its_targets(gae):
    """The mean squared error, at half weight or whatever the configuration says."""
    batch, forward = make_batch(advantage=0.0)
    batch[Columns.VALUE_TARGETS] = torch.ones(ROWS)
    errors = [1.0, 0.0, 1.0, 4.0, 9.0]
    assert loss_of(gae, batch, forward).item() == pytest.approx(gae.config.vf_loss_coeff * np.mean(errors))


def test_the_artificial_step_after_an_episode_has_no_loss(gae):
    """RLlib adds it for the value of the last observation."""
    batch, forward = make_batch()
    batch[Columns.LOSS_MASK] = torch.tensor([True, True, False, True, False])
    gradients = torch.autograd.grad(loss_of(gae, batch, forward), [forward[TOKEN_LOGP], forward[Columns.VF_PREDS]])
    for gradient in gradients:
        assert not gradient[[2, 4]].any()
        assert gradient[[1, 3]].all()


def test_without_a_critic_nothing_moves_the_values(grpo):
    """The loss does not contain them."""
    batch, forward = make_batch()
    values = forward[Columns.VF_PREDS]
    assert torch.autograd.grad(loss_of(grpo, batch, forward), values, allow_unused=True) == (None,)


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_group_estimators_have_no_critic_pass(estimator):
    """RLlib's connectors for it are gone."""
    kinds = {type(each) for each in make_learner(adv_estimator=estimator)._learner_connector.connectors}
    assert not kinds & {AddOneTsToEpisodesAndTruncate, GeneralAdvantageEstimation}


def test_gae_keeps_the_critic_pass(gae):
    """First one more step, then the advantages."""
    kinds = [type(each) for each in gae._learner_connector.connectors]
    assert kinds[0] is AddOneTsToEpisodesAndTruncate
    assert kinds[-1] is GeneralAdvantageEstimation


def sampled(runner, advantages):
    """Whole trajectories with advantages of our choice, and their token masks."""
    runner.config = reach_config(adv_estimator="gae")  # keeps every trajectory
    episodes = runner.sample()
    for episode, advantage in zip(episodes, advantages, strict=True):
        column = np.full(len(episode), advantage, np.float32)
        episode.extra_model_outputs[GROUP_ADVANTAGE] = InfiniteLookbackBuffer(data=column, lookback=0)
    return episodes


def gain(learner, episode):
    """How much the mean log-probability of the executed tokens has risen since the rollout."""
    observations = {key: torch.from_numpy(each) for key, each in episode.get_observations(slice(0, -1)).items()}
    tokens = torch.from_numpy(np.asarray(episode.get_extra_model_outputs(ACTION_TOKENS)))
    now = learner.module[DEFAULT_MODULE_ID].policy.evaluate_actions(observations, tokens)[1].detach().numpy()
    executed = np.asarray(episode.get_extra_model_outputs(EXECUTED_ACTIONS))
    mask = np.arange(tokens.shape[1]) // 7 < executed[:, None]
    return (now - np.asarray(episode.get_extra_model_outputs(TOKEN_LOGP)))[mask].mean()


def update(learner, episodes, **arguments):
    results = learner.update(episodes=episodes, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 0}, **arguments)
    return {key: each.peek() for key, each in results[DEFAULT_MODULE_ID].items()}


def runner_and_learner(**changes):
    """Both with the same weights, as the algorithm sees to it."""
    runner = GroupEnvRunner(config=reach_config(**changes))
    learner = make_learner(runner, **changes)
    runner.module.set_state(learner.module[DEFAULT_MODULE_ID].get_state())
    return runner, learner


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_update_moves_tokens_by_the_sign_of_their_advantage(sign):
    """What was better than its siblings becomes more probable, what was worse less."""
    runner, learner = runner_and_learner()
    episodes = sampled(runner, [sign] * 8)
    update(learner, episodes)
    assert sign * np.mean([gain(learner, episode) for episode in episodes]) > 1e-4


def test_trajectories_of_one_batch_part():
    """Good ones rise against bad ones."""
    runner, learner = runner_and_learner()
    advantages = [1.0, -1.0] * 4
    episodes = sampled(runner, advantages)
    for _ in range(5):
        update(learner, episodes)
    gains = np.array([gain(learner, episode) for episode in episodes])
    assert gains[::2].mean() > 0 > gains[1::2].mean()


def test_the_first_gradient_step_finds_a_ratio_of_one():
    """Rollout and update compute the same log-probabilities: nothing is clipped, and the KL is zero."""
    temperatures = [0.5, 0.7, 0.9, 1.3]
    runner, learner = runner_and_learner(env_config={"temperatures": temperatures})
    results = update(learner, sampled(runner, [1.0] * 8))
    assert results["clip_fraction"] == 0.0
    assert abs(results["approx_kl"]) < 1e-6


def test_later_gradient_steps_leave_the_rollout():
    """The metrics above can differ from zero."""
    runner, learner = runner_and_learner()
    episodes = sampled(runner, [1.0] * 8)
    assert update(learner, episodes)["approx_kl"] < 1e-6 < update(learner, episodes)["approx_kl"]


def test_the_critic_improves_on_its_trajectories():
    """A few updates on the same returns lower its error."""
    runner, learner = runner_and_learner(adv_estimator="gae")
    episodes = sampled(runner, [0.0] * 8)
    for episode in episodes:
        episode.rewards.data[-1] = 1.0
    losses = [update(learner, episodes)["vf_loss"] for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
