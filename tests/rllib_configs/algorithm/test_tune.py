"""VLAPPO as a trainable of Ray Tune."""

import os
import subprocess
import sys

import pytest
from ray import tune

from rllib_configs import VLAPPO
from rllib_configs.config import Resources
from tests.rllib_configs.setups import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


@pytest.mark.parametrize("trainable", [VLAPPO, "VLAPPO"])
def test_tune_runs_an_experiment(tmp_path, trainable):
    """The line of the README, with a smaller experiment."""
    stop = {"training_iteration": 1}
    analysis = tune.run(trainable, config=SMALL.to_rllib(), stop=stop, storage_path=str(tmp_path), verbose=0)
    (trial,) = analysis.trials
    assert trial.last_result["training_iteration"] == 1
    assert trial.last_result["ttrl"]["success_rate"] == 0.0


TWO_CORES = """
import sys
from pathlib import Path
import ray
from ray import tune
from rllib_configs import VLAPPO, Experiment

folder = Path(sys.argv[1])
ray.init(address="local", num_cpus=2, include_dashboard=False)
config = Experiment.from_json(folder / "config.json").to_rllib()
analysis = tune.run(VLAPPO, config=config, stop={"training_iteration": 1}, storage_path=str(folder), verbose=0)
assert [trial.last_result["training_iteration"] for trial in analysis.trials] == [1]
"""


def test_a_trial_with_two_runners_ends_on_two_cores(tmp_path):
    """On a Ray of its own: where a trial asked for a third core, Tune would wait for it for ever."""
    experiment = SMALL.replace(resources=Resources(num_env_runners=2, groups_per_env_runner=1))
    (tmp_path / "config.json").write_text(experiment.to_json())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", TWO_CORES, str(tmp_path)], env=environment, check=True, timeout=300)


def test_a_tuner_searches_a_grid(tmp_path):
    """A field of the configuration is a trial for each of its values."""
    config = SMALL.to_rllib().training(lr=tune.grid_search([1e-4, 1e-3]))
    run_config = tune.RunConfig(stop={"training_iteration": 1}, storage_path=str(tmp_path), verbose=0)
    results = tune.Tuner(VLAPPO, param_space=config, run_config=run_config).fit()
    assert sorted(result.config["lr"] for result in results) == [1e-4, 1e-3]
    assert [result.metrics["training_iteration"] for result in results] == [1, 1]
