"""The sub-environments of groups: where they begin, what they show, and where they end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vla_envs.errors import UnknownAttributeError
from vla_envs.group.starts import GroupStart, GroupStarts, Start
from vla_envs.group.trajectory import Trajectory
from vla_envs.spec import ANSWER, FINAL_STATE, INFO_KEYS, Prompt, action_shape

EnvFns = Sequence[Callable[[], gym.Env]]
"""One constructor per environment."""
NO_GROUP = -1
"""The id where no prompt was left to start a group at."""
EPISODE = "episode"
"""Info key under which Gymnasium's ``RecordEpisodeStatistics`` tells of an ended trajectory."""
LASTING_KEYS = (*INFO_KEYS, FINAL_STATE)
"""What the info of an idle environment still says; the rest, such as episode statistics, belongs to the step that
brought it."""


class TimeStep(NamedTuple):
    """What an environment shows after a reset or a step."""

    observation: Any
    info: dict[str, Any]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    valid: bool = True
    """False where a fault, and not the task, ended the trajectory: it has neither succeeded nor failed."""


class SubEnvSpec(NamedTuple):
    """What is the same for all environments."""

    observation_space: spaces.Space
    action_space: spaces.Space
    metadata: dict[str, Any]
    render_mode: str | None
    prompts: tuple[Prompt, ...] | None
    """What episodes may start from; None outside the contract."""
    action_shape: tuple[int, ...] | None
    """(A,) of an action, or (K, A) of a chunk that is given flat or in rows; None where actions have no shape."""

    @classmethod
    def of(cls, env: gym.Env) -> SubEnvSpec:
        """That of an environment."""
        prompts = tuple(env.unwrapped.prompts()) if hasattr(env.unwrapped, "prompts") else None
        shape = action_shape(env)
        return cls(env.observation_space, env.action_space, env.metadata, env.render_mode, prompts, shape)


class Call(NamedTuple):
    """What is asked of an environment and its wrappers."""

    name: str
    """Of an attribute; a method is called."""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}


class SubEnvs(Protocol):
    """Environments that run side by side, by their index. Those that a call does not name stay as they are."""

    @property
    def spec(self) -> SubEnvSpec:
        """What is the same for all of them."""

    def reset(self, starts: Mapping[int, Start]) -> dict[int, TimeStep]:
        """Begin an episode in each of these environments."""

    def step(self, actions: Mapping[int, Any]) -> dict[int, TimeStep]:
        """Step these environments."""

    def render(self, indices: Iterable[int]) -> dict[int, Any]:
        """The frames of these environments."""

    def call(self, calls: Mapping[int, Call]) -> dict[int, Any]:
        """The attributes of these environments, or what their methods return."""

    def set_attr(self, name: str, values: Mapping[int, Any]) -> None:
        """Set an attribute of these environments, where it is: on a wrapper or on what is inside."""

    def close(self) -> None:
        """Close all environments."""


class LocalSubEnvs:
    """Environments in this process, one after the other."""

    def __init__(self, env_fns: EnvFns) -> None:
        self.envs = [make() for make in env_fns]

    @property
    def spec(self) -> SubEnvSpec:
        """That of the first."""
        return SubEnvSpec.of(self.envs[0])

    def reset(self, starts: Mapping[int, Start]) -> dict[int, TimeStep]:
        """Reset the environments of ``starts``."""
        return {
            index: TimeStep(*self.envs[index].reset(seed=start.seed, options=dict(start.options)))
            for index, start in starts.items()
        }

    def step(self, actions: Mapping[int, Any]) -> dict[int, TimeStep]:
        """Step the environments of ``actions``."""
        time_steps = {}
        for index, action in actions.items():
            observation, reward, terminated, truncated, info = self.envs[index].step(action)
            # An environment says so where its own simulator died or hung, and not the task ended the trajectory.
            valid = bool(info.get("valid", True))
            time_steps[index] = TimeStep(observation, info, float(reward), bool(terminated), bool(truncated), valid)
        return time_steps

    def render(self, indices: Iterable[int]) -> dict[int, Any]:
        """Render the environments of ``indices``."""
        return {index: self.envs[index].render() for index in indices}

    def call(self, calls: Mapping[int, Call]) -> dict[int, Any]:
        """Ask the environments of ``calls``.

        Raises:
            UnknownAttributeError: one has no such attribute.
        """
        results = {}
        for index, (name, args, kwargs) in calls.items():
            self._check_attribute(index, name)
            value = self.envs[index].get_wrapper_attr(name)
            results[index] = value(*args, **kwargs) if callable(value) else value
        return results

    def set_attr(self, name: str, values: Mapping[int, Any]) -> None:
        """Set the attribute of the environments of ``values``.

        Raises:
            UnknownAttributeError: one has no such attribute.
        """
        for index, value in values.items():
            self._check_attribute(index, name)
            self.envs[index].set_wrapper_attr(name, value)

    def _check_attribute(self, index: int, name: str) -> None:
        if not self.envs[index].has_wrapper_attr(name):
            raise UnknownAttributeError(
                f"Expect an attribute of the environments or their wrappers, actually: {name!r} of {self.envs[index]}."
            )

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()


class Groups:
    """P groups of N sub-environments; environment ``i`` belongs to group ``i // N``.

    Args:
        sub_envs: all environments, in group order.
        num_envs: their number, P * N.
        group_size: N.
        starts: draws where groups begin.
    """

    def __init__(self, sub_envs: SubEnvs, num_envs: int, group_size: int, starts: GroupStarts) -> None:
        self.sub_envs = sub_envs
        self.size = group_size
        self.starts = starts
        self.episodes = Episodes(num_envs, sub_envs.spec.action_shape)
        self.ids = np.zeros(num_envs // group_size, np.int64)
        """(P,): unique in this object, or :data:`NO_GROUP`."""
        self.temperatures = np.ones((num_envs, 1), np.float32)
        """(P * N, 1): of the running trajectories, or of the last ones."""
        self._new_ids = count()

    def envs_of(self, group: int) -> range:
        """The indices of a group's environments."""
        return range(group * self.size, (group + 1) * self.size)

    def with_any(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(P,): which groups have one of the chosen environments, (P * N,)."""
        return np.any(chosen.reshape(-1, self.size), axis=1)

    def begin(
        self,
        groups: Iterable[int],
        options: Mapping[str, Any],
        rng: np.random.Generator,
        temperatures: NDArray,
        seeds: Mapping[int, int | None] | None = None,
    ) -> None:
        """Start new trajectories in these groups, at these temperatures (N,); groups without a prompt left idle."""
        drawn = {group: self.starts.draw(group, options, rng, (seeds or {}).get(group)) for group in groups}
        starts = {group: start for group, start in drawn.items() if start is not None}
        for group in starts:
            self.ids[group] = next(self._new_ids)
        self._launch(starts, drawn.keys() - starts.keys(), options, temperatures)

    def begin_at(self, given: Sequence[GroupStart], temperatures: NDArray) -> None:
        """Start the first groups where a caller says; the others idle."""
        starts = {group: self.starts.place(group, start) for group, start in enumerate(given)}
        self.ids[: len(given)] = [start.group_id for start in given]
        self._launch(starts, range(len(given), len(self.ids)), {}, temperatures)

    def step(self, actions: Mapping[int, Any], end_together: bool) -> NDArray[np.float64]:
        """Step these environments; returns the rewards of all, 0 for those that were not stepped.

        Args:
            actions: by the indices of the environments.
            end_together: have a fault end its whole group, which is started again at its prompt.
        """
        rewards = self.episodes.advance(actions, self.sub_envs.step(actions))
        if end_together:
            for group in {index // self.size for index in actions if not self.episodes.valid[index]}:
                self.starts.cut_short(group)
                self.episodes.cut(self.envs_of(group))
                rewards[self.envs_of(group)] = 0.0
        return rewards

    def conclude(self, group: int) -> bool:
        """Take note of how the trajectories of a group ended; False where a fault has ended one of them."""
        envs = self.envs_of(group)
        if not self.episodes.valid[envs].all():
            return False
        self.starts.ended(group, [bool(self.episodes.infos[index].get("success", False)) for index in envs])
        return True

    def trajectories(self, group: int) -> list[Trajectory]:
        """The ended trajectories of a group of the contract."""
        return [
            self.episodes.trajectory(index, place, float(self.temperatures[index, 0]))
            for place, index in enumerate(self.envs_of(group))
        ]

    def _launch(
        self, starts: Mapping[int, Start], idle: Collection[int], options: Mapping[str, Any], temperatures: NDArray
    ) -> None:
        """Start the trajectories of the groups of ``starts``; those of ``idle`` wait without any."""
        firsts = {self.envs_of(group).start: start for group, start in starts.items()}
        waiting = [index for group in idle for index in self.envs_of(group)]
        for group in idle:
            self.ids[group] = NO_GROUP
            if self.episodes.observations[self.envs_of(group).start] is None:
                firsts[self.envs_of(group).start] = Start(0, options)  # even an idle environment is observed
        for first in firsts:
            self.temperatures[self.envs_of(first // self.size), 0] = temperatures
        self.episodes.begin(self.sub_envs.reset(firsts))
        self.episodes.begin(self.sub_envs.reset(self._follow(firsts)))
        self.episodes.idle(waiting)

    def _follow(self, firsts: Mapping[int, Start]) -> dict[int, Start]:
        """Where the others of the groups begin: at the prompt that their first environment is at."""
        # An environment outside the contract names no prompt: the shared seed is what its group shares.
        return {
            index: Start(start.seed, {**start.options, **prompt_of(self.episodes.infos[first])})
            for first, start in firsts.items()
            for index in range(first + 1, first + self.size)
        }


class Episodes:
    """The running or ended trajectory of each environment; arrays are over the environments.

    Args:
        num_envs: number of environments.
        action_shape: (A,) of their actions or (K, A) of their chunks; None takes that of the arrays.
    """

    def __init__(self, num_envs: int, action_shape: tuple[int, ...] | None = None) -> None:
        self._action_shape = action_shape
        self.observations: list[Any] = [None] * num_envs
        self.infos: list[dict[str, Any]] = [{}] * num_envs
        self.actions: list[list[NDArray]] = [[] for _ in range(num_envs)]
        """The actions that were executed, one row per control step in arrays of a chunk each."""
        self.active = np.zeros(num_envs, bool)
        self.valid = np.ones(num_envs, bool)
        self.terminated = np.zeros(num_envs, bool)
        self.truncated = np.zeros(num_envs, bool)
        self.executed = np.zeros(num_envs, np.int64)
        """Control steps that the last step made."""
        self.steps = np.zeros(num_envs, np.int64)
        """Control steps of the trajectory."""
        self.returns = np.zeros(num_envs)
        """Sum of the rewards of the trajectory."""
        self._told = np.zeros(num_envs, bool)
        """Whose trajectories' statistics an info has told."""

    def begin(self, time_steps: Mapping[int, TimeStep]) -> None:
        """Take note of environments that were reset."""
        self._forget(list(time_steps))
        for index, each in time_steps.items():
            self._show(index, each)
            self.active[index] = True

    def advance(self, actions: Mapping[int, Any], time_steps: Mapping[int, TimeStep]) -> NDArray[np.float64]:
        """Take note of environments that were stepped; returns the rewards of all, 0 for those that were not."""
        rewards = np.zeros(len(self.active))
        self.executed[:] = 0
        for index, info in enumerate(self.infos):
            if index not in time_steps:
                self.infos[index] = {key: info[key] for key in LASTING_KEYS if key in info}
        for index, each in time_steps.items():
            self._show(index, each)
            rewards[index] = each.reward
            self.active[index] = not (each.terminated or each.truncated)
            self._told[index] = EPISODE in each.info
            if each.valid:
                self.executed[index] = each.info.get("executed_actions", 1)
                self.actions[index].append(_executed(actions[index], self._action_shape, each.info))
        self.steps += self.executed
        self.returns += rewards
        return rewards

    def idle(self, indices: list[int]) -> None:
        """Have these environments wait without a trajectory: of the last one only the observation stays."""
        self._forget(indices)
        for index in indices:
            self.infos[index] = {}

    def cut(self, indices: Iterable[int]) -> None:
        """End the trajectories of these environments before their task does; those still running are truncated."""
        chosen = np.zeros(len(self.active), bool)
        chosen[list(indices)] = True
        self.truncated |= chosen & self.active
        self.active &= ~chosen
        self.valid &= ~chosen

    def add_statistics(self, indices: Iterable[int], returns: NDArray[np.float64] | None) -> None:
        """Have the infos of ended environments say the return and the length of their trajectories, as Gymnasium does.

        Args:
            indices: of the environments, which may have said so themselves.
            returns: of all environments; None takes what their steps have paid.
        """
        returns = self.returns if returns is None else returns
        for index in indices:
            if not self._told[index]:
                statistics = {"r": float(returns[index]), "l": len(self.actions[index])}
                self.infos[index] = {**self.infos[index], EPISODE: statistics}

    def trajectory(self, index: int, place: int, temperature: float) -> Trajectory:
        """What an ended environment of the contract has shown, ``place`` being its place in its group."""
        info, prompt = self.infos[index], prompt_of(self.infos[index])
        return Trajectory(
            success=bool(info["success"]),
            steps=int(self.steps[index]),
            max_steps=int(info["max_steps"]),
            task_reward=float(info["task_reward"]),
            env_return=float(self.returns[index]),
            final_state=info.get(FINAL_STATE),
            answer=str(info.get(ANSWER, "")) or None,
            actions=np.concatenate(self.actions[index]),
            prompt=Prompt(**prompt) if prompt else None,
            index=place,
            temperature=temperature,
        )

    def gather(self) -> dict[str, Any]:
        """The infos of all environments, with what is known of them here."""
        infos = stack_infos(self.infos)
        for mask in ("_executed_actions", "_valid"):  # known of every environment: 0 and its last one where it idled
            infos.pop(mask, None)
        ended = self.terminated | self.truncated
        return {
            **infos,
            "active": self.active.copy(),
            "valid": self.valid.copy(),
            "executed_actions": self.executed.copy(),
            "finish_step": np.where(ended, self.steps, 0),
            "_finish_step": ended,
            "env_return": self.returns.copy(),
        }

    def _forget(self, indices: list[int]) -> None:
        for index in indices:
            self.actions[index] = []
        self.active[indices] = self.terminated[indices] = self.truncated[indices] = self._told[indices] = False
        self.valid[indices] = True
        self.steps[indices] = self.executed[indices] = 0
        self.returns[indices] = 0.0

    def _show(self, index: int, time_step: TimeStep) -> None:
        self.observations[index] = time_step.observation
        ended = time_step.valid and (time_step.terminated or time_step.truncated)
        self.infos[index] = {key: value for key, value in time_step.info.items() if ended or key != FINAL_STATE}
        self.terminated[index] = time_step.terminated
        self.truncated[index] = time_step.truncated
        self.valid[index] = time_step.valid


def prompt_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """The reset options that lead to an episode's prompt; empty for an environment outside the contract.

    >>> prompt_of({"task_id": 3, "init_state_id": 7, "success": False})
    {'task_id': 3, 'init_state_id': 7}
    >>> prompt_of({})
    {}
    """
    return {key: info[key] for key in ("task_id", "init_state_id")} if "init_state_id" in info else {}


def _executed(action: Any, shape: tuple[int, ...] | None, info: Mapping[str, Any]) -> NDArray:
    """The rows of an action (A,) or of a chunk (K, A) that ran, copied: the caller may fill its array anew."""
    rows = np.array(action, ndmin=1)
    rows = rows.reshape(shape or rows.shape)
    return rows[: info["executed_actions"]] if rows.ndim > 1 and "executed_actions" in info else rows[None]


def stack_infos(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One array per key over the environments, with 0, False or None where an environment lacks the key.

    The boolean array ``_key`` says which environments have it; it is left out for the contract's keys
    when all have them. Numbers give numeric arrays and dictionaries dictionaries of arrays;
    everything else, arrays too because their shapes may differ, gives an array of objects.

    >>> infos = stack_infos([{"success": True, "task": "push", "lift": 0.1}, {"success": False, "task": "pull"}])
    >>> infos["success"].tolist(), infos["task"].tolist(), infos["lift"].tolist(), infos["_lift"].tolist()
    ([True, False], ['push', 'pull'], [0.1, 0.0], [True, False])
    """
    stacked: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        present = np.array([key in info for info in infos])
        stacked[key] = _stack([info.get(key) for info in infos], present)
        if key not in INFO_KEYS or not present.all():
            stacked[f"_{key}"] = present
    return stacked


def _stack(values: list[Any], present: NDArray[np.bool_]) -> Any:
    example = values[int(present.argmax())]
    if isinstance(example, np.ndarray) and example.ndim == 0:
        example = example[()]
    if isinstance(example, Mapping):
        return stack_infos([{} if value is None else value for value in values])
    if isinstance(example, (bool, int, float, np.number, np.bool_)):
        return np.array([type(example)() if value is None else value for value in values])
    stacked = np.empty(len(values), object)
    for index, value in enumerate(values):
        stacked[index] = value
    return stacked
