"""What the simulators do when their camera or their gripper is to be elsewhere."""

import numpy as np
import pytest

from tests.conformance import assert_same
from vla_envs.camera import CameraOffset
from vla_envs.errors import InvalidArgumentError
from vla_envs.libero.env import LiberoEnv
from vla_envs.tabletop.env import TabletopEnv

START = {"task_id": 1, "init_state_id": 2}
ELSEWHERE = CameraOffset(azimuth=0.2, elevation=0.1, distance=1.1, field_of_view=0.95)
OFFSET = np.array([0.03, -0.04, 0.02])


def make_tabletop():
    return TabletopEnv(image_size=64, cameras=("agentview", "wrist"), render_mode="rgb_array")


def make_libero():
    return LiberoEnv("libero_goal", None, image_size=64, cameras=("agentview", "wrist"), render_mode="rgb_array")


@pytest.fixture(
    params=[make_tabletop, pytest.param(make_libero, marks=[pytest.mark.libero, pytest.mark.slow])],
    ids=["tabletop", "libero"],
)
def make(request):
    if request.param is make_libero:
        request.getfixturevalue("libero_assets")
    return request.param


def test_a_moved_camera_changes_its_image_alone(make):
    """The wrist camera and the state stay, in every step; the next episode is as before."""
    env, plain = make(), make()
    expected, _ = plain.reset(options=START)
    moved, _ = env.reset(options={**START, "camera_offset": ELSEWHERE})
    for _ in range(2):
        assert np.abs(moved["image"].astype(int) - expected["image"]).mean() > 3
        np.testing.assert_array_equal(moved["wrist_image"], expected["wrist_image"])
        np.testing.assert_array_equal(moved["state"], expected["state"])
        expected, moved = (each.step(np.full(7, 0.2))[0] for each in (plain, env))
    assert_same(env.reset(options=START)[0], plain.reset(options=START)[0])


def test_the_same_offset_shows_the_same(make):
    """Whatever was drawn before."""
    env = make()
    options = {**START, "camera_offset": ELSEWHERE}
    first, _ = env.reset(options=options)
    env.reset(options={**START, "camera_offset": CameraOffset(azimuth=-0.1)})
    assert_same(env.reset(options=options)[0], first)


def test_no_offset_is_no_change(make):
    """To the last bit."""
    env = make()
    expected, _ = env.reset(options=START)
    assert_same(
        env.reset(options={**START, "camera_offset": CameraOffset(), "gripper_offset": np.zeros(3)})[0], expected
    )


def test_people_see_what_the_camera_sees(make):
    """``render`` follows the camera."""
    env = make()
    env.reset(options=START)
    before = env.render()
    env.reset(options={**START, "camera_offset": ELSEWHERE})
    assert not np.array_equal(env.render(), before)


def test_the_gripper_starts_where_it_is_sent(make):
    """Within 2 mm where nothing is in its way; no step is counted and no object moves."""
    env, plain = make(), make()
    expected, _ = plain.reset(options=START)
    target = expected["state"][:3] + OFFSET
    moved, info = env.reset(options={**START, "gripper_offset": OFFSET})
    target[2] = min(target[2], 0.25) if make is make_tabletop else target[2]  # the tabletop's ceiling
    np.testing.assert_allclose(moved["state"][:3], target, atol=0.002)
    assert info["elapsed_steps"] == 0
    np.testing.assert_allclose(env._final_state(), plain._final_state(), atol=0.002)
    assert_same(env.reset(options={**START, "gripper_offset": OFFSET})[0], moved)


@pytest.mark.parametrize("value", [(0.1, 0.0), (0.1, np.inf, 0.0)])
def test_what_is_no_displacement_is_refused(value):
    """The error names the three numbers."""
    with pytest.raises(InvalidArgumentError, match="finite numbers"):
        TabletopEnv().reset(options={"gripper_offset": value})
