"""Groups of trajectories of one prompt."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from tests.reach_env import ReachEnv, towards_targets
from vla_envs.errors import InvalidActionError, InvalidArgumentError
from vla_envs.group import GroupVectorEnv, temperature_schedule
from vla_envs.spec import Prompt
from vla_envs.wrappers import ActionChunk


def make(num_envs=6, group_size=3, env=ReachEnv, **kwargs):
    return GroupVectorEnv([env] * num_envs, group_size, **kwargs)


def test_environments_of_a_group_start_on_the_same_frame():
    """Same prompt, same pixels; other groups draw their own."""
    envs = make()
    observations, infos = envs.reset(seed=2)
    images = observations["image"]
    assert infos["group_id"].tolist() == [0, 0, 0, 1, 1, 1]
    assert infos["trajectory_index"].tolist() == [0, 1, 2, 0, 1, 2]
    assert (images[:3] == images[0]).all()
    assert (images[3:] == images[3]).all()
    assert (images[0] != images[3]).any()


def test_group_ids_are_never_used_again():
    """They tell groups of different resets apart."""
    envs = make()
    first = envs.reset(seed=0)[1]["group_id"]
    second = envs.reset()[1]["group_id"]
    assert not set(first) & set(second)


def test_a_seed_fixes_this_and_later_prompts():
    """Reset by reset."""
    drawn = []
    for _ in range(2):
        envs = make()
        infos = [envs.reset(seed=5)[1], envs.reset()[1], envs.reset()[1]]
        drawn.append([(info["task_id"].tolist(), info["init_state_id"].tolist()) for info in infos])
    assert drawn[0] == drawn[1]
    assert len({str(each) for each in drawn[0]}) == 3


def test_seeds_that_follow_each_other_draw_prompts_of_their_own():
    """Sampling processes get such seeds, and none may repeat what another one samples."""
    drawn = []
    for seed in (5, 6):
        envs = make(num_envs=8, group_size=1, env=lambda: ReachEnv(num_init_states=100_000))
        drawn.append(set(envs.reset(seed=seed)[1]["init_state_id"].tolist()))
    assert not drawn[0] & drawn[1]


def test_observations_carry_the_temperature_of_each_environment():
    """The schedule repeats over the groups."""
    temperatures = temperature_schedule(3)
    observations, _ = make(temperatures=temperatures).reset(seed=0)
    assert observations["temperature"].dtype == np.float32
    np.testing.assert_array_equal(observations["temperature"][:, 0], np.tile(temperatures, 2))


def test_observations_are_in_the_space():
    """Of the batch, temperature included."""
    envs = make()
    observations, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)


def test_an_environment_that_has_ended_idles_without_simulation():
    """It reports its end once, then nothing, and its environment is not stepped."""
    envs = make(mode="hold")
    envs.reset(seed=3)
    ends = np.zeros(envs.num_envs, int)
    while envs.active.any():
        _, rewards, terminated, truncated, infos = envs.step(towards_targets(envs))
        ends += terminated | truncated
        assert (rewards == terminated).all()
    assert (ends == 1).all()
    assert infos["success"].tolist() == [True, False] * 3
    assert [env.steps_simulated for env in envs.sub_envs.envs] == infos["elapsed_steps"].tolist()
    simulated = [env.steps_simulated for env in envs.sub_envs.envs]
    _, rewards, terminated, truncated, _ = envs.step(towards_targets(envs))
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert [env.steps_simulated for env in envs.sub_envs.envs] == simulated


def test_final_state_is_there_exactly_for_environments_that_ended():
    """Masked, as Gymnasium masks what only some infos have."""
    envs = make(mode="hold")
    _, infos = envs.reset(seed=3)
    assert "final_state" not in infos
    while envs.active.any():
        *_, infos = envs.step(towards_targets(envs))
        if "final_state" in infos:
            assert infos["_final_state"].tolist() == (~infos["active"]).tolist()
            assert [state is not None for state in infos["final_state"]] == infos["_final_state"].tolist()
    assert infos["_final_state"].all()


def test_explicit_prompts_are_walked_through_and_run_out():
    """Groups left without a prompt start inactive."""
    prompts = [Prompt(0, 4), Prompt(1, 7), Prompt(0, 2)]
    envs = make(num_envs=4, group_size=2, prompts=prompts)
    _, infos = envs.reset()
    assert infos["init_state_id"].tolist() == [4, 4, 7, 7]
    _, infos = envs.reset()
    assert infos["init_state_id"].tolist()[:2] == [2, 2]
    assert infos["active"].tolist() == [True, True, False, False]


def test_observations_are_fresh_copies():
    """A later step does not change an earlier observation."""
    envs = make()
    observations, _ = envs.reset(seed=0)
    kept = {key: np.copy(each) for key, each in observations.items() if key != "instruction"}
    envs.step(towards_targets(envs))
    for key, each in kept.items():
        np.testing.assert_array_equal(observations[key], each)


def test_an_environment_outside_the_contract_is_grouped_by_seed():
    """All environments of a group share the seed, and so the start."""
    envs = GroupVectorEnv([lambda: gym.make("CartPole-v1")] * 4, group_size=2)
    observations, _ = envs.reset(seed=0)
    assert (observations[0] == observations[1]).all()
    assert (observations[0] != observations[2]).any()


def test_make_vec_gives_groups():
    """Every id has the vector entry point, and warns of nothing."""
    envs = gym.make_vec(
        "VLA-Tabletop-v0",
        num_envs=4,
        vectorization_mode="vector_entry_point",
        group_size=2,
        image_size=32,
        wrap=partial(ActionChunk, chunk_size=8),
    )
    assert isinstance(envs, GroupVectorEnv)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert envs.single_action_space.shape == (8, 7)


@pytest.mark.parametrize(("num_envs", "group_size"), [(6, 4), (6, 0), (0, 1)])
def test_group_size_must_divide_the_environments(num_envs, group_size):
    """The error names both numbers."""
    with pytest.raises(InvalidArgumentError, match=f"{num_envs}.*actually: {group_size}"):
        make(num_envs, group_size)


@pytest.mark.parametrize("temperatures", [[0.6, 0.9], [0.6, 0.0, 0.9]])
def test_temperatures_must_be_positive_and_one_per_environment(temperatures):
    """The error names what was given."""
    with pytest.raises(InvalidArgumentError, match="3 positive numbers"):
        make(temperatures=temperatures)


def test_unknown_mode_names_the_valid_ones():
    """Only what is built."""
    with pytest.raises(InvalidArgumentError, match="'lockstep', 'hold'"):
        make(mode="free")


def test_one_action_per_environment_is_needed():
    """A missing one would leave an environment standing still."""
    envs = make()
    envs.reset(seed=0)
    with pytest.raises(InvalidActionError, match="6 environments, actually: 5"):
        envs.step(np.zeros((5, 7), np.float32))


def test_stepping_needs_a_reset():
    """There is no episode before."""
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        make().step(np.zeros((6, 7), np.float32))
