"""Deals groups out to the sampling processes, and brings every one of them back or says that it is lost."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.rllib.env.env_runner_group import EnvRunnerGroup

from rllib_configs.algorithm.sampled_group import SampledGroup
from vla_envs.errors import WorkerError
from vla_envs.group import GroupStart

MAX_ATTEMPTS = 3
"""How often a round of groups is dealt out: one that kills its process each time is lost, and not the run."""
POLL_SECONDS = 0.1
"""How long to wait for results before looking after the processes."""
RESTART_SECONDS = 600.0
"""How long to wait for a runner where none is left."""
TAG = "sample_groups"

_log = logging.getLogger(__name__)


@dataclass
class Round:
    """The groups that one process samples side by side."""

    starts: Sequence[GroupStart]
    attempts: int = 0
    deadline: float = field(default=float("inf"))


class GroupDealer:
    """Has groups sampled by the driver's own runner, or by remote ones that take the next round when they are ready.

    A runner that dies, or does not answer in time, is replaced; its round is dealt out again. Since a
    start determines its group, nothing depends on who samples it.

    Args:
        runners: RLlib's.
        groups_per_round: groups of a runner's environment.
        timeout_s: seconds that a round may take; None waits for ever.
        restore: brings back runners that died, with the current weights.
    """

    def __init__(
        self,
        runners: EnvRunnerGroup,
        groups_per_round: int,
        timeout_s: float | None,
        restore: Callable[[], object],
    ) -> None:
        self.runners = runners
        self.groups_per_round = groups_per_round
        self.timeout_s = float("inf") if timeout_s is None else timeout_s
        self.restore = restore
        self.counts: Counter[str] = Counter()
        """Of ``lost_groups`` and ``dealt_again_groups``, until the caller clears it."""
        self._results: list[dict[str, Any]] = []

    def sample(self, starts: Sequence[GroupStart], kl_coeff: float) -> list[SampledGroup]:
        """The groups of these starts, in their order; one that was lost is missing.

        Raises:
            WorkerError: no process is left, and none comes back.
        """
        runners = self.runners.num_remote_env_runners()
        step = min(self.groups_per_round, -(-len(starts) // max(1, runners)))
        rounds = [starts[first : first + step] for first in range(0, len(starts), step)]
        if runners == 0:
            return [group for each in rounds for group in self._sample_here(each, kl_coeff)]
        groups = self._sample_remotely(deque(map(Round, rounds)), kl_coeff)
        return sorted(groups, key=lambda group: group.start.group_id)

    def take_results(self) -> list[dict[str, Any]]:
        """RLlib's metrics of what was sampled since the last call."""
        results, self._results = self._results, []
        return results

    def _sample_here(self, starts: Sequence[GroupStart], kl_coeff: float) -> list[SampledGroup]:
        groups, results = self.runners.local_env_runner.sample_groups(starts, kl_coeff)
        self._results.append(results)
        return groups

    def _sample_remotely(self, waiting: deque[Round], kl_coeff: float) -> list[SampledGroup]:
        running: dict[int, Round] = {}
        groups: list[SampledGroup] = []
        while waiting or running:
            self._deal(waiting, running, kl_coeff)
            ready = self.runners.fetch_ready_async_reqs(tags=TAG, timeout_seconds=POLL_SECONDS)
            for runner, (sampled, results) in ready:
                del running[runner]
                groups += sampled
                self._results.append(results)
            self._end_hung(running)
            self._take_back(waiting, running)
            self._bring_back()
        return groups

    def _deal(self, waiting: deque[Round], running: dict[int, Round], kl_coeff: float) -> None:
        """Give a round to every runner that has none."""
        for runner in self.runners.healthy_env_runner_ids():
            if waiting and runner not in running:
                taken = running[runner] = waiting.popleft()
                taken.attempts += 1
                taken.deadline = time.monotonic() + self.timeout_s
                arguments = {"starts": taken.starts, "kl_coeff": kl_coeff}
                self.runners.foreach_env_runner_async(TAG, tag=TAG, kwargs=arguments, remote_worker_ids=[runner])

    def _end_hung(self, running: dict[int, Round]) -> None:
        """Kill the runners that are past their deadline."""
        manager = self.runners._worker_manager
        for runner, taken in running.items():
            if time.monotonic() > taken.deadline:
                _log.warning("Runner %d gave no answer for %.0f s: it is replaced.", runner, self.timeout_s)
                ray.kill(manager.actors()[runner], no_restart=False)
                manager.set_actor_state(runner, healthy=False)

    def _take_back(self, waiting: deque[Round], running: dict[int, Round]) -> None:
        """Deal the rounds of dead runners again, unless they have killed too many."""
        for runner in running.keys() - set(self.runners.healthy_env_runner_ids()):
            taken = running.pop(runner)
            if taken.attempts < MAX_ATTEMPTS:
                waiting.append(taken)
                self.counts["dealt_again_groups"] += len(taken.starts)
            else:
                ids = [start.group_id for start in taken.starts]
                _log.warning("Groups %s were lost %d times: they are left out.", ids, taken.attempts)
                self.counts["lost_groups"] += len(taken.starts)

    def _bring_back(self) -> None:
        """Look for dead runners that Ray has started again; where none is left, wait for one."""
        if self.runners.num_healthy_remote_workers() == self.runners.num_remote_env_runners():
            return
        deadline = time.monotonic() + RESTART_SECONDS
        self.restore()
        while not self.runners.healthy_env_runner_ids():
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"No environment runner is left, and none came back within {RESTART_SECONDS:.0f} s; "
                    "the log above has their errors."
                )
            self.restore()
