"""`protcontact.structure.pdb_lines`: fixed columns, and what programs do to them."""

import numpy as np
import pytest

from protcontact.structure.pdb_lines import read_atoms
from tests.structure.builders import Atom, pdb_line, peptide, to_pdb

LINE = pdb_line(Atom("CA", "ALA", (1.5, -2.25, 100.125), number=12, occupancy=0.5))


def read(*lines):
    return read_atoms("\n".join(lines).encode())


def test_columns_of_one_line():
    atoms = read(LINE)
    assert atoms.name.tolist() == [1]
    assert atoms.component.tolist() == ["ALA"]
    assert atoms.chain.tolist() == ["A"]
    assert atoms.number.tolist() == ["12"]
    assert atoms.xyz.tolist() == [[1.5, -2.25, 100.125]]
    assert atoms.occupancy.tolist() == [0.5]
    assert not atoms.hetero[0]


def test_only_atoms_that_decide_contacts():
    atoms = read_atoms(
        to_pdb(peptide("AG") + [Atom("CG", "ALA", (0, 0, 0)), Atom("OXT", "ALA", (0, 0, 0))])
    )
    assert atoms.name.tolist() == [0, 1, 2, 3, 0, 1, 2]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_endings(newline):
    atoms = read_atoms(to_pdb(peptide("AKG"), newline=newline))
    np.testing.assert_array_equal(atoms.xyz, read_atoms(to_pdb(peptide("AKG"))).xyz)


@pytest.mark.parametrize("name", [" CA ", "CA  ", "  CA"])
def test_atom_names_may_begin_in_the_wrong_column(name):
    assert read(LINE[:12] + name + LINE[16:]).name.tolist() == [1]


def test_a_line_cut_within_its_coordinates_is_no_atom():
    """12.345 cut to 12.3 would be a lie."""
    assert len(read(LINE, LINE[:52]).xyz) == 1
    assert len(read(LINE, LINE[:54]).xyz) == 2
    with pytest.raises(ValueError, match="no ATOM records"):
        read(LINE[:53])


def test_lines_may_end_behind_the_coordinates():
    assert read(LINE[:54]).occupancy.tolist() == [1.0]


@pytest.mark.parametrize("field", ["      ", " 1.0.0", "******", "   nan"])
def test_an_occupancy_that_is_no_number_is_one(field):
    assert read(LINE[:54] + field + LINE[60:], LINE).occupancy.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("field", ["        ", "********", "     nan", "  1.2.3 ", "9999999."])
def test_an_atom_without_coordinates_is_left_out(field):
    assert len(read(LINE[:38] + field + LINE[46:], LINE).xyz) == 1


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("  -3 ", "-3"), ("   0 ", "0"), ("  52A", "52A"), ("9999 ", "9999"), ("10000", "10000"),
        ("A000 ", "10000"), ("A001B", "10001B"), ("ZZZZ ", "1223055"), ("a000 ", "1223056"),
        ("-999 ", "-999"),
    ],
)  # fmt: skip
def test_residue_numbers(field, number):
    """Five digits run into the insertion code; hybrid-36 goes on behind 9999 with A000."""
    assert read(LINE[:22] + field + LINE[27:]).number.tolist() == [number]


@pytest.mark.parametrize("field", ["     ", " 1-2 ", "?    ", "A-00 "])
def test_a_residue_number_that_is_none_is_refused(field):
    with pytest.raises(ValueError, match="is not a residue number"):
        read(LINE[:22] + field + LINE[27:])


@pytest.mark.parametrize(
    ("columns", "component", "chain"),
    [
        ("ALA A", "ALA", "A"), ("ALA a", "ALA", "a"), ("ALA  ", "ALA", ""), ("ALA 1", "ALA", "1"),
        ("ALAAB", "ALA", "AB"), ("NALAA", "NALA", "A"), ("GLUP ", "GLUP", ""),
        (" MSEA", "MSE", "A"),
    ],
)  # fmt: skip
def test_column_21_is_part_of_the_name_or_of_the_chain(columns, component, chain):
    atoms = read(LINE[:17] + columns + LINE[22:])
    assert atoms.component.tolist() == [component.strip()]
    assert atoms.chain.tolist() == [chain]


def test_the_first_model_counts():
    atoms = peptide("AK")
    second = [Atom(a.name, a.component, (9.0, 9.0, 9.0), number=a.number, model=2) for a in atoms]
    both, one = read_atoms(to_pdb(atoms + second)), read_atoms(to_pdb(atoms))
    np.testing.assert_array_equal(both.xyz, one.xyz)
    assert (both.models, one.models) == (2, 1)


@pytest.mark.parametrize("ending", ["END", "ENDMDL", "MODEL        2", "END   "])
def test_reading_stops_behind_the_first_model(ending):
    assert len(read("MODEL        1", LINE, ending, LINE).xyz) == 1


def test_ter_records_divide_and_name_the_chain_they_end():
    other = LINE[:21] + "B" + LINE[22:]
    atoms = read(LINE, "TER", other, other, "TER    1234      ALA B  12", LINE)
    assert atoms.part.tolist() == [0, 1, 1, 2]
    assert atoms.ended == ("A", "B")


def test_alternate_locations():
    assert read(LINE, LINE[:16] + "B" + LINE[17:]).alternative.tolist() == [0, ord("B")]


@pytest.mark.parametrize("residue", ["HISD", "HISE", "LYSH", "ASPP", "GLUP"])
def test_force_field_names_of_four_letters_are_no_chain_ids(residue):
    """GROMACS and CHARMM write HISD A: it was HIS of a chain DA, and missing in chain A."""
    atoms = read(LINE, LINE[:17] + residue + LINE[21:], "TER")
    assert atoms.component.tolist() == ["ALA", residue]
    assert atoms.chain.tolist() == ["A", "A"]
    assert atoms.ended == ("A",)


def test_a_two_letter_chain_with_a_residue_that_looks_like_a_force_field_name():
    atoms = read(LINE, LINE[:17] + "ALADA" + LINE[22:], LINE[:17] + "HISDA" + LINE[22:])
    assert atoms.component.tolist() == ["ALA", "ALA", "HIS"]
    assert atoms.chain.tolist() == ["A", "DA", "DA"]


def test_a_serial_number_of_six_digits_pushes_the_line():
    """The atoms behind number 99999 were lost without a word."""
    pushed = LINE[:6] + "100000" + LINE[11:]
    atoms = read(LINE, pushed, "TER")
    assert atoms.xyz.tolist() == [[1.5, -2.25, 100.125]] * 2
    assert (atoms.number.tolist(), atoms.occupancy.tolist()) == (["12", "12"], [0.5, 0.5])
    assert (atoms.ended, atoms.skipped) == (("A",), ())


def test_a_serial_number_of_six_digits_that_pushes_nothing():
    atoms = read(LINE[:6] + "100000" + LINE[12:])
    assert atoms.xyz.tolist() == [[1.5, -2.25, 100.125]]


def test_atoms_left_out_are_counted():
    atoms = read(LINE, LINE[:38] + "********" + LINE[46:], LINE[:50])
    assert atoms.skipped == ("2 atom lines unreadable: no three coordinates",)


def test_atoms_behind_the_first_model_are_counted_where_there_are_no_models():
    assert "1 atom lines behind" in read(LINE, "END", LINE).skipped[0]
    assert read("MODEL        1", LINE, "ENDMDL", "MODEL        2", LINE).skipped == ()
