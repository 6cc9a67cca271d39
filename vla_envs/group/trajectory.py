"""What a finished trajectory shows to outcomes, votes and selection, and how far apart trajectories are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import (
    check_flags,
    check_instance,
    check_integer,
    check_number,
    check_numbers,
    check_sequence,
    shown,
)
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import MAX_STEPS, Prompt


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One finished trajectory of a group. Trajectories that a fault ended have no place in a vote: leave them out.

    Raises:
        InvalidArgumentError: a number that is not finite, ``max_steps`` below 1, or ``steps`` not from 0 to it.

    >>> Trajectory(success=True, steps=120, max_steps=280, task_reward=1.0).success
    True
    """

    success: bool
    """Whether the environment says that the task was solved; never changed by a vote."""
    steps: int
    """Executed control steps, settle steps excluded, in 0..max_steps."""
    max_steps: int
    """The step limit of the task."""
    task_reward: float
    """The environment's own reward of the trajectory, without shaping."""
    env_return: float = 0.0
    """Sum of what the environment and its wrappers paid."""
    final_state: NDArray[np.floating] | None = None
    """(S,): where things ended, in the units of the environment; None where it was not recorded."""
    answer: str | None = None
    """What it has answered, of ``VLA-Text-v0``; None where nothing was asked, or nothing answered."""
    confidence: float | None = None
    """Mean log-probability of its executed tokens, in nats; None where the policy's are not known."""
    actions: NDArray[np.floating] | None = None
    """(steps, A): the executed actions; None where they were not recorded."""
    prompt: Prompt | None = None
    """What it started from; None outside the environment contract."""
    index: int = 0
    """Its place in the group, 0..N-1."""
    temperature: float = 1.0
    """What its actions were sampled at."""

    def __post_init__(self) -> None:
        try:
            if check_flags("success", self.success).ndim:
                raise InvalidArgumentError(f"Expect one `success`, actually: {shown(self.success)}.")
            check_integer("steps", self.steps, 0, check_integer("max_steps", self.max_steps, 1, MAX_STEPS))
            for name in ("task_reward", "env_return", "temperature"):
                check_number(name, getattr(self, name))
            if self.confidence is not None:
                check_number("confidence", self.confidence)
            for name in ("final_state", "actions"):
                if getattr(self, name) is not None:
                    check_numbers(name, getattr(self, name))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{error} It is of trajectory {self.index} from {self.prompt}.") from None


def check_trajectories(trajectories: Any) -> list[Trajectory]:
    """Return trajectories as a list, or raise InvalidArgumentError unless it is a sequence of them."""
    checked = check_sequence("trajectories", trajectories)
    for each in checked:
        check_instance("trajectories", each, Trajectory)
    return checked


def action_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """``rms(a - b) / (rms(a) + rms(b))`` over the steps that both executed.

    Free of the actions' scale: 0 for equal actions, 1 for opposite ones, and never more.

    Args:
        a: (T, A) actions.
        b: (U, A) actions.

    Raises:
        InvalidArgumentError: an action that is not finite.

    >>> action_distance(np.ones((3, 7)), -np.ones((5, 7)))
    1.0
    """
    a, b = check_numbers("a", a), check_numbers("b", b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InvalidArgumentError(f"Expect actions (T, A) and (U, A), actually: {a.shape} and {b.shape}.")
    steps = min(len(a), len(b))
    a, b = a[:steps], b[:steps]
    # Norms instead of root mean squares: the number of values cancels out.
    scale = float(np.linalg.norm(a) + np.linalg.norm(b))
    return min(float(np.linalg.norm(a - b)) / scale, 1.0) if scale > 0.0 else 0.0


def pairwise_distances(trajectories: Sequence[Trajectory]) -> NDArray[np.float64]:
    """:func:`action_distance` of every pair, (n, n): symmetric, zero on the diagonal.

    Raises:
        InvalidArgumentError: a trajectory whose actions were not recorded.
    """
    trajectories = check_trajectories(trajectories)
    missing = [i for i, each in enumerate(trajectories) if each.actions is None]
    if missing:
        raise InvalidArgumentError(f"Expect trajectories with `actions`, actually None in: {missing}. Record them.")
    actions = [np.asarray(each.actions) for each in trajectories]
    return np.array([[action_distance(a, b) for b in actions] for a in actions], np.float64)


def end_distances(some: Sequence[Trajectory], others: Sequence[Trajectory]) -> NDArray[np.float64]:
    """(n, m): the largest difference of a coordinate between the final states of trajectories, in their units.

    Raises:
        InvalidArgumentError: a final state that was not recorded, or one of another shape.
    """
    groups = check_trajectories(some), check_trajectories(others)
    states = [[each.final_state for each in group] for group in groups]
    known = [np.asarray(each, np.float64) for each in (*states[0], *states[1]) if each is not None]
    if len(known) < len(states[0]) + len(states[1]):
        raise InvalidArgumentError("Expect trajectories with a `final_state`, actually None. Record them.")
    if len(shapes := sorted({each.shape for each in known})) > 1:
        raise InvalidArgumentError(f"Expect every `final_state` to have one shape, actually: {shapes}.")
    n, m = map(len, groups)
    flat = np.stack(known).reshape(n + m, -1) if known else np.zeros((0, 0))
    return np.abs(flat[:n, None] - flat[None, n:]).max(axis=-1, initial=0.0)


def group_diversity(trajectories: Sequence[Trajectory]) -> float:
    """Mean :func:`action_distance` over the pairs of a group, 0 (all acted the same) to 1; 0 for one trajectory.

    Raises:
        InvalidArgumentError: a trajectory whose actions were not recorded.

    >>> still, moving = (Trajectory(False, 2, 80, 0.0, actions=x * np.ones((2, 7))) for x in (0, 1))
    >>> round(group_diversity([still, still, moving]), 4)
    0.6667
    """
    n = len(check_trajectories(trajectories))
    return float(pairwise_distances(trajectories).sum() / (n * (n - 1))) if n > 1 else 0.0
