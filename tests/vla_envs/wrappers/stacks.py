"""The wrappers with arguments that fit any environment of the package."""

from __future__ import annotations

import gymnasium as gym

from vla_envs.wrappers import (
    ActionChunk,
    ActionHistory,
    DiscretizeActions,
    EfficiencyReward,
    EncodeInstruction,
    FollowExpert,
    HindsightRelabel,
    NoisySuccess,
    PerturbObservations,
    ResizeImages,
    ShapedReward,
    StackObservations,
    TokenizeInstruction,
)

WRAPPERS = {
    "ActionChunk": lambda env: ActionChunk(env, 2),
    "ActionHistory": lambda env: ActionHistory(env, 3),
    "DiscretizeActions": DiscretizeActions,
    "EfficiencyReward": EfficiencyReward,
    "EncodeInstruction": EncodeInstruction,
    "FollowExpert": FollowExpert,
    "HindsightRelabel": HindsightRelabel,
    "NoisySuccess": lambda env: NoisySuccess(env, 0.5),
    "PerturbObservations": lambda env: PerturbObservations(env, camera=True, noise=True, instruction=True),
    "ResizeImages": lambda env: ResizeImages(env, 20),
    "ShapedReward": lambda env: ShapedReward(env, {"reward": 1.0, "energy": 0.1, "smoothness": 0.1, "steps": 0.1}),
    "StackObservations": lambda env: StackObservations(env, 2),
    "TokenizeInstruction": lambda env: TokenizeInstruction(env, 8),
}
"""Class name -> what puts it around an environment."""


def tabletop(max_episode_steps=5, **kwargs):
    """A tabletop of two tasks that share a scene, with small images and short episodes."""
    kwargs = {"task_id": [0, 1], "image_size": 16, "max_episode_steps": max_episode_steps, **kwargs}
    return gym.make("VLA-Tabletop-v0", **kwargs)


def run_episode(env, seed=0):
    """Step with random actions to the end; the steps' results."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    steps = [env.step(env.action_space.sample())]
    while not (steps[-1][2] or steps[-1][3]):
        steps.append(env.step(env.action_space.sample()))
    return steps
