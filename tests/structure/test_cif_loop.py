"""`protcontact.structure.cif_loop` against biotite's parser."""

from io import StringIO

import pytest
from biotite.structure.io.pdbx import CIFFile

from protcontact.structure.cif_loop import cut_loop

LOOP = b"""loop_
_atom_site.id
_atom_site.label_atom_id
_atom_site.Cartn_x
1 CA 1.5
2 "O5'" -2.0
3 'C 1"' ?
"""
PLAIN = LOOP.replace(b"'C 1\"'", b"CB")
BEFORE = b"data_X\n#\n_entity.id 1\n_entity.text\n;a text about _atom_site.id\n;\n#\n"
AFTER = b"#\nloop_\n_last.a\n_last.b\n1 2\n3 4\n#\n"


def by_biotite(content):
    category = CIFFile.read(StringIO(content.decode())).block["atom_site"]
    return {name: column.as_array(str).tolist() for name, column in category.items()}


@pytest.mark.parametrize(
    "ending", [AFTER, b"", b"#\n", b"_x.y 1\n", b"loop_\n_x.y\n1\n", b"LOOP_\n_x.y\n1\n"]
)
def test_a_plain_loop_reads_as_by_biotite(ending):
    rest, loop = cut_loop(BEFORE + PLAIN + ending, "atom_site")
    assert {name: loop.column(name) for name in loop.names} == by_biotite(BEFORE + PLAIN)
    assert rest.replace(b"\n", b"") == (BEFORE + ending).replace(b"\n", b"")


def test_the_rest_can_still_be_read():
    rest, _ = cut_loop(BEFORE + PLAIN + AFTER, "atom_site")
    block = CIFFile.read(StringIO(rest.decode())).block
    assert "atom_site" not in block
    assert block["last"]["b"].as_array(str).tolist() == ["2", "4"]
    assert block["entity"]["id"].as_item() == "1"


def test_rows_over_several_lines():
    broken = PLAIN.replace(b"1 CA 1.5", b"1\nCA\n  1.5")
    _, loop = cut_loop(BEFORE + broken, "atom_site")
    assert loop.column("label_atom_id") == ["CA", "O5'", "CB"]


@pytest.mark.parametrize(
    "content",
    [
        BEFORE + AFTER,  # no such loop
        BEFORE + LOOP,  # a quoted blank
        BEFORE + PLAIN.replace(b"CB", b"''"),  # an empty word
        BEFORE + PLAIN.replace(b"CB", b"CB # a comment"),
        BEFORE + PLAIN.replace(b"CB", b"\n;CB\n;"),  # a text block
        BEFORE + PLAIN + b"#\ndata_Y\n" + PLAIN,  # two data blocks
        BEFORE + b"_atom_site.id 1\n_atom_site.x 2\n",  # no loop
        BEFORE + b"_atom_site.id",
    ],
)
def test_what_is_not_plain_is_left_to_biotite(content):
    assert cut_loop(content, "atom_site") is None


def test_atom_site_anisotrop_is_another_category():
    other = PLAIN.replace(b"_atom_site.", b"_atom_site_anisotrop.")
    _, loop = cut_loop(BEFORE + other + b"#\n" + PLAIN, "atom_site")
    assert loop.names == ("id", "label_atom_id", "Cartn_x")
    assert cut_loop(BEFORE + other, "atom_site") is None


def test_a_loop_that_ends_within_a_row_is_refused():
    with pytest.raises(ValueError, match="ends in the middle of a row"):
        cut_loop(BEFORE + PLAIN[:-4], "atom_site")
