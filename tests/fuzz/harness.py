"""Tries cases in child processes of bounded memory, which may die or hang without taking anything with them."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym

from vla_envs.errors import VLAEnvsError

ACCEPTED, REFUSED, RAW, MISREAD, HANG = "accepted", "refused", "raw error", "misread", "hang"
FAILURES = (RAW, MISREAD, HANG)
REFUSALS = (VLAEnvsError, gym.error.Error)
"""The errors that say what was given, what is valid and what mends it. Every other one is raw."""
MEMORY = 12 * 2**30
"""Bytes of addresses that a child may have beside those of its imports: LIBERO's alone are half as many."""
TIME_LIMIT = 120.0
"""Seconds after which a case hangs; most take milliseconds, but imports and a busy machine take their time."""
CASES_PER_CHILD = 400
LONGEST_MESSAGE = 20_000
"""Characters of the longest message that a person would still look at."""


class MisreadError(Exception):
    """Something was accepted, and its result is wrong."""


class Case(NamedTuple):
    """One call, or the reading of one file."""

    description: str
    """What is tried, in words that let a person try it again."""
    run: Callable[[], object]
    """Tries it; raises :class:`MisreadError` where it gave something else than it may give."""


class Kind(NamedTuple):
    """A kind of input."""

    make: Callable[[random.Random, Path], Case]
    """Draws a case; it may keep files in the folder, which is that of its process."""
    share: float = 1.0
    """How often it is drawn, beside the others of its module."""


class Verdict(NamedTuple):
    """How a case ended."""

    outcome: str
    kind: str
    description: str
    detail: str = ""
    memory: int = 0
    """Most bytes of memory that the process had during the case."""


def try_cases(module: str, numbers: Sequence[int], seed: int) -> Iterator[Verdict]:
    """The verdicts of these cases, in their order.

    Args:
        module: of ``tests.fuzz``, with ``KINDS``: name -> :class:`Kind`.
        numbers: of the cases; a number and the seed determine a case.
        seed: of the whole run.
    """
    left = list(numbers)
    while left:
        for verdict in _try_in_a_child(module, left[:CASES_PER_CHILD], seed):
            del left[0]
            yield verdict


def _try_in_a_child(module: str, numbers: Sequence[int], seed: int) -> Iterator[Verdict]:
    """As many verdicts as the child lives for, at least one."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    folder = Path(tempfile.mkdtemp(prefix="fuzz."))
    child = context.Process(target=_work, args=(sending, module, numbers, seed, folder))
    child.start()
    sending.close()
    tried = Verdict(HANG, "start", f"the import of {module}")
    try:
        for _ in numbers:
            tried = _receive(receiving)  # its kind and number
            tried = _receive(receiving)  # and what is tried
            yield _receive(receiving)
    except TimeoutError:
        yield tried
    except EOFError:
        child.join()
        yield tried._replace(outcome=RAW, detail=f"the process died, exit code {child.exitcode}")
    finally:
        child.kill()
        child.join()
        receiving.close()
        shutil.rmtree(folder, ignore_errors=True)


def _receive(connection: Connection) -> Verdict:
    if not connection.poll(TIME_LIMIT):
        raise TimeoutError
    return connection.recv()


def _work(connection: Connection, module: str, numbers: Sequence[int], seed: int, folder: Path) -> None:
    """What the child does; it says what it tries before it tries."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    os.chdir(folder)
    kinds: Mapping[str, Kind] = importlib.import_module(f"tests.fuzz.{module}").KINDS
    _bound_memory()
    for number in numbers:
        rng = random.Random(f"{seed} {number}")
        (name,) = rng.choices(list(kinds), [kind.share for kind in kinds.values()])
        tried = Verdict(HANG, name, f"{module}:{number}")
        connection.send(tried)
        case = kinds[name].make(rng, folder)
        tried = tried._replace(description=f"{tried.description} {case.description}")
        connection.send(tried)
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
        outcome, detail = judge(case.run)
        connection.send(tried._replace(outcome=outcome, detail=detail, memory=_status("VmHWM")))


def _bound_memory() -> None:
    """What is reserved beyond this raises MemoryError, a raw error, instead of filling the machine."""
    bound = _status("VmSize") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _status(name: str) -> int:
    """Bytes of this process's memory that the kernel calls by this name."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def judge(run: Callable[[], object]) -> tuple[str, str]:
    """How it ends, and what is said of it.

    >>> judge(lambda: 1 / 0)[0]
    'raw error'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run()
    except REFUSALS as error:
        return (REFUSED, "") if len(str(error)) <= LONGEST_MESSAGE else (RAW, f"too long to read: {error}"[:300])
    except MisreadError as error:
        return MISREAD, str(error)[:300]
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"  {frame.filename}:{frame.lineno} {frame.line}" for frame in [*frames[1:4], *frames[-3:]]]
        return RAW, f"{type(error).__name__}: {error}"[:300] + "\n" + "\n".join(dict.fromkeys(places))
    return ACCEPTED, ""


class Tally:
    """How the cases of a kind ended."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.memory = 0

    def count(self, verdict: Verdict) -> None:
        """Add one."""
        self.outcomes[verdict.outcome] += 1
        self.memory = max(self.memory, verdict.memory)


def table(tallies: Mapping[str, Tally]) -> str:
    """The tallies of each kind in Markdown, and their sum."""
    rows = [("kind of input", "tried", "accepted", REFUSED, "raw errors", MISREAD, "hangs", "peak memory"), ["---"] * 8]
    total = sum((tally.outcomes for tally in tallies.values()), Counter[str]())
    peak = max((tally.memory for tally in tallies.values()), default=0)
    sums = [(name, tally.outcomes, tally.memory) for name, tally in sorted(tallies.items())]
    for name, outcomes, memory in [*sums, ("all", total, peak)]:
        counts = [outcomes[each] for each in (ACCEPTED, REFUSED, *FAILURES)]
        rows.append([name, outcomes.total(), *counts, f"{memory / 2**30:.2f} GiB"])
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
