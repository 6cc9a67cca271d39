"""The parent's side of a worker process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from gymnasium import spaces
from gymnasium.vector.utils import CloudpickleWrapper

from vla_envs.group.groups import EnvFns, LocalSubEnvs
from vla_envs.group.workers.observations import SharedObservations, allocate
from vla_envs.group.workers.process import CLOSE, Answer, Done, Failed, Setup, serve
from vla_envs.processes import environment_variables, import_settings

GRACE = 5.0
"""Seconds that a process has to end by itself before it is killed, and that a killed one has to be gone."""

LONGEST = 1e6
"""Seconds that a poll can wait."""

# Not fork: a forked process inherits locks, threads and a GL driver that does not survive it.
_CONTEXT = multiprocessing.get_context("spawn")


class Worker:
    """A place for one worker process after another, with the environments that they host.

    Args:
        index: names the worker in messages.
        indices: of its environments.
        env_fns: their constructors.
        space: of their observations.
        variables: environment variables of the process.
        timeout: seconds in which a command must be answered.
    """

    def __init__(
        self,
        index: int,
        indices: range,
        env_fns: EnvFns,
        space: spaces.Space,
        variables: Mapping[str, str],
        timeout: float,
    ) -> None:
        self.index = index
        self.indices = indices
        self.replacements = 0
        """Processes replaced since a command was last answered."""
        make_sub_envs = CloudpickleWrapper(partial(LocalSubEnvs, tuple(env_fns)))  # type: ignore[arg-type]
        self._setup = Setup(make_sub_envs, space, len(indices))
        self._memory = allocate(space, len(indices), _CONTEXT)
        self._observations = SharedObservations(space, len(indices), self._memory)
        self._variables = variables
        self._timeout = min(timeout, LONGEST)
        self._deadline = 0.0
        self._process: SpawnProcess | None = None

    def start(self) -> None:
        """Start a process, in place of the one there may be."""
        self.end(grace=0.0)
        self._pipe, remote = _CONTEXT.Pipe()
        _limit_waiting(self._pipe, self._timeout)
        # Little goes along: when a process dies before it has read what a pipe cannot hold, multiprocessing hangs.
        process = _CONTEXT.Process(
            target=serve, args=(remote, self._memory), daemon=True, name=f"vla_envs worker {self.index}"
        )
        # With the parent's copy of the other end closed, a dead process is the end of the stream.
        with remote, environment_variables({**import_settings(), **self._variables}):
            process.start()
        self._process = process

    def make(self) -> None:
        """Have the process make its environments."""
        self._send("make", self._setup)

    def send(self, command: str, arguments: Mapping[int, Any]) -> None:
        """Give a command for some environments."""
        self._send(command, {index - self.indices.start: argument for index, argument in arguments.items()})

    def ask_to_end(self) -> None:
        """Have the process close its environments and end, unanswered."""
        if self._process is not None:
            self._send(CLOSE, None)

    def _send(self, command: str, argument: Any) -> None:
        self._deadline = time.monotonic() + self._timeout
        with suppress(OSError):  # a dead process, as `receive` will say
            self._pipe.send((command, argument))

    def receive(self) -> Answer:
        """The answer to the last command, its environments named by their indices."""
        try:
            if not self._pipe.poll(max(0.0, self._deadline - time.monotonic())):
                return Failed(f"did not answer within {self._timeout:g} s")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            return Failed(self._how_it_ended())
        except Exception as error:
            return Failed(f"gave an answer that cannot be read ({error!r})")
        return self._with_observations(answer) if isinstance(answer, Done) else answer

    def end(self, grace: float = GRACE) -> None:
        """Wait for the process, kill it when it stays, and leave no zombie."""
        process, self._process = self._process, None
        if process is None:
            return
        process.join(grace)
        process.kill()
        process.join(GRACE)
        self._pipe.close()
        if process.exitcode is not None:  # a driver can keep even a killed process
            process.close()

    def _with_observations(self, answer: Done) -> Done:
        observations = self._observations.collect(answer.posted)
        results = {
            slot: result._replace(observation=observations[slot]) if slot in observations else result
            for slot, result in answer.results.items()
        }
        return Done({self.indices[slot]: result for slot, result in results.items()}, {})

    def _how_it_ended(self) -> str:
        assert self._process is not None
        self._process.join(GRACE)
        code = self._process.exitcode
        if code is None:
            return "stopped in the middle of an answer"
        if code < 0:
            return f"was killed by signal {-code} ({signal.strsignal(-code)})"
        return f"ended with exit code {code}"


def _limit_waiting(pipe: Connection, seconds: float) -> None:
    """Let no single read or write last longer: a stopped process may leave either half done."""
    whole, part = divmod(seconds, 1.0)
    limit = struct.pack("@ll", int(whole), int(part * 1e6))
    with socket.socket(fileno=os.dup(pipe.fileno())) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
