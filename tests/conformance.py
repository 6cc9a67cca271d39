"""What every environment id of the package has to do, as one class that a test module subclasses.

A subclass names the id and is collected by pytest under its own name::

    class TestTabletopConformance(RobotConformance):
        env_id = "VLA-Tabletop-v0"
        kwargs = {"image_size": 32}

Episodes last a few control steps at most, so that a slow simulator passes in reasonable time. A
subclass can mark itself or single tests (``pytest.mark.slow``), and override any of the class
attributes below.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.base import Info, Observation, VLAEnv
from vla_envs.errors import (
    InvalidActionError,
    InvalidArgumentError,
    UnknownCameraError,
    UnknownInitStateError,
    UnknownTaskError,
    warn_once,
)

Options = dict[str, int]


class EnvConformance:
    """The contract of :mod:`vla_envs.spec`, checked on the id ``env_id`` made with ``kwargs``."""

    env_id: ClassVar[str]
    kwargs: ClassVar[dict[str, Any]] = {}
    """Constructor arguments of every environment under test."""
    prompt: ClassVar[Options] = {"task_id": 0, "init_state_id": 1}
    other_prompt: ClassVar[Options] = {"task_id": 0, "init_state_id": 2}
    """Two prompts that ``kwargs`` allow, with different first observations."""
    steps: ClassVar[int] = 3
    """Control steps of an episode under test; none of them may solve the task."""
    render_mode: ClassVar[str] = "rgb_array"
    """The one that there is."""
    subprocess_timeout: ClassVar[float] = 300.0

    @classmethod
    def make_env(cls, **kwargs: Any) -> gym.Env[Any, Any]:
        """The registered id, as a user makes it."""
        return gym.make(cls.env_id, **{**cls.kwargs, **kwargs})

    @classmethod
    def construct(cls, **kwargs: Any) -> VLAEnv:
        """The environment itself, without the wrappers and the own arguments of ``gym.make``."""
        entry_point = gym.spec(cls.env_id).entry_point
        creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
        return creator(**{**cls.kwargs, **kwargs})  # type: ignore[misc,return-value]

    def prompts_of(self, split: str) -> set[tuple[int, int]]:
        """The prompts that an environment of the split says it draws from."""
        env = self.construct(split=split)
        prompts = set(env.prompts())
        env.close()
        return prompts

    def actions(self, env: gym.Env[Any, Any], count: int, seed: int = 0) -> NDArray[np.float32]:
        """Random actions (count, A) of half the size that the action space allows."""
        space = env.action_space
        assert isinstance(space, gym.spaces.Box)
        drawn = np.random.default_rng(seed).uniform(0.25, 0.75, (count, *space.shape))
        return (space.low + drawn * (space.high - space.low)).astype(np.float32)

    @pytest.fixture(scope="class")
    @classmethod
    def env(cls) -> Iterator[VLAEnv]:
        """One environment for all tests that start by resetting it."""
        env = cls.construct()
        yield env
        env.close()

    @pytest.fixture(scope="class")
    @classmethod
    def short_env(cls) -> Iterator[VLAEnv]:
        """An environment whose episodes are cut off after ``steps`` control steps."""
        env = cls.construct(max_episode_steps=cls.steps)
        yield env
        env.close()

    # Gymnasium's own rules

    def test_gymnasium_check_env(self) -> None:
        """The environment that ``gym.make`` builds passes Gymnasium's checker."""
        env = self.make_env()
        check_env(env.unwrapped)

    def test_observation_in_space(self, env: VLAEnv) -> None:
        """Every observation lies in the observation space, with the space's types."""
        observation, _ = env.reset(options=dict(self.prompt))
        assert env.observation_space.contains(observation)
        observation, *_ = env.step(self.actions(env, 1)[0])
        assert env.observation_space.contains(observation)

    def test_observations_are_copies(self, env: VLAEnv) -> None:
        """Writing into an observation changes no later one."""
        actions = self.actions(env, 2)
        expected = rollout(env, self.prompt, actions)
        observation, _ = env.reset(options=dict(self.prompt))
        for index, action in enumerate(actions):
            overwrite(observation)
            observation, *_ = env.step(action)
            assert_same(observation, expected[index + 1])

    def test_close_is_idempotent(self) -> None:
        """An environment can be closed twice, and unused."""
        env = self.construct()
        env.close()
        env.close()

    def test_make_after_close(self) -> None:
        """A new environment works after another was closed."""
        first = self.construct()
        expected, _ = first.reset(options=dict(self.prompt))
        first.close()
        second = self.construct()
        observation, _ = second.reset(options=dict(self.prompt))
        second.close()
        assert_same(observation, expected)

    # Prompts

    def test_same_prompt_same_first_observation(self, env: VLAEnv) -> None:
        """A prompt gives the same first observation bit for bit, whatever ran before."""
        expected, _ = env.reset(options=dict(self.prompt))
        again, _ = env.reset(options=dict(self.prompt))
        assert_same(again, expected)
        rollout(env, self.other_prompt, self.actions(env, self.steps))
        after_others, _ = env.reset(options=dict(self.prompt))
        assert_same(after_others, expected)

    def test_same_prompt_in_another_instance(self, env: VLAEnv) -> None:
        """Another instance gives the same first observation for the prompt, and the same episode."""
        actions = self.actions(env, self.steps)
        expected = rollout(env, self.prompt, actions)
        other = self.construct()
        for observation, wanted in zip(rollout(other, self.prompt, actions), expected, strict=True):
            assert_same(observation, wanted)
        other.close()

    def test_same_prompt_in_another_process(self, env: VLAEnv) -> None:
        """Another process gives the same first observation for the prompt, bit for bit."""
        observation, _ = env.reset(options=dict(self.prompt))
        assert self._digest_elsewhere() == digest(observation)

    def test_prompts_differ(self, env: VLAEnv) -> None:
        """Two initial states are not observed as the same."""
        one, _ = env.reset(options=dict(self.prompt))
        two, _ = env.reset(options=dict(self.other_prompt))
        assert digest(one) != digest(two)

    def test_same_seed_same_prompt(self, env: VLAEnv) -> None:
        """The seed decides which prompts are drawn, and what is seen."""
        first, info = env.reset(seed=5)
        second, info_again = env.reset(seed=5)
        assert prompt_of(info) == prompt_of(info_again) == env.prompt
        assert_same(second, first)

    def test_option_fixes_its_part_of_the_prompt(self, env: VLAEnv) -> None:
        """A prompt named in part is drawn in the other part only."""
        for seed in range(2):
            _, info = env.reset(seed=seed, options={"init_state_id": self.prompt["init_state_id"]})
            assert info["init_state_id"] == self.prompt["init_state_id"]
            assert info["task_id"] in env.task_ids

    def test_splits_are_disjoint(self, env: VLAEnv) -> None:
        """No prompt both trains and evaluates, and every initial state does one of them."""
        train, evaluate, everything = (self.prompts_of(split) for split in ("train", "eval", "all"))
        assert train
        assert evaluate
        assert not train & evaluate
        assert train | evaluate == everything
        assert everything == {(task, state) for task in env.task_ids for state in range(env.num_init_states(task))}

    @pytest.mark.parametrize("split", ["train", "eval"])
    def test_drawn_prompts_respect_the_split(self, split: str) -> None:
        """``reset`` draws from the split alone, and the info names it."""
        env = self.construct(split=split)
        for seed in range(4):
            _, info = env.reset(seed=seed)
            assert info["split"] == split
            assert prompt_of(info) in env.prompts()
        env.close()

    # Episodes

    def test_info_keys(self, short_env: VLAEnv) -> None:
        """Every info has the same keys, with values of the same types and shapes, so that a recorder can stack them."""
        _, info = short_env.reset(options=dict(self.prompt))
        assert {*spec.INFO_KEYS, "executed_actions", "final_state"} <= set(info)
        assert info["executed_actions"] == 0
        assert info["final_state"].dtype == np.float32
        first = {key: (type(value), value.dtype.kind, value.shape) for key, value in info.items()}
        for step, action in enumerate(self.actions(short_env, self.steps), start=1):
            _, _, _, _, info = short_env.step(action)
            assert {key: (type(value), value.dtype.kind, value.shape) for key, value in info.items()} == first
            assert info["elapsed_steps"] == step
            assert info["executed_actions"] == 1

    def test_gymnasiums_vector_environment_stacks_infos_as_numbers(self, short_env: VLAEnv) -> None:
        """A success is neither lost nor made an object, of which a mean would be wrong."""
        _, info = short_env.reset(options=dict(self.prompt))
        vector = gym.vector.VectorEnv()
        vector.num_envs = 2
        infos = vector._add_info(vector._add_info({}, info, 0), info, 1)
        assert infos["is_success"].dtype == infos["success"].dtype == bool
        assert infos["elapsed_steps"].dtype == int
        assert infos["final_state"].shape == (2, *info["final_state"].shape)

    def test_names_that_other_packages_read(self, short_env: VLAEnv) -> None:
        """The step limit as of Gymnasium's TimeLimit, and the instruction as LeRobot asks for it."""
        observation, _ = short_env.reset(options=dict(self.prompt))
        assert short_env._max_episode_steps == self.steps
        assert short_env.task_description == observation[spec.INSTRUCTION]

    def test_info_describes_the_prompt(self, short_env: VLAEnv) -> None:
        """The info says which prompt runs and how long it may."""
        observation, info = short_env.reset(options=dict(self.prompt))
        assert prompt_of(info) == tuple(self.prompt.values())
        assert info["task"] == observation[spec.INSTRUCTION]
        assert info["max_steps"] == self.steps
        assert info["elapsed_steps"] == 0
        assert not info["success"]
        assert not info["is_success"]
        assert info["task_reward"] == 0.0

    def test_truncated_exactly_at_the_limit(self, short_env: VLAEnv) -> None:
        """The step limit truncates on its last step, and terminates nothing."""
        short_env.reset(options=dict(self.prompt))
        ends = [short_env.step(action)[1:4] for action in self.actions(short_env, self.steps)]
        assert ends == [(0.0, False, False)] * (self.steps - 1) + [(0.0, False, True)]

    def test_step_after_the_end(self, short_env: VLAEnv) -> None:
        """An ended episode cannot go on, until the next reset."""
        actions = self.actions(short_env, self.steps)
        rollout(short_env, self.prompt, actions)
        with pytest.raises(ResetNeeded, match="reset"):
            short_env.step(actions[0])
        short_env.reset(options=dict(self.prompt))
        short_env.step(actions[0])

    def test_step_before_reset(self) -> None:
        """Without a reset there is no episode to step."""
        env = self.construct()
        with pytest.raises(ResetNeeded, match="reset"):
            env.step(self.actions(env, 1)[0])
        env.close()

    def test_chunk_equals_steps(self, env: VLAEnv) -> None:
        """A chunk ends where the same actions one by one end."""
        actions = self.actions(env, self.steps)
        env.reset(options=dict(self.prompt))
        results = [env.step(action) for action in actions]
        env.reset(options=dict(self.prompt))
        observation, reward, terminated, truncated, info = env.step_chunk(actions)
        assert_same(observation, results[-1][0])
        assert reward == sum(result[1] for result in results)
        assert (terminated, truncated) == results[-1][2:4]
        assert info["success"] == results[-1][4]["success"]
        assert info["executed_actions"] == len(actions)

    def test_chunk_stops_at_the_end(self, short_env: VLAEnv) -> None:
        """What of a chunk lies beyond the episode's end is not executed."""
        short_env.reset(options=dict(self.prompt))
        _, _, terminated, truncated, info = short_env.step_chunk(self.actions(short_env, self.steps + 2))
        assert (terminated, truncated) == (False, True)
        assert info["executed_actions"] == info["elapsed_steps"] == self.steps
        assert "final_state" in info

    def test_instances_do_not_disturb_each_other(self, env: VLAEnv) -> None:
        """Two environments stepped in turns give what each gives alone."""
        actions = self.actions(env, self.steps)
        expected = [rollout(env, prompt, actions) for prompt in (self.prompt, self.other_prompt)]
        other = self.construct()
        seen = [
            [env.reset(options=dict(self.prompt))[0]],
            [other.reset(options=dict(self.other_prompt))[0]],
        ]
        for action in actions:
            seen[0].append(env.step(action)[0])
            seen[1].append(other.step(action)[0])
        other.close()
        for observations, wanted in zip(seen, expected, strict=True):
            for observation, reference in zip(observations, wanted, strict=True):
                assert_same(observation, reference)

    # Errors: each names what was given and what is valid

    @pytest.mark.parametrize("task_id", [-1, 10**6, "first", 1.5, [], [0, 10**6]])
    def test_unknown_task(self, task_id: Any) -> None:
        """A task outside the suite is refused by the constructor, naming the valid ones."""
        with pytest.raises(UnknownTaskError, match=r"`task_id`.*(integer from 0 to|at least one).*actually: "):
            self.construct(task_id=task_id)

    @pytest.mark.parametrize("task_id", [-1, 10**6, True, "first"])
    def test_unknown_task_at_reset(self, env: VLAEnv, task_id: Any) -> None:
        """A task outside the suite is refused by reset, naming the valid ones."""
        with pytest.raises(UnknownTaskError, match=rf"integer from 0 to {len(env.tasks) - 1}.*actually: {task_id!r}"):
            env.reset(options={"task_id": task_id})

    @pytest.mark.parametrize("init_state_id", [-1, 10**6, True, "first"])
    def test_unknown_init_state(self, env: VLAEnv, init_state_id: Any) -> None:
        """An initial state outside the task's is refused, naming the valid ones."""
        last = env.num_init_states(self.prompt["task_id"]) - 1
        with pytest.raises(UnknownInitStateError, match=rf"integer from 0 to {last}.*actually: {init_state_id!r}"):
            env.reset(options={**self.prompt, "init_state_id": init_state_id})

    @pytest.mark.parametrize("name", ["init_states", "Task_ID", "task", "camera_ofset", "reset_maks"])
    def test_misspelt_reset_option(self, env: VLAEnv, name: str) -> None:
        """A name that is nearly right is not passed over."""
        with pytest.raises(InvalidArgumentError, match=rf"'task_id' and 'init_state_id', actually also: \['{name}'\]"):
            env.reset(options={name: 3})

    @pytest.mark.parametrize("name", ["lerobot_new_rollout", "reset", "camera", "task_name"])
    def test_reset_option_of_other_code(self, env: VLAEnv, name: str) -> None:
        """Others send options of their own to every environment: they are left alone, and each is said once."""
        warn_once.cache_clear()
        options = {name: True, **self.prompt}
        with pytest.warns(UserWarning, match=f"actually also: '{name}', which is left alone"):
            env.reset(options=dict(options))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env.reset(options=dict(options))
        assert env.episode_options == self.prompt

    def test_drawing_without_a_split_is_said_once(self) -> None:
        """Whoever trains on the default split trains on the states of evaluation as well."""
        warn_once.cache_clear()
        env = self.construct()
        with pytest.warns(UserWarning, match=r"split='train' to train"):
            env.reset(seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env.reset()
        env.close()

    def test_a_split_or_a_state_that_was_chosen_is_not_warned_of(self) -> None:
        """Neither where the split is named, whichever it is, nor where the caller says where to start."""
        warn_once.cache_clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for kwargs, options in (({"split": "all"}, {}), ({}, self.prompt)):
                env = self.construct(**kwargs)
                env.reset(seed=0, options=dict(options))
                env.close()

    def test_unknown_split(self) -> None:
        """The splits are train, eval and all."""
        with pytest.raises(InvalidArgumentError, match=r"'train', 'eval', 'all', actually: 'test'"):
            self.construct(split="test")

    @pytest.mark.parametrize("max_episode_steps", [0, -1, 2.5, 10.0, True, "10"])
    def test_bad_step_limit(self, max_episode_steps: Any) -> None:
        """The step limit is an integer of at least 1."""
        with pytest.raises(InvalidArgumentError, match=rf"from 1 to \d+, actually: {max_episode_steps!r}"):
            self.construct(max_episode_steps=max_episode_steps)

    def test_unknown_render_mode(self) -> None:
        """A render mode that does not exist is refused, naming those that do."""
        with pytest.raises(InvalidArgumentError, match=rf"`render_mode` .*'{self.render_mode}', actually: 'hologram'"):
            self.construct(render_mode="hologram")

    def test_wrong_action_shape(self, env: VLAEnv) -> None:
        """An action of the wrong shape is refused and the episode goes on."""
        env.reset(options=dict(self.prompt))
        action = self.actions(env, 1)[0]
        with pytest.raises(InvalidActionError, match=rf"shape \({len(action)},\).*actually: \({len(action) - 1},\)"):
            env.step(action[:-1])
        with pytest.raises(InvalidActionError, match="shape"):
            env.step_chunk(action)
        with pytest.raises(InvalidActionError, match="shape"):
            env.step_chunk(np.zeros((0, len(action))))
        env.step(action)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_action_that_is_no_number(self, env: VLAEnv, value: float) -> None:
        """NaN and infinity are refused, before any of the chunk is executed."""
        env.reset(options=dict(self.prompt))
        actions = self.actions(env, 2)
        actions[1, 0] = value
        with pytest.raises(InvalidActionError, match="finite"):
            env.step_chunk(actions)
        _, _, _, _, info = env.step(self.actions(env, 1)[0])
        assert info["elapsed_steps"] == 1

    @pytest.mark.parametrize("kind", ["texts", "objects", "ragged", "none"])
    def test_action_of_another_type(self, env: VLAEnv, kind: str) -> None:
        """What is not made of numbers is refused by name, texts that look like numbers too."""
        env.reset(options=dict(self.prompt))
        action = self.actions(env, 1)[0].tolist()
        given = {"texts": list(map(str, action)), "objects": [None, *action[1:]], "ragged": [action, []]}
        with pytest.raises(InvalidActionError, match="`action` to be finite numbers"):
            env.step(given.get(kind))
        env.step(action)

    def test_action_beyond_the_bounds_is_clipped(self, env: VLAEnv) -> None:
        """A value beyond the action space does what the bound does."""
        space = env.action_space
        assert isinstance(space, gym.spaces.Box)
        expected = rollout(env, self.prompt, space.high[None])[-1]
        beyond = rollout(env, self.prompt, 3.0 * space.high[None] + 1.0)[-1]
        assert_same(beyond, expected)

    def _digest_elsewhere(self) -> str:
        arguments = json.dumps([self.env_id, self.kwargs, self.prompt])
        path = os.pathsep.join(each for each in sys.path if each)
        run = subprocess.run(
            [sys.executable, "-c", _DIGEST_SCRIPT, arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=self.subprocess_timeout,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "1"},
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.split()[-1]


class RobotConformance(EnvConformance):
    """The same, and what concerns images and proprioception."""

    bad_cameras: ClassVar[dict[str, Any]] = {"cameras": ("nowhere",)}
    """Arguments that name a camera which does not exist."""

    def test_types_of_observations(self, env: VLAEnv) -> None:
        """Images are bytes, the state is made of single-precision numbers."""
        observation, _ = env.reset(options=dict(self.prompt))
        assert observation[spec.IMAGE].dtype == np.uint8
        assert observation[spec.STATE].dtype == np.float32

    def test_prompts_look_different(self, env: VLAEnv) -> None:
        """Two initial states give two images."""
        one, _ = env.reset(options=dict(self.prompt))
        two, _ = env.reset(options=dict(self.other_prompt))
        assert not np.array_equal(one[spec.IMAGE], two[spec.IMAGE])

    def test_unknown_camera(self) -> None:
        """A camera that does not exist is refused, naming those that do."""
        with pytest.raises(UnknownCameraError, match=r"one of '.*actually: 'nowhere'"):
            self.construct(**self.bad_cameras)

    @pytest.mark.parametrize("image_size", [0, -8, 15, 1025, 64.0, "big", True, 2**40])
    def test_bad_image_size(self, image_size: Any) -> None:
        """The image size is an integer of 16 to 1024 pixels."""
        with pytest.raises(InvalidArgumentError, match=rf"integer from 16 to 1024, actually: {image_size!r}"):
            self.construct(image_size=image_size)


_DIGEST_SCRIPT = """
import json, sys
import gymnasium as gym
import vla_envs
from tests.conformance import digest
env_id, kwargs, prompt = json.loads(sys.argv[1])
env = gym.make(env_id, **kwargs)
observation, _ = env.reset(options=prompt)
env.close()
print(digest(observation))
"""


def rollout(env: gym.Env[Any, Any], prompt: Options, actions: NDArray[Any]) -> list[Observation]:
    """The observations of an episode that starts at the prompt: the first, and one after each action."""
    observation, _ = env.reset(options=dict(prompt))
    return [observation, *(env.step(action)[0] for action in actions)]


def assert_same(observation: Observation, expected: Observation) -> None:
    """Both observations are equal bit for bit."""
    assert set(observation) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(observation[key], value, err_msg=key)


def overwrite(observation: Observation) -> None:
    """Overwrite every array of an observation."""
    for value in observation.values():
        if isinstance(value, np.ndarray):
            value[...] = 1


def digest(observation: Observation) -> str:
    """A fingerprint of everything in an observation."""
    sha = hashlib.sha256()
    for key in sorted(observation):
        value = observation[key]
        sha.update(key.encode())
        sha.update(value.tobytes() if isinstance(value, np.ndarray) else str(value).encode())
    return sha.hexdigest()


def prompt_of(info: Info) -> tuple[int, int]:
    """The prompt that an info names."""
    return info["task_id"], info["init_state_id"]
