"""``VLA-Text-v0``: the contract, and what questions add to it."""

import json
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from tests.conformance import EnvConformance
from vla_envs.errors import InvalidArgumentError, MissingAssetsError
from vla_envs.spec import InstructionSpace
from vla_envs.text import TextEnv
from vla_envs.text.tokens import characters
from vla_envs.wrappers import EncodeInstruction
from vla_envs.wrappers.instruction import decode_instructions


class TestTextConformance(EnvConformance):
    """Sums."""

    env_id = "VLA-Text-v0"
    kwargs = {"digits": 2, "num_questions": 50}  # noqa: RUF012
    render_mode = "ansi"


def say(env, text, init_state_id=0):
    """Answer a question in one chunk."""
    env.reset(options={"init_state_id": init_state_id})
    return env.step_chunk(np.float32([*characters().encode(text), 0, 5, 5])[:, None])


@pytest.fixture
def env():
    return TextEnv(digits=2, num_questions=20)


@pytest.mark.parametrize("text", ["{}", "{}.0", r"7, no, \boxed{{{}}}", "it is {}."])
def test_the_right_answer_succeeds(env, text):
    """However it is said; nothing behind the end is executed."""
    (first, second), answer = env.questions[0].text[:-1].split("+"), env.questions[0].answer
    assert int(first) + int(second) == int(answer)
    said = text.format(answer)
    _, reward, terminated, truncated, info = say(env, said)
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["success"]
    assert info["executed_actions"] == len(said) + 1
    assert info["response"] == said
    assert info["answer"] == answer


@pytest.mark.parametrize(("text", "answer"), [("{}1", "{}1"), ("no idea", ""), ("", ""), ("{} or 7", "7")])
def test_a_wrong_answer_ends_the_episode_without_success(env, text, answer):
    """The last number counts; the next step needs a reset."""
    right = env.questions[0].answer
    _, reward, terminated, truncated, info = say(env, text.format(right))
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert not info["success"]
    assert info["answer"] == answer.format(right)
    with pytest.raises(gym.error.ResetNeeded):
        env.step([3])


def test_a_response_that_is_cut_counts_as_it_is():
    """At the step limit, without a token that ends it, as in TTRL."""
    env = TextEnv(digits=2, num_questions=20, max_episode_steps=3)
    answer = env.questions[0].answer
    for text, success in ((answer.zfill(3), True), (f"{answer}1"[-3:], False)):
        env.reset(options={"init_state_id": 0})
        _, reward, terminated, truncated, info = env.step_chunk(np.float32(characters().encode(text))[:, None])
        assert (reward, terminated, truncated, bool(info["success"])) == (float(success), success, True, success)


def test_success_is_said_at_the_end_alone(env):
    """The right number may have further digits to come."""
    env.reset(options={"init_state_id": 0})
    answer = env.questions[0].answer
    _, reward, terminated, _, info = env.step_chunk(np.float32(characters().encode(answer))[:, None])
    assert (reward, terminated, bool(info["success"]), str(info["answer"])) == (0.0, False, False, answer)
    _, reward, terminated, _, info = env.step([0])
    assert (reward, terminated, bool(info["success"])) == (1.0, True, True)


def test_the_final_state_is_the_response(env):
    """Its ids, padded to the step limit."""
    *_, info = say(env, "12")
    assert info["final_state"].tolist() == [*characters().encode("12"), 0] + [0] * 29


def test_a_saved_episode_goes_on(env):
    """With the response so far, in another environment."""
    env.reset(options={"init_state_id": 0})
    answer = env.questions[0].answer
    env.step_chunk(np.float32(characters().encode(answer))[:, None])
    other = TextEnv(digits=2, num_questions=20)
    other.restore_state(env.save_state())
    *_, info = other.step([0])
    assert info["success"]
    assert info["response"] == answer


def test_a_damaged_state_is_refused(env):
    """And the running episode goes on."""
    env.reset(options={"init_state_id": 0})
    state = env.save_state()
    for damaged in ({}, {"response": np.zeros(3)}, {"response": [1, 2]}, {"response": np.full(32, 10**6)}):
        state.simulation.clear()
        state.simulation.update(damaged)
        with pytest.raises(InvalidArgumentError, match=r"saved|`response`"):
            env.restore_state(state)
    *_, info = env.step([0])
    assert info["elapsed_steps"] == 1


def test_questions_of_a_file_are_asked(tmp_path):
    """Also with characters beyond ASCII, whose bytes arrive whole."""
    (tmp_path / "a.jsonl").write_text(
        '{"prompt": "Wie viel ist 1 ÷ 2?", "answer": "0.5"}\n{"prompt": "3²", "answer": 9}\n'
    )
    env = TextEnv(questions=str(tmp_path / "a.jsonl"), split="train")
    assert env._max_episode_steps == 3072
    *_, info = say(env, r"\boxed{\frac{1}{2}}")
    assert info["success"]
    encoded = EncodeInstruction(env)
    observation, _ = encoded.reset(options={"init_state_id": 0})
    assert encoded.observation_space.contains(observation)
    assert decode_instructions(observation["instruction_bytes"]) == ["Wie viel ist 1 ÷ 2?"]


def test_evaluation_has_questions_of_its_own(tmp_path):
    """Of another file, none of which trains."""
    for name, questions in (("a", "12"), ("b", "345"), ("c", "13")):
        lines = (f'{{"prompt": "{each}?", "answer": "{each}"}}\n' for each in questions)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    a, b, c = (str(tmp_path / f"{name}.jsonl") for name in "abc")
    env = TextEnv(questions=a, eval_questions=b)
    assert [env.questions[each].text for each in env.init_states(0, "train")] == ["1?", "2?"]
    assert [env.questions[each].text for each in env.init_states(0, "eval")] == ["3?", "4?", "5?"]
    with pytest.raises(InvalidArgumentError, match="not among `questions`, actually: '1\\?' and 0 more"):
        TextEnv(questions=a, eval_questions=c)


def test_options_of_sums_are_refused_with_a_file(tmp_path):
    """They would do nothing."""
    with pytest.raises(InvalidArgumentError, match="`digits` with questions='sums' alone"):
        TextEnv(questions=str(tmp_path / "a.jsonl"), digits=2)


def test_a_directory_without_a_tokenizer_is_refused(tmp_path):
    """It names what is missing."""
    with pytest.raises(MissingAssetsError, match=r"tokenizer\.json"):
        TextEnv(tokenizer=str(tmp_path))


def test_it_is_rendered_as_text():
    """The question, and what has been said."""
    env = TextEnv(digits=2, num_questions=20, render_mode="ansi")
    say(env, "12")
    assert env.render() == f"{env.questions[0].text}\n12"


@pytest.mark.parametrize("begun", ["", "1", "no, ", r"\boxed", "\\", r"\boxed{1} \bo"])
def test_the_expert_answers_from_any_beginning(env, begun):
    """Its plan and its single actions are the same."""
    for init_state_id in range(5):
        env.reset(options={"init_state_id": init_state_id})
        if begun:
            env.step_chunk(np.float32(characters().encode(begun))[:, None])
        plan = env.expert().plan(32)
        for action in plan:
            assert env.expert().action() == action
            *_, terminated, _, info = env.step(action)
        assert terminated
        assert info["success"], info["response"]


def test_from_the_start_the_expert_says_the_answer_alone(env):
    """And the token that ends it."""
    env.reset(options={"init_state_id": 0})
    assert env.expert().plan(32)[:, 0].tolist() == [*characters().encode(env.questions[0].answer), 0]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_every_process_counts_the_characters_of_instructions_alike(hash_seed):
    """Shared memory between processes holds their places, whatever order the sets of a process have."""
    code = "from vla_envs.spec import InstructionSpace; print([*map(ord, InstructionSpace(9, 'é→').character_list)])"
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    said = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [*map(ord, InstructionSpace(9, "é→").character_list)]
