"""Questions: sums, and those of files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.errors import InvalidArgumentError, MissingAssetsError
from vla_envs.text.questions import Question, read_questions, sums


def terms(question):
    return frozenset(map(int, question.text.removesuffix("=").split("+")))


@given(st.integers(2, 5), st.integers(2, 300), st.integers(0, 300))
def test_no_sum_is_there_twice(digits, num_questions, skipped):
    """Its terms exchanged neither; all have as many digits as asked for, and their answers are right."""
    questions = sums(digits, num_questions, skipped)
    assert len({terms(each) for each in questions}) == num_questions
    for question in questions:
        first, second = question.text.removesuffix("=").split("+")
        assert len(first) == len(second) == digits
        assert int(question.answer) == int(first) + int(second)


@given(st.integers(2, 100), st.integers(0, 100))
def test_skipped_sums_are_the_first_ones(num_questions, skipped):
    """So that nothing of one environment is asked in another."""
    assert sums(3, num_questions, skipped) == sums(3, skipped + num_questions)[skipped:]


@given(st.floats(0.0, 1.0), st.integers(0, 100))
def test_errors_change_digits_and_nothing_else(errors, skipped):
    """The same ones of a question wherever it stands; without errors none, and with 1 every digit."""
    right, wrong = sums(3, 50, skipped), sums(3, 50, skipped, errors)
    assert [each.text for each in wrong] == [each.text for each in right]
    assert wrong == sums(3, 50 + skipped, 0, errors)[skipped:]
    pairs = [pair for a, b in zip(right, wrong, strict=True) for pair in zip(a.answer, b.answer, strict=True)]
    differing = sum(a != b for a, b in pairs)
    assert differing == len(pairs) * errors if errors in (0.0, 1.0) else differing <= len(pairs)


def test_errors_are_as_frequent_as_they_should_be():
    """In each place of the answer."""
    right, wrong = sums(3, 4000), sums(3, 4000, errors=0.2)
    for place in range(3):
        share = sum(a.answer[place] != b.answer[place] for a, b in zip(right, wrong, strict=True)) / 4000
        assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 4000) ** 0.5


def test_there_are_as_many_sums_as_pairs():
    """45 of one digit."""
    assert {terms(each) for each in sums(1, 45)} == {frozenset((a, b)) for a in range(1, 10) for b in range(1, 10)}
    with pytest.raises(InvalidArgumentError, match="`num_questions` to be an integer from 2 to 45, actually: 46"):
        sums(1, 46)
    with pytest.raises(InvalidArgumentError, match="`skipped` to be an integer from 0 to 5, actually: 6"):
        sums(1, 40, 6)


@pytest.mark.parametrize("wrong", [[3], {}, "3", 3.5, True])
def test_what_is_no_number_of_sums_is_named(wrong):
    """Also where it could be no key."""
    for name in ("digits", "num_questions", "skipped"):
        with pytest.raises(InvalidArgumentError, match=f"`{name}`"):
            sums(**{name: wrong})


RECORDS = [
    {"prompt": "1+1?", "answer": "2", "source": "AIME", "id": 0},
    {"prompt": [{"role": "user", "content": "2+2?"}], "reward_model": {"style": "rule", "ground_truth": "4"}},
    {"prompt": "3/2?", "answer": 1.5},
]
QUESTIONS = (Question("1+1?", "2"), Question("2+2?", "4"), Question("3/2?", "1.5"))


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_records_of_ttrl_and_verl_are_read(tmp_path, ending):
    """A list or a record a line; what is there twice is one question."""
    path = tmp_path / f"a.{ending}"
    lines = [*RECORDS, RECORDS[0]]
    path.write_text(json.dumps(lines) if ending == "json" else "\n".join(map(json.dumps, lines)) + "\n\n")
    assert read_questions(path) == QUESTIONS


def test_tables_are_read(tmp_path):
    """As verl writes them."""
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[record]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    conversations = [[{"role": "user", "content": each.text}] for each in QUESTIONS]
    truths = [{"style": "rule", "ground_truth": each.answer} for each in QUESTIONS]
    table = pyarrow.table({"data_source": ["x"] * 3, "prompt": conversations, "reward_model": truths})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_questions(tmp_path / "a.parquet") == QUESTIONS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"prompt": "1?"}',
        '{"prompt": "1?", "answer": ""}',
        '{"prompt": "", "answer": "1"}',
        '{"prompt": "1?", "answer": true}',
        '{"prompt": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "1?"}], "answer": "1"}',
        '{"prompt": [{"role": "assistant", "content": "1?"}], "answer": "1"}',
        '{"prompt": "1?", "answer": "1"}\n{"prompt": "1?", "answer": "2"}',
        '{"prompt": "1?", "answer": "1"',
        '{"prompt": "1?", "answer": NaN}',
        '{"prompt": "1?", "answer": "1", "answer": "2"}',
    ],
)
def test_what_is_no_question_is_refused(tmp_path, text):
    """With the file's name; nothing is left out in silence."""
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidArgumentError, match=r"a\.jsonl` to hold records with `prompt` and `answer`, actually: "):
        read_questions(path)


def test_a_damaged_table_is_refused(tmp_path):
    """By the same error."""
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[record]'")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing of the kind PAR1")
    with pytest.raises(InvalidArgumentError, match="to hold records"):
        read_questions(tmp_path / "a.parquet")


def test_other_files_are_refused(tmp_path):
    """One that is missing too."""
    with pytest.raises(InvalidArgumentError, match=r"ends in \.json, \.jsonl, \.parquet, actually: "):
        read_questions(tmp_path / "a.txt")
    with pytest.raises(MissingAssetsError, match=r"a\.json"):
        read_questions(tmp_path / "a.json")
