"""N trajectories of one prompt, side by side: the vector environment behind test-time RL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import (
    check_callable,
    check_choice,
    check_flags,
    check_instance,
    check_integer,
    check_mapping,
    check_seed,
    check_sequence,
    shown,
)
from vla_envs.errors import InvalidActionError, InvalidArgumentError, NonFiniteError
from vla_envs.group.groups import EPISODE, Call, EnvFns, Groups, LocalSubEnvs, SubEnvs, SubEnvSpec
from vla_envs.group.metrics import vote_metrics
from vla_envs.group.prompts import PromptSampler, make_sampler
from vla_envs.group.starts import GroupStart, GroupStarts
from vla_envs.group.temperature import check_temperatures, with_temperature
from vla_envs.group.voting import VoteConfig, apply_vote
from vla_envs.group.workers import make_sub_envs
from vla_envs.spec import TEMPERATURE, Prompt

LOCKSTEP, HOLD = "lockstep", "hold"
MODES = (LOCKSTEP, HOLD)

VOTERS_KEYS = {"success", "task_reward", "max_steps"}
"""What a vote reads in the infos of the environments."""

Act = Callable[[dict[str, Any], NDArray[np.int64]], tuple[NDArray, Any]]
"""Maps observations, one row for each running environment, and the indices of these environments to their actions and
to anything that is worth keeping beside them."""


class GroupVectorEnv(VectorEnv):
    """P prompts x N sub-environments: all N environments of a group start on the same prompt.

    Environment ``i`` belongs to group ``i // group_size``. A group's prompt comes from ``prompts`` or is
    drawn by its first environment, and the others are reset to it through ``options``; where an
    environment's info names no prompt, all environments of a group are reset with the same seed.

    In mode ``"lockstep"`` all environments of a group end in the same step, that of the last: an environment
    that is done before idles, and its flags are held back until then. The next step restarts the group,
    ignoring its actions, as Gymnasium's next-step autoreset does for single environments; other groups
    go on meanwhile. Without a vote every reward is the environment's, given in the step that earned it.

    In mode ``"hold"`` an environment reports ``terminated`` or ``truncated`` at its true step and then
    idles until the next ``reset``.

    An idle environment is neither simulated nor drawn: its observation stays the last one, and so does what
    the contract and ``final_state`` say of it in the infos; its reward is 0, its flags are False and its
    ``executed_actions`` 0.

    Where no prompt is left, environments idle without a trajectory until a ``reset`` finds one: their ``group_id`` is
    -1, ``valid`` is True, and the infos say nothing else of them, so that each trajectory is counted once.

    Infos have the form of Gymnasium's vector environments: one array over the environments for each key
    of their infos, with the mask ``_key`` where not all of them have it. Beside these:

    ================================  ================================================================
    ``group_id``, int                 unique in this object; a group has another after each restart,
                                      and -1 where no prompt is left
    ``trajectory_index``, int         0..N-1
    ``active``, bool                  the trajectory still runs
    ``valid``, bool                   False after a fault (see below)
    ``executed_actions``, int         control steps that this step made: 0 where an environment idled or was
                                      restarted, so that its transition is none to learn from
    ``finish_step``, int              control steps of the ended trajectory; masked by ``_finish_step``
    ``env_return``, float             sum of the environment's rewards over the trajectory so far
    ================================  ================================================================

    In the last step of a group of several in lockstep they also have ``episode``, masked by ``_episode``: ``r``, the
    sum of the rewards, and ``l``, the number of steps of each trajectory, unless the environments bring their own.
    Gymnasium's vector wrapper ``RecordEpisodeStatistics`` cannot know of idle steps. Around such groups it would count
    them, and raises instead under any ``stats_key``. Around each environment, before it is grouped, it is right.

    With a ``vote``, the group's trajectories vote when the last has ended. The rewards of that step are the
    voted ones and all others are 0. In the infos of that step the bool array ``selected`` has the
    trajectories to train on; it is False otherwise. Masked, and in that step alone, are ``vote``, a dictionary of
    :func:`~vla_envs.group.vote_metrics` of the group, and ``voted_group``, the
    :class:`~vla_envs.group.VotedGroup` itself, for audits and advantages.

    With ``num_workers`` the environments live in processes of their own, with results equal bit for bit.
    A process that dies or hangs is replaced, and the trajectories that it lost end in that step:
    ``truncated``, reward 0, and False in ``valid``, which is True otherwise. Such a trajectory has
    neither succeeded nor failed, whatever ``success`` says; its observation and info are those of
    its prompt, to which the new process has put it back. In lockstep its whole group ends with it, in
    the same way, and is started again at the same prompt, up to three times in a row.

    Args:
        env_fns: one constructor per environment, in group order.
        group_size: N; divides the number of environments.
        mode: ``"lockstep"`` or ``"hold"``.
        vote: how a group rewards itself, for environments of the contract in lockstep; None leaves the rewards
            to the environments. ``n_votes_per_prompt`` is the group size.
        prompts: a :class:`~vla_envs.group.prompts.PromptSampler`; the name of one over all prompts of the
            environment: ``"uniform"``, ``"sequential"``, ``"every_task"`` or ``"curriculum"``; a list to walk
            through once, after which groups stay idle; or None to have the environments draw.
        temperatures: (N,) sampling temperatures, or None for 1 everywhere. Observations gain them
            as ``temperature``, float32 (num_envs, 1), when the environments observe dictionaries. A
            group keeps those that the attribute of this name had when it started.
        num_workers: processes that host a slice of the environments each; 0 keeps all in this one.
        worker_timeout: seconds after which a worker that does not answer is killed; its first answer
            includes importing and making the environments.
        worker_env: environment variables of the workers, set before they import anything; worker ``i``
            gets ``worker_env[i % len(worker_env)]``, such as ``{"MUJOCO_EGL_DEVICE_ID": "1"}``.

    Raises:
        InvalidArgumentError: a group size that does not divide the environments, another mode, a vote in
            mode ``"hold"`` or of another number than the group has, prompts that cannot be sampled,
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

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  (Gymnasium's own shape)

    def __init__(
        self,
        env_fns: EnvFns,
        group_size: int,
        mode: str = LOCKSTEP,
        vote: VoteConfig | None = None,
        prompts: PromptSampler | str | Sequence[Prompt | tuple[int, int]] | None = None,
        temperatures: ArrayLike | None = None,
        *,
        num_workers: int = 0,
        worker_timeout: float = 300.0,
        worker_env: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        # Gymnasium closes a vector environment even when its constructor has failed.
        self.sub_envs: SubEnvs = LocalSubEnvs(())
        check_choice("mode", mode, MODES)
        env_fns = check_sequence("env_fns", env_fns)
        for make in env_fns:
            check_callable("env_fns", make)
        group_size = check_integer("group_size", group_size, 1, max(1, len(env_fns)))
        if not env_fns or len(env_fns) % group_size:
            raise InvalidArgumentError(
                f"Expect the `group_size` to divide the number of environments ({len(env_fns)}), "
                f"actually: {group_size}."
            )
        _check_vote(vote, mode, group_size)
        self.mode = mode
        self.vote = vote
        self.group_size = group_size
        self.num_envs = len(env_fns)
        self.num_groups = self.num_envs // group_size
        self.temperatures = check_temperatures(temperatures, group_size)
        self.prompts = None if prompts is None else make_sampler(prompts, env_fns[0])
        self.sub_envs = make_sub_envs(env_fns, num_workers, worker_timeout, worker_env)
        self._adopt(self.sub_envs.spec)
        self._groups = Groups(self.sub_envs, self.num_envs, group_size, GroupStarts(self.prompts))
        self._over = np.zeros(self.num_groups, bool)
        """Groups that have ended: the next step restarts them."""
        self._selected = np.zeros(self.num_envs, bool)

    @property
    def active(self) -> NDArray[np.bool_]:
        """bool (num_envs,): which environments' trajectories still run."""
        return self._groups.episodes.active

    def reset(
        self, *, seed: int | Sequence[int | None] | NDArray | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start one trajectory in every environment.

        Args:
            seed: fixes the prompts of this and all later resets; a list of prompts starts anew. Of a sequence with a
                seed for each environment, a group takes its first, since its environments share their start.
            options: go to the environments' ``reset``, this time. In mode ``"hold"`` a ``"reset_mask"``, bool
                (num_envs,), starts these groups only; the others stay as they are.

        Raises:
            InvalidArgumentError: not one seed per environment, one that is no integer of at least 0, or a mask of
                another shape or type, of parts of a group, of none, or in lockstep.
        """
        options = check_mapping("options", options)
        groups = self._masked(options.pop("reset_mask", None))
        seeds: dict[int, int | None] = {}
        if seed is not None and not np.isscalar(seed):
            each = _check_seeds(seed, self.num_envs)
            seeds = dict(enumerate(each[:: self.group_size]))
            known = [first for first in seeds.values() if first is not None]
            seed = int(np.random.SeedSequence(known).generate_state(1)[0]) if known else None
        seed = check_seed(seed)
        super().reset(seed=seed)
        if seed is not None:
            self._groups.starts.rewind()
        self._clear(groups)
        self._groups.episodes.executed[:] = 0  # also in groups that a mask leaves alone: nothing was stepped
        self._groups.begin(groups, options, self.np_random, self.temperatures, seeds)
        return self._started()

    def _masked(self, mask: Any) -> list[int]:
        """The groups that a reset mask names; all of them without one."""
        if mask is None:
            return list(range(self.num_groups))
        check_flags("reset_mask", mask)
        mask = np.asarray(mask)
        if self.mode != HOLD:
            raise InvalidArgumentError(
                f"Expect no `reset_mask` in mode {self.mode!r}, in which groups restart by themselves, "
                f"actually: {shown(mask)}. Use mode {HOLD!r}."
            )
        chosen = mask.shape == (self.num_envs,) and mask.dtype == bool and mask.any()
        groups = mask.reshape(-1, self.group_size) if chosen else np.zeros((0, 0))
        if not chosen or (groups.any(axis=1) != groups.all(axis=1)).any():
            raise InvalidArgumentError(
                f"Expect the `reset_mask` to be a bool array ({self.num_envs},) that names whole groups of "
                f"{self.group_size}, at least one, actually: {shown(mask)}."
            )
        if self._groups.episodes.observations[0] is None and not mask.all():
            raise ResetNeeded("No episode was started: call `reset()` without a `reset_mask` first.")
        return np.flatnonzero(groups.all(axis=1)).tolist()

    def reset_to(self, starts: Sequence[GroupStart]) -> tuple[Any, dict[str, Any]]:
        """Start one trajectory in every environment of these groups, the first groups; the others idle.

        Where several processes share the groups of one batch, this gives each group the same start and the same id
        whichever process runs it.

        Args:
            starts: at most one for each group.

        Raises:
            InvalidArgumentError: more starts than groups.

        >>> import gymnasium as gym, vla_envs
        >>> envs = gym.make_vec("VLA-Tabletop-v0", num_envs=4, vectorization_mode="vector_entry_point", group_size=2)
        >>> observations, infos = envs.reset_to([GroupStart(7, seed=0, prompt=Prompt(1, 3))])
        >>> infos["group_id"].tolist(), infos["init_state_id"][:2].tolist()
        ([7, 7, -1, -1], [3, 3])
        """
        for start in check_sequence("starts", starts):
            check_instance("starts", start, GroupStart)
            check_integer("group_id", start.group_id, 0, np.iinfo(np.int64).max)
        if len(starts) > self.num_groups:
            raise InvalidArgumentError(
                f"Expect at most {self.num_groups} `starts`, one for each group, actually: {len(starts)}."
            )
        self._clear(range(self.num_groups))
        self._groups.begin_at(starts, self.temperatures)
        return self._started()

    def _clear(self, groups: Sequence[int]) -> None:
        """Forget what these groups were in the middle of."""
        self._groups.starts.forget_faults(groups)
        for group in groups:
            self._over[group] = self._selected[self._groups.envs_of(group)] = False

    def _started(self) -> tuple[Any, dict[str, Any]]:
        """What the first step of the groups shows."""
        if self.vote is not None:
            _check_voters(compress(self._groups.episodes.infos, self.active))
        return self._stack(), self._gather()

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step the active environments; ``actions``: (num_envs, ...), those of idle environments are ignored.

        Raises:
            ResetNeeded: before the first ``reset``.
            InvalidActionError: not one action per environment, or one that an environment refuses; other
                environments may have been stepped then, and only a ``reset`` brings them together again.
        """
        self._check(actions)
        groups, lockstep = self._groups, self.mode == LOCKSTEP
        stepped = self.active.copy()
        every = enumerate(iterate(self.action_space, actions))
        rewards = groups.step({index: action for index, action in every if stepped[index]}, end_together=lockstep)
        ended = groups.with_any(stepped) & ~groups.with_any(self.active)
        if self.vote is not None:
            rewards[:], self._selected[:] = 0.0, False
        for group in np.flatnonzero(ended).tolist():
            if groups.conclude(group) and self.vote is not None:
                rewards[groups.envs_of(group)] = self._vote(group, self.vote)
            if lockstep and self.group_size > 1:
                groups.episodes.add_statistics(groups.envs_of(group), None if self.vote is None else rewards)
        if lockstep:
            groups.begin(np.flatnonzero(self._over).tolist(), {}, self.np_random, self.temperatures)
            self._over = ended
        shown = np.repeat(ended, self.group_size) if lockstep else stepped
        terminated, truncated = groups.episodes.terminated & shown, groups.episodes.truncated & shown
        return self._stack(), rewards, terminated, truncated, self._gather()

    def render(self) -> tuple[Any, ...]:
        """The frames of all environments; None where a worker failed and the episode is not there any more."""
        frames = self.sub_envs.render(range(self.num_envs))
        return tuple(frames[index] for index in range(self.num_envs))

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What a method of each environment or its wrappers returns, or the values of an attribute.

        Raises:
            UnknownAttributeError: an environment has no such attribute.
            InvalidArgumentError: ``reset``, ``step`` or ``close``, which belong to the whole group, or a value that
                cannot leave its worker process.
        """
        check_instance("name", name, str)
        if name in ("reset", "step", "step_chunk", "close"):
            raise InvalidArgumentError(f"Expect the `{name}` of the vector environment to be called, not of its parts.")
        values = self.sub_envs.call(dict.fromkeys(range(self.num_envs), Call(name, args, kwargs)))
        return tuple(values[index] for index in range(self.num_envs))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The values of an attribute of each environment or its wrappers; as :meth:`call`, without arguments."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of each environment or its wrappers.

        Args:
            name: of an attribute that is there.
            values: a list or tuple with one for each environment, or one for all of them.

        Raises:
            UnknownAttributeError: an environment has no such attribute.
            InvalidArgumentError: a list or tuple of another length.
        """
        check_instance("name", name, str)
        each = list(values) if isinstance(values, (list, tuple)) else [values] * self.num_envs
        if len(each) != self.num_envs:
            raise InvalidArgumentError(
                f"Expect one value for each of {self.num_envs} environments, actually: {len(each)}."
            )
        self.sub_envs.set_attr(name, dict(enumerate(each)))

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment and end all workers."""
        self.sub_envs.close()

    def _adopt(self, spec: SubEnvSpec) -> None:
        """Adopt the spaces and metadata of the environments, which are all alike."""
        self.autoreset_mode = AutoresetMode.NEXT_STEP if self.mode == LOCKSTEP else AutoresetMode.DISABLED
        """When Gymnasium's conventions have environments restart; also in the metadata."""
        self.metadata = {**spec.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = spec.render_mode
        self._env_space = spec.observation_space
        self.single_action_space = spec.action_space
        self.single_observation_space = with_temperature(self._env_space)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def _check(self, actions: Any) -> None:
        if self._groups.episodes.observations[0] is None:
            raise ResetNeeded("No episode was started: call `reset()` before `step()`.")
        try:
            count: Any = len(actions)
        except TypeError:  # None, or a number, which may be that of the environments
            count = repr(actions)
        if count != self.num_envs:
            raise InvalidActionError(f"Expect one action for each of {self.num_envs} environments, actually: {count}.")

    def _vote(self, group: int, config: VoteConfig) -> NDArray[np.float64]:
        """The rewards (N,) that the trajectories of a group get by their vote; their infos tell of it."""
        voted = apply_vote(self._groups.trajectories(group), config, self.np_random)
        metrics = vote_metrics([voted], detailed=config.log_detailed_metrics)
        envs, infos = self._groups.envs_of(group), self._groups.episodes.infos
        self._selected[envs] = voted.trained
        for index in envs:
            infos[index] = {**infos[index], "voted_group": voted, "vote": metrics}
        return voted.rewards

    def _stack(self) -> Any:
        empty = create_empty_array(self._env_space, self.num_envs)
        stacked = concatenate(self._env_space, self._groups.episodes.observations, empty)
        if isinstance(stacked, dict):
            stacked[TEMPERATURE] = self._groups.temperatures.copy()
        return stacked

    def _gather(self) -> dict[str, Any]:
        infos = {
            **self._groups.episodes.gather(),
            "group_id": np.repeat(self._groups.ids, self.group_size),
            "trajectory_index": np.tile(np.arange(self.group_size), self.num_groups),
            **({"selected": self._selected.copy()} if self.vote is not None else {}),
        }
        return _LockstepInfos(infos) if self.mode == LOCKSTEP and self.group_size > 1 else infos


class _LockstepInfos(dict[str, Any]):
    """Infos to which no wrapper adds the statistics of episodes: those that it counts have idle steps among them."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key != EPISODE and isinstance(value, Mapping) and {"r", "l", "t"} <= value.keys():
            raise InvalidArgumentError(
                f"Expect the statistics of trajectories without the steps in which an environment only waits for its "
                f"group, actually: those that a wrapper around the whole group has counted as {key!r}. "
                f'Read `infos["{EPISODE}"]`, or put RecordEpisodeStatistics around each environment (`wrap=`).'
            )
        super().__setitem__(key, value)

    def __reduce__(self) -> tuple[type[dict], tuple[dict[str, Any]]]:
        """A copy is a plain dictionary: what the environments brought is not set again."""
        return dict, (dict(self),)


class Transition(NamedTuple):
    """What a step showed. Arrays are over all environments, and ``running`` says which of them it concerns."""

    running: NDArray[np.int64]
    """Indices of the environments that were started or stepped."""
    actions: NDArray | None
    """(num_envs, ...): their actions; None after the reset."""
    outputs: Any
    """What ``act`` returned beside the actions, one row for each of ``running``; None after the reset."""
    observations: dict[str, Any]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: dict[str, Any]


def rollout(envs: GroupVectorEnv, starts: Sequence[GroupStart], act: Act) -> Iterator[Transition]:
    """Start groups and step each environment until its own trajectory ends; the first transition is the reset's.

    A sampler that returns the first episodes that finish favors short ones, and so fakes the success rate; here every
    environment gives exactly one trajectory. Those that have ended cost neither a simulation nor a forward pass.

    Args:
        envs: in mode ``"hold"``.
        starts: at most one for each group; environments of other groups stay idle.
        act: chooses the actions.

    Raises:
        InvalidActionError: actions of another shape than the environments take.
        NonFiniteError: an observation or a reward of a running environment is NaN or infinite.

    >>> import gymnasium as gym, vla_envs
    >>> envs = gym.make_vec("VLA-Tabletop-v0", num_envs=2, vectorization_mode="vector_entry_point", group_size=2,
    ...                     mode="hold", max_episode_steps=3)
    >>> def act(observations, running):
    ...     return envs.action_space.sample()[running], None
    >>> [transition.running.tolist() for transition in rollout(envs, [GroupStart(0, seed=0)], act)]
    [[0, 1], [0, 1], [0, 1], [0, 1]]
    """
    observations, infos = envs.reset_to(starts)
    running = np.flatnonzero(envs.active)
    rewards, ended = np.zeros(envs.num_envs), np.zeros(envs.num_envs, bool)
    yield Transition(running, None, None, observations, rewards, ended, ended, infos)
    while len(running):
        actions: NDArray = np.zeros(envs.action_space.shape or (), envs.action_space.dtype)
        seen = {key: _rows(each, running) for key, each in observations.items()}
        _check_finite(seen, running, infos)
        chosen, outputs = act(seen, running)
        if np.shape(chosen) != (len(running), *actions.shape[1:]):  # NumPy would repeat one action to fill a chunk
            raise InvalidActionError(
                f"Expect actions of shape {(len(running), *actions.shape[1:])}, actually: {np.shape(chosen)}."
            )
        actions[running] = chosen
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        _check_finite({"reward": rewards[running]}, running, infos)
        yield Transition(running, actions, outputs, observations, rewards, terminated, truncated, infos)
        running = np.flatnonzero(envs.active)


def _check_finite(values: Mapping[str, Any], running: NDArray[np.int64], infos: Mapping[str, Any]) -> None:
    """Refuse what a policy would answer with nonsense, and what nobody could learn from.

    Args:
        values: name -> a row for each running environment.
        running: their places.
        infos: of all environments.
    """
    for name, rows in values.items():
        if not isinstance(rows, np.ndarray) or not np.issubdtype(rows.dtype, np.floating):
            continue
        finite = np.isfinite(rows).reshape(len(rows), -1).all(1)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            known = [key for key in ("task", "init_state_id", "elapsed_steps") if key in infos]
            where = ", ".join(f"{key} {infos[key][running[row]]}" for key in known)
            raise NonFiniteError(
                f"Expect a finite `{name}` of every environment, actually: {shown(rows[row])} at {where}."
            )


def _check_seeds(seeds: Any, num_envs: int) -> list[int | None]:
    """Return one seed per environment as plain ints, which is what Gymnasium takes."""
    checked = [check_seed(seed) for seed in check_sequence("seed", seeds)]
    if len(checked) != num_envs:
        raise InvalidArgumentError(f"Expect one `seed` for each of {num_envs} environments, actually: {len(checked)}.")
    return checked


def _check_vote(vote: VoteConfig | None, mode: str, group_size: int) -> None:
    if vote is None:
        return
    check_instance("vote", vote, VoteConfig)
    if mode != LOCKSTEP:
        raise InvalidArgumentError(
            f"Expect no `vote` in mode {mode!r}, because environments report their ends before the group has voted, "
            f"actually: {vote}. Use mode {LOCKSTEP!r}, or `vla_envs.group.apply_vote` on finished trajectories."
        )
    if vote.n_votes_per_prompt != group_size:
        raise InvalidArgumentError(
            f"Expect `vote.n_votes_per_prompt` to be the `group_size` ({group_size}), because all environments vote, "
            f"actually: {vote.n_votes_per_prompt}."
        )


def _check_voters(infos: Iterable[Mapping[str, Any]]) -> None:
    for info in infos:
        if not info.keys() >= VOTERS_KEYS:
            raise InvalidArgumentError(
                f"Expect environments whose info has {sorted(VOTERS_KEYS)} for a `vote`, actually: {sorted(info)}."
            )


def _rows(values: NDArray | tuple[str, ...], running: NDArray[np.int64]) -> NDArray | tuple[str, ...]:
    """What the running environments show, copied unless they are all; texts come as a tuple."""
    if len(running) == len(values):
        return values
    return tuple(values[env] for env in running) if isinstance(values, tuple) else values[running]
