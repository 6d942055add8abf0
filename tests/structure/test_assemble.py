"""`protcontact.structure.assemble`: coordinates that decide contacts, CA-only chains, reports."""

import numpy as np
import pytest

from protcontact.structure.read import read_structure
from tests.structure.builders import change, peptide, seqres, to_pdb, without


def record(atoms, **options):
    return read_structure(to_pdb(atoms), name="x.pdb", **options)


def only(atoms, **options):
    (chain,) = record(atoms, **options).chains
    return chain


def xyz_of(atoms, number, name):
    (xyz,) = [atom.xyz for atom in atoms if (atom.number, atom.name) == (number, name)]
    return np.array(xyz, dtype=np.float32)


def test_cb_and_ca_of_glycine():
    atoms = peptide("AGV")
    chain = only(atoms)
    for index, name in enumerate(("CB", "CA", "CB")):
        np.testing.assert_array_equal(chain.coordinates[index], xyz_of(atoms, index + 1, name))
        np.testing.assert_array_equal(chain.ca[index], xyz_of(atoms, index + 1, "CA"))
    assert chain.report.imputed_cb == ()


def test_glycine_uses_ca_even_if_the_file_gives_it_a_cb():
    atoms = change(peptide("AAV"), lambda a: a.number == 2, component="GLY")
    np.testing.assert_array_equal(only(atoms).coordinates[1], xyz_of(atoms, 2, "CA"))


def test_missing_cb_is_built_and_flagged():
    atoms = peptide("AKV")
    chain = only(without(atoms, lambda a: (a.number, a.name) == (2, "CB")))
    assert chain.report.imputed_cb == (1,)
    assert np.linalg.norm(chain.coordinates[1] - xyz_of(atoms, 2, "CB")) < 0.1


def test_a_d_amino_acid_gets_its_cb_on_the_other_side():
    atoms = without(peptide(["ALA", "DAL", "ALA"]), lambda a: (a.number, a.name) == (2, "CB"))
    left, right = only(atoms), only(change(atoms, lambda a: a.number == 2, component="ALA"))
    assert np.linalg.norm(left.coordinates[1] - right.coordinates[1]) > 2.0
    assert left.sequence == "AAA"


def test_a_residue_with_neither_cb_nor_backbone_is_unresolved():
    chain = only(without(peptide("AKVL"), lambda a: a.number == 2 and a.name != "CA"))
    assert chain.report.unresolved == (1,)
    assert np.isnan(chain.coordinates[1]).all()
    assert np.isfinite(chain.ca[1]).all()


def test_cb_without_ca_is_resolved():
    chain = only(without(peptide("AKVL"), lambda a: (a.number, a.name) == (2, "CA")))
    assert chain.resolved.all()
    assert np.isnan(chain.ca[1]).all()


def test_ca_only_chains_are_refused_unless_asked_for():
    atoms = without(peptide("AKVGL"), lambda a: a.name != "CA")
    refused = record(atoms)
    assert refused.chains == ()
    assert "only CA atoms" in refused.rejected[0].reason
    chain = only(atoms, allow_ca_only=True)
    assert chain.ca_only
    np.testing.assert_array_equal(chain.coordinates, chain.ca)
    assert chain.sequence == "AKVGL"


def test_a_full_chain_is_not_ca_only_even_where_that_is_allowed():
    chain = only(peptide("AKVGL"), allow_ca_only=True)
    assert not chain.ca_only
    assert not np.array_equal(chain.coordinates, chain.ca)


@pytest.mark.parametrize(("full", "refused"), [(1, True), (3, False)])
def test_nearly_all_residues_decide_what_is_ca_only(full, refused):
    atoms = without(peptide("AKVL" * 5), lambda a: a.number > full and a.name != "CA")
    assert (record(atoms).chains == ()) == refused


def test_glycines_with_backbone_are_no_ca_only_chain():
    assert only(peptide("GGGG")).resolved.all()


def test_zero_occupancy_keeps_its_coordinates_and_is_told():
    chain = only(change(peptide("AKV"), lambda a: a.number == 2, occupancy=0.0))
    assert chain.resolved.all()
    assert any("1 residues have an atom of occupancy 0" in note for note in chain.report.notes)


def test_a_chain_without_an_atom_that_counts_is_rejected():
    refused = record(without(peptide("AKV"), lambda a: a.name not in ("N", "C")))
    assert refused.chains == ()
    assert "CB" in refused.rejected[0].reason


def test_report_counts_residues_on_the_full_sequence():
    atoms = without(peptide(["GLY", "MSE", "UNK", "ALA"]), lambda a: a.number == 1)
    atoms = without(atoms, lambda a: (a.number, a.name) == (4, "CB"))
    content = to_pdb(atoms, header=seqres({"A": ["GLY", "MSE", "UNK", "ALA"]}))
    (chain,) = read_structure(content, name="x.pdb").chains
    assert chain.sequence == "GMXA"
    assert chain.report.unresolved == (0,)
    assert chain.report.modified == ((1, "MSE", "M"),)
    assert chain.report.unknown == (2,)
    assert chain.report.imputed_cb == (3,)


@pytest.mark.parametrize("value", [9999.0, 0.0])
def test_placeholders_are_unresolved_and_told(value):
    """9999.000 and 0.000 of residues that were not seen were contacts of each other."""
    atoms = change(peptide("AKVLG"), lambda a: a.number in (2, 5), xyz=(value,) * 3)
    chain = only(atoms)
    assert chain.sequence == "AKVLG"
    assert chain.report.unresolved == (1, 4)
    assert chain.report.notes == ("placeholders instead of coordinates, not used: author 2, 5",)


def test_a_chain_of_placeholders_is_rejected():
    refused = record(change(peptide("AKV"), lambda a: True, xyz=(9999.0,) * 3))
    assert "no residue with coordinates" in refused.rejected[0].reason
