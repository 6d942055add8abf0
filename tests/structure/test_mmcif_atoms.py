"""`protcontact.structure.mmcif_atoms`."""

import numpy as np
import pytest

from protcontact.structure.cif_text import open_text
from protcontact.structure.mmcif_atoms import count_models, find_column, first_model, select_atoms
from tests.structure.builders import Atom, change, peptide, to_mmcif


def table_of(atoms, **options):
    return open_text(to_mmcif(atoms, **options))[0].category("atom_site")


def select(table):
    return select_atoms(table, first_model(table), table.text("label_asym_id"))


def test_only_atoms_that_decide_contacts():
    site = select(
        table_of([*peptide("AG"), Atom("O", "GLY", (0, 0, 0)), Atom("O5'", "DA", (0, 0, 0))])
    )
    assert site.name.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert site.rows.tolist() == list(range(7))


def test_the_first_model_that_is_mentioned():
    second = change(peptide("AG"), lambda a: True, model=1, xyz=(9.0, 9.0, 9.0))
    site = select(table_of(change(peptide("AG"), lambda a: True, model=7) + second))
    assert len(site.rows) == 7
    assert not (site.xyz == 9.0).any()


def test_a_model_in_two_parts():
    atoms = change(peptide("AG"), lambda a: a.number == 1, model=2)
    atoms += change(peptide("AG"), lambda a: a.number == 1, model=2)
    table = table_of(atoms)
    assert count_models(table) == 2
    assert first_model(table).tolist() == [0, 1, 2, 3, 7, 8, 9, 10]


@pytest.mark.parametrize("value", ["?", ".", "nan", "1e30", "word"])
def test_an_atom_without_coordinates_is_left_out(value):
    content = to_mmcif(peptide("AG")).replace(b"1.458", value.encode(), 1)
    site = select(open_text(content)[0].category("atom_site"))
    assert site.rows.tolist() == [0, 2, 3, 4, 5, 6]


def test_occupancy_that_is_not_told_is_one():
    content = to_mmcif(peptide("AG")).replace(b"1.00", b"?", 1)
    assert select(open_text(content)[0].category("atom_site")).occupancy.tolist() == [1.0] * 7


def test_a_needed_column_that_is_absent_is_named():
    with pytest.raises(ValueError, match="no column label_comp_id or auth_comp_id"):
        select(table_of(peptide("A"), omit=["label_comp_id"]))
    with pytest.raises(ValueError, match="no column x or y"):
        find_column(table_of(peptide("A")), "x", "y")


def test_label_seq_id_that_is_nowhere_given_is_none():
    atoms = change(peptide("AG"), lambda a: True, place=None)
    assert select(table_of(atoms)).place is None
    np.testing.assert_array_equal(select(table_of(peptide("AG"))).place, [1, 1, 1, 1, 2, 2, 2])
