"""`protcontact.structure.alphabet`."""

import numpy as np
import pytest

from protcontact.structure.alphabet import (
    AMBIGUOUS,
    LETTERS,
    PADDING,
    SIZE,
    UNKNOWN,
    decode,
    encode,
)


def test_twenty_letters_then_unknown_then_padding():
    assert LETTERS == "ACDEFGHIKLMNPQRSTVWYX"
    assert (UNKNOWN, PADDING, SIZE) == (20, 21, 22)


def test_decode_undoes_encode():
    np.testing.assert_array_equal(encode(LETTERS), np.arange(21))
    assert decode(encode(LETTERS)) == LETTERS


def test_ambiguous_letters_are_unknown():
    assert decode(encode(AMBIGUOUS)) == "X" * len(AMBIGUOUS)


@pytest.mark.parametrize(("sequence", "position"), [("AC*", 3), ("aC", 1), ("A C", 2), ("Aé", 2)])
def test_illegal_letters_are_refused_with_their_place(sequence, position):
    with pytest.raises(ValueError, match=f"at position {position}"):
        encode(sequence)
