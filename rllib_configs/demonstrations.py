"""Demonstrations of a scripted expert, cut into the chunks that a policy predicts."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from policies.behaviour_cloning import Demonstrations
from rllib_configs.experiment import BehaviourCloning, Environment
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import Prompt, init_states_of
from vla_envs.tabletop import Expert, TabletopEnv

Row = tuple[dict[str, NDArray], NDArray[np.float32]]
"""An observation and the expert's next actions (n, A), 1 <= n <= K."""


def collect(environment: Environment, bc: BehaviourCloning, seed: int) -> Demonstrations:
    """Let the tabletop's expert solve training states of every task, under disturbances.

    Raises:
        InvalidArgumentError: an environment without a scripted expert, more demonstrations than training states, or a
            speed outside (0, 1].
    """
    env = _make(environment, bc)
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for prompt in _draw_prompts(env.unwrapped, bc.demonstrations_per_task, rng):
        rows += _demonstrate(env, prompt, environment.actions_per_decision, bc, rng)
    env.close()
    return _stack(rows, environment.actions_per_decision)


def check(environment: Environment, bc: BehaviourCloning) -> None:
    """Raise what :func:`collect` would, without collecting."""
    env = _make(environment, bc)
    Expert(env, bc.speed)
    env.close()


def _make(environment: Environment, bc: BehaviourCloning) -> gym.Env:
    env = environment.make_observed("train")
    if not isinstance(env.unwrapped, TabletopEnv):
        raise InvalidArgumentError(
            f"Expect an environment with a scripted expert to clone, which is VLA-Tabletop-v0, actually: "
            f"{environment.id}. Give a checkpoint with --policy.path, or --bc.demonstrations-per-task 0."
        )
    available = min(len(_training_states(env.unwrapped, task_id)) for task_id in env.unwrapped.task_ids)
    if bc.demonstrations_per_task > available:
        raise InvalidArgumentError(
            f"Expect at most {available} demonstrations per task, actually: {bc.demonstrations_per_task}."
        )
    return env


def _training_states(env: TabletopEnv, task_id: int) -> range:
    return init_states_of("train", env.num_init_states(task_id))


def _draw_prompts(env: TabletopEnv, per_task: int, rng: np.random.Generator) -> Iterator[Prompt]:
    for task_id in env.task_ids:
        for state in rng.choice(_training_states(env, task_id), per_task, replace=False):
            yield Prompt(task_id, int(state))


def _demonstrate(
    env: gym.Env, prompt: Prompt, chunk_size: int, bc: BehaviourCloning, rng: np.random.Generator
) -> Iterator[Row]:
    """One row per visited state of an episode.

    The executed translation is off by a constant that changes with every chunk, as a policy's
    errors are, so that the expert, which always answers what it would do from here, shows how to
    come back (DART, arXiv 1703.09327).
    """
    observation, _ = env.reset(options=prompt._asdict())
    expert, ended, step = Expert(env, bc.speed), False, 0
    error = np.zeros(env.action_space.shape, np.float32)
    while not ended:
        plan = expert.plan(chunk_size)
        yield observation, plan
        if step % chunk_size == 0:
            error[:3] = bc.noise * rng.standard_normal(3)
        observation, _, terminated, truncated, _ = env.step(plan[0] + error)
        ended = terminated or truncated
        step += 1


def _stack(rows: list[Row], chunk_size: int) -> Demonstrations:
    observations, plans = zip(*rows, strict=True)
    lengths = np.array([len(plan) for plan in plans])
    return Demonstrations(
        observations={key: np.stack([each[key] for each in observations]) for key in observations[0]},
        actions=np.stack([np.pad(plan, ((0, chunk_size - len(plan)), (0, 0))) for plan in plans]),
        mask=(np.arange(chunk_size) < lengths[:, None]).astype(np.float32),
    )
