"""What else a trajectory would have solved: hindsight relabeling over tasks that share a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_instance, check_integer, check_sequence
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import INSTRUCTION
from vla_envs.wrappers.instruction import INSTRUCTION_BYTES, INSTRUCTION_TOKENS, encode_instruction, hash_words

HINDSIGHT = "hindsight"
"""Info key of an episode's last step: a tuple of :class:`Hindsight`, one for each other task that was solved."""


class Hindsight(NamedTuple):
    """A task that a trajectory solved without being asked to."""

    task_id: int
    task: str
    """Its instruction."""
    elapsed_steps: int
    """Control steps after which it was first solved."""


class HindsightRelabel(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Says at the end of an episode which other tasks its trajectory solved on the way, and when.

    The last info gains ``hindsight``. The steps up to ``elapsed_steps`` are then exactly the episode that the
    other task would have had under the same actions: it has the same scene and start, ends with its success,
    and lies within its step limit. :func:`relabel` cuts and relabels such an episode. After Andrychowicz et
    al., "Hindsight Experience Replay" (2017), with instructions as goals. Rewards, ``success`` and
    ``task_reward`` stay those of the task that was asked for.

    Only tasks that the environment was made for count (its ``task_id`` argument), so that held-out tasks
    stay held out, and none that the start itself solves, which nobody would have to do anything for.

    The state is looked at once a step of this wrapper. Outside :class:`ActionChunk` that is once a chunk, and what
    was solved and undone within one chunk is not seen; inside, every control step is looked at, and drawn.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: an environment of this package that can tell what else was solved (``scene_tasks``, ``solved_tasks``).

    Raises:
        InvalidArgumentError: an environment that cannot, or one none of whose tasks share a scene (``libero_spatial``
            and ``libero_object``: each task's things stand elsewhere).

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import HindsightRelabel
        >>> env = HindsightRelabel(gym.make("VLA-Tabletop-v0", task_id=[0, 1]))
        >>> _ = env.reset(seed=0)
        >>> truncated = False
        >>> while not truncated:
        ...     *_, truncated, info = env.step([0, 0, 0, 0, 0, 0, 1])
        >>> info["hindsight"]
        ()
    """

    def __init__(self, env: gym.Env) -> None:
        _check_scenes(env.unwrapped)
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self._world: Any = env.unwrapped
        self._ignored: set[int] = set()
        self._solved: list[Hindsight] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and forget what was solved."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._ignored = {info["task_id"], *self._world.solved_tasks()}
        self._solved = []
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment and note what it solved."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        for task_id in self._world.solved_tasks():
            if task_id not in self._ignored:
                self._solved.append(Hindsight(task_id, self._world.tasks[task_id], info["elapsed_steps"]))
                self._ignored.add(task_id)
        if terminated or truncated:
            info = {**info, HINDSIGHT: tuple(self._solved)}
        return observation, float(reward), terminated, truncated, info


def relabel(
    observations: Sequence[Mapping[str, Any]], infos: Sequence[Mapping[str, Any]], hindsight: Hindsight
) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """The trajectory as that of the task that it solved without being asked to.

    Args:
        observations: those of the reset and of each step, with the instruction as text, tokens or bytes.
        infos: those of the reset and of each step.
        hindsight: from the last info.

    Returns:
        The observations (n + 1) up to the step that solved the task, with its instruction, and the rewards
        (n,) of that task: 0, and 1 for the last step. The actions are the first n.

    Raises:
        InvalidArgumentError: observations or infos of another trajectory.

    >>> observations = [{"instruction": "close the drawer", "state": step} for step in range(4)]
    >>> infos = [{"elapsed_steps": 8 * step} for step in range(4)]
    >>> relabeled, rewards = relabel(observations, infos, Hindsight(13, "put the red ball in the drawer", 16))
    >>> relabeled[-1], rewards.tolist()
    ({'instruction': 'put the red ball in the drawer', 'state': 2}, [0.0, 1.0])
    """
    _check_whole(observations, infos, hindsight)
    length = next(step for step, info in enumerate(infos) if info["elapsed_steps"] >= hindsight.elapsed_steps)
    rewards = np.zeros(length)
    rewards[-1] = 1.0
    return [_instructed(each, hindsight.task) for each in observations[: length + 1]], rewards


def _instructed(observation: Mapping[str, Any], task: str) -> dict[str, Any]:
    told = dict(observation)
    if INSTRUCTION in told:
        told[INSTRUCTION] = task
    if INSTRUCTION_TOKENS in told:
        told[INSTRUCTION_TOKENS] = hash_words(task, len(told[INSTRUCTION_TOKENS]))
    if INSTRUCTION_BYTES in told:
        told[INSTRUCTION_BYTES] = encode_instruction(task, len(told[INSTRUCTION_BYTES]))
    return told


def _check_whole(observations: Sequence[Any], infos: Sequence[Mapping[str, Any]], hindsight: Hindsight) -> None:
    check_instance("hindsight", hindsight, Hindsight)
    for name, each in (("observations", observations), ("infos", infos)):
        for one in check_sequence(name, each):
            check_instance(name, one, Mapping)
    steps = [check_integer("elapsed_steps", info.get("elapsed_steps"), 0) for info in infos]
    first, last = (steps[0], steps[-1]) if steps else (0, 0)
    if len(observations) != len(infos) or not 0 == first < hindsight.elapsed_steps <= last:
        raise InvalidArgumentError(
            f"Expect the observations and infos of one whole trajectory, reset included, of at least "
            f"{hindsight.elapsed_steps} control steps, actually: {len(observations)} observations and {len(infos)} "
            f"infos from control step {first} to {last}."
        )


def _check_scenes(env: Any) -> None:
    if not hasattr(env, "solved_tasks") or not hasattr(env, "scene_tasks"):
        raise InvalidArgumentError(
            f"Expect an environment that can tell which other tasks its state solves, by `scene_tasks(task_id)` and "
            f"`solved_tasks()`, such as VLA-Tabletop-v0 and VLA-Libero-v0, actually: {env}."
        )
    if not any(set(env.scene_tasks(task_id)) - {task_id} for task_id in env.task_ids):
        raise InvalidArgumentError(
            f"Expect at least two tasks of one scene, because a trajectory can only solve what stands in its own; "
            f"actually the tasks {env.task_ids} of suite {env.suite!r} have a scene each. Make the environment for "
            "more tasks by `task_id=None` or a list."
        )
