"""The benchmark of signals without labels."""

import sys

import numpy as np
import pytest

pytest.importorskip("ray")

from benchmarks import signals
from rllib_configs.config import TTRL
from rllib_configs.run.cloning import load_fitting_policy
from rllib_configs.run.directory import CONFIG_FILE
from tests.rllib_configs.setups import HOT, SMALL
from tests.vla_envs.group.trajectories import ending_at


def test_pairs_in_their_order_are_counted():
    """Ties are half a pair."""
    values, success = np.array([3.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False])
    assert signals._won(values, success) == (3.5, 4)


def test_the_auc_is_over_all_pairs():
    """A group without a difference has none; where no group has one, nothing is known."""
    assert signals._interval([(3.0, 4), (0.0, 0), (1.0, 4)]).startswith("0.50 [")
    assert signals._interval([(0.0, 0)]) == "-"


def test_siblings_that_changed_nothing_do_not_count():
    """They end exactly alike."""
    group = ending_at(0.0, 0.0, 1.0, 1.01)
    assert signals.siblings_that_end_alike(group, [], 0.1).tolist() == [2, 2, 2, 2]
    assert signals.changed_siblings_that_end_alike(group, [], 0.1).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("tasks", "contrasted"), [((0, 1), True), ((0, 8), False)])
def test_a_policy_is_measured(tmp_path, monkeypatch, capsys, tasks, contrasted):
    """Of a run; instructions are compared where their tasks start alike."""
    experiment = SMALL.replace(
        environment=SMALL.environment.replace(task_id=tasks), ttrl=TTRL(n_votes_per_prompt=2, **HOT)
    ).resolved()
    (tmp_path / CONFIG_FILE).write_text(experiment.to_json())
    load_fitting_policy(experiment.policy, experiment.environment).save_pretrained(tmp_path / "policy")
    monkeypatch.setattr(sys, "argv", ["signals.py", str(tmp_path / "policy"), "--groups", "4"])
    asked = []
    monkeypatch.setattr(signals, "_interval", lambda pairs: asked.append(pairs) or "measured")
    signals.main()
    printed = capsys.readouterr().out
    assert f"| its end tells its instruction | {'measured' if contrasted else '-'} |" in printed
    assert all(len(pairs) == 4 for pairs in asked)
