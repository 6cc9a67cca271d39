"""Who acts in an evaluation."""

from collections import Counter

import numpy as np
import pytest
import torch

from policies.registry import load_policy
from rllib_configs.config import EnvironmentConfig
from rllib_configs.run.actors import greedy, idle, sampled, uniform
from rllib_configs.run.evaluation import batches, evaluate, held_out_prompts
from tests.rllib_configs.seeker import ENVIRONMENT, Seeker

TABLETOP = EnvironmentConfig(task_id=(0, 9), image_size=16, max_episode_steps=24, chunk_size=8, history=0)
PROMPTS = held_out_prompts(TABLETOP, num_episodes=6)


@pytest.fixture(scope="module")
def policy():
    """A fresh policy, whose actions depend on what is drawn."""
    torch.manual_seed(0)
    return load_policy("tiny", config=TABLETOP.policy_config()).eval()


def first_actions(actor, prompts, num_envs, environment=TABLETOP):
    """The first action of each prompt, by an environment that notes it."""
    noted = {}

    def noting(envs, starts):
        act = actor(envs, starts)

        def noted_act(observations, running):
            actions, outputs = act(observations, running)
            for row, env in enumerate(running):
                noted.setdefault(starts[env].group_id, actions[row])
            return actions, outputs

        return noted_act

    list(batches(noting, environment, prompts, num_envs))
    return [noted[index] for index in range(len(prompts))]


@pytest.mark.parametrize("make", [lambda policy, seed: sampled(policy, 0.8, seed), lambda policy, seed: uniform(seed)])
def test_what_is_drawn_depends_on_seed_and_prompt_alone(policy, make):
    """Not on who else is in the batch; another seed draws otherwise, and no two prompts alike."""
    together = first_actions(make(policy, 3), PROMPTS, 6)
    apart = first_actions(make(policy, 3), PROMPTS, 2)
    np.testing.assert_allclose(together, apart, atol=1e-5)
    assert not np.allclose(together, first_actions(make(policy, 4), PROMPTS, 6), atol=1e-3)
    assert len({actions.tobytes() for actions in together}) == 6


def test_sampling_at_a_temperature_near_zero_is_greedy(policy):
    """But for neighbors among the 256 bins that are all but equally probable."""
    cold = first_actions(sampled(policy, 1e-4), PROMPTS, 6)
    np.testing.assert_allclose(cold, first_actions(greedy(policy), PROMPTS, 6), atol=2 / 255 + 1e-6)


def test_random_actions_are_uniform_over_the_action_space():
    """From the lowest to the highest number, all dimensions alike."""
    plain = TABLETOP.replace(chunk_size=None)
    prompts = held_out_prompts(plain)
    actions = np.stack(first_actions(uniform(0), prompts, 50, plain))
    assert actions.shape == (100, 7)
    assert -1 <= actions.min() < -0.95
    assert 0.95 < actions.max() <= 1
    counts = Counter(np.digitize(actions.ravel(), [-0.5, 0.0, 0.5]).tolist())
    assert all(130 < counts[quarter] < 220 for quarter in range(4))


def test_the_expert_acts_where_nobody_else_does():
    """It solves each task from each start."""
    followed = TABLETOP.replace(chunk_size=None, cameras=(), max_episode_steps=None, wrappers=("FollowExpert()",))
    episodes = evaluate(idle, followed, PROMPTS, 4)
    assert [episode.success for episode in episodes] == [True] * 6
    assert [episode.reward for episode in episodes] == [1.0] * 6


def test_greedy_needs_no_seed():
    """The same at every call."""
    prompts = held_out_prompts(ENVIRONMENT, "eval", 4)
    assert evaluate(greedy(Seeker()), ENVIRONMENT, prompts, 2) == evaluate(greedy(Seeker()), ENVIRONMENT, prompts, 2)
