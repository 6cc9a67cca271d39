"""Values of the wrong type or range, given to everything that takes arguments."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.vla_envs.wrappers.stacks import WRAPPERS, tabletop
from vla_envs.arguments import check_number
from vla_envs.errors import InvalidActionError, InvalidArgumentError, VLAEnvsError
from vla_envs.group import (
    CurriculumPrompts,
    GroupStart,
    GroupVectorEnv,
    NumberedStarts,
    SequentialPrompts,
    Trajectory,
    VoteConfig,
    efficiency_bucket,
    env_success,
    final_state_cluster,
    group_advantages,
    majority_vote,
    noisy,
    pass_at_k,
    select_top_k,
    temperature_schedule,
    trajectory_metrics,
)
from vla_envs.registration import make_vector_env
from vla_envs.rewards import efficiency_reward
from vla_envs.tabletop import Expert, TabletopEnv
from vla_envs.wrappers import (
    ActionChunk,
    ActionHistory,
    DiscretizeActions,
    NoisySuccess,
    PerturbObservations,
    RecordTrajectory,
    ResizeImages,
    ShapedReward,
    StackObservations,
    TokenizeInstruction,
)
from vla_envs.wrappers.discretize_actions import bin_centers, nearest_tokens
from vla_envs.wrappers.instruction import decode_instructions, encode_instruction, hash_words
from vla_envs.wrappers.record import read_episode

SIZE = {"image_size": 16}
NO_INTEGERS: tuple[Any, ...] = (1.0, np.float32(2.0), True, np.True_, "3", b"3", [2], np.array(2), 0.5, -1, object())
NO_SCALARS = tuple(value for value in NO_INTEGERS if value != [2])
NO_NUMBERS: tuple[Any, ...] = (True, "0.5", [0.5], float("nan"), float("inf"), 1j, object())
NO_FLAGS: tuple[Any, ...] = (1, 0.0, "yes", [True], None)
NO_NAMES: tuple[Any, ...] = (5, 1.0, [1], [None], object())
NO_OPTIONS: tuple[Any, ...] = (5, "task_id", ["task_id"], [], 0)


def make(**kwargs: Any) -> gym.Env[Any, Any]:
    return gym.make("VLA-Tabletop-v0", **{**SIZE, **kwargs})


def perturbed() -> gym.Env[Any, Any]:
    return WRAPPERS["PerturbObservations"](tabletop())


def groups(group_size: Any = 2, **kwargs: Any) -> GroupVectorEnv:
    return GroupVectorEnv([tabletop] * 2, group_size, **kwargs)


ARGUMENTS = {
    "max_episode_steps": (lambda value: TabletopEnv(max_episode_steps=value), (*NO_INTEGERS, 0, 2**40)),
    "image_size": (lambda value: make(image_size=value), (*NO_INTEGERS, 15, 10**30)),
    "task_id": (lambda value: make(task_id=value), (*NO_SCALARS, [1.0], [True], ["0"], {0: 1}, 10**30)),
    "cameras": (lambda value: make(cameras=value), (*NO_NAMES, ["agentview", 3])),
    "split": (lambda value: make(split=value), (*NO_NAMES, np.array(["eval", "train"]))),
    "render_mode": (lambda value: TabletopEnv(render_mode=value), (*NO_NAMES, np.array(["rgb_array"]))),
    "seed": (lambda value: make().reset(seed=value), NO_INTEGERS),
    "init_state_id": (lambda value: make().reset(options={"init_state_id": value}), (*NO_INTEGERS, 10**30)),
    "reset task_id": (lambda value: make().reset(options={"task_id": value}), (*NO_INTEGERS, 10**30)),
    "options": (lambda value: make().unwrapped.reset(options=value), NO_OPTIONS),
    "camera_offset": (
        lambda value: make().reset(options={"camera_offset": value}),
        ("left", ["0", "0", "1", "1"], [0, 0, 1], [True] * 4, [None] * 4, [[0], [0, 1]]),
    ),
    "gripper_offset": (
        lambda value: make().reset(options={"gripper_offset": value}),
        ("up", ["0"] * 3, [True] * 3, [None] * 3, [0, 0, np.nan], {"x": 1}),
    ),
    "ActionChunk": (lambda value: ActionChunk(tabletop(), value), (*NO_INTEGERS, 0, 10**12)),
    "ActionChunk flat": (lambda value: ActionChunk(tabletop(), 2, flat=value), NO_FLAGS),
    "ActionHistory": (lambda value: ActionHistory(tabletop(), value), (*NO_INTEGERS, 0, 10**12)),
    "StackObservations": (lambda value: StackObservations(tabletop(), value), (*NO_INTEGERS, 0, 10**12)),
    "StackObservations keys": (lambda value: StackObservations(tabletop(), 2, value), (*NO_NAMES, "instruction")),
    "TokenizeInstruction": (lambda value: TokenizeInstruction(tabletop(), value), (*NO_INTEGERS, 0, 10**12)),
    "ResizeImages": (lambda value: ResizeImages(tabletop(), value), (*NO_INTEGERS, 10**12)),
    "NoisySuccess": (lambda value: NoisySuccess(tabletop(), value), (*NO_NUMBERS, 1.5, -0.1)),
    "NoisySuccess seed": (lambda value: NoisySuccess(tabletop(), 0.5).reset(seed=value), NO_INTEGERS),
    "PerturbObservations": (
        lambda value: PerturbObservations(tabletop(), light=True, severity=value),
        (*NO_NUMBERS, 1.5, -0.1),
    ),
    "PerturbObservations light": (lambda value: PerturbObservations(tabletop(), light=value), NO_FLAGS),
    "PerturbObservations seed": (
        lambda value: WRAPPERS["PerturbObservations"](tabletop()).reset(seed=value),
        NO_INTEGERS,
    ),
    "perturbation_seed": (lambda value: perturbed().reset(options={"perturbation_seed": value}), NO_INTEGERS),
    "PerturbObservations options": (lambda value: perturbed().reset(options=value), NO_OPTIONS),
    "ShapedReward": (lambda value: ShapedReward(tabletop(), {"reward": value}), NO_NUMBERS),
    "ShapedReward weights": (lambda value: ShapedReward(tabletop(), value), (5, "reward", ["reward"], None, {})),
    "ShapedReward dims": (
        lambda value: ShapedReward(tabletop(), {"reward": 1.0}, value),
        (1, "01", [1.0], [True], [[0]]),
    ),
    "DiscretizeActions": (
        lambda value: DiscretizeActions(tabletop(), value, [1.0] * 7),
        ("low", ["0"] * 7, [[0], [1, 2]]),
    ),
    "DiscretizeActions mask": (
        lambda value: DiscretizeActions(tabletop(), [0.0] * 7, [1.0] * 7, value),
        (1, "mask", ["1"] * 7, [0.5] * 7, [2] * 7),
    ),
    "RecordTrajectory": (lambda value: RecordTrajectory(tabletop(), value), (5, None, ["folder"])),
    "num_envs": (lambda value: gym.make_vec("VLA-Tabletop-v0", value), (*NO_INTEGERS, 0)),
    "steps of a vector": (
        lambda value: gym.make_vec("VLA-Tabletop-v0", 2, max_episode_steps=value),
        (*NO_INTEGERS, 0, 2**40),
    ),
    "group_size": (groups, (*NO_INTEGERS[:-2], 0, 3, 10**30)),
    "num_workers": (lambda value: groups(num_workers=value), NO_INTEGERS),
    "worker_timeout": (lambda value: groups(num_workers=1, worker_timeout=value), (*NO_NUMBERS, 0.0, -1)),
    "mode": (lambda value: groups(mode=value), NO_NAMES),
    "temperatures": (lambda value: groups(temperatures=value), ("hot", ["1", "1"], [1.0, None], [True, True], 1.0)),
    "prompts": (
        lambda value: groups(prompts=value),
        (5, [], [3], [(0, 1.0)], [(True, 0)], [(0, 1, 2)], ["01"], [(0, -1)]),
    ),
    "group seed": (lambda value: groups().reset(seed=value), (1.0, True, "3", [0.5, 1], [True, 1], -1)),
    "group options": (lambda value: groups().reset(options=value), NO_OPTIONS),
    "n_votes_per_prompt": (lambda value: VoteConfig(n_votes_per_prompt=value), (*NO_INTEGERS, 1)),
    "vote_share": (lambda value: VoteConfig(vote_share=value), (*NO_NUMBERS, 1.5)),
    "min_confidence_ratio": (lambda value: VoteConfig(min_confidence_ratio=value), (*NO_NUMBERS, 1.0)),
    "use_env_fallback": (lambda value: VoteConfig(use_env_fallback=value), NO_FLAGS),
    "efficiency_bucket": (efficiency_bucket, (*NO_INTEGERS, 0)),
    "final_state_cluster": (final_state_cluster, (*NO_NUMBERS, -0.1)),
    "decay": (lambda value: CurriculumPrompts([(0, 0)], value), (*NO_NUMBERS, 1.5)),
    "SequentialPrompts": (SequentialPrompts, (5, "01", [(0, "1")])),
    "temperature_schedule": (temperature_schedule, (*NO_INTEGERS, 0, 10**30)),
    "wrappers": (lambda value: make_vector_env("VLA-Tabletop-v0", 2, wrappers=value), (5, "wrap", [None], {1: 2})),
    "vector_kwargs": (
        lambda value: make_vector_env("VLA-Tabletop-v0", 2, plain=True, vector_kwargs=value),
        NO_OPTIONS,
    ),
    "env_fns": (lambda value: GroupVectorEnv(value, 1), (5, "ab", [], [None], [tabletop()])),
    "reset_mask": (lambda value: groups(mode="hold").reset(options={"reset_mask": value}), (5, "all", [[1], [1, 2]])),
    "starts": (lambda value: groups().reset_to(value), (5, "ab", [None], [(0, 0)], [GroupStart(0, 1.0)])),
    "attribute": (lambda value: groups().get_attr(value), NO_NAMES),
    "vote": (lambda value: groups(vote=value), (5, "majority", {})),
    "outcome": (lambda value: VoteConfig(outcome=value), (5, "success", None)),
    "outcomes": (majority_vote, (5, "ab", [[1], [1]])),
    "trajectories": (trajectory_metrics, (5, "ab", [], [None])),
    "speed": (lambda value: Expert(tabletop(), value), (*NO_NUMBERS, 0.0, 1.5)),
    "plan": (lambda value: Expert(make()).plan(value), (*NO_INTEGERS, 0)),
    "instruction": (encode_instruction, NO_NAMES),
    "length": (lambda value: hash_words("open the drawer", value), (*NO_INTEGERS, 10**30)),
    "encoded": (decode_instructions, ("open", [0.5], [256], [-1], [[1], [1, 2]])),
    "init_states": (lambda value: make().unwrapped.init_states(value, "all"), (*NO_INTEGERS, 10**30)),
    "scene_tasks": (lambda value: make().unwrapped.scene_tasks(value), (*NO_INTEGERS, 10**30)),
    "wrappers of make_vec": (
        lambda value: gym.make_vec("VLA-Tabletop-v0", 2, wrappers=value),
        (5, gym.Wrapper, lambda env: env),
    ),
    "noisy seed": (lambda value: noisy(env_success, 0.1, value), NO_INTEGERS),
    "select_top_k": (lambda value: select_top_k(value, 1), (None, 5, "abc", [1], [None])),
    "pass_at_k": (lambda value: pass_at_k(5, 1, value), (*NO_INTEGERS, 0, 6)),
    "trajectory success": (lambda value: Trajectory(value, 1, 2, 0.0), (None, 2, 0.5, "yes", float("nan"), [True])),
    "trajectory steps": (lambda value: Trajectory(True, value, 2, 0.0), (*NO_INTEGERS, 3)),
    "trajectory reward": (lambda value: Trajectory(True, 1, 2, value), NO_NUMBERS),
    "rewards": (group_advantages, ("ab", ["1", "0"], [None, 1.0], [[1.0], [0.0, 1.0]], 5)),
    "mask": (lambda value: group_advantages([1.0, 0.0], mask=value), ("ab", [0.5, 1.0], [True], [None, True])),
    "NumberedStarts": (NumberedStarts, NO_INTEGERS),
    "state of NumberedStarts": (lambda value: NumberedStarts(0).load_state_dict(value), (None, {}, {"seed": 0}, [1])),
    "state of SequentialPrompts": (
        lambda value: SequentialPrompts([(0, 0)]).load_state_dict({"position": value}),
        NO_INTEGERS,
    ),
    "state of CurriculumPrompts": (
        lambda value: CurriculumPrompts([(0, 0)]).load_state_dict({"outcomes": value}),
        (None, 5, [5], [[0, 0]], [[0, 0, "1", "1"]], [[0, 0, -1, 1]], [[0, 1, 1, 1]], [[0.0, 0, 1, 1]]),
    ),
    "group_id": (lambda value: groups().reset_to([GroupStart(value, 0)]), (*NO_INTEGERS, 10**30)),
    "prompt of a start": (
        lambda value: groups().reset_to([GroupStart(0, 0, value)]),
        (5, "01", (None, None), (0, 1.0), (0, 1, 2)),
    ),
    "efficiency_reward": (lambda value: efficiency_reward(value, 1, 2), ("yes", [0.5], float("nan"), None)),
    "tokens": (bin_centers, (-1, 256, 1.0, [0.5], "1", None)),
    "values of tokens": (nearest_tokens, (float("nan"), ["0.5"], None)),
    "path of an episode": (read_episode, (5, None, b"folder", ["folder"])),
}
"""What takes an argument, and values that it cannot take."""


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_value_that_cannot_be_meant_is_refused_by_name(name: str) -> None:
    """10.0 steps, True pixels, a chunk of 1.0 or a probability of NaN: accepted, or an error deep in NumPy."""
    call, values = ARGUMENTS[name]
    for value in values:
        with pytest.raises(InvalidArgumentError, match=r"(?s)Expect .*actually"):
            call(value)


@pytest.mark.parametrize("integer", [np.int64(3), np.uint8(3), np.int32(3)])
def test_integers_of_numpy_are_integers(integer: Any) -> None:
    """They come out of arrays of indices, and what they make is as from Python's own."""
    env = StackObservations(ActionHistory(ActionChunk(make(), integer), integer), integer)
    observation, info = env.reset(seed=integer, options={"task_id": integer, "init_state_id": integer})
    assert (info["task_id"], info["init_state_id"], info["max_steps"]) == (3, 3, 80)
    assert observation["action_history"].shape == (3, 7)
    assert env.observation_space.contains(observation)
    assert env.spec.to_json()


ACTIONS: tuple[Any, ...] = (
    "forward",
    ["0"] * 7,
    None,
    [None] * 7,
    [True] * 7,
    [[0.0], [0.0, 1.0]],
    np.zeros(7, complex),
    np.full(7, object()),
    np.full(7, np.nan),
    np.full(7, np.inf),
    {"action": 1.0},
    0.0,
    np.zeros((7, 7, 7)),
)


@pytest.mark.parametrize("wrap", [lambda env: env, *WRAPPERS.values()], ids=["bare", *WRAPPERS])
def test_what_is_no_action_is_refused_by_name(wrap: Any) -> None:
    """In every wrapper, before the simulation sees it; the episode goes on afterwards."""
    env = wrap(gym.make("VLA-Tabletop-v0", task_id=[0, 1], image_size=16, disable_env_checker=True))
    env.reset(seed=0)
    for action in ACTIONS:
        with pytest.raises(InvalidActionError, match=r"(?s)Expect .*actually"):
            env.step(action)
    env.action_space.seed(0)
    *_, info = env.step(env.action_space.sample())
    assert info["elapsed_steps"] == info["executed_actions"]


def test_recording_refuses_them_too(tmp_path: Any) -> None:
    """It casts actions to the dtype of the space, which would make numbers of texts."""
    env = RecordTrajectory(tabletop(), tmp_path)
    env.reset(seed=0)
    for action in ACTIONS:
        with pytest.raises(InvalidActionError):
            env.step(action)


@pytest.mark.parametrize("actions", [None, 2, "ab", [None, None], np.zeros((3, 7)), np.float32(2.0), [[0.0] * 6] * 2])
def test_groups_refuse_them_too(actions: Any) -> None:
    """One action for each environment."""
    envs = groups()
    envs.reset(seed=0)
    with pytest.raises(InvalidActionError, match=r"Expect .*actually"):
        envs.step(actions)


def test_bounds_that_are_left_out_are_refused() -> None:
    """They are said in the sentence."""
    check = partial(check_number, "ratio", lowest=0.0, highest=1.0, below=True)
    assert check(0.0) == 0.0
    with pytest.raises(VLAEnvsError, match="of at least 0 and below 1, actually: 1"):
        check(1)
    with pytest.raises(VLAEnvsError, match="a finite number above 0, actually: 0"):
        check_number("rate", 0, 0.0, above=True)
