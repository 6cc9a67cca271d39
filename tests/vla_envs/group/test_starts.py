"""Where groups start, and start again."""

import numpy as np

from vla_envs.group import SequentialPrompts
from vla_envs.group.starts import MAX_RETRIES, GroupStarts

PROMPTS = [(0, 0), (0, 1), (0, 2)]


def draw(starts, group=0, rng=None):
    options = starts.draw(group, {}, rng or np.random.default_rng(0)).options
    return options["task_id"], options["init_state_id"]


def test_a_group_that_was_cut_short_starts_at_its_prompt_again():
    """With the same seed, for environments that name no prompt; other groups go on."""
    starts = GroupStarts(None)
    rng = np.random.default_rng(0)
    first = starts.draw(0, {"task_id": 1}, rng)
    other = starts.draw(1, {}, rng)
    starts.cut_short(0)
    assert starts.draw(0, {}, rng) == first
    assert starts.draw(1, {}, rng) != other


def test_retries_are_bounded(caplog):
    """Then the group goes on to another prompt, and the log says so."""
    starts = GroupStarts(SequentialPrompts(PROMPTS))
    assert draw(starts) == PROMPTS[0]
    for _ in range(MAX_RETRIES):
        starts.cut_short(0)
        assert draw(starts) == PROMPTS[0]
    starts.cut_short(0)
    assert draw(starts) == PROMPTS[1]
    assert f"{MAX_RETRIES + 1} times in a row" in caplog.text
    starts.cut_short(0)
    assert draw(starts) == PROMPTS[1]


def test_a_sound_end_forgets_faults():
    """They count in a row."""
    starts = GroupStarts(SequentialPrompts(PROMPTS))
    draw(starts)
    starts.cut_short(0)
    starts.ended(0, [True])
    assert draw(starts) == PROMPTS[1]


def test_a_reset_forgets_faults():
    """It asks for other prompts."""
    starts = GroupStarts(SequentialPrompts(PROMPTS))
    draw(starts)
    starts.cut_short(0)
    starts.forget_faults()
    assert draw(starts) == PROMPTS[1]


def test_prompts_win_over_options():
    """The other options stay."""
    starts = GroupStarts(SequentialPrompts(PROMPTS))
    start = starts.draw(0, {"init_state_id": 9, "light": "dim"}, np.random.default_rng(0))
    assert start.options == {"task_id": 0, "init_state_id": 0, "light": "dim"}
