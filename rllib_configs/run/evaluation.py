"""How often an actor succeeds, on initial states that training never sees."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from policies.options import STRICT, read_typed
from rllib_configs.config import EnvironmentConfig
from rllib_configs.run.actors import Actor
from vla_envs.base import VLAEnv
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.files import atomic_write_text
from vla_envs.group import GroupStart, GroupVectorEnv, rollout
from vla_envs.group.prompts import spread_over_tasks
from vla_envs.spec import Prompt

PROVENANCE = (
    "versions",
    "stand_ins",
    "render_quality",
    "checkout",
    "device",
    "shader",
    "shadows",
    "embodiment",
    "task_config",
    "seeds",
    "chunk",
)
"""Metadata of an environment that results rest on."""
ORDER_SEED = 0
"""Of the order in which prompts are evaluated."""
ATTEMPTS = 3
"""How often a prompt is run until its episode is valid."""

EPISODES_FILE = "episodes.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Episode:
    """How one evaluated episode ended."""

    __pydantic_config__ = STRICT

    task: str
    """Its name, where the environment tells one, for instructions may differ; else the instruction."""
    task_id: int
    init_state_id: int
    success: bool
    steps: int
    max_steps: int
    seed: int | None = None
    """Of the scene, where initial states are seeds."""
    reward: float | None = None
    """Sum of what the environment and its wrappers paid; None in files of version 0.1."""


_EPISODES = TypeAdapter(dict[str, list[Episode]])


def write_episodes(directory: Path, episodes: dict[str, list[Episode]]) -> None:
    """Keep the episodes of a run, by the policy that acted in them."""
    atomic_write_text(directory / EPISODES_FILE, _EPISODES.dump_json(episodes).decode())


def read_episodes(directory: Path) -> dict[str, list[Episode]]:
    """What :func:`write_episodes` wrote.

    Raises:
        InvalidArgumentError: there is no such file, or it is damaged.
    """
    return read_typed(_EPISODES, directory / EPISODES_FILE)


def provenance(environment: EnvironmentConfig) -> dict[str, Any]:
    """What is to be reported beside results: of :data:`PROVENANCE`, that which the environment's metadata have."""
    with closing(environment.make("eval")) as env:
        metadata = env.unwrapped.metadata
    return {"id": environment.id, **{key: metadata[key] for key in PROVENANCE if key in metadata}}


def held_out_prompts(
    environment: EnvironmentConfig, split: str = "eval", num_episodes: int | None = None, train_ok: bool = False
) -> list[Prompt]:
    """``num_episodes`` prompts of a split, spread evenly over the tasks, the same at every call; None takes all.

    Every round over the tasks has an order of its own: neighbors in a suite are alike, and a test that may stop after
    any prompt would take one that is better on the first of them for the better one.

    Raises:
        InvalidArgumentError: a split that training draws from, unless ``train_ok``, or more episodes
            than the split has initial states, or none.
    """
    if split != "eval" and not train_ok:
        raise InvalidArgumentError(
            f"Expect the evaluation `split` to be 'eval', which training never sees, actually: {split!r}. "
            "Say so with --train-ok if you mean to measure on training states."
        )
    env = environment.make(split)
    assert isinstance(env.unwrapped, VLAEnv)
    prompts = spread_over_tasks(env.unwrapped.prompts(), np.random.default_rng(ORDER_SEED))
    env.close()
    if num_episodes is not None and not 1 <= num_episodes <= len(prompts):
        raise InvalidArgumentError(
            f"Expect `num_episodes` to be 1 to {len(prompts)}, the initial states of split {split!r}, "
            f"actually: {num_episodes}."
        )
    return prompts[:num_episodes]


def starts_of(prompts: Sequence[Prompt]) -> list[GroupStart]:
    """The start of each prompt's episode; its place among the prompts decides what is drawn in it."""
    return [GroupStart(index, seed=index, prompt=prompt) for index, prompt in enumerate(prompts)]


def evaluate(actor: Actor, environment: EnvironmentConfig, prompts: Sequence[Prompt], num_envs: int) -> list[Episode]:
    """Act once from every prompt; one :class:`Episode` each, in their order.

    One without a valid episode, see :func:`batches`, is named in a warning and is not among the episodes.

    Raises:
        WorkerError: no prompt gave a valid episode.
    """
    episodes = [episode for batch in batches(actor, environment, prompts, num_envs) for episode in batch]
    without = [prompt for prompt, episode in zip(prompts, episodes, strict=True) if episode is None]
    check_any_valid(episodes)
    for prompt in without:
        _log.warning("%s gave no valid episode in %d attempts: it is not in the results.", prompt, ATTEMPTS)
    return [episode for episode in episodes if episode is not None]


def check_any_valid(episodes: Sequence[Episode | None]) -> None:
    """Raise where no prompt gave a valid episode.

    Raises:
        WorkerError: none did.
    """
    if not any(episodes):
        raise WorkerError(f"None of the {len(episodes)} prompts gave a valid episode in {ATTEMPTS} attempts.")


def batches(
    actor: Actor, environment: EnvironmentConfig, prompts: Sequence[Prompt], num_envs: int, first: int = 0
) -> Iterator[list[Episode | None]]:
    """Act once from every prompt, in batches of at most ``num_envs`` of them; one episode each, in their order.

    An episode that a fault of a worker process cut short says nothing about the actor: its prompt is run again. None
    stands for one that has no valid episode after three attempts.

    Args:
        actor: who acts.
        environment: where.
        prompts: every one that the evaluation has.
        num_envs: number of environments side by side.
        first: index of the first prompt that is run: a multiple of ``num_envs``, so that the batches are those of the
            whole evaluation. A network's answers differ in the last bits with the number of its rows.
    """
    starts = starts_of(prompts)[first:]
    if starts:
        with closing(environment.make_vec("all", min(num_envs, len(prompts)))) as envs:
            for begin in range(0, len(starts), num_envs):
                yield _batch(actor, envs, starts[begin : begin + num_envs])


def _batch(actor: Actor, envs: GroupVectorEnv, starts: Sequence[GroupStart]) -> list[Episode | None]:
    """One episode per start, None where there is none that is valid."""
    episodes: dict[GroupStart, Episode] = {}
    for _ in range(ATTEMPTS):
        missing = [start for start in starts if start not in episodes]
        if missing:
            episodes |= _attempt(actor, envs, missing)
    return [episodes.get(start) for start in starts]


def _attempt(actor: Actor, envs: GroupVectorEnv, starts: Sequence[GroupStart]) -> dict[GroupStart, Episode]:
    """The valid episodes, by their starts."""
    episodes: dict[GroupStart, Episode] = {}
    tasks: Any = None
    for transition in rollout(envs, starts, actor(envs, starts)):
        infos = transition.infos
        tasks = infos.get("task_name", infos["task"]) if tasks is None else tasks
        for env in transition.running:
            if infos["valid"][env] and not infos["active"][env]:
                episodes[starts[env]] = _episode(infos, env, tasks[env])
    return episodes


def _episode(infos: dict[str, Any], env: int, task: str) -> Episode:
    return Episode(
        task=task,
        task_id=int(infos["task_id"][env]),
        init_state_id=int(infos["init_state_id"][env]),
        success=bool(infos["success"][env]),
        steps=int(infos["elapsed_steps"][env]),
        max_steps=int(infos["max_steps"][env]),
        seed=int(infos["seed"][env]) if "seed" in infos else None,
        reward=float(infos["env_return"][env]),
    )


def success_rate(episodes: Sequence[Episode]) -> float:
    """Share of the episodes that succeeded."""
    return float(np.mean([episode.success for episode in episodes]))
