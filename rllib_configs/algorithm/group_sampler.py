"""Has groups sampled by processes that may fail, and brings every group back or says that it is lost."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from rllib_configs.algorithm.sampled_group import SampledGroup
from vla_envs.errors import InvalidActionError, InvalidArgumentError, NonFiniteError, VLAEnvsError, WorkerError
from vla_envs.group import GroupStart

MAX_ATTEMPTS = 3
"""How often a group is tried: one that kills its process each time is lost, and not the run."""
POLL_SECONDS = 0.1
"""How long to wait for results before looking after the processes."""
RESTART_SECONDS = 600.0
"""How long to wait for a runner where none is left."""
TAG = "sample_groups"
DIED = "A runner died without a word: the memory ran out, or a library crashed."

_log = logging.getLogger(__name__)


@dataclass
class Round:
    """The groups that one process samples side by side."""

    starts: Sequence[GroupStart]
    attempts: int = 0
    deadline: float = field(default=float("inf"))


class GroupSampler:
    """Samples groups with the driver's own runner, or with remote ones that take the next round when they are ready.

    A runner that dies, or does not answer in time, is replaced; its round is sampled again. Since a
    start determines its group, nothing depends on who samples it.

    Args:
        runners: RLlib's.
        groups_per_round: groups of a runner's environment.
        timeout_s: seconds that a round may take; None waits for ever.
        restore: brings back runners that died, with the current weights.
        method: of the runners, which samples a round.
        together: how many groups that follow each other are never parted, because they are scored with each other.
    """

    def __init__(
        self,
        runners: Any,
        groups_per_round: int,
        timeout_s: float | None,
        restore: Callable[[], object],
        method: str = "sample_groups",
        together: int = 1,
    ) -> None:
        self.runners = runners
        self.groups_per_round = groups_per_round
        self.together = together
        self.timeout_s = float("inf") if timeout_s is None else timeout_s
        self.restore = restore
        self.method = method
        self.counts: Counter[str] = Counter()
        """Of ``lost_groups`` and ``retried_groups``, until the caller clears it."""
        self.last_error = DIED
        """Why a runner was replaced last."""
        self._failures = 0
        self._results: list[dict[str, Any]] = []

    def sample(self, starts: Sequence[GroupStart], **inputs: Any) -> list[SampledGroup]:
        """The groups of these starts, in their order; one that was lost is missing.

        Args:
            starts: where the groups begin.
            **inputs: what else :meth:`~rllib_configs.algorithm.env_runner.GroupEnvRunner.sample_groups` takes.

        Raises:
            WorkerError: no process is left and none comes back, or one after the other fails.
            InvalidArgumentError, InvalidActionError, NonFiniteError: what is sampled cannot be trained on.
        """
        self.last_error, self._failures = DIED, 0
        runners = self.runners.num_remote_env_runners()
        most, shared = self.groups_per_round // self.together, -(-len(starts) // self.together)
        step = self.together * min(most, -(-shared // max(1, runners)))
        rounds = [starts[first : first + step] for first in range(0, len(starts), step)]
        if runners == 0:
            return [group for each in rounds for group in self._sample_here(each, inputs)]
        groups = self._sample_remotely(deque(map(Round, rounds)), inputs)
        return sorted(groups, key=lambda group: group.start.group_id)

    def take_results(self) -> list[dict[str, Any]]:
        """RLlib's metrics of what was sampled since the last call."""
        results, self._results = self._results, []
        return results

    def _sample_here(self, starts: Sequence[GroupStart], inputs: Mapping[str, Any]) -> list[SampledGroup]:
        runner: Any = self.runners.local_env_runner
        groups, results = getattr(runner, self.method)(starts, **inputs)
        self._results.append(results)
        return groups

    def _sample_remotely(self, waiting: deque[Round], inputs: Mapping[str, Any]) -> list[SampledGroup]:
        running: dict[int, Round] = {}
        groups: list[SampledGroup] = []
        refused: VLAEnvsError | None = None
        while waiting or running:
            self._send(waiting, running, inputs)
            ready: Iterable[tuple[int, Any]] = self.runners.fetch_ready_async_reqs(
                tags=TAG, timeout_seconds=POLL_SECONDS
            )
            for runner, outcome in ready:
                if isinstance(outcome, str):
                    self._replace(runner, outcome)
                    continue
                del running[runner]
                if isinstance(outcome, VLAEnvsError):  # it would come again, wherever the round is sampled
                    refused = outcome
                    continue
                self._failures = 0
                groups += outcome[0]
                self._results.append(outcome[1])
            self._end_hung(running)
            self._take_back(waiting, running)
            self._bring_back()
            if refused:  # what still runs is awaited: the next call would take its results for its own
                waiting.clear()
        if refused:
            raise refused
        return groups

    def _send(self, waiting: deque[Round], running: dict[int, Round], inputs: Mapping[str, Any]) -> None:
        """Give a round to every runner that has none."""
        for runner in self.runners.healthy_env_runner_ids():
            if waiting and runner not in running:
                taken = running[runner] = waiting.popleft()
                taken.attempts += 1
                taken.deadline = time.monotonic() + self.timeout_s
                arguments = {"method": self.method, "starts": taken.starts, "inputs": inputs}
                self.runners.foreach_env_runner_async(_sample, tag=TAG, kwargs=arguments, remote_worker_ids=[runner])

    def _end_hung(self, running: dict[int, Round]) -> None:
        """Kill the runners that are past their deadline."""
        for runner, taken in running.items():
            if time.monotonic() > taken.deadline:
                self._replace(runner, f"it gave no answer for {self.timeout_s:.0f} s")

    def _replace(self, runner: int, reason: str) -> None:
        """Kill a runner, whose state nobody knows; Ray starts another one in its place."""
        self.last_error = reason
        _log.warning("Runner %d is replaced: %s", runner, reason)
        manager = self.runners._worker_manager
        ray.kill(manager.actors()[runner], no_restart=False)
        manager.set_actor_state(runner, healthy=False)

    def _take_back(self, waiting: deque[Round], running: dict[int, Round]) -> None:
        """Have the groups of dead runners sampled again, apart from each other: one may be what kills them."""
        for runner in running.keys() - set(self.runners.healthy_env_runner_ids()):
            taken = running.pop(runner)
            self._count_failure()
            if taken.attempts < MAX_ATTEMPTS:
                few = range(0, len(taken.starts), self.together)
                waiting.extend(Round(taken.starts[i : i + self.together], taken.attempts) for i in few)
                self.counts["retried_groups"] += len(taken.starts)
            else:
                ids = [start.group_id for start in taken.starts]
                _log.warning("Groups %s were lost %d times: they are left out.", ids, taken.attempts)
                self.counts["lost_groups"] += len(taken.starts)

    def _count_failure(self) -> None:
        """Raise where nothing but failures comes: what fails always would otherwise look like training."""
        self._failures += 1
        if self._failures > MAX_ATTEMPTS * self.runners.num_remote_env_runners():
            raise WorkerError(
                f"{self._failures} rounds in a row have failed. {self.last_error} See it happen in one process with "
                "`num_env_runners=0` (--resources.num-env-runners 0)."
            )

    def _bring_back(self) -> None:
        """Look for dead runners that Ray has started again; where none is left, wait for one."""
        if self.runners.num_healthy_remote_workers() == self.runners.num_remote_env_runners():
            return
        deadline = time.monotonic() + RESTART_SECONDS
        self.restore()
        while not self.runners.healthy_env_runner_ids():
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"No environment runner is left, and none came back within {RESTART_SECONDS:.0f} s. "
                    f"{self.last_error}"
                )
            self.restore()


def _sample(runner: Any, method: str, starts: Sequence[GroupStart], inputs: Mapping[str, Any]) -> Any:
    """What the runner samples, or how it failed: RLlib would end the process and leave that unsaid."""
    try:
        return getattr(runner, method)(starts, **inputs)
    except (InvalidActionError, InvalidArgumentError, NonFiniteError) as error:
        return error
    except Exception:  # whatever it is, the driver decides
        return traceback.format_exc()
