"""The policy that group RL starts from: a checkpoint's, a clone of an expert, or a fresh one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from policies.behaviour_cloning import clone
from policies.interface import Policy
from policies.registry import load_policy
from rllib_configs import demonstrations
from rllib_configs.experiment import Experiment
from vla_envs.errors import InvalidArgumentError


def load_first_policy(experiment: Experiment) -> Policy:
    """The policy before any cloning.

    Raises:
        InvalidArgumentError: a checkpoint made for another environment, or demonstrations that nobody can give.
        MissingAssetsError: no checkpoint.
    """
    if _clones(experiment):
        demonstrations.check(experiment.environment, experiment.bc)
    torch.manual_seed(experiment.seed)
    policy = load_policy(**experiment.policy_keywords())
    offered = experiment.environment.policy_config()
    for name, given in policy.made_for.items():
        expected = offered[name]
        # A camera that the policy does not look at does no harm.
        if not (set(given) <= set(expected) if name == "image_keys" else given == expected):
            raise InvalidArgumentError(
                f"Expect the `{name}` of {experiment.policy.path} to fit the environment's, which is {expected}, "
                f"actually: {given}."
            )
    return policy


def clone_expert(policy: Policy, experiment: Experiment, on_step: Callable[[int, float], None]) -> None:
    """Train the policy in place on demonstrations, where the experiment asks for any."""
    if not _clones(experiment):
        return
    bc = experiment.bc
    clone(
        policy,
        demonstrations.collect(experiment.environment, bc, experiment.seed),
        steps=bc.steps,
        learning_rate=bc.learning_rate,
        batch_size=bc.batch_size,
        seed=experiment.seed,
        on_step=on_step,
    )


def _clones(experiment: Experiment) -> bool:
    return experiment.policy.path is None and experiment.bc.demonstrations_per_task > 0
