"""N trajectories of one prompt, side by side: the vector environment behind test-time RL."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import ArrayLike, NDArray

from vla_envs.errors import InvalidActionError, InvalidArgumentError, check_choice
from vla_envs.group.members import EnvFns, LocalMembers, Members, MemberSpec, Start, TimeStep, prompt_of
from vla_envs.group.workers import make_members
from vla_envs.spec import TEMPERATURE, Prompt

MODES = ("hold",)

_INFO_DTYPES: Mapping[str, Any] = {
    "success": np.bool_,
    "task_reward": np.float32,
    "elapsed_steps": np.int64,
    "max_steps": np.int64,
    "task_id": np.int64,
    "task": np.object_,
    "init_state_id": np.int64,
}


class GroupVectorEnv(VectorEnv):
    """P prompts x N members: ``reset`` draws P prompts and starts all N members of a group on the same one.

    Member ``i`` belongs to group ``i // group_size``. The group's first environment draws the
    prompt; the others are reset to it through ``options``, or, where an environment's info names
    no prompt, all members of a group are reset with the same seed.

    In mode ``"hold"`` a member reports ``terminated`` or ``truncated`` at its true step and then
    idles until the next ``reset``: its environment is not stepped, its observation stays the last
    one, its reward is 0 and its flags are False.

    Infos are arrays over the members: ``group_id`` (unique in this object), ``trajectory_index``
    (0..N-1), ``active`` (the member's episode still runs), ``valid``, and ``success``, ``task_reward``,
    ``elapsed_steps``, ``max_steps``, ``task_id``, ``task``, ``init_state_id`` of the contract, with
    ``final_state`` (object array, None before a member's end).

    With ``num_workers`` the members live in processes of their own, with results equal bit for bit.
    A process that dies or hangs is replaced, and the trajectories that it lost end in that step:
    ``truncated``, reward 0, and False in ``valid``, which is True otherwise. Such a trajectory has
    neither succeeded nor failed, whatever ``success`` says; its observation and info are those of
    its prompt, to which the new process has put it back.

    Args:
        env_fns: one constructor per member, in group order.
        group_size: N; divides the number of environments.
        mode: ``"hold"``.
        temperatures: (N,) sampling temperatures, or None for 1 everywhere. Observations gain them
            as ``temperature``, float32 (num_envs, 1), when the environments observe dictionaries.
        prompts: an explicit list to walk through, P at a time, instead of drawing; groups left
            without a prompt start inactive. ``reset(seed=...)`` starts the list anew.
        num_workers: processes that host a slice of the members each; 0 keeps all in this one.
        worker_timeout: seconds after which a worker that does not answer is killed; its first answer
            includes importing and making the environments.
        worker_env: environment variables of the workers, set before they import anything; worker ``i``
            gets ``worker_env[i % len(worker_env)]``, such as ``{"MUJOCO_EGL_DEVICE_ID": "1"}``.

    Raises:
        InvalidArgumentError: a group size that does not divide the environments, another mode,
            temperatures that are not N positive numbers, or arguments of workers that cannot work.
        WorkerError: the constructor, ``reset``, ``step`` and ``render`` raise it when a worker fails
            again after three replacements in a row. Nothing can be sampled any more then.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> envs = gym.make_vec("VLA-Tabletop-v0", num_envs=4, vectorization_mode="vector_entry_point", group_size=2)
        >>> observations, infos = envs.reset(seed=0)
        >>> infos["group_id"].tolist()
        [0, 0, 1, 1]
        >>> bool((observations["image"][0] == observations["image"][1]).all())
        True
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012  (Gymnasium's own shape)

    def __init__(
        self,
        env_fns: EnvFns,
        group_size: int,
        mode: str = "hold",
        temperatures: ArrayLike | None = None,
        prompts: Sequence[Prompt] | None = None,
        num_workers: int = 0,
        worker_timeout: float = 300.0,
        worker_env: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        # Gymnasium closes a vector environment even when its constructor has failed.
        self.members: Members = LocalMembers(())
        check_choice("mode", mode, MODES)
        if not env_fns or group_size < 1 or len(env_fns) % group_size:
            raise InvalidArgumentError(
                f"Expect the `group_size` to divide the number of environments ({len(env_fns)}), "
                f"actually: {group_size}."
            )
        self.group_size = group_size
        self.num_envs = len(env_fns)
        self.num_groups = self.num_envs // group_size
        self.temperatures = _check_temperatures(temperatures, group_size)
        self.prompts = prompts
        self.members = make_members(env_fns, num_workers, worker_timeout, worker_env)
        self._adopt(self.members.spec)
        self._queue: Iterator[Prompt] = iter(())
        self._next_group_id = 0
        self._observations: list[Any] = [None] * self.num_envs
        self._infos: list[dict[str, Any]] = [{}] * self.num_envs
        self._valid = np.ones(self.num_envs, bool)
        self.active: NDArray[np.bool_] = np.zeros(self.num_envs, bool)
        """bool (num_envs,): which members' episodes still run."""

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start one episode in every member.

        Args:
            seed: fixes the prompts of this and all later resets.
            options: go to the environments' ``reset``.
        """
        super().reset(seed=seed)
        if seed is not None or self._next_group_id == 0:
            self._queue = iter(self.prompts or ())
        firsts = self._draw_starts(dict(options or {}))
        self._take(self.members.reset(firsts))
        self._take(self.members.reset(self._follow(firsts)))
        self._next_group_id += self.num_groups
        return self._stack(), self._gather()

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step the active members; ``actions``: (num_envs, ...), those of idle members are ignored.

        Raises:
            ResetNeeded: before the first ``reset``.
            InvalidActionError: not one action per member, or one that an environment refuses; other
                members may have been stepped then, and only a ``reset`` brings them together again.
        """
        if self._next_group_id == 0:
            raise ResetNeeded("No episode was started: call `reset()` before `step()`.")
        if len(actions) != self.num_envs:
            raise InvalidActionError(
                f"Expect one action for each of {self.num_envs} members, actually: {len(actions)}."
            )
        every = enumerate(iterate(self.action_space, actions))
        time_steps = self.members.step({index: action for index, action in every if self.active[index]})
        self._take(time_steps)
        rewards = np.zeros(self.num_envs, np.float64)
        terminated = np.zeros(self.num_envs, bool)
        truncated = np.zeros(self.num_envs, bool)
        for index, each in time_steps.items():
            rewards[index], terminated[index], truncated[index] = each.reward, each.terminated, each.truncated
        self.active &= ~(terminated | truncated)
        return self._stack(), rewards, terminated, truncated, self._gather()

    def render(self) -> tuple[Any, ...]:
        """The members' frames; None where a worker failed and the member's episode is not there any more."""
        frames = self.members.render(range(self.num_envs))
        return tuple(frames[index] for index in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Close every member and end all workers."""
        self.members.close()

    def _adopt(self, spec: MemberSpec) -> None:
        """Adopt the spaces and metadata of the members, which are all alike."""
        self.metadata = {**spec.metadata, **self.metadata}
        self.render_mode = spec.render_mode
        self._member_space = spec.observation_space
        self.single_action_space = spec.action_space
        self.single_observation_space = _with_temperature(self._member_space)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._buffer = create_empty_array(self._member_space, self.num_envs)

    def _draw_starts(self, options: dict[str, Any]) -> dict[int, Start]:
        """Where the first member of each group begins that has a prompt."""
        starts = {}
        for first in range(0, self.num_envs, self.group_size):
            prompt = next(self._queue, None)
            idle = self.prompts is not None and prompt is None
            self.active[first : first + self.group_size] = not idle
            if idle and self._observations[first] is not None:
                continue
            # Not the seed plus the group: processes whose seeds follow each other would draw the same prompts.
            seed = int(self.np_random.integers(2**31))
            starts[first] = Start(seed, {**options, **(prompt._asdict() if prompt else {})})
        return starts

    def _follow(self, firsts: Mapping[int, Start]) -> dict[int, Start]:
        """Where the others of the groups begin: at the prompt that their first member is at."""
        # An environment outside the contract names no prompt: the shared seed is what its group shares.
        return {
            index: Start(start.seed, {**start.options, **prompt_of(self._infos[first])})
            for first, start in firsts.items()
            for index in range(first + 1, first + self.group_size)
        }

    def _take(self, time_steps: Mapping[int, TimeStep]) -> None:
        for index, each in time_steps.items():
            self._observations[index] = each.observation
            self._infos[index] = each.info
            self._valid[index] = each.valid

    def _stack(self) -> Any:
        stacked = copy.deepcopy(concatenate(self._member_space, self._observations, self._buffer))
        if isinstance(stacked, dict):
            stacked[TEMPERATURE] = np.tile(self.temperatures, self.num_groups)[:, None]
        return stacked

    def _gather(self) -> dict[str, Any]:
        members = np.arange(self.num_envs)
        infos: dict[str, Any] = {
            "group_id": members // self.group_size + self._next_group_id - self.num_groups,
            "trajectory_index": members % self.group_size,
            "active": self.active.copy(),
            "valid": self._valid.copy(),
        }
        for key, dtype in _INFO_DTYPES.items():
            if key in self._infos[0]:
                infos[key] = np.array([info[key] for info in self._infos], dtype)
        infos["final_state"] = _object_array(info.get("final_state") for info in self._infos)
        return infos


def _check_temperatures(temperatures: ArrayLike | None, group_size: int) -> NDArray[np.float32]:
    if temperatures is None:
        return np.ones(group_size, np.float32)
    checked = np.asarray(temperatures, np.float32)
    if checked.shape != (group_size,) or not ((checked > 0) & np.isfinite(checked)).all():
        raise InvalidArgumentError(
            f"Expect `temperatures` to be {group_size} positive numbers, actually: {checked.tolist()}."
        )
    return checked


def _with_temperature(space: spaces.Space) -> spaces.Space:
    if not isinstance(space, spaces.Dict):
        return space
    return spaces.Dict({**space.spaces, TEMPERATURE: spaces.Box(0.0, np.inf, (1,), np.float32)})


def _object_array(values: Iterable[Any]) -> NDArray[np.object_]:
    values = list(values)
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = value
    return array
