"""What a number of episodes can say: intervals of success, and the comparison of two policies on the same prompts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_number

LEVEL = 0.95
"""Confidence level of every interval."""


def success_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a success probability.

    >>> [round(bound, 3) for bound in success_interval(50, 100)]
    [0.404, 0.596]
    """
    from scipy.stats import binomtest  # takes a second to import

    interval = binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


class Pairs(NamedTuple):
    """How often two policies succeeded on the same prompts."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @classmethod
    def of(cls, outcomes: Iterable[tuple[bool, bool]]) -> Pairs:
        """Count the outcomes ``(success of a, success of b)`` of the prompts.

        >>> Pairs.of([(True, True), (False, True), (False, True)])
        Pairs(both=1, only_a=0, only_b=2, neither=0)
        """
        counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        for a, b in outcomes:
            counts[bool(a), bool(b)] += 1
        return cls(*counts.values())

    @property
    def n(self) -> int:
        """Number of prompts."""
        return sum(self)

    @property
    def discordant(self) -> int:
        """Number of prompts on which one of the two succeeded."""
        return self.only_a + self.only_b

    @property
    def difference(self) -> float:
        """Success rate of b less that of a."""
        return (self.only_b - self.only_a) / self.n


def mcnemar(pairs: Pairs) -> float:
    """Two-sided p-value of the exact test that both policies succeed equally often (McNemar 1947).

    Prompts on which both succeed or both fail say nothing; where the policies are equal, each of the others is decided
    by a fair coin.

    >>> round(mcnemar(Pairs(both=40, only_a=3, only_b=15, neither=42)), 4)
    0.0075
    """
    from scipy.stats import binomtest

    return float(binomtest(pairs.only_b, pairs.discordant).pvalue) if pairs.discordant else 1.0


def difference_interval(pairs: Pairs) -> tuple[float, float]:
    """95 % score interval of the difference of two success probabilities on the same prompts (Tango 1998).

    It holds its level for few prompts and near differences of 0 and 1, where an estimate plus or minus two standard
    errors does not.

    >>> [round(bound, 3) for bound in difference_interval(Pairs(both=40, only_a=3, only_b=15, neither=42))]
    [0.041, 0.209]
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, estimate = float(norm.ppf((1 + LEVEL) / 2)), pairs.difference

    def bound(end: float) -> float:
        """Where the score is as far from the estimate as it may be, between the estimate and an end of the scale."""
        sign = math.copysign(1.0, end)
        if sign * _tango_score(pairs, end) > -z:
            return end
        return float(brentq(lambda value: sign * _tango_score(pairs, value) + z, estimate, end))

    return bound(-1.0), bound(1.0)


@dataclass(frozen=True)
class Seeds:
    """How policies of one recipe, trained from several seeds, did on the same prompts."""

    outcomes: NDArray[np.bool_]
    """Success of each seed (rows) on each prompt (columns)."""

    @property
    def rates(self) -> NDArray[np.float64]:
        """Success rate of each seed."""
        return self.outcomes.mean(1)

    @property
    def mean(self) -> float:
        """Mean of the rates."""
        return float(self.rates.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the rates."""
        return float(self.rates.std(ddof=1))

    @property
    def chance_spread(self) -> float:
        """Standard deviation of the rates of equally good policies, whose prompts are decided independently.

        Each prompt has a probability of its own, whose share of the variance is that of its outcomes over the seeds.
        """
        return math.sqrt(self.outcomes.var(0, ddof=1).mean() / self.outcomes.shape[1])


def welch_interval(a: Seeds, b: Seeds) -> tuple[float, float] | None:
    """Welch's 95 % interval of how much higher b's mean is than a's, over training seeds.

    Where neither has a spread there is none: None.

    >>> a = Seeds(np.array([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], bool))
    >>> b = Seeds(np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]], bool))
    >>> low, high = welch_interval(a, b)
    >>> round(low, 3), round(high, 3)
    (0.138, 0.662)
    """
    from scipy.stats import ttest_ind

    if a.spread == b.spread == 0.0:
        return None
    interval = ttest_ind(b.rates, a.rates, equal_var=False).confidence_interval(LEVEL)
    return float(interval.low), float(interval.high)


def points(interval: tuple[float, float]) -> str:
    """An interval of differences in points of success.

    >>> points((-0.05, 0.125))
    '[-5.0, +12.5]'
    """
    return f"[{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


def _tango_score(pairs: Pairs, difference: float) -> float:
    """How many standard errors the estimate lies above a supposed difference, with the errors that this one implies."""
    n, b, c = pairs.n, pairs.only_b, pairs.only_a
    # The likeliest probability of "only a" under the supposed difference solves a quadratic equation.
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    q = (math.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * q + difference * (1 - difference))
    distance = b - c - n * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def resolution(pairs: Pairs, power: float = 0.8) -> float | None:
    """The smallest difference of success that McNemar's exact test finds with this power on as many prompts.

    It rests on the share of prompts on which the two policies differed here, or on the difference itself where that is
    larger: so many prompts must differ. Five prompts or fewer show no difference: None.

    >>> round(resolution(Pairs(both=40, only_a=10, only_b=10, neither=40)), 3)
    0.128
    """
    from scipy.optimize import brentq

    share = pairs.discordant / pairs.n
    if mcnemar(Pairs(0, 0, pairs.n, 0)) >= 1 - LEVEL:
        return None
    return float(brentq(lambda each: _mcnemar_power(pairs.n, max(share, each), each) - power, 1e-6, 1.0, xtol=1e-5))


def resolved(pairs: Pairs) -> str:
    """The :func:`resolution`, in words.

    >>> resolved(Pairs(both=40, only_a=10, only_b=10, neither=40))
    'differences of 13 points and more, with a power of 80 %'
    """
    smallest = resolution(pairs)
    if smallest is None:
        return f"none: {pairs.n} prompts show no difference"
    return f"differences of {100 * smallest:.0f} points and more, with a power of 80 %"


def _mcnemar_power(n: int, share: float, difference: float) -> float:
    """How probably the exact test is below its level on n prompts, of which ``share`` differ on average."""
    from scipy.stats import binom

    discordant = np.arange(n + 1)
    # The most successes of the worse policy alone that are too few for a fair coin, -1 where there are none.
    most = binom.ppf((1 - LEVEL) / 2, discordant, 0.5)
    most -= 2 * binom.cdf(most, discordant, 0.5) >= 1 - LEVEL
    better = (share + difference) / (2 * share)
    found = binom.cdf(most, discordant, better) + binom.cdf(most, discordant, 1 - better)
    return float(binom.pmf(discordant, n, share) @ found)


class SequentialTest:
    """A test that two policies succeed equally often, which may be looked at after every prompt.

    Someone bets on each prompt on which only one policy succeeds, on either policy with half of the money, at the odds
    of a fair coin. Where the policies are equal no bet pays on average, so that the probability of ever having 20 times
    the stake is at most 5 % (Ville 1939; Grünwald et al. 2024, safe testing): whoever stops then is wrong that seldom,
    whenever they looked and however many prompts they had in mind. The same bets against any other difference give an
    interval that holds it with 95 % at all times (Waudby-Smith and Ramdas 2024).

    Args:
        difference: of the success rates, above 0 and at most 1, at which the test shall need the fewest prompts.

    Example:
        >>> test = SequentialTest()
        >>> for _ in range(30):
        ...     test.update(a=False, b=True)
        >>> test.decided_at, round(test.evidence)
        (20, 82)
        >>> [round(bound, 2) for bound in test.interval()]
        [0.29, 1.0]
    """

    PRIOR = (8, 24)
    """Discordant prompts and prompts that are supposed to have been seen before: shares of a third are common."""
    LARGEST_BET = 0.9
    """Share of the money: a single surprise must not end the game."""

    def __init__(self, difference: float = 0.1) -> None:
        self.aimed_at = check_number("difference", difference, 0.0, 1.0, above=True)
        self.decided_at: int | None = None
        """Number of prompts after which the test had decided that they differ; None as long as it has not."""
        self._outcomes: list[int] = []
        self._bets: list[float] = []
        self._discordant = 0
        self._log_wealth = {1: 0.0, -1: 0.0}

    @property
    def n(self) -> int:
        """Number of prompts so far."""
        return len(self._outcomes)

    @property
    def evidence(self) -> float:
        """What a stake of 1 has become, the e-value."""
        return sum(math.exp(min(each, 700.0)) for each in self._log_wealth.values()) / 2

    @property
    def verdict(self) -> str:
        """Whether the test has decided that they differ, in words."""
        return f"decided after {self.decided_at} prompts" if self.decided_at else "not decided"

    def update(self, a: bool, b: bool) -> None:
        """Take the outcomes of the two policies on the next prompt."""
        outcome, bet = int(b) - int(a), self._bet()
        self._outcomes.append(outcome)
        self._bets.append(bet)
        self._discordant += abs(outcome)
        for side in self._log_wealth:
            self._log_wealth[side] += math.log1p(side * bet * outcome)
        if self.decided_at is None and self.evidence >= 1 / (1 - LEVEL):
            self.decided_at = self.n

    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference, success of b less that of a, which is valid whenever one stops."""
        differences = np.linspace(-1, 1, 2001)
        bets = np.minimum(np.array(self._bets)[:, None], self.LARGEST_BET / (1 + np.abs(differences)))
        gains = bets * (np.array(self._outcomes)[:, None] - differences)
        log_wealth = np.logaddexp(np.log1p(gains).sum(0), np.log1p(-gains).sum(0)) - math.log(2)
        possible = differences[log_wealth < -math.log(1 - LEVEL)]
        return float(possible[0]), float(possible[-1])

    def _bet(self) -> float:
        """The share of the money that grows fastest, were the difference the one aimed at.

        The share of prompts on which the policies differ is that seen so far.
        """
        discordant, of = self.PRIOR
        share = (self._discordant + discordant) / (self.n + of)
        return min(self.aimed_at / share, self.LARGEST_BET)
