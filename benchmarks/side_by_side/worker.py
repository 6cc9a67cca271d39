"""The child's side: hosts one environment, does what a line of stdin says and answers with what it took.

Started by :mod:`benchmarks.side_by_side.process`, in the interpreter that has the environment's packages.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TextIO

from benchmarks.side_by_side.environments import ENVIRONMENTS, Environment


def main() -> None:
    """Arguments: environment, suite, task_id, cameras..."""
    name, suite, task_id, *cameras = sys.argv[1:]
    answers = take_over_stdout()
    serve(ENVIRONMENTS[name](suite, int(task_id), tuple(cameras)), answers)


def take_over_stdout() -> TextIO:
    """The stream of the answers; what packages print goes to stderr from now on."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def serve(environment: Environment, answers: TextIO) -> None:
    """Each line is a method's name and an initial state; the clocks hold seconds."""
    for line in sys.stdin:
        name, init_state_id = line.split()
        method = getattr(environment, name)
        cpu, wall = time.process_time(), time.perf_counter()
        method(int(init_state_id))
        answer = {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "cpu_since_start": time.process_time(),
            "position": [float(each) for each in environment.position],
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
