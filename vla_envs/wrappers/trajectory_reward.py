"""Rewards of whole trajectories, given with the step that ends one: a verdict, an efficiency, several objectives."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import (
    check_integer,
    check_mapping,
    check_names,
    check_number,
    check_numbers,
    check_seed,
    check_sequence,
)
from vla_envs.errors import InvalidActionError, InvalidArgumentError
from vla_envs.rewards import (
    efficiency_reward,
    energy_penalty,
    smoothness_penalty,
    step_penalty,
    weighted_reward,
)
from vla_envs.spec import ACTION_DIM, to_numpy
from vla_envs.wrappers.action_chunk import ActionChunk, executed_actions
from vla_envs.wrappers.checks import actions_of, layers_of, refuse_outside

VERDICT = "verdict"
"""Info key: bool, the success as the verifier sees it; False until the episode has ended."""
REWARD_TERMS = "reward_terms"
"""Info key: name -> weighted objective, which sum to the reward; 0 until the episode has ended."""

OBJECTIVES = ("reward", "efficiency", "steps", "energy", "smoothness")
"""What can be weighted: the return of the wrapped environment, and the functions of :mod:`vla_envs.rewards`."""


class NoisySuccess(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Rewards the verdict on a finished trajectory of a verifier that errs with probability ``p``.

    The last step's reward is 1.0 where the verdict is success and 0.0 where not, every other
    step's is 0.0; the verdict is ``info["verdict"]``. ``info["success"]``, ``info["task_reward"]``,
    ``terminated`` and ``truncated`` tell the truth. :class:`EfficiencyReward` and :class:`ShapedReward`
    outside of it score the verdict.

    A verdict depends on the seed of the reset and on the trajectory's actions: the same trajectory gets
    the same verdict, and those of a group, which share their seed, get independent ones as soon as
    their actions differ. The environment's own generator is left alone.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: an environment whose info has ``success``.
        p: probability that a verdict is wrong, from 0 to 1.

    Raises:
        InvalidArgumentError: ``p`` outside its range, or another wrapper of this module inside.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import NoisySuccess
        >>> env = NoisySuccess(gym.make("VLA-Tabletop-v0", task_id=0, max_episode_steps=1), p=1.0)
        >>> _ = env.reset(seed=0)
        >>> _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> reward, bool(info["verdict"]), bool(info["success"])
        (1.0, True, False)
    """

    def __init__(self, env: gym.Env, p: float) -> None:
        p = check_number("p", p, 0, 1)
        refuse_outside(
            self,
            env,
            (NoisySuccess, EfficiencyReward, ShapedReward),
            because="its verdict would take the place of what the inner one rewards",
            instead="put it inside, once",
        )
        gym.utils.RecordConstructorArgs.__init__(self, p=p)
        gym.Wrapper.__init__(self, env)
        self.p = p
        self._generator = np.random.default_rng()
        self._episode_seed = 0
        self._checksum = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; ``seed`` also fixes the errors of this and all later episodes."""
        seed = check_seed(seed)
        if seed is not None:
            # Not the seed alone: the environment draws its prompts from that stream.
            self._generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        self._episode_seed = int(self._generator.integers(2**63))
        self._checksum = 0
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, **to_numpy({VERDICT: False})}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment, and give the verdict where the trajectory ends."""
        numbers = check_numbers("action", action, InvalidActionError)
        self._checksum = zlib.crc32(numbers.tobytes(), self._checksum)
        observation, _, terminated, truncated, info = self.env.step(action)
        verdict = bool((terminated or truncated) and bool(info["success"]) != self._errs())
        return observation, float(verdict), terminated, truncated, {**info, **to_numpy({VERDICT: verdict})}

    def _errs(self) -> bool:
        return bool(np.random.default_rng((self._episode_seed, self._checksum)).random() < self.p)


class EfficiencyReward(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Replaces the reward of the step that ends an episode by ``success / (1 + steps / max_steps)``.

    Every other step is rewarded 0. ``info["success"]`` and ``info["task_reward"]`` stay as they are.
    Outside :class:`NoisySuccess` the success is the verdict, ``info["verdict"]``.
    For groups of trajectories score whole trajectories with
    :func:`vla_envs.rewards.efficiency_reward` instead; it takes arrays.

    Args:
        env: an environment whose info has ``success``, ``elapsed_steps`` and ``max_steps``.

    Raises:
        InvalidArgumentError: a :class:`ShapedReward` inside.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import EfficiencyReward
        >>> env = EfficiencyReward(gym.make("VLA-Tabletop-v0", task_id=0))
        >>> _ = env.reset(seed=0)
        >>> env.step(env.action_space.sample())[1]
        0.0
    """

    def __init__(self, env: gym.Env) -> None:
        refuse_outside(
            self,
            env,
            ShapedReward,
            because="it would take the place of the weighted objectives",
            instead="weigh 'efficiency' in the inner one",
        )
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment and score the trajectory where it ends."""
        observation, _, terminated, truncated, info = self.env.step(action)
        ended = terminated or truncated
        reward = (
            efficiency_reward(success_of(info), info["elapsed_steps"], step_limit(self.env, info)) if ended else 0.0
        )
        return observation, float(reward), terminated, truncated, info


class ShapedReward(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Replaces the reward of the step that ends an episode by a weighted sum of objectives.

    Every other step is rewarded 0. The last info has each term apart as ``reward_terms``; ``success`` and
    ``task_reward`` stay as they are. The objectives, of whole trajectories and of the actions that ran:

    * ``reward``: the sum of the wrapped environment's rewards;
    * ``efficiency``: :func:`~vla_envs.rewards.efficiency_reward`;
    * ``steps``: :func:`~vla_envs.rewards.step_penalty`;
    * ``energy``: :func:`~vla_envs.rewards.energy_penalty`;
    * ``smoothness``: :func:`~vla_envs.rewards.smoothness_penalty`.

    The penalties lie in [-1, 0]: where their weights sum to less than that of ``reward``, every success is
    worth more than every failure. Outside :class:`NoisySuccess` the success is the verdict.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: an environment whose info has ``success``, ``elapsed_steps`` and ``max_steps``, with a Box action
            space (A,) or (K, A).
        weights: objective -> weight, at least one.
        dims: the numbers of an action that ``energy`` and ``smoothness`` look at; None takes the first six of
            the single arm's seven, without the gripper, and all of any other action.

    Raises:
        InvalidArgumentError: an unknown objective, no weight or one that is not finite, ``dims`` that the action
            lacks, an action space beyond [-1, 1] where it counts, or an EfficiencyReward or ShapedReward inside
            without a weight for ``reward``.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import ShapedReward
        >>> env = gym.make("VLA-Tabletop-v0", task_id=0, max_episode_steps=1)
        >>> env = ShapedReward(env, {"reward": 1.0, "steps": 0.5, "energy": 0.25})
        >>> _ = env.reset(seed=0)
        >>> _, reward, terminated, truncated, info = env.step([1.0, 0, 0, 0, 0, 0, -1])
        >>> round(reward, 4), {name: float(round(term, 4)) for name, term in info["reward_terms"].items()}
        (-0.5417, {'reward': 0.0, 'steps': -0.5, 'energy': -0.0417})
    """

    def __init__(self, env: gym.Env, weights: Mapping[str, float], dims: Sequence[int] | None = None) -> None:
        weights = check_mapping("weights", weights)
        check_names("weights", list(weights), OBJECTIVES)
        weighted_reward(dict.fromkeys(weights, 0.0), weights)  # raises for weights that are none
        if "reward" not in weights:
            refuse_outside(
                self,
                env,
                (EfficiencyReward, ShapedReward),
                because="without a weight for 'reward' what the inner one rewards would be lost",
                instead="weigh 'reward'",
            )
        space = actions_of(env)
        chosen = _check_dims(space, weights, dims)
        gym.utils.RecordConstructorArgs.__init__(self, weights=weights, dims=dims)
        gym.Wrapper.__init__(self, env)
        self.weights = dict(weights)
        self.dims = chosen
        self._space = space
        self._actions: list[NDArray[Any]] = []
        self._return = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and begin a trajectory."""
        self._actions, self._return = [], 0.0
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, REWARD_TERMS: to_numpy(dict.fromkeys(self.weights, 0.0))}

    def step(self, action: ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment and score the trajectory where it ends."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        self._actions.append(executed_actions(self._space, action, info))
        if not (terminated or truncated):
            terms = to_numpy(dict.fromkeys(self.weights, 0.0))
            return observation, 0.0, terminated, truncated, {**info, REWARD_TERMS: terms}
        objectives = self._objectives(info)
        score = weighted_reward({name: objectives[name] for name in self.weights}, self.weights)
        terms = to_numpy({name: float(term) for name, term in score.terms.items()})
        return observation, float(score.total), terminated, truncated, {**info, REWARD_TERMS: terms}

    def _objectives(self, info: dict[str, Any]) -> dict[str, ArrayLike]:
        steps, limit = info["elapsed_steps"], step_limit(self.env, info)
        actions = np.concatenate(self._actions)[:, self.dims]
        return {
            "reward": self._return,
            "efficiency": efficiency_reward(success_of(info), steps, limit),
            "steps": step_penalty(steps, limit),
            "energy": energy_penalty(actions),
            "smoothness": smoothness_penalty(actions),
        }


def success_of(info: Mapping[str, Any]) -> bool:
    """The success that a reward scores: a verifier's verdict where there is one, else the truth."""
    return bool(info.get(VERDICT, info["success"]))


def step_limit(env: gym.Env, info: Mapping[str, Any]) -> int:
    """Control steps after which an episode ends: the environment's limit, or that of a TimeLimit around it.

    The environment does not know of a TimeLimit that a user puts around it. Around an :class:`ActionChunk` it counts
    chunks.
    """
    limit, steps_per_action = info["max_steps"], 1
    for layer in reversed(list(layers_of(env))):
        if isinstance(layer, ActionChunk):
            steps_per_action *= layer.chunk_size
        elif isinstance(layer, gym.wrappers.TimeLimit):
            limit = min(limit, layer._max_episode_steps * steps_per_action)
    return limit


def _check_dims(space: spaces.Box, weights: Mapping[str, float], dims: Sequence[int] | None) -> list[int]:
    count = space.shape[-1]
    usual = range(ACTION_DIM - 1 if count == ACTION_DIM else count)
    chosen = list(usual) if dims is None else check_sequence("dims", dims)
    chosen = [check_integer("dims", each, 0, count - 1) for each in chosen]
    if not chosen:
        raise InvalidArgumentError("Expect `dims` to name at least one number of an action, actually: none.")
    beyond = (space.low[..., chosen] < -1).any() or (space.high[..., chosen] > 1).any()
    if beyond and {"energy", "smoothness"} & set(weights):
        raise InvalidArgumentError(
            f"Expect an action space within [-1, 1] to weigh 'energy' or 'smoothness', actually: {space}."
        )
    return chosen
