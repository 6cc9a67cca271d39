"""Episodes to look at: as a film, or in a window."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import gymnasium as gym

from rllib_configs.config import Assessment
from rllib_configs.run.assessment import stage
from rllib_configs.run.subjects import Subject
from rllib_configs.run.video import record, write_grid
from vla_envs.errors import require_extra
from vla_envs.group import GroupStart, rollout


def film(subject: Subject, assessment: Assessment, stride: int, path: Path) -> list[bool]:
    """Write a film of the episodes, side by side, and return whether each succeeded."""
    actor, environment, prompts = stage(subject, assessment)
    clips = record(actor, environment, prompts, stride)
    write_grid([(Path(subject.name).name, clips)], path)
    return [clip.success for clip in clips]


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
        for index, prompt in enumerate(prompts):
            starts = [GroupStart(index, seed=index, prompt=prompt)]
            for transition in rollout(envs, starts, actor(envs, starts)):
                task, success = transition.infos["task"][0], transition.infos["success"][0]
            print(f"{'success' if success else 'failure'}: {task} (initial state {prompt.init_state_id})")
