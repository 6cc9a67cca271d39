"""What a worker process does: it hosts environments and answers commands."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import spaces

from vla_envs.errors import InvalidArgumentError, RendererUnavailableError, VLAEnvsError, WorkerError
from vla_envs.group.groups import Call, LocalSubEnvs, TimeStep
from vla_envs.group.starts import Start
from vla_envs.group.workers.observations import SharedObservations

CLOSE = "close"
"""The command after which the process ends."""

ASKED = ("call", "set_attr")
"""Commands that do what a caller asks of an environment, so that what goes wrong is the caller's mistake."""


class Setup(NamedTuple):
    """What a process hosts."""

    make_sub_envs: Callable[[], LocalSubEnvs]
    space: spaces.Space
    num_envs: int


class Done(NamedTuple):
    """A command was carried out."""

    results: dict[int, Any]
    """Slot -> time step or frame."""
    posted: dict[int, Any]
    """Slot -> what shared memory does not hold of its observation, for time steps."""


class Refused(NamedTuple):
    """The caller made a mistake; the environments are as sound as before."""

    error: Exception
    traceback: str


class Failed(NamedTuple):
    """The worker cannot be trusted any more."""

    cause: str
    """Ends the sentence "The worker ..."."""


Answer = Done | Refused | Failed


def serve(pipe: Connection, memory: Any) -> None:
    """Carry out commands ``(name, argument)`` until :data:`CLOSE`; ``memory`` is that of the observations."""
    # Ctrl-C reaches every process of the terminal; what happens then is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    host = _Host(memory)
    with suppress(EOFError, OSError):  # the parent is gone
        name, argument = pipe.recv()
        while name != CLOSE:
            _send(pipe, _answer(getattr(host, name), argument))
            name, argument = pipe.recv()
    host.sub_envs.close()


class _Host:
    """The commands."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory
        self.sub_envs = LocalSubEnvs(())

    def make(self, setup: Setup) -> Done:
        self.observations = SharedObservations(setup.space, setup.num_envs, self.memory)
        self.sub_envs = setup.make_sub_envs()
        return Done({}, {})

    def reset(self, starts: Mapping[int, Start]) -> Done:
        return self._post(self.sub_envs.reset(starts))

    def step(self, actions: Mapping[int, Any]) -> Done:
        return self._post(self.sub_envs.step(actions))

    def render(self, slots: Mapping[int, None]) -> Done:
        return Done(self.sub_envs.render(slots), {})

    def call(self, calls: Mapping[int, Call]) -> Done:
        results = self.sub_envs.call(calls)
        try:
            ForkingPickler.dumps(results)
        except Exception as error:
            (name, *_), *_ = calls.values()
            raise InvalidArgumentError(
                f"Expect an attribute whose value can be sent from a worker process, actually: {name!r} ({error}). "
                "With num_workers=0 there is no other process."
            ) from error
        return Done(results, {})

    def set_attr(self, calls: Mapping[int, Call]) -> Done:
        for slot, (name, (value,), _) in calls.items():
            self.sub_envs.set_attr(name, {slot: value})
        return Done({}, {})

    def _post(self, time_steps: dict[int, TimeStep]) -> Done:
        posted = {slot: self.observations.post(slot, each.observation) for slot, each in time_steps.items()}
        return Done({slot: each._replace(observation=None) for slot, each in time_steps.items()}, posted)


def _answer(command: Callable[[Any], Done], argument: Any) -> Answer:
    try:
        return command(argument)
    except Exception as error:
        text = traceback.format_exc()
        own = (WorkerError, RendererUnavailableError)  # a driver that loses its context is no caller's mistake
        callers = command.__name__ in ASKED or isinstance(error, (VLAEnvsError, gym.error.Error))
        callers = callers and not isinstance(error, own)
        return Refused(error, text) if callers else Failed(f"raised an exception:\n{text}")


def _send(pipe: Connection, answer: Answer) -> None:
    try:
        pipe.send(answer)
    except OSError:  # the parent is gone
        raise
    except Exception:
        pipe.send(Failed(f"has an answer that cannot be sent:\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    """A parent that is killed takes no child along, and one that hangs in a driver would stay for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
