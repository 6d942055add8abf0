"""`protcontact.structure.mmcif`: full, poor and wrong files, as text and as BinaryCIF."""

from dataclasses import replace

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


@pytest.mark.parametrize("omit", [[], ["auth_seq_id"], ["auth_seq_id", "auth_asym_id"]])
def test_without_any_sequence_gaps_are_inferred_and_that_is_told(read, omit):
    atoms = without(peptide(SEQUENCE), lambda a: a.number in (1, 4))
    (chain,) = read(to_mmcif(atoms, omit=omit)).chains
    assert chain.sequence == "KGXVLST"
    assert any("no full sequence" in note for note in chain.report.notes)


def test_label_seq_id_that_repeats_author_numbers(read):
    """Biotite copies auth_seq_id: 2, 2A were one residue, and from -3 on the chain was refused."""
    numbers = [(-1, ""), (0, ""), (1, ""), (2, ""), (2, "A"), (3, ""), (4, ""), (5, "")]
    atoms = [
        replace(a, number=number, place=number, insertion=code)
        for a in peptide(SEQUENCE)
        for number, code in [numbers[a.place - 1]]
    ]
    (chain,) = read(to_mmcif(atoms)).chains
    assert chain.sequence == SEQUENCE
    assert chain.numbering == ("-1", "0", "1", "2", "2A", "3", "4", "5")


def test_label_ids_that_count_residues_of_the_file(read):
    """Biopython counts ATOM residues and starts a label_asym_id at each HETATM: MSE were lost."""
    atoms = without(peptide(["ALA", "MSE", "GLY", "LYS", "MSE", "VAL", "LEU"]), lambda a: False)
    labels = {1: ("A", 1), 2: ("B", None), 3: ("C", 2), 4: ("C", 3), 5: ("D", None), 6: ("E", 4)}
    atoms = [
        replace(a, label_chain=labels[min(a.number, 6)][0], place=labels[min(a.number, 6)][1])
        for a in atoms
    ]
    atoms = change(atoms, lambda a: a.number == 7, place=5)
    (chain,) = read(to_mmcif(atoms)).chains
    assert chain.sequence == "AMGKMVL"
    assert chain.resolved.all()


@pytest.mark.parametrize("omit", [[], ["auth_seq_id"]])
def test_hetero_atoms_with_a_label_seq_id_do_not_lengthen_the_chain(read, omit):
    calcium = Atom("CA", "CA", (5.0, 5.0, 25.0), number=301, place=301, hetero=True)
    (chain,) = read(to_mmcif([*peptide(SEQUENCE), calcium], omit=omit)).chains
    assert chain.sequence == SEQUENCE
    assert chain.report.skipped == ("no residues of the chain: CA 301",)


def test_atoms_without_any_number_are_told(read):
    lost = [replace(a, place=None) for a in peptide("A", offset=FAR)]
    (chain,) = read(to_mmcif(peptide(SEQUENCE) + lost, omit=["auth_seq_id"])).chains
    assert chain.sequence == SEQUENCE
    assert chain.report.skipped == ("4 atoms without residue number",)


@pytest.mark.parametrize("sequences", [None, {"1": SEQUENCE}])
def test_without_label_asym_id_in_the_rows_author_chains_are_chains(read, sequences):
    """PyMOL writes '.': all chains were one, and the second lost to the first."""
    atoms = peptide(SEQUENCE) + peptide(SEQUENCE, chain="B", offset=FAR)
    atoms = change(atoms, lambda a: True, label_chain=".")
    record = read(to_mmcif(atoms, sequences=sequences))
    assert [(chain.id, chain.sequence) for chain in record.chains] == [
        ("x_A", SEQUENCE),
        ("x_B", SEQUENCE),
    ]


def test_an_unknown_entity_is_looked_up_in_struct_asym(read):
    atoms = change(without(peptide(SEQUENCE), lambda a: a.number == 1), lambda a: True, entity="?")
    (chain,) = read(to_mmcif(atoms, sequences={"1": SEQUENCE}, asyms={"A": "1"})).chains
    assert chain.sequence == SEQUENCE


@pytest.mark.parametrize("name", ["Mse", "MSE", "met"])
def test_components_fit_by_parent_and_in_any_case(read, name):
    """entity_poly_seq with MET, atoms with MSE: the residue was not placed."""
    atoms = change(peptide(SEQUENCE), lambda a: a.number == 1, component=name)
    (chain,) = read(to_mmcif(atoms, sequences={"1": SEQUENCE})).chains
    assert chain.sequence == SEQUENCE
    assert chain.resolved.all()


def test_atoms_without_coordinates_are_told(read):
    content = to_mmcif(peptide(SEQUENCE), sequences={"1": SEQUENCE})
    (chain,) = read(content.replace(b"0.000 0.000 0.000", b"? ? ?", 1)).chains
    assert chain.report.skipped == ("1 atom lines unreadable: no three coordinates",)


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


@pytest.mark.parametrize("place", [9, 0])
def test_a_place_outside_the_sequence_rejects_the_chain(read, place):
    atoms = change(peptide(SEQUENCE), lambda a: a.number == 8, place=place)
    record = read(to_mmcif(atoms, sequences={"1": SEQUENCE}))
    assert record.chains == ()
    assert "label_seq_id" in record.rejected[0].reason


def test_a_second_chain_with_the_same_author_id(read):
    atoms = peptide(SEQUENCE)
    atoms += change(peptide(SEQUENCE, offset=FAR), lambda a: True, label_chain="B")
    record = read(to_mmcif(atoms, sequences={"1": SEQUENCE}))
    assert [chain.id for chain in record.chains] == ["x_A", "x_A-2"]


def test_names_of_repeated_chains_are_not_those_of_others(read):
    atoms = [
        replace(atom, label_chain=label)
        for label, chain in (("A", "A"), ("B", "A"), ("C", "A-2"))
        for atom in peptide(SEQUENCE, chain=chain, offset=(0.0, 60.0 * ord(label), 0.0))
    ]
    record = read(to_mmcif(atoms, sequences={"1": SEQUENCE}))
    assert [chain.id for chain in record.chains] == ["x_A", "x_A-3", "x_A-2"]


def test_further_blocks_with_atoms_are_told():
    content = to_mmcif(peptide(SEQUENCE), sequences={"1": SEQUENCE})
    record = read_structure(content + content.replace(b"data_TEST", b"data_TWO"), name="x.cif")
    assert record.chains[0].report.skipped == ("1 further data blocks with atoms",)


def test_the_first_block_with_atoms_counts():
    empty = b"data_FIRST\n#\n_entry.id FIRST\n#\n"
    content = empty + to_mmcif(peptide(SEQUENCE), sequences={"1": SEQUENCE})
    (chain,) = read_structure(content, name="x.cif").chains
    assert chain.sequence == SEQUENCE


def test_sequence_numbers_that_do_not_count_from_one_are_no_sequence(read):
    content = to_mmcif(peptide(SEQUENCE), sequences={"1": SEQUENCE})
    (chain,) = read(content.replace(b"\n1 8 THR\n", b"\n1 9 THR\n")).chains
    assert any("no full sequence" in note for note in chain.report.notes)
