"""`protcontact.structure.cif_text`."""

import pytest

from protcontact.structure.cif_text import open_text

ROWS = b"loop_\n_atom_site.id\n_atom_site.name\n1 'C 1'\n2 CB\n#\n"


def test_a_loop_that_is_not_plain_is_read_by_biotite():
    table = open_text(b"data_X\n" + ROWS)[0].category("atom_site")
    assert table.strings("name") == ["C 1", "CB"]


@pytest.mark.parametrize("old", [b"name", b"atom_site"])
@pytest.mark.parametrize("rows", [ROWS, ROWS.replace(b"'C 1'", b"C1")])
def test_names_and_keywords_in_any_case(rows, old):
    """CIF is blind to case; biotite is not."""
    content = (b"data_x\n_a.b 1\n#\n" + rows).replace(old, old.title())
    content = content.replace(b"data_", b"DATA_").replace(b"loop_", b"LOOP_")
    (block,) = open_text(content)
    assert block.category("atom_site").strings("name") == [
        rows.split()[4].strip(b"'").decode() if b"'" not in rows else "C 1",
        "CB",
    ]
    assert "NAME" in block.category("atom_site")


def test_every_data_block_is_opened():
    first, second = open_text(b"data_X\n_a.b 1\n" + b"data_Y\n" + ROWS)
    assert first.category("atom_site") is None
    assert second.category("atom_site").strings("id") == ["1", "2"]


def test_bytes_that_are_no_text_do_no_harm_elsewhere():
    table = open_text(b"data_X\n_title.text \xff\xfe\n#\n" + ROWS)[0].category("atom_site")
    assert table.integers("id").tolist() == [1, 2]


def test_a_row_cut_short_is_refused():
    plain = ROWS.replace(b"'C 1'", b"C1").replace(b" CB\n#\n", b"")
    with pytest.raises(ValueError, match="middle of a row"):
        open_text(b"data_X\n" + plain)
