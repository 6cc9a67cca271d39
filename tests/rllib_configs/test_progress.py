"""What a person sees while a run works."""

import math

import pytest

from rllib_configs.experiment import Experiment
from rllib_configs.progress import Progress

TTRL = {"success_rate": 0.5, "reward": 0.25}


@pytest.mark.parametrize("learners", [{}, {"default_policy": {"approx_kl": math.nan}}, {"default_policy": {}}])
def test_what_was_not_measured_is_a_dash(capsys, learners):
    """An iteration whose groups all agree updates nothing."""
    Progress(Experiment()).trained(1, {"ttrl": TTRL, "learners": learners, "time_this_iter_s": 2.0})
    assert "sampled success  50%  reward 0.250  KL -  " in capsys.readouterr().out


def test_an_iteration_is_a_line(capsys):
    """With the time it took and the time left."""
    learners = {"default_policy": {"approx_kl": 0.01}}
    Progress(Experiment(iterations=31)).trained(1, {"ttrl": TTRL, "learners": learners, "time_this_iter_s": 2.0})
    assert "iteration   1/31" in (output := capsys.readouterr().out)
    assert "KL 0.0100   2.0 s,  1.0 min left" in output
