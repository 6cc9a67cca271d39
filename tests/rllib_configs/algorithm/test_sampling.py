"""Groups that are dealt out to processes, some of which die or hang."""

import pytest
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample

from rllib_configs.algorithm.starts import Starts
from tests.rllib_configs.setups import reach_config
from tests.rllib_configs.unlucky import ENV_ID, add_faults

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


def build(runners, folder, **options):
    """Each runner samples two groups at a time."""
    config = reach_config(num_envs=8, group_size=4, adv_estimator="gae", env_config={"faults": str(folder)})
    return config.environment(ENV_ID).env_runners(num_env_runners=runners, **options).build_algo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where faults are put for the processes of ``pair``."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def pair(folder):
    """Two runners; a round may take 30 s."""
    algorithm = build(2, folder, sample_timeout_s=30.0)
    yield algorithm
    algorithm.stop()


def starts(number):
    drawing = Starts(7)
    return [drawing.draw() for _ in range(number)]


def summary(groups):
    return [(group.start.group_id, group.prompt, group.invalid, group.metrics) for group in groups]


@pytest.fixture(scope="module")
def undisturbed(folder, pair):
    """What one process samples with the same weights."""
    algorithm = build(0, folder)
    algorithm.load_training_state(pair.training_state())
    yield summary(algorithm.dealer.sample(starts(6), 0.0))
    algorithm.stop()


@pytest.fixture
def dealer(pair):
    """That of the two runners, both of them there, which has counted nothing yet."""
    while len(pair.env_runner_group.healthy_env_runner_ids()) < 2:
        pair.restore_env_runners(pair.env_runner_group)
    pair.dealer.counts.clear()
    pair.dealer.take_results()
    return pair.dealer


def test_all_groups_come_back_in_their_order(dealer, undisturbed):
    """Three rounds for two runners, and the same groups as one process samples."""
    assert summary(dealer.sample(starts(6), 0.0)) == undisturbed
    assert not dealer.counts
    assert len(dealer.take_results()) == 3


@pytest.mark.parametrize("kind", ["die", "fail", "hang"])
def test_a_runner_that_goes_wrong_costs_nothing_but_time(dealer, folder, undisturbed, kind):
    """It is replaced, and its groups are sampled again, the same ones."""
    add_faults(folder, 1, kind=kind)
    assert summary(dealer.sample(starts(6), 0.0)) == undisturbed
    assert dealer.counts == {"dealt_again_groups": 2}


def test_a_replaced_runner_has_the_weights_of_the_others(dealer, folder, undisturbed):
    """It starts with random ones."""
    add_faults(folder, 2)
    dealer.sample(starts(4), 0.0)
    assert summary(dealer.sample(starts(6), 0.0)) == undisturbed


def test_groups_that_kill_every_process_are_lost_and_counted(dealer, folder, undisturbed):
    """After a bounded number of attempts; the others come back."""
    _, prompt, *_ = undisturbed[2]
    add_faults(folder, 3, prompt)
    assert summary(dealer.sample(starts(6), 0.0)) == [*undisturbed[:2], *undisturbed[4:]]
    assert dealer.counts == {"dealt_again_groups": 4, "lost_groups": 2}


def test_rllib_drops_what_a_slow_runner_samples(pair, dealer, folder):
    """Without a word, after a minute by default; here after 3 s, of which the slow one needs 10."""
    add_faults(folder, 1, kind="dawdle")
    results = synchronous_parallel_sample(
        worker_set=pair.env_runner_group, sample_timeout_s=3.0, concat=False, _uses_new_env_runners=True
    )
    assert len(results) == 1
    assert len(dealer.sample(starts(4), 0.0)) == 4


def test_a_slow_runner_takes_fewer_rounds(pair, dealer, folder):
    """The other one does not wait for it."""

    def steps(runner):
        return sum(env.unwrapped.steps_simulated for env in runner.env.unwrapped.members.envs)

    before = pair.env_runner_group.foreach_env_runner(steps)
    add_faults(folder, 1, kind="dawdle")
    assert len(dealer.sample(starts(12), 0.0)) == 12
    after = pair.env_runner_group.foreach_env_runner(steps)
    slow, fast = sorted(b - a for a, b in zip(before, after, strict=True))
    assert 0 < 3 * slow < fast
    assert not dealer.counts
