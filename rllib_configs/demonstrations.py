"""Demonstrations of a scripted expert, cut into the chunks that a policy predicts."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from policies.behaviour_cloning import Demonstrations
from rllib_configs.experiment import Environment
from vla_envs.spec import init_states_of
from vla_envs.tabletop import Demonstration, TabletopEnv, demonstrate
from vla_envs.wrappers.tokenize_instruction import INSTRUCTION_TOKENS, hash_words


def collect(environment: Environment, per_task: int, noise: float, seed: int) -> Demonstrations:
    """Let the tabletop's expert solve ``per_task`` training states of every task.

    Raises:
        ValueError: an environment without a scripted expert, or more demonstrations than training states.
    """
    env = gym.make(environment.id, **environment.kwargs("train"))
    if not isinstance(env.unwrapped, TabletopEnv):
        raise ValueError(
            f"Expect an environment with a scripted expert to clone, which is VLA-Tabletop-v0, actually: "
            f"{environment.id}. Give a checkpoint with --policy.path, or --bc.demonstrations-per-task 0."
        )
    rng = np.random.default_rng(seed)
    rows = []
    for task_id in env.unwrapped.task_ids:
        states = init_states_of("train", env.unwrapped.num_init_states(task_id))
        if per_task > len(states):
            raise ValueError(f"Expect at most {len(states)} demonstrations per task, actually: {per_task}.")
        for state in rng.choice(states, per_task, replace=False):
            demonstration = demonstrate(env, (task_id, int(state)), noise, rng)
            rows.append(_rows(demonstration, environment))
    env.close()
    return _concatenate(rows)


def _rows(demonstration: Demonstration, environment: Environment) -> Demonstrations:
    """One row per visited state: the observation and the expert's next K actions."""
    count, chunk_size = len(demonstration.actions), environment.chunk_size
    step = np.arange(count)[:, None] + np.arange(chunk_size)
    observations: dict[str, NDArray[Any]] = {key: each[:count] for key, each in demonstration.observations.items()}
    words = hash_words(demonstration.instruction, environment.token_length)
    observations[INSTRUCTION_TOKENS] = np.tile(words, (count, 1))
    return Demonstrations(
        observations=observations,
        actions=demonstration.actions[step.clip(max=count - 1)],
        mask=(step < count).astype(np.float32),
    )


def _concatenate(parts: list[Demonstrations]) -> Demonstrations:
    return Demonstrations(
        observations={key: np.concatenate([part.observations[key] for part in parts]) for key in parts[0].observations},
        actions=np.concatenate([part.actions for part in parts]),
        mask=np.concatenate([part.mask for part in parts]),
    )
