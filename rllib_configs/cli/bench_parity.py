"""``vla bench parity``: VLA-Libero-v0 and the official environment on the same actions, task by task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rllib_configs.cli.options import check_output
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_write_text
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.suites import SUITES
from vla_envs.libero.verify.doctor import in_fresh_process, opengl
from vla_envs.libero.verify.golden import exploring_actions
from vla_envs.libero.verify.parity import LIMIT, Comparison, Parity
from vla_envs.spec import Prompt


@dataclass(frozen=True)
class Arguments:
    """Compare VLA-Libero-v0 and the official environment on the same actions, task by task."""

    suite: str | None = None
    """Suite that is compared; None takes all five."""
    tasks: tuple[int, ...] = ()
    """Indices of tasks in the suite; none takes every task."""
    steps: int = 100
    """Number of control steps of each task."""
    image_every: int = 20
    """Number of control steps from one pair of images to the next."""
    image_size: int = 256
    """Height and width of the images in pixels."""
    processes: int = 2
    """Number of tasks compared at a time, each in a process of its own that takes up to 3 GB."""
    output: Path | None = None
    """JSON file to which every task, the versions and the limits are written."""


Job = tuple[str, Prompt]


def main(arguments: list[str]) -> int:
    """Compare and print a row a task; 1 if a limit was exceeded."""
    given = tyro.cli(Arguments, args=arguments, prog="vla bench parity")
    check_output(given.output)
    for name in ("steps", "image_every", "processes"):
        if getattr(given, name) < 1:
            raise InvalidArgumentError(f"Expect the `{name}` to be at least 1, actually: {getattr(given, name)}.")
    suites = SUITES if given.suite is None else (given.suite,)
    envs = [LiberoEnv(suite, given.tasks or None, max_episode_steps=given.steps) for suite in suites]
    jobs = [
        (env.suite, Prompt(task_id, task_id % env.num_init_states(task_id))) for env in envs for task_id in env.task_ids
    ]
    results = _compare_all(given, jobs)
    if given.output is not None:
        atomic_write_text(given.output, json.dumps(_report(given, envs[0], results), indent=2))
    console = Console(highlight=False)
    console.print(_table(results))
    for each in results:
        if each.error:
            console.print(f"{each.suite} {each.task_id}: {each.error}", markup=False, soft_wrap=True)
    console.print(_summary(results), soft_wrap=True)
    return 0 if all(result.equal for result in results) else 1


def _compare_all(given: Arguments, jobs: Sequence[Job]) -> list[Comparison]:
    """Each task in a process of its own: the official environment keeps memory for as long as its process lives."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, ThreadPoolExecutor(given.processes) as pool:
        tracked = progress.add_task("comparing", total=len(jobs))
        futures = [pool.submit(_compare_aside, given, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                result = future.result()
                progress.update(tracked, advance=1, description=f"{result.suite} {result.task_id}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interruption starts no further task
    return [future.result() for future in futures]


def _compare_aside(given: Arguments, suite: str, prompt: Prompt) -> Comparison:
    try:
        return in_fresh_process(compare, given, suite, prompt)
    except Exception as error:  # the other tasks shall still be compared
        return Comparison(suite, *prompt, error=f"{type(error).__name__}: {error}")


def compare(given: Arguments, suite: str, prompt: Prompt) -> Comparison:
    """Compare one prompt, by actions of its own."""
    parity = Parity(suite, given.image_size, given.steps)
    return parity.compare(prompt, exploring_actions(given.steps, seed=prompt.task_id), given.image_every)


def _table(results: Sequence[Comparison]) -> Table:
    table = Table(title="differences from the official environment", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True)
    for column in ("steps", "qpos", "qvel", "state", "success", "pixels"):
        table.add_column(column, justify="right")
    table.add_column()
    for each in results:
        numbers = [f"{value:.1g}" for value in (each.qpos, each.qvel, each.state)]
        counts = [str(each.unequal_successes), str(each.unequal_pixels)]
        verdict = "[green]equal[/]" if each.equal else f"[red]{'failed' if each.error else 'differs'}[/]"
        table.add_row(f"{each.suite} {each.task_id}", str(each.steps), *numbers, *counts, verdict)
    return table


def _summary(results: Sequence[Comparison]) -> str:
    largest = {name: max(getattr(each, name) for each in results) for name in ("qpos", "qvel", "state")}
    differences = ", ".join(f"{name} {value:.1g}" for name, value in largest.items())
    return (
        f"{sum(each.equal for each in results)} of {len(results)} tasks are equal over "
        f"{sum(each.steps for each in results)} control steps and {sum(each.images for each in results)} images; "
        f"largest difference: {differences} (limit {LIMIT:.0e}), "
        f"{sum(each.unequal_pixels for each in results)} pixels, "
        f"unequal success after {sum(each.unequal_successes for each in results)} steps"
    )


def _report(given: Arguments, env: LiberoEnv, results: Sequence[Comparison]) -> dict[str, Any]:
    described = {key: value for key, value in env.metadata.items() if key not in LiberoEnv.metadata}
    return {
        **described,
        "opengl": in_fresh_process(opengl),
        "limit": LIMIT,
        "arguments": {**dataclasses.asdict(given), "output": str(given.output)},
        "equal": all(each.equal for each in results),
        "tasks": [{**dataclasses.asdict(each), "equal": each.equal} for each in results],
    }
