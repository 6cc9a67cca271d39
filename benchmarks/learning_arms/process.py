"""One arm with one seed, in a process of its own: arguments are the arm, the seed and the folder of the runs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.learning_arms import arms, results
from rllib_configs.run.train import resume, train


def main(arm: str, seed: str, root: str) -> None:
    """Train, or go on where it was interrupted, and leave the result in the directory of the run."""
    folder = Path(root)
    experiment = arms.experiment(arm, int(seed), folder).resolved()
    directory = folder / experiment.name
    if not any((directory / "checkpoints").glob("*")):  # interrupted before there was anything to go on from
        shutil.rmtree(directory, ignore_errors=True)
    if directory.is_dir():
        resume(directory)
    else:
        train(experiment, folder)
    results.write(results.measure(experiment, directory, arm), directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
