"""The environment's side of RoboTwin's own process."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.errors import VLAEnvsError, WorkerError
from vla_envs.processes import import_settings

PYTHON = "ROBOTWIN_PYTHON"
"""Environment variable: the interpreter that has RoboTwin's packages, where it is not this one."""
START_UP = 3.0
"""Until a process's first episode has begun it has this many times as long to answer: it compiles shaders."""
GRACE = 5.0
"""Seconds that a process has to end by itself before it is killed."""
LAST_LINES, LAST_BYTES = 30, 8192
"""How much of a dead process's output an error shows."""

Shape = tuple[int, int, int]


class UnstableSceneError(VLAEnvsError, RuntimeError):
    """The objects of a scene do not come to rest, or none of several scenes can be set up."""


class SimulationError(VLAEnvsError, RuntimeError):
    """RoboTwin raised an exception, whose name is ``kind``; its process goes on."""

    def __init__(self, kind: str, message: str, details: str) -> None:
        super().__init__(f"RoboTwin raised {kind}: {message}\n{details}")
        self.kind = kind


def interpreter() -> str:
    """The interpreter of RoboTwin's processes: ``$ROBOTWIN_PYTHON``, or this one."""
    return os.environ.get(PYTHON) or sys.executable


class RoboTwinProcess:
    """A process of RoboTwin.

    It is a plain child process and not one of ``multiprocessing``'s: those are forbidden inside worker processes, where
    environments live, and need the parent's interpreter. Commands and answers are lines of JSON, images
    lie in memory that both see; nothing is pickled.

    Args:
        settings: what its ``open`` command says; None for a process that only examines.
        images: camera -> shape (height, width, 3) of its image.
        timeout: seconds in which a command must be answered once an episode has begun.
    """

    def __init__(self, settings: Mapping[str, Any] | None, images: Mapping[str, Shape], timeout: float) -> None:
        self._settings = settings
        self._images = images
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, unless it runs.

        Raises:
            WorkerError: it cannot be started, or opens no checkout; there is none then.
        """
        if self._process is not None:
            return
        self._spawn()
        try:
            if self._settings is not None:
                self.ask("open", **self._settings)
        except SimulationError as error:
            self.close()
            raise WorkerError(f"RoboTwin's process cannot open the checkout: {error}") from error

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have the running process carry out a command.

        Raises:
            WorkerError: the process died, or did not answer in time; it is gone then.
            UnstableSceneError, SimulationError: what RoboTwin said of the command.
        """
        if self._process is None:
            raise WorkerError(f"RoboTwin's process has ended: {command!r} needs a scene, which `reset()` sets up.")
        answer = self._exchange({"command": command, **arguments})
        if "unstable" in answer:
            raise UnstableSceneError(answer["unstable"])
        if "error" in answer:
            raise SimulationError(answer["error"], answer["message"], answer["traceback"])
        if command == "reset":
            self._pipe.settimeout(self._timeout)
        return answer["result"]

    def images(self, cameras: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
        """The images that the last answer left behind, of these cameras in this order; they cannot be written."""
        images, start = {}, 0
        for camera in cameras:
            shape = self._images[camera]
            data = os.pread(self._memory, math.prod(shape), start)
            images[camera] = np.frombuffer(data, np.uint8).reshape(shape)
            start += len(data)
        return images

    def close(self, grace: float = GRACE) -> None:
        """End the process, if there is one; one that takes longer than ``grace`` seconds is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        self._pipe.close()
        self._answers.close()
        if process.stdin:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(self._memory)
        self._log.close()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        self._memory = os.memfd_create("robotwin images")
        os.ftruncate(self._memory, sum(map(math.prod, self._images.values())))
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        try:
            self._process = self._popen(theirs)
        except OSError as error:
            ours.close()
            os.close(self._memory)
            self._log.close()
            raise WorkerError(
                f"RoboTwin's process cannot be started ({error}). Name an interpreter that has RoboTwin's packages in "
                f"{PYTHON}, or unset that to take this one."
            ) from error
        finally:
            theirs.close()
        ours.settimeout(START_UP * self._timeout)
        self._pipe, self._answers = ours, ours.makefile("rb")

    def _popen(self, connection: socket.socket) -> subprocess.Popen[bytes]:
        script = str(Path(__file__).with_name("worker") / "__main__.py")
        return subprocess.Popen(
            [interpreter(), script, str(connection.fileno()), str(self._memory)],
            stdin=subprocess.PIPE,  # never written to: its end tells the process that its parent is gone
            stdout=self._log,
            stderr=self._log,
            pass_fds=(connection.fileno(), self._memory),
            # Sets of names are walked through when scenes are drawn by lot.
            env={**os.environ, **import_settings(), "PYTHONHASHSEED": "0"},
            start_new_session=True,
        )

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._pipe.sendall(json.dumps(request).encode() + b"\n")
            line = self._answers.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            return json.loads(line)
        except TimeoutError:
            cause = f"did not answer {request['command']!r} within {self._pipe.gettimeout():g} s"
        except (OSError, EOFError, ValueError):
            cause = self._how_it_ended()
        except BaseException:  # an interrupt leaves an answer behind that nobody asked for
            self.close(grace=0.0)
            raise
        said = self._last_words()
        self.close(grace=0.0)
        raise WorkerError(f"RoboTwin's process {cause}.{said}")

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "stopped in the middle of an answer"
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _last_words(self) -> str:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - LAST_BYTES))
        lines = self._log.read().decode(errors="replace").splitlines()[-LAST_LINES:]
        return "".join(f"\n  {line}" for line in lines)

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self.close(grace=0.0)
