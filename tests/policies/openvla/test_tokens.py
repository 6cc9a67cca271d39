"""Action bins."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.openvla.tokens import decode_ids, encode_actions

VOCABULARY = 32000


@given(st.lists(st.floats(-1.5, 1.5, width=32), min_size=1))
def test_a_number_gets_the_bin_of_the_official_tokenizer(numbers):
    """NumPy's `digitize` over 256 edges, from the end of the vocabulary."""
    expected = VOCABULARY - np.digitize(np.clip(np.float32(numbers), -1, 1).astype(np.float64), np.linspace(-1, 1, 256))
    assert encode_actions(torch.tensor(numbers), VOCABULARY).tolist() == expected.tolist()


def test_every_bin_decodes_to_itself():
    """All but the second id of the highest bin."""
    ids = torch.arange(VOCABULARY - 255, VOCABULARY)
    assert torch.equal(encode_actions(decode_ids(ids, VOCABULARY), VOCABULARY), ids)


def test_ids_beyond_the_actions_count_as_the_nearest():
    """As in the original, which clips."""
    centres = decode_ids(torch.tensor([0, 31743, 31744, 31745, 31999, 32063]), VOCABULARY)
    torch.testing.assert_close(centres, torch.tensor([1, 1, 1, 1, -1, -1], dtype=torch.float64) * 254 / 255)
