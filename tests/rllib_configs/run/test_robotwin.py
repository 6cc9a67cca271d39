"""RoboTwin on the fake checkout and on a real one: demonstrations of its expert, and its preset."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rllib_configs import presets
from rllib_configs.config import BehaviorCloning, EnvironmentConfig
from rllib_configs.run.cloning import check_expert, collect
from rllib_configs.run.train import train
from tests.vla_envs.robotwin.conftest import real_checkout
from tests.vla_envs.robotwin.fake_checkout import write_checkout
from vla_envs.errors import InvalidArgumentError
from vla_envs.robotwin import RoboTwinEnv
from vla_envs.robotwin.seeds import FIRST

CHUNK = 4


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The fake checkout."""
    pytest.importorskip("yaml", reason="the extra robotwin is not installed")
    return write_checkout(tmp_path_factory.mktemp("fake") / "checkout")


@pytest.fixture
def environment(root):
    """Makes the configuration of an environment on it."""

    def make(chunk, **kwargs):
        return EnvironmentConfig(
            id="VLA-RoboTwin-v0",
            cameras=("head",),
            image_size=32,
            chunk_size=CHUNK,
            token_length=10,
            env_kwargs={"task": "stack_blocks_two", "root": str(root), "chunk": chunk, **kwargs},
        )

    return make


@pytest.mark.parametrize("chunk", ["spline", "sequential"])
def test_rows_are_the_expert_s_motion_in_chunks(environment, root, chunk):
    """Plan after plan is what the expert shows of that scene, as far as it takes to solve it."""
    rows = collect(environment(chunk), BehaviorCloning(demonstrations_per_task=1), seed=0)
    assert rows.actions.shape[:2] == rows.mask.shape == (len(rows), CHUNK)
    assert rows.observations["image"].shape == (len(rows), 32, 32, 3)
    plans = rows.actions[rows.mask.astype(bool)]
    state = np.random.default_rng(0).choice(range(50), 1, replace=False)
    with closing(RoboTwinEnv(root=root)) as env:
        env.reset(options={"init_state_id": int(state[0])})
        shown = env.demonstrate().actions
    assert len(plans) > len(shown) / 2
    np.testing.assert_array_equal(plans, shown[: len(plans)])


@pytest.mark.parametrize("changes", [{"noise": 0.1}, {"rotation_noise": 0.1}, {"speed": 0.5}])
def test_disturbances_and_speeds_of_an_expert_that_plans_ahead_are_refused(environment, changes):
    """It would take no notice of them."""
    with pytest.raises(
        InvalidArgumentError, match=r"`bc\.(noise|rotation_noise|speed)` with the expert of VLA-Tabletop-v0 or VLA-Li"
    ):
        check_expert(environment("spline"), BehaviorCloning(demonstrations_per_task=1, **changes))


def test_rows_see_what_the_motion_has_changed(environment):
    """The first row sees the start, the others where the plans before have led."""
    rows = collect(environment("spline"), BehaviorCloning(demonstrations_per_task=1), seed=0)
    dim = rows.actions.shape[-1]
    np.testing.assert_array_equal(rows.observations["state"][0, :dim], rows.actions[0, 0])
    assert len(np.unique(rows.observations["state"], axis=0)) > len(rows) / 2
    assert len(np.unique(rows.observations["image"], axis=0)) > 2


def test_an_expert_may_take_longer_than_a_policy(environment):
    """The preset's policy has 16 actions, no expert solves the task in so few."""
    short = environment("spline", step_limit="simplevla_rl").replace(max_episode_steps=CHUNK)
    assert len(collect(short, BehaviorCloning(demonstrations_per_task=1), seed=0)) > 2


def test_what_the_expert_does_not_solve_is_left_out(environment, tmp_path, caplog):
    """And named; nothing at all is an error that says what to do."""
    unsolved = [105_555, 115_555]
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps({"stack_blocks_two": {"success_seeds": unsolved}}))
    with pytest.raises(InvalidArgumentError, match="vla seeds TASK"):
        collect(environment("spline", seeds=str(path)), BehaviorCloning(demonstrations_per_task=1), seed=0)
    assert "does not solve" in caplog.text
    assert "105555" in caplog.text


def run_on(root: Path, runs: Path) -> Path:
    """The preset as it is, on a checkout."""
    preset = presets.robotwin_ttrl()
    env_kwargs = {**preset.environment.env_kwargs, "root": str(root)}
    return train(preset.replace(environment=preset.environment.replace(env_kwargs=env_kwargs)), runs)


@pytest.fixture
def real_root() -> Path:
    """A RoboTwin checkout that runs here; skips without."""
    return real_checkout()


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(
    ("checkout", "joints"), [("root", 8), pytest.param("real_root", 14, marks=pytest.mark.robotwin)]
)
def test_the_preset_runs(tmp_path, request, checkout, joints):
    """Both iterations, all joints and grippers, held-out seeds, and what results rest on."""
    run = run_on(request.getfixturevalue(checkout), tmp_path / "runs")
    iterations = [line.partition(",")[0] for line in (run / "progress.csv").read_text().splitlines()]
    assert iterations == ["iteration", "0", "1", "2"]
    policy = json.loads((run / "policy" / "config.json").read_text())
    assert policy["action_dim"] == len(policy["action_low"]) == joints
    assert len(policy["state_scale"]) == 2 * joints
    episodes = json.loads((run / "episodes.json").read_text())["after"]
    assert [each["task"] for each in episodes] == ["stack_blocks_two"] * 2
    assert len({each["init_state_id"] for each in episodes}) == 2
    assert all(each["seed"] >= FIRST["eval"] for each in episodes)
    rests_on = json.loads((run / "environment.json").read_text())
    assert rests_on["chunk"] == "spline"
    assert {"checkout", "device", "shader", "seeds", "versions"} <= rests_on.keys()
    assert (run / "before_after.mp4").stat().st_size > 0
