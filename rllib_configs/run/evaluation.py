"""Greedy evaluation on held-out initial states, with confidence intervals."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from policies.interface import Policy
from policies.options import STRICT, read_typed
from rllib_configs.config import EnvironmentConfig
from vla_envs.base import VLAEnv
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.files import atomic_write_text
from vla_envs.group import GroupStart, GroupVectorEnv, rollout
from vla_envs.group.prompts import spread_over_tasks
from vla_envs.group.vector_env import Act
from vla_envs.spec import TEMPERATURE, Prompt

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
    prompts = spread_over_tasks(env.unwrapped.prompts())
    env.close()
    if num_episodes is not None and not 1 <= num_episodes <= len(prompts):
        raise InvalidArgumentError(
            f"Expect `num_episodes` to be 1 to {len(prompts)}, the initial states of split {split!r}, "
            f"actually: {num_episodes}."
        )
    return prompts[:num_episodes]


def evaluate(policy: Policy, environment: EnvironmentConfig, prompts: Sequence[Prompt], num_envs: int) -> list[Episode]:
    """Run the policy greedily once from every prompt; one :class:`Episode` each, in their order.

    An episode that a fault of a worker process cut short says nothing about the policy: its prompt
    is run again. One without a valid episode after three attempts is named in a warning and is not
    among the episodes.

    Raises:
        WorkerError: no prompt gave a valid episode.
    """
    episodes: list[Episode | None] = [None] * len(prompts)
    for _ in range(ATTEMPTS):
        missing = [index for index, episode in enumerate(episodes) if episode is None]
        if missing:
            attempt = _attempt(policy, environment, [prompts[index] for index in missing], num_envs)
            for index, episode in zip(missing, attempt, strict=True):
                episodes[index] = episode
    without = [prompt for prompt, episode in zip(prompts, episodes, strict=True) if episode is None]
    if len(without) == len(prompts):
        raise WorkerError(f"None of the {len(prompts)} prompts gave a valid episode in {ATTEMPTS} attempts.")
    for prompt in without:
        _log.warning("%s gave no valid episode in %d attempts: it is not in the results.", prompt, ATTEMPTS)
    return [episode for episode in episodes if episode is not None]


def greedy(policy: Policy) -> Act:
    """What a rollout asks for actions: the most probable ones of the policy."""

    def act(observations: dict[str, Any], running: NDArray[np.int64]) -> tuple[NDArray, None]:
        seen = {key: torch.from_numpy(each) for key, each in observations.items() if key != TEMPERATURE}
        return policy.act(seen).numpy(force=True), None

    return act


def _attempt(
    policy: Policy, environment: EnvironmentConfig, prompts: Sequence[Prompt], num_envs: int
) -> list[Episode | None]:
    """One episode per prompt, None where it is not valid."""
    starts = [GroupStart(index, seed=index, prompt=prompt) for index, prompt in enumerate(prompts)]
    episodes: list[Episode | None] = []
    with closing(environment.make_vec("all", min(num_envs, len(prompts)))) as envs:
        for first in range(0, len(starts), envs.num_envs):
            episodes += _run_greedily(policy, envs, starts[first : first + envs.num_envs])
    return episodes


def _run_greedily(policy: Policy, envs: GroupVectorEnv, starts: Sequence[GroupStart]) -> list[Episode | None]:
    """One episode per start, None where it is not valid."""
    episodes: list[Episode | None] = [None] * len(starts)
    tasks: Any = None
    for transition in rollout(envs, starts, greedy(policy)):
        infos = transition.infos
        tasks = infos.get("task_name", infos["task"]) if tasks is None else tasks
        for env in transition.running:
            if infos["valid"][env] and not infos["active"][env]:
                episodes[env] = _episode(infos, env, tasks[env])
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
    )


def success_rate(episodes: Sequence[Episode]) -> float:
    """Share of the episodes that succeeded."""
    return float(np.mean([episode.success for episode in episodes]))


def success_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a success probability.

    >>> [round(bound, 3) for bound in success_interval(50, 100)]
    [0.404, 0.596]
    """
    from scipy.stats import binomtest  # takes a second to import

    interval = binomtest(successes, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
