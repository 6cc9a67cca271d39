"""Observations in memory that two processes see."""

import multiprocessing
import pickle

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence

from vla_envs.group.workers.observations import SharedObservations, allocate

CONTEXT = multiprocessing.get_context("spawn")

FIXED = {
    "box": spaces.Box(-1, 1, (2, 3), np.float32),
    "double": spaces.Box(-1, 1, (1,), np.float64),
    "discrete": spaces.Discrete(5, start=-2),
    "multi_binary": spaces.MultiBinary(4),
    "text": spaces.Text(12, min_length=0),
    "dict": spaces.Dict(words=spaces.Text(9), image=spaces.Box(0, 255, (4, 4, 3), np.uint8)),
    "nested": spaces.Dict(inner=spaces.Dict(x=spaces.Discrete(3)), pair=spaces.Tuple([spaces.Text(3)] * 2)),
}
VARIABLE = {
    "sequence": spaces.Sequence(spaces.Discrete(4)),
    "graph": spaces.Graph(spaces.Box(0, 1, (2,)), spaces.Discrete(3)),
    "half_precision": spaces.Box(-1, 1, (3,), np.float16),
}


def samples(space, count):
    space.seed(3)
    return [space.sample() for _ in range(count)]


@pytest.mark.parametrize("name", FIXED)
def test_what_is_posted_is_collected_bit_for_bit(name):
    """Through memory alone."""
    space = FIXED[name]
    shared = SharedObservations(space, 3, allocate(space, 3, CONTEXT))
    given = samples(space, 3)
    posted = {slot: shared.post(slot, each) for slot, each in enumerate(given)}
    assert set(posted.values()) == {None}
    for slot, each in shared.collect(posted).items():
        assert data_equivalence(each, given[slot], exact=True)


@pytest.mark.parametrize("name", VARIABLE)
def test_spaces_that_do_not_fit_into_memory_travel_with_the_answer(name):
    """Whatever their size."""
    space = VARIABLE[name]
    shared = SharedObservations(space, 2, allocate(space, 2, CONTEXT))
    given = samples(space, 2)
    posted = {slot: pickle.loads(pickle.dumps(shared.post(slot, each))) for slot, each in enumerate(given)}
    for slot, each in shared.collect(posted).items():
        assert data_equivalence(each, given[slot], exact=True)


def test_collected_observations_are_copies():
    """A later post leaves them as they are."""
    space = FIXED["dict"]
    shared = SharedObservations(space, 1, allocate(space, 1, CONTEXT))
    first, second = samples(space, 2)
    kept = shared.collect({0: shared.post(0, first)})[0]
    shared.post(0, second)
    assert (first["image"] != second["image"]).any()
    np.testing.assert_array_equal(kept["image"], first["image"])
