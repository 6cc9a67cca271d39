"""What is kept of a run."""

import numpy as np
import pytest

pytest.importorskip("ray")

from benchmarks.learning_arms import process, results
from rllib_configs.config import PPO, TTRL, BehaviorCloning, EnvironmentConfig, Evaluation, Experiment, Resources
from tests.benchmarks.learning_arms.made_up import make_result
from tests.rllib_configs.seeker import ENVIRONMENT, Seeker

SHRUNKEN = Experiment(
    name="success-0",
    iterations=2,
    environment=EnvironmentConfig(task_id=(0, 1), image_size=16, max_episode_steps=8),
    bc=BehaviorCloning(demonstrations_per_task=1, steps=3),
    ttrl=TTRL(n_votes_per_prompt=2),
    ppo=PPO(groups_per_iteration=2),
    resources=Resources(num_env_runners=0, groups_per_env_runner=2),
    evaluation=Evaluation(num_episodes=4, num_envs=2, interval=1, curve_episodes=4, videos=0),
)
"""Eight control steps solve nothing, but everything runs."""


def test_every_prompt_is_sampled_at_every_temperature():
    """Task 0 is solved each time, task 1 never."""
    evaluation = Evaluation(num_episodes=4, num_envs=4)
    experiment = Experiment(environment=ENVIRONMENT, ttrl=TTRL(n_votes_per_prompt=3), evaluation=evaluation)
    successes = results.sampled_successes(Seeker(), experiment)
    np.testing.assert_array_equal(successes, [[True, False, True, False]] * 3)


def test_a_result_reads_back(tmp_path):
    """Field by field."""
    result = make_result(steps=None)
    results.write(result, tmp_path)
    assert results.read(tmp_path) == result


def test_what_was_sampled_is_averaged_between_two_points(tmp_path):
    """An iteration without a success has no steps to average."""
    rows = ["iteration,eval/success_rate,ttrl/steps_per_success,ttrl/pass_at_n", "0,0.5,,", "1,,20,0.5", "2,,,0.0"]
    (tmp_path / "progress.csv").write_text("\n".join([*rows, "3,0.6,30,1.0", "4,0.7,40,1.0"]))
    curve = results._curve(tmp_path, trajectories=8)
    assert [point.sampled_steps for point in curve] == [None, 25.0, 40.0]
    assert [point.sampled_pass_at_n for point in curve] == [None, 0.5, 1.0]
    assert [point.trajectories for point in curve] == [0, 24, 32]


@pytest.mark.slow
def test_cloning_alone_is_a_curve_of_one_point(local_ray, tmp_path, monkeypatch):
    """At no time and without a trajectory."""
    monkeypatch.setattr(process.arms, "experiment", lambda arm, seed, root: SHRUNKEN.replace(iterations=0))
    process.main("initial", "0", str(tmp_path))
    (point,) = results.read(tmp_path / SHRUNKEN.name).curve
    assert (point.iteration, point.minutes, point.trajectories) == (0, 0.0, 0)


@pytest.mark.slow
def test_a_run_leaves_its_result(local_ray, tmp_path, monkeypatch):
    """And so does one whose process ended before it had written it."""
    monkeypatch.setattr(process.arms, "experiment", lambda arm, seed, root: SHRUNKEN)
    process.main("success", "0", str(tmp_path))
    directory = tmp_path / SHRUNKEN.name
    result = results.read(directory)
    assert [(point.iteration, point.trajectories) for point in result.curve] == [(0, 0), (1, 4), (2, 8)]
    assert (result.arm, result.episodes, result.pass_at_n) == ("success", 4, 0.0)
    (directory / results.RESULT).unlink()
    process.main("success", "0", str(tmp_path))
    assert results.read(directory) == result


@pytest.mark.slow
def test_a_run_that_was_interrupted_while_cloning_begins_again(local_ray, tmp_path, monkeypatch):
    """It has left nothing to go on from."""
    monkeypatch.setattr(process.arms, "experiment", lambda arm, seed, root: SHRUNKEN.replace(iterations=0))
    (tmp_path / SHRUNKEN.name).mkdir()
    (tmp_path / SHRUNKEN.name / "config.json").write_text("{}")
    process.main("initial", "0", str(tmp_path))
    assert results.read(tmp_path / SHRUNKEN.name).episodes == 4
