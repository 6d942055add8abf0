"""`protcontact.structure.gaps`, through PDB files without SEQRES."""

import numpy as np
import pytest

from protcontact.structure.gaps import LONGEST_GAP, infer_gaps
from protcontact.structure.placement import Trace
from protcontact.structure.read import read_structure
from tests.structure.builders import change, peptide, to_pdb, without


def only(atoms):
    (chain,) = read_structure(to_pdb(atoms), name="x.pdb").chains
    return chain


def test_a_gap_in_numbers_at_a_real_break_is_filled_with_x():
    chain = only(without(peptide("MKLAVGSTW"), lambda a: a.number in (4, 5, 6)))
    assert chain.sequence == "MKLXXXSTW"
    assert chain.numbering == ("1", "2", "3", "", "", "", "7", "8", "9")
    assert chain.report.unresolved == chain.report.unknown == (3, 4, 5)
    assert np.isnan(chain.coordinates[3:6]).all()
    assert any("3 missing residues" in note for note in chain.report.notes)


def test_a_jump_of_numbers_between_bonded_residues_is_no_gap():
    atoms = [
        atom
        for old in range(1, 6)
        for atom in change(
            [a for a in peptide("MKLAV") if a.number == old],
            lambda a: True,
            number=old if old < 4 else old + 100,
        )
    ]
    chain = only(atoms)
    assert chain.sequence == "MKLAV"
    assert chain.numbering == ("1", "2", "3", "104", "105")
    assert chain.report.notes == ()


def test_a_break_too_wide_for_its_numbers_is_joined_and_told():
    atoms = without(peptide("MKLAVGSTW"), lambda a: a.number in (4, 5, 6))
    apart = change(atoms, lambda a: a.number == 7, number=5)
    apart = [
        a if a.number < 5 else change([a], lambda _: True, xyz=(a.xyz[0] + 40, *a.xyz[1:]))[0]
        for a in apart
    ]
    chain = only(apart)
    assert chain.sequence == "MKLSTW"
    assert any(
        "break of unknown length joined after author residues 3" in n for n in chain.report.notes
    )


def test_a_break_without_a_jump_of_numbers_is_joined_and_told():
    atoms = without(peptide("MKLAVG"), lambda a: a.number == 3)
    chain = only([a for a in atoms if a.number < 3] + change(
        [a for a in atoms if a.number > 3], lambda a: a.number == 4, number=3))  # fmt: skip
    assert "X" not in chain.sequence[:3]
    assert any("unknown length" in note for note in chain.report.notes)


@pytest.mark.parametrize(
    ("numbers", "bonded", "distance", "positions", "joined"),
    [
        (("1", "5"), 0, 15.0, [0, 4], ()),  # 4 residues reach 19.5 A
        (("1", "5"), 0, 25.0, [0, 1], (0,)),
        (("1", "5"), 1, 3.8, [0, 1], ()),
        (("1", "5"), -1, np.nan, [0, 4], ()),  # nothing contradicts the numbers
        (("1", "2"), -1, np.nan, [0, 1], ()),
        (("9", "2"), 0, 15.0, [0, 1], (0,)),
        (("1", str(LONGEST_GAP + 2)), 0, 15.0, [0, LONGEST_GAP + 1], ()),
        (("1", str(LONGEST_GAP + 3)), 0, 15.0, [0, 1], (0,)),
    ],
)
def test_numbers_and_distance_must_agree(numbers, bonded, distance, positions, joined):
    trace = Trace((("ALA",), ("ALA",)), numbers, np.array([bonded]), np.array([distance]))
    gaps = infer_gaps(trace)
    assert gaps.positions.tolist() == positions
    assert gaps.joined == joined
