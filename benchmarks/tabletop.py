"""How fast the tabletop is: control steps and resets per second of CPU time, on one core.

python benchmarks/tabletop.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from vla_envs.tabletop.env import TabletopEnv

CHUNK = 8


def rate(work: Callable[[], int], seconds: float) -> float:
    """How many units the work does per second of this process's CPU time, after one round to warm up."""
    work()
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        done += work()
    return done / (time.process_time() - start)


def stepping(env: TabletopEnv, chunk: int) -> Callable[[], int]:
    """One episode of random actions in chunks of the given length; resets are part of it."""
    rng = np.random.default_rng(0)

    def work() -> int:
        env.reset(options={"init_state_id": int(rng.integers(100))})
        steps = 0
        for actions in rng.uniform(-1, 1, (72 // chunk, chunk, 7)):
            _, _, terminated, truncated, info = env.step_chunk(actions)
            steps += info["executed_actions"]
            if terminated or truncated:
                break
        return steps

    return work


def resetting(env: TabletopEnv) -> Callable[[], int]:
    """One reset to a random initial state."""
    rng = np.random.default_rng(0)

    def work() -> int:
        env.reset(options={"init_state_id": int(rng.integers(100))})
        return 1

    return work


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time of each measurement")
    seconds = parser.parse_args().seconds
    print(f"{'observation':<22}{'steps/s':>10}{f'in chunks of {CHUNK}':>18}{'reset ms':>10}")
    for label, cameras, size in (
        ("no image", (), 128),
        ("image 64", ("agentview",), 64),
        ("image 128", ("agentview",), 128),
        ("image 256", ("agentview",), 256),
        ("image and wrist 128", ("agentview", "wrist"), 128),
    ):
        env = TabletopEnv(cameras=cameras, image_size=size)
        single, chunked = (rate(stepping(env, chunk), seconds) for chunk in (1, CHUNK))
        reset = 1000.0 / rate(resetting(env), seconds)
        print(f"{label:<22}{single:>10,.0f}{chunked:>18,.0f}{reset:>10.2f}")


if __name__ == "__main__":
    main()
