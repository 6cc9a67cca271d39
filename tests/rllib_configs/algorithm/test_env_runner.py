"""The environment runner of whole groups, beside RLlib's own."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import RecordEpisodeStatistics
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.utils.metrics import EPISODE_RETURN_MEAN, NUM_ENV_STEPS_SAMPLED, WEIGHTS_SEQ_NO

from rllib_configs.algorithm.env_runner import GroupEnvRunner, TokenSampler, sample_episodes
from rllib_configs.algorithm.sampled_group import ACTION_TOKENS, GROUP_ADVANTAGE, TOKEN_LOGP, TOKEN_MASK, column
from tests.reach_env import ReachEnv, register
from tests.rllib_configs import coin_env, seeker, unlucky
from tests.rllib_configs.setups import CHUNK_SIZE, make_module, module_spec, reach_config, reach_runner, starts, wrap
from vla_envs.errors import InvalidArgumentError, NonFiniteError
from vla_envs.group import NSR, GroupStart, GroupVectorEnv, temperature_schedule
from vla_envs.spec import TEMPERATURE, Prompt

EPISODES = 400
ONES = np.ones(4)
MANY_PROMPTS = {"num_init_states": 100_000}
TEMPERATURES = temperature_schedule(4, 0.6, 0.6)


def coin_config(env_id, env_config):
    config = reach_config(groups=10)
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


def make_runner(**changes):
    """A runner on many initial states."""
    return reach_runner(env_config=MANY_PROMPTS, **changes)


def test_short_and_long_episodes_are_sampled_alike():
    """Successes of 2 steps and failures of 20, each with probability one half."""
    runner = reach_runner(coin_config("VLA-Coin-v0", {"wrap": partial(wrap, chunk_size=1)}))
    assert success_rate(runner) == pytest.approx(0.5, abs=3 * 0.5 / EPISODES**0.5)


def test_rllibs_own_runner_favors_short_episodes():
    """On the same coin: it returns the first episodes that end, which is why ours exists."""
    config = coin_config("Coin-v0", {})
    config.env_runners(
        env_runner_cls=SingleAgentEnvRunner, gym_env_vectorize_mode="sync", batch_mode="complete_episodes"
    )
    config.num_envs_per_env_runner = 40
    assert success_rate(SingleAgentEnvRunner(config=config)) > 0.7


def test_groups_are_sampled_from_their_starts():
    """In their order, each with its own id and prompt."""
    groups, _ = make_runner(adv_estimator="gae").sample_groups(starts(2), ONES)
    assert [group.start.group_id for group in groups] == [0, 1]
    assert groups[0].prompt != groups[1].prompt
    assert [len(group.episodes) for group in groups] == [4, 4]


def test_another_runner_samples_the_same_groups():
    """Whatever its index and whatever it sampled before."""
    expected, _ = make_runner(adv_estimator="gae").sample_groups(starts(2), ONES)
    config = reach_config(env_config=MANY_PROMPTS, adv_estimator="gae").learners(num_learners=1)
    other = GroupEnvRunner(config=config, worker_index=2)
    other.module.set_state(make_runner().module.get_state())
    other.sample()
    groups, _ = other.sample_groups(starts(2), ONES)
    for group, same in zip(groups, expected, strict=True):
        assert group.metrics == same.metrics
        for episode, twin in zip(group.episodes, same.episodes, strict=True):
            np.testing.assert_array_equal(episode.get_actions(), twin.get_actions())


def test_rllibs_metrics_come_with_the_groups():
    """Returns are the environment's, not the rewards that train, and over trajectories that are not sent on too."""
    runner = make_runner()
    groups, results = runner.sample_groups(starts(2), ONES)
    success = [success for group in groups for success in group.successes]
    assert sum(len(group.episodes) for group in groups) < len(success)
    assert 0 < results[EPISODE_RETURN_MEAN].peek() == pytest.approx(np.mean(success))


def test_prompts_differ_from_round_to_round_although_a_seed_is_set():
    """RLlib passes the seed at every reset, which would repeat the first prompts for ever."""
    runner = make_runner()
    rounds = [prompts_of(runner.sample()) for _ in range(3)]
    assert len({prompt for each in rounds for prompt in each}) == 6


def test_the_same_seed_gives_the_same_prompts():
    """And another seed others."""
    first, second, other = (make_runner(seed=seed) for seed in (3, 3, 4))
    for _ in range(2):
        expected = prompts_of(first.sample())
        assert prompts_of(second.sample()) == expected
        assert not set(prompts_of(other.sample())) & set(expected)


def test_runners_of_one_experiment_draw_prompts_of_their_own():
    """They share the seed and differ in their index."""
    config = reach_config(env_config=MANY_PROMPTS).learners(num_learners=1)
    first, second = (GroupEnvRunner(config=config, worker_index=index) for index in (1, 2))
    assert not set(prompts_of(first.sample())) & set(prompts_of(second.sample()))


@pytest.mark.parametrize(("asked", "given"), [(None, 8), (0, 0), (1, 4), (8, 8), (9, 12)])
def test_episodes_come_in_whole_groups(asked, given):
    """As many of four as it takes; one of every environment where nothing is asked for."""
    assert len(make_runner().sample(num_episodes=asked)) == given


@pytest.mark.parametrize("arguments", [{"num_timesteps": 10}, {"random_actions": True}])
def test_pieces_of_trajectories_and_random_actions_are_refused(arguments):
    """Nothing could be compared within a group."""
    with pytest.raises(NotImplementedError, match="num_episodes"):
        make_runner().sample(**arguments)


def test_exploration_can_be_switched_off():
    """Siblings then do the same."""
    episodes = make_runner(groups=1).sample(explore=False)
    assert len({episode.get_actions().tobytes() for episode in episodes}) == 1


def test_every_step_says_which_weights_acted():
    """The learner reports from it how far behind the runner was."""
    runner = make_runner()
    runner.set_state({**runner.get_state(), WEIGHTS_SEQ_NO: 7})
    for episode in runner.sample():
        assert np.asarray(episode.get_extra_model_outputs(WEIGHTS_SEQ_NO)).tolist() == [7] * len(episode)


def test_timesteps_are_counted_and_idle_environments_are_not():
    """One RLlib step is one chunk of a running episode."""
    runner = make_runner()
    timesteps = sum(map(len, runner.sample()))
    assert runner.get_metrics()[NUM_ENV_STEPS_SAMPLED].peek() == timesteps


def test_the_environment_says_what_prompts_there_are():
    """Those of the training split."""
    assert set(reach_runner().prompts()) == set(ReachEnv(split="train").prompts())


def test_callbacks_see_what_was_sampled():
    """Every whole trajectory, before it is scored."""
    seen = []

    class Watcher(RLlibCallback):
        def on_sample_end(self, *, samples, **kwargs):
            seen.extend(samples)

    config = reach_config(ttrl={"reward": "success"})
    config.callbacks(Watcher)
    runner = reach_runner(config)
    groups, _ = runner.sample_groups(starts(2), ONES)
    assert len(seen) == 8 > sum(len(group.episodes) for group in groups)


@pytest.mark.parametrize(
    ("wrapper", "paid"),
    [
        ("NoisySuccess(p=1.0)", lambda won, steps: float(not won)),
        ("EfficiencyReward()", lambda won, steps: won / (1 + steps / 12)),
        ("ShapedReward(weights={'reward': 1.0, 'steps': 0.5})", lambda won, steps: won - 0.5 * steps / 12),
    ],
)
def test_wrappers_change_what_is_learned_from_and_not_what_is_true(wrapper, paid):
    """Of the environment's own success and length; metrics and votes go by these."""
    environment = seeker.ENVIRONMENT.replace(wrappers=(wrapper,))
    config = reach_config(groups=4, ttrl={"reward": "env"}, adv_estimator="gae")
    config.environment(environment.id, env_config={**environment.kwargs("train"), "wrap": environment.wrap})
    groups, _ = reach_runner(config).sample_groups(starts(4), ONES)
    assert {success for group in groups for success in group.successes} == {True, False}
    for group in groups:
        assert group.metrics["success_rate"] == np.mean(group.successes)
        for episode, success in zip(group.episodes, group.successes, strict=True):
            assert success == episode.is_terminated
            last = paid(success, episode.get_infos(-1)["elapsed_steps"])
            np.testing.assert_allclose(episode.get_rewards(), [0.0] * (len(episode) - 1) + [last], rtol=1e-6)


def advantages_of(runner):
    """Whether each trajectory that is trained on succeeded, and its advantage."""
    groups, _ = runner.sample_groups(starts(8), ONES)
    return [
        (episode.is_terminated, column(episode, GROUP_ADVANTAGE)[0]) for group in groups for episode in group.episodes
    ]


def test_the_options_of_nsr_reach_the_advantages():
    """Those of the configuration, and not the usual ones."""
    nsr = NSR(positive_weight=0.25, negative_weight=3.0, baseline="grpo_mean")
    plain, weighed = (
        advantages_of(reach_runner(groups=8, **options))
        for options in ({"adv_estimator": "grpo_mean"}, {"adv_estimator": "grpo_nsr", "nsr": nsr})
    )
    assert plain
    expected = [(won, value * (0.25 if won else 3.0)) for won, value in plain]
    np.testing.assert_allclose(weighed, expected, rtol=1e-6)


def test_the_options_of_a_vote_reach_the_rewards():
    """It pays three quarters here, and the environment the rest, where siblings agree on failure."""
    vote = {"reward": "vote", "rule": "agreement", "vote_share": 0.75}
    groups, _ = reach_runner(groups=8, ttrl=vote, adv_estimator="gae").sample_groups(starts(8), ONES)
    failures = [group for group in groups if 0 < sum(group.successes) < 2]
    assert failures
    for group in failures:
        assert [each.get_rewards()[-1] for each in group.episodes] == [0.25 if won else 0.75 for won in group.successes]


def test_a_fault_of_a_worker_costs_its_group_and_no_other(faults):
    """The whole group; returns are those of the trajectories that came to their end."""
    config = reach_config(adv_estimator="gae", env_config={"num_workers": 2})
    runner = reach_runner(config.environment(unlucky.ENV_ID))
    unlucky.add_faults(faults, 1)
    groups, results = runner.sample_groups(starts(2), ONES)
    assert sorted((group.invalid, len(group.episodes)) for group in groups) == [(0, 4), (4, 0)]
    (whole,) = [group for group in groups if not group.invalid]
    assert results[EPISODE_RETURN_MEAN].peek() == pytest.approx(np.mean(whole.successes))
    runner.stop()


def make_envs(num_envs=8, group_size=4, **kwargs):
    arguments = {"wrap": wrap, **kwargs}
    return gym.make_vec(register(), num_envs, "vector_entry_point", group_size=group_size, mode="hold", **arguments)


def sample(module, envs, starts, temperatures=TEMPERATURES, explore=True):
    return sample_episodes(module, envs, starts, temperatures, explore=explore)


@pytest.fixture(scope="module")
def module():
    return make_module()


@pytest.fixture(scope="module")
def episodes(module):
    """Two rounds of two groups, some of them successes."""
    envs = make_envs()
    return [*sample(module, envs, starts(2)), *sample(module, envs, starts(2, skip=2))]


def test_every_environment_gives_one_finished_episode(episodes):
    """In their order, from its first observation to its last."""
    assert all(episode.is_done and episode.is_numpy for episode in episodes)
    assert [episode.get_infos(-1)["trajectory_index"] for episode in episodes] == [0, 1, 2, 3] * 4
    assert [episode.get_infos(0)["group_id"] for episode in episodes] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_successes_and_failures_are_both_there(episodes):
    """Otherwise the tests around this one would say little."""
    assert {episode.is_terminated for episode in episodes} == {True, False}
    assert len({len(episode) for episode in episodes}) > 1


def logp_error(module, episode, temperature):
    """The largest difference between the log-probabilities that were stored and those of an update."""
    observations = {key: torch.from_numpy(each) for key, each in episode.get_observations(slice(0, -1)).items()}
    tokens = torch.from_numpy(column(episode, ACTION_TOKENS))
    _, token_logp, _ = module.policy.evaluate_actions(observations, tokens, temperature)
    return np.abs(token_logp.detach().numpy() - column(episode, TOKEN_LOGP)).max()


def test_the_ratio_of_a_fresh_update_is_one(module, episodes):
    """Stored log-probabilities are those of the stored observations at the stored temperature."""
    for episode in episodes:
        assert logp_error(module, episode, torch.from_numpy(column(episode, TEMPERATURE))) < 1e-5


def test_without_the_temperature_the_ratio_is_not_one(module, episodes):
    """The check above sees when an update forgets it."""
    for episode in episodes:
        if episode.get_infos(0)["trajectory_index"] != 2:  # whose temperature is 1
            assert logp_error(module, episode, None) > 1e-3


def test_the_temperature_is_that_of_the_place_in_the_group(episodes):
    """At every timestep, as a column."""
    for episode in episodes:
        place = episode.get_infos(0)["trajectory_index"]
        assert column(episode, TEMPERATURE).tolist() == [[TEMPERATURES[place]]] * len(episode)
        assert column(episode, TEMPERATURE).dtype == np.float32


def test_the_policy_sees_what_the_environment_shows(episodes):
    """Without the temperature, which groups show to other codebases among the observations."""
    keys = set(wrap(ReachEnv()).observation_space)
    for episode in episodes:
        assert set(episode.get_observations()) == set(episode.observation_space) == keys


def test_actions_are_the_decoded_tokens(module, episodes):
    """What the environment executed is what an update asks about."""
    for episode in episodes:
        decoded = module.policy.decode(torch.from_numpy(column(episode, ACTION_TOKENS)))
        np.testing.assert_array_equal(episode.get_actions(), decoded)


def test_executed_actions_add_up_to_the_control_steps(episodes):
    """Only the last chunk of an episode can be cut short, and some are; an action is seven tokens."""
    for episode in episodes:
        executed = column(episode, TOKEN_MASK).reshape(len(episode), CHUNK_SIZE, 7)
        assert executed.sum() == 7 * episode.get_infos(-1)["elapsed_steps"]
        assert executed[:-1].all()
        assert executed[:, 0].all()
    assert 7 in {column(episode, TOKEN_MASK)[-1].sum() for episode in episodes}


def test_infos_may_be_nested(module):
    """As those of Gymnasium's episode statistics around an environment are."""

    def make_env():
        return RecordEpisodeStatistics(wrap(ReachEnv()))

    for episode in sample(module, GroupVectorEnv([make_env] * 2, 2, "hold"), starts(1), TEMPERATURES[:2]):
        assert episode.get_infos(-1)["episode"]["l"] == len(episode)


def test_observations_are_those_of_the_environment(episodes):
    """All environments of a group start on the same image, and groups on images of their own."""
    first = [episode.get_observations(0)["image"] for episode in episodes[:8]]
    assert all((image == first[0]).all() for image in first[:4])
    assert all((image == first[4]).all() for image in first[4:])
    assert (first[0] != first[4]).any()


def test_without_exploration_siblings_do_the_same(module):
    """The most probable tokens do not depend on the temperature."""
    first, *others = sample(module, make_envs(num_envs=4), starts(1), explore=False)
    assert all((first.get_actions() == other.get_actions()).all() for other in others)


def test_groups_without_a_start_give_no_episode(module):
    """A round may be smaller than the environment."""
    episodes = sample(module, make_envs(), starts(1))
    assert [episode.get_infos(-1)["group_id"] for episode in episodes] == [0] * 4


def assert_same(episode, other):
    np.testing.assert_array_equal(episode.get_actions(), other.get_actions())
    np.testing.assert_array_equal(episode.get_observations()["image"], other.get_observations()["image"])


def test_a_trajectory_depends_on_its_start_and_on_nothing_beside_it(module):
    """The same groups, one by one, in another environment and after other groups."""
    together = sample(module, make_envs(), starts(2))
    envs = make_envs(num_envs=4)
    sample(module, envs, starts(1, seed=9))
    alone = [episode for start in reversed(starts(2)) for episode in sample(module, envs, [start])]
    for episode, other in zip(together, [*alone[4:], *alone[:4]], strict=True):
        assert_same(episode, other)


def test_siblings_and_groups_sample_on_their_own(module):
    """At the same prompt and temperature."""
    given = [GroupStart(0, 1, Prompt(0, 3)), GroupStart(1, 2, Prompt(0, 3))]
    episodes = sample(module, make_envs(), given, ONES)
    first = {column(episode, ACTION_TOKENS)[0].tobytes() for episode in episodes}
    assert len(first) == 8


def test_what_is_sampled_does_not_follow_the_prompt(module):
    """The seed of a group draws its prompt, and must not draw its tokens too."""
    envs = make_envs(num_envs=2, group_size=2, num_init_states=100_000)
    states, noise = [], []
    for start in starts(200):
        states.append(int(envs.reset_to([start])[1]["init_state_id"][0]))
        noise.append([next(each)[:3] for each in TokenSampler(module, [start], 2, ONES[:2], True).noise])
    columns = np.column_stack([states, np.reshape(noise, (200, 6))])
    assert np.abs(np.corrcoef(columns.T)[0, 1:]).max() < 4 / 200**0.5


def test_torchs_own_generator_is_left_alone(module):
    """What else a process draws changes no trajectory."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    sample(module, make_envs(), starts(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_episode_holds_no_array_of_other_environments(module):
    """Otherwise dropping a trajectory would free nothing."""
    for episode in sample(module, make_envs(), starts(2)):
        for each in episode.get_observations().values():
            owner = each if each.base is None else each.base
            assert owner.nbytes == each.nbytes


def test_weights_that_are_not_finite_sample_nothing():
    """Every token would be the first bin, and look like one that was chosen."""
    runner = make_runner()
    next(runner.module.parameters()).data.fill_(np.nan)
    with pytest.raises(NonFiniteError, match="`token_logp` is not finite, because of its weights"):
        runner.sample()


@pytest.mark.parametrize("bad", [np.nan, 0.0, np.inf, -1.0])
def test_temperatures_are_positive_numbers(bad):
    """Whoever gives them."""
    with pytest.raises(InvalidArgumentError, match="`temperatures` to be 4 positive numbers"):
        make_runner().sample_groups(starts(1), [1.0, 1.0, 1.0, bad])
