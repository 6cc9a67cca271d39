"""VLAPPO as a whole, on a local Ray."""

import shutil
from typing import ClassVar, get_args

import numpy as np
import pytest
import torch
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module import MultiRLModule, RLModuleSpec

from policies.interface import Policy
from rllib_configs import VLAPPO, VLAPPOConfig
from rllib_configs.algorithm.rl_module import VLAModule
from rllib_configs.algorithm.sampled_group import column
from rllib_configs.algorithm.vlappo import LEAST_TEMPERATURE
from rllib_configs.config import PPO, TTRL
from tests.rllib_configs import unlucky
from tests.rllib_configs.setups import (
    HOT,
    SMALL,
    assert_same_weights,
    learner_weights,
    make_module,
    module_spec,
    reach_config,
    runner_weights,
    spread,
)
from vla_envs.errors import InvalidArgumentError, NonFiniteError, WorkerError
from vla_envs.group import Estimator, adapt_temperatures, temperature_schedule
from vla_envs.spec import TEMPERATURE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

ADV_ESTIMATORS = (*get_args(Estimator), "gae")
ALL_ALIKE = {"ttrl": {"base_temperature": 1e-6}}
"""Siblings that all do the most probable thing do equally well: nothing is left to learn from."""


@pytest.mark.parametrize("estimator", ADV_ESTIMATORS)
def test_an_iteration_runs_with_every_estimator(build, estimator):
    """Its result says how the sampled groups did and what the update did."""
    algorithm = build(spread(adv_estimator=estimator))
    before = learner_weights(algorithm)
    result = algorithm.train()
    learner = result["learners"][DEFAULT_MODULE_ID]
    assert 0.0 <= result["ttrl"]["success_rate"] <= result["ttrl"]["pass_at_n"] <= 1.0
    assert result["rollout"]["trajectories"] == result["env_runners"]["num_episodes"] == 32
    assert np.isfinite(learner["policy_loss"])
    assert ("vf_loss" in learner) == (estimator == "gae")
    after = learner_weights(algorithm)
    assert any((after[name] != before[name]).any() for name in before)


def test_every_trajectory_is_accounted_for(build):
    """Trained, without a gradient, or cut short by a fault."""
    rollout = build(spread()).train()["rollout"]
    parts = ("trained_trajectories", "untrained_trajectories", "invalid_trajectories")
    assert 0 < rollout["trained_trajectories"] < sum(rollout[part] for part in parts) == rollout["trajectories"]
    assert rollout["trained_trajectories"] == 4 * (rollout["groups"] - rollout["uninformative_groups"])


def test_one_process_has_one_copy_of_the_model(build):
    """The runner acts with the learner's own."""
    algorithm = build(spread())
    algorithm.train()
    assert algorithm.env_runner.module is algorithm.learner_group._learner.policy_module


class Events(RLlibCallback):
    """Keeps what was started from, and what has ended, in this process."""

    prompts: ClassVar[list[tuple[int, int]]] = []
    ended: ClassVar[list[str]] = []

    def on_episode_end(self, *, episode, env_runner, **kwargs):
        if env_runner.config.in_evaluation:
            info = episode.get_infos(0)
            self.prompts.append((info["task_id"], info["init_state_id"]))
        self.ended.append(episode.id_)


@pytest.mark.parametrize("episodes", [16, 6])
def test_an_evaluation_counts_as_many_prompts_as_episodes(build, episodes):
    """Of a greedy policy a start says the same each time; and the same prompts are evaluated again, of both tasks."""
    greedy = {"evaluation_interval": 1, "evaluation_config": {"explore": False}}
    algorithm = build(reach_config().evaluation(evaluation_duration=episodes, **greedy).callbacks(Events))
    seen = []
    for _ in range(2):
        Events.prompts.clear()
        assert algorithm.train()["evaluation"]["env_runners"]["num_episodes"] == episodes
        seen.append(list(Events.prompts))
        assert len(seen[-1]) == len(set(seen[-1])) == episodes
    assert seen[0] == seen[1]
    assert [task for task, _ in seen[0]].count(0) == episodes / 2


def test_an_episode_that_a_fault_cut_short_is_evaluated_again(build, faults):
    """And is not counted; where a prompt never gives one, the evaluation says so."""
    config = reach_config(env_config={"num_workers": 1}).environment(unlucky.ENV_ID)
    algorithm = build(config.evaluation(evaluation_interval=1, evaluation_duration=4))
    unlucky.add_faults(faults, 1)
    assert algorithm.evaluate()["env_runners"]["num_episodes"] == 4
    unlucky.add_faults(faults, 99)
    with pytest.raises(WorkerError, match="gave no valid episode in 3 attempts"):
        algorithm.evaluate()


def test_an_evaluation_needs_runners_of_its_own(build):
    """Those of training start groups, four times from each prompt."""
    with pytest.raises(InvalidArgumentError, match="an `evaluation_interval`"):
        build().evaluate()


def test_callbacks_are_told_of_every_episode(build):
    """As methods and as functions, of each that is sampled once."""
    Events.ended.clear()
    told = []
    functions = {
        "on_episode_end": lambda episode, **_: told.append(episode.id_),
        "on_sample_end": lambda samples, **_: told.append(len(samples)),
    }
    build(reach_config().callbacks(Events, **functions)).train()
    assert told == [*Events.ended, 8]
    assert len(set(Events.ended)) == 8


@pytest.mark.parametrize("learners", [0, 2])
def test_training_that_is_not_finite_ends(build, tmp_path, learners):
    """With the iteration and the terms; weights that are not finite either go to no checkpoint of RLlib's."""
    algorithm = build(spread(learners=learners, lr=1e30, num_epochs=8, entropy_coeff=0.01))
    message = r"ends in iteration 1, .* 3 gradient steps in a row .*\(policy_loss, entropy"
    with pytest.raises(NonFiniteError, match=message):
        algorithm.train()
    algorithm.learner_group.foreach_learner(spoil)
    with pytest.raises(NonFiniteError, match="No checkpoint is written"):
        algorithm.save_to_path(tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def spoil(learner):
    with torch.no_grad():
        next(learner.policy_module.policy.parameters()).fill_(torch.nan)


def test_uninformative_groups_are_replaced_by_others(build):
    """As many groups with a signal as an update asks for."""
    config = spread(dynamic_sampling=True, max_num_gen_batches=20, ttrl={"reward": "success"})
    rollout = build(config).train()["rollout"]
    assert rollout["uninformative_groups"] > 0
    assert rollout["groups"] - rollout["uninformative_groups"] == 8


def test_sampling_for_a_signal_is_bounded(build):
    """A policy whose siblings are all alike would be sampled for ever."""
    config = reach_config(**ALL_ALIKE, dynamic_sampling=True, max_num_gen_batches=3)
    rollout = build(config).train()["rollout"]
    assert rollout["groups"] == rollout["uninformative_groups"] == 3 * 2


def test_the_curriculum_learns_from_all_groups(build):
    """And prefers prompts that are sometimes solved."""
    algorithm = build(spread(2, ttrl={"prompts": "curriculum"}))
    result = algorithm.train()
    outcomes = np.array(algorithm.starts.state_dict()["sampler"]["outcomes"])
    assert 0.9 * 32 <= outcomes[:, 2:].sum() <= 32  # what is known of a prompt that came twice counts less
    assert 0 < outcomes[:, 2].sum() == pytest.approx(32 * result["ttrl"]["success_rate"], rel=0.1)


class Watcher(RLlibCallback):
    """Keeps the temperatures of what is sampled in this process."""

    temperatures: ClassVar[list[float]] = []

    def on_sample_end(self, *, samples, **kwargs):
        self.temperatures += [column(episode, TEMPERATURE)[-1, 0] for episode in samples]


@pytest.mark.parametrize(("target", "rises"), [(0.99, True), (0.0, False)])
def test_temperatures_follow_the_diversity_of_what_they_sample(build, target, rises):
    """They rise where trajectories are too much alike, and are those that the next groups are sampled at."""
    schedule = {"base_temperature": 0.6, "temperature_range": 0.3}
    Watcher.temperatures.clear()
    algorithm = build(reach_config(ttrl={**schedule, "target_diversity": target}).callbacks(Watcher))
    first = algorithm.temperatures
    assert first.tolist() == temperature_schedule(4, 0.6, 0.3).tolist()
    result = algorithm.train()
    second = algorithm.temperatures
    assert second.tolist() == adapt_temperatures(first, result["ttrl"]["diversity"], target).tolist()
    assert ((second > first) == rises).all()
    assert result["ttrl"]["mean_temperature"] == pytest.approx(second.mean())
    algorithm.train()
    assert Watcher.temperatures == [*first, *first, *second, *second]


def test_temperatures_decay_by_a_factor_an_iteration(build):
    """What samples is what is learned from, and of the first temperatures a share always stays."""
    Watcher.temperatures.clear()
    algorithm = build(reach_config(ttrl={"temperature_decay": 0.5}, adv_estimator="gae").callbacks(Watcher))
    first = algorithm.temperatures
    results = [algorithm.train() for _ in range(2)]
    second = 0.5 * first
    assert Watcher.temperatures == [*first, *first, *second, *second]
    assert results[0]["ttrl"]["mean_temperature"] == pytest.approx(second.mean())
    assert results[1]["learners"][DEFAULT_MODULE_ID]["first_ratio_error"] < 1e-5
    for _ in range(10):
        algorithm._adapt({})
    assert algorithm.temperatures.tolist() == (LEAST_TEMPERATURE * first).tolist()


def test_the_learning_rate_rises_in_the_first_updates(build):
    """By a third of it after every one of two."""
    algorithm = build(spread(lr=3e-4, lr_warmup_iterations=2))
    learned = [algorithm.train()["learners"][DEFAULT_MODULE_ID] for _ in range(4)]
    rates = [each["default_optimizer_learning_rate"] for each in learned]
    assert rates == pytest.approx([1e-4, 2e-4, 3e-4, 3e-4])


def test_the_learning_rate_falls_to_nothing(build):
    """Linearly, and stays there."""
    algorithm = build(spread(lr=3e-4, lr_decay_iterations=3))
    learned = [algorithm.train()["learners"][DEFAULT_MODULE_ID] for _ in range(4)]
    rates = [each["default_optimizer_learning_rate"] for each in learned]
    assert rates == pytest.approx([3e-4, 2e-4, 1e-4, 0.0])


def test_temperatures_without_a_target_stay(build):
    """As the schedule has them."""
    algorithm = build()
    algorithm.train()
    assert algorithm.temperatures.tolist() == algorithm.config.ttrl.temperatures().tolist()


@pytest.mark.parametrize("place", ["loss", "reward"])
def test_the_kl_from_the_reference_is_charged_and_its_weight_adapts(build, place):
    """It is zero at first, and the weight falls while it is below its target."""
    algorithm = build(spread(reference_kl=place, reference_kl_coeff=0.1, reference_kl_target=1e3))
    first, second = (algorithm.train()["ttrl"] for _ in range(2))
    assert abs(first["reference_kl"]) < 1e-6 < abs(second["reference_kl"])
    assert second["reference_kl_coeff"] == pytest.approx(0.1 * 0.98**2)


def test_a_heavy_kl_keeps_the_policy_near_the_reference(build):
    """The same updates without it lead further away."""
    distances = []
    for coeff in (0.0, 100.0):
        algorithm = build(spread(reference_kl="loss", reference_kl_coeff=coeff, num_epochs=8))
        distances.append([abs(algorithm.train()["ttrl"]["reference_kl"]) for _ in range(3)][-1])
    assert distances[1] < 0.3 * distances[0]


@pytest.mark.parametrize(("batches", "groups"), [(1, 2), (3, 4)])
def test_faults_cost_groups_and_not_the_run(build, faults, batches, groups):
    """Others take their place as far as the bound allows; an iteration without any updates nothing."""
    config = reach_config(env_config={"num_workers": 1}, max_num_gen_batches=batches)
    algorithm = build(config.environment(unlucky.ENV_ID))
    before = learner_weights(algorithm)
    unlucky.add_faults(faults, 1)
    rollout = algorithm.train()["rollout"]
    assert (rollout["groups"], rollout["faulty_groups"], rollout["invalid_trajectories"]) == (groups, 2, 8)
    if batches == 1:
        assert_same_weights(learner_weights(algorithm), before)
    assert algorithm.train()["rollout"]["invalid_trajectories"] == 0


def test_groups_that_are_all_alike_change_nothing(build):
    """RLlib's own update crashes without episodes; here the iteration ends and says why."""
    algorithm = build(**ALL_ALIKE)
    before = learner_weights(algorithm)
    result = algorithm.train()
    assert result["ttrl"]["frac_zero_std_groups"] == 1.0
    assert_same_weights(learner_weights(algorithm), before)


def test_rounds_are_sampled_until_there_are_groups_enough(build):
    """5 groups in rounds of 2 take 3 rounds, and none is sampled in vain."""
    result = build(groups_per_iteration=5).train()
    assert result["env_runners"]["num_episodes"] == 20


def test_the_policy_copy_is_the_learners_and_stays(build):
    """Later updates do not reach it."""
    algorithm = build(groups=4)
    policy = algorithm.policy_copy()
    assert isinstance(policy, Policy)
    before = {name: each.clone() for name, each in policy.state_dict().items()}
    algorithm.train()
    assert all(torch.equal(each, before[name]) for name, each in policy.state_dict().items())
    trained = dict(algorithm.policy_copy().named_parameters())
    for name, value in learner_weights(algorithm).items():
        np.testing.assert_array_equal(trained[name.removeprefix("policy.")].detach(), value)


@pytest.mark.parametrize(
    ("estimator", "schedule"), [("grpo", {"target_diversity": 0.3}), ("gae", {"temperature_decay": 0.7})]
)
def test_a_training_state_goes_on_bit_for_bit(build, tmp_path, estimator, schedule):
    """Through a file without code: weights, optimizer, next prompts, what the curriculum knows, temperatures."""
    changes = {"adv_estimator": estimator, "ttrl": {"prompts": "curriculum", **schedule}}
    algorithm, other = build(spread(**changes)), build(spread(seed=5, **changes))
    algorithm.train()
    torch.save(algorithm.training_state(), tmp_path / "training.pt")
    other.load_training_state(torch.load(tmp_path / "training.pt", weights_only=True))
    assert other.iteration == 1
    for _ in range(2):
        expected, result = algorithm.train(), other.train()
        assert result["ttrl"] == pytest.approx(expected["ttrl"], rel=0, abs=0, nan_ok=True)
        assert result["training_iteration"] == expected["training_iteration"]
        assert other.temperatures.tolist() == algorithm.temperatures.tolist()
        assert_same_weights(learner_weights(other), learner_weights(algorithm))


@pytest.mark.parametrize("runners", [0, 1])
def test_training_goes_on_from_rllibs_checkpoint(build, tmp_path, runners):
    """With the same weights in the learner and at once in the runners, with the next groups and the same reference.

    The directory of the first policy is gone.
    """
    make_module(seed=5).policy.save_pretrained(tmp_path / "first")
    config = spread(runners, ttrl={"target_diversity": 0.3}, reference_kl="loss", reference_kl_coeff=0.1)
    policy = {"kind": "tiny", "path": str(tmp_path / "first")}
    spec = RLModuleSpec(module_class=VLAModule, model_config={"policy": policy, "reference": True})
    algorithm = build(config.rl_module(rl_module_spec=spec))
    algorithm.train()
    expected = learner_weights(algorithm)
    checkpoint = algorithm.save_to_path(tmp_path / "checkpoint")
    shutil.rmtree(tmp_path / "first")
    modules = MultiRLModule.from_checkpoint(tmp_path / "checkpoint/learner_group/learner/rl_module")
    restored = VLAPPO.from_checkpoint(checkpoint)
    try:
        for weights in (
            modules[DEFAULT_MODULE_ID].get_state(),
            learner_weights(restored),
            *runner_weights(restored)[:1],
        ):
            assert_same_weights({name: weights[name] for name in expected}, expected)
        assert restored.starts.drawn == algorithm.starts.drawn == 8
        assert restored.temperatures.tolist() == algorithm.temperatures.tolist() == [2.0] * 4
        result = restored.train()
        assert result["training_iteration"] == 2
        assert result["ttrl"]["reference_kl"] == algorithm.train()["ttrl"]["reference_kl"] != 0.0
        again = restored.config.copy(copy_frozen=False)
    finally:
        restored.stop()
    if runners == 0:
        with pytest.raises(NonFiniteError, match="because of its weights"):  # which are in the checkpoint alone
            build(again).train()


def test_groups_of_one_with_a_critic_are_plain_ppo(build):
    """Single trajectories at temperature 1, paid by the environment."""
    ttrl = TTRL(n_votes_per_prompt=1, base_temperature=1.0, temperature_range=0.0, reward="env")
    experiment = SMALL.replace(ttrl=ttrl, ppo=PPO(adv_estimator="gae", groups_per_iteration=2))
    algorithm = build(experiment.to_rllib())
    result = algorithm.train()
    assert result["rollout"]["trajectories"] == result["rollout"]["trained_trajectories"] == 2
    assert np.isfinite(result["learners"][DEFAULT_MODULE_ID]["vf_loss"])
    assert algorithm.config.adv_estimator == "gae"
    assert algorithm.env_runner.env.unwrapped.temperatures.tolist() == [1.0]


def test_group_rl_learns(build):
    """From rare successes to almost certain ones, at a temperature that tries out every direction."""
    config = reach_config(groups=8, ttrl={**HOT, "n_votes_per_prompt": 8}, env_config={"num_init_states": 4})
    config.rl_module(rl_module_spec=module_spec(hidden=64))
    algorithm = build(config.training(lr=1e-3, num_epochs=4, minibatch_size=64))
    rates = [algorithm.train()["ttrl"]["success_rate"] for _ in range(30)]
    assert np.mean(rates[:2]) < 0.45
    assert np.mean(rates[-5:]) > 0.85


def contrasting(runners, tasks=(0, 1), groups=4, per_runner=2):
    """Tasks of the tabletop that start alike, two trajectories of each."""
    return VLAPPOConfig.from_experiment(
        SMALL.replace(
            environment=SMALL.environment.replace(task_id=tasks),
            ttrl=TTRL(n_votes_per_prompt=2, reward="contrast", prompts="every_task", **HOT),
            ppo=PPO(groups_per_iteration=groups, minibatch_size=64),
            resources=SMALL.resources.replace(num_env_runners=runners, groups_per_env_runner=per_runner),
        )
    )


def test_instructions_are_contrasted_whoever_samples_them(build):
    """All tasks of an initial state stay with one runner, and the next iteration goes on with another state."""
    sampled = []
    for runners in (0, 2):
        algorithm = build(contrasting(runners))
        groups = algorithm._sample_groups()
        sampled.append([(group.prompt, group.metrics) for group in groups])
        assert [group.prompt.task_id for group in groups] == [0, 1, 0, 1]
        assert all(
            a.prompt.init_state_id == b.prompt.init_state_id for a, b in zip(groups[::2], groups[1::2], strict=True)
        )
    assert sampled[0] == sampled[1]
    assert all(0.0 < metrics["reward"] < 1.0 for _, metrics in sampled[0])


def test_in_place_of_one_group_come_all_instructions_of_another_state(build, monkeypatch):
    """One task alone would be compared with nobody."""
    algorithm = build(contrasting(0, groups=2).training(max_num_gen_batches=3))
    counted = iter([False, True, True, True])  # as after a fault in the first group
    monkeypatch.setattr(algorithm, "_counts", lambda group: next(counted))
    assert [group.prompt.task_id for group in algorithm._sample_groups()] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": 0}, "two tasks or more .*actually one: 0"),
        ({"groups": 3}, "`ppo.groups_per_iteration` to be a multiple of 2.*actually: 3"),
        ({"per_runner": 1}, "`resources.groups_per_env_runner` to be a multiple of 2.*actually: 1"),
    ],
)
def test_numbers_of_groups_that_part_tasks_are_refused(changes, message):
    """Before anything is sampled."""
    with pytest.raises(InvalidArgumentError, match=message):
        contrasting(0, **changes).build_algo()
