"""The model card of a run."""

import dataclasses
import json

from rllib_configs.config import EnvironmentConfig, Experiment
from rllib_configs.run.evaluation import Episode, write_episodes
from rllib_configs.run.model_card import write_model_card


def test_it_says_what_was_measured_and_how_the_policy_is_loaded(tmp_path):
    """From the files of the run alone."""
    experiment = Experiment(
        name="half", seed=3, environment=EnvironmentConfig(env_kwargs={"num_init_states": 200}), iterations=7
    ).resolved()
    (tmp_path / "config.json").write_text(experiment.to_json())
    (tmp_path / "environment.json").write_text(json.dumps({"id": "VLA-Tabletop-v0"}))
    failed = [Episode("open the drawer", 9, state, False, 80, 80) for state in (50, 51)]
    solved = [failed[0], dataclasses.replace(failed[1], success=True)]
    write_episodes(tmp_path, {"before": failed, "after": solved})
    (tmp_path / "progress.csv").write_text("iteration,ttrl/reward\n1,0.5\n2,0.75\n")
    card = write_model_card(tmp_path).read_text()
    assert card.startswith("---\nlibrary_name: vla_envs\n")
    assert "`VLA-Tabletop-v0` (num_init_states=200)" in card
    assert "It succeeds in 50% [9%, 91%] of 2 held-out episodes, 0% [0%, 66%] before" in card
    assert "| open the drawer | 2 | 0% [0%, 66%] | 50% [9%, 91%] |" in card
    assert 'load_policy("tiny", path="policy")' in card
    assert "Cloned from 20 demonstrations a task. 2 of 7 iterations of" in card
    assert "seed 3" in card
