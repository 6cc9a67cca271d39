"""The environment on the fake checkout: initial states, limits, observations, chunks and demonstrations."""

from __future__ import annotations

import json
import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import vla_envs  # noqa: F401  (registers the id)
from tests.conformance import assert_same
from vla_envs.errors import (
    DependencyNotInstalled,
    InvalidArgumentError,
    RendererUnavailableError,
    UnknownCameraError,
    UnknownTaskError,
)
from vla_envs.robotwin.env import UNSTABLE_STRIDE
from vla_envs.robotwin.process import UnstableSceneError
from vla_envs.robotwin.tasks import TASKS

STABLE, UNSTABLE, NEVER_STABLE = 100_001, 100_005, 109_999
"""Seeds of the fake: a scene at rest, one that is not, and one that no further seed replaces."""
FIRST = {"init_state_id": 0}


def targets(env, *first):
    """Targets that are all zero but the first."""
    action = np.zeros(env.action_space.shape, np.float32)
    action[: len(first)] = first
    return action


class TestArguments:
    def test_unknown_task(self, fake_root, make_env):
        with pytest.raises(
            UnknownTaskError, match=r"`task`.* 'adjust_bottle', .*'turn_switch', actually: 'stack_cups'"
        ):
            make_env(task="stack_cups")

    @pytest.mark.parametrize(
        ("name", "valid"),
        [
            ("shader", "'auto', 'default', 'minimal', 'rt'"),
            ("chunk", "'sequential', 'spline'"),
            ("instructions", "'unseen', 'seen'"),
            ("step_limit", "'upstream', 'simplevla_rl'"),
        ],
    )
    def test_choices(self, make_env, name, valid):
        with pytest.raises(InvalidArgumentError, match=f"`{name}` .*{valid}, actually: 'other'"):
            make_env(**{name: "other"})

    @pytest.mark.parametrize("timeout", [0, -1.0, float("inf"), float("nan")])
    def test_timeout(self, make_env, timeout):
        with pytest.raises(InvalidArgumentError, match=f"`timeout` to be a finite number above 0, actually: {timeout}"):
            make_env(timeout=timeout)

    def test_camera_that_the_configuration_does_not_collect(self, make_env):
        with pytest.raises(UnknownCameraError, match="which are head_camera, actually also: right_camera"):
            make_env(task_config="head_only", cameras=("head", "right_wrist"))

    def test_no_device(self, make_env, monkeypatch):
        monkeypatch.setenv("VK_ICD_FILENAMES", "no_device.json")
        with pytest.raises(RendererUnavailableError, match="Vulkan"):
            make_env()

    def test_missing_packages(self, make_env, write_interpreter):
        write_interpreter(without=("sapien",))
        with pytest.raises(DependencyNotInstalled, match="needs sapien,"):
            make_env()

    def test_several_tasks(self, make_env):
        """One environment switches between them."""
        env = make_env(task=("click_bell", "stack_blocks_two"))
        names = list(TASKS)
        for name in ("click_bell", "stack_blocks_two", "click_bell"):
            _, info = env.reset(options={"task_id": names.index(name)})
            assert info["task_name"] == name


class TestUnstableSeeds:
    def test_another_takes_its_place(self, make_env, write_seeds_file):
        """Always the same, and the info says which."""
        env = make_env(seeds=write_seeds_file([UNSTABLE, STABLE]))
        observation, info = env.reset(options=FIRST)
        assert info["seed"] == UNSTABLE + UNSTABLE_STRIDE
        replaced = make_env(seeds=write_seeds_file([UNSTABLE + UNSTABLE_STRIDE, STABLE]))
        assert_same(replaced.reset(options=FIRST)[0], observation)

    def test_stable_seeds_are_used(self, make_env, write_seeds_file):
        env = make_env(seeds=write_seeds_file([STABLE, UNSTABLE]))
        assert env.reset(options=FIRST)[1]["seed"] == STABLE

    def test_none_is_stable(self, make_env, write_seeds_file):
        """The error says which were tried; other initial states are none the worse."""
        env = make_env(seeds=write_seeds_file([NEVER_STABLE, STABLE]))
        with pytest.raises(UnstableSceneError, match=f"None of 10 scenes of stack_blocks_two, seed {NEVER_STABLE} and"):
            env.reset(options=FIRST)
        with pytest.raises(ResetNeeded):
            env.step(env.action_space.low)
        assert env.reset(options={"init_state_id": 1})[1]["seed"] == STABLE


class TestSplits:
    def test_follow_the_lists_own_lengths(self, make_env, tmp_path):
        for name, seeds in (("train", [100_001, 100_002, 100_004]), ("eval", [100_100_000])):
            content = {"stack_blocks_two": {"success_seeds": seeds}}
            (tmp_path / f"{name}_seeds.json").write_text(json.dumps(content))
        env = make_env(seeds=tmp_path, split="train")
        (task_id,) = env.task_ids
        assert [each.init_state_id for each in env.prompts()] == [0, 1, 2]
        assert env.init_states(task_id, "eval") == range(3, 4)
        _, info = env.reset(options={"init_state_id": 3})
        assert (info["split"], info["seed"], info["seeds"]) == ("eval", 100_100_000, str(tmp_path))

    def test_unchecked_seeds_say_so(self, make_env, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        env = make_env()
        _, info = env.reset(options=FIRST)
        assert (info["seeds"], env.metadata["seeds"]) == ("unchecked", ["unchecked"])


class TestStepLimits:
    @pytest.mark.parametrize(
        ("kwargs", "limit"),
        [({}, 800), ({"step_limit": "simplevla_rl"}, 400), ({"max_episode_steps": 7}, 7)],
        ids=["upstream", "simplevla_rl", "max_episode_steps"],
    )
    def test_of_the_task(self, make_env, kwargs, limit):
        _, info = make_env(**kwargs).reset(seed=0)
        assert info["max_steps"] == limit

    def test_task_without_one(self, make_env):
        with pytest.raises(
            InvalidArgumentError,
            match=r"`step_limit` 'simplevla_rl', which are beat_block_hammer, .*actually also: stack_blocks_three\.",
        ):
            make_env(task=("stack_blocks_two", "stack_blocks_three"), step_limit="simplevla_rl")

    def test_the_checkouts_own_limit_ends_nothing(self, make_env):
        """Its counter stops an episode after 400 actions, whatever the environment's limit says."""
        env = make_env(max_episode_steps=450)
        env.reset(options=FIRST)
        *_, info = env.step_chunk(np.zeros((430, 8)))
        before = env.step(targets(env, 0.2))[0]["state"]
        after = env.step(targets(env, -0.2))[0]["state"]
        assert info["elapsed_steps"] == 430
        assert before[0] == np.float32(0.2)
        assert after[0] == np.float32(-0.2)


class TestObservation:
    def test_keys_and_shapes(self, make_env):
        """Each camera under its key, in its own size."""
        env = make_env(cameras=("head", "left_wrist", "right_wrist"))
        observation, _ = env.reset(options=FIRST)
        shapes = {key: value.shape for key, value in observation.items() if key != "instruction"}
        assert shapes == {
            "image": (24, 32, 3),
            "wrist_image": (16, 20, 3),
            "wrist_image_2": (16, 20, 3),
            "state": (16,),
        }
        assert not np.array_equal(observation["wrist_image"], observation["wrist_image_2"])

    @pytest.mark.parametrize(("camera", "key"), [("head", "image"), ("right_wrist", "wrist_image_2")])
    def test_plain_name_is_one_camera(self, make_env, camera, key):
        """And a picture does not depend on which others are taken."""
        one, _ = make_env(cameras=camera).reset(options=FIRST)
        every, _ = make_env(cameras=("head", "left_wrist", "right_wrist")).reset(options=FIRST)
        assert set(one) == {key, "state", "instruction"}
        np.testing.assert_array_equal(one[key], every[key])

    def test_image_size(self, make_env):
        observation, _ = make_env(image_size=48).reset(options=FIRST)
        assert observation["image"].shape == (48, 48, 3)

    def test_state(self, make_env):
        """Drive targets, then measured positions: per arm its joints and its gripper."""
        env = make_env()
        observation, _ = env.reset(options=FIRST)
        np.testing.assert_allclose(observation["state"], [0, 0, 0, 1] * 4, atol=1e-6)
        goal = np.float32([0.3, 0.2, 0.1, 0.4, -0.3, 0.5, 0.2, 0.9])
        observation, *_ = env.step(goal)
        np.testing.assert_allclose(observation["state"][:8], goal, atol=1e-6)
        np.testing.assert_allclose(observation["state"][8:], goal, atol=0.05)
        assert not np.array_equal(observation["state"][8:], observation["state"][:8])

    def test_two_robots(self, make_env):
        env = make_env(embodiment=("single", "single", 0.6))
        observation, _ = env.reset(options=FIRST)
        assert observation["state"].shape == (16,)
        assert env.metadata["embodiment"] == "single-single-0.6"


class TestInfo:
    def test_keys_of_its_own(self, make_env):
        env = make_env(chunk="spline")
        _, info = env.reset(options=FIRST)
        own = {key: info[key] for key in ("task_name", "seed", "chunk", "shader", "shadows", "valid")}
        assert own == {
            "task_name": "stack_blocks_two",
            "seed": 100_000,
            "chunk": "spline",
            "shader": "default",
            "shadows": False,
            "valid": True,
        }

    def test_final_state(self, make_env):
        """Poses of the two boxes and both grippers; neither table nor robot."""
        env = make_env(max_episode_steps=1)
        env.reset(options=FIRST)
        *_, info = env.step(targets(env))
        boxes = info["final_state"][:-2].reshape(2, 7)
        assert (boxes[:, 0] < 0).tolist() == [True, False]
        np.testing.assert_array_equal(boxes[:, 3:], [[1, 0, 0, 0]] * 2)

    def test_final_state_has_the_joints_of_things(self, make_env):
        env = make_env(task="click_bell", max_episode_steps=1)
        env.reset(options=FIRST)
        *_, info = env.step(targets(env, 3.0))
        assert info["final_state"].tolist() == [0.0, 0.0, 0.0]

    def test_metadata_says_what_made_the_numbers(self, make_env):
        """And is JSON, as a record's."""
        metadata = make_env().metadata
        assert {"versions", "checkout", "stand_ins", "device", "seeds", "embodiment"} <= set(metadata)
        json.dumps(metadata)


class TestShader:
    @pytest.mark.parametrize(
        ("driver", "kwargs", "expected"),
        [
            ("lvp.json", {}, ("default", False)),
            ("gpu.json", {}, ("rt", True)),
            ("lvp.json", {"shader": "rt", "shadows": True}, ("rt", True)),
            ("gpu.json", {"shader": "minimal", "shadows": False}, ("minimal", False)),
        ],
    )
    def test_device_decides_unless_told(self, make_env, monkeypatch, driver, kwargs, expected):
        """Rays and shadows on a GPU, neither on a CPU."""
        monkeypatch.setenv("VK_ICD_FILENAMES", driver)
        env = make_env(**kwargs)
        assert tuple(env.drawing) == expected


class TestInstruction:
    def test_same_prompt_same_sentence(self, make_env):
        """In any environment, whatever ran before."""
        env, other = make_env(), make_env()
        for init_state_id in (3, 1, 3):
            options = {"init_state_id": init_state_id}
            text = env.reset(options=options)[0]["instruction"]
            assert other.reset(options=options)[0]["instruction"] == text

    def test_forms(self, fake_root, make_env):
        """Seen and unseen templates, with the names of the scene's things filled in."""
        templates = json.loads((fake_root / "description" / "task_instruction" / "stack_blocks_two.json").read_text())
        names = {"{A}": "red block", "{B}": "green block", "{b}": "right"}
        for form in ("seen", "unseen"):
            env = make_env(instructions=form)
            texts = {env.reset(options={"init_state_id": each})[0]["instruction"] for each in range(12)}
            sentences = set(templates[form])
            for name, value in names.items():
                sentences = {each.replace(name, value) for each in sentences}
            assert len(texts) > 1
            assert texts <= sentences

    def test_form_changes_nothing_else(self, make_env):
        """The scene is the seed's."""
        seen, unseen = (make_env(instructions=each).reset(options=FIRST)[0] for each in ("seen", "unseen"))
        np.testing.assert_array_equal(seen["image"], unseen["image"])


class TestRender:
    def test_head_camera(self, make_env):
        env = make_env(render_mode="rgb_array")
        observation, _ = env.reset(options=FIRST)
        np.testing.assert_array_equal(env.render(), observation["image"])

    def test_head_camera_that_is_not_observed(self, make_env):
        """It is drawn besides, and the observations stay what they were."""
        options, head = {"init_state_id": 1}, make_env()
        env = make_env(cameras="left_wrist", render_mode="rgb_array")
        expected, _ = env.reset(options=options)
        np.testing.assert_array_equal(env.render(), head.reset(options=options)[0]["image"])
        step = env.step(targets(env, 0.3))[0]
        np.testing.assert_array_equal(env.render(), head.step(targets(env, 0.3))[0]["image"])
        assert_same(env.reset(options=options)[0], expected)
        assert_same(env.step(targets(env, 0.3))[0], step)

    def test_before_the_first_reset(self, make_env):
        with pytest.raises(ResetNeeded):
            make_env(render_mode="rgb_array").render()

    def test_without_a_render_mode(self, make_env):
        env = make_env()
        env.reset(options=FIRST)
        assert env.render() is None

    def test_configuration_without_a_head_camera(self, make_env):
        """It is refused at once, not when somebody looks."""
        with pytest.raises(UnknownCameraError, match="head_camera"):
            make_env(task_config="wrists_only", cameras="left_wrist", render_mode="rgb_array")


class TestChunks:
    def test_spline_and_sequence_end_at_the_same_targets(self, make_env):
        """On different ways."""
        chunk = np.stack([np.full(8, value, np.float32) for value in (0.1, 0.4, 0.2)])
        seen = {}
        for mode in ("sequential", "spline"):
            env = make_env(chunk=mode)
            env.reset(options=FIRST)
            seen[mode], _, _, _, info = env.step_chunk(chunk)
            assert info["executed_actions"] == info["elapsed_steps"] == 3
        np.testing.assert_array_equal(seen["spline"]["state"][:8], seen["sequential"]["state"][:8])
        assert not np.array_equal(seen["spline"]["state"][8:], seen["sequential"]["state"][8:])

    @pytest.mark.parametrize("mode", ["sequential", "spline"])
    def test_success_ends_the_chunk(self, make_env, mode):
        """The actions that did not run are not counted."""
        env = make_env(task="click_bell", chunk=mode)
        env.reset(options=FIRST)
        bell = env.demonstrate().actions[-1]
        env.reset(options=FIRST)
        _, reward, terminated, truncated, info = env.step_chunk(np.repeat(bell[None], 6, 0) + np.eye(6, 8) * 0.01)
        assert (reward, terminated, truncated) == (1.0, True, False)
        assert info["success"]
        assert 1 <= info["executed_actions"] == info["elapsed_steps"] < 6
        assert "final_state" in info


class TestDemonstration:
    def test_ends_the_episode(self, make_env):
        env = make_env()
        _, info = env.reset(options=FIRST)
        demonstration = env.demonstrate()
        assert demonstration.success
        assert demonstration.prompt == (info["task_id"], info["init_state_id"])
        assert demonstration.seed == info["seed"]
        with pytest.raises(ResetNeeded):
            env.step(env.action_space.low)

    def test_before_the_first_reset(self, make_env):
        with pytest.raises(ResetNeeded):
            make_env().demonstrate()

    def test_its_actions_solve_the_task(self, make_env):
        """Chunk by chunk, from the targets that the episode starts with."""
        env = make_env(chunk="spline")
        observation, _ = env.reset(options=FIRST)
        actions = env.demonstrate().actions
        assert actions.shape[1:] == env.action_space.shape
        np.testing.assert_array_equal(actions[0], observation["state"][:8])
        assert (np.diff(actions, axis=0) != 0).any(1).all()
        env.reset(options=FIRST)
        for start in range(0, len(actions), 8):
            *_, terminated, _, info = env.step_chunk(actions[start : start + 8])
            if terminated:
                break
        assert info["success"]

    def test_of_an_ended_episode(self, make_env):
        """There is nothing to solve."""
        env = make_env(max_episode_steps=1)
        env.reset(options=FIRST)
        env.step(env.action_space.low)
        with pytest.raises(ResetNeeded, match="demonstrate"):
            env.demonstrate()

    def test_next_episode_is_as_without(self, make_env):
        env = make_env()
        env.reset(options=FIRST)
        env.demonstrate()
        assert_same(env.reset(options=FIRST)[0], make_env().reset(options=FIRST)[0])

    def test_why_unsolved(self, make_env):
        """No scene at rest, a scene that raises, an expert without a plan; None where it is solved."""
        env = make_env()
        (task_id,) = env.task_ids
        assert env.why_unsolved(task_id, STABLE) is None
        for seed, reason in ((UNSTABLE, "rest|unstable|moves"), (118_888, "has a bug"), (105_555, "does not solve")):
            assert re.search(reason, env.why_unsolved(task_id, seed))
        with pytest.raises(ResetNeeded):
            env.step(env.action_space.low)


def test_spec_is_json(fake_root):
    """What ``gym.make`` builds can be built again from its spec."""
    env = gym.make("VLA-RoboTwin-v0", root=str(fake_root), seeds=None)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.metadata == env.unwrapped.metadata
    env.close()
    again.close()
