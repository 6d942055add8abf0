"""`protcontact.structure.pdb`: what one author chain id stands for."""

import pytest

from protcontact.structure.pdb import read_pdb
from tests.structure.builders import Atom, change, pdb_line, peptide, seqres, to_pdb

FAR = (0.0, 60.0, 0.0)


def named(content):
    return [chain.name for chain in read_pdb(content).chains]


def sizes(content):
    return [len(chain.numbers) for chain in read_pdb(content).chains]


def test_chains_in_file_order_with_their_sequences():
    atoms = peptide("AKL", chain="b") + peptide("GVW", chain="A", offset=FAR)
    observed = read_pdb(to_pdb(atoms, header=seqres({"b": "AKLM", "A": "GVW"})))
    assert [chain.chain_id for chain in observed.chains] == ["b", "A"]
    assert [len(chain.sequence) for chain in observed.chains] == [4, 3]
    assert observed.rejected == ()


def test_ter_at_a_gap_keeps_the_chain_together():
    """Some programs write TER wherever the chain is broken."""
    first, second = peptide("AKL"), peptide("GVW", first=10, offset=FAR)
    content = to_pdb(first).replace(b"END\n", b"") + to_pdb(second)
    assert named(content) == ["A"]
    assert sizes(content) == [6]


def test_numbers_that_start_again_behind_ter_are_another_chain():
    content = to_pdb(peptide("AKL")).replace(b"END\n", b"") + to_pdb(peptide("AKL", offset=FAR))
    assert named(content) == ["A", "A-2"]


def test_blank_chain_ids_get_free_letters_and_ter_divides_them():
    """AMBER numbers on through all molecules: nothing but TER tells them apart."""
    blank = peptide("AKL", chain="")
    more = peptide("GVW", chain="", first=4, offset=FAR)
    content = b"".join(
        to_pdb(atoms).replace(b"END\n", b"") for atoms in (peptide("MM", chain="A"), blank, more)
    )
    assert named(content) == ["A", "B", "C"]
    assert [chain.chain_id for chain in read_pdb(content).chains] == ["A", "", ""]


def test_more_chains_without_id_than_letters():
    content = b"".join(
        to_pdb(peptide("AK", chain="", offset=(0.0, 30.0 * index, 0.0))).replace(b"END\n", b"")
        for index in range(54)
    )
    assert len(set(named(content))) == 54


def test_two_letter_chain_ids():
    lines = to_pdb(peptide("AKL")).replace(b" A ", b"AB ", -1)
    assert named(lines) == ["AB"]


def test_hetero_residues_behind_ter_are_no_part_of_the_chain():
    ligand = change(peptide("GG", first=301, offset=FAR), lambda a: True, hetero=True, place=None)
    assert sizes(to_pdb(peptide("AKL") + ligand)) == [3]


@pytest.mark.parametrize(
    ("sequence", "reason", "is_protein"),
    [
        (["DA", "DC", "DG"], "nucleic acid", False),
        (["DAL", "DPN"], "D-amino acids", False),
        (["ALA", "GLY"], "no residue with coordinates", True),
    ],
)
def test_chains_of_seqres_that_are_no_protein_or_not_seen(sequence, reason, is_protein):
    observed = read_pdb(to_pdb(peptide("AKL"), header=seqres({"A": "AKL", "X": sequence})))
    assert [chain.chain_id for chain in observed.chains] == ["A"]
    (rejected,) = observed.rejected
    assert (rejected.chain_id, rejected.is_protein) == ("X", is_protein)
    assert reason in rejected.reason


def test_d_amino_acids_without_seqres():
    (rejected,) = read_pdb(to_pdb(peptide(["DAL", "DPN", "DVA"]))).rejected
    assert "D-amino acids" in rejected.reason
    assert not rejected.is_protein


def test_waters_alone_are_no_chain():
    water = [Atom("N", "HOH", (0, 0, 0), chain="W", place=None, hetero=True)]
    observed = read_pdb(to_pdb(peptide("AKL") + water))
    assert [chain.chain_id for chain in observed.chains] == ["A"]
    assert observed.rejected == ()


def segments(*parts):
    """PDB lines of several parts, each with its segment id in columns 73-76."""
    lines = [
        pdb_line(atom)[:72] + f"{name:<4}" for name, atoms in parts for atom in atoms
    ]  # fmt: skip
    return "\n".join([*lines, "END", ""]).encode()


@pytest.mark.parametrize("chain", ["A", ""])
def test_another_segment_id_with_numbers_that_start_again_is_another_chain(chain):
    first, second = peptide("AKL", chain=chain), peptide("GVW", chain=chain, offset=FAR)
    assert sizes(segments(("PROA", first), ("PROB", second))) == [3, 3]


def test_another_segment_id_with_rising_numbers_is_the_same_chain():
    first, second = peptide("AKL"), peptide("GVW", first=10, offset=FAR)
    assert sizes(segments(("A1", first), ("A2", second))) == [6]


def test_a_segment_id_that_changes_within_a_residue_divides_nothing():
    atoms = peptide("AKL")
    assert sizes(segments(("", atoms[:6]), ("A", atoms[6:]))) == [3]


def test_atoms_behind_the_end_are_told():
    content = to_pdb(peptide("AKL")) + to_pdb(peptide("GVW", chain="B", offset=FAR))
    assert read_pdb(content).skipped == ("11 atom lines behind the end of the first model",)


def test_lower_case_components_are_those_of_upper_case():
    content = to_pdb(peptide("AKL"), header=seqres({"A": "AKL"}))
    assert named(content.replace(b"LYS", b"lys")) == ["A"]
    (chain,) = read_pdb(content.replace(b"LYS", b"Lys")).chains
    assert chain.sequence[1].components == ("LYS",)
    assert "Lys" not in chain.atoms.components
