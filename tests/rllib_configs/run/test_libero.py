"""LIBERO on the real simulator: demonstrations of its expert, and the preset that clones and improves them."""

import json

import numpy as np
import pytest

from rllib_configs import presets
from rllib_configs.config import BehaviorCloning, EnvironmentConfig
from rllib_configs.run.cloning import collect
from rllib_configs.run.train import train
from vla_envs.errors import InvalidArgumentError
from vla_envs.libero.expert import LiberoExpert

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]

CHUNK = 8
BLIND = EnvironmentConfig(
    id="VLA-Libero-v0", task_id=8, cameras=(), chunk_size=CHUNK, env_kwargs={"suite": "libero_object"}
)
"""Which draws nothing."""


@pytest.fixture(scope="module")
def rows():
    """A disturbed demonstration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiberoExpert, "plan", None)  # which simulates
        return collect(BLIND, BehaviorCloning(demonstrations_per_task=1), seed=0)


def test_a_row_has_what_the_expert_answers_along_the_way(rows):
    """Without any plan: the second action of a row is the first of the next, although others were executed."""
    np.testing.assert_array_equal(rows.actions[:-1, 1:], rows.actions[1:, :-1])


def test_the_last_rows_end_with_the_demonstration(rows):
    """8, 7, ... 1 actions are left."""
    assert rows.mask.sum(1)[-CHUNK:].tolist() == [8, 7, 6, 5, 4, 3, 2, 1]


def test_no_task_is_the_whole_suite():
    """LIBERO's environments would take the first task by themselves."""
    assert BLIND.replace(task_id=None).make("eval").unwrapped.task_ids == tuple(range(10))


def test_an_episode_that_fails_is_left_out_and_named(caplog):
    """Nothing at all is an error that says what to do."""
    with pytest.raises(InvalidArgumentError, match=r"--bc\.noise"):
        collect(BLIND.replace(max_episode_steps=CHUNK), BehaviorCloning(demonstrations_per_task=1), seed=0)
    assert "does not solve Prompt(task_id=8" in caplog.text


@pytest.mark.usefixtures("local_ray")
def test_the_preset_goes_from_the_expert_to_reinforcement_learning(tmp_path):
    """With a blind policy, because nothing is drawn then."""
    preset = presets.libero_rl()
    experiment = preset.replace(
        iterations=1,
        environment=preset.environment.replace(task_id=8, cameras=(), max_episode_steps=200),
        bc=preset.bc.replace(demonstrations_per_task=1, steps=2),
        ttrl=preset.ttrl.replace(n_votes_per_prompt=2),
        ppo=preset.ppo.replace(groups_per_iteration=1),
        resources=preset.resources.replace(num_env_runners=0, groups_per_env_runner=1),
        evaluation=preset.evaluation.replace(num_episodes=1, num_envs=1, curve_episodes=1, videos=0),
    )
    run = train(experiment, tmp_path)
    episodes = json.loads((run / "episodes.json").read_text())
    assert {name: len(each) for name, each in episodes.items()} == {"before": 1, "after": 1}
