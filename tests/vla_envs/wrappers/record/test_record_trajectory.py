"""What the wrapper records, in either format."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled

from tests.reach_env import ReachEnv
from tests.vla_envs.wrappers.record.conftest import record_reach, solve, tabletop
from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers import ActionChunk, StackObservations, TokenizeInstruction
from vla_envs.wrappers.record import RecordTrajectory, read_episode


def test_a_row_is_an_observation_and_the_action_that_answered_it(tmp_path, format):
    """Bit for bit, images too."""
    rows = solve(RecordTrajectory(tabletop(), tmp_path, format))
    episode = read_episode(tmp_path)
    assert len(episode) == len(rows)
    for row, (observation, plan) in enumerate(rows):
        for key in ("image", "wrist_image", "state"):
            np.testing.assert_array_equal(episode.observations[key][row], observation[key])
        np.testing.assert_array_equal(episode.executed_actions(row), plan)


def test_a_chunk_is_one_row_with_the_actions_that_ran(tmp_path, format):
    """The last chunk is shorter: what did not run is not among them."""
    rows = solve(RecordTrajectory(tabletop(chunk_size=4), tmp_path, format))
    episode = read_episode(tmp_path)
    assert episode.actions.shape == (len(rows), 4, 7)
    for row, (_, plan) in enumerate(rows):
        np.testing.assert_array_equal(episode.executed_actions(row), plan)


def test_inside_a_chunk_every_control_step_is_a_row(tmp_path):
    """The recorder sees single steps and their observations."""
    env = ActionChunk(RecordTrajectory(tabletop(), tmp_path), 4)
    rows = solve(env)
    assert len(read_episode(tmp_path)) == sum(len(plan) for _, plan in rows)


def test_what_replays_an_episode_is_recorded(tmp_path, format):
    """Prompt, seed, versions, instruction and how it ended."""
    solve(RecordTrajectory(tabletop(), tmp_path, format), task_id=2, init_state_id=9, seed=5)
    origin = read_episode(tmp_path).origin
    assert (origin.env_id, origin.suite, origin.task_id, origin.init_state_id) == ("VLA-Tabletop-v0", "tabletop", 2, 9)
    assert (origin.seed, origin.success, origin.terminated, origin.truncated) == (5, True, True, False)
    assert origin.env_kwargs["image_size"] == 16
    assert origin.metadata["versions"]["numpy"] == np.__version__
    assert origin.instruction == gym.make("VLA-Tabletop-v0").unwrapped.tasks[2]


def test_actions_are_recorded_as_they_ran(tmp_path):
    """Cast to the space's dtype before they run, and within its bounds."""
    env = RecordTrajectory(gym.make("VLA-Reach-v0", max_episode_steps=1), tmp_path)
    env.reset(seed=0)
    env.step(np.array([5.0, *[-1 / 3] * 6]))
    np.testing.assert_array_equal(read_episode(tmp_path).actions[0], np.array([1.0, *[-1 / 3] * 6], np.float32))


def test_the_episode_passes_through_unchanged(tmp_path):
    """Recording shows the policy what it would have seen."""
    recorded, bare = solve(RecordTrajectory(tabletop(), tmp_path)), solve(tabletop())
    for (observation, _), (expected, _) in zip(recorded, bare, strict=True):
        assert observation["instruction"] == expected["instruction"]
        np.testing.assert_array_equal(observation["image"], expected["image"])


def test_an_episode_that_is_left_is_dropped(tmp_path):
    """Only whole episodes are in the folder."""
    env = RecordTrajectory(tabletop(), tmp_path)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    solve(env, init_state_id=3)
    assert read_episode(tmp_path, 0).origin.init_state_id == 3
    with pytest.raises(InvalidArgumentError, match="from 0 to 0"):
        read_episode(tmp_path, 1)


def test_a_later_run_adds_to_the_folder(tmp_path, format):
    """In the order of recording."""
    solve(RecordTrajectory(tabletop(), tmp_path, format), init_state_id=1)
    solve(RecordTrajectory(tabletop(), tmp_path, format), init_state_id=2)
    assert [read_episode(tmp_path, index).origin.init_state_id for index in (0, 1)] == [1, 2]


def test_recorders_share_a_folder(tmp_path):
    """As the environments of a group do: their episodes run at the same time."""
    envs = [RecordTrajectory(gym.make("VLA-Reach-v0"), tmp_path) for _ in range(2)]
    for init_state_id, env in enumerate(envs):
        env.reset(options={"task_id": 0, "init_state_id": init_state_id})
    for _ in range(12):
        for env in envs:
            env.step(np.zeros(7, np.float32))
    assert [read_episode(tmp_path, index).origin.init_state_id for index in (0, 1)] == [0, 1]


def test_other_numbers_of_an_observation_are_recorded(tmp_path, format):
    """Whatever wrappers inside add; the instruction is known without them."""
    env = TokenizeInstruction(gym.make("VLA-Reach-v0", max_episode_steps=2), 5)
    env = RecordTrajectory(env, tmp_path, format)
    observation, info = env.reset(options={"task_id": 1, "init_state_id": 0})
    for _ in range(2):
        env.step(np.zeros(7, np.float32))
    episode = read_episode(tmp_path)
    np.testing.assert_array_equal(episode.observations["instruction_tokens"][0], observation["instruction_tokens"])
    assert episode.origin.instruction == info["task"]


def test_it_can_be_rebuilt_from_its_spec(tmp_path):
    """The constructor arguments are recorded."""
    env = RecordTrajectory(tabletop(), tmp_path, "hdf5")
    assert gym.make(env.spec).get_wrapper_attr("folder") == tmp_path


class TestRefused:
    """At construction, before an episode is lost."""

    def test_unknown_format(self, tmp_path):
        with pytest.raises(InvalidArgumentError, match="'lerobot', 'hdf5', actually: 'rlds'"):
            RecordTrajectory(tabletop(), tmp_path, "rlds")

    def test_an_environment_that_cannot_be_made_again(self, tmp_path):
        with pytest.raises(InvalidArgumentError, match=r"gymnasium\.make"):
            RecordTrajectory(ReachEnv(), tmp_path)

    def test_arguments_that_no_file_holds(self, tmp_path):
        env = gym.make("VLA-Reach-v0")
        env.unwrapped.spec.kwargs["task_id"] = {1, 2}
        with pytest.raises(InvalidArgumentError, match=r"JSON, actually: \{1, 2\}"):
            RecordTrajectory(env, tmp_path)

    def test_actions_of_another_kind(self, tmp_path):
        env = gym.wrappers.TransformAction(tabletop(), lambda action: np.zeros(7), gym.spaces.Discrete(3))
        with pytest.raises(InvalidArgumentError, match=r"outside RecordTrajectory"):
            RecordTrajectory(env, tmp_path)

    def test_observations_of_another_kind(self, tmp_path):
        with pytest.raises(InvalidArgumentError, match="Dict"):
            RecordTrajectory(gym.wrappers.FlattenObservation(gym.make("MountainCarContinuous-v0")), tmp_path)

    def test_stacked_observations(self, tmp_path):
        env = StackObservations(tabletop(), 2)
        with pytest.raises(InvalidArgumentError, match=r"stack observations belong outside"):
            RecordTrajectory(env, tmp_path)

    def test_episodes_of_another_kind(self, tmp_path, format):
        record_reach(tmp_path, format)
        env = gym.wrappers.FilterObservation(gym.make("VLA-Reach-v0", max_episode_steps=1, task_id=0), ["image"])
        env = RecordTrajectory(env, tmp_path, format)
        env.reset(options={"init_state_id": 0})
        with pytest.raises(InvalidArgumentError, match="folder of their own"):
            env.step(np.zeros(7, np.float32))
        assert len(read_episode(tmp_path, 0)) == 12

    def test_a_missing_package(self, tmp_path, format, monkeypatch):
        module = {"lerobot": "pyarrow", "hdf5": "h5py"}[format]
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(DependencyNotInstalled, match=r"pip install 'vla-envs\[record\]'"):
            RecordTrajectory(tabletop(), tmp_path, format)


def test_a_folder_that_cannot_be_written_is_named_before_the_first_episode(tmp_path):
    """Not when it ends."""
    (tmp_path / "note").touch()
    with pytest.raises(InvalidArgumentError, match="note is no directory"):
        RecordTrajectory(gym.make("VLA-Reach-v0"), tmp_path / "note" / "episodes")
