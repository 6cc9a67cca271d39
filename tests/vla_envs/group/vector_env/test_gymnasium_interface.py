"""What clients of Gymnasium's own vector environments ask of groups."""

import threading
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from tests.reach_env import ReachEnv
from vla_envs.errors import InvalidArgumentError, UnknownAttributeError
from vla_envs.group import GroupVectorEnv
from vla_envs.wrappers import TokenizeInstruction


def make(num_envs=4, group_size=2, mode="hold", **kwargs):
    return GroupVectorEnv([ReachEnv] * num_envs, group_size, mode, **kwargs)


class LockedEnv(ReachEnv):
    """Has something that no pipe carries."""

    def lock(self):
        """A lock."""
        return threading.Lock()


def starts_of(infos):
    return list(zip(infos["task_id"].tolist(), infos["init_state_id"].tolist(), strict=True))


def still(envs):
    return np.zeros(envs.action_space.shape, np.float32)


@pytest.mark.parametrize(
    ("mode", "autoreset"), [("lockstep", AutoresetMode.NEXT_STEP), ("hold", AutoresetMode.DISABLED)]
)
def test_the_autoreset_mode_is_an_attribute(mode, autoreset):
    """Where TorchRL looks for it, beside the metadata."""
    envs = make(mode=mode)
    assert envs.autoreset_mode == envs.metadata["autoreset_mode"] == autoreset


@pytest.mark.parametrize("num_workers", [0, 2])
def test_attributes_and_methods_of_the_environments_are_reached(num_workers):
    """As of Gymnasium's vector environments, in other processes too."""
    with closing(make(num_workers=num_workers)) as envs:
        envs.reset(seed=0)
        assert envs.get_attr("max_episode_steps") == envs.call("max_episode_steps") == (None,) * 4
        envs.set_attr("max_episode_steps", 5)
        assert envs.call("_max_episode_steps") == (5,) * 4
        envs.set_attr("max_episode_steps", [1, 2, 3, 4])
        assert envs.get_attr("max_episode_steps") == (1, 2, 3, 4)
        assert envs.call("num_init_states", 0) == envs.call("num_init_states", task_id=0) == (20,) * 4
        with pytest.raises(UnknownAttributeError, match="'nothing'"):
            envs.get_attr("nothing")
        with pytest.raises(TypeError, match="num_init_states"):
            envs.call("num_init_states")
        with pytest.raises(AttributeError, match="prompt"):
            envs.set_attr("prompt", None)
        assert envs.step(still(envs))[4]["valid"].all()


def test_a_value_that_cannot_cross_between_processes_is_refused():
    """In either direction, and the workers go on."""
    with closing(GroupVectorEnv([LockedEnv] * 2, 2, num_workers=1)) as envs:
        envs.reset(seed=0)
        with pytest.raises(InvalidArgumentError, match=r"'max_episode_steps'.*num_workers=0"):
            envs.set_attr("max_episode_steps", threading.Lock())
        with pytest.raises(InvalidArgumentError, match=r"'num_init_states'.*num_workers=0"):
            envs.call("num_init_states", threading.Lock())
        with pytest.raises(InvalidArgumentError, match=r"'lock'.*num_workers=0"):
            envs.call("lock")
        assert envs.step(still(envs))[4]["valid"].all()


@pytest.mark.parametrize("name", ["reset", "step", "close"])
def test_what_belongs_to_the_whole_group_is_not_called_behind_its_back(name):
    """It would lose count of its trajectories."""
    with pytest.raises(InvalidArgumentError, match=f"`{name}` of the vector environment"):
        make().call(name)


def test_one_value_for_each_environment():
    """A list of another length is a mistake."""
    with pytest.raises(InvalidArgumentError, match="each of 4 environments, actually: 3"):
        make().set_attr("max_episode_steps", [1, 2, 3])


def test_seeds_of_the_environments_start_their_groups():
    """Each group where its first environment would start alone, and the same again."""
    envs = make()
    _, infos = envs.reset(seed=[5, 6, 7, 8])
    alone = [ReachEnv().reset(seed=seed)[1] for seed in (5, 5, 7, 7)]
    assert starts_of(infos) == [(info["task_id"], info["init_state_id"]) for info in alone]
    envs.reset()
    assert starts_of(envs.reset(seed=[5, 6, 7, 8])[1]) == starts_of(infos)
    assert starts_of(envs.reset(seed=[5, None, None, None])[1])[:2] == starts_of(infos)[:2]


@pytest.mark.parametrize("mode", ["lockstep", "hold"])
def test_seeds_fix_what_is_drawn_later(mode):
    """Prompts of a sampler and of the following resets."""
    seen = []
    for _ in range(2):
        envs = make(mode=mode, prompts="uniform")
        seen.append([starts_of(envs.reset(seed=seed)[1]) for seed in ([1, 2, 3, 4], None)])
    assert seen[0] == seen[1]


def test_seeds_may_be_an_array():
    """Of NumPy's integers, which Gymnasium itself refuses."""
    envs = make()
    expected = starts_of(envs.reset(seed=[5, 6, 7, 8])[1])
    assert starts_of(envs.reset(seed=np.arange(5, 9))[1]) == expected


@pytest.mark.parametrize("seeds", [[1, 2.5, 3, 4], [1, True, 3, 4], [1, 2, 3, -4], "abcd"])
def test_a_seed_is_an_integer(seeds):
    """Also where its environment follows the first of its group and would not use it."""
    with pytest.raises(InvalidArgumentError, match="`seed` to be an integer of at least 0, actually: "):
        make().reset(seed=seeds)


def test_one_seed_for_each_environment():
    """Neither fewer nor more."""
    with pytest.raises(InvalidArgumentError, match="each of 4 environments, actually: 2"):
        make().reset(seed=[1, 2])


def test_a_mask_resets_whole_groups():
    """The others stay where they are and go on."""
    envs = make()
    _, before = envs.reset(seed=0)
    envs.step(still(envs))
    options = {"reset_mask": np.array([True, True, False, False])}
    _, infos = envs.reset(options=options)
    assert "reset_mask" in options  # Gymnasium's own wrappers look for it after the reset
    assert infos["elapsed_steps"].tolist() == [0, 0, 1, 1]
    assert infos["executed_actions"].tolist() == [0] * 4
    assert (infos["group_id"][2:] == before["group_id"][2:]).all()
    assert (infos["group_id"][:2] > before["group_id"].max()).all()
    *_, infos = envs.step(still(envs))
    assert infos["elapsed_steps"].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("mask", [[True, False, True, True], [False] * 4, [True] * 3, [1, 1, 0, 0]])
def test_a_mask_of_less_than_groups_is_refused(mask):
    """All environments of a group start together."""
    envs = make()
    envs.reset(seed=0)
    with pytest.raises(InvalidArgumentError, match="whole groups of 2, at least one, actually: "):
        envs.reset(options={"reset_mask": np.array(mask)})


def test_lockstep_restarts_by_itself():
    """A mask has no meaning there."""
    envs = make(mode="lockstep")
    envs.reset(seed=0)
    with pytest.raises(InvalidArgumentError, match="Use mode 'hold'"):
        envs.reset(options={"reset_mask": np.ones(4, bool)})


def test_torchrl_resets_single_trajectories_by_masks():
    """Its wrapper of vector environments asks for the autoreset mode and resets what has ended."""
    gym_wrapper = pytest.importorskip("torchrl.envs.libs.gym").GymWrapper
    kwargs = {"image_size": 16, "split": "train", "max_episode_steps": 3}  # too few to succeed by chance
    envs = gym.make_vec("VLA-Tabletop-v0", 2, mode="hold", wrap=TokenizeInstruction, **kwargs)
    ended = gym_wrapper(envs).rollout(7, break_when_any_done=False)["next", "done"]
    assert ended.squeeze(-1).tolist() == [[False, False, True, False, False, True, False]] * 2


def test_torchrls_reader_takes_every_info():
    """Without a list of keys, at the first info and at the last."""
    torchrl = pytest.importorskip("torchrl.envs")
    env = torchrl.GymWrapper(gym.make("VLA-Tabletop-v0", image_size=16, split="train", max_episode_steps=2))
    env.set_info_dict_reader(torchrl.default_info_dict_reader())
    seen = env.rollout(2, break_when_any_done=False)["next"]
    assert seen["elapsed_steps"].tolist() == [1, 2]
    assert seen["is_success"].tolist() == [False, False]
    assert seen["final_state"].shape == (2, 11)
