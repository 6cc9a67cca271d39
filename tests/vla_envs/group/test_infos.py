"""Infos as arrays."""

import numpy as np
import pytest

from vla_envs.group.infos import stack_infos


@pytest.mark.parametrize("values", [(True, False), (1, 2), (0.5, 1.5), (np.float32(1), np.float32(2))])
def test_numbers_give_numeric_arrays(values):
    """Of their own type."""
    stacked = stack_infos([{"x": value} for value in values])["x"]
    assert stacked.dtype == np.array(values).dtype
    assert stacked.tolist() == list(values)


def test_partial_keys_are_masked():
    """With 0 or None where there is nothing."""
    infos = stack_infos([{}, {"lift": 2.0, "name": "a"}])
    assert infos["lift"].tolist() == [0.0, 2.0]
    assert infos["name"].tolist() == [None, "a"]
    assert infos["_lift"].tolist() == infos["_name"].tolist() == [False, True]


def test_keys_of_the_contract_are_masked_only_where_they_are_partial():
    """All members of an environment of the contract have them."""
    assert stack_infos([{"success": True}, {"success": False}]).keys() == {"success"}
    assert stack_infos([{"success": True}, {}])["_success"].tolist() == [True, False]


def test_dictionaries_are_stacked_inside():
    """As Gymnasium's episode statistics are."""
    infos = stack_infos([{"episode": {"r": 1.0, "l": 7}}, {}])
    assert infos["episode"]["r"].tolist() == [1.0, 0.0]
    assert infos["episode"]["l"].tolist() == [7, 0]
    assert infos["_episode"].tolist() == infos["episode"]["_r"].tolist() == [True, False]


def test_arrays_may_have_different_shapes():
    """Tasks have different numbers of objects."""
    states = [np.zeros(3), np.zeros(5)]
    stacked = stack_infos([{"final_state": state} for state in states])["final_state"]
    assert stacked.dtype == object
    assert [each.shape for each in stacked] == [(3,), (5,)]


def test_arrays_of_one_shape_stay_one_object_each():
    """NumPy would make one array of numbers of them."""
    stacked = stack_infos([{"final_state": np.zeros(3)}] * 2)["final_state"]
    assert stacked.shape == (2,)
