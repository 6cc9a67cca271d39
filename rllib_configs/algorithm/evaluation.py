"""RLlib's evaluation, where N episodes are of N prompts: of a greedy policy a start says the same each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rllib_configs.algorithm.group_sampler import MAX_ATTEMPTS, GroupSampler
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.group import GroupStart
from vla_envs.group.prompts import spread_over_tasks


class Evaluation:
    """Runs ``evaluation_duration`` episodes, each from another prompt, the same at every evaluation.

    Args:
        runners: RLlib's for evaluation.
        config: their VLAPPOConfig.
        restore: brings back runners that died, with the current weights.

    Raises:
        InvalidArgumentError: more episodes than the environment has prompts.
    """

    def __init__(self, runners: Any, config: Any, restore: Callable[[], object]) -> None:
        (prompts, *_) = runners.foreach_env_runner(prompts_of)
        number = config.evaluation_duration
        if prompts is None:  # outside the contract the seed gives the start
            self.starts = [GroupStart(index, seed=index) for index in range(number)]
        else:
            chosen = spread_over_tasks(prompts)
            if number > len(chosen):
                raise InvalidArgumentError(
                    f"Expect `evaluation_duration` to be at most {len(chosen)}, the different prompts of the "
                    "evaluation's environment, because no start tells twice how often a policy succeeds, "
                    f"actually: {number}."
                )
            self.starts = [GroupStart(index, seed=index, prompt=chosen[index]) for index in range(number)]
        self.temperatures = config.ttrl.temperatures()[:1]
        timeout_s = config.evaluation_sample_timeout_s
        self.sampler = GroupSampler(runners, config.starts_per_env_runner, timeout_s, restore, method="evaluate")

    def run(self) -> tuple[list[dict[str, Any]], int]:
        """RLlib's metrics of the episodes, and how many timesteps they took; those that a fault cut short run again.

        Raises:
            WorkerError: a prompt gave no valid episode.
        """
        missing, timesteps = self.starts, 0
        for _ in range(MAX_ATTEMPTS):
            valid = [
                group for group in self.sampler.sample(missing, temperatures=self.temperatures) if not group.invalid
            ]
            timesteps += sum(group.timesteps for group in valid)
            done = {group.start.group_id for group in valid}
            missing = [start for start in missing if start.group_id not in done]
            if not missing:
                return self.sampler.take_results(), timesteps
        raise WorkerError(f"{missing[0].prompt} gave no valid episode in {MAX_ATTEMPTS} attempts.")


def prompts_of(runner: Any) -> Any:
    """What the environment of a runner draws from, for ``foreach_env_runner``."""
    return runner.prompts()
