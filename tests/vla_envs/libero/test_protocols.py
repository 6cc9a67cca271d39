"""The protocols of other code bases."""

from __future__ import annotations

import inspect
import json
from contextlib import closing
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from vla_envs import spec
from vla_envs.errors import UnknownSuiteError
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.protocols import PROTOCOLS
from vla_envs.libero.suites import SUITES
from vla_envs.libero.verify.golden import exploring_actions


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("suite", SUITES)
def test_its_keywords_are_the_environments(name, suite):
    """For every suite."""
    kwargs = PROTOCOLS[name].kwargs(suite)
    assert kwargs.keys() <= inspect.signature(LiberoEnv).parameters.keys()
    assert kwargs["suite"] == suite


def test_an_unknown_suite_is_refused():
    """By name."""
    with pytest.raises(UnknownSuiteError, match="actually: 'libero_100'"):
        PROTOCOLS["rlinf"].kwargs("libero_100")


def test_the_default_environment_follows_openvla():
    """Nothing needs to be said for it."""
    defaults = inspect.signature(LiberoEnv).parameters
    assert defaults["settle_steps"].default == PROTOCOLS["openvla"].settle_steps
    assert PROTOCOLS["openvla"].max_episode_steps == {name: suite.horizon for name, suite in SUITES.items()}


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
class TestSettleSteps:
    @pytest.mark.parametrize("settle_steps", [1, 15])
    def test_an_episode_equals_the_official_one(self, settle_steps):
        """The start and ten steps from it, though another environment has settled longer or shorter before."""
        from vla_envs.libero.verify.reference import Reference

        LiberoEnv(cameras=()).reset(options={"init_state_id": 4})
        env = LiberoEnv(cameras=("agentview", "wrist"), image_size=32, settle_steps=settle_steps)
        observation, _ = env.reset(options={"init_state_id": 4})
        with closing(Reference("libero_spatial", 0, 4, 32, settle_steps=settle_steps)) as reference:
            for key, image in reference.images().items():
                np.testing.assert_array_equal(observation[key], image)
            for action in exploring_actions(10):
                np.testing.assert_array_equal(observation[spec.STATE], reference.state())
                observation, *_ = env.step(action)
                reference.step(action, draw=False)
            np.testing.assert_array_equal(env.simulator.data.qpos, reference.data.qpos)

    @pytest.mark.parametrize("settle_steps", [0, 1001, 1.5])
    def test_others_are_refused(self, settle_steps):
        """Before anything is simulated."""
        from vla_envs.errors import InvalidArgumentError

        with pytest.raises(InvalidArgumentError, match="`settle_steps` to be an integer from 1 to 1000"):
            LiberoEnv(settle_steps=settle_steps)


RECORDED = json.loads(Path(__file__).with_name("protocol_episodes.json").read_text())
"""Code base -> the states that its own environment gave in episodes of these actions: moojink/openvla-oft at 213c5ff,
by its `libero_utils`, and RLinf/RLinf at a3816b596, by its `LiberoEnv`, both on MuJoCo 3.3.7."""
ACTIONS = exploring_actions(40)[18:30]
EPISODES = [pytest.param(name, each, id=f"{name}-{each['suite']}") for name in RECORDED for each in RECORDED[name]]


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
@pytest.mark.parametrize(("name", "episode"), EPISODES)
def test_states_are_those_of_the_code_base(name, episode):
    """Bit for bit; images depend on OpenGL, and are compared with the official ones of the same machine elsewhere."""
    kwargs = {**PROTOCOLS[name].kwargs(episode["suite"]), "cameras": ()}
    env = gym.make("VLA-Libero-v0", task_id=episode["task_id"], split="all", **kwargs)
    states = [env.reset(options={"init_state_id": episode["init_state_id"]})[0][spec.STATE]]
    states += [env.step(action)[0][spec.STATE] for action in ACTIONS.astype(np.float32)]
    np.testing.assert_array_equal(states, np.array(episode["states"], np.float32))
