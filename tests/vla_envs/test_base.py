"""The base environment, on a suite that counts instead of simulating."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.base import Observation, VLAEnv
from vla_envs.errors import InvalidArgumentError, UnknownInitStateError, UnknownTaskError
from vla_envs.spec import Prompt


class Counting(VLAEnv):
    """Every action adds its first number; a task is solved when the sum reaches 3."""

    def __init__(self, task_id: Any = None, split: str = "all", max_episode_steps: int | None = None) -> None:
        super().__init__(
            suite="counting",
            tasks=("count to three", "count up to three"),
            task_id=task_id,
            split=split,
            max_episode_steps=max_episode_steps,
            render_mode=None,
        )
        self.action_space = spec.action_space(2)
        self.observation_space = spec.observation_space((), 16)
        self.total = 0.0
        self.begun: list[Prompt] = []
        self.observed = 0

    def num_init_states(self, task_id: int) -> int:
        return 6 + task_id

    def _horizon(self, task_id: int) -> int:
        return 10 + task_id

    def _begin(self, prompt: Prompt) -> None:
        self.begun.append(prompt)
        self.total = 0.0

    def _apply(self, action: NDArray[np.float64]) -> bool:
        self.total += action[0]
        return self.total >= 3.0

    def _observe(self) -> Observation:
        self.observed += 1
        return {spec.STATE: np.full(8, self.total, np.float32), spec.INSTRUCTION: self.tasks[self.prompt.task_id]}

    def _final_state(self) -> NDArray[np.float32]:
        return np.array([self.total], np.float32)


ONE = np.array([1.0, 0.0])
NOTHING = np.zeros(2)


def test_task_ids() -> None:
    """None is every task, a number one, a sequence several."""
    assert Counting().task_ids == (0, 1)
    assert Counting(task_id=1).task_ids == (1,)
    assert Counting(task_id=np.int64(1)).task_ids == (1,)
    assert Counting(task_id=(1, 0)).task_ids == (1, 0)


def test_prompts_of_a_split() -> None:
    """All prompts that may be drawn, in order; each task has its own number of initial states."""
    assert Counting(task_id=0, split="train").prompts() == (Prompt(0, 0), Prompt(0, 1), Prompt(0, 2))
    assert Counting(split="eval").prompts() == tuple(
        [Prompt(0, each) for each in (3, 4, 5)] + [Prompt(1, each) for each in (3, 4, 5, 6)]
    )


def test_draws_cover_the_split() -> None:
    """Every prompt of the split is drawn sooner or later, and no other."""
    env = Counting(split="train")
    env.reset(seed=0)
    for _ in range(200):
        env.reset()
    assert set(env.begun) == set(env.prompts())


def test_draws_follow_the_seed() -> None:
    """The same seed draws the same sequence of prompts."""
    one, two = Counting(), Counting()
    for env in (one, two):
        env.reset(seed=7)
        for _ in range(10):
            env.reset()
    assert one.begun == two.begun
    assert len(set(one.begun)) > 3


def test_options_do_not_use_up_draws() -> None:
    """A prompt named in full leaves the generator as it was."""
    one, two = Counting(), Counting()
    one.reset(seed=3)
    two.reset(seed=3)
    two.reset(options={"task_id": 0, "init_state_id": 0})
    one.reset()
    two.reset()
    assert one.prompt == two.prompt


def test_options_may_leave_the_split() -> None:
    """A prompt that is asked for is given, and the info names its split."""
    env = Counting(task_id=0, split="train")
    _, info = env.reset(options={"task_id": 1, "init_state_id": 6})
    assert (info["task_id"], info["init_state_id"], info["split"]) == (1, 6, "eval")


def test_options_are_not_changed() -> None:
    """The caller's dictionary stays as it was."""
    options = {"task_id": 1, "init_state_id": 2}
    Counting().reset(options=options)
    assert options == {"task_id": 1, "init_state_id": 2}


def test_options_of_the_episode_are_kept() -> None:
    """As they were received, without what is drawn; none before the first reset."""
    env = Counting()
    assert env.episode_options == {}
    env.reset(seed=0, options={"task_id": 1})
    assert env.episode_options == {"task_id": 1}
    with pytest.raises(UnknownTaskError):
        env.reset(options={"task_id": 5})
    assert env.episode_options == {"task_id": 1}
    env.reset()
    assert env.episode_options == {}


def test_options_of_the_episode_stay_when_the_caller_reuses_an_array() -> None:
    """What is kept is how the episode started."""
    env = gym.make("VLA-Tabletop-v0", image_size=16)
    offset = np.array([0.05, 0.0, 0.0])
    env.reset(options={"gripper_offset": offset})
    offset += 1.0
    assert env.unwrapped.episode_options["gripper_offset"].tolist() == [0.05, 0.0, 0.0]  # type: ignore[attr-defined]


def test_bounds_follow_the_task() -> None:
    """Initial state 6 exists in the second task only."""
    env = Counting()
    env.reset(options={"task_id": 1, "init_state_id": 6})
    with pytest.raises(UnknownInitStateError, match="of task 0 to be an integer from 0 to 5, actually: 6"):
        env.reset(options={"task_id": 0, "init_state_id": 6})


def test_failed_reset_changes_nothing() -> None:
    """After a refused reset the episode goes on."""
    env = Counting()
    env.reset(options={"task_id": 1, "init_state_id": 2})
    env.step(ONE)
    with pytest.raises(UnknownTaskError):
        env.reset(options={"task_id": 5})
    _, _, _, _, info = env.step(ONE)
    assert (info["elapsed_steps"], env.prompt) == (2, Prompt(1, 2))


def test_limit_of_the_task_or_of_the_user() -> None:
    """Without a limit of the user's, each task has its own."""
    env = Counting()
    assert [env.reset(options={"task_id": each})[1]["max_steps"] for each in (0, 1)] == [10, 11]
    assert Counting(max_episode_steps=4).reset(seed=0)[1]["max_steps"] == 4


def test_success_ends_the_episode() -> None:
    """The step that succeeds is rewarded and terminates; its info has the final state."""
    env = Counting()
    env.reset(seed=0)
    results = [env.step(ONE)[1:] for _ in range(3)]
    assert [result[:3] for result in results] == [(0.0, False, False)] * 2 + [(1.0, True, False)]
    info = results[-1][3]
    assert (info["success"], info["task_reward"]) == (True, 1.0)
    np.testing.assert_array_equal(info["final_state"], [3.0])
    with pytest.raises(ResetNeeded):
        env.step(ONE)


def test_success_at_the_limit() -> None:
    """On the last step both flags can be set."""
    env = Counting(max_episode_steps=3)
    env.reset(seed=0)
    _, reward, terminated, truncated, _ = env.step_chunk(np.stack([ONE] * 3))
    assert (reward, terminated, truncated) == (1.0, True, True)


def test_chunk_observes_once_and_stops_at_success() -> None:
    """Of a chunk, only the actions up to the success are executed."""
    env = Counting()
    env.reset(seed=0)
    env.observed = 0
    observation, reward, terminated, _, info = env.step_chunk(np.stack([ONE] * 8))
    assert (info["executed_actions"], info["elapsed_steps"], env.observed) == (3, 3, 1)
    assert (reward, terminated) == (1.0, True)
    assert observation[spec.STATE][0] == 3.0


def test_actions_are_clipped_to_the_space() -> None:
    """A value beyond the bounds counts as the bound."""
    env = Counting()
    env.reset(seed=0)
    env.step(np.array([50.0, 0.0]))
    assert env.total == 1.0


@pytest.mark.parametrize("action", [[1, 0], (1.0, 0.0), np.array([1, 0], np.float32)])
def test_actions_may_be_any_sequence(action: Any) -> None:
    """Lists, tuples and arrays of any number type are actions."""
    env = Counting()
    env.reset(seed=0)
    env.step(action)
    assert env.total == 1.0


def test_prompt_before_reset() -> None:
    """Before the first reset there is no prompt."""
    with pytest.raises(ResetNeeded, match="reset"):
        _ = Counting().prompt


def test_unknown_option_is_named() -> None:
    """All unknown options are listed."""
    with pytest.raises(InvalidArgumentError, match=r"\['init_state', 'task'\]"):
        Counting().reset(options={"task": 1, "init_state": 2})


def test_metadata_are_the_environments_own():
    """Gymnasium's vector environments write into them."""
    from gymnasium.vector import SyncVectorEnv

    from vla_envs.tabletop.env import TabletopEnv

    SyncVectorEnv([TabletopEnv]).close()
    assert "autoreset_mode" not in TabletopEnv.metadata
    assert "autoreset_mode" not in TabletopEnv().metadata


@pytest.mark.parametrize("text", ["", "zähle bis drei", "count " * 43])
def test_an_instruction_that_is_not_in_its_space_is_refused(text: str) -> None:
    """Another process would get a KeyError of a letter, or an IndexError, in place of an observation."""
    env = Counting()
    env.tasks = (text, "count up to three")
    with pytest.raises(InvalidArgumentError, match=r"task 0 of suite 'counting' to have 1 to 256 characters of "):
        env.reset(options={"task_id": 0})
    with pytest.raises(ResetNeeded):
        env.step(NOTHING)
    env.reset(options={"task_id": 1})
