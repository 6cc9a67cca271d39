"""Environments in worker processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn

import numpy as np
from gymnasium.error import ClosedEnvironmentError

from vla_envs.arguments import check_integer, check_number
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.group.groups import Call, EnvFns, SubEnvSpec, TimeStep, prompt_of
from vla_envs.group.starts import Start
from vla_envs.group.workers.handle import GRACE, Worker
from vla_envs.group.workers.process import Answer, Done, Failed, Refused

MAX_REPLACEMENTS = 3
"""How often in a row a worker is replaced before the fault is taken for one of the environment."""

_log = logging.getLogger(__name__)


@dataclass
class _Episode:
    """A running episode."""

    start: Start
    prompt: Mapping[str, Any] = field(default_factory=dict)
    stepped: bool = False

    def __str__(self) -> str:
        prompt = self.prompt or {"seed": self.start.seed, **self.start.options}
        return ", ".join(f"{key}={value}" for key, value in prompt.items())


class WorkerSubEnvs:
    """Environments in spawned processes, a contiguous slice in each, which work side by side.

    A worker that dies, that does not answer in time, or in which an environment raises anything but
    a caller's error (those of this package and Gymnasium's) is replaced by a new process. Environments
    whose episodes were running go back to where they began: one that had been stepped has an
    invalid trajectory and says so in its next time step, ``truncated`` and not ``valid``; one that
    had not loses nothing. Environments whose episodes had ended wait in the new process for their next reset.

    Args:
        env_fns: one constructor per environment; cloudpickle must carry them. One more environment is
            made in this process, for its spaces, and closed.
        num_workers: processes; no more are started than there are environments.
        worker_timeout: seconds in which a worker must answer a command, the first of which imports and
            makes its environments.
        worker_env: environment variables of the workers; worker ``i`` gets ``worker_env[i % len(worker_env)]``.

    Raises:
        InvalidArgumentError: less than one worker, or no time to answer.
        WorkerError: a worker was replaced three times in a row and failed again; nothing runs any more then.
    """

    def __init__(
        self,
        env_fns: EnvFns,
        num_workers: int,
        worker_timeout: float,
        worker_env: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        num_workers = check_integer("num_workers", num_workers, 1)
        worker_timeout = check_number("worker_timeout", worker_timeout, 0.0, above=True)
        self.spec = _spec_of(env_fns[0])
        self._episodes: dict[int, _Episode] = {}
        self._invalid: dict[int, TimeStep] = {}
        """Time steps that tell of faults, until the environment's next step."""
        self._attributes: dict[int, dict[str, Call]] = {}
        """What was set on the environments, by the names of the attributes."""
        self._vacant: set[int] = set()
        """Environments without an episode in a process that took another's place."""
        slices = np.array_split(np.arange(len(env_fns)), min(num_workers, len(env_fns)))
        self._workers = [
            Worker(
                index=index,
                indices=(indices := range(int(each[0]), int(each[-1]) + 1)),
                env_fns=env_fns[indices.start : indices.stop],
                space=self.spec.observation_space,
                variables=worker_env[index % len(worker_env)] if worker_env else {},
                timeout=worker_timeout,
            )
            for index, each in enumerate(slices)
        ]
        try:
            self._together(self._workers, Worker.start, Worker.make)
        except BaseException:
            self.close()
            raise

    def reset(self, starts: Mapping[int, Start]) -> dict[int, TimeStep]:
        """Begin an episode in each of these environments, also through a fault."""
        self._episodes |= {index: _Episode(start) for index, start in starts.items()}
        self._invalid = {index: each for index, each in self._invalid.items() if index not in starts}
        self._vacant -= starts.keys()
        done, put_back = self._command("reset", starts)
        time_steps = {index: each for index, each in (done | put_back).items() if index in starts}
        for index, each in time_steps.items():
            self._episodes[index].prompt = prompt_of(each.info)
        return time_steps

    def step(self, actions: Mapping[int, Any]) -> dict[int, TimeStep]:
        """Step these environments; those with a fault behind them get its time step instead."""
        for index in self._episodes.keys() & actions.keys():
            self._episodes[index].stepped = True
        sound = {index: action for index, action in actions.items() if index not in self._invalid}
        time_steps, _ = self._command("step", sound)
        time_steps |= {index: self._invalid.pop(index) for index in actions if index in self._invalid}
        for index, each in time_steps.items():
            if each.terminated or each.truncated:
                self._episodes.pop(index, None)
        return time_steps

    def render(self, indices: Iterable[int]) -> dict[int, Any]:
        """The frames of these environments; None where a fault has left nothing to draw."""
        indices = list(indices)
        frames, _ = self._command("render", {index: None for index in indices if index not in self._vacant})
        return {index: frames.get(index) for index in indices}

    def call(self, calls: Mapping[int, Call]) -> dict[int, Any]:
        """Ask the environments of ``calls``; None where a worker failed.

        Raises:
            UnknownAttributeError: one has no such attribute.
            InvalidArgumentError: an argument cannot reach the process, or the value of the attribute cannot leave it.
        """
        _check_sendable(calls)
        results, _ = self._command("call", calls)
        return {index: results.get(index) for index in calls}

    def set_attr(self, name: str, values: Mapping[int, Any]) -> None:
        """Set the attribute of the environments of ``values``, also of a process that takes another's place later.

        Raises:
            UnknownAttributeError: one has no such attribute.
            InvalidArgumentError: a value cannot reach the process.
        """
        calls = {index: Call(name, (value,)) for index, value in values.items()}
        _check_sendable(calls)
        before = self._attributes
        self._attributes = before | {index: before.get(index, {}) | {name: call} for index, call in calls.items()}
        try:
            self._command("set_attr", calls)
        except BaseException:
            self._attributes = before
            raise

    def close(self) -> None:
        """End all processes; those that take longer than a few seconds are killed."""
        for worker in self._workers:
            worker.ask_to_end()
        self._end(GRACE)

    def _end(self, grace: float) -> None:
        workers, self._workers = self._workers, []
        deadline = time.monotonic() + grace
        for worker in workers:
            worker.end(max(0.0, deadline - time.monotonic()))

    def _command(self, name: str, arguments: Mapping[int, Any]) -> tuple[dict[int, Any], dict[int, TimeStep]]:
        """Have the workers carry out a command for their environments.

        Returns:
            The results of workers that did, and the first time steps of environments that were put back.
        """
        if not self._workers:
            raise ClosedEnvironmentError("The worker processes have ended: make a new vector environment.")
        portions = {
            worker: {index: arguments[index] for index in worker.indices if index in arguments}
            for worker in self._workers
        }
        busy = [worker for worker, portion in portions.items() if portion]
        return self._together(busy, lambda worker: worker.send(name, portions[worker]))

    def _together(
        self, workers: Sequence[Worker], *begin: Callable[[Worker], None]
    ) -> tuple[dict[int, Any], dict[int, TimeStep]]:
        """Tell all workers first and then hear them all, so that they work at the same time."""
        done: dict[int, Any] = {}
        put_back: dict[int, TimeStep] = {}
        refused: list[Refused] = []
        try:
            for tell in begin:
                for worker in workers:
                    tell(worker)
            for worker in workers:
                answer = worker.receive()
                if isinstance(answer, Failed):
                    put_back |= self._replace(worker, answer)
                elif isinstance(answer, Refused):
                    refused.append(answer)
                else:
                    worker.replacements = 0
                    done |= answer.results
        except BaseException:  # an interrupt too leaves answers behind that nobody asked for
            self._end(grace=0.0)
            raise
        if refused:
            _raise(refused[0])
        return done, put_back

    def _replace(self, worker: Worker, answer: Answer) -> dict[int, TimeStep]:
        """Start processes until one has put the worker's running environments back to where their episodes began."""
        running = {index: self._episodes[index] for index in worker.indices if index in self._episodes}
        while isinstance(answer, Failed):
            _report(worker, running, answer)
            worker.replacements += 1
            worker.start()
            worker.make()
            answer = worker.receive()
            if isinstance(answer, Done):
                answer = self._set_again(worker)
            if running and isinstance(answer, Done):
                worker.send("reset", {index: episode.start for index, episode in running.items()})
                answer = worker.receive()
        if isinstance(answer, Refused):
            _raise(answer)
        self._vacant |= set(worker.indices) - running.keys()
        stepped = [index for index, episode in running.items() if episode.stepped]
        self._invalid |= {index: answer.results[index]._replace(truncated=True, valid=False) for index in stepped}
        return answer.results

    def _set_again(self, worker: Worker) -> Answer:
        """Give the environments of a new process the attributes that were set on those before them."""
        answer: Answer = Done({}, {})
        known = {index: self._attributes[index] for index in worker.indices if index in self._attributes}
        for name in dict.fromkeys(name for calls in known.values() for name in calls):
            worker.send("set_attr", {index: calls[name] for index, calls in known.items() if name in calls})
            answer = worker.receive()
            if not isinstance(answer, Done):
                break
        return answer


def _check_sendable(calls: Mapping[int, Call]) -> None:
    """Refuse what no pipe carries before a worker is told half of it."""
    try:
        ForkingPickler.dumps(calls)
    except Exception as error:
        name = next(iter(calls.values())).name
        raise InvalidArgumentError(
            f"Expect values for {name!r} that can be sent to a worker process, actually: {error}. "
            "With num_workers=0 there is no other process."
        ) from error


def _spec_of(make: Callable[[], Any]) -> SubEnvSpec:
    env = make()
    spec = SubEnvSpec.of(env)
    env.close()
    return spec


def _report(worker: Worker, running: Mapping[int, _Episode], failed: Failed) -> None:
    """Say which worker failed, why, and what that costs.

    Raises:
        WorkerError: it has failed too often.
    """
    episodes = [
        f"environment {index} ({episode}{'; its trajectory is invalid' if episode.stepped else ''})"
        for index, episode in running.items()
    ]
    what = (
        f"Worker {worker.index} (environments {worker.indices[0]} to {worker.indices[-1]}) {failed.cause.rstrip()}\n"
        f"Running there: {', '.join(episodes) or 'no episode'}."
    )
    if worker.replacements == MAX_REPLACEMENTS:
        raise WorkerError(
            f"{what}\nIt had been replaced {MAX_REPLACEMENTS} times in a row, so the environment itself fails: "
            "see it fail in this process with num_workers=0. (A script that starts worker processes must do so "
            "under `if __name__ == '__main__':`.)"
        )
    _log.warning("%s\nA new process takes its place.", what)


def _raise(refused: Refused) -> NoReturn:
    raise refused.error from WorkerError(f"raised in a worker process:\n{refused.traceback}")
