"""Open-loop action chunks."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import ClipAction, RecordEpisodeStatistics, RescaleAction, TimeLimit, TransformReward

from tests.reach_env import REACH, ReachEnv
from vla_envs.errors import InvalidActionError, InvalidArgumentError
from vla_envs.group import GroupVectorEnv, VoteConfig
from vla_envs.libero.env import LiberoEnv
from vla_envs.wrappers import (
    ActionChunk,
    ActionHistory,
    DiscretizeActions,
    EfficiencyReward,
    NoisySuccess,
    RecordTrajectory,
    ShapedReward,
    StackObservations,
)
from vla_envs.wrappers.record import replay

START = {"task_id": 0, "init_state_id": 3}
COUNTING = {
    "bare": lambda env: env,
    "TimeLimit": lambda env: TimeLimit(env, 10),
    "RecordEpisodeStatistics": RecordEpisodeStatistics,
    "RewardWrapper": lambda env: TransformReward(env, lambda reward: 2.0 * reward),
    "ActionWrapper": ClipAction,
    "several": lambda env: RecordEpisodeStatistics(ClipAction(TimeLimit(env, 10))),
}
"""Wrappers that no observation concerns."""


def chunk_to_target(env, length):
    """Full steps towards the target, then nothing: the success falls inside the chunk."""
    actions = np.zeros((length, 7), np.float32)
    position = np.zeros(2)
    target = env.unwrapped.targets[0]
    for action in actions:
        action[:2] = np.clip(4 * (target - position), -1, 1)
        position += 0.25 * action[:2]
    return actions


def comparable(info):
    """Without what cannot be alike."""
    info = {key: np.asarray(value).tolist() for key, value in info.items() if key != "executed_actions"}
    return {key: {**value, "t": 0.0} if key == "episode" else value for key, value in info.items()}


@pytest.mark.parametrize("wrap", [lambda env: env, EfficiencyReward], ids=["direct", "looped"])
def test_success_inside_a_chunk_keeps_its_reward_and_ends_it(wrap):
    """Nothing runs after the success, whether the environment or a loop steps."""
    env = ActionChunk(wrap(ReachEnv()), 10)
    env.reset(options=START)
    _, reward, terminated, truncated, info = env.step(chunk_to_target(env, 10))
    needed = int(np.ceil((np.abs(env.unwrapped.targets[0]).max() - REACH) / 0.25 + 1e-9))
    assert (terminated, truncated, info["success"]) == (True, False, True)
    assert info["executed_actions"] == info["elapsed_steps"] == env.unwrapped.steps_simulated == max(needed, 1)
    assert reward > 0.5


def test_truncation_inside_a_chunk():
    """The step limit counts control steps, not chunks."""
    env = ActionChunk(ReachEnv(max_episode_steps=5), 3)
    env.reset(options=START)
    env.step(np.zeros((3, 7)))
    _, reward, terminated, truncated, info = env.step(np.zeros((3, 7)))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["executed_actions"] == 2


class TestDrawing:
    """How many observations are made for a chunk."""

    @pytest.fixture
    def drawn(self, monkeypatch):
        """Gets an item for every observation that is made."""
        made, observe = [], ReachEnv._observe
        monkeypatch.setattr(ReachEnv, "_observe", lambda self: made.append(1) or observe(self))
        return made

    @pytest.mark.parametrize("wrap", COUNTING.values(), ids=COUNTING)
    def test_one_observation_is_made(self, drawn, wrap):
        """That of the end, also where wrappers in between see every step."""
        env = ActionChunk(wrap(ReachEnv()), 4)
        env.reset(options=START)
        drawn.clear()
        observation, *_ = env.step(np.full((4, 7), 0.25))
        assert len(drawn) == 1
        assert observation["state"][0] == 4 * 0.25 * 0.25

    @pytest.mark.parametrize("wrap", COUNTING.values(), ids=COUNTING)
    def test_nothing_else_changes(self, wrap):
        """Beside the same actions one by one, to the end of the episode."""
        actions = np.random.default_rng(0).uniform(-1, 1, (16, 7)).astype(np.float32)
        chunked, single = ActionChunk(wrap(ReachEnv()), 4), wrap(ReachEnv())
        expected, _ = single.reset(options=START)
        seen, _ = chunked.reset(options=START)
        np.testing.assert_equal(seen, expected)
        for chunk in actions.reshape(4, 4, 7):
            for action in chunk:
                *expected, info = single.step(action)
                if expected[2] or expected[3]:
                    break
            *seen, chunk_info = chunked.step(chunk)
            np.testing.assert_equal(seen[0], expected[0])
            assert seen[2:] == expected[2:]
            assert comparable(chunk_info) == comparable(info)
            if seen[2] or seen[3]:
                return

    def test_steps_after_a_chunk_are_drawn(self, drawn):
        """Also where the chunk was refused."""
        env = RecordEpisodeStatistics(ReachEnv())
        env.reset(options=START)
        drawn.clear()
        with pytest.raises(InvalidActionError):
            ActionChunk(env, 2).step(np.full((2, 7), np.nan))
        env.step(np.zeros(7))
        assert len(drawn) == 1

    def test_a_wrapper_that_may_look_at_observations_gets_all(self, drawn):
        """One that stacks them, for example."""
        env = ActionChunk(StackObservations(ReachEnv(), 2), 4)
        env.reset(options=START)
        drawn.clear()
        env.step(np.zeros((4, 7)))
        assert len(drawn) == 4

    @pytest.mark.libero
    @pytest.mark.parametrize("wrap", COUNTING.values(), ids=COUNTING)
    def test_libero_is_drawn_once(self, libero_assets, wrap, monkeypatch):
        """And shows what it shows when it is stepped action by action."""
        actions = np.random.default_rng(0).uniform(-1, 1, (4, 7)).astype(np.float32)
        single = gym.make("VLA-Libero-v0", image_size=32, assets=libero_assets)
        env = ActionChunk(wrap(gym.make("VLA-Libero-v0", image_size=32, assets=libero_assets)), 4)
        for each in (single, env):
            each.reset(options={"init_state_id": 3})
        for action in actions:
            expected, *_ = single.step(action)
        drawn, draw = [], LiberoEnv._draw
        monkeypatch.setattr(LiberoEnv, "_draw", lambda self, camera: drawn.append(1) or draw(self, camera))
        observation, *_ = env.step(actions)
        np.testing.assert_equal(observation, expected)
        assert len(drawn) == 1


def test_an_environment_without_chunks_is_stepped_in_a_loop():
    """Any Box environment can be chunked."""
    env = ActionChunk(gym.make("MountainCarContinuous-v0"), 5)
    env.reset(seed=0)
    *_, info = env.step(np.zeros((5, 1), np.float32))
    assert info["executed_actions"] == 5


def test_a_limit_inside_is_kept():
    """A chunk must not step around a TimeLimit."""
    env = ActionChunk(TimeLimit(ReachEnv(), 6), 4)
    env.reset(options=START)
    assert env.step(np.zeros((4, 7)))[3] is False
    *_, truncated, info = env.step(np.zeros((4, 7)))
    assert truncated
    assert info["executed_actions"] == 2


def test_statistics_inside_count_control_steps():
    """And sum their rewards."""
    env = ActionChunk(RecordEpisodeStatistics(ReachEnv(max_episode_steps=6)), 4)
    env.reset(options=START)
    env.step(np.zeros((4, 7)))
    *_, info = env.step(np.zeros((4, 7)))
    assert (info["episode"]["l"], info["episode"]["r"]) == (6, 0.0)


def test_it_can_be_rebuilt_from_its_spec():
    """The constructor arguments are recorded."""
    env = ActionChunk(gym.make("VLA-Tabletop-v0", task_id=0, image_size=16), 4)
    assert gym.make(env.spec).action_space == env.action_space


@pytest.mark.parametrize("shape", [(7,), (3, 7), (4, 6)])
def test_a_chunk_of_another_shape_is_refused(shape):
    """The error names both shapes."""
    env = ActionChunk(ReachEnv(), 4)
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match=r"\(4, 7\)"):
        env.step(np.zeros(shape))


def test_films_play_at_the_true_speed():
    """A film has one frame a step, which is a chunk now; the environment inside keeps its own rate."""
    env = gym.make("VLA-Tabletop-v0", image_size=16)
    assert ActionChunk(env, 8).metadata["render_fps"] == env.metadata["render_fps"] / 8 == 2.5
    assert env.metadata["render_fps"] == env.unwrapped.metadata["render_fps"] == 20
    groups = gym.make_vec("VLA-Tabletop-v0", 2, group_size=2, wrap=lambda env: ActionChunk(env, 8), image_size=16)
    assert groups.metadata["render_fps"] == 2.5


@pytest.mark.parametrize("chunk_size", [0, -1, 1.0, True, "8", None, 2**31])
def test_a_size_that_is_none_is_refused(chunk_size):
    """Before anything of that size is made."""
    with pytest.raises(InvalidArgumentError, match="`chunk_size` to be an integer from 1 to 1000, actually"):
        ActionChunk(ReachEnv(), chunk_size)


def test_bad_constructions_are_refused():
    """Actions that are not vectors."""
    with pytest.raises(InvalidArgumentError, match="Discrete"):
        ActionChunk(gym.make("CartPole-v1"), 2)


class TestFlat:
    """Chunks as one vector of K * A numbers, for learners that know no other actions."""

    def test_a_vector_does_what_the_rows_do(self):
        """Observations, rewards, ends and infos are equal bit for bit."""
        rows, flat = (ActionChunk(gym.make("VLA-Tabletop-v0", image_size=16), 4, flat=f) for f in (False, True))
        assert flat.action_space.shape == (28,)
        np.testing.assert_array_equal(flat.action_space.low, rows.action_space.low.ravel())
        np.testing.assert_equal(flat.reset(options=START), rows.reset(options=START))
        rows.action_space.seed(0)
        for _ in range(3):
            chunk = rows.action_space.sample()
            np.testing.assert_equal(flat.step(chunk.ravel()), rows.step(chunk))
        with pytest.raises(InvalidActionError, match=r"shape \(28,\), actually: \(4, 7\)"):
            flat.step(chunk)

    def test_the_spec_keeps_it(self):
        """Also as JSON, from which a recording or a worker makes the environment again."""
        env = ActionChunk(gym.make("VLA-Tabletop-v0", image_size=16), 3, flat=True)
        assert gym.make(EnvSpec.from_json(env.spec.to_json())).action_space == env.action_space

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda env: ActionHistory(env, 5),
            lambda env: ShapedReward(env, {"reward": 1.0, "energy": 0.5, "smoothness": 0.5}),
            lambda env: NoisySuccess(env, 0.5),
            EfficiencyReward,
            lambda env: ActionHistory(RescaleAction(env, -1.0, 1.0), 5),
        ],
        ids=["ActionHistory", "ShapedReward", "NoisySuccess", "EfficiencyReward", "RescaleAction"],
    )
    def test_wrappers_outside_see_the_rows(self, wrap):
        """What they show and pay is what they do for chunks in rows, to the end of an episode that a chunk crosses."""
        rows, flat = (wrap(ActionChunk(ReachEnv(max_episode_steps=10), 4, flat=f)) for f in (False, True))
        np.testing.assert_equal(flat.reset(seed=0, options=START), rows.reset(seed=0, options=START))
        chunks = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 4, 7)).astype(np.float32)
        for chunk in chunks:
            result = rows.step(chunk)
            np.testing.assert_equal(flat.step(chunk.ravel()), result)
        assert result[3]

    def test_tokens_come_flat(self):
        """And mean what they mean in rows."""
        rows, flat = (DiscretizeActions(ActionChunk(ReachEnv(), 4, flat=f)) for f in (False, True))
        tokens = np.random.default_rng(0).integers(256, size=(4, 7))
        assert flat.action_space.shape == (28,)
        np.testing.assert_array_equal(flat.action(tokens.ravel()), rows.action(tokens).ravel())
        np.testing.assert_array_equal(
            flat.tokens(flat.action(tokens.ravel())), rows.tokens(rows.action(tokens)).ravel()
        )

    def test_a_recording_has_the_rows(self, tmp_path):
        """So that it is replayed and learned from like any other."""
        env = RecordTrajectory(
            ActionChunk(gym.make("VLA-Tabletop-v0", image_size=16, max_episode_steps=5), 3, flat=True), tmp_path
        )
        env.reset(options=START)
        env.action_space.seed(0)
        chunks = [env.action_space.sample() for _ in range(2)]
        for chunk in chunks:
            env.step(chunk)
        recorded = replay(tmp_path)
        np.testing.assert_array_equal(recorded.actions[0], chunks[0].reshape(3, 7))
        assert recorded.executed.tolist() == [3, 2]

    def test_a_group_knows_its_control_actions(self):
        """Its trajectories have one row for each, from which votes and metrics tell how much they differ."""
        vote = VoteConfig(2, 2)
        envs = GroupVectorEnv([lambda: ActionChunk(ReachEnv(max_episode_steps=6), 4, flat=True)] * 2, 2, vote=vote)
        envs.reset(seed=0)
        chunks = np.zeros((2, 28), np.float32)
        envs.step(chunks)
        *_, infos = envs.step(chunks)
        assert [each.actions.shape for each in infos["voted_group"][0].trajectories] == [(6, 7)] * 2


def test_the_step_limit_counts_chunks_for_who_steps_them():
    """LeRobot's evaluation asks the environment how often it may step."""
    env = ActionChunk(gym.make("VLA-Tabletop-v0", image_size=16, max_episode_steps=10), 4)
    assert env.get_wrapper_attr("_max_episode_steps") == 3
