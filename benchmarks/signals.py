"""Which signals that need no label tell the successes of a policy from its failures?

python benchmarks/signals.py runs/tabletop_ttrl/policy_before runs/tabletop_ttrl/best

Samples groups from the training states of each policy's run, at the temperatures of the run, all tasks from one initial
state after the other. A signal is a number for each trajectory; its AUC is the probability that it is higher for a
success than for a failure of the same group, ties counted half: 0.5 tells nothing, and below that a reward that follows
the signal pays for failing. Prints a table, with 95 % intervals of a bootstrap over groups.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rllib_configs import VLAPPOConfig
from rllib_configs.algorithm.env_runner import GroupEnvRunner, sample_episodes
from rllib_configs.algorithm.scoring import is_valid, other_instructions, trajectory_of
from rllib_configs.config import Experiment
from rllib_configs.run.directory import load_experiment, run_of
from rllib_configs.run.report import markdown
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import EveryTaskPrompts, GroupStart, NumberedStarts, Trajectory, contrast, similarity_to_confident
from vla_envs.group.trajectory import end_distances, pairwise_distances

Group = Sequence[Trajectory]
Signal = Callable[[Group, Group, float], NDArray]
"""Maps a group, those of the other tasks from the same initial state, and a tolerance of final states to (N,)."""
RESAMPLES = 1000
"""Of the bootstrap."""


def siblings_that_end_alike(group: Group, others: Group, tolerance: float) -> NDArray:
    """How many there are: what `agreement` on `final_state_cluster` pays for."""
    return (end_distances(group, group) <= tolerance).sum(1)


def changed_siblings_that_end_alike(group: Group, others: Group, tolerance: float) -> NDArray:
    """Those alone that do not end exactly alike, as trajectories do that change nothing."""
    distances = end_distances(group, group)
    return ((distances <= tolerance) & (distances > 0)).sum(1)


SIGNALS: dict[str, Signal] = {
    "confidence": lambda group, *_: np.array([each.confidence for each in group]),
    "low temperature": lambda group, *_: np.array([-each.temperature for each in group]),
    "acts like the most confident": lambda group, *_: similarity_to_confident(group),
    "acts like its siblings": lambda group, *_: -pairwise_distances(group).sum(1),
    "ends like its siblings": siblings_that_end_alike,
    "the same, unless nothing changed": changed_siblings_that_end_alike,
    "its end tells its instruction": contrast,
}
"""Name -> the signal."""


def main() -> None:
    """Sample, and print a column for each policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="+", type=Path, help="directories of policies in those of their runs")
    parser.add_argument("--groups", type=int, default=96, help="number of groups")
    parser.add_argument("--tolerance", type=float, default=0.05, help="of a coordinate of final states that are alike")
    args = parser.parse_args()
    columns = {str(path): measure(path, args.groups, args.tolerance) for path in args.policies}
    rows = [[name, *(column[name] for column in columns.values())] for name in next(iter(columns.values()))]
    print(markdown([["", *columns], *rows]))


def measure(policy: Path, number: int, tolerance: float) -> dict[str, str]:
    """The success of a policy, and the AUC of each signal; none of one that needs tasks that start alike."""
    starts, episodes = sample(policy, number)
    groups = [list(map(trajectory_of, each)) for each in episodes]
    success = [np.array([each.success for each in group]) for group in groups]
    try:
        others = other_instructions(starts, episodes)
    except InvalidArgumentError:  # of tasks that start differently
        others = [[] for _ in groups]
    table = {"success": f"{np.mean(np.concatenate(success)):.0%}"}
    for name, signal in SIGNALS.items():
        if signal is contrast and not any(others):
            table[name] = "-"
            continue
        values = [signal(group, other, tolerance) for group, other in zip(groups, others, strict=True)]
        table[name] = _interval([_won(value, won) for value, won in zip(values, success, strict=True)])
    return table


def sample(policy: Path, number: int) -> tuple[list[GroupStart], list[list[SingleAgentEpisode]]]:
    """Where groups without a fault started, and their episodes: all tasks in turn, from states that training draws."""
    experiment = _acting(policy)
    runner = GroupEnvRunner(config=VLAPPOConfig.from_experiment(experiment).learners(num_learners=1))
    drawn = NumberedStarts(seed=0, sampler=EveryTaskPrompts(runner.prompts() or ()))
    starts = [drawn.draw() for _ in range(number)]
    size, at_once = experiment.ttrl.n_votes_per_prompt, runner.num_envs // experiment.ttrl.n_votes_per_prompt
    episodes: list[SingleAgentEpisode] = []
    for first in range(0, number, at_once):
        some, temperatures = starts[first : first + at_once], experiment.ttrl.temperatures()
        episodes += sample_episodes(runner.module, runner.env.unwrapped, some, temperatures, explore=True)
    groups = [episodes[first : first + size] for first in range(0, len(episodes), size)]
    whole = [place for place, group in enumerate(groups) if all(map(is_valid, group))]
    return [starts[place] for place in whole], [groups[place] for place in whole]


def _acting(policy: Path) -> Experiment:
    """The experiment of the policy's run, with that policy."""
    experiment = load_experiment(run_of(policy) or policy)
    return experiment.replace(policy=experiment.policy.saved_at(policy))


def _won(values: NDArray, success: NDArray) -> tuple[float, int]:
    """How many pairs of a success and a failure the signal puts in their order, and how many there are."""
    differences = np.subtract.outer(values[success], values[~success])
    return float((differences > 0).sum() + 0.5 * (differences == 0).sum()), differences.size


def _interval(pairs: Sequence[tuple[float, int]]) -> str:
    """The AUC over all pairs, with its interval by the groups that have any; a dash where none has."""
    counts = np.array([each for each in pairs if each[1]])
    if not len(counts):
        return "-"
    drawn = counts[np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    won, of = counts.sum(0)
    return f"{won / of:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
