"""Prompt samplers."""

import json
import warnings
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reach_env import ReachEnv, towards_targets
from vla_envs.errors import InvalidArgumentError, warn_once
from vla_envs.group import CurriculumPrompts, EveryTaskPrompts, GroupVectorEnv, SequentialPrompts, UniformPrompts
from vla_envs.group.prompts import make_sampler, spread_over_tasks
from vla_envs.spec import Prompt

PROMPTS = [Prompt(0, 3), Prompt(0, 5), Prompt(1, 3)]

groups = st.lists(st.tuples(st.integers(0, 2), st.lists(st.booleans(), min_size=1, max_size=8)), max_size=30)
"""Indices of prompts, each with the successes of a group."""


def test_a_sampler_by_name_warns_of_an_open_split():
    """It lists the initial states of evaluation with the others."""
    warn_once.cache_clear()
    with pytest.warns(UserWarning, match="Without a `split`"):
        make_sampler("uniform", lambda: gym.make("VLA-Tabletop-v0", cameras=()))
    warn_once.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_sampler("uniform", lambda: gym.make("VLA-Tabletop-v0", cameras=(), split="train"))


def draws(sampler, n, seed=0):
    rng = np.random.default_rng(seed)
    return [sampler.draw(rng) for _ in range(n)]


def taught(outcomes, **kwargs):
    sampler = CurriculumPrompts(PROMPTS, **kwargs)
    for index, successes in outcomes:
        sampler.learn(PROMPTS[index], successes)
    return sampler


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20), st.integers(0, 99))
def test_rounds_over_the_tasks_have_an_order_of_their_own(pairs, seed):
    """The same prompts in the same round, each once."""
    prompts = [Prompt(*pair) for pair in pairs]
    plain, drawn = spread_over_tasks(prompts), spread_over_tasks(prompts, np.random.default_rng(seed))
    assert sorted(drawn) == sorted(plain) == sorted(set(prompts))
    seen = Counter()
    places = []
    for prompt in drawn:
        seen[prompt.task_id] += 1
        places.append(seen[prompt.task_id])
    assert places == sorted(places)


def test_uniform_prompts_come_equally_often():
    """Within three standard errors."""
    counts = Counter(draws(UniformPrompts(PROMPTS), 3000))
    bound = 3 * (3000 * 2 / 9) ** 0.5
    assert all(abs(counts[prompt] - 1000) < bound for prompt in PROMPTS)


def test_sequential_prompts_repeat():
    """In their order."""
    assert draws(SequentialPrompts(PROMPTS), 7) == [*PROMPTS, *PROMPTS, PROMPTS[0]]


def test_sequential_prompts_may_run_out():
    """Then there is none."""
    assert draws(SequentialPrompts(PROMPTS, repeat=False), 4) == [*PROMPTS, None]


def test_sequential_prompts_begin_anew_when_rewound():
    """At the first."""
    sampler = SequentialPrompts(PROMPTS)
    draws(sampler, 2)
    sampler.rewind()
    assert draws(sampler, 1) == PROMPTS[:1]


def test_the_curriculum_begins_uniformly():
    """Nothing is known yet."""
    assert CurriculumPrompts(PROMPTS).probabilities() == pytest.approx([1 / 3] * 3)


def test_the_curriculum_favors_prompts_that_are_solved_half_of_the_time():
    """Over those that are always or never solved; one that was never tried comes in between."""
    sampler = CurriculumPrompts([*PROMPTS, Prompt(1, 9)])
    for _ in range(5):
        for prompt, successes in zip(PROMPTS, ([True] * 4, [False] * 4, [True, False] * 2), strict=True):
            sampler.learn(prompt, successes)
    always, never, half, untried = sampler.probabilities()
    assert always == never < untried < half
    counts = Counter(draws(sampler, 4000))
    assert counts[PROMPTS[2]] / 4000 == pytest.approx(half, abs=3 * 0.5 / 4000**0.5)


@given(groups)
def test_every_prompt_keeps_a_chance(outcomes):
    """Whatever was learned, probabilities are positive and sum to one."""
    probabilities = taught(outcomes).probabilities()
    assert (probabilities > 0).all()
    assert probabilities.sum() == pytest.approx(1.0)


@given(groups)
def test_success_and_failure_count_alike(outcomes):
    """The curriculum is about the middle, not about easy or hard."""
    swapped = [(index, [not success for success in successes]) for index, successes in outcomes]
    assert taught(outcomes).probabilities() == pytest.approx(taught(swapped).probabilities())


@given(groups)
def test_a_restored_curriculum_goes_on_as_it_would_have(outcomes):
    """Through JSON."""
    sampler, other = taught(outcomes), CurriculumPrompts(PROMPTS)
    other.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert draws(sampler, 20) == draws(other, 20)


def test_the_state_of_prompts_from_numpy_is_plain():
    """JSON has no integers but Python's."""
    sampler = CurriculumPrompts(np.array(PROMPTS))
    sampler.learn(PROMPTS[1], [True, False, False])
    assert json.loads(json.dumps(sampler.state_dict())) == {"outcomes": [[0, 5, 1.0, 2.0]]}


def test_prompts_are_integers():
    """A part of a number would name another prompt."""
    with pytest.raises(InvalidArgumentError, match=r"integer of at least 0, actually: 2\.5"):
        UniformPrompts([(0, 2.5)])


def test_equal_prompts_share_what_was_learned():
    """Each place in the list has the probability of the others, and the state tells of the prompt once."""
    sampler = CurriculumPrompts([PROMPTS[0], PROMPTS[1], PROMPTS[0]])
    sampler.learn(PROMPTS[0], [True] * 4)
    first, other, last = sampler.probabilities()
    assert first == last < other
    assert sampler.state_dict() == {"outcomes": [[*PROMPTS[0], 4.0, 0.0]]}


def test_old_outcomes_fade():
    """A prompt that was always solved and now is solved half of the time is favored again."""
    history = [(0, [True] * 4)] * 20 + [(0, [True, False] * 2)] * 3
    forgetful, exact = taught(history, decay=0.5), taught(history, decay=1.0)
    assert forgetful.probabilities()[0] > 1 / 3 > exact.probabilities()[0]


def test_prompts_that_are_not_sampled_do_not_count():
    """An explicit reset may bring them about."""
    assert taught([]).state_dict() == {"outcomes": []}
    sampler = taught([])
    sampler.learn(Prompt(7, 7), [True])
    assert sampler.state_dict() == {"outcomes": []}


def test_the_state_of_other_prompts_is_refused():
    """The error names one."""
    state = CurriculumPrompts([Prompt(7, 7)])
    state.learn(Prompt(7, 7), [True])
    with pytest.raises(InvalidArgumentError, match=r"3 prompts.*Prompt\(task_id=7, init_state_id=7\)"):
        CurriculumPrompts(PROMPTS).load_state_dict(state.state_dict())


def test_a_restored_sequence_goes_on():
    """With the prompt after the last."""
    sampler, other = SequentialPrompts(PROMPTS), SequentialPrompts(PROMPTS)
    draws(sampler, 4)
    other.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert draws(other, 2) == draws(sampler, 2) == PROMPTS[1:]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("uniform", UniformPrompts),
        ("sequential", SequentialPrompts),
        ("every_task", EveryTaskPrompts),
        ("curriculum", CurriculumPrompts),
    ],
)
def test_a_name_stands_for_a_sampler_of_all_prompts(name, kind):
    """Those of the environment's tasks and split."""
    sampler = make_sampler(name, lambda: ReachEnv(task_id=1, split="eval"))
    assert type(sampler) is kind
    assert sampler.prompts == ReachEnv(task_id=1, split="eval").prompts()


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("random", "`prompts`.*'uniform', 'sequential', 'every_task', 'curriculum', actually: 'random'"),
        ([], "at least one prompt"),
    ],
)
def test_prompts_that_cannot_be_sampled_are_named(prompts, message):
    """With what is valid."""
    with pytest.raises(InvalidArgumentError, match=message):
        make_sampler(prompts, ReachEnv)


def test_a_name_needs_an_environment_that_lists_its_prompts():
    """One outside the contract has none."""
    with pytest.raises(InvalidArgumentError, match=r"`prompts\(\)`.*CartPole"):
        make_sampler("uniform", lambda: gym.make("CartPole-v1"))


def test_a_decay_is_a_share():
    """The error names what was given."""
    with pytest.raises(InvalidArgumentError, match=r"`decay`.*actually: 1\.5"):
        CurriculumPrompts(PROMPTS, decay=1.5)


def test_every_task_is_drawn_at_each_initial_state():
    """One after the other, and the initial states differ from round to round."""
    prompts = [Prompt(task, state) for task in (0, 2, 5) for state in range(4)]
    drawn = draws(EveryTaskPrompts(prompts), 30)
    rounds = [drawn[first : first + 3] for first in range(0, 30, 3)]
    assert all([prompt.task_id for prompt in each] == [0, 2, 5] for each in rounds)
    assert all(len({prompt.init_state_id for prompt in each}) == 1 for each in rounds)
    assert {each[0].init_state_id for each in rounds} == set(range(4))


def test_a_restored_round_goes_on_with_its_other_tasks():
    """At the same initial state."""
    sampler, other = EveryTaskPrompts(PROMPTS), EveryTaskPrompts(PROMPTS)
    (first,) = draws(sampler, 1)
    other.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert draws(other, 1) == draws(sampler, 1) == [Prompt(1, first.init_state_id)]


def test_tasks_without_a_common_initial_state_are_refused():
    """There is nothing to draw."""
    with pytest.raises(InvalidArgumentError, match=r"all tasks have, actually none of \[0, 1\]"):
        EveryTaskPrompts([(0, 1), (1, 2)])


@pytest.mark.parametrize("name", ["uniform", "curriculum"])
def test_the_seed_fixes_what_a_sampler_draws(name):
    """The generator is that of the vector environment."""
    drawn = []
    for seed in (5, 5, 6):
        envs = GroupVectorEnv([ReachEnv] * 8, 1, prompts=name)
        drawn.append(envs.reset(seed=seed)[1]["init_state_id"].tolist())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("mode", ["lockstep", "hold"])
def test_a_curriculum_learns_from_groups_that_have_ended(mode):
    """Not before their last environment has."""
    envs = GroupVectorEnv([ReachEnv] * 3, 3, mode, prompts="curriculum")
    _, infos = envs.reset(seed=3)
    prompt = [int(infos[key][0]) for key in ("task_id", "init_state_id")]
    while envs.active.any():
        assert envs.prompts.state_dict() == {"outcomes": []}
        envs.step(towards_targets(envs))
    assert envs.prompts.state_dict() == {"outcomes": [[*prompt, 2.0, 1.0]]}
