"""The wrapper, on the tabletop and on an environment that can do less."""

import json

import gymnasium as gym
import numpy as np
import pytest

from tests.conformance import assert_same, digest
from tests.reach_env import ReachEnv
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import GroupVectorEnv
from vla_envs.tabletop import Expert
from vla_envs.wrappers import ActionChunk, PerturbObservations, StackObservations, TokenizeInstruction
from vla_envs.wrappers.perturb.perturb_observations import AXES, Perturbation

START = {"task_id": 0, "init_state_id": 3}
ALL = dict.fromkeys(AXES, True)


def tabletop(**kwargs):
    return gym.make("VLA-Tabletop-v0", task_id=0, image_size=32, cameras=("agentview", "wrist"), **kwargs)


def test_without_severity_nothing_changes():
    """Not a bit of any observation, reward or info."""
    plain, perturbed = tabletop(), PerturbObservations(tabletop(), **ALL, severity=0.0)
    observation, info = plain.reset(seed=3)
    same, recorded = perturbed.reset(seed=3)
    for _ in range(4):
        assert_same(same, observation)
        assert recorded.pop("perturbation")["severity"] == 0.0
        np.testing.assert_equal(recorded, info)
        action = np.full(7, 0.3, np.float32)
        (observation, *results, info), (same, *others, recorded) = plain.step(action), perturbed.step(action)
        assert results == others


@pytest.mark.parametrize(
    ("axis", "changed"),
    [
        ("camera", {"image"}),
        ("light", {"image", "wrist_image"}),
        ("noise", {"image", "wrist_image"}),
        ("instruction", {"instruction"}),
        ("initial_pose", {"image", "wrist_image", "state"}),
    ],
)
def test_an_axis_changes_what_it_is_about(axis, changed):
    """And nothing else; observations stay in their space."""
    env = PerturbObservations(tabletop(), **{axis: True}, severity=1.0)
    plain, _ = tabletop().reset(options=START)
    observation, info = env.reset(seed=1, options=START)
    assert {key for key in plain if digest({key: plain[key]}) != digest({key: observation[key]})} == changed
    assert env.observation_space.contains(observation)
    assert set(info["perturbation"]) == {"severity", "seed", axis}
    assert info["task"] == plain["instruction"]


def test_an_episode_can_be_drawn_again():
    """By the seed that its info names, noise of later frames included."""
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 7))
    env = PerturbObservations(tabletop(), **ALL, severity=1.0)
    env.reset(seed=5)
    first, info = env.reset(options=START)
    seen = [first, *(env.step(action)[0] for action in actions)]
    other = PerturbObservations(tabletop(), **ALL, severity=1.0)
    first, again = other.reset(options={**START, "perturbation_seed": info["perturbation"]["seed"]})
    assert again["perturbation"] == info["perturbation"]
    for one, two in zip(seen, [first, *(other.step(action)[0] for action in actions)], strict=True):
        assert_same(one, two)


def test_the_seed_of_the_reset_fixes_this_and_later_episodes():
    """And episodes differ."""
    env = PerturbObservations(tabletop(), light=True)

    def three_episodes():
        return [env.reset(seed=seed)[1]["perturbation"] for seed in (8, None, None)]

    first = three_episodes()
    assert three_episodes() == first
    assert first[0] != first[1] != first[2]


def test_the_prompts_are_those_of_the_bare_environment():
    """Drawing a perturbation does not move the generator of prompts."""
    env, plain = PerturbObservations(ReachEnv(), light=True), ReachEnv()
    for seed in (2, None, None):
        perturbed, bare = env.reset(seed=seed)[1], plain.reset(seed=seed)[1]
        assert (perturbed["task_id"], perturbed["init_state_id"]) == (bare["task_id"], bare["init_state_id"])


def test_noise_differs_between_frames():
    """Of a scene that stands still."""
    env = PerturbObservations(ReachEnv(), noise=True, severity=1.0)
    observation, _ = env.reset(options={"perturbation_seed": next(seed_of_shot_noise())})
    later, *_ = env.step(np.zeros(7))
    assert not np.array_equal(observation["image"], later["image"])


def seed_of_shot_noise():
    return (seed for seed in range(100) if Perturbation.draw(seed, ["noise"], 1.0).noise.kind == "shot")


def test_a_camera_that_the_simulator_cannot_move_is_imitated():
    """And the info says so."""
    env = PerturbObservations(ReachEnv(), camera=True, severity=1.0)
    observation, info = env.reset(seed=0, options=START)
    assert info["perturbation"]["camera"]["by"] == "image"
    assert not np.array_equal(observation["image"], ReachEnv().reset(options=START)[0]["image"])
    moved = PerturbObservations(tabletop(), camera=True).reset(seed=0)[1]
    assert moved["perturbation"]["camera"]["by"] == "simulator"


def test_environments_of_a_group_are_perturbed_alike():
    """The first observation of a group is one, and groups differ."""
    envs = GroupVectorEnv([lambda: PerturbObservations(ActionChunk(tabletop(), 4), **ALL, severity=1.0)] * 6, 3)
    observations, infos = envs.reset(seed=4)
    for group in (slice(0, 3), slice(3, 6)):
        for key in ("image", "wrist_image", "state"):
            assert (observations[key][group] == observations[key][group][:1]).all()
        assert len(set(observations["instruction"][group])) == 1
        assert len(set(infos["perturbation"]["seed"][group])) == 1
    assert infos["perturbation"]["seed"][0] != infos["perturbation"]["seed"][3]
    envs.close()


def test_inside_and_outside_of_a_chunk_are_the_same():
    """The noise of a frame does not depend on the frames that a chunk leaves out."""
    inside = ActionChunk(PerturbObservations(tabletop(), **ALL, severity=1.0), 3)
    outside = PerturbObservations(ActionChunk(tabletop(), 3), **ALL, severity=1.0)
    one, other = inside.reset(seed=6)[0], outside.reset(seed=6)[0]
    for _ in range(2):
        assert_same(one, other)
        one, other = (env.step(np.full((3, 7), 0.4, np.float32))[0] for env in (inside, outside))


def test_a_moved_start_is_not_counted():
    """The step limit is that of the task, and the arm is where it was sent."""
    plain, _ = tabletop().reset(options=START)
    env = PerturbObservations(tabletop(), initial_pose=True, severity=1.0)
    observation, info = env.reset(seed=2, options=START)
    assert (info["elapsed_steps"], info["max_steps"], info["success"]) == (0, 80, False)
    x, y, _ = info["perturbation"]["initial_pose"].values()
    np.testing.assert_allclose(observation["state"][:2] - plain["state"][:2], (x, y), atol=1e-6)


def test_the_expert_still_solves_what_is_perturbed():
    """Success is the task's own."""
    env = PerturbObservations(tabletop(), **ALL, severity=1.0)
    env.reset(seed=0, options=START)
    expert, terminated = Expert(env.unwrapped), False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(expert.action())
        assert not truncated
    assert (reward, info["success"], info["task_reward"]) == (1.0, True, 1.0)


def test_it_can_be_rebuilt_from_its_spec():
    """The constructor arguments are recorded."""
    env = PerturbObservations(tabletop(), noise=True, light=True, severity=0.8)
    rebuilt = gym.make(env.spec)
    assert_same(rebuilt.reset(seed=1)[0], env.reset(seed=1)[0])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: PerturbObservations(ReachEnv()), "camera, light, noise, instruction, initial_pose"),
        (lambda: PerturbObservations(ReachEnv(), light=True, severity=1.5), "from 0 to 1, actually: 1.5"),
        (lambda: PerturbObservations(ReachEnv(), initial_pose=True), "`gripper_offset` for `initial_pose`"),
        (lambda: PerturbObservations(TokenizeInstruction(ReachEnv()), instruction=True), "for `instruction`"),
        (lambda: PerturbObservations(gym.make("CartPole-v1"), light=True), "Dict"),
    ],
)
def test_bad_constructions_are_refused(make, match):
    """Nothing is perturbed by half."""
    with pytest.raises(InvalidArgumentError, match=match):
        make()


def test_another_one_inside_is_refused():
    """The info could name only one of both."""

    class MyPerturbations(PerturbObservations):
        pass

    inner = MyPerturbations(ReachEnv(), light=True)
    with pytest.raises(InvalidArgumentError, match=r"outside MyPerturbations: .* switch all axes on in one"):
        PerturbObservations(ActionChunk(inner, 2), noise=True)


def test_stacked_images_are_refused():
    """Rather than perturbing those alone that are not stacked; words do not matter to them."""
    stacked = StackObservations(tabletop(), 2, keys=["image"])
    with pytest.raises(InvalidArgumentError, match=r"`image` with shape \(2, 32, 32, 3\)"):
        PerturbObservations(stacked, light=True)
    PerturbObservations(stacked, instruction=True)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "first"])
def test_a_bad_perturbation_seed_is_refused(seed):
    """The error names it."""
    with pytest.raises(InvalidArgumentError, match="perturbation_seed"):
        PerturbObservations(ReachEnv(), light=True).reset(options={"perturbation_seed": seed})


class TestPerturbation:
    """What is drawn for an episode."""

    def test_without_severity_nothing_is_drawn(self):
        """Rather than something that is nearly nothing."""
        assert Perturbation.draw(0, AXES, 0.0) == Perturbation()

    @pytest.mark.parametrize("axis", AXES)
    def test_an_axis_draws_the_same_alone(self, axis):
        """So that an ablation perturbs as the whole did."""
        alone, together = Perturbation.draw(7, [axis], 1.0), Perturbation.draw(7, AXES, 1.0)
        assert getattr(alone, axis) == getattr(together, axis)
        assert list(alone.record()) == [axis]

    def test_seeds_differ(self):
        """On every axis."""
        one, other = (Perturbation.draw(seed, AXES, 1.0).record() for seed in (1, 2))
        assert all(one[axis] != other[axis] for axis in AXES)

    def test_the_record_can_be_written_as_json(self):
        """Plain numbers and names."""
        record = Perturbation.draw(3, AXES, 0.7).record()
        assert json.loads(json.dumps(record)) == record

    def test_noise_comes_after_the_light(self):
        """The sensor sees what is lit: a black scene stays black in shot noise, however bright the light."""
        perturbation = Perturbation.draw(4, ["light", "noise"], 1.0)
        assert perturbation.noise is not None
        assert perturbation.light is not None
        image = np.full((16, 16, 3), 90, np.uint8)
        seen = perturbation.on_image(image, np.random.default_rng(0))
        lit = perturbation.light.apply(image)
        np.testing.assert_array_equal(seen, perturbation.noise.apply(lit, np.random.default_rng(0)))
