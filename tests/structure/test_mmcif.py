"""`protcontact.structure.mmcif`: full, poor and wrong files, as text and as BinaryCIF."""

import numpy as np
import pytest

from protcontact.structure.read import read_structure
from tests.structure.builders import Atom, change, peptide, to_bcif, to_mmcif, without

SEQUENCE = "MKGAVLST"
FAR = (0.0, 60.0, 0.0)


@pytest.fixture(params=["mmCIF", "BinaryCIF"])
def read(request):
    """Read mmCIF text, as it is or turned into BinaryCIF."""

    def reader(content):
        content = to_bcif(content) if request.param == "BinaryCIF" else content
        return read_structure(content, name="x.cif")

    return reader


def test_unobserved_residues_stay_in_the_sequence(read):
    atoms = without(peptide(SEQUENCE), lambda a: a.number in (1, 4, 5))
    (chain,) = read(to_mmcif(atoms, sequences={"1": SEQUENCE})).chains
    assert chain.sequence == SEQUENCE
    assert chain.report.unresolved == (0, 3, 4)
    assert chain.numbering == ("", "2", "3", "", "", "6", "7", "8")


def test_scheme_numbers_unobserved_residues(read):
    atoms = without(peptide(SEQUENCE, first=101), lambda a: a.number == 104)
    scheme = [("A", place, 100 + place, "B" if place == 4 else "") for place in range(1, 9)]
    (chain,) = read(to_mmcif(atoms, sequences={"1": SEQUENCE}, scheme=scheme)).chains
    assert chain.numbering == ("101", "102", "103", "104B", "105", "106", "107", "108")


def test_label_and_author_ids_are_both_kept(read):
    atoms = change(peptide(SEQUENCE, first=-2), lambda a: True, chain="H", label_chain="B")
    (chain,) = read(to_mmcif(atoms, sequences={"1": SEQUENCE})).chains
    assert (chain.id, chain.chain_id, chain.label_chain_id, chain.entity_id) == (
        "x_H",
        "H",
        "B",
        "1",
    )
    assert chain.numbering[:4] == ("-2", "-1", "0", "1")


def test_polymers_that_are_no_protein_are_rejected_and_ligands_left_out(read):
    atoms = peptide(SEQUENCE) + peptide(["DAL", "DPN"], chain="B", entity="2", offset=FAR)
    atoms += [Atom("N", "HOH", (0, 0, 0), chain="A", label_chain="C", place=None, entity="3")]
    types = {"1": "polypeptide(L)", "2": "polypeptide(D)"}
    record = read(to_mmcif(atoms, sequences={"1": SEQUENCE, "2": ["DAL", "DPN"]}, types=types))
    assert [chain.id for chain in record.chains] == ["x_A"]
    (rejected,) = record.rejected
    assert (rejected.chain_id, "polypeptide(D)" in rejected.reason) == ("B", True)
    assert not rejected.is_protein


def test_nucleic_acids_without_entity_poly(read):
    atoms = peptide(SEQUENCE) + [Atom("P", "DA", (0, 0, 0), chain="B", entity="2")]
    record = read(to_mmcif(atoms, sequences={"1": SEQUENCE, "2": ["DA", "DG"]}, types={}))
    assert [chain.id for chain in record.chains] == ["x_A"]
    assert [(bad.reason, bad.is_protein) for bad in record.rejected] == [("nucleic acid", False)]


def test_a_protein_without_any_atom_is_rejected(read):
    content = to_mmcif(
        peptide(SEQUENCE), sequences={"1": SEQUENCE, "2": "GGG"}, asyms={"A": "1", "B": "2"}
    )
    (rejected,) = read(content).rejected
    assert (rejected.chain_id, rejected.reason) == ("B", "no residue with coordinates")
    assert rejected.is_protein


@pytest.mark.parametrize(
    "omit",
    [
        ["auth_seq_id", "auth_asym_id"], ["occupancy"], ["label_entity_id"], ["label_alt_id"],
        ["pdbx_PDB_ins_code"], ["pdbx_PDB_model_num"], ["group_PDB"], ["label_asym_id"],
    ],
)  # fmt: skip
def test_absent_columns_change_nothing(read, omit):
    full = dict(sequences={"1": SEQUENCE}, asyms={"A": "1"})
    atoms = without(peptide(SEQUENCE), lambda a: a.number == 4)
    (expected,) = read(to_mmcif(atoms, **full)).chains
    (chain,) = read(to_mmcif(atoms, omit=omit, **full)).chains
    assert chain.sequence == expected.sequence
    assert chain.numbering == expected.numbering
    np.testing.assert_array_equal(chain.coordinates, expected.coordinates)


def test_without_label_seq_id_residues_are_placed_by_name_and_number(read):
    atoms = without(peptide(SEQUENCE, first=11), lambda a: a.number in (11, 14))
    (chain,) = read(to_mmcif(atoms, sequences={"1": SEQUENCE}, omit=["label_seq_id"])).chains
    assert chain.sequence == SEQUENCE
    assert chain.report.unresolved == (0, 3)
    assert chain.numbering == ("", "12", "13", "", "15", "16", "17", "18")


def test_without_any_sequence_label_seq_id_still_counts(read):
    atoms = without(peptide(SEQUENCE), lambda a: a.number in (1, 4))
    (chain,) = read(to_mmcif(atoms)).chains
    assert chain.sequence == "KGXVLST"
    assert any("no full sequence" in note for note in chain.report.notes)


def test_without_sequence_and_label_seq_id_gaps_are_inferred(read):
    atoms = without(peptide(SEQUENCE), lambda a: a.number in (1, 4))
    (chain,) = read(to_mmcif(atoms, omit=["label_seq_id"])).chains
    assert chain.sequence == "KGXVLST"


def test_microheterogeneity_takes_the_letter_of_the_chosen_component(read):
    atoms = change(peptide(SEQUENCE), lambda a: a.number == 2, alternative="A", occupancy=0.3)
    other = [a for a in peptide("MRGAVLST") if a.number == 2]
    atoms += change(other, lambda a: True, alternative="B", occupancy=0.7)
    content = to_mmcif(atoms, sequences={"1": ["M", ("K", "R"), *SEQUENCE[2:]]})
    (chain,) = read(content).chains
    assert chain.sequence == "MRGAVLST"
    assert chain.report.microheterogeneous == (1,)


def test_a_heterogeneous_place_that_is_not_observed_has_its_first_component(read):
    atoms = without(peptide(SEQUENCE), lambda a: a.number == 2)
    (chain,) = read(to_mmcif(atoms, sequences={"1": ["M", ("K", "R"), *SEQUENCE[2:]]})).chains
    assert chain.sequence == SEQUENCE


def test_atoms_that_contradict_the_sequence_are_unresolved_not_believed(read):
    (chain,) = read(to_mmcif(peptide(SEQUENCE), sequences={"1": "MKGAWLST"})).chains
    assert chain.sequence == "MKGAWLST"
    assert chain.report.unresolved == (4,)
    assert any("author 5" in note for note in chain.report.notes)


@pytest.mark.parametrize(
    ("place", "sequences"), [(9, {"1": SEQUENCE}), (0, {"1": SEQUENCE}), (10**6, {})]
)
def test_a_place_outside_the_sequence_rejects_the_chain(read, place, sequences):
    atoms = change(peptide(SEQUENCE), lambda a: a.number == 8, place=place)
    record = read(to_mmcif(atoms, sequences=sequences))
    assert record.chains == ()
    assert "label_seq_id" in record.rejected[0].reason


def test_a_second_chain_with_the_same_author_id(read):
    atoms = peptide(SEQUENCE)
    atoms += change(peptide(SEQUENCE, offset=FAR), lambda a: True, label_chain="B")
    record = read(to_mmcif(atoms, sequences={"1": SEQUENCE}))
    assert [chain.id for chain in record.chains] == ["x_A", "x_A-2"]


def test_the_first_block_with_atoms_counts():
    empty = b"data_FIRST\n#\n_entry.id FIRST\n#\n"
    content = empty + to_mmcif(peptide(SEQUENCE), sequences={"1": SEQUENCE})
    (chain,) = read_structure(content, name="x.cif").chains
    assert chain.sequence == SEQUENCE


def test_sequence_numbers_that_do_not_count_from_one_are_no_sequence(read):
    content = to_mmcif(peptide(SEQUENCE), sequences={"1": SEQUENCE})
    (chain,) = read(content.replace(b"\n1 8 THR\n", b"\n1 9 THR\n")).chains
    assert any("no full sequence" in note for note in chain.report.notes)
