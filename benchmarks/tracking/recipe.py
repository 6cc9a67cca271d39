"""The peer's side of the comparison: TorchRL's toy recipe as published, telling where it stands after each iteration.

Runs in the interpreter that has TorchRL, so it imports nothing of this repository.
Arguments: the recipe's folder, ``sota-implementations/vla_grpo`` of a checkout of pytorch/rl, and the seed.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Report:
    """Takes the place of the recipe's logging, whose own kinds draw videos or need an account."""

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self.decisions = 0

    def __call__(self, logger: None, metrics: Mapping[str, Any], step: int) -> None:
        """A line for an iteration; what the recipe logs in between is left out."""
        if "train/episodes_total" not in metrics:
            return
        self.decisions += metrics["collector/completed_decisions"]
        line = {
            "trajectories": metrics["train/episodes_total"],
            "decisions": self.decisions,
            "sampled": metrics["train/success_rate"],
            "greedy": metrics.get("eval/success_rate"),
        }
        print(json.dumps(line), file=self.answers)


def main() -> None:
    """Run the recipe to its end; whoever reads the lines ends it earlier."""
    folder, seed = Path(sys.argv[1]), sys.argv[2]
    sys.path[0] = str(folder)
    # Before the recipe's script imports it by name.
    importlib.import_module("utils").log_metrics = Report()
    sys.argv = ["vla-grpo.py", "logger.backend=null", "checkpoint.save_iter=0", f"env.seed={seed}"]
    runpy.run_path(str(folder / "vla-grpo.py"), run_name="__main__")


if __name__ == "__main__":
    main()
