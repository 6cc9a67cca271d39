"""Episodes to look at: as a film, or in a window."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import gymnasium as gym

from rllib_configs.config import Assessment
from rllib_configs.run.assessment import Stage, stage
from rllib_configs.run.evaluation import starts_of
from rllib_configs.run.subjects import Subject
from rllib_configs.run.video import record, write_grid
from vla_envs.errors import require_extra
from vla_envs.group import GroupStart, rollout

FLIPPED = "flipped.mp4"
"""Film of the prompts on which the outcomes of two actors differ."""
FILM_STRIDE = 2
"""Control steps between two frames of the film of an evaluation or a comparison."""


def film(subject: Subject, assessment: Assessment, stride: int, path: Path) -> list[bool]:
    """Write a film of the episodes, side by side, and return whether each succeeded."""
    actor, environment, prompts = stage(subject, assessment)
    clips = record(actor, environment, starts_of(prompts), stride)
    write_grid([(Path(subject.name).name, clips)], path)
    return [clip.success for clip in clips]


def film_both(a: Stage, b: Stage, starts: Sequence[GroupStart], path: Path) -> None:
    """Write a film of the same starts, of the first actor above and the second below."""
    rows = [(label, record(each.actor, each.environment, starts, FILM_STRIDE)) for label, each in (("A", a), ("B", b))]
    write_grid(rows, path)


def show(subject: Subject, assessment: Assessment) -> None:
    """Show the episodes in a window, one after the other, in the robot's time or slower.

    Raises:
        DependencyNotInstalled: ``pygame`` is not installed.
    """
    require_extra("pygame", "play")
    actor, environment, prompts = stage(subject, assessment)

    def wrap(env: gym.Env) -> gym.Env:
        return environment.wrap(gym.wrappers.HumanRendering(env))

    with closing(environment.replace(num_workers=0).make_vec("all", 1, wrap, render_mode="rgb_array")) as envs:
        for start, prompt in zip(starts_of(prompts), prompts, strict=True):
            for transition in rollout(envs, [start], actor(envs, [start])):
                task, success = transition.infos["task"][0], transition.infos["success"][0]
            print(f"{'success' if success else 'failure'}: {task} (initial state {prompt.init_state_id})")
