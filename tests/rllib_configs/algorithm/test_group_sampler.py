"""Groups that are sampled by processes, some of which die or hang."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.rllib_configs.setups import reach_config, starts
from tests.rllib_configs.unlucky import ENV_ID, add_faults
from vla_envs.errors import InvalidArgumentError, WorkerError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


def build(runners, folder, **options):
    """Each runner samples two groups at a time."""
    config = reach_config(adv_estimator="gae", env_config={"faults": str(folder)})
    return config.environment(ENV_ID).env_runners(num_env_runners=runners, **options).build_algo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where faults are put for the processes of ``pair``."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def pair(folder):
    """Two runners."""
    algorithm = build(2, folder)
    yield algorithm
    algorithm.stop()


def sample(sampler, number):
    """The first groups of a run, at temperature 1."""
    return sampler.sample(starts(number), temperatures=[1.0] * 4)


def summary(groups):
    return [(group.start.group_id, group.prompt, group.invalid, group.metrics) for group in groups]


@pytest.fixture(scope="module")
def undisturbed(folder, pair):
    """What one process samples with the same weights."""
    algorithm = build(0, folder)
    algorithm.load_training_state(pair.training_state())
    yield summary(sample(algorithm.sampler, 6))
    algorithm.stop()


@pytest.fixture
def sampler(pair):
    """That of the two runners, both of them there, which has counted nothing yet."""
    while len(pair.env_runner_group.healthy_env_runner_ids()) < 2:
        pair.restore_env_runners(pair.env_runner_group)
    pair.sampler.counts.clear()
    pair.sampler.take_results()
    return pair.sampler


def test_all_groups_come_back_in_their_order(sampler, undisturbed):
    """Three rounds for two runners, and the same groups as one process samples."""
    assert summary(sample(sampler, 6)) == undisturbed
    assert not sampler.counts
    assert len(sampler.take_results()) == 3


@pytest.mark.parametrize("kind", ["die", "fail", "hang"])
def test_a_runner_that_goes_wrong_costs_nothing_but_time(sampler, folder, undisturbed, monkeypatch, kind):
    """It is replaced, and its groups are sampled again, the same ones."""
    if kind == "hang":
        monkeypatch.setattr(sampler, "timeout_s", 20.0)
    add_faults(folder, 1, kind=kind)
    assert summary(sample(sampler, 6)) == undisturbed
    assert sampler.counts == {"retried_groups": 2}


def test_a_replaced_runner_has_the_weights_of_the_others(sampler, folder, undisturbed):
    """It starts with random ones."""
    add_faults(folder, 2)
    sample(sampler, 4)
    assert summary(sample(sampler, 6)) == undisturbed


def test_a_group_that_kills_every_process_is_lost_and_counted(sampler, folder, undisturbed):
    """After a bounded number of attempts; its neighbors come back."""
    _, prompt, *_ = undisturbed[2]
    add_faults(folder, 3, prompt)
    assert summary(sample(sampler, 6)) == [*undisturbed[:2], *undisturbed[3:]]
    assert sampler.counts == {"retried_groups": 3, "lost_groups": 1}


def test_groups_that_are_compared_are_retried_and_lost_together(sampler, folder, undisturbed, monkeypatch):
    """One alone would be compared with nobody."""
    monkeypatch.setattr(sampler, "together", 2)
    _, prompt, *_ = undisturbed[2]
    add_faults(folder, 3, prompt)
    assert summary(sample(sampler, 6)) == [*undisturbed[:2], *undisturbed[4:]]
    assert sampler.counts == {"retried_groups": 4, "lost_groups": 2}


def test_what_went_wrong_is_said(sampler, folder, caplog):
    """The error itself, which RLlib leaves in the log of a process that is gone."""
    add_faults(folder, 1, kind="fail")
    sample(sampler, 2)
    assert "RuntimeError: The simulator has lost its way." in sampler.last_error
    assert "RuntimeError: The simulator has lost its way." in caplog.text


def test_a_runner_that_always_fails_ends_the_run(folder):
    """With the reason: an iteration without any group would look like training."""
    algorithm = build(1, folder)
    try:
        add_faults(folder, 100, kind="fail")
        with pytest.raises(WorkerError, match=r"4 rounds in a row have failed[\s\S]*lost its way[\s\S]*runners=0"):
            algorithm.training_step()
    finally:
        for fault in folder.glob("any.*"):
            fault.unlink()
        algorithm.stop()


@pytest.fixture
def hold(folder, sampler):
    """One step waits until this file is gone."""
    hold = folder / "hold"
    hold.touch()
    add_faults(folder, 1, kind="wait")
    yield hold
    hold.unlink(missing_ok=True)


def test_the_other_runner_does_not_wait_for_a_slow_one(sampler, hold):
    """It samples all other rounds, and what the slow one brings at last is taken too."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(sample, sampler, 12)
        for _ in range(1200):
            if len(sampler._results) == 5:
                break
            time.sleep(0.1)
        hold.unlink()
        assert len(sampler._results) == 5
        assert len(future.result()) == 12
    assert not sampler.counts


def test_what_no_runner_could_sample_is_said_at_once(pair):
    """As it was raised in the process, and without a second attempt: it would come again.

    The other runner's error is not left for the next call.
    """
    pair.sampler.counts.clear()
    with pytest.raises(InvalidArgumentError, match=r"`temperatures` to be 4 positive numbers, actually: \[nan"):
        pair.sampler.sample(starts(4), temperatures=[float("nan")] * 4)
    assert not pair.sampler.counts
    assert len(sample(pair.sampler, 2)) == 2
