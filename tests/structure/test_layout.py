"""`protcontact.structure.layout`, through PDB files with and without SEQRES."""

import numpy as np
import pytest

from protcontact.structure.read import read_structure
from tests.structure.builders import peptide, remark_465, seqres, to_mmcif, to_pdb, without

SEQUENCE = "MKGAVLSTWY"
MISSING = (1, 5, 6)


def only(content):
    (chain,) = read_structure(content, name="x.pdb").chains
    return chain


def observed():
    return without(peptide(SEQUENCE, first=11), lambda a: a.number - 10 in MISSING)


def test_seqres_keeps_unresolved_residues():
    chain = only(to_pdb(observed(), header=seqres({"A": SEQUENCE})))
    assert chain.sequence == SEQUENCE
    assert chain.report.unresolved == (0, 4, 5)
    assert chain.numbering == ("", "12", "13", "14", "", "", "17", "18", "19", "20")
    assert np.isnan(chain.ca[[0, 4, 5]]).all()
    assert chain.report.notes == ()


def test_remark_465_numbers_the_missing_residues():
    names = {1: "MET", 5: "VAL", 6: "LEU"}
    missing = [(names[place], "A", place + 10, "") for place in MISSING]
    chain = only(to_pdb(observed(), header=[*seqres({"A": SEQUENCE}), *remark_465(missing)]))
    assert chain.numbering == tuple(str(number) for number in range(11, 21))


def test_remark_465_that_is_wrong_is_not_believed():
    missing = [("TRP", "A", 11, ""), ("VAL", "A", 15, ""), ("LEU", "A", 16, "")]
    chain = only(to_pdb(observed(), header=[*seqres({"A": SEQUENCE}), *remark_465(missing)]))
    assert chain.sequence == SEQUENCE
    assert chain.numbering[0] == ""
    assert chain.report.unresolved == (0, 4, 5)


def test_pdb_and_mmcif_of_one_structure_are_the_same():
    pdb = only(to_pdb(observed(), header=seqres({"A": SEQUENCE})))
    cif = only(to_mmcif(observed(), sequences={"1": SEQUENCE}))
    assert (pdb.sequence, pdb.numbering, pdb.id) == (cif.sequence, cif.numbering, cif.id)
    np.testing.assert_array_equal(pdb.coordinates, cif.coordinates)


@pytest.mark.parametrize("sequence", ["MKGAVLSTW", "MKGWVLSTWY", "GGGGGGGGGGGG"])
def test_seqres_that_contradicts_the_residues_is_not_used(sequence):
    chain = only(to_pdb(peptide(SEQUENCE), header=seqres({"A": sequence})))
    assert chain.sequence == SEQUENCE
    assert any("contradicts" in note for note in chain.report.notes)


def test_a_pdb_file_cut_short_keeps_its_full_sequence():
    content = to_pdb(peptide(SEQUENCE), header=seqres({"A": SEQUENCE}))
    for cut in range(content.index(b"ATOM") + 400, len(content) - 90, 37):
        chain = only(content[:cut])
        assert chain.sequence == SEQUENCE
        known = np.flatnonzero(chain.resolved)
        assert known.tolist() == list(range(len(known)))


def test_a_heterogeneous_residue_fits_seqres_by_either_name():
    """SEQRES names one of the two; the letter is that of the one that is chosen."""
    atoms = peptide("MKG")
    both = [a for a in atoms if a.number != 2]
    for name, occupancy in (("K", 0.4), ("R", 0.6)):
        for atom in peptide(f"M{name}G"):
            if atom.number == 2:
                both.append(
                    type(atom)(**{**vars(atom), "alternative": name, "occupancy": occupancy})
                )
    both.sort(key=lambda a: a.number)
    assert only(to_pdb(both, header=seqres({"A": "MKG"}))).sequence == "MRG"


def test_a_stretch_of_unknown_place_is_left_unresolved():
    """Two of four alanines in the middle, whose numbers mean nothing: which two is not known."""
    atoms = [a for a in peptide("WWAAAAKK") if a.number not in (3, 6)]
    atoms = [
        type(a)(**{**vars(a), "number": {4: 900, 5: 901}.get(a.number, a.number)}) for a in atoms
    ]
    chain = only(to_pdb(atoms, header=seqres({"A": "WWAAAAKK"})))
    assert chain.sequence == "WWAAAAKK"
    assert chain.report.unresolved == (2, 3, 4, 5)
    assert any("author 900, 901" in note for note in chain.report.notes)


@pytest.mark.parametrize("write", ["pdb", "mmcif"])
def test_neighbours_too_far_apart_are_told(write):
    """Numbered as neighbours on the full sequence, 30 Angstrom apart: read on, but not silently."""
    atoms = [
        type(a)(**{**vars(a), "xyz": (a.xyz[0] + 30 * (a.number > 5), *a.xyz[1:])})
        for a in peptide(SEQUENCE)
    ]
    content = (
        to_pdb(atoms, header=seqres({"A": SEQUENCE}))
        if write == "pdb"
        else to_mmcif(atoms, sequences={"1": SEQUENCE})
    )
    chain = only(content)
    assert chain.resolved.all()
    assert chain.report.notes == ("far from their next neighbour on the full sequence: author 5",)
