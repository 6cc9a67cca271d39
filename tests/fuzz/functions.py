"""Functions that depend on nothing but their arguments, and arguments that they take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from policies.registry import load_policy
from vla_envs import camera, group, rewards, spec
from vla_envs.group import Trajectory, VoteConfig, apply_vote
from vla_envs.wrappers import discretize_actions, instruction

Arguments = dict[str, Any]


def _trajectories() -> list[Trajectory]:
    return [
        Trajectory(success, steps, 80, float(success), 1.0, np.full(3, steps / 80), np.full((4, 7), steps / 80))
        for success, steps in ((True, 10), (False, 80), (True, 40), (True, 60), (False, 80))
    ]


def _voted() -> list[group.VotedGroup]:
    return [apply_vote(_trajectories(), VoteConfig())]


def _vote_of(**trajectory: Any) -> Any:
    """All that a group does with a trajectory."""
    trajectories = [Trajectory(**trajectory), *_trajectories()]
    config = VoteConfig(6, 3, outcome=group.joint(group.env_success, group.efficiency_bucket(4)))
    voted = apply_vote(trajectories, config)
    clusters = group.final_state_cluster(0.1).of_group(trajectories)
    chosen = [group.select_top_k(trajectories, 2, by=by) for by in ("efficiency", "diversity")]
    weights = [group.speed_weight(each) for each in trajectories]
    return voted.rewards, voted.advantages(), group.vote_metrics([voted]), clusters, chosen, weights


def _curriculum(prompts: Any, decay: Any, prompt: Any, successes: Any) -> Any:
    sampler = group.CurriculumPrompts(prompts, decay)
    sampler.learn(prompt, successes)
    return sampler.probabilities()


def _resumed(state: Any) -> Any:
    starts = group.NumberedStarts(0, group.CurriculumPrompts([(0, 0), (0, 1)]))
    starts.load_state_dict(state)
    return starts.draw()


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[[], Arguments]]] = {
    "temperature_schedule": (group.temperature_schedule, lambda: {"n": 4, "base": 0.6, "spread": 0.3}),
    "adapt_temperatures": (
        group.adapt_temperatures,
        lambda: {"temperatures": [0.5, 1.0], "diversity": 0.1, "target": 0.3, "rate": 0.5, "bounds": (0.1, 2.0)},
    ),
    "efficiency_reward": (
        rewards.efficiency_reward,
        lambda: {"success": [True, False], "steps": [10, 500], "max_steps": 500},
    ),
    "step_penalty": (rewards.step_penalty, lambda: {"steps": [10, 500], "max_steps": 500}),
    "energy_penalty": (rewards.energy_penalty, lambda: {"actions": np.ones((3, 7))}),
    "smoothness_penalty": (rewards.smoothness_penalty, lambda: {"actions": np.ones((3, 7))}),
    "weighted_reward": (
        rewards.weighted_reward,
        lambda: {"objectives": {"a": [1.0, 0.0], "b": [0.5, 0.5]}, "weights": {"a": 1.0, "b": 0.5}},
    ),
    "majority_vote": (group.majority_vote, lambda: {"outcomes": [True, False, True], "weights": [1.0, 1.0, 0.5]}),
    "apply_vote": (
        group.apply_vote,
        lambda: {"trajectories": _trajectories(), "config": VoteConfig(select="random"), "rng": 0},
    ),
    "group_advantages": (
        group.group_advantages,
        lambda: {
            "rewards": [1.0, 0.0, 0.5],
            "estimator": "grpo_nsr",
            "success": [True, False, True],
            "scores": [1.0, 0.0, 0.5],
            "mask": [True, True, False],
            "nsr": group.NSR(),
        },
    ),
    "has_signal": (group.has_signal, lambda: {"rewards": [1.0, 0.0]}),
    "pass_at_k": (group.pass_at_k, lambda: {"n": 5, "c": 2, "k": 3}),
    "trajectory_metrics": (group.trajectory_metrics, lambda: {"trajectories": _trajectories()}),
    "vote_metrics": (group.vote_metrics, lambda: {"groups": _voted(), "k": 2, "detailed": True}),
    "select_top_k": (
        group.select_top_k,
        lambda: {
            "trajectories": _trajectories(),
            "k": 2,
            "by": "majority_first",
            "agrees": [True, False, True, True, False],
            "rng": 0,
        },
    ),
    "select_top_k at random": (
        lambda rng: group.select_top_k(_trajectories(), 2, "random", rng=rng),
        lambda: {"rng": 0},
    ),
    "group_diversity": (group.group_diversity, lambda: {"trajectories": _trajectories()}),
    "Trajectory": (
        _vote_of,
        lambda: {
            "success": True,
            "steps": 40,
            "max_steps": 80,
            "task_reward": 1.0,
            "env_return": 1.0,
            "final_state": np.zeros(3),
            "actions": np.zeros((4, 7)),
            "index": 0,
            "temperature": 1.0,
        },
    ),
    "efficiency_bucket": (
        lambda n_buckets: group.efficiency_bucket(n_buckets)(_trajectories()[0]),
        lambda: {"n_buckets": 4},
    ),
    "noisy": (
        lambda outcome, p, seed: group.noisy(outcome, p, seed)(_trajectories()[0]),
        lambda: {"outcome": group.env_success, "p": 0.25, "seed": 0},
    ),
    "final_state_cluster": (
        lambda tolerance: group.final_state_cluster(tolerance).of_group(_trajectories()),
        lambda: {"tolerance": 0.1},
    ),
    "NSR": (
        lambda **fields: group.NSR(**fields).weights([1.0, 0.0], [True, False]),
        lambda: {
            "positive_weight": 0.1,
            "negative_weight": 1.0,
            "correctness_threshold": 0.5,
            "baseline": "grpo",
        },
    ),
    "VoteConfig": (
        lambda **fields: apply_vote(_trajectories(), VoteConfig(**fields)).rewards,
        lambda: {each.name: getattr(VoteConfig(), each.name) for each in dataclasses.fields(VoteConfig)},
    ),
    "UniformPrompts": (
        lambda prompts: group.UniformPrompts(prompts).draw(np.random.default_rng(0)),
        lambda: {"prompts": [(0, 0), (0, 1)]},
    ),
    "SequentialPrompts": (
        lambda prompts, repeat: group.SequentialPrompts(prompts, repeat).draw(np.random.default_rng(0)),
        lambda: {"prompts": [(0, 0), (0, 1)], "repeat": True},
    ),
    "CurriculumPrompts": (
        _curriculum,
        lambda: {
            "prompts": [(0, 0), (0, 1)],
            "decay": 0.9,
            "prompt": spec.Prompt(0, 0),
            "successes": [True, False],
        },
    ),
    "NumberedStarts": (lambda seed: group.NumberedStarts(seed).draw(), lambda: {"seed": 0}),
    "NumberedStarts.load_state_dict": (
        _resumed,
        lambda: {"state": {"seed": 0, "drawn": 3, "sampler": {"outcomes": [[0, 0, 1.0, 2.0]]}}},
    ),
    "check_image_size": (spec.check_image_size, lambda: {"image_size": 64}),
    "check_camera_offset": (
        lambda camera_offset: camera.check_camera_offset(camera_offset),
        lambda: {"camera_offset": [0.1, 0.0, 1.0, 1.0]},
    ),
    "bin_centers": (discretize_actions.bin_centers, lambda: {"tokens": [0, 255]}),
    "nearest_tokens": (discretize_actions.nearest_tokens, lambda: {"values": [0.5, -1.0]}),
    "hash_words": (instruction.hash_words, lambda: {"instruction": "put it down", "length": 8}),
    "encode_instruction": (instruction.encode_instruction, lambda: {"instruction": "put it down"}),
    "decode_instructions": (
        instruction.decode_instructions,
        lambda: {"encoded": instruction.encode_instruction("put it down")[None]},
    ),
    "load_policy": (
        lambda kind, path, config: load_policy(kind, path, config).slots,
        lambda: {"kind": "tiny", "path": None, "config": {"chunk_size": 2, "hidden": 8, "channels": 4, "heads": 2}},
    ),
}
"""Name -> function, and what makes arguments that it takes; a new one is tried as soon as it is here."""
