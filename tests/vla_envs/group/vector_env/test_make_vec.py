"""``gymnasium.make_vec`` in every vectorization mode."""

import copy
import pickle
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers import ActionChunk, TokenizeInstruction

MODES = ["sync", "async", "vector_entry_point"]


def check(env_id, mode, vector_kwargs=None, **kwargs):
    """Two environments take a step, under Gymnasium's next-step autoreset, and see what one alone sees."""
    kwargs = {"task_id": 0, "image_size": 32, **kwargs}
    envs = gym.make_vec(f"vla_envs:{env_id}", 2, mode, vector_kwargs, **kwargs)
    alone = gym.make(f"vla_envs:{env_id}", **kwargs)
    instruction = alone.reset(seed=0)[0]["instruction"]
    observations, infos = envs.reset(seed=0)
    assert observations["instruction"] == (instruction, instruction)
    assert infos["success"].tolist() == [False, False]
    envs.action_space.seed(0)
    observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
    assert observations["instruction"] == (instruction, instruction)
    assert envs.observation_space.contains(observations)
    assert infos["elapsed_steps"].tolist() == [1, 1]
    assert rewards.shape == terminated.shape == truncated.shape == (2,)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    alone.close()
    envs.close()


def test_texts_in_shared_memory_are_texts():
    """Where no copy is made they compare, copy and pickle as the tuple that other modes have."""
    with closing(gym.make_vec("VLA-Tabletop-v0", 2, "async", {"copy": False}, task_id=0, cameras=())) as envs:
        texts = envs.reset(seed=0)[0]["instruction"]
        expected = ("put the red cube on the blue plate",) * 2
        assert texts == expected
        assert copy.copy(texts) == pickle.loads(pickle.dumps(texts)) == expected
        assert type(copy.copy(texts)) is tuple


@pytest.mark.parametrize("mode", MODES)
def test_the_tabletop_is_vectorized(mode):
    """Gymnasium's own vector environments take it as it is."""
    check("VLA-Tabletop-v0", mode)


@pytest.mark.parametrize(
    ("mode", "vector_kwargs"),
    [
        ("sync", {}),
        ("sync", {"copy": False}),
        ("async", {}),
        ("async", {"copy": False}),
        ("async", {"shared_memory": False}),
        ("vector_entry_point", {}),
    ],
    ids=str,
)
def test_every_episode_shows_its_own_instruction(mode, vector_kwargs):
    """Also after restarts, and what was shown before stays where observations are copied."""
    options = {"image_size": 16, "max_episode_steps": 2, "split": "train"}
    with closing(gym.make_vec("VLA-Tabletop-v0", 2, mode, vector_kwargs, **options)) as envs:
        observations, infos = envs.reset(seed=0)
        first, tasks = observations["instruction"], [tuple(infos["task"])]
        assert tuple(first) == tasks[0]
        for _ in range(8):
            observations, *_, infos = envs.step(envs.action_space.sample())
            tasks.append(tuple(infos["task"]))
            assert tuple(observations["instruction"]) == tasks[-1]
        assert len(set(tasks)) > 1
        assert not vector_kwargs.get("copy", True) or tuple(first) == tasks[0]


@pytest.mark.slow
@pytest.mark.libero
@pytest.mark.parametrize("mode", MODES)
def test_libero_is_vectorized(mode, libero_assets):
    """In spawned processes, because a forked one would inherit this one's OpenGL driver."""
    check("VLA-Libero-v0", mode, {"context": "spawn"} if mode == "async" else None, assets=str(libero_assets))


class TestWithoutAMode:
    """``make_vec(id, n)`` is what it is for every other id: n environments on their own."""

    def test_it_is_gymnasiums_own_vector_environment(self):
        """With equal observations and infos, and no key of groups."""
        plain = gym.make_vec("vla_envs:VLA-Tabletop-v0", 3, image_size=16, split="train")
        sync = gym.make_vec("VLA-Tabletop-v0", 3, "sync", image_size=16, split="train")
        assert type(plain) is type(sync)
        np.testing.assert_equal(plain.reset(seed=0), sync.reset(seed=0))
        sync.action_space.seed(0)
        actions = sync.action_space.sample()
        np.testing.assert_equal(plain.step(actions), sync.step(actions))
        again = gym.make_vec(plain.spec)
        np.testing.assert_equal(again.reset(seed=0), plain.reset(seed=0))

    def test_wrappers_and_keywords_of_vector_environments_are_taken(self):
        """From the first, the innermost, to the last; keywords of the environment beside them."""
        envs = gym.make_vec(
            "VLA-Tabletop-v0",
            2,
            wrappers=[lambda env: ActionChunk(env, 4), TokenizeInstruction],
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
            image_size=16,
            split="train",
            max_episode_steps=8,
        )
        assert envs.single_action_space.shape == (4, 7)
        assert "instruction_tokens" in envs.reset(seed=0)[0]
        for _ in range(2):
            *_, truncated, infos = envs.step(np.zeros((2, 4, 7), np.float32))
        assert truncated.all()
        assert infos["final_info"]["is_success"].tolist() == [False, False]
        assert infos["final_info"]["is_success"].dtype == bool
        assert infos["final_info"]["elapsed_steps"].tolist() == [8, 8]

    def test_a_keyword_of_groups_makes_groups(self):
        """The mode may be left out then, and wrappers go around each environment."""
        envs = gym.make_vec("VLA-Tabletop-v0", 4, group_size=2, image_size=16, wrappers=[TokenizeInstruction])
        assert (envs.num_groups, envs.group_size) == (2, 2)
        assert "instruction_tokens" in envs.reset(seed=0)[0]
        with pytest.raises(InvalidArgumentError, match="no `vector_kwargs` for groups"):
            gym.make_vec("VLA-Tabletop-v0", 4, group_size=2, vector_kwargs={"copy": False})

    def test_the_mode_of_groups_makes_groups_of_one(self):
        """Which differ from each other in nothing but their prompts."""
        envs = gym.make_vec("VLA-Tabletop-v0", 2, "vector_entry_point", image_size=16)
        assert (envs.num_groups, envs.group_size) == (2, 1)
