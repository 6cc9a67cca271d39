"""The loop that runs every environment of a group environment to its own end."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import ReachEnv, towards_targets
from vla_envs.errors import InvalidActionError, NonFiniteError
from vla_envs.group import GroupStart, GroupVectorEnv, rollout
from vla_envs.wrappers import ActionChunk

STARTS = [GroupStart(0, seed=1), GroupStart(1, seed=2)]


@pytest.fixture
def envs():
    """Two groups of four, of which every second environment can succeed early."""
    return GroupVectorEnv([ReachEnv] * 8, 4, "hold")


def run(envs, starts=STARTS):
    """All transitions, and the (observations, running) that were asked about."""
    asked = []

    def act(observations, running):
        asked.append((observations, running))
        return towards_targets(envs)[running], 10 * running

    return list(rollout(envs, starts, act)), asked


def test_every_environment_ends_once(envs):
    """At the end of its own trajectory, some before others."""
    transitions, _ = run(envs)
    ends = sum(each.terminated.astype(int) + (each.truncated & ~each.terminated) for each in transitions)
    assert ends.tolist() == [1] * 8
    lengths = np.bincount(np.concatenate([each.running for each in transitions[1:]]))
    assert lengths.min() < lengths.max() == 12


def test_the_first_transition_is_that_of_the_reset(envs):
    """All that were started run, and nothing was done yet."""
    first, second, *_ = run(envs)[0]
    assert first.running.tolist() == second.running.tolist() == list(range(8))
    assert first.actions is first.outputs is None
    assert not first.rewards.any()
    assert not (first.terminated | first.truncated).any()
    assert first.infos["group_id"].tolist() == [0] * 4 + [1] * 4


def test_environments_that_have_ended_are_not_asked_about(envs):
    """The policy sees a row for each running environment, in their order and no more."""
    transitions, asked = run(envs)
    for before, after, (observations, running) in zip(transitions, transitions[1:], asked, strict=False):
        assert after.running.tolist() == running.tolist()
        np.testing.assert_array_equal(observations["image"], before.observations["image"][running])
        assert observations["instruction"] == tuple(before.observations["instruction"][env] for env in running)
    assert len(asked) == len(transitions) - 1
    assert min(len(running) for _, running in asked) < 8


def test_environments_that_have_ended_cost_no_simulation(envs):
    """Each simulates its own trajectory and no more."""
    transitions, _ = run(envs)
    lengths = np.bincount(np.concatenate([each.running for each in transitions[1:]]))
    assert [env.steps_simulated for env in envs.sub_envs.envs] == lengths.tolist()


def test_what_is_given_beside_the_actions_comes_with_their_step(envs):
    """One row for each running environment; the actions themselves are those that were chosen."""
    for transition in run(envs)[0][1:]:
        np.testing.assert_array_equal(transition.outputs, 10 * transition.running)
        idle = np.setdiff1d(range(8), transition.running)
        assert not transition.actions[idle].any()


def test_groups_without_a_start_stay_idle(envs):
    """A round may be smaller than the environment."""
    transitions, _ = run(envs, STARTS[:1])
    assert {env for each in transitions for env in each.running} == {0, 1, 2, 3}


def test_actions_of_another_shape_are_refused():
    """NumPy would repeat one action to fill a chunk of four."""
    envs = gym.make_vec(
        "VLA-Tabletop-v0", 2, "vector_entry_point", group_size=2, mode="hold", wrap=lambda env: ActionChunk(env, 4)
    )

    def act(observations, running):
        return np.zeros((len(running), 1, 7), np.float32), None

    with pytest.raises(InvalidActionError, match=r"shape \(2, 4, 7\), actually: \(2, 1, 7\)"):
        list(rollout(envs, [GroupStart(0, seed=0)], act))


class SpoilingEnv(ReachEnv):
    """Shows a state, or pays a reward, that is no number on its second step."""

    def __init__(self, what, value, **kwargs):
        self.what, self.value = what, value
        super().__init__(**kwargs)

    def step(self, action):
        observation, reward, *rest, info = super().step(action)
        if info["elapsed_steps"] == 2:
            observation["state"][1] = self.value if self.what == "state" else 0.0
            reward = self.value if self.what == "reward" else reward
        return observation, reward, *rest, info


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["state", "reward"])
def test_what_is_not_finite_ends_the_rollout(what, value):
    """A policy would answer with its first bin, and nobody could learn from it; the error says where it happened."""
    envs = GroupVectorEnv([lambda: SpoilingEnv(what, value)] * 2, 2, "hold")

    def stand(observations, running):
        return np.zeros((len(running), 7), np.float32), None

    with pytest.raises(NonFiniteError, match=rf"finite `{what}` .*{value}.*at task reach.*, elapsed_steps 2\."):
        list(rollout(envs, STARTS[:1], stand))
