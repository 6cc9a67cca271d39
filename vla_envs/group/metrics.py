"""What to log of groups: how their trajectories went, how good their votes are, and how far off the rewards."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_flag, check_instance, check_integer, check_sequence
from vla_envs.errors import InvalidArgumentError
from vla_envs.group.advantages import has_signal
from vla_envs.group.outcomes import says_success, tells_success
from vla_envs.group.trajectory import Trajectory, check_trajectories
from vla_envs.group.voting import ENVIRONMENT, VOTE, VotedGroup


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that one of k trajectories succeeds, from c successes among n: ``1 - C(n-c, k) / C(n, k)``.

    Unbiased, unlike ``1 - (1 - c/n)^k`` (arXiv 2107.03374).

    Raises:
        InvalidArgumentError: unless 0 <= c <= n and 1 <= k <= n.

    >>> pass_at_k(n=5, c=2, k=1), pass_at_k(n=5, c=2, k=4)
    (0.4, 1.0)
    """
    n = check_integer("n", n, 1)
    c, k = check_integer("c", c, 0, n), check_integer("k", k, 1, n)
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def trajectory_metrics(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """How the trajectories of a group went, by the environment's truth and before any selection.

    * ``success_rate``: the share that succeeded.
    * ``pass_at_n``: 1 if any of them succeeded, else 0.
    * ``steps`` and ``steps_per_success``: the mean of their control steps, and that of the successes. The latter is
      left out where there are none.

    Raises:
        InvalidArgumentError: no trajectory.

    >>> trajectory_metrics([Trajectory(True, 10, 80, 1.0), Trajectory(False, 80, 80, 0.0)])
    {'success_rate': 0.5, 'pass_at_n': 1.0, 'steps': 45.0, 'steps_per_success': 10.0}
    """
    if not check_trajectories(trajectories):
        raise InvalidArgumentError("Expect at least one trajectory, actually none.")
    success = np.array([each.success for each in trajectories], bool)
    steps = np.array([each.steps for each in trajectories])
    return {
        "success_rate": float(success.mean()),
        "pass_at_n": float(success.any()),
        "steps": float(steps.mean()),
        **({"steps_per_success": float(steps[success].mean())} if success.any() else {}),
    }


def vote_metrics(groups: Sequence[VotedGroup], k: int | None = None, detailed: bool = True) -> dict[str, float]:
    """Means over groups; a metric with nothing to average over is left out.

    * those of :func:`trajectory_metrics`, and ``pass@k``, the chance that one of k trajectories succeeds.
    * ``majority_ratio``, and ``confident``: the share of confident votes.
    * ``frac_zero_std_groups``: the share of groups in which no reward differs from another, which
      carry no signal.

    and, if ``detailed``:

    * ``label_accuracy``: the voted label is what the majority of the trajectories did, by the environment's
      truth; without the groups where either is tied. A label that does not tell success from failure, such as an
      answer, is right where most of the trajectories that gave it succeeded.
    * ``outcome_accuracy``: the share of outcomes that equal the trajectory's true success, of those that tell success
      from failure.
    * ``reward_accuracy``: the share of rewards that equal the environment's, but for the -1 that the rule
      ``"disagree"`` begins with; ``pseudo_reward`` and
      ``env_reward``: the means of both. ``vote_term`` and ``environment_term``: what the vote and the environment
      add to ``pseudo_reward``. Trajectories without a reward are left out.
    * ``grpo_nsr_pos_ratio`` and ``grpo_nsr_pos_token_ratio``: the share of successes among the trained trajectories,
      and among their steps, to which tokens are in proportion.

    Args:
        groups: voted groups, at least one.
        k: of ``pass@k``; None leaves it out.
        detailed: :attr:`VoteConfig.log_detailed_metrics <vla_envs.group.VoteConfig.log_detailed_metrics>`.

    Raises:
        InvalidArgumentError: no group, or k larger than a group.

    >>> from vla_envs.group import VoteConfig, apply_vote
    >>> group = [Trajectory(success, 10, 80, float(success)) for success in (True, False, True, True, False)]
    >>> metrics = vote_metrics([apply_vote(group, VoteConfig())], k=1)
    >>> metrics["majority_ratio"], metrics["pass@1"], metrics["reward_accuracy"]
    (0.6, 0.6, 1.0)
    """
    groups = check_sequence("groups", groups)
    for group in groups:
        check_instance("groups", group, VotedGroup)
    check_flag("detailed", detailed)
    if not groups:
        raise InvalidArgumentError("Expect at least one voted group, actually none.")
    samples: dict[str, list[float]] = defaultdict(list)
    for group in groups:
        for name, value in trajectory_metrics(group.trajectories).items():
            samples[name].append(value)
        if k is not None:
            samples[f"pass@{k}"].append(pass_at_k(len(group.trajectories), int(group.success.sum()), k))
    samples |= {
        "majority_ratio": [group.vote.ratio for group in groups],
        "confident": [float(group.confident) for group in groups],
        "frac_zero_std_groups": [float(not _has_advantage(group)) for group in groups],
    }
    if detailed:
        samples |= _of_outcomes(groups) | _of_rewards(groups) | _of_successes(groups)
    return {name: math.fsum(each) / len(each) for name, each in samples.items() if each}


def _has_advantage(group: VotedGroup) -> bool:
    rewards = group.rewards[group.rewarded]
    return bool(rewards.size and has_signal(rewards))


def _of_outcomes(groups: Sequence[VotedGroup]) -> dict[str, list[float]]:
    pairs = [pair for group in groups for pair in zip(group.outcomes, group.success, strict=True)]
    return {
        "label_accuracy": [float(right) for group in groups if (right := _is_label_right(group)) is not None],
        "outcome_accuracy": [float(says_success(each) == true) for each, true in pairs if tells_success(each)],
    }


def _is_label_right(group: VotedGroup) -> bool | None:
    """Whether the voted label is the truth; None where nobody can say."""
    label = group.vote.label
    if label is None:
        return None
    decides, expected = group.success, True
    if tells_success(label):
        expected = says_success(label)
    else:
        decides = decides[[each == label for each in group.outcomes]]
    return None if decides.mean() == 0.5 else bool((decides.mean() > 0.5) == expected)


def _of_rewards(groups: Sequence[VotedGroup]) -> dict[str, list[float]]:
    def given(read: Callable[[VotedGroup], NDArray]) -> list[float]:
        return [value for group in groups for value in read(group)[group.rewarded].tolist()]

    return {
        "reward_accuracy": given(_is_reward_right),
        "pseudo_reward": given(lambda group: group.rewards),
        "env_reward": given(lambda group: group.env_rewards),
        "vote_term": given(lambda group: group.terms[VOTE]),
        "environment_term": given(lambda group: group.terms[ENVIRONMENT]),
    }


def _is_reward_right(group: VotedGroup) -> NDArray[np.float64]:
    offset = np.where(group.source == VOTE, group.offset, 0.0)
    return np.isclose(group.rewards - offset, group.env_rewards).astype(np.float64)


def _of_successes(groups: Sequence[VotedGroup]) -> dict[str, list[float]]:
    success = np.concatenate([group.success[group.trained] for group in groups])
    steps = np.concatenate([group.steps[group.trained] for group in groups])
    return {
        "grpo_nsr_pos_ratio": success.astype(float).tolist(),
        "grpo_nsr_pos_token_ratio": [float(steps[success].sum() / steps.sum())] if steps.any() else [],
    }
