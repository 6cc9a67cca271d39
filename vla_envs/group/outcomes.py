"""Outcomes: what the trajectories of a group vote for.

An outcome function maps a trajectory to a hashable outcome, or to None, which abstains; any verifier of
one's own is one. One that has to see the whole group offers ``of_group`` instead (:class:`GroupOutcome`).
Only verifiers that ask no simulator, :func:`given_answer`, :func:`final_state_cluster` and
:func:`changed_state_cluster` do without the environment's labels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np

from vla_envs.arguments import check_callable, check_integer, check_number, generator, shown
from vla_envs.errors import InvalidArgumentError
from vla_envs.group.trajectory import Trajectory, end_distances

Outcome = Hashable | None


@runtime_checkable
class GroupOutcome(Protocol):
    """Outcomes that depend on the other trajectories of the group."""

    def of_group(self, trajectories: Sequence[Trajectory]) -> list[Outcome]:
        """One outcome for each trajectory."""


OutcomeFn = Callable[[Trajectory], Outcome] | GroupOutcome


def outcomes_of(trajectories: Sequence[Trajectory], outcome: OutcomeFn) -> list[Outcome]:
    """The outcome of every trajectory of a group.

    >>> group = [Trajectory(success, 10, 80, float(success)) for success in (True, False)]
    >>> outcomes_of(group, env_success)
    [True, False]
    """
    if isinstance(outcome, GroupOutcome):
        return outcome.of_group(trajectories)
    return [outcome(trajectory) for trajectory in trajectories]


def tells_success(outcome: Outcome) -> bool:
    """Whether an outcome tells success from failure: a boolean, or a tuple that begins with one.

    >>> tells_success(False), tells_success(2), tells_success(None)
    (True, False, False)
    """
    return isinstance(_first(outcome), (bool, np.bool_))


def says_success(outcome: Outcome) -> bool:
    """Whether an outcome stands for success: True, or a tuple that begins with True (see :func:`joint`).

    Raises:
        InvalidArgumentError: an outcome that says neither success nor failure, such as a cluster.

    >>> says_success(True), says_success((False, 2))
    (True, False)
    """
    if not tells_success(outcome):
        raise InvalidArgumentError(
            f"Expect the outcome to be True, False or a tuple that begins with one, actually: {shown(outcome)}. "
            "Outcomes that do not tell success from failure need the rule 'agreement'."
        )
    return bool(_first(outcome))


def _first(outcome: Outcome) -> Outcome:
    return outcome[0] if isinstance(outcome, tuple) and outcome else outcome


def env_success(trajectory: Trajectory) -> bool:
    """The environment's own verdict: a label, so a vote on it is supervised."""
    return bool(trajectory.success)


def given_answer(trajectory: Trajectory) -> str | None:
    """What the trajectory has answered: TTRL's own vote (arXiv 2504.16084), which needs no label.

    >>> given_answer(Trajectory(False, 3, 32, 0.0, answer="118"))
    '118'
    """
    return trajectory.answer


def efficiency_bucket(n_buckets: int) -> Callable[[Trajectory], int]:
    """Which part of its step limit a success took, 1 (fastest) to ``n_buckets``; 0 for a failure.

    Raises:
        InvalidArgumentError: ``n_buckets`` is no integer of at least 1.

    >>> efficiency_bucket(4)(Trajectory(True, steps=100, max_steps=200, task_reward=1.0))
    2
    """
    return partial(_bucket_of, n_buckets=check_integer("n_buckets", n_buckets, 1))


def _bucket_of(trajectory: Trajectory, n_buckets: int) -> int:
    if not trajectory.success:
        return 0
    # Integers, because 0.1 * 30 is a little more than 3.
    return max(1, -(-trajectory.steps * n_buckets // trajectory.max_steps))


class noisy:  # noqa: N801  (reads as the function that it stands for)
    """An outcome of True or False as a verifier sees it that errs with probability ``p``, anew at each call.

    Args:
        outcome: says True, False or None; None stays None.
        p: probability of the opposite verdict, 0..1.
        seed: fixes the errors; a generator is used as it is.

    Raises:
        InvalidArgumentError: ``p`` outside 0..1.

    >>> verdict = noisy(env_success, p=1.0)
    >>> verdict(Trajectory(True, 10, 80, 1.0))
    False
    """

    def __init__(
        self,
        outcome: Callable[[Trajectory], bool | None],
        p: float,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        check_callable("outcome", outcome)
        self.outcome = outcome
        self.p = check_number("p", p, 0.0, 1.0)
        self.rng = generator("seed", seed)

    def __repr__(self) -> str:
        return f"noisy({getattr(self.outcome, '__name__', self.outcome)}, p={self.p})"

    def __call__(self, trajectory: Trajectory) -> bool | None:
        """The verdict, or its opposite."""
        verdict = self.outcome(trajectory)
        return None if verdict is None else bool(verdict) ^ bool(self.rng.random() < self.p)


class final_state_cluster:  # noqa: N801  (reads as the function that it stands for)
    """Trajectories that end alike have the same outcome: a vote without labels.

    Two final states are alike if no coordinate differs by more than the tolerance, or if a chain of such
    pairs connects them (single linkage), so that the clusters do not depend on the order of the group.

    Args:
        tolerance: largest difference of a coordinate, at least 0, in the units of the final state.

    Raises:
        InvalidArgumentError: a tolerance below 0.

    >>> ends = [Trajectory(True, 10, 80, 1.0, final_state=np.array([x])) for x in (0.0, 0.5, 0.01)]
    >>> final_state_cluster(tolerance=0.02).of_group(ends)
    [0, 1, 0]
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance = check_number("tolerance", tolerance, 0.0)

    def __repr__(self) -> str:
        return f"final_state_cluster(tolerance={self.tolerance})"

    def of_group(self, trajectories: Sequence[Trajectory]) -> list[Outcome]:
        """The cluster of each final state, 0.. in the order of the group; None for one that was not recorded."""
        known = [i for i, each in enumerate(trajectories) if each.final_state is not None]
        ends = [trajectories[i] for i in known]
        outcomes: list[Outcome] = [None] * len(trajectories)
        for i, cluster in zip(known, _single_linkage(self._alike(end_distances(ends, ends))), strict=True):
            outcomes[i] = cluster
        return outcomes

    def _alike(self, distances: np.ndarray) -> np.ndarray:
        return distances <= self.tolerance


class changed_state_cluster(final_state_cluster):  # noqa: N801  (reads as the function that it stands for)
    """:class:`final_state_cluster` for tasks where doing nothing is the commonest failure.

    Sampled trajectories that changed anything do not end exactly alike: equal final states are those of trajectories
    that changed nothing. Each of these is a cluster of its own here, so that they do not outvote the others.

    >>> ends = [Trajectory(True, 10, 80, 1.0, final_state=np.array([x])) for x in (0.0, 0.0, 0.5, 0.51)]
    >>> changed_state_cluster(tolerance=0.02).of_group(ends)
    [0, 1, 2, 2]
    """

    def _alike(self, distances: np.ndarray) -> np.ndarray:
        return (distances > 0.0) & super()._alike(distances)


def _single_linkage(alike: np.ndarray) -> list[int]:
    near = alike | np.eye(len(alike), dtype=bool)
    roots = np.arange(len(alike))
    for _ in range(len(alike)):  # the longest chain
        roots = np.where(near, roots, len(alike)).min(axis=1)
    return np.unique(roots, return_inverse=True)[1].tolist()


class joint:  # noqa: N801  (reads as the function that it stands for)
    """Several outcomes as one: trajectories agree where they agree in all of them.

    Begin with one of True and False, such as :func:`env_success`, to vote by a rule that asks for success.
    A trajectory for which one of them is None abstains.

    >>> outcome = joint(env_success, efficiency_bucket(4))
    >>> outcome.of_group([Trajectory(True, 100, 200, 1.0)])
    [(True, 2)]
    """

    def __init__(self, *outcomes: OutcomeFn) -> None:
        self.outcomes = outcomes

    def of_group(self, trajectories: Sequence[Trajectory]) -> list[Outcome]:
        """The tuples of outcomes."""
        columns = [outcomes_of(trajectories, outcome) for outcome in self.outcomes]
        return [None if None in row else row for row in zip(*columns, strict=True)]
