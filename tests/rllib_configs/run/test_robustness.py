"""Success under perturbations."""

import pytest

from rllib_configs.config import Sweep
from rllib_configs.run.results import read_results
from rllib_configs.run.robustness import conditions, recorded_sweep, sweep
from rllib_configs.run.subjects import find_subject
from vla_envs.errors import InvalidArgumentError


def test_each_axis_is_measured_at_each_severity():
    """After the unperturbed episodes."""
    asked = Sweep(perturb=("light", "noise"), severities=(0.2, 1.0))
    assert conditions(asked) == [(None, 0), ("light", 0.2), ("light", 1.0), ("noise", 0.2), ("noise", 1.0)]


def test_the_expert_solves_displaced_starts_too(tmp_path):
    """Every condition has the same prompts and a file of its own."""
    output = str(tmp_path / "results.jsonl")
    displaced = Sweep(num_episodes=8, perturb=("initial_pose",), severities=(1.0,), output=output)
    plain, perturbed = sweep(find_subject("expert"), displaced)
    assert plain.pairs == perturbed.pairs == (8, 0, 0, 0)
    assert [each.prompt for each in plain.results] == [each.prompt for each in perturbed.results]
    assert read_results(tmp_path / "results.jsonl") == plain.results
    assert read_results(tmp_path / "results.initial_pose-1.0.jsonl") == perturbed.results
    assert recorded_sweep(tmp_path / "results.jsonl") == [perturbed]
    wrappers = [each.results[0].setup.environment["wrappers"] for each in (plain, perturbed)]
    assert wrappers == [[], ["PerturbObservations(initial_pose=True, severity=1.0)"]]


@pytest.mark.parametrize("actor", ["expert", "random"])
def test_what_an_actor_does_not_observe_is_not_perturbed(actor, tmp_path):
    """It would change nothing; the error comes before any episode."""
    asked = Sweep(perturb=("initial_pose", "light"), output=str(tmp_path / "a.jsonl"))
    with pytest.raises(InvalidArgumentError, match=f"initial_pose with `{actor}`.*actually: light"):
        next(sweep(find_subject(actor), asked))
    assert not list(tmp_path.iterdir())
