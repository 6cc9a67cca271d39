"""Runs on questions: a language model is cloned from a generator's answers, and goes on by a vote without labels."""

import json
from collections import Counter
from math import isclose

import numpy as np
import pytest
import torch

from policies.registry import load_policy
from rllib_configs import presets
from rllib_configs.cli import main
from rllib_configs.config import TTRL, CausalLMConfig, Evaluation, Resources
from rllib_configs.run.cloning import collect, load_initial_policy
from rllib_configs.run.evaluation import read_episodes
from rllib_configs.run.train import load_experiment, train
from vla_envs.errors import InvalidArgumentError
from vla_envs.text import sums

PRESET = presets.text_ttrl()
SMALL = PRESET.replace(
    iterations=2,
    environment=PRESET.environment.replace(env_kwargs={"digits": 2, "num_questions": 40, "skipped": 400}),
    policy=CausalLMConfig(hidden_size=32),
    bc=PRESET.bc.replace(
        demonstrations_per_task=200, env_kwargs={"num_questions": 400, "skipped": 0}, steps=60, batch_size=64
    ),
    ttrl=PRESET.ttrl.replace(n_votes_per_prompt=8, n_samples_per_prompt=6, rollout_data_dir="rollouts"),
    ppo=PRESET.ppo.replace(groups_per_iteration=4),
    resources=Resources(num_env_runners=0, groups_per_env_runner=4),
    evaluation=Evaluation(num_episodes=8, num_envs=8, curve_episodes=8, videos=0),
)


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_two_iterations_by_votes_alone(tmp_path, monkeypatch):
    """It learns; what was sampled is written, and its rewards are what the answers of each group say."""
    monkeypatch.chdir(tmp_path)
    run = train(SMALL, tmp_path / "runs")
    before, after = (
        dict(load_policy("causal_lm", run / name).named_parameters()) for name in ("policy_before", "policy")
    )
    assert any(not torch.equal(before[name], each) for name, each in after.items())
    assert {each.task for some in read_episodes(run).values() for each in some} == {"answer the question"}
    assert load_experiment(run) == SMALL.resolved()
    known = {each.text: each.answer for each in sums(2, 40, 400)}
    for step in (1, 2):
        lines = [json.loads(line) for line in (tmp_path / "rollouts" / f"{step}.jsonl").read_text().splitlines()]
        assert Counter(each["group"] for each in lines) == dict.fromkeys({each["group"] for each in lines}, 8)
        assert len(lines) == 32
        for group in {each["group"] for each in lines}:
            check_group([each for each in lines if each["group"] == group], known)


def check_group(lines, known):
    """One question, and a reward for those that have the answer of most."""
    (question,) = {each["input"] for each in lines}
    assert question in known
    assert all(each["success"] == (each["answer"] == known[question]) for each in lines)
    votes = Counter(each["answer"] for each in lines if each["answer"]).most_common()
    if votes and (len(votes) == 1 or votes[0][1] > votes[1][1]):
        assert [each["score"] for each in lines] == [float(each["answer"] == votes[0][0]) for each in lines]
        assert isclose(sum(each["advantage"] for each in lines), 0.0, abs_tol=1e-5)
    else:
        assert not any(each["trained"] for each in lines)


def test_a_clone_is_made_of_other_questions_than_those_that_vote():
    """Whole answers, which the policy's tokens spell."""
    experiment = SMALL.resolved()
    shown = collect(experiment.demonstrated, experiment.bc, experiment.seed)
    policy = load_initial_policy(experiment)
    tokens = policy.encode(torch.from_numpy(shown.actions))
    answers = [
        policy.tokens.decode(row[row_mask > 0].tolist()) for row, row_mask in zip(tokens, shown.mask, strict=True)
    ]
    questions = ["".join(map(chr, row[row > 0])) for row in shown.observations["instruction_bytes"]]
    seen = {each.text: each.answer for each in sums(2, 400, 0)}
    assert [seen[each] for each in questions] == answers
    assert len(set(questions)) == 200
    assert not {each.text for each in sums(2, 40, 400)} & set(questions)


def test_a_longer_episode_than_response_is_refused():
    """Of the rest the policy would not know what it has said."""
    environment = SMALL.environment.replace(max_episode_steps=64)
    with pytest.raises(InvalidArgumentError, match=r"at most the longest response of the policy, 32 tokens.*64"):
        SMALL.replace(environment=environment).resolved()


def test_films_of_answers_are_refused_before_training():
    """There would be nothing to see, at the end of a run."""
    with pytest.raises(InvalidArgumentError, match=r"`evaluation\.videos` to be 0.*actually: 2"):
        SMALL.replace(evaluation=Evaluation(videos=2)).resolved()


@pytest.mark.parametrize(
    "changes", [{"reward": "progress"}, {"reward": "vote", "rule": "agreement", "outcome": "final_state_cluster"}]
)
def test_ids_of_tokens_are_not_compared(changes):
    """They are numbers, but near ones are no near answers."""
    ttrl = TTRL(**changes)
    with pytest.raises(InvalidArgumentError, match=r"compare no final states.*--ttrl\.outcome given_answer"):
        SMALL.replace(ttrl=ttrl).resolved()


@pytest.mark.parametrize(("what", "successes"), [("expert", 4), ("random", 0)])
def test_who_needs_no_images_answers_questions_too(what, successes, capsys):
    """The expert knows all of them; random tokens are no sums."""
    assert main(["evaluate", what, "--environment.id", "VLA-Text-v0", "--num-episodes", "4"]) == 0
    assert f"success {25 * successes:.1f}%" in capsys.readouterr().out


def test_what_is_shown_of_a_chunk_ends_with_the_answer():
    """The mask has as many tokens as the answer and its end."""
    experiment = SMALL.resolved()
    shown = collect(experiment.demonstrated, experiment.bc, experiment.seed)
    np.testing.assert_array_less(1, shown.mask.sum(1))
    assert shown.mask.sum(1).max() == 4  # three digits and the end
