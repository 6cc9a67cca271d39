"""One whole trajectory per member of a group environment."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import RecordEpisodeStatistics

from policies.rl_module import ACTION_TOKENS, TOKEN_LOGP
from rllib_configs.algorithm.rollout import EXECUTED_ACTIONS, rollout
from tests.reach_env import ReachEnv, register
from tests.rllib_configs.setups import CHUNK_SIZE, TOKEN_LENGTH, make_module
from vla_envs.group import GroupVectorEnv, temperature_schedule
from vla_envs.spec import Prompt
from vla_envs.wrappers import ActionChunk, TokenizeInstruction


def make_envs(num_envs=8, group_size=4, **kwargs):
    temperatures = temperature_schedule(group_size, 0.6, 0.6)
    arguments = {"chunk_size": CHUNK_SIZE, "token_length": TOKEN_LENGTH, "temperatures": temperatures, **kwargs}
    return gym.make_vec(register(), num_envs, "vector_entry_point", group_size=group_size, mode="hold", **arguments)


class CountingModule:
    """Passes everything on to a real module, and counts the rows that it sees."""

    def __init__(self, module):
        self.module, self.rows = module, 0

    def parameters(self):
        return self.module.parameters()

    def forward_exploration(self, batch):
        self.rows += len(batch["obs"]["image"])
        return self.module.forward_exploration(batch)


@pytest.fixture(scope="module")
def module():
    return make_module()


@pytest.fixture(scope="module")
def episodes(module):
    """Two rounds of two groups, some of them successes."""
    torch.manual_seed(0)
    envs = make_envs()
    return [*rollout(module, envs, explore=True, seed=0), *rollout(module, envs, explore=True)]


def column(episode, key):
    return np.asarray(episode.get_extra_model_outputs(key))


def test_every_member_gives_one_finished_episode(episodes):
    """In member order, from its first observation to its last."""
    assert all(episode.is_done and episode.is_numpy for episode in episodes)
    assert [episode.get_infos(-1)["trajectory_index"] for episode in episodes] == [0, 1, 2, 3] * 4
    assert [episode.get_infos(0)["group_id"] for episode in episodes] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_successes_and_failures_are_both_there(episodes):
    """Otherwise the tests around this one would say little."""
    assert {episode.is_terminated for episode in episodes} == {True, False}
    assert len({len(episode) for episode in episodes}) > 1


def test_the_ratio_of_a_fresh_update_is_one(module, episodes):
    """Stored log-probabilities are those of the stored observations, temperature included."""
    for episode in episodes:
        observations = {key: torch.from_numpy(each) for key, each in episode.get_observations(slice(0, -1)).items()}
        tokens = torch.from_numpy(column(episode, ACTION_TOKENS))
        _, token_logp, _ = module.policy.evaluate_actions(observations, tokens)
        assert np.abs(token_logp.detach().numpy() - column(episode, TOKEN_LOGP)).max() < 1e-5


def test_without_the_temperature_the_ratio_is_not_one(module, episodes):
    """The check above sees when an update forgets it."""
    for episode in episodes:
        observations = {key: torch.from_numpy(each) for key, each in episode.get_observations(slice(0, -1)).items()}
        del observations["temperature"]
        tokens = torch.from_numpy(column(episode, ACTION_TOKENS))
        _, token_logp, _ = module.policy.evaluate_actions(observations, tokens)
        if episode.get_infos(0)["trajectory_index"] != 2:  # whose temperature is 1
            assert np.abs(token_logp.detach().numpy() - column(episode, TOKEN_LOGP)).max() > 1e-3


def test_actions_are_the_decoded_tokens(module, episodes):
    """What the environment executed is what an update judges."""
    for episode in episodes:
        decoded = module.policy.decode(torch.from_numpy(column(episode, ACTION_TOKENS)))
        np.testing.assert_array_equal(episode.get_actions(), decoded)


def test_executed_actions_add_up_to_the_control_steps(episodes):
    """Only the last chunk of an episode can be cut short, and some are."""
    for episode in episodes:
        executed = column(episode, EXECUTED_ACTIONS)
        assert executed.sum() == episode.get_infos(-1)["elapsed_steps"]
        assert (executed[:-1] == CHUNK_SIZE).all()
    assert 1 in {column(episode, EXECUTED_ACTIONS)[-1] for episode in episodes}


def test_members_that_have_ended_cost_no_forward_pass(module):
    """The module sees one row per decision and no more."""
    torch.manual_seed(0)
    counting = CountingModule(module)
    episodes = rollout(counting, make_envs(), explore=True, seed=0)
    decisions = sum(map(len, episodes))
    assert counting.rows == decisions < 8 * max(map(len, episodes))


def test_members_that_have_ended_cost_no_simulation(module):
    """Every environment simulates its own episode and no more."""
    torch.manual_seed(0)
    envs = make_envs()
    episodes = rollout(module, envs, explore=True, seed=0)
    simulated = [env.unwrapped.steps_simulated for env in envs.members.envs]
    assert simulated == [episode.get_infos(-1)["elapsed_steps"] for episode in episodes]
    assert min(simulated) < max(simulated)


def test_infos_may_be_nested(module):
    """As Gymnasium's episode statistics around a member are."""

    def make_member():
        return RecordEpisodeStatistics(TokenizeInstruction(ActionChunk(ReachEnv(), CHUNK_SIZE), TOKEN_LENGTH))

    for episode in rollout(module, GroupVectorEnv([make_member] * 2, 2, "hold"), explore=True, seed=0):
        assert episode.get_infos(-1)["episode"]["l"] == len(episode)


def test_observations_are_those_of_the_member(episodes):
    """All members of a group start on the same image, and groups on images of their own."""
    first = [episode.get_observations(0)["image"] for episode in episodes[:8]]
    assert all((image == first[0]).all() for image in first[:4])
    assert all((image == first[4]).all() for image in first[4:])
    assert (first[0] != first[4]).any()


def test_without_exploration_siblings_do_the_same(module):
    """The most probable tokens do not depend on the temperature."""
    first, *others = rollout(module, make_envs(num_envs=4), explore=False, seed=0)
    assert all((first.get_actions() == other.get_actions()).all() for other in others)


def test_a_group_without_a_prompt_gives_no_episode(module):
    """An explicit list of prompts may run out."""
    envs = make_envs(prompts=[Prompt(0, 3)])
    assert len(rollout(module, envs, explore=True)) == 4
    assert rollout(module, envs, explore=True) == []
