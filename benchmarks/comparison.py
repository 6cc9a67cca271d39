"""How often `vla compare` sees a difference that is not there, and how many prompts it needs for one that is.

    python benchmarks/comparison.py

Both policies are drawn: each prompt is solved by one of them alone with a probability that a row names, and by that one
as often as by the other where they are equal. The prompts that a difference of ten points takes with a power of 80 %
stand beside those of McNemar's test and of two independent samples, each with a number that is fixed beforehand.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy.stats import norm

from rllib_configs.run.statistics import Pairs, SequentialTest, mcnemar

POWER = 0.8
SHARES = (0.15, 0.2, 0.3, 0.4, 0.5)
"""Of prompts that only one policy solves; independent policies near a half differ on half of them."""


def main() -> None:
    """Print a row for each share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--prompts", type=int, default=500, help="of each draw of equal policies")
    parser.add_argument("--difference", type=float, default=0.1)
    args = parser.parse_args()
    columns = (
        "solved by one alone",
        "false alarms, early stop",
        "at the end",
        "prompts",
        "of McNemar's",
        "of unpaired",
    )
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for share in SHARES:
        equal = draw(share, 0.0, args.draws, args.prompts)
        early = np.mean([stopped_at(game) is not None for game in equal])
        late = np.mean([mcnemar(pairs_of(game)) < 0.05 for game in equal])
        paired, unpaired = fixed(share, args.difference), fixed(0.5, args.difference)
        needed = prompts_needed(draw(share, args.difference, args.draws, 3 * paired))
        row = (f"{share:.0%}", f"{early:.2%}", f"{late:.2%}", f"{needed:.0f}")
        print(f"| {' | '.join(row)} | {needed / paired:.0%} | {needed / unpaired:.0%} |")


def draw(share: float, difference: float, draws: int, prompts: int) -> np.ndarray:
    """int8 (draws, prompts): 1 where b alone succeeds, -1 where a does, 0 where they agree."""
    rng = np.random.default_rng(0)
    odds = [(share - difference) / 2, 1 - share, (share + difference) / 2]
    return rng.choice(np.array([-1, 0, 1], np.int8), p=odds, size=(draws, prompts))


def stopped_at(game: np.ndarray) -> int | None:
    """After how many prompts the sequential test decides; None if it does not."""
    test = SequentialTest()
    for outcome in game.tolist():
        test.update(a=outcome < 0, b=outcome > 0)
        if test.decided_at is not None:
            return test.decided_at
    return None


def pairs_of(game: np.ndarray) -> Pairs:
    """The counts of a game; what both did alike does not matter."""
    a, b = int((game < 0).sum()), int((game > 0).sum())
    return Pairs(0, a, b, len(game) - a - b)


def prompts_needed(games: np.ndarray) -> float:
    """The mean number of prompts of a test that gives up where it has decided in 80 % of the games."""
    stops = np.array([stop if (stop := stopped_at(game)) is not None else games.shape[1] for game in games])
    return float(np.minimum(stops, np.quantile(stops, POWER, method="higher")).mean())


def fixed(share: float, difference: float) -> int:
    """Prompts that a fixed number of them takes (Connor 1987)."""
    level, power = norm.ppf(0.975), norm.ppf(POWER)
    return math.ceil((level * math.sqrt(share) + power * math.sqrt(share - difference**2)) ** 2 / difference**2)


if __name__ == "__main__":
    main()
