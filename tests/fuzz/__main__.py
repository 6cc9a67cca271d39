"""``python -m tests.fuzz``: the long run by hand, whose table goes to docs/results.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from tests.fuzz.harness import FAILURES, Tally, table, try_cases


def main() -> int:
    """Try as many calls and files as the options say, print what failed, and the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Try calls and files that are wrong.")
    parser.add_argument("--calls", type=int, default=10_000, help="number of calls")
    parser.add_argument("--files", type=int, default=2_000, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=0, help="determines, with its number, each of them")
    parser.add_argument("--only", metavar="MODULE:NUMBER", help="one case, such as calls:17")
    given = parser.parse_args()
    module, _, number = (given.only or "").partition(":")
    plan: dict[str, Sequence[int]] = (
        {module: [int(number)]} if given.only else {"calls": range(given.calls), "files": range(given.files)}
    )
    started, failed = time.monotonic(), 0
    for module, numbers in plan.items():
        tallies: defaultdict[str, Tally] = defaultdict(Tally)
        for verdict in try_cases(module, numbers, given.seed):
            tallies[verdict.kind].count(verdict)
            if verdict.outcome in FAILURES:
                failed += 1
                print(f"{verdict.outcome}: {verdict.description}\n{verdict.detail}\n", file=sys.stderr, flush=True)
        print(f"\n{module.capitalize()}:\n\n{table(tallies)}", flush=True)
    print(f"\nSeed {given.seed}, {(time.monotonic() - started) / 60:.0f} minutes.")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
