"""Rewards of trajectories by how they compare with others; those of one alone are in :mod:`vla_envs.rewards`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_number, shown
from vla_envs.errors import InvalidArgumentError
from vla_envs.group.trajectory import Trajectory, action_distance, check_trajectories, end_distances

MOST_PROGRESS = 0.6
"""What a failure that ends like a success is paid, beside 1 for the success (SRPO's code, see :func:`progress`)."""
STEEPNESS = 10.0
"""Of the logistic curve by which that falls with the distance (the same)."""


def contrast(own: Sequence[Trajectory], others: Sequence[Trajectory], tolerance: float) -> NDArray[np.float64]:
    """How surely the end of a trajectory tells which instruction it was given, which needs no label.

    What ends in one way under one instruction alone was brought about by the instruction. Doing nothing ends alike
    under all of them, and so does whatever a policy does without having read. Of ``n`` other trajectories that ended
    like this one, ``m`` were given the same instruction, and it is paid ``(m + 1/2) / (n + 1)``: the expected
    probability of its own instruction, given such an end, under Jeffreys' prior. An end like no other has 1/2.

    It takes no label and says nothing of which end is the right one: a policy that mixes up two instructions at most
    starts is paid for that. It needs instructions whose final states can be compared, because they are followed from
    the same start.

    Args:
        own: n trajectories of an instruction.
        others: those of other instructions from the same start, as many of each. Without any, nothing tells the
            instruction and each trajectory has 1/2.
        tolerance: largest difference of a coordinate of final states that are alike, in their units, at least 0.

    Returns:
        (n,), above 0 and below 1.

    Raises:
        InvalidArgumentError: a tolerance below 0, or trajectories whose final states were not recorded or differ in
            length.

    >>> ends = lambda *places: [Trajectory(False, 40, 40, 0.0, final_state=np.array([x])) for x in places]
    >>> contrast(ends(0.0, 0.5, 0.51), ends(0.0, 0.0, 0.9), tolerance=0.02).round(2).tolist()
    [0.17, 0.75, 0.75]
    """
    check_number("tolerance", tolerance, 0.0)
    own, others = check_trajectories(own), check_trajectories(others)
    if not others:
        return np.full(len(own), 0.5)
    alike = end_distances(own, [*own, *others]) <= tolerance
    same = alike[:, : len(own)].sum(1) - 1
    return (same + 0.5) / alike.sum(1)


def similarity_to_confident(trajectories: Sequence[Trajectory]) -> NDArray[np.float64]:
    """How much each trajectory acts like the one whose tokens the policy found likeliest, which needs no label.

    After T2VLA (arXiv 2606.29892), of which no code is public: its local pseudo-expert, without its pool of others.
    Where a policy is surest when it does nothing, this reward points away from success. Confidence is that at the
    temperature of each trajectory, and the coldest tend to have the most.

    Args:
        trajectories: n of a group, with their actions and their confidence.

    Returns:
        (n,) ``1 -`` :func:`~vla_envs.group.trajectory.action_distance`: from 0 to 1, which the confident one has.

    Raises:
        InvalidArgumentError: no trajectory, or one without actions or confidence.

    >>> still, moving = (np.full((2, 7), x) for x in (0.0, 1.0))
    >>> group = [Trajectory(False, 2, 9, 0.0, actions=x, confidence=c) for x, c in ((still, -2.0), (moving, -1.0))]
    >>> similarity_to_confident(group).tolist()
    [0.0, 1.0]
    """
    trajectories = check_trajectories(trajectories)
    if not trajectories or any(each.confidence is None or each.actions is None for each in trajectories):
        raise InvalidArgumentError(
            f"Expect trajectories with `actions` and a `confidence`, actually: {shown(trajectories)}."
        )
    confident = max(trajectories, key=lambda each: each.confidence)  # type: ignore[arg-type, return-value]
    return np.array([1.0 - action_distance(each.actions, confident.actions) for each in trajectories])  # type: ignore[arg-type]


def progress(trajectories: Sequence[Trajectory]) -> NDArray[np.float64]:
    """1 for a success, and for a failure the more the nearer it ends to a success of the group.

    After SRPO (arXiv 2511.15605): with ``d`` from 0 to 1 the distance of a failure to the nearest success, scaled to
    that of the nearest and the farthest failure of the group, ``0.6 / (1 + exp(10 (d - 0.5)))``, or 0 where nothing
    succeeded. The formula and its numbers are those of its code (sii-research/siiRL,
    ``siirl/utils/reward_score/embodied.py``), which measures in the latent space of a video model and from centers of
    clusters; here it is the largest difference of a coordinate of the final states.

    Args:
        trajectories: n of a group.

    Returns:
        (n,), from 0 to 1.

    Raises:
        InvalidArgumentError: trajectories whose final states were not recorded or differ in length.

    >>> group = [Trajectory(x == 1.0, 9, 9, 0.0, final_state=np.array([x])) for x in (1.0, 0.9, 0.0)]
    >>> progress(group).round(3).tolist()
    [1.0, 0.596, 0.004]
    """
    trajectories = check_trajectories(trajectories)
    success = np.array([each.success for each in trajectories], bool)
    rewards = success.astype(np.float64)
    if success.all() or not success.any():
        return rewards
    nearest = end_distances(trajectories, trajectories)[:, success].min(1)[~success]
    spread = np.ptp(nearest)
    scaled = (nearest - nearest.min()) / spread if spread > 1e-6 else np.full(len(nearest), 0.5)
    rewards[~success] = MOST_PROGRESS / (1.0 + np.exp(STEEPNESS * (scaled - 0.5)))
    return rewards
