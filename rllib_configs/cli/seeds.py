"""``vla seeds TASK``: find RoboTwin scenes that its scripted expert solves, and keep their seeds."""

from __future__ import annotations

# Not tyro, as in `vla assets`: this command needs no extra but the simulator's.
import argparse
from contextlib import closing
from itertools import islice
from pathlib import Path

from vla_envs.files import check_writable
from vla_envs.robotwin import TASKS, RoboTwinEnv
from vla_envs.robotwin.seeds import FILES, find_seeds, known_seeds, seeds_folder, write_seeds


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="vla seeds", description="Find RoboTwin scenes that its scripted expert solves, and keep their seeds."
    )
    parser.add_argument("task", choices=TASKS, metavar="TASK", help="Name of the task, such as stack_blocks_two.")
    parser.add_argument(
        "--split", choices=FILES, help="Split whose seeds are found; by default both, which an environment needs."
    )
    parser.add_argument(
        "--count", type=int, default=20, help="Number of seeds of a split, with those kept before; by default 20."
    )
    parser.add_argument("--root", type=Path, help="Directory of the checkout; by default $ROBOTWIN_PATH.")
    parser.add_argument(
        "--task-config", default="demo_clean", help="Configuration of the scenes; by default demo_clean."
    )
    parser.add_argument(
        "--embodiment",
        nargs="+",
        help="Robot, such as aloha-agilex, or two of them and the distance in meters, such as piper piper 0.6; by "
        "default the configuration's.",
    )
    parser.add_argument(
        "--output", type=Path, help="Folder of the seeds; by default the one in which VLA-RoboTwin-v0 looks for them."
    )
    return parser


def main(arguments: list[str]) -> None:
    """Search until there are enough; each seed is written as it is found, so that another run goes on from there."""
    given = parser().parse_args(arguments)
    robot = given.embodiment and [_number(each) for each in given.embodiment]
    with closing(RoboTwinEnv(given.task, given.root, robot, (), task_config=given.task_config)) as env:
        folder = given.output or seeds_folder(env.metadata["embodiment"], given.task_config)
        check_writable(folder, "seeds", "Name another with --output.")
        for split in [given.split] if given.split else FILES:
            _search(env, folder, split, given.count)


def _search(env: RoboTwinEnv, folder: Path, split: str, count: int) -> None:
    (task_id,) = env.task_ids
    task = env.tasks[task_id]
    seeds = known_seeds(folder, task, split)

    def why_unsolved(seed: int) -> str | None:
        reason = env.why_unsolved(task_id, seed)
        if reason:
            print(f"{split} {seed} is left out: {reason.partition(chr(10))[0]}", flush=True)
        return reason

    found = find_seeds(why_unsolved, split, seeds)
    for seed in islice(found, max(0, count - len(seeds))):
        seeds.append(seed)
        write_seeds(folder, task, split, seeds)
        print(f"{split} {len(seeds)} of {count}: {seed}", flush=True)
    print(f"{len(seeds)} {split} seeds of {task} are in {folder / FILES[split]}")


def _number(text: str) -> str | float:
    """The distance between two robots, among their names."""
    try:
        return float(text)
    except ValueError:
        return text
