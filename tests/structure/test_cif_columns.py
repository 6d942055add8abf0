"""`protcontact.structure.cif_columns`: what both kinds of file must agree on."""

import numpy as np
import pytest

from protcontact.structure.cif_binary import open_binary
from protcontact.structure.cif_columns import (
    NO_INTEGER,
    factorise,
    number_text,
    to_float,
    to_integers,
)
from protcontact.structure.cif_text import open_text
from tests.structure.builders import to_bcif

TEXT = b"""data_X
loop_
_atom_site.word
_atom_site.Cartn_x
_atom_site.label_seq_id
A  1.5   3
.  ?     .
?  -2.25 -1
B  1e1   3
#
_single.word 'two words'
_single.num 7
"""


def tables(name):
    return [open_blocks(content)[0].category(name) for open_blocks, content in FORMATS]


FORMATS = [
    (open_text, TEXT),
    (open_binary, to_bcif(TEXT)),
    (open_text, TEXT.replace(b"\n", b"\r\n")),
]


def test_columns_are_the_same_from_text_and_binary():
    for table in tables("atom_site"):
        assert table.strings("word") == ["A", "", "", "B"]
        np.testing.assert_array_equal(table.floats("Cartn_x"), [1.5, np.nan, -2.25, 10.0])
        np.testing.assert_array_equal(table.integers("label_seq_id"), [3, NO_INTEGER, -1, 3])
        assert table.strings("label_seq_id") == ["3", "", "-1", "3"]
        assert "word" in table
        assert "other" not in table
    for table in tables("single"):
        assert table.strings("word") == ["two words"]
        assert table.strings("num") == ["7"]


def test_some_rows_in_their_order():
    rows = np.array([3, 0])
    for table in tables("atom_site"):
        assert table.strings("word", rows) == ["B", "A"]
        assert table.floats("Cartn_x", rows).tolist() == [10.0, 1.5]
        assert table.integers("label_seq_id", rows).tolist() == [3, 3]


def test_a_category_that_is_absent():
    assert tables("nothing") == [None] * len(FORMATS)


def test_words_where_numbers_are_expected_are_unknown():
    for table in tables("atom_site"):
        assert np.isnan(table.floats("word")).all()
        assert (table.integers("word") == NO_INTEGER).all()


def test_factorised_text_spells_the_rows():
    column = factorise(["b", "a", "b", "?"])
    assert column.codes.tolist() == [0, 1, 0, 2]
    assert column.values == ["b", "a", ""]
    assert column.tolist() == ["b", "a", "b", ""]


@pytest.mark.parametrize(("number", "text"), [(1234567, "1234567"), (-3.0, "-3"), (1.5, "1.5")])
def test_numbers_as_mmcif_writes_them(number, text):
    assert number_text(number) == text


def test_what_is_no_whole_number():
    values = np.array([1.0, 1.5, np.nan, np.inf, -7.0, 1e30])
    expected = [1, NO_INTEGER, NO_INTEGER, NO_INTEGER, -7, NO_INTEGER]
    assert to_integers(values).tolist() == expected
    assert np.isnan(to_float("CA"))
