"""Votes among the trajectories of a group, and the rewards that follow from them."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import (
    check_callable,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_number,
    check_numbers,
    check_sequence,
    shown,
)
from vla_envs.errors import InvalidArgumentError
from vla_envs.group.advantages import NSR, W_REINFORCE, Estimator, group_advantages
from vla_envs.group.outcomes import GroupOutcome, Outcome, OutcomeFn, env_success, noisy, outcomes_of, says_success
from vla_envs.group.selection import Selection, select_top_k
from vla_envs.group.trajectory import Trajectory, check_trajectories


class Vote(NamedTuple):
    """What a group agreed on."""

    label: Outcome
    """The outcome of most weight; None after a tie, or where nobody voted."""
    ratio: float
    """Share of the leading outcome in the weight that voted, 0..1; 0 where nobody voted."""
    counts: dict[Hashable, float]
    """Weight of each outcome; the number of its votes where no weights were given."""
    tie: bool
    """Whether two outcomes lead, which elects neither."""


def majority_vote(outcomes: Sequence[Outcome], weights: ArrayLike | None = None) -> Vote:
    """The outcome of most weight.

    The order of the outcomes never matters, and only the ratios of the weights do. For more than two
    outcomes the leader may have less than half: compare ``ratio`` with a threshold.

    Args:
        outcomes: (n,) hashable outcomes; None abstains and does not count.
        weights: (n,) at least 0, or None for one vote each.

    Raises:
        InvalidArgumentError: an outcome that is not hashable, or weights that are negative, not finite or not n.

    >>> majority_vote([True, False, True, True, False])
    Vote(label=True, ratio=0.6, counts={True: 3.0, False: 2.0}, tie=False)
    >>> majority_vote([True, False, None]).label is None
    True
    """
    outcomes = check_sequence("outcomes", outcomes)
    for outcome in outcomes:
        check_instance("outcomes", outcome, Hashable)
    shares: dict[Hashable, list[float]] = defaultdict(list)
    for outcome, weight in zip(outcomes, _check_weights(weights, len(outcomes)), strict=True):
        if outcome is not None and weight > 0.0:
            shares[outcome].append(weight)
    # fsum rounds once: the order of the group cannot break a tie.
    counts = {outcome: math.fsum(each) for outcome, each in shares.items()}
    if not counts:
        return Vote(None, 0.0, {}, tie=False)
    highest = max(counts.values())
    leaders = [outcome for outcome, count in counts.items() if math.isclose(count, highest, rel_tol=1e-9)]
    tie = len(leaders) > 1
    return Vote(None if tie else leaders[0], highest / math.fsum(counts.values()), counts, tie)


def _check_weights(weights: ArrayLike | None, n: int) -> list[float]:
    if weights is None:
        return [1.0] * n
    checked = check_numbers("weights", weights)
    # Each of them may be finite and their sum not.
    if checked.shape != (n,) or not ((checked >= 0.0) & (checked <= np.finfo(np.float64).max / max(n, 1))).all():
        raise InvalidArgumentError(f"Expect `weights` to be {n} numbers of at least 0, actually: {shown(checked)}.")
    return checked.tolist()


def confidence_weight(trajectory: Trajectory) -> float:
    """``exp(confidence)``: a trajectory whose tokens the policy found likely has more of a vote.

    It is the geometric mean of the probabilities of its tokens.

    Raises:
        InvalidArgumentError: a trajectory whose confidence was not recorded.

    >>> confidence_weight(Trajectory(False, 3, 32, 0.0, confidence=math.log(0.25)))
    0.25
    """
    if trajectory.confidence is None:
        raise InvalidArgumentError("Expect trajectories with a `confidence` to weigh them by it, actually: None.")
    return math.exp(trajectory.confidence)


def speed_weight(trajectory: Trajectory) -> float:
    """``1 / (1 + steps / max_steps)``, for success and failure alike: a fast trajectory has more of a vote.

    Unlike :func:`vla_envs.rewards.efficiency_reward` it has no success mask, under which failures could
    never win a vote.

    >>> speed_weight(Trajectory(False, steps=80, max_steps=80, task_reward=0.0))
    0.5
    """
    return 1.0 / (1.0 + trajectory.steps / trajectory.max_steps)


Rule = Literal["agreement", "agreement_if_success", "disagree", "label", "denoise"]
"""How a vote becomes rewards, see :class:`VoteConfig`."""

STRICT_MAJORITY = 0.5
"""The confidence ratio that every untied vote between two outcomes exceeds."""


@dataclass(frozen=True)
class VoteConfig:
    """How a group rewards itself, and which of its trajectories are trained on.

    Rules, for an outcome o_i and the voted label:

    * ``"agreement"``: ``[o_i == label]``, TTRL's own (arXiv 2504.16084). On success and failure it rewards
      failing wherever less than half succeed.
    * ``"agreement_if_success"``: the same where the label says success; otherwise the vote abstains.
    * ``"disagree"``: ``-[o_i != label]``, and who agrees is compared with and not trained on. Where wrong answers
      scatter, one that disagrees is wrong whichever way the vote goes, while one that agrees is right only if the label
      is (after TTPO, arXiv 2608.27448).
    * ``"label"``: ``[label says success]`` for all: equal rewards, so no gradient within the group.
    * ``"denoise"``: no vote among trajectories. Each gets ``n_verdicts`` verdicts, and is
      rewarded by their majority.

    Where the vote abstains (a tie, low confidence, an outcome of None) a trajectory gets the
    environment's reward, or without the fallback none, and is not trained on.

    Raises:
        InvalidArgumentError: a field outside its range.

    Warns:
        UserWarning: the confidence threshold cannot bind.

    >>> VoteConfig(n_votes_per_prompt=5, n_samples_per_prompt=3).rule
    'agreement_if_success'
    """

    n_votes_per_prompt: int = 5
    """Trajectories of each prompt that vote, the size of a group; at least 2."""
    n_samples_per_prompt: int = 3
    """Trajectories of each prompt that are trained on, at most as many as vote."""
    min_confidence_ratio: float = STRICT_MAJORITY
    """A majority ratio of at most this is low confidence, in [0, 1): 0.5 asks for a strict majority, 0.6
    excludes 3 of 5."""
    use_env_fallback: bool = True
    """Whether trajectories on which the vote abstains get the task's own reward, which needs its labels."""
    log_detailed_metrics: bool = True
    """Whether metrics also compare votes and rewards with the environment's truth."""
    rule: Rule = "agreement_if_success"
    """How the vote becomes rewards."""
    select: Selection = "first"
    """Which of the trajectories are trained on, see :func:`~vla_envs.group.select_top_k`."""
    outcome: OutcomeFn = env_success
    """What the trajectories vote for; rules but ``"agreement"`` and ``"disagree"`` need outcomes that tell success
    from failure."""
    weight: Callable[[Trajectory], float] | None = None
    """Weight of a trajectory's vote, such as :func:`~vla_envs.group.speed_weight` or
    :func:`~vla_envs.group.confidence_weight`; None counts heads."""
    vote_share: float = 1.0
    """The share of the vote in the reward of a trajectory on which it does not abstain, from 0 to 1; the task's own
    reward, which needs its labels and no wrapper changes, has the rest."""
    n_verdicts: int = 5
    """The number of verdicts on each trajectory, for ``"denoise"`` alone."""

    def __post_init__(self) -> None:
        check_choice("rule", self.rule, get_args(Rule))
        check_choice("select", self.select, get_args(Selection))
        check_integer("n_votes_per_prompt", self.n_votes_per_prompt, 2)
        check_integer("n_samples_per_prompt", self.n_samples_per_prompt, 1)
        check_integer("n_verdicts", self.n_verdicts, 1)
        check_number("min_confidence_ratio", self.min_confidence_ratio, 0, 1, below=True)  # no ratio exceeds 1
        check_number("vote_share", self.vote_share, 0, 1)
        check_flag("use_env_fallback", self.use_env_fallback)
        check_flag("log_detailed_metrics", self.log_detailed_metrics)
        if not isinstance(self.outcome, GroupOutcome):
            check_callable("outcome", self.outcome)
        if self.weight is not None:
            check_callable("weight", self.weight)
        if self.n_samples_per_prompt > self.n_votes_per_prompt:
            raise InvalidArgumentError(
                f"Expect `n_samples_per_prompt` to be at most `n_votes_per_prompt` ({self.n_votes_per_prompt}), "
                f"actually: {self.n_samples_per_prompt}."
            )
        if self.rule == "denoise" and self.weight is not None:
            raise InvalidArgumentError(
                "Expect no `weight` for the rule 'denoise', because trajectories do not vote there, "
                f"actually: {shown(self.weight)}."
            )
        self._warn_if_vacuous()

    def _warn_if_vacuous(self) -> None:
        """Warn of a threshold below every ratio that a vote without abstentions can have."""
        two_outcomes = self.outcome is env_success or isinstance(self.outcome, noisy)
        # A strict majority is what votes ask for anyway: the default claims no more than that.
        if not two_outcomes or self.weight is not None or self.min_confidence_ratio == STRICT_MAJORITY:
            return
        n = self.n_verdicts if self.rule == "denoise" else self.n_votes_per_prompt
        lowest = (n // 2 + 1) / n
        if self.min_confidence_ratio < lowest:
            warnings.warn(
                f"min_confidence_ratio={self.min_confidence_ratio} excludes nothing: {n} votes between two outcomes "
                f"that do not tie have a ratio of at least {lowest:.3g}. Give that or more, or 0.5 for any majority.",
                stacklevel=4,
            )


VOTE, ENVIRONMENT, NONE = "vote", "environment", "none"
"""Where a reward comes from."""


@dataclass(frozen=True, eq=False)
class VotedGroup:
    """A group after its vote. Every array is (n,), in the order of the trajectories."""

    trajectories: tuple[Trajectory, ...]
    """All that voted."""
    outcomes: tuple[Outcome, ...]
    """What each voted for; for ``"denoise"`` the majority of its verdicts."""
    vote: Vote
    """What they agreed on."""
    confident: bool
    """Whether that has a label and enough of a majority; for ``"denoise"``, whether all verdicts have."""
    terms: dict[str, NDArray[np.float64]]
    """What the rewards are the sum of: the shares of the ``"vote"`` and of the ``"environment"``."""
    source: NDArray[np.str_]
    """What decides on each reward: ``"vote"``, ``"environment"`` where the vote abstains, or ``"none"``, which is not
    to be trained on."""
    selected: NDArray[np.bool_]
    """Which of them the selection has chosen; none that agrees with a ``"disagree"``."""
    offset: float = 0.0
    """What the vote pays the right ones beside what the environment does: less than 0 for ``"disagree"``."""

    @property
    def rewards(self) -> NDArray[np.float64]:
        """Rewards to learn from; 0 where there is none."""
        return self.terms[VOTE] + self.terms[ENVIRONMENT]

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether the environment says that each succeeded, whatever the vote."""
        return np.array([each.success for each in self.trajectories], bool)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Executed steps of each."""
        return np.array([each.steps for each in self.trajectories], np.int64)

    @property
    def env_rewards(self) -> NDArray[np.float64]:
        """The environment's reward of each, whatever the vote."""
        return np.array([each.task_reward for each in self.trajectories], np.float64)

    @property
    def rewarded(self) -> NDArray[np.bool_]:
        """Which of them have a reward, from the vote or from the environment."""
        return self.source != NONE

    @property
    def trained(self) -> NDArray[np.bool_]:
        """Which of them to train on: those selected that have a reward."""
        return self.selected & self.rewarded

    def advantages(self, estimator: Estimator = "grpo", nsr: NSR = W_REINFORCE) -> NDArray[np.float64]:
        """Advantages among all that have a reward, before the selection; 0 for those that have none."""
        return group_advantages(self.rewards, estimator, self.success, mask=self.rewarded, nsr=nsr)


def apply_vote(
    trajectories: Sequence[Trajectory], config: VoteConfig, rng: np.random.Generator | int | None = None
) -> VotedGroup:
    """Let the trajectories of a group vote, reward them by it and select those to train on.

    Args:
        trajectories: the finished trajectories of one prompt, at least one; where faults have left fewer than
            ``config.n_samples_per_prompt``, all are selected.
        config: the options of the vote.
        rng: generator or seed, for ``select="random"`` alone.

    Raises:
        InvalidArgumentError: no trajectory, or outcomes that the rule has no use for.

    >>> group = [Trajectory(success, 10, 80, float(success)) for success in (True, False, True, True, False)]
    >>> voted = apply_vote(group, VoteConfig())
    >>> voted.rewards.tolist(), voted.trained.tolist()
    ([1.0, 0.0, 1.0, 1.0, 0.0], [True, True, True, False, False])
    """
    check_instance("config", config, VoteConfig)
    if not check_trajectories(trajectories):
        raise InvalidArgumentError("Expect at least one trajectory to vote, actually none.")
    denoise = config.rule == "denoise"
    outcomes, vote, confident = (_denoise if denoise else _vote_together)(trajectories, config)
    votes = _voted_rewards(outcomes, vote, config.rule) if confident or denoise else np.full(len(outcomes), np.nan)
    k = min(config.n_samples_per_prompt, len(trajectories))
    agrees = np.array([outcome is not None and outcome == vote.label for outcome in outcomes])
    selected = np.zeros(len(trajectories), bool)
    selected[select_top_k(trajectories, k, config.select, agrees=agrees, rng=rng)] = True
    if config.rule == "disagree" and confident:
        selected &= ~agrees
    silent = np.isnan(votes)
    fallback = float(config.use_env_fallback)
    env_rewards = np.array([each.task_reward for each in trajectories], np.float64)
    return VotedGroup(
        trajectories=tuple(trajectories),
        outcomes=tuple(outcomes),
        vote=vote,
        confident=confident,
        terms={
            VOTE: config.vote_share * np.where(silent, 0.0, votes),
            ENVIRONMENT: np.where(silent, fallback, 1.0 - config.vote_share) * env_rewards,
        },
        source=np.where(silent, ENVIRONMENT if config.use_env_fallback else NONE, VOTE),
        selected=selected,
        offset=-config.vote_share if config.rule == "disagree" else 0.0,
    )


def revert_vote(voted: VotedGroup) -> VotedGroup:
    """The same group as the environment rewards it: what the vote has changed is taken back, and all are selected.

    Successes and task rewards are never touched by a vote, so that nothing is lost that had to be kept.

    >>> group = [Trajectory(success, 10, 80, float(success)) for success in (True, False, False)]
    >>> voted = apply_vote(group, VoteConfig(3, 3, rule="agreement"))
    >>> voted.rewards.tolist(), revert_vote(voted).rewards.tolist()
    ([0.0, 1.0, 1.0], [1.0, 0.0, 0.0])
    """
    check_instance("voted", voted, VotedGroup)
    n = len(voted.trajectories)
    return replace(
        voted,
        terms={VOTE: np.zeros(n), ENVIRONMENT: voted.env_rewards},
        source=np.full(n, ENVIRONMENT),
        selected=np.ones(n, bool),
        offset=0.0,
    )


def _vote_together(trajectories: Sequence[Trajectory], config: VoteConfig) -> tuple[list[Outcome], Vote, bool]:
    outcomes = outcomes_of(trajectories, config.outcome)
    weights = None if config.weight is None else [config.weight(each) for each in trajectories]
    vote = majority_vote(outcomes, weights)
    return outcomes, vote, _is_confident(vote, config)


def _denoise(trajectories: Sequence[Trajectory], config: VoteConfig) -> tuple[list[Outcome], Vote, bool]:
    rounds = [outcomes_of(trajectories, config.outcome) for _ in range(config.n_verdicts)]
    votes = [majority_vote(verdicts) for verdicts in zip(*rounds, strict=True)]
    confident = [_is_confident(vote, config) for vote in votes]
    outcomes = [vote.label if sure else None for vote, sure in zip(votes, confident, strict=True)]
    return outcomes, majority_vote(outcomes), all(confident)


def _is_confident(vote: Vote, config: VoteConfig) -> bool:
    return vote.label is not None and vote.ratio > config.min_confidence_ratio


def _voted_rewards(outcomes: Sequence[Outcome], vote: Vote, rule: Rule) -> NDArray[np.float64]:
    """The rewards of a rule; nan where the vote says nothing of a trajectory."""
    if rule == "denoise":
        return np.array([np.nan if each is None else says_success(each) for each in outcomes], np.float64)
    if rule == "label":
        return np.full(len(outcomes), float(says_success(vote.label)))
    if rule == "agreement_if_success" and not says_success(vote.label):
        return np.full(len(outcomes), np.nan)
    agrees = np.array([np.nan if each is None else each == vote.label for each in outcomes], np.float64)
    return agrees - 1.0 if rule == "disagree" else agrees
