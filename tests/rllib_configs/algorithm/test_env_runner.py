"""The environment runner of whole groups, beside RLlib's own."""

import numpy as np
import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.utils.metrics import EPISODE_RETURN_MEAN, NUM_ENV_STEPS_SAMPLED, WEIGHTS_SEQ_NO

from rllib_configs.algorithm.env_runner import GroupEnvRunner
from tests.rllib_configs import coin_env, unlucky
from tests.rllib_configs.setups import TOKEN_LENGTH, module_spec, reach_config, reach_runner

EPISODES = 400


def coin_config(env_id, env_config):
    config = reach_config(num_envs=40, adv_estimator="gae")  # which keeps every episode
    config.env_config.clear()
    config.environment(f"{coin_env.__name__}:{env_id}", env_config=env_config)
    return config.rl_module(rl_module_spec=module_spec(chunk_size=1))


def success_rate(runner):
    episodes = []
    while len(episodes) < EPISODES:
        episodes += runner.sample()
    return np.mean([episode.get_infos(-1)["success"] for episode in episodes])


def prompts_of(episodes):
    infos = [episode.get_infos(0) for episode in episodes]
    return [(int(info["task_id"]), int(info["init_state_id"])) for info in infos]


def keep_all(**changes):
    """A runner on many initial states whose callback drops nothing."""
    return reach_runner(adv_estimator="gae", env_config={"num_init_states": 100_000}, **changes)


def test_short_and_long_episodes_are_sampled_alike():
    """Successes of 2 steps and failures of 20, each with probability one half."""
    group = {"group_size": 4, "mode": "hold", "chunk_size": 1, "token_length": TOKEN_LENGTH}
    runner = GroupEnvRunner(config=coin_config("VLA-Coin-v0", group))
    assert success_rate(runner) == pytest.approx(0.5, abs=3 * 0.5 / EPISODES**0.5)


def test_rllibs_own_runner_favours_short_episodes():
    """On the same coin: it returns the first episodes that end, which is why ours exists."""
    config = coin_config("Coin-v0", {})
    config.env_runners(
        env_runner_cls=SingleAgentEnvRunner, gym_env_vectorize_mode="sync", batch_mode="complete_episodes"
    )
    config.callbacks(RLlibCallback)
    assert success_rate(SingleAgentEnvRunner(config=config)) > 0.7


def test_prompts_differ_from_round_to_round_although_a_seed_is_set():
    """RLlib passes the seed at every reset, which would repeat the first prompts for ever."""
    runner = keep_all()
    rounds = [prompts_of(runner.sample()) for _ in range(3)]
    assert len({prompt for each in rounds for prompt in each}) == 6


def test_the_same_seed_gives_the_same_prompts():
    """And another seed others."""
    first, second, other = (keep_all(seed=seed) for seed in (3, 3, 4))
    for _ in range(2):
        expected = prompts_of(first.sample())
        assert prompts_of(second.sample()) == expected
        assert not set(prompts_of(other.sample())) & set(expected)


def test_the_same_seed_gives_the_same_trajectories():
    """Sampled tokens included, when one runner works after the other."""
    actions = [np.concatenate([episode.get_actions() for episode in keep_all(seed=3).sample()]) for _ in range(2)]
    np.testing.assert_array_equal(*actions)


def test_runners_of_one_experiment_draw_prompts_of_their_own():
    """They share the seed and differ in their index."""
    config = reach_config(adv_estimator="gae", env_config={"num_init_states": 100_000})
    first, second = (GroupEnvRunner(config=config, worker_index=index) for index in (1, 2))
    assert not set(prompts_of(first.sample())) & set(prompts_of(second.sample()))


@pytest.mark.parametrize(("asked", "given"), [(None, 8), (1, 8), (8, 8), (9, 16)])
def test_episodes_come_in_whole_rounds(asked, given):
    """One of every member, as many rounds as it takes."""
    assert len(keep_all().sample(num_episodes=asked)) == given


@pytest.mark.parametrize("arguments", [{"num_timesteps": 10}, {"random_actions": True}])
def test_pieces_of_trajectories_and_random_actions_are_refused(arguments):
    """Nothing could be compared within a group."""
    with pytest.raises(NotImplementedError, match="num_episodes"):
        keep_all().sample(**arguments)


def test_exploration_can_be_switched_off():
    """Siblings then do the same."""
    episodes = keep_all(num_envs=4).sample(explore=False)
    assert len({episode.get_actions().tobytes() for episode in episodes}) == 1


def test_every_step_says_which_weights_acted():
    """The learner reports from it how far behind the runner was."""
    runner = keep_all()
    runner.set_state({**runner.get_state(), WEIGHTS_SEQ_NO: 7})
    for episode in runner.sample():
        assert np.asarray(episode.get_extra_model_outputs(WEIGHTS_SEQ_NO)).tolist() == [7] * len(episode)


def test_decisions_are_counted_and_idle_members_are_not():
    """One RLlib step is one chunk of a running episode."""
    runner = keep_all()
    decisions = sum(map(len, runner.sample()))
    assert runner.get_metrics()[NUM_ENV_STEPS_SAMPLED].peek() == decisions


def test_a_fault_of_a_worker_costs_its_group_and_no_other(faults):
    """The whole group is dropped; returns are those of the trajectories that came to their end."""
    config = reach_config(num_envs=8, group_size=4, adv_estimator="gae", env_config={"num_workers": 2})
    runner = GroupEnvRunner(config=config.environment(unlucky.ENV_ID))
    unlucky.add_faults(faults, 1)
    samples = runner.sample()
    assert len(samples) == 4
    assert len({int(each.get_infos(0)["group_id"]) for each in samples}) == 1
    metrics = runner.get_metrics()
    assert metrics["rollout"]["invalid_trajectories"].peek() == 4
    assert metrics[EPISODE_RETURN_MEAN].peek() == pytest.approx(np.mean([each.get_return() for each in samples]))
    runner.stop()
