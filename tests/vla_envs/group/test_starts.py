"""Where groups start, and start again."""

import json

import numpy as np
import pytest

from vla_envs.group import CurriculumPrompts, NumberedStarts, SequentialPrompts, UniformPrompts
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
    starts.forget_faults([0])
    assert draw(starts) == PROMPTS[1]


def test_prompts_win_over_options():
    """The other options stay."""
    starts = GroupStarts(SequentialPrompts(PROMPTS))
    start = starts.draw(0, {"init_state_id": 9, "light": "dim"}, np.random.default_rng(0))
    assert start.options == {"task_id": 0, "init_state_id": 0, "light": "dim"}


SIX_PROMPTS = [(0, index) for index in range(6)]
SAMPLERS = [UniformPrompts, SequentialPrompts, CurriculumPrompts]


def number(starts, groups):
    return [starts.draw() for _ in range(groups)]


def test_groups_are_numbered_from_zero():
    """Without a gap."""
    starts = NumberedStarts(seed=3)
    assert [start.group_id for start in number(starts, 5)] == [0, 1, 2, 3, 4]
    assert starts.drawn == 5


def test_the_same_seed_gives_the_same_starts():
    """And another gives others."""
    first, second, other = (number(NumberedStarts(seed), 5) for seed in (3, 3, 4))
    assert first == second
    assert not {start.seed for start in first} & {start.seed for start in other}


def test_groups_have_seeds_of_their_own():
    """So that no group repeats another."""
    assert len({start.seed for start in number(NumberedStarts(0), 1000)}) == 1000


def test_without_a_seed_runs_differ():
    """The operating system gives one, which is kept with the state."""
    first, second = NumberedStarts(None), NumberedStarts(None)
    assert first.seed != second.seed
    assert number(first, 3) != number(second, 3)


def test_without_a_sampler_the_environment_draws_the_prompt():
    """By the seed of the group."""
    assert {start.prompt for start in number(NumberedStarts(0), 3)} == {None}


def test_prompts_are_those_of_the_sampler():
    """One after the other."""
    starts = NumberedStarts(0, SequentialPrompts(SIX_PROMPTS))
    assert [start.prompt for start in number(starts, 7)] == [*SIX_PROMPTS, SIX_PROMPTS[0]]


def test_a_random_prompt_is_determined_by_the_number_of_its_group():
    """Not by how many were drawn before in this process."""
    starts = NumberedStarts(0, UniformPrompts(SIX_PROMPTS))
    drawn = number(starts, 20)
    resumed = NumberedStarts(0, UniformPrompts(SIX_PROMPTS))
    resumed.drawn = 12
    assert number(resumed, 8) == drawn[12:]
    assert len({start.prompt for start in drawn}) > 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_goes_on_where_its_state_was_taken(sampler):
    """Also after the state has been a file, and with the seed of the run that wrote it."""
    starts = NumberedStarts(1, sampler(SIX_PROMPTS))
    for start in number(starts, 4):
        starts.sampler.learn(start.prompt, [True, False])
    resumed = NumberedStarts(2, sampler(SIX_PROMPTS))
    resumed.load_state_dict(json.loads(json.dumps(starts.state_dict())))
    assert number(resumed, 10) == number(starts, 10)
