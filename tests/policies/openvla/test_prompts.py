"""Instructions as token ids."""

import pytest

pytest.importorskip("tokenizers")

from policies.openvla.prompts import BOS, PAD, SPACE, Prompter
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError


@pytest.fixture(scope="module")
def prompter(random_checkpoint):
    """Every letter is a token."""
    return Prompter(random_checkpoint / "tokenizer.json")


def test_a_prompt_begins_and_ends_as_in_training(prompter):
    """With the begin of the sequence, and the space in front of an action."""
    ids = prompter.ids("open it")
    assert (ids[0], ids[-1]) == (BOS, SPACE)
    assert ids.count(BOS) == 1


def test_letters_are_small(prompter):
    """As in the original."""
    assert prompter.ids("Open IT") == prompter.ids("open it") != prompter.ids("shut it")


def test_padding_stands_behind_the_first_id(prompter):
    """Where the patches of the images come to stand."""
    long, short = prompter(["open the drawer", "open"]).tolist()
    assert PAD not in long
    assert short[0] == BOS
    assert short[1 : 1 + short.count(PAD)] == [PAD] * (len("open the drawer") - len("open"))
    assert tuple(each for each in short if each != PAD) == prompter.ids("open")


def test_templates_differ(random_checkpoint, prompter):
    """The first models were trained on a chat."""
    chat = Prompter(random_checkpoint / "tokenizer.json", "openvla-v01")
    assert len(chat.ids("open")) > len(prompter.ids("open"))


def test_what_is_no_tokenizer_is_refused(tmp_path):
    """By its name."""
    with pytest.raises(MissingAssetsError, match=r"tokenizer\.json"):
        Prompter(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DamagedAssetsError, match=r"tokenizer\.json.* is damaged"):
        Prompter(tmp_path / "tokenizer.json")


def test_a_tokenizer_of_other_ids_is_refused(random_checkpoint, tmp_path):
    """Every prompt would end in an unrelated token."""
    content = (random_checkpoint / "tokenizer.json").read_text().replace("29871", "29870")
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InvalidArgumentError, match=r"29871.*actually: .*29870"):
        Prompter(tmp_path / "tokenizer.json")


def test_an_unknown_template_is_refused(random_checkpoint):
    """With those that there are."""
    with pytest.raises(
        InvalidArgumentError, match="`template` to be one of 'openvla', 'openvla-v01', actually: 'chat'"
    ):
        Prompter(random_checkpoint / "tokenizer.json", "chat")
