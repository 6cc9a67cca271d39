"""The parent's side: processes that host one environment each and wait for their turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from vla_envs.errors import WorkerError
from vla_envs.libero.assets import ENVIRONMENT_VARIABLE, find_assets

ROOT = Path(__file__).resolve().parents[2]


class Task(NamedTuple):
    """A task of LIBERO."""

    suite: str
    task_id: int


class Cost(NamedTuple):
    """What something took, in s."""

    cpu: float
    wall: float


class Answer(NamedTuple):
    """What a command took, in s, what the process has used since it started, and where the arm is (m)."""

    cost: Cost
    cpu_since_start: float
    position: tuple[float, ...]


class Memory(NamedTuple):
    """Resident, proportional and unique set size in MiB: all pages, shared ones in part, or not at all."""

    rss: float
    pss: float
    uss: float


class Worker:
    """A process with one environment; leave its ``with`` block to end it.

    Args:
        environment: a name of :data:`benchmarks.side_by_side.environments.ENVIRONMENTS`.
        task: the task.
        cameras: official names of the cameras.
        python: the interpreter that has the environment's packages; None is this one.
        path: a folder of packages that goes before the interpreter's.
        variables: environment variables of this worker.

    Raises:
        WorkerError: from ``call``, ``send`` and ``receive``, when the process died: what it wrote last.
    """

    def __init__(
        self,
        environment: str,
        task: Task,
        cameras: tuple[str, ...],
        python: str | None = None,
        path: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.environment = environment
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed on exit)
        self._process = subprocess.Popen(
            [
                python or sys.executable,
                "-m",
                "benchmarks.side_by_side.worker",
                environment,
                task.suite,
                str(task.task_id),
                *cameras,
            ],
            cwd=ROOT,
            env=_variables(path) | dict(variables or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def call(self, method: str, init_state_id: int) -> Answer:
        """Have the environment do something and wait for the end of it."""
        self.send(method, init_state_id)
        return self.receive()

    def send(self, method: str, init_state_id: int) -> None:
        """Have the environment do something."""
        assert self._process.stdin
        try:
            print(method, init_state_id, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._death() from None

    def receive(self) -> Answer:
        """Wait for the answer to the oldest command."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        answer = json.loads(line)
        cost = Cost(answer["cpu"], answer["wall"])
        return Answer(cost, answer["cpu_since_start"], tuple(answer["position"]))

    def memory(self) -> Memory:
        """The memory of the process, from the kernel's ``smaps_rollup``."""
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()[1:]
        kib = {name: int(value) for name, value, *_ in (line.replace(":", "").split() for line in lines)}
        unique = kib["Private_Clean"] + kib["Private_Dirty"]
        return Memory(*(each / 1024 for each in (kib["Rss"], kib["Pss"], unique)))

    def _death(self) -> WorkerError:
        self._process.wait()
        self._log.seek(0)
        last = (self._log.read().splitlines() or ["it said nothing"])[-1]
        return WorkerError(f"The environment {self.environment!r} ended: {last}")


def _variables(path: str | None) -> dict[str, str]:
    """The parent's variables, with software OpenGL unless they say otherwise, and one folder of assets for all."""
    backend = os.environ.get("MUJOCO_GL", "osmesa")
    folders = [path] if path else []
    folders += filter(None, [os.environ.get("PYTHONPATH")])
    return dict(
        os.environ,
        MUJOCO_GL=backend,
        PYOPENGL_PLATFORM=backend,
        PYTHONPATH=os.pathsep.join(folders),
        **{ENVIRONMENT_VARIABLE: str(find_assets())},
    )
