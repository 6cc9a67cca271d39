"""The tokenizer, beside transformers' own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from policies.dinov2_bert.wordpieces import SMALL_VOCABULARY, wordpiece_tokenizer

PIECES = {piece: number for number, piece in enumerate(SMALL_VOCABULARY)}
MARKS = ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
texts = st.lists(
    st.sampled_from(["Put", "cubes", "ÖFFNE", "a-b", "x9!", "drawer.", "中", " "])
    | st.text(max_size=5).filter(lambda word: word not in MARKS)
)


@pytest.mark.parametrize("lowercase", [True, False])
@given(words=texts)
def test_it_is_that_of_transformers(lowercase, words):
    """Piece by piece."""
    theirs = BertTokenizer(vocab=PIECES, do_lower_case=lowercase)
    text = " ".join(words)
    assert wordpiece_tokenizer(SMALL_VOCABULARY, lowercase).encode(text).ids == theirs(text)["input_ids"]


@pytest.mark.parametrize("mark", MARKS)
def test_an_instruction_has_no_marks(mark):
    """Whoever writes one gets its characters, where transformers would begin another sequence."""
    (begin, *inner, end) = wordpiece_tokenizer(SMALL_VOCABULARY, lowercase=True).encode(mark).ids
    assert {begin, end} == {PIECES["[CLS]"], PIECES["[SEP]"]}
    assert len(inner) > 1
    assert PIECES["[UNK]"] not in inner
    assert not {PIECES[each] for each in MARKS} & set(inner)
