"""LIBERO's HDF5 demonstrations, read as LIBERO and robomimic 0.2.0 read them."""

import json
import os

import h5py
import numpy as np
import pytest

from tests.vla_envs.wrappers.record.conftest import record_reach, solve, tabletop
from vla_envs.wrappers.record import RecordTrajectory, hdf5, read_episode, replay


@pytest.fixture
def recorded(tmp_path):
    """Two demonstrations of a task: the open file, and the rows of the second."""
    env = RecordTrajectory(tabletop(), tmp_path, "hdf5")
    solve(env, init_state_id=4)
    rows = solve(env, init_state_id=5)
    with h5py.File(tmp_path / "tabletop" / "00_put_the_red_cube_on_the_blue_plate_demo.hdf5") as file:
        yield file, rows


def test_demonstrations_have_libero_s_datasets(recorded):
    """Names, shapes and dtypes; ``dones`` is set in the last row."""
    file, rows = recorded
    demo = file["data/demo_1"]
    assert demo["actions"].shape == (len(rows), 7)
    assert demo["obs/agentview_rgb"].shape == demo["obs/eye_in_hand_rgb"].shape == (len(rows), 16, 16, 3)
    assert demo["obs/ee_states"].shape == (len(rows), 6)
    assert demo["obs/gripper_states"].shape == (len(rows), 2)
    assert demo["dones"].dtype == np.uint8
    assert demo["dones"][()].tolist() == [0] * (len(rows) - 1) + [1]
    assert demo["rewards"][()].tolist() == [0.0] * (len(rows) - 1) + [1.0]


def test_images_are_rotated_as_libero_s_are(recorded):
    """``macros_image_convention`` is OpenGL's; OpenVLA's scripts rotate them upright."""
    file, rows = recorded
    assert file["data"].attrs["macros_image_convention"] == "opengl"
    np.testing.assert_array_equal(file["data/demo_1/obs/agentview_rgb"][3][::-1, ::-1], rows[3][0]["image"])


def test_parts_of_the_state_have_libero_s_names(recorded):
    """Position, axis-angle and fingers."""
    file, rows = recorded
    observations, state = file["data/demo_1/obs"], rows[2][0]["state"]
    np.testing.assert_array_equal(observations["ee_pos"][2], state[:3])
    np.testing.assert_array_equal(observations["ee_ori"][2], state[3:6])
    np.testing.assert_array_equal(observations["gripper_states"][2], state[6:])


def test_attributes_are_those_that_readers_ask_for(recorded):
    """Counts, and JSON for robomimic's ``env_args`` and LIBERO's ``problem_info``."""
    file, rows = recorded
    data = file["data"]
    assert (data.attrs["num_demos"], len(data)) == (2, 2)
    assert data.attrs["total"] == sum(demo.attrs["num_samples"] for demo in data.values())
    assert data["demo_1"].attrs["num_samples"] == len(rows)
    assert json.loads(data.attrs["env_args"])["env_name"] == "VLA-Tabletop-v0"
    language = json.loads(data.attrs["problem_info"])["language_instruction"]
    assert language == "put the red cube on the blue plate"


def test_an_interruption_keeps_the_episodes_so_far(tmp_path, monkeypatch):
    """The copy that the episode was added to never takes the file's place."""
    record_reach(tmp_path, "hdf5", episodes=2)
    episode = read_episode(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            hdf5.add_episode(tmp_path, episode)
    record_reach(tmp_path, "hdf5", episodes=1)
    assert [replay(tmp_path, index).origin.init_state_id for index in range(3)] == [0, 1, 0]


def test_what_a_crash_left_is_not_read(tmp_path):
    """A process that is killed cannot remove its copy."""
    record_reach(tmp_path, "hdf5")
    (tmp_path / "reach" / ".1.00_reach_the_white_square_demo.hdf5").write_bytes(b"half")
    assert len(read_episode(tmp_path)) == 12


def interrupt(source, target):
    """``os.replace``, interrupted."""
    raise KeyboardInterrupt
