"""Rewards of tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_envs.group.verl import VERL
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import group_advantages, token_level_rewards

MASK = [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]


def test_each_score_is_on_its_own_last_valid_token():
    """Trap 18: not where the last trajectory ends."""
    expected = [[0, 1, 0, 0], [0, 0, 0, 2], [3, 0, 0, 0]]
    assert token_level_rewards([1, 2, 3], MASK).tolist() == expected


def test_a_gap_in_the_mask_does_not_end_a_trajectory():
    """The last valid token, not the last of the first run."""
    assert token_level_rewards([1.0], [[1, 0, 1, 0]]).tolist() == [[0, 0, 1, 0]]


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3))
def test_tokens_add_up_to_the_score(scores):
    """Without a penalty."""
    np.testing.assert_array_equal(token_level_rewards(scores, MASK).sum(axis=1), scores)


def test_padding_is_not_penalised():
    """Whatever it holds."""
    rewards = token_level_rewards([0.0], [[1, 0]], log_ratio=[[0.5, np.nan]], kl_coef=0.1)
    assert rewards.tolist() == [[-0.05, 0.0]]


def test_rewards_less_kl_are_verls():
    """Its k1 penalty, token by token, and the advantages that follow."""
    scores = np.ravel(VERL["rewards"])
    rewards = token_level_rewards(scores, VERL["mask"], VERL["log_ratio"], VERL["kl_coef"])
    np.testing.assert_allclose(rewards, VERL["token_level_rewards"], atol=1e-11)
    groups = rewards.sum(axis=1).reshape(np.shape(VERL["rewards"]))
    np.testing.assert_allclose(group_advantages(groups, "rloo"), VERL["rloo_with_kl"], atol=1e-11)


@pytest.mark.parametrize(
    "arguments",
    [
        ([1.0], [[0, 0]]),
        ([1.0, 2.0], [[1, 1]]),
        ([1.0], [1, 1]),
        ([1.0], [[1, 1]], None, 0.1),
        ([1.0], [[1, 1]], [[0.1]], 0.1),
        ([1.0], [[1, 1]], [[0.1, 0.1]], -0.1),
    ],
)
def test_what_does_not_fit_is_refused(arguments):
    """No valid token, shapes that differ, a penalty without log-probabilities or a negative one."""
    with pytest.raises(InvalidArgumentError, match="actually: "):
        token_level_rewards(*arguments)
