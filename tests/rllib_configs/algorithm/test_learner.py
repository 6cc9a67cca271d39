"""The learner: what an update does to the policy, however it is cut into parts."""

import io
import sys

import numpy as np
import pytest
import torch
from gymnasium.error import DependencyNotInstalled
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from policies.behavior_cloning import NONFINITE_STEPS_IN_A_ROW
from rllib_configs.algorithm.batching import GroupTrainingData, Timesteps
from rllib_configs.algorithm.sampled_group import (
    ACTION_TOKENS,
    GROUP_ADVANTAGE,
    REF_LOGP,
    TOKEN_LOGP,
    TOKEN_MASK,
    column,
)
from tests.rllib_configs.setups import module_spec, reach_config, reach_runner, starts
from vla_envs.errors import NonFiniteError
from vla_envs.spec import TEMPERATURE

TEMPERATURES = [0.5, 0.7, 0.9, 1.3]
LEVELS = pytest.mark.parametrize("ratio_level", ["token", "trajectory"])
ESTIMATORS = pytest.mark.parametrize("estimator", ["grpo", "gae"])


@pytest.fixture(scope="module")
def runner():
    """Keeps every trajectory, because of its estimator."""
    return reach_runner(adv_estimator="gae")


@pytest.fixture
def make_learner(runner):
    """Makes learners of the runner's weights."""

    def make(ratio_level="token", micro_batch_size=None, reference=False, **training):
        config = reach_config(
            **{"lr": 1e-3, "minibatch_size": None, "gamma": 0.99, "lambda_": 1.0, "vf_loss_coeff": 1.0, **training}
        )
        config.training(ratio_level=ratio_level, micro_batch_size=micro_batch_size)
        config.rl_module(rl_module_spec=module_spec(reference=reference))
        learner = config.build_learner(env=runner.env)
        learner.policy_module.set_state(runner.module.get_state())
        return learner

    return make


@pytest.fixture
def episodes(runner):
    """Two groups of four at mixed temperatures, the first half of each better than the other."""
    groups, _ = runner.sample_groups(starts(2, seed=0), TEMPERATURES)
    return with_advantages([episode for group in groups for episode in group.episodes], [1.0, 1.0, -1.0, -1.0] * 2)


def with_advantages(episodes, advantages):
    for episode, advantage in zip(episodes, advantages, strict=True):
        numbers = np.full(len(episode), advantage, np.float32)
        episode.extra_model_outputs[GROUP_ADVANTAGE] = InfiniteLookbackBuffer(data=numbers, lookback=0)
    return episodes


def with_reference(episodes):
    """As sampled by a policy that was its own reference."""
    for episode in episodes:
        episode.extra_model_outputs[REF_LOGP] = episode.extra_model_outputs[TOKEN_LOGP]
    return episodes


def update(learner, episodes, **arguments):
    return update_on(learner, GroupTrainingData.of(episodes), **arguments)


def update_on(learner, data, timesteps=0, **arguments):
    results = learner.update(training_data=data, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: timesteps}, **arguments)
    return {key: each.peek() for key, each in results[DEFAULT_MODULE_ID].items()}


def displace(learner, scale=0.02):
    """Move every trained parameter a little."""
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in learner.get_parameters(learner.policy_module):
            parameter += scale * torch.randn(parameter.shape, generator=noise)


def gain(learner, episode):
    """How much the mean log-probability of the executed tokens has risen since the rollout."""
    observations = {key: torch.from_numpy(each) for key, each in episode.get_observations(slice(0, -1)).items()}
    tokens, temperature = (torch.from_numpy(column(episode, key)) for key in (ACTION_TOKENS, TEMPERATURE))
    now = learner.policy_module.policy.evaluate_actions(observations, tokens, temperature)[1].detach().numpy()
    return (now - column(episode, TOKEN_LOGP))[column(episode, TOKEN_MASK)].mean()


def gains(learner, episodes):
    return np.array([gain(learner, episode) for episode in episodes])


def assert_same_parameters(learner, other, tolerance=0.0):
    expected = other.policy_module.get_state()
    for name, value in learner.policy_module.get_state().items():
        np.testing.assert_allclose(value, expected[name], rtol=0.0, atol=tolerance, err_msg=name)


def moved(learner, runner):
    """The largest change of each parameter since the rollout."""
    before = runner.module.get_state()
    return {name: np.abs(value - before[name]).max() for name, value in learner.policy_module.get_state().items()}


@LEVELS
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_update_moves_tokens_by_the_sign_of_their_advantage(make_learner, episodes, ratio_level, sign):
    """What was better than its siblings becomes more probable, what was worse less."""
    learner = make_learner(ratio_level)
    update(learner, with_advantages(episodes, [sign] * 8))
    assert sign * gains(learner, episodes).mean() > 1e-4


@LEVELS
def test_good_and_bad_trajectories_of_one_batch_part(make_learner, episodes, ratio_level):
    """Good ones rise against bad ones."""
    learner = make_learner(ratio_level)
    for _ in range(5):
        update(learner, episodes)
    good, bad = gains(learner, episodes).reshape(2, 2, 2).transpose(1, 0, 2)
    assert good.mean() > 0 > bad.mean()


@LEVELS
def test_the_first_minibatch_finds_a_ratio_of_one(make_learner, episodes, ratio_level):
    """Rollout and update compute the same log-probabilities, at each temperature, in batches of another size."""
    results = update(make_learner(ratio_level, minibatch_size=16), episodes)
    assert results["first_ratio_error"] < 1e-5


@LEVELS
def test_later_updates_leave_the_rollout(make_learner, episodes, ratio_level):
    """The error above can differ from zero."""
    learner = make_learner(ratio_level)
    update(learner, episodes)
    assert update(learner, episodes)["first_ratio_error"] > 1e-3


def test_before_the_first_step_nothing_is_clipped(make_learner, episodes):
    """And the policy is the one that acted."""
    results = update(make_learner(), episodes)
    assert results["clip_fraction"] == 0.0
    assert abs(results["approx_kl"]) < 1e-6


@ESTIMATORS
@LEVELS
def test_the_size_of_a_micro_batch_changes_nothing(make_learner, episodes, ratio_level, estimator):
    """Not the policy after several minibatches, not what is reported of them."""
    options = {"adv_estimator": estimator, "minibatch_size": 16, "entropy_coeff": 0.01}
    whole, parts = (make_learner(ratio_level, size, **options) for size in (None, 3))
    for learner in (whole, parts):
        # Adam divides by the size of a gradient, and would make steps of the rounding of gradients that are zero.
        learner.get_optimizer().param_groups[0]["eps"] = 1e-3
    results, results_of_parts = update(whole, episodes), update(parts, episodes)
    assert_same_parameters(parts, whole, tolerance=1e-6)
    for key in ("policy_loss", "entropy", "approx_kl", "clip_fraction"):
        assert results_of_parts[key] == pytest.approx(results[key], abs=1e-6)


def steps_of(learner):
    """Gradient steps that the optimizer has taken."""
    return {int(each["step"]) for each in learner.get_optimizer().state_dict()["state"].values()}


def test_every_minibatch_is_a_gradient_step(make_learner, episodes):
    """In every pass."""
    learner = make_learner(minibatch_size=16, num_epochs=3, micro_batch_size=4)
    update(learner, episodes)
    number = round(sum(map(len, episodes)) / 16)
    assert number > 1
    assert steps_of(learner) == {3 * number}


def test_the_seed_gives_the_order_of_the_timesteps(make_learner, episodes):
    """The same one gives the same policy bit for bit, another a different one."""
    first, again, other = (make_learner(minibatch_size=8) for _ in range(3))
    for learner, seed in ((first, [1]), (again, [1]), (other, [2])):
        update(learner, episodes, seed=seed)
    assert_same_parameters(again, first)
    with pytest.raises(AssertionError):
        assert_same_parameters(other, first)


def test_rllibs_schedules_are_followed(make_learner, episodes):
    """By the number of timesteps that were ever sampled, before and after the change."""
    learner = make_learner(lr=[[0, 1e-3], [100, 1e-5]], entropy_coeff=[[0, 0.5], [100, 0.0]])
    seen = []
    for timesteps in (0, 50, 200):
        update(learner, episodes, timesteps=timesteps)
        (rate,) = {group["lr"] for group in learner.get_optimizer().param_groups}
        seen.append((rate, float(learner.entropy_coeff.get_current_value())))
    np.testing.assert_allclose(seen, [(1e-3, 0.5), (5.05e-4, 0.25), (1e-5, 0.0)], rtol=1e-5)


def test_an_update_at_a_share_of_the_learning_rate_steps_as_far_as_at_that_rate(make_learner, episodes):
    """Which is what it reports, and the next one takes the whole rate again."""
    shared, small = make_learner(lr=1e-3), make_learner(lr=2.5e-4)
    assert update(shared, episodes, lr_share=0.25)["default_optimizer_learning_rate"] == pytest.approx(2.5e-4)
    update(small, episodes)
    assert_same_parameters(shared, small)
    assert update(shared, episodes)["default_optimizer_learning_rate"] == pytest.approx(1e-3)


def test_without_a_critic_the_values_stay(make_learner, episodes, runner):
    """All else moves."""
    learner = make_learner()
    update(learner, episodes)
    changes = moved(learner, runner)
    assert all(change == 0.0 for name, change in changes.items() if "value_head" in name)
    assert any(changes.values())


def test_the_critic_improves_on_its_trajectories(make_learner, episodes):
    """A few updates on the same returns lower its error."""
    learner = make_learner(adv_estimator="gae")
    for episode in episodes:
        episode.rewards.data[-1], episode.is_terminated, episode.is_truncated = 1.0, True, False
    losses = [update(learner, episodes)["vf_loss"] for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def targets_of(learner, episodes):
    """The critic's targets, and its estimates, of all observations of each trajectory."""
    timesteps = Timesteps(episodes)
    learner._add_advantages(timesteps)
    seen = [{key: torch.from_numpy(each) for key, each in episode.get_observations().items()} for episode in episodes]
    values = [learner.policy_module.policy.get_value(each).detach().numpy() for each in seen]
    return [columns[Columns.VALUE_TARGETS] for columns in timesteps.columns], values


def test_truncation_bootstraps_and_termination_does_not(make_learner, episodes):
    """After the step limit comes what the critic says of the last observation, after a success nothing."""
    learner = make_learner(adv_estimator="gae", gamma=0.9, lambda_=1.0)
    late = next(episode for episode in episodes if episode.is_truncated)
    late.is_terminated = True  # a success on the last step that the limit allows is both
    targets, values = targets_of(learner, episodes)
    ends = {(episode.is_terminated, episode.is_truncated) for episode in episodes}
    assert ends == {(True, False), (False, True), (True, True)}
    for episode, target, value in zip(episodes, targets, values, strict=True):
        following = 0.0 if episode.is_terminated else 0.9 * value[-1]
        assert abs(value[-1]) > 1e-3
        assert target[-1] == pytest.approx(episode.get_rewards()[-1] + following, rel=1e-5)


def test_advantages_of_a_critic_have_mean_zero_and_deviation_one(make_learner, episodes):
    """Over all trajectories of the update."""
    timesteps = Timesteps(episodes)
    make_learner(adv_estimator="gae")._add_advantages(timesteps)
    advantages = np.concatenate([columns[Columns.ADVANTAGES] for columns in timesteps.columns])
    assert advantages.mean() == pytest.approx(0.0, abs=1e-6)
    assert advantages.std() == pytest.approx(1.0, rel=1e-5)


def test_the_kl_in_the_loss_brings_the_policy_back(make_learner, episodes):
    """Towards the reference, with no advantage to follow."""
    learner = make_learner(reference=True)
    displace(learner)
    episodes = with_reference(with_advantages(episodes, [0.0] * 8))
    kl = [update(learner, episodes, kl_coeff=1.0)["reference_kl"] for _ in range(10)]
    assert kl[-1] < 0.5 * kl[0]


def as_file(state):
    """A state as it is read from a file that may hold nothing but tensors and plain values."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@ESTIMATORS
def test_a_run_goes_on_from_its_state_bit_for_bit(make_learner, episodes, estimator):
    """The optimizer's moments with the parameters, through a file, whatever the new learner has learned before."""
    options = {"adv_estimator": estimator, "minibatch_size": 16}
    learner, resumed = make_learner(**options), make_learner(**options)
    update(learner, episodes, seed=[1])
    state = as_file(learner.training_state())
    update(resumed, episodes, seed=[5])
    resumed.load_training_state(state)
    for each in (learner, resumed):
        update(each, episodes, seed=[2])
    assert_same_parameters(resumed, learner)


def test_a_state_is_not_changed_by_what_follows(make_learner, episodes):
    """It can be loaded twice, and be written while training goes on."""
    learner, first, second = (make_learner() for _ in range(3))
    update(learner, episodes)
    state = learner.training_state()
    update(learner, episodes)
    for each in (first, second):
        each.load_training_state(state)
        update(each, episodes)
    assert_same_parameters(first, learner)
    assert_same_parameters(second, learner)


def test_eight_bits_of_adam_update_nearly_alike(make_learner, episodes):
    """Large parameters keep a byte of each moment; what a state holds goes on exactly."""
    pytest.importorskip("bitsandbytes")
    exact, rounded, resumed = make_learner(), make_learner(optimizer="adam8bit"), make_learner(optimizer="adam8bit")
    before = torch.cat([each.detach().flatten() for each in exact.policy_module.parameters()])
    for learner in (exact, rounded):
        update(learner, episodes, seed=[1])
    moved, other = (
        torch.cat([each.detach().flatten() for each in learner.policy_module.parameters()]) - before
        for learner in (exact, rounded)
    )
    assert torch.nn.functional.cosine_similarity(moved, other, dim=0) > 0.9
    assert torch.uint8 in {each["state1"].dtype for each in rounded.get_optimizer().state.values()}
    resumed.load_training_state(as_file(rounded.training_state()))
    for each in (rounded, resumed):
        update(each, episodes, seed=[2])
    assert_same_parameters(resumed, rounded)


def test_eight_bits_need_their_library(make_learner, monkeypatch):
    """The error says how to get it."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(DependencyNotInstalled, match=r"pip install 'vla-envs\[adam8bit\]'"):
        make_learner(optimizer="adam8bit")


def test_what_is_frozen_has_no_place_in_the_optimizer(make_learner, episodes):
    """Nor in a checkpoint; and no update changes it."""
    learner = make_learner(reference=True)
    before = [each.clone() for each in learner.policy_module.reference.parameters()]
    optimized = {id(each) for group in learner.get_optimizer().param_groups for each in group["params"]}
    assert optimized == {id(each) for each in learner.policy_module.policy.parameters()}
    assert not any(name.startswith("reference") for name in learner.training_state()["module"])
    update(learner, with_reference(episodes))
    assert all(map(torch.equal, learner.policy_module.reference.parameters(), before))


def test_dropout_is_off(make_learner, episodes):
    """Otherwise the policy that learns would not be the one that acted, nor its critic."""
    learner = make_learner()
    assert not any(module.training for module in learner.policy_module.modules())
    update(learner, episodes)
    assert not any(module.training for module in learner.policy_module.modules())


def test_how_far_behind_the_acting_weights_were_is_reported(make_learner, episodes):
    """Nothing at first; the same trajectories again are one update old."""
    learner = make_learner()
    assert [update(learner, episodes)["weights_behind"] for _ in range(3)] == [0.0, 1.0, 2.0]


@LEVELS
def test_a_learner_without_a_trajectory_waits_for_the_others(make_learner, episodes, runner, ratio_level):
    """Two groups for three learners; it does not move on its own."""
    *_, empty = (shard for shard, _ in GroupTrainingData.of(episodes).shard(3))
    assert empty.episodes == []
    learner = make_learner(ratio_level, minibatch_size=16)
    update_on(learner, empty)
    assert not any(moved(learner, runner).values())


def test_rllibs_loss_of_a_whole_batch_is_refused(make_learner):
    """It would be no share of a minibatch's."""
    with pytest.raises(NotImplementedError, match="ppo_loss"):
        make_learner().compute_loss_for_module(module_id=DEFAULT_MODULE_ID, config=None, batch={}, fwd_out={})


BAD = pytest.mark.parametrize("bad", [np.nan, np.inf])


def spoiled(episodes, bad, number=1):
    """With such an advantage in the first of them: the gradients of whole minibatches are no numbers."""
    return with_advantages(episodes, [bad] * number + [1.0] * (len(episodes) - number))


@BAD
@pytest.mark.parametrize("optimizer", ["adam", "adam8bit"])
def test_a_step_that_is_not_finite_is_not_taken(make_learner, episodes, bad, optimizer):
    """Weights and moments stay bit for bit; the step is counted, and what was measured of it stays NaN."""
    if optimizer == "adam8bit":
        pytest.importorskip("bitsandbytes")
    learner, expected = (make_learner(optimizer=optimizer) for _ in range(2))
    for each in (learner, expected):
        update(each, episodes)
    results = update(learner, spoiled(episodes, bad))
    assert (results["nonfinite_steps"], results["num_nonfinite_steps_in_a_row"]) == (1, 1)
    assert not np.isfinite(results["policy_loss"])
    assert np.isnan(results["gradients_default_optimizer_global_norm"])
    assert_same_parameters(learner, expected)
    for state, other in zip(
        learner.get_optimizer().state.values(), expected.get_optimizer().state.values(), strict=True
    ):
        assert all(torch.equal(torch.as_tensor(each), torch.as_tensor(other[key])) for key, each in state.items())


def test_steps_in_a_row_end_the_update(make_learner, episodes):
    """What follows would be in vain; a step that is taken begins anew."""
    learner = make_learner(num_epochs=NONFINITE_STEPS_IN_A_ROW + 2)
    results = update(learner, spoiled(episodes, np.nan))
    assert results["nonfinite_steps"] == results["num_nonfinite_steps_in_a_row"] == NONFINITE_STEPS_IN_A_ROW
    results = update(learner, with_advantages(episodes, [1.0, -1.0] * 4))
    assert results["nonfinite_steps"] == results["num_nonfinite_steps_in_a_row"] == 0
    assert np.isfinite([results[name] for name in ("policy_loss", "first_ratio_error", "entropy")]).all()


def test_finite_weights_that_compute_nothing_count_too(make_learner, episodes):
    """A step of finite numbers can lead there; what it leaves must not pass for sound."""
    results = update(make_learner(lr=1e25), episodes)
    assert (results["nonfinite_steps"], results["num_nonfinite_steps_in_a_row"]) == (0, 1)


def test_the_largest_ratio_error_keeps_nan(make_learner, episodes):
    """Whichever micro-batch it is in."""
    episodes[3].extra_model_outputs[TOKEN_LOGP].data[0] = np.nan
    assert np.isnan(update(make_learner(micro_batch_size=4), episodes)["first_ratio_error"])


def test_the_total_of_the_loss_is_reported(make_learner, episodes):
    """It is what the weighted terms add up to."""
    results = update(make_learner(adv_estimator="gae", entropy_coeff=0.5, vf_loss_coeff=0.25), episodes)
    expected = results["policy_loss"] - 0.5 * results["entropy"] + 0.25 * results["vf_loss"]
    assert results["total_loss"] == pytest.approx(expected, rel=1e-5)


def test_weights_that_are_not_finite_are_not_taken_over(make_learner):
    """From nobody, and none of them."""
    learner = make_learner()
    before = learner.policy_module.get_state()
    last = list(before)[-1]
    with pytest.raises(NonFiniteError, match=last):
        learner.policy_module.set_state({name: each + (np.nan if name == last else 1) for name, each in before.items()})
    for name, value in learner.policy_module.get_state().items():
        np.testing.assert_array_equal(value, before[name])


class TestTargetKL:
    def test_an_update_ends_where_the_policy_is_too_far_from_what_has_sampled(self, make_learner, episodes):
        """The step that would lead on from there is not taken."""
        free, bounded = make_learner(num_epochs=20, lr=0.01), make_learner(num_epochs=20, lr=0.01, target_kl=1e-3)
        assert update(free, episodes)["gradient_steps"] == 20
        taken = int(update(bounded, episodes)["gradient_steps"])
        assert 1 <= taken < 20
        same = make_learner(num_epochs=taken, lr=0.01)
        update(same, episodes)
        assert_same_parameters(bounded, same)

    def test_none_is_taken_from_a_policy_that_is_too_far_already(self, make_learner, episodes):
        learner, moved = make_learner(target_kl=1e-6), make_learner()
        displace(learner)
        displace(moved)
        assert update(learner, episodes)["gradient_steps"] == 0
        assert_same_parameters(learner, moved)

    @pytest.mark.parametrize("micro_batch_size", [None, 3])
    def test_it_is_that_of_the_whole_minibatch(self, make_learner, episodes, micro_batch_size):
        """Not that of a part of it."""
        learner = make_learner(target_kl=1.0, micro_batch_size=micro_batch_size)
        displace(learner)
        kl = update(learner, episodes)["approx_kl"]
        for target, steps in ((kl * 0.99, 0), (kl * 1.01, 1)):
            other = make_learner(target_kl=float(target), micro_batch_size=micro_batch_size)
            displace(other)
            assert update(other, episodes)["gradient_steps"] == steps


class TestCriticAlone:
    def test_the_policy_stays_and_the_critic_learns(self, make_learner, episodes):
        """Also what both share stays, by which the policy would change."""
        learner, before = make_learner(adv_estimator="gae", num_epochs=3), make_learner()
        losses = [update(learner, episodes, critic_alone=True)["vf_loss"] for _ in range(4)]
        assert losses[-1] < losses[0]
        own = {f"policy.value_head.{name}" for name, _ in learner.policy_module.policy.value_head.named_parameters()}
        old, new = before.policy_module.get_state(), learner.policy_module.get_state()
        assert {name for name in old if (old[name] != new[name]).any()} == own

    def test_the_optimizer_remembers_nothing_of_what_stays(self, make_learner, episodes):
        """Its moments would move the policy in later steps."""
        learner = make_learner(adv_estimator="gae")
        update(learner, episodes, critic_alone=True)
        critic = {id(each) for each in learner.policy_module.policy.value_head.parameters()}
        assert {id(each) for each in learner.get_optimizer().state} == critic


def test_an_estimate_moves_no_further_than_its_range(make_learner, episodes):
    """Every estimate has gained what it may: the loss has no gradient left."""
    observations = {key: torch.from_numpy(each) for key, each in episodes[0].get_observations(slice(0, -1)).items()}
    changes = {}
    for value_range in (None, 1e-3):
        learner = make_learner(adv_estimator="gae", num_epochs=30, vf_clip_range=value_range)
        before = learner.policy_module.policy.get_value(observations)
        update(learner, episodes, critic_alone=True)
        changes[value_range] = float((learner.policy_module.policy.get_value(observations) - before).abs().mean())
    assert 0.0 < changes[1e-3] < 0.5 * changes[None]
