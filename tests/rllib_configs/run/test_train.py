"""A run from demonstrations to the video, on a shrunken tabletop, and the updates in its middle."""

import csv
import errno
import json
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import ray
import torch

import policies.configured
import vla_envs
from policies.registry import load_policy
from policies.tiny import TinyPolicy
from rllib_configs import VLAPPO
from rllib_configs.algorithm import learner
from rllib_configs.algorithm.loss import ppo_loss
from rllib_configs.config import (
    PPO,
    TTRL,
    BehaviorCloning,
    EnvironmentConfig,
    Evaluation,
    Experiment,
    Resources,
    TinyPolicyConfig,
)
from rllib_configs.run.checkpoints import Checkpoints
from rllib_configs.run.cloning import load_initial_policy
from rllib_configs.run.evaluation import Episode, held_out_prompts
from rllib_configs.run.interruption import Stopped
from rllib_configs.run.logging import MetricsLog
from rllib_configs.run.report import plot_curve
from rllib_configs.run.train import Run, _advice, load_experiment, resume, train
from tests.rllib_configs.seeker import ENV_ID
from vla_envs.errors import InvalidArgumentError, NonFiniteError, VLAEnvsError, WorkerError
from vla_envs.files import claimed

pytestmark = pytest.mark.slow

SHRUNKEN = Experiment(
    name="small",
    iterations=3,
    environment=EnvironmentConfig(task_id=(0, 1), image_size=16, chunk_size=4, max_episode_steps=8),
    bc=BehaviorCloning(demonstrations_per_task=1, steps=3),
    ttrl=TTRL(n_votes_per_prompt=2),
    ppo=PPO(groups_per_iteration=2),
    resources=Resources(num_env_runners=0, groups_per_env_runner=2),
    evaluation=Evaluation(num_episodes=5, num_envs=2, interval=2, curve_episodes=3, videos=2),
)
"""Eight control steps solve nothing, but everything runs."""

OLD_CONFIG = Path(__file__).with_name("config_0_1_0.json")
"""The file of a run of ``tabletop_ttrl`` as version 0.1.0 wrote it."""


@pytest.fixture(scope="module")
def directory(local_ray, tmp_path_factory):
    """What a finished run has left."""
    return train(SHRUNKEN, tmp_path_factory.mktemp("runs"))


def policy_in(folder):
    return load_policy("tiny", path=folder)


def rows_of(directory):
    with (directory / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_promised_file_is_there(directory):
    """And nothing half written beside them."""
    names = {path.name for path in directory.iterdir()}
    (events,) = {name for name in names if name.startswith("events.out.tfevents")}
    promised = {"config.json", "environment.json", "policy_before", "policy", "best", "checkpoints"}
    promised |= {"progress.csv", "success.md", "episodes.json"}
    promised.add(".lock")  # who works on the run
    assert names == promised | {events, "learning_curve.png", "before_after.mp4", "report.html", "model_card.md"}


def test_the_run_is_named_after_its_experiment(directory):
    """It was the first of its name."""
    assert directory.name == "small"


def test_the_configuration_can_be_read_back(directory):
    """Field by field, with what the policy needs of its environment."""
    assert load_experiment(directory) == SHRUNKEN.resolved()
    assert load_experiment(directory).environment.instruction == "words"


def test_there_is_a_row_per_iteration(directory):
    """With the held-out success at the start, the end and the interval between."""
    rows = rows_of(directory)
    assert [row["iteration"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["eval/success_rate"] for row in rows] == ["0.0", "", "0.0", "0.0"]


def test_the_same_prompts_are_evaluated_before_and_after(directory):
    """Held-out ones, each once, and all in the file."""
    episodes = json.loads((directory / "episodes.json").read_text())
    expected = [tuple(prompt) for prompt in held_out_prompts(SHRUNKEN.environment, "eval", 5)]
    for when in ("before", "after"):
        assert [(each["task_id"], each["init_state_id"]) for each in episodes[when]] == expected
        assert all((each["success"], each["steps"], each["max_steps"]) == (False, 8, 8) for each in episodes[when])


def test_the_table_counts_the_episodes(directory):
    """Of both tasks, and together."""
    rows = (directory / "success.md").read_text().splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["3", "2", "5"]


def test_the_video_has_every_step_and_a_last_second(directory):
    """A first frame, 8 steps and 20 frames to look at the end."""
    with imageio.get_reader(directory / "before_after.mp4") as reader:
        assert reader.count_frames() == 1 + 8 + 20


def test_the_curve_is_that_of_the_run(directory, tmp_path):
    """Pixel for pixel what its last checkpoint knows, with the three evaluations of the interval and the ends."""
    state = Checkpoints(directory, kept=2).newest().state
    assert [point.iteration for point in state.curve] == [0, 2, 3]
    plot_curve(state.sampled, state.curve, "small", tmp_path / "again.png")
    shown, drawn = (imageio.imread(path) for path in (directory / "learning_curve.png", tmp_path / "again.png"))
    np.testing.assert_array_equal(shown, drawn)


def test_both_policies_can_be_loaded(directory):
    """Groups that all fail leave nothing to learn: they are equal here."""
    before, after = (policy_in(directory / name) for name in ("policy_before", "policy"))
    assert all(torch.equal(*pair) for pair in zip(before.parameters(), after.parameters(), strict=True))


def test_an_interrupted_run_leaves_no_half_written_policy(directory, monkeypatch):
    """It has a directory of its own, the initial policy whole, and no trained one."""
    write = policies.configured.write_tensors
    second = directory.with_name("small-2")

    def interrupted(path, tensors):
        scratch = path.parents[1]
        if scratch.parent == second and scratch.name.startswith(".policy."):
            path.write_bytes(b"half of the weights")
            raise KeyboardInterrupt
        write(path, tensors)

    monkeypatch.setattr(policies.configured, "write_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(SHRUNKEN.replace(iterations=1), directory.parent)
    assert not (second / "policy").exists()
    assert not [path for path in second.iterdir() if path.name.startswith(".") and path.name != ".lock"]
    policy_in(second / "policy_before")


def test_a_run_can_go_on_from_a_policy(directory, tmp_path):
    """Which is then not cloned again; without videos there is no video."""
    checkpoint = SHRUNKEN.policy.replace(path=str(directory / "policy"))
    quiet = SHRUNKEN.evaluation.replace(videos=0)
    again = train(SHRUNKEN.replace(policy=checkpoint, evaluation=quiet, iterations=1), tmp_path)
    first, last = policy_in(again / "policy_before"), policy_in(directory / "policy")
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), last.parameters(), strict=True))
    assert not (again / "before_after.mp4").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../outside"},
        {"ttrl": TTRL(n_votes_per_prompt=1)},
        {"ppo": PPO(reference_kl_target=0.1)},
        {"evaluation": Evaluation(num_episodes=101)},
        {"bc": BehaviorCloning(demonstrations_per_task=51)},
        {"environment": EnvironmentConfig(id=ENV_ID)},
        {"environment": EnvironmentConfig(env_kwargs={"suite": "libero_goal"})},
        {"environment": EnvironmentConfig(wrappers=("DiscretizeActions()",))},
        {"environment": EnvironmentConfig(wrappers=("NoisySuccess(p=2)",))},
        {"policy": TinyPolicyConfig(path="nope")},
    ],
)
def test_an_unsound_experiment_fails_before_it_leaves_a_trace(tmp_path, changes):
    """And not after hours of work."""
    root = tmp_path / "runs"
    with pytest.raises(VLAEnvsError):
        train(SHRUNKEN.replace(**changes), root)
    assert list(tmp_path.iterdir()) == []


class TestWrappers:
    """Every wrapper can be used in training; two updates, of which each has something to learn from."""

    LEARNING = SHRUNKEN.replace(
        iterations=2,
        ppo=PPO(groups_per_iteration=2, entropy_coeff=0.01),
        bc=BehaviorCloning(demonstrations_per_task=1, steps=1),
        evaluation=Evaluation(num_episodes=2, num_envs=2, interval=9, curve_episodes=2, videos=1),
    )

    @pytest.mark.usefixtures("local_ray")
    def test_perturbations_are_trained_on(self, tmp_path):
        """Images, words and starts."""
        axes = ["camera", "light", "noise", "instruction", "initial_pose"]
        call = f"PerturbObservations({', '.join(f'{axis}=True' for axis in axes)}, severity=1.0)"
        environment = self.LEARNING.environment.replace(wrappers=(call,))
        run = train(self.LEARNING.replace(environment=environment), tmp_path)
        assert [row["rollout/trained_trajectories"] for row in rows_of(run)[1:]] == ["4.0", "4.0"]
        before, after = (policy_in(run / name) for name in ("policy_before", "policy"))
        assert not all(torch.equal(*pair) for pair in zip(before.parameters(), after.parameters(), strict=True))

    @pytest.mark.usefixtures("local_ray")
    def test_what_wrappers_pay_is_the_reward(self, tmp_path):
        """A failure, as all here, is half a point lost."""
        environment = self.LEARNING.environment.replace(wrappers=("ShapedReward(weights={'steps': 0.5})",))
        ttrl = self.LEARNING.ttrl.replace(reward="env")
        run = train(self.LEARNING.replace(environment=environment, ttrl=ttrl), tmp_path)
        assert [row["ttrl/reward"] for row in rows_of(run)[1:]] == ["-0.5", "-0.5"]


class TestLoadExperiment:
    @pytest.mark.parametrize("text", ["{", '{"iterations": "many"}', '{"bc": 3}', '{"test_time_rl": true}'])
    def test_a_configuration_of_another_version_is_refused(self, tmp_path, text):
        """The error names the file, this version, and how to go on; in one line."""
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InvalidArgumentError) as error:
            load_experiment(tmp_path)
        assert str(error.value).startswith(f"{tmp_path / 'config.json'} is damaged or of another version than this ")
        assert f"vla_envs {vla_envs.__version__}: " in str(error.value)
        assert str(error.value).endswith(f"vla train PRESET --policy.path {tmp_path / 'policy'}")
        assert "\n" not in str(error.value)

    def test_a_run_that_another_process_works_on_is_not_resumed(self, tmp_path):
        """Each would write over what the other writes."""
        (tmp_path / "config.json").write_text(ONE_STEP.to_json())
        with claimed(tmp_path), pytest.raises(InvalidArgumentError, match=r"process .* works on"):
            resume(tmp_path)

    def test_a_run_of_version_0_1_0_is_named(self, tmp_path):
        """Its file is as `vla train` wrote it then."""
        (tmp_path / "config.json").write_bytes(OLD_CONFIG.read_bytes())
        with pytest.raises(
            InvalidArgumentError, match=r"Experiment has no field `environment\.suite`\. .* And \d+ more\."
        ):
            load_experiment(tmp_path)


ONE_STEP = Experiment(
    name="small",
    iterations=3,
    checkpoint_interval=2,
    checkpoints_kept=9,
    environment=EnvironmentConfig(task_id=0, image_size=16, chunk_size=4, max_episode_steps=4),
    bc=BehaviorCloning(demonstrations_per_task=0),
    ttrl=TTRL(n_votes_per_prompt=2),
    ppo=PPO(groups_per_iteration=1),
    resources=Resources(num_env_runners=0, groups_per_env_runner=1),
    evaluation=Evaluation(num_episodes=4, interval=1, curve_episodes=2),
)
"""One timestep per trajectory."""


def episodes(*successes):
    return [Episode("stack", 0, start, success, 4, 4) for start, success in enumerate(successes)]


class Examiner:
    """Finds in one evaluation after the other as many successes as it was told."""

    def __init__(self, *successes):
        self.successes = list(successes)
        self.asked = []

    def __call__(self, policy, num_episodes=None):
        self.asked.append(num_episodes)
        count = self.successes.pop(0)
        return episodes(*(start < count for start in range(num_episodes or 4)))


@pytest.fixture
def trained(local_ray, tmp_path):
    """Trains in a directory of its own and returns the last episodes, given the successes of each evaluation."""

    def train_with(examiner, before=(False,) * 4, **changes):
        experiment = ONE_STEP.replace(**changes).resolved()
        run = Run(experiment, tmp_path, prompts=[])
        load_initial_policy(experiment).save_pretrained(run.policy_before)
        run._evaluate = examiner
        return run._train(episodes(*before), checkpoint=None)[1]

    return train_with


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def state_at(directory, iteration):
    return json.loads((directory / f"checkpoints/iteration_{iteration:06d}/run.json").read_text())


def test_the_last_policy_is_evaluated_once(trained, tmp_path):
    """On every prompt, of which the curve takes its share as at the other points."""
    examiner = Examiner(1, 1, 4)
    after = trained(examiner)
    assert examiner.asked == [2, 2, None]
    assert len(after) == 4
    assert state_at(tmp_path, 3)["curve"] == [[0, 0, 2], [1, 1, 2], [2, 1, 2], [3, 2, 2]]


def test_without_iterations_the_last_policy_is_the_first(trained, tmp_path):
    """Whose episodes are known."""
    examiner = Examiner()
    after = trained(examiner, before=(True, False, False, False), iterations=0)
    assert (examiner.asked, after) == ([], episodes(True, False, False, False))


def test_there_are_checkpoints_at_both_ends_and_at_the_interval(trained, tmp_path):
    """From any of which the run can go on."""
    trained(Examiner(0, 0, 0))
    assert names(tmp_path / "checkpoints") == ["iteration_000000", "iteration_000002", "iteration_000003"]
    assert state_at(tmp_path, 2)["iteration"] == len(state_at(tmp_path, 2)["sampled"]) == 2


def test_the_best_policy_is_the_first_that_did_as_well(trained, tmp_path, monkeypatch):
    """Later ones that do no better change nothing."""
    saved, save = [], TinyPolicy.save_pretrained
    monkeypatch.setattr(TinyPolicy, "save_pretrained", lambda self, path: (saved.append(path.name), save(self, path)))
    trained(Examiner(1, 0, 1))
    assert saved.count("best") == 2


def test_training_stops_when_its_time_is_over(trained, tmp_path, capsys):
    """After a whole iteration, with a checkpoint of it and a line that says so."""
    trained(Examiner(0), time_limit_minutes=0.0)
    printed = " ".join(capsys.readouterr().out.split())
    assert "stopped by the time limit of 0 minutes after 1 of" in printed
    assert "--time-limit-minutes MINUTES" in printed
    assert names(tmp_path / "checkpoints") == ["iteration_000000", "iteration_000001"]
    assert state_at(tmp_path, 1)["minutes"] > 0


def test_a_failed_training_stops_the_algorithm(trained, tmp_path, monkeypatch):
    """Its runners and files are let go of."""
    stopped = []
    monkeypatch.setattr(VLAPPO, "train", lambda self: 1 / 0)
    monkeypatch.setattr(VLAPPO, "stop", lambda self: stopped.append("algorithm"))
    monkeypatch.setattr(MetricsLog, "close", lambda self: stopped.append("log"))
    with pytest.raises(ZeroDivisionError):
        trained(Examiner())
    assert stopped == ["log", "algorithm"]


def test_a_learner_that_dies_ends_the_training_in_one_sentence(trained, tmp_path, monkeypatch):
    """Which names the iteration; the checkpoint before it is there to go on from."""
    train_once = VLAPPO.train

    def die_in_the_second(self):
        if self.iteration == 1:
            ray.kill(self.learner_group._worker_manager.actors()[0])
        return train_once(self)

    monkeypatch.setattr(VLAPPO, "train", die_in_the_second)
    resources = Resources(num_env_runners=0, groups_per_env_runner=1, num_learners=1)
    ppo = PPO(groups_per_iteration=1, entropy_coeff=0.01)
    with pytest.raises(WorkerError, match=r"^A process of Ray failed in iteration 2: [^\n]+\.$"):
        trained(Examiner(0), resources=resources, ppo=ppo, checkpoint_interval=1)
    assert state_at(tmp_path, 1)["iteration"] == 1


def test_a_place_where_no_run_can_be_written_is_named_before_any_work(tmp_path):
    """Here a file has the name of the folder."""
    (tmp_path / "runs").touch()
    with pytest.raises(InvalidArgumentError, match="runs is no directory"):
        train(SHRUNKEN, tmp_path / "runs")


def test_a_home_that_ray_cannot_write_is_named_before_any_work(tmp_path, monkeypatch):
    """As that of an account that has none; Ray would stop after hours of cloning."""
    (tmp_path / "home").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(InvalidArgumentError, match=r"Ray's own files .*home is no directory\. Set HOME"):
        train(SHRUNKEN, tmp_path / "runs")
    assert names(tmp_path) == ["home"]


def test_an_address_without_a_ray_is_named_before_any_work(tmp_path, monkeypatch):
    """And before a directory is made."""
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InvalidArgumentError, match="RAY_ADDRESS"):
        train(SHRUNKEN, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_disk_that_is_full_ends_the_run_in_one_sentence(tmp_path, has_checkpoint):
    """With how to go on, from a checkpoint where there is one."""
    if has_checkpoint:
        (tmp_path / "checkpoints" / "iteration_000000").mkdir(parents=True)
    advice = f"Go on with: vla train --resume {tmp_path}" if has_checkpoint else "Nothing is trained yet: start again."
    with pytest.raises(VLAEnvsError, match=f"No space left on device: 'weights'. {advice}$"), _advice(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "weights")


def test_output_that_nobody_reads_any_more_ends_the_run_as_a_signal_does(tmp_path):
    """As `vla train ... | head -1`."""
    with (
        pytest.raises(Stopped, match=r"^stopped by SIGPIPE\. Nothing is trained yet: start again\.$"),
        _advice(tmp_path),
    ):
        raise BrokenPipeError


def test_training_that_is_not_finite_ends_with_the_last_sound_checkpoint(trained, tmp_path):
    """In one sentence: the iteration, the terms, the checkpoint, and how to start again from its policy."""
    with pytest.raises(NonFiniteError) as error:
        trained(Examiner(), ppo=PPO(groups_per_iteration=1, num_epochs=4, lr=1e30, entropy_coeff=0.01))
    sound = tmp_path / "checkpoints" / "iteration_000000"
    assert str(error.value).startswith("Training ends in iteration 1, because 3 gradient steps in a row were not fin")
    assert "(policy_loss, entropy" in str(error.value)
    assert f"; the last sound checkpoint is {sound}, " in str(error.value)
    assert str(error.value).endswith(f"--policy.path {sound / 'policy'}")
    assert all(each.isfinite().all() for each in policy_in(tmp_path / "best").parameters())
    assert names(tmp_path / "checkpoints") == [sound.name]


def test_a_single_step_that_is_not_finite_is_counted_and_said(trained, tmp_path, monkeypatch, caplog):
    """Training goes on; no checkpoint is made of weights that the last step has put in doubt."""
    true_loss, calls = ppo_loss, []

    def third_fails(*arguments):
        calls.append(None)
        loss = true_loss(*arguments)
        return loss._replace(total=loss.total * (torch.nan if len(calls) == 3 else 1.0))

    monkeypatch.setattr(learner, "ppo_loss", third_fails)
    trained(Examiner(0, 0, 0), checkpoint_interval=1, ppo=PPO(groups_per_iteration=1, num_epochs=1, entropy_coeff=0.01))
    assert [row["policy/nonfinite_steps"] for row in rows_of(tmp_path)[1:]] == ["0.0", "0.0", "1.0"]
    assert "Iteration 3: gradient steps that were not finite (the gradient), and so were not taken: 1" in caplog.text
