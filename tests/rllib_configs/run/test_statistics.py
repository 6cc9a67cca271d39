"""What a number of episodes can say."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, multinomial, norm

from rllib_configs.run.statistics import (
    Pairs,
    Seeds,
    SequentialTest,
    difference_interval,
    mcnemar,
    resolution,
    success_interval,
    welch_interval,
)
from vla_envs.group.prompts import spread_over_tasks
from vla_envs.spec import Prompt

rng = np.random.default_rng
counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
pairs = st.tuples(*[st.integers(0, 200)] * 4).filter(any).map(lambda four: Pairs(*four))


def swapped(of: Pairs) -> Pairs:
    return of._replace(only_a=of.only_b, only_b=of.only_a)


@given(counts)
def test_the_interval_holds_the_rate_and_stays_in_bounds(count):
    """Between 0 and 1, and wider than nothing."""
    successes, n = count
    low, high = success_interval(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    assert high - low > 0


@given(counts)
def test_success_and_failure_mirror_each_other(count):
    """Their bounds add up to one."""
    successes, n = count
    low, high = success_interval(successes, n)
    other_low, other_high = success_interval(n - successes, n)
    assert (low + other_high, high + other_low) == pytest.approx((1.0, 1.0))


@given(counts)
def test_more_episodes_narrow_the_interval(count):
    """At the same rate."""
    successes, n = count
    low, high = success_interval(successes, n)
    narrow_low, narrow_high = success_interval(4 * successes, 4 * n)
    assert narrow_high - narrow_low < high - low


@given(counts)
def test_the_bounds_solve_the_score_equation(count):
    """At each bound the rate is 1.96 standard errors away (Wilson 1927)."""
    successes, n = count
    z = norm.ppf(0.975)
    for bound in success_interval(successes, n):
        assert (successes / n - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / n, abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (0, 0)])
def test_impossible_counts_are_an_error(successes, n):
    """There are as many episodes as successes, and one at least."""
    with pytest.raises(ValueError):  # noqa: PT011  (SciPy's words)
        success_interval(successes, n)


def test_pairs_are_counted():
    """By which of the two succeeded."""
    outcomes = [(True, True)] + [(True, False)] * 2 + [(False, True)] * 3 + [(False, False)] * 4
    assert Pairs.of(outcomes) == (1, 2, 3, 4)
    assert Pairs.of(outcomes).difference == pytest.approx(0.1)


@given(pairs)
def test_mcnemar_adds_up_what_a_fair_coin_does_as_seldom(pair):
    """Both tails: the side that is further out, twice."""
    n, fewer = pair.discordant, min(pair.only_a, pair.only_b)
    expected = min(1.0, 2 * binom.cdf(fewer, n, 0.5)) if n else 1.0
    assert mcnemar(pair) == pytest.approx(expected)


@given(pairs)
def test_the_interval_of_a_difference_holds_it_and_mirrors(pair):
    """Exchanging the policies changes its sign alone."""
    low, high = difference_interval(pair)
    assert -1.0 <= low <= pair.difference <= high <= 1.0
    other_low, other_high = difference_interval(swapped(pair))
    assert (other_low, other_high) == pytest.approx((-high, -low), abs=1e-9)


@given(pairs.filter(lambda pair: pair.discordant > 0))
def test_the_bounds_of_a_difference_are_roots_of_the_published_quartic(pair):
    """Of Yang, Sun and Hardin (2013), who square Tango's equation and clear its denominators."""
    n, b, c, g = pair.n, pair.only_b, pair.only_a, norm.ppf(0.975) ** 2
    difference, both = b - c, b + c
    quartic = [
        n**2 * (n / g + 1) ** 2,
        -n * difference * (n / g + 1) * (4 * n / g + 1),
        2 * n * difference**2 * (3 * n / g + 2) / g - n**2 * (both / g + 1),
        n * difference * (2 * both / g + 1) - difference**3 * (4 * n / g + 1) / g,
        difference**2 * (difference**2 / g - both) / g,
    ]
    for bound in difference_interval(pair):
        scale = sum(abs(factor * bound ** (4 - power)) for power, factor in enumerate(quartic))
        assert abs(np.polyval(quartic, bound)) <= 1e-7 * max(scale, 1e-12) or abs(bound) == 1


@pytest.mark.parametrize("probabilities", [(0.3, 0.1, 0.2, 0.4), (0.0, 0.05, 0.3, 0.65), (0.2, 0.3, 0.3, 0.2)])
def test_the_interval_of_a_difference_holds_its_level(probabilities):
    """Exactly, by all outcomes of 20 prompts."""
    n, covered = 20, 0.0
    for both, only_a, only_b in itertools.product(range(n + 1), repeat=3):
        if both + only_a + only_b <= n:
            pair = Pairs(both, only_a, only_b, n - both - only_a - only_b)
            low, high = _interval_of(pair.only_a, pair.only_b, n)
            if low <= probabilities[2] - probabilities[1] <= high:
                covered += multinomial.pmf(pair, n, probabilities)
    assert 0.92 < covered < 0.99


_intervals: dict[tuple[int, int, int], tuple[float, float]] = {}


def _interval_of(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Prompts on which both did alike matter by their number alone."""
    key = (only_a, only_b, n)
    if key not in _intervals:
        _intervals[key] = difference_interval(Pairs(0, only_a, only_b, n - only_a - only_b))
    return _intervals[key]


@given(pairs)
def test_more_prompts_resolve_smaller_differences(pair):
    """Four times as many about half of it, where a normal distribution fits; fewer than six show nothing."""
    smallest, finer = resolution(pair), resolution(Pairs(*(4 * count for count in pair)))
    if pair.n < 6:
        assert smallest is None
    else:
        assert 0 < finer < smallest < 1
    if min(pair.discordant, pair.n - pair.discordant) > 50:
        assert finer == pytest.approx(smallest / 2, rel=0.1)


@pytest.mark.parametrize("pair", [(140, 60, 60, 140), (40, 10, 10, 40), (90, 3, 3, 4), (50, 1, 0, 49), (16, 0, 0, 0)])
def test_a_difference_of_the_resolution_is_found_as_often_as_the_power_says(pair):
    """By McNemar's exact test, also where hardly a prompt has differed."""
    of = Pairs(*pair)
    smallest = resolution(of, power=0.8)
    share = max(of.discordant / of.n, smallest)
    odds = [(share - smallest) / 2, (share + smallest) / 2, 1 - share]
    draws = np.random.default_rng(0).multinomial(of.n, odds, 1000)
    found = np.mean([mcnemar(Pairs(0, only_a, only_b, same)) < 0.05 for only_a, only_b, same in draws])
    assert found == pytest.approx(0.8, abs=0.045)


class TestSequentialTest:
    """A test that may stop at any time."""

    def played(self, outcomes, **kwargs) -> SequentialTest:
        """The test after all outcomes, given as +1 where b alone succeeds, -1 where a does, 0 where they agree."""
        test = SequentialTest(**kwargs)
        for outcome in outcomes:
            test.update(a=outcome < 0, b=outcome > 0)
        return test

    @given(st.lists(st.sampled_from([-1, 0, 1]), max_size=60))
    def test_evidence_is_a_fair_game(self, outcomes):
        """Under equal policies the next discordant prompt changes it by nothing on average."""
        now = self.played(outcomes).evidence
        won, lost = (self.played([*outcomes, last]).evidence for last in (1, -1))
        assert (won + lost) / 2 == pytest.approx(now)
        assert self.played([*outcomes, 0]).evidence == now

    @given(st.lists(st.sampled_from([-1, 0, 1]), max_size=60))
    def test_both_policies_are_treated_alike(self, outcomes):
        """Exchanged, they give the same evidence."""
        assert self.played(outcomes).evidence == pytest.approx(self.played([-each for each in outcomes]).evidence)

    def test_a_decision_stays(self):
        """Also where the prompts that follow speak against it: whoever stopped had stopped."""
        test = self.played([1] * 40 + [-1] * 60)
        assert test.decided_at
        assert test.evidence < 20

    @pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
    def test_equal_policies_are_told_apart_seldom(self, share):
        """However often one looks: at most 5 % of games are ever decided."""
        rng = np.random.default_rng(0)
        games = rng.choice([-1, 0, 1], p=[share / 2, 1 - share, share / 2], size=(400, 500))
        decided = np.mean([self.played(game).decided_at is not None for game in games])
        assert decided < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)

    def test_the_order_of_evaluation_raises_no_false_alarm(self):
        """Equally good policies, each better on one half of the tasks, which follow each other in the suite."""
        order = spread_over_tasks([Prompt(task, state) for task in range(90) for state in range(2)], rng(0))
        rates = np.array([0.8 if prompt.task_id < 45 else 0.2 for prompt in order])
        a, b = (rng(1).random((2, 300, len(order))) < np.stack([rates, 1 - rates])[:, None]).astype(int)
        assert np.mean([self.played(game).decided_at is not None for game in b - a]) < 0.05
        in_order = np.argsort([prompt.init_state_id * 90 + prompt.task_id for prompt in order])
        assert np.mean([self.played(game).decided_at is not None for game in (b - a)[:, in_order]]) > 0.9

    @given(st.lists(st.sampled_from([-1, 0, 1]), max_size=60))
    def test_the_interval_leaves_zero_out_where_the_evidence_says_so(self, outcomes):
        """It is the test of every difference at once."""
        test = self.played(outcomes)
        low, high = test.interval()
        assert (low <= 0 <= high) == (test.evidence < 20)

    @pytest.mark.parametrize(("share", "difference"), [(0.3, 0.1), (0.5, -0.3), (0.2, 0.2)])
    def test_the_interval_holds_the_difference_at_all_times(self, share, difference):
        """In at least 95 % of games it is never outside, here looked at after every twentieth prompt."""
        rng = np.random.default_rng(0)
        odds = [(share - difference) / 2, 1 - share, (share + difference) / 2]
        missed = 0
        for game in rng.choice([-1, 0, 1], p=odds, size=(200, 200)):
            test, outside = SequentialTest(), False
            for n, outcome in enumerate(game):
                test.update(a=outcome < 0, b=outcome > 0)
                if n % 20 == 19:
                    low, high = test.interval()
                    outside = outside or not low <= difference <= high
            missed += outside
        assert missed / 200 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)

    @pytest.mark.parametrize("difference", [0.0, 1.5, -0.1])
    def test_the_difference_is_a_difference(self, difference):
        """Above nothing and at most everything."""
        with pytest.raises(ValueError, match="`difference`"):
            SequentialTest(difference)


class TestSeeds:
    """Several training seeds of a recipe."""

    def test_equally_good_policies_spread_as_chance_does(self):
        """On prompts of different difficulty."""
        difficulty = np.repeat([0.95, 0.45], 50)
        seeds = Seeds(rng(0).random((20_000, 100)) < difficulty)
        assert seeds.spread == pytest.approx(seeds.chance_spread, rel=0.02)
        assert seeds.mean == pytest.approx(0.7, abs=0.001)

    def test_copies_of_a_policy_do_not_spread(self):
        """Nor is there anything that chance decides."""
        seeds = Seeds(np.tile(rng(0).random(50) < 0.5, (3, 1)))
        assert seeds.spread == seeds.chance_spread == 0.0

    def test_the_interval_holds_the_difference_as_often_as_it_says(self):
        """With five seeds of each recipe."""
        outcomes = rng(1).random((2000, 2, 5, 100)) < np.array([0.6, 0.7])[:, None, None]
        intervals = [welch_interval(Seeds(a), Seeds(b)) for a, b in outcomes]
        assert np.mean([low < 0.1 < high for low, high in intervals]) == pytest.approx(0.95, abs=0.015)

    def test_seeds_without_a_spread_have_no_interval(self):
        """Three rates of 100 % do not say that the next is one."""
        alike = np.tile([True, False], (3, 1))
        assert welch_interval(Seeds(alike), Seeds(np.ones_like(alike))) is None
