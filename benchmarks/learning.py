"""Does group RL learn, and what do rewards, votes and estimators change?

python benchmarks/learning.py                                   # every arm with three seeds; finished runs are kept
python benchmarks/learning.py --arms success contrast --seeds 0 --plot runs/contrast.png
python benchmarks/learning.py --task tracking --torchrl path/to/torchrl

Each seed clones one policy, and every arm of the seed starts from it. Prints a table and draws the curves.
The second task compares with TorchRL's toy recipe.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # beside this file, the package `libero` would be a benchmark

from benchmarks.learning_arms import arms, results, summary  # noqa: E402
from rllib_configs.run.report import markdown  # noqa: E402


def main() -> None:
    """Run what is missing, then print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("tabletop", "tracking"), default="tabletop")
    parser.add_argument("--arms", nargs="+", choices=arms.ARMS, default=list(arms.ARMS), help="of the tabletop")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/learning"), help="folder of the runs")
    parser.add_argument("--plot", type=Path, default=Path("docs/images/learning.png"), help="file of the curves")
    parser.add_argument("--torchrl", type=Path, help="checkout of pytorch/rl to run beside ours, for tracking")
    args = parser.parse_args()
    if args.task == "tracking":
        from benchmarks import tracking

        tracking.main(args.output, args.torchrl, args.seeds)
    else:
        tabletop(args.arms, args.seeds, args.output, args.plot)


def tabletop(names: Iterable[str], seeds: Iterable[int], output: Path, plot: Path) -> None:
    """Compare arms on the tabletop, seed by seed, so that an interruption leaves whole seeds."""
    runs: dict[str, list[results.Result]] = {}
    for seed in seeds:
        for name in arms.with_initial(names):
            runs.setdefault(name, []).append(_run(name, seed, output))
    print(markdown(summary.table(runs)))
    summary.draw(runs, plot)


def _run(arm: str, seed: int, output: Path) -> results.Result:
    """The result of an arm, from its folder or from a process of its own: RLlib leaves threads and memory behind."""
    directory = output / arms.experiment(arm, seed, output).name
    if not (directory / results.RESULT).is_file():
        command = [sys.executable, "-m", "benchmarks.learning_arms.process", arm, str(seed), str(output.resolve())]
        subprocess.run(command, cwd=ROOT, check=True)
    arms.check_same(directory, arm, seed)
    return results.read(directory)


if __name__ == "__main__":
    main()
