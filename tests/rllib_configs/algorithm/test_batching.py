"""Whole groups for every learner, the minibatches that all of them agree on, and the batches gathered for them."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.minibatch_utils import MiniBatchCyclicIterator, ShardEpisodesIterator

from rllib_configs.algorithm.batching import GroupTrainingData, Rows, Timesteps, minibatches
from rllib_configs.algorithm.sampled_group import ACTION_TOKENS, TOKEN_LOGP, TOKEN_MASK, TOKEN_WEIGHT
from tests.rllib_configs.setups import reach_runner
from vla_envs.spec import TEMPERATURE

GROUPS = [[6, 2, 5], [1, 1, 9], [3, 4, 3], [6, 6, 6]]
"""Lengths of the trajectories of four groups."""

groups = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=6)
sizes = st.one_of(st.none(), st.integers(1, 30))
seeds = st.integers(0, 100)


def make_episode(length, group_id):
    """Finished, with observations that count its steps."""
    return SingleAgentEpisode(
        observations=list(range(length + 1)),
        infos=[{"group_id": group_id}] * (length + 1),
        actions=[0] * length,
        rewards=[0.0] * length,
        terminated=True,
        len_lookback_buffer=0,
    )


def make_data(lengths):
    """Group after group."""
    episodes = [make_episode(length, group_id) for group_id, group in enumerate(lengths) for length in group]
    return GroupTrainingData.of(episodes)


def shards_of(data, number):
    return [shard for shard, _ in data.shard(number)]


def steps_of(data, *arguments):
    """For each minibatch the pairs of trajectory and step, as all learners number them."""
    return [
        list(zip(data.own[rows.trajectories].tolist(), rows.steps.tolist(), strict=True))
        for rows in minibatches(data, *arguments)
    ]


@given(groups, st.integers(1, 4))
def test_every_trajectory_is_in_one_shard(lengths, number):
    """With its place among all of them."""
    data = make_data(lengths)
    shards = shards_of(data, number)
    assert sorted(index for shard in shards for index in shard.own) == list(range(len(data.episodes)))
    for shard in shards:
        assert shard.episodes == [data.episodes[index] for index in shard.own]
        np.testing.assert_array_equal(shard.lengths, data.lengths)


@given(groups, st.integers(1, 4))
def test_no_group_is_in_two_shards(lengths, number):
    """Its trajectories are compared with each other."""
    for group_id, group in enumerate(lengths):
        holders = [
            sum(episode.get_infos(-1)["group_id"] == group_id for episode in shard.episodes)
            for shard in shards_of(make_data(lengths), number)
        ]
        assert sorted(holders) == [0] * (number - 1) + [len(group)]


@given(groups, st.integers(1, 4))
def test_shards_differ_by_a_group_at_most(lengths, number):
    """In timesteps, which are what costs time."""
    loads = [sum(map(len, shard.episodes)) for shard in shards_of(make_data(lengths), number)]
    assert max(loads) - min(loads) <= max(map(sum, lengths))


def test_rllibs_own_shards_cut_trajectories():
    """Of the same data, where ours have all of them whole."""
    data = make_data([[7, 7], [7, 7], [7, 7]])
    stock = [len(episode) for shard in ShardEpisodesIterator(data.episodes, 4) for episode in shard]
    ours = [len(episode) for shard in shards_of(data, 4) for episode in shard.episodes]
    assert min(stock) < 7
    assert ours == [7] * 6


@given(groups, sizes, seeds, st.booleans())
def test_a_pass_has_every_timestep_once(lengths, size, seed, whole_trajectories):
    """No row twice, and no minibatch without one."""
    data = make_data(lengths)
    parts = steps_of(data, size, [seed], whole_trajectories)
    expected = [(index, step) for index, length in enumerate(data.lengths) for step in range(length)]
    assert sorted(pair for part in parts for pair in part) == expected
    assert all(parts)


def test_rllibs_own_minibatches_repeat_rows():
    """To fill the last of a pass, where ours are of about equal sizes."""
    batch = MultiAgentBatch({"policy": SampleBatch({"row": np.arange(52)})}, 52)
    stock = [each["policy"]["row"] for each in MiniBatchCyclicIterator(batch, minibatch_size=16, num_epochs=1)]
    assert len(np.concatenate(stock)) > 52
    assert [len(part) for part in steps_of(make_data(GROUPS), 16, [0])] == [18, 17, 17]


@given(groups, sizes, seeds, st.booleans(), st.integers(1, 4))
def test_learners_agree_on_the_minibatches(lengths, size, seed, whole_trajectories, number):
    """Together they have what one learner has, minibatch by minibatch; some may have nothing of one."""
    data = make_data(lengths)
    alone = steps_of(data, size, [seed], whole_trajectories)
    together = [steps_of(shard, size, [seed], whole_trajectories) for shard in shards_of(data, number)]
    for expected, *parts in zip(alone, *together, strict=True):
        assert sorted(pair for part in parts for pair in part) == sorted(expected)


@given(groups, sizes, seeds)
def test_minibatches_are_about_as_large_as_asked_for(lengths, size, seed):
    """All alike, as many as fit best."""
    counts = [len(part) for part in steps_of(make_data(lengths), size, [seed])]
    total = sum(map(sum, lengths))
    assert len(counts) == (1 if size is None else max(1, round(total / size)))
    assert max(counts) - min(counts) <= 1


@given(groups, sizes, seeds)
def test_a_trajectory_is_whole_in_its_minibatch_where_that_is_asked_for(lengths, size, seed):
    """No minibatch is larger than it would be otherwise by more than a trajectory."""
    data = make_data(lengths)
    parts = steps_of(data, size, [seed], True)
    for part in parts:
        held = [index for index, _ in part]
        assert all(held.count(index) == data.lengths[index] for index in held)
    number = 1 if size is None else max(1, round(data.lengths.sum() / size))
    assert max(map(len, parts)) <= data.lengths.sum() / number + data.lengths.max()


@pytest.mark.parametrize("whole_trajectories", [False, True])
def test_the_seed_gives_the_order(whole_trajectories):
    """The same one again, another for another pass."""
    first, again, other = (steps_of(make_data(GROUPS), 16, seed, whole_trajectories) for seed in ([1], [1], [2]))
    assert first == again != other


def test_a_share_survives_the_way_to_its_learner():
    """It has the lengths of all trajectories, and its own ones alone."""
    shard = shards_of(make_data(GROUPS), 2)[1]
    sent = pickle.loads(pickle.dumps(shard))
    sent.validate()
    assert steps_of(sent, 16, [0], False) == steps_of(shard, 16, [0], False)
    assert [len(episode) for episode in sent.episodes] == list(sent.lengths[sent.own])


def test_a_learner_without_a_group_has_as_many_minibatches():
    """All of them empty: learners wait for each other after each."""
    empty = shards_of(make_data([[5, 5]]), 2)[1]
    assert steps_of(empty, 3, [0], False) == [[], [], []]


@given(st.integers(0, 20), st.integers(1, 7))
def test_parts_follow_each_other(number, size):
    """None larger than asked for, and none empty."""
    rows = Rows(np.arange(number) // 2, np.arange(number) % 2)
    parts = list(rows.split(size))
    assert all(0 < len(part.steps) <= size for part in parts)
    for name in ("trajectories", "steps"):
        together = [each for part in parts for each in getattr(part, name)]
        assert together == getattr(rows, name).tolist()


@pytest.fixture(scope="module")
def episodes():
    """Two groups of four, of several lengths."""
    return reach_runner().sample()


@pytest.fixture
def timesteps(episodes):
    return Timesteps(episodes)


def rows_of(*pairs):
    """Rows of pairs of trajectory and step."""
    return Rows(*np.array(pairs).T)


def every_row(episodes):
    return rows_of(*((index, step) for index, episode in enumerate(episodes) for step in range(len(episode))))


def test_a_batch_has_the_columns_of_its_timesteps(timesteps, episodes):
    """In the order of its rows, whichever trajectories they are of."""
    rows = rows_of((3, 0), (0, len(episodes[0]) - 1), (3, 0))
    batch = timesteps.batch(rows, "cpu")
    for row, (index, step) in enumerate(zip(rows.trajectories, rows.steps, strict=True)):
        episode = episodes[index]
        for key in (ACTION_TOKENS, TOKEN_LOGP, TOKEN_MASK, TEMPERATURE):
            np.testing.assert_array_equal(batch[key][row], episode.get_extra_model_outputs(key)[step])
        np.testing.assert_array_equal(batch[Columns.ACTIONS][row], episode.get_actions(int(step)))
        for key, each in episode.get_observations(int(step)).items():
            np.testing.assert_array_equal(batch[Columns.OBS][key][row], each)


def test_images_stay_bytes(timesteps, episodes):
    """Until they are inside the model."""
    batch = timesteps.batch(every_row(episodes), "cpu")
    assert batch[Columns.OBS]["image"].dtype == torch.uint8
    assert batch[TOKEN_LOGP].dtype == torch.float32


def test_what_is_not_in_a_batch_is_not_copied(timesteps, episodes):
    """The observations are the trajectories' own arrays."""
    for columns, episode in zip(timesteps.columns, episodes, strict=True):
        assert np.shares_memory(columns[Columns.OBS]["image"], episode.get_observations()["image"])


def test_one_step_past_the_last_is_what_the_trajectory_ended_with(timesteps, episodes):
    """A critic is asked about it where a step limit ended it."""
    rows = rows_of(*((index, len(episode)) for index, episode in enumerate(episodes)))
    seen = timesteps.observations(rows, "cpu")
    for index, episode in enumerate(episodes):
        for key, each in episode.get_observations(-1).items():
            np.testing.assert_array_equal(seen[key][index], each)


def test_tokens_are_those_of_executed_actions(timesteps, episodes):
    """As many as the mask of a batch has, which some actions of cut chunks are not in."""
    executed = sum(episode.get_infos(-1)["elapsed_steps"] for episode in episodes)
    rows = every_row(episodes)
    batch = timesteps.batch(rows, "cpu")
    assert timesteps.weight(rows) == batch[TOKEN_MASK].sum() == 7 * executed < batch[TOKEN_LOGP].numel()


def test_every_trajectory_weighs_the_same_in_a_mean_over_trajectories(episodes):
    """However long it is; its weight is spread evenly over its tokens."""
    timesteps = Timesteps(episodes, sequence_mean=True)
    batch = timesteps.batch(every_row(episodes), "cpu")
    of_row = (batch[TOKEN_MASK].sum(1) * batch[TOKEN_WEIGHT]).numpy()
    ends = np.cumsum([len(episode) for episode in episodes])[:-1]
    assert [each.sum() for each in np.split(of_row, ends)] == pytest.approx([1.0] * len(episodes))
    assert timesteps.weight(every_row(episodes)) == pytest.approx(len(episodes))


def test_no_timestep_has_no_token(timesteps):
    """Also where a learner has no trajectory at all."""
    nothing = Rows(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert timesteps.weight(nothing) == Timesteps([]).weight(nothing) == 0


def test_a_column_is_added_beside_the_others(timesteps, episodes):
    """A number for each timestep, or one for all of them; the episode stays as it was."""
    for index, episode in enumerate(episodes):
        timesteps.add(index, "position", np.arange(len(episode)))
        timesteps.add(index, "trajectory", index)
    rows = every_row(episodes)
    batch = timesteps.batch(rows, "cpu")
    assert batch["position"].tolist() == rows.steps.tolist()
    assert batch["trajectory"].tolist() == rows.trajectories.tolist()
    assert batch["position"].dtype == batch["trajectory"].dtype == torch.float32
    assert "position" not in episodes[0].extra_model_outputs


def test_a_column_is_replaced(timesteps, episodes):
    """As the log-ratios of trajectories are at every minibatch."""
    for number in (1.0, 2.0):
        for index in range(len(episodes)):
            timesteps.add(index, "number", number)
    assert set(timesteps.batch(every_row(episodes), "cpu")["number"].tolist()) == {2.0}
