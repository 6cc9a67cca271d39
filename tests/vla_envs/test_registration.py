"""Ids and what can be made from them."""

import pickle
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import TimeAwareObservation

from tests import reach_env
from tests.vla_envs.libero.conftest import libero_assets  # noqa: F401  (a fixture)
from vla_envs import registration
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import GroupVectorEnv, VoteConfig, final_state_cluster
from vla_envs.registration import ENVIRONMENTS, find_spec, register
from vla_envs.wrappers import ActionChunk, TokenizeInstruction

GROUP = {"group_size": 2, "wrap": partial(ActionChunk, chunk_size=4), "image_size": 16, "task_id": 0}


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_a_spec_survives_json_and_pickle(env_id):
    """So that recordings and worker processes can rebuild the environment."""
    spec = gym.spec(env_id)
    assert EnvSpec.from_json(spec.to_json()) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_an_environment_is_rebuilt_from_its_own_spec():
    """With its keywords."""
    env = gym.make("VLA-Tabletop-v0", task_id=3, image_size=32)
    rebuilt = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert rebuilt.observation_space == env.observation_space
    assert rebuilt.unwrapped.task_ids == (3,)


def test_numbers_of_numpy_and_paths_survive_json():
    """A recorder writes the spec of what it records, whatever the keywords came from."""
    env = gym.make("VLA-Tabletop-v0", task_id=np.int64(3), image_size=np.int32(32))
    rebuilt = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert rebuilt.unwrapped.task_ids == (3,)
    assert env.spec.kwargs == {"task_id": 3, "image_size": 32}
    assert registration._plain({"root": Path("a") / "b", "tasks": (np.int64(1), [np.float32(0.5)])}) == {
        "root": str(Path("a") / "b"),
        "tasks": (1, [0.5]),
    }


def test_a_vector_environment_is_made_from_an_id_with_its_module():
    """``module:id`` imports the package by itself, as a worker process needs it."""
    envs = gym.make_vec("vla_envs:VLA-Tabletop-v0", num_envs=2, group_size=2, image_size=16)
    assert envs.num_groups == 1


def make_vec(**changes):
    return gym.make_vec("VLA-Tabletop-v0", num_envs=2, vectorization_mode="vector_entry_point", **GROUP, **changes)


def test_groups_can_live_in_worker_processes():
    """What the entry point makes crosses to them, and they start where the environments of this process do."""
    with_workers, without = make_vec(num_workers=2, worker_timeout=120.0, worker_env=[{"A": "1"}]), make_vec()
    (seen, _), (expected, _) = with_workers.reset(seed=0), without.reset(seed=0)
    np.testing.assert_equal(seen, expected)
    with_workers.close()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_wrap_goes_around_every_environment_of_the_groups(num_workers):
    """Any function of an environment, also where it has to cross to worker processes."""
    length = 5
    envs = gym.make_vec(
        "VLA-Tabletop-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        group_size=2,
        wrap=lambda env: TokenizeInstruction(ActionChunk(env, 3), length),
        num_workers=num_workers,
    )
    observations, _ = envs.reset(seed=0)
    assert observations["instruction_tokens"].shape == (2, length)
    assert envs.single_action_space.shape == (3, 7)
    envs.close()


def test_a_module_in_front_of_an_id_is_imported():
    """As ``gymnasium.make`` does."""
    assert find_spec(reach_env.ENV_ID).entry_point is reach_env.ReachEnv


def test_an_id_is_registered_once():
    """The first one stays."""
    register(reach_env.ENV_ID, "nowhere:Nothing")
    assert find_spec(reach_env.ENV_ID).entry_point is reach_env.ReachEnv


TABLETOP = {"task_id": 0, "image_size": 16}
MODES = ("sync", "async", "vector_entry_point")


def limited(max_episode_steps=3, **kwargs):
    """The tabletop, whose own limit is 80."""
    return gym.make("VLA-Tabletop-v0", max_episode_steps=max_episode_steps, **TABLETOP, **kwargs)


def limit_of(env):
    return env.reset(seed=0)[1]["max_steps"]


def assert_ends_at_its_limit(env, limit):
    """The infos say so, the last one with the final state."""
    assert limit_of(env) == limit
    ends = [env.step(np.zeros(7, np.float32)) for _ in range(limit)]
    assert [end[3] for end in ends] == [False] * (limit - 1) + [True]
    assert ends[-1][4]["elapsed_steps"] == limit
    assert ends[-1][4]["final_state"].dtype == np.float32


def assert_all_end_at_their_limit(envs, limit):
    """The same of two environments side by side."""
    assert limit_of(envs).tolist() == [limit, limit]
    for _ in range(limit):
        *_, truncated, infos = envs.step(np.zeros(envs.action_space.shape, np.float32))
    assert truncated.all()
    assert infos["elapsed_steps"].tolist() == [limit, limit]
    assert all(np.size(state) > 1 for state in infos["final_state"])
    envs.close()


class TestStepLimit:
    """``max_episode_steps`` of ``gymnasium.make`` and ``gymnasium.make_vec``."""

    def test_the_environment_knows_it(self):
        assert_ends_at_its_limit(limited(), 3)

    @pytest.mark.libero
    def test_libero_knows_it(self, libero_assets):  # noqa: F811
        assert_ends_at_its_limit(gym.make("VLA-Libero-v0", max_episode_steps=3, image_size=16, assets=libero_assets), 3)

    @pytest.mark.parametrize("mode", MODES)
    def test_environments_side_by_side_know_it(self, mode):
        envs = gym.make_vec("vla_envs:VLA-Tabletop-v0", 2, mode, max_episode_steps=3, **TABLETOP)
        assert_all_end_at_their_limit(envs, 3)

    @pytest.mark.slow
    @pytest.mark.libero
    @pytest.mark.parametrize("mode", MODES)
    def test_libero_side_by_side_knows_it(self, mode, libero_assets):  # noqa: F811
        """In spawned processes, because a forked one would inherit this one's OpenGL driver."""
        vector_kwargs = {"context": "spawn"} if mode == "async" else None
        kwargs = {"image_size": 16, "assets": str(libero_assets), "max_episode_steps": 3}
        assert_all_end_at_their_limit(gym.make_vec("vla_envs:VLA-Libero-v0", 2, mode, vector_kwargs, **kwargs), 3)

    def test_without_one_the_task_has_its_own(self):
        """Also after an environment with another was made, and with Gymnasium's -1, which is no limit."""
        limited()
        assert limit_of(limited(None)) == limit_of(limited(-1)) == 80
        assert limited(None).spec.max_episode_steps is None

    def test_the_spec_says_it(self):
        """Gymnasium's wrapper that shows the time of an episode reads it there."""
        assert limited().spec.max_episode_steps == 3
        assert TimeAwareObservation(limited(), flatten=False).observation_space["time"].high == 3

    @pytest.mark.parametrize("wrap", [lambda env: env, partial(ActionChunk, chunk_size=2)], ids=["bare", "chunked"])
    def test_a_spec_makes_the_environment_again(self, wrap):
        """As it is, as JSON, and with another limit."""
        spec = wrap(limited()).spec
        assert limit_of(gym.make(spec)) == limit_of(gym.make(EnvSpec.from_json(spec.to_json()))) == 3
        assert limit_of(gym.make(spec, max_episode_steps=5)) == 5
        assert gym.make(spec).spec == spec

    @pytest.mark.parametrize("mode", MODES)
    def test_a_spec_makes_several_environments(self, mode):
        envs = gym.make_vec(limited().spec, 2, mode)
        assert limit_of(envs).tolist() == [3, 3]
        envs.close()

    def test_a_vote_among_final_states_sees_them(self):
        """Trajectories that end alike at the limit win the vote together."""
        vote = VoteConfig(4, 4, rule="agreement", outcome=final_state_cluster(0.01))
        envs = GroupVectorEnv([limited] * 4, 4, vote=vote)
        envs.reset(seed=0)
        for _ in range(3):
            _, rewards, *_ = envs.step(np.zeros((4, 7)))
        assert rewards.tolist() == [1.0, 1.0, 1.0, 1.0]

    def test_a_group_of_chunks_is_cut_there(self):
        envs = make_vec(max_episode_steps=6)
        envs.reset(seed=0)
        actions = np.zeros(envs.action_space.shape, np.float32)
        envs.step(actions)
        *_, truncated, infos = envs.step(actions)
        assert truncated.all()
        assert infos["executed_actions"].tolist() == [2, 2]

    @pytest.mark.parametrize("mode", ["make", "sync", "vector_entry_point"])
    @pytest.mark.parametrize("limit", [True, 2.5, 0, -2, "3"])
    def test_only_integers_from_1_on_are_limits(self, mode, limit):
        """Gymnasium's own TimeLimit refuses most of the others, and the environment the rest."""
        with pytest.raises(
            (AssertionError, InvalidArgumentError), match=f"`max_episode_steps` to be .*actually: '?{limit}"
        ):
            limited(limit) if mode == "make" else gym.make_vec("VLA-Tabletop-v0", 2, mode, max_episode_steps=limit)
