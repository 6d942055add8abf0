"""`protcontact.structure.polymer`, through PDB files that show each rule."""

from dataclasses import replace

import numpy as np
import pytest

from protcontact.structure.read import read_structure
from tests.structure.builders import Atom, change, peptide, seqres, to_mmcif, to_pdb


def only(content, **options):
    record = read_structure(content, name="x.pdb", **options)
    assert len(record.chains) == 1, record.rejected
    return record.chains[0]


def moved(atoms, number, offset=50.0, **fields):
    """A free residue: the first residue of `atoms`, elsewhere."""
    first = [atom for atom in atoms if atom.number == atoms[0].number]
    return [
        Atom(
            a.name,
            a.component,
            tuple(x + offset for x in a.xyz),
            number=number,
            place=None,
            **fields,
        )
        for a in first
    ]


def test_insertion_codes_negative_and_zero_numbers():
    atoms = peptide("MKGAV")
    numbers = [(-1, ""), (0, ""), (52, ""), (52, "A"), (52, "B")]
    atoms = [
        Atom(a.name, a.component, a.xyz, number=numbers[a.number - 1][0],
             insertion=numbers[a.number - 1][1])
        for a in atoms
    ]  # fmt: skip
    chain = only(to_pdb(atoms))
    assert chain.sequence == "MKGAV"
    assert chain.numbering == ("-1", "0", "52", "52A", "52B")


def test_hetero_residues_inside_the_polymer_are_kept():
    chain = only(to_pdb(peptide(["ALA", "MSE", "SEP", "GLY"])))
    assert chain.sequence == "AMSG"
    assert chain.report.modified == ((1, "MSE", "M"), (2, "SEP", "S"))


def test_hetero_residues_inside_the_polymer_are_kept_without_ter():
    chain = only(to_pdb(peptide(["ALA", "MSE", "SEP", "GLY"]), ter=False))
    assert chain.sequence == "AMSG"


@pytest.mark.parametrize("ter", [True, False])
def test_a_free_amino_acid_is_left_out(ter):
    atoms = peptide("AKLV")
    chain = only(to_pdb(atoms + moved(atoms, 200, hetero=True), ter=ter))
    assert chain.sequence == "AKLV"
    if not ter:  # behind a TER it is not even looked at
        assert chain.report.skipped == ("no residues of the chain: ALA 200",)


def test_a_free_amino_acid_is_left_out_of_mmcif_without_label_seq_id():
    atoms = peptide("AKLV")
    content = to_mmcif(atoms + moved(atoms, 200, hetero=True), omit=["label_seq_id"])
    assert only(content).sequence == "AKLV"


def test_waters_ligands_and_ions_are_left_out():
    extra = [
        Atom("O", "HOH", (30, 0, 0), number=301, place=None, hetero=True),
        Atom("CA", "CA", (35, 0, 0), number=302, place=None, hetero=True),  # calcium
        *(
            Atom(n, "NAG", (40, i, 0), number=303, place=None, hetero=True)
            for i, n in enumerate(("C", "N"))
        ),
    ]
    for ter in (True, False):
        chain = only(to_pdb(peptide("AKLV") + extra, ter=ter))
        assert chain.sequence == "AKLV"


def test_unknown_residues_are_x_and_keep_their_coordinates():
    chain = only(to_pdb(peptide(["ALA", "UNK", "ZZZ", "ALA"])))
    assert chain.sequence == "AXXA"
    assert chain.report.unknown == (1, 2)
    assert chain.resolved.all()


def test_caps_are_residues_where_seqres_says_so():
    """ACE and NH2 have places in SEQRES and entity_poly_seq, without the atoms of a contact."""
    cap = [Atom("C", "ACE", (-1.3, 0.0, 0.0), number=0, hetero=True, place=0)]
    chain = only(to_pdb(cap + peptide("AKLV"), header=seqres({"A": ["ACE", *"AKLV"]})))
    assert chain.sequence == "XAKLV"
    assert chain.numbering[0] == "0"
    assert chain.report.unresolved == (0,)
    assert only(to_pdb(cap + peptide("AKLV"))).sequence == "AKLV"


def test_two_names_at_one_number_are_heterogeneous_only_if_alternate():
    atoms = peptide("AKLV")
    other = [a for a in peptide("ARLV") if a.number == 2]
    alternate = change(atoms, lambda a: a.number == 2, alternative="A", occupancy=0.4)
    alternate += change(other, lambda a: True, alternative="B", occupancy=0.6)
    chain = only(to_pdb(sorted(alternate, key=lambda a: a.number)))
    assert chain.sequence == "ARLV"
    assert chain.report.microheterogeneous == (1,)
    assert chain.report.altlocs == (1,)


def test_partial_occupancies_at_one_number_are_heterogeneous_without_alternate_locations():
    atoms = change(peptide("AKLV"), lambda a: a.number == 2, occupancy=0.4)
    other = change(peptide("ARLV"), lambda a: True, occupancy=0.6)
    content = to_pdb(sorted(atoms + [a for a in other if a.number == 2], key=lambda a: a.number))
    assert only(content).sequence == "ARLV"


def test_a_repeated_number_with_another_name_is_another_residue():
    """A numbering mistake must not merge two residues into one."""
    atoms = change(peptide("AKLV"), lambda a: a.number >= 3, number=2)
    atoms = [a for a in peptide("AKLV") if a.number < 3] + [
        a for a in atoms if a.component in ("LEU", "VAL")
    ]
    chain = only(to_pdb(atoms))
    assert chain.sequence == "AKLV"
    assert chain.numbering == ("1", "2", "2", "2")


@pytest.mark.parametrize("shared", [True, False])
def test_conformers_listed_one_behind_the_other_are_the_same_residues(shared):
    """22 A, 23 A, 22 B, 23 B are two residues, not four; N may be common to both conformers."""
    atoms = peptide("AKLV")
    inner = [a for a in atoms if a.number in (2, 3)]
    common = [a for a in inner if a.name == "N"] if shared else []
    split = [a for a in inner if a not in common]
    first = change(split, lambda a: True, alternative="A", occupancy=0.4)
    first = sorted([*first, *common], key=lambda a: (a.number, a.name != "N"))
    second = change(split, lambda a: True, alternative="B", occupancy=0.6)
    second = [replace(a, xyz=(a.xyz[0], a.xyz[1], a.xyz[2] + 1)) for a in second]
    outer = [a for a in atoms if a.number == 1], [a for a in atoms if a.number == 4]
    chain = only(to_pdb([*outer[0], *first, *second, *outer[1]]))
    assert chain.sequence == "AKLV"
    assert chain.numbering == ("1", "2", "3", "4")
    assert chain.report.altlocs == (1, 2)
    expected = [a.xyz for a in second if a.name == "CB"]
    np.testing.assert_array_equal(chain.coordinates[1:3], np.float32(expected))


@pytest.mark.parametrize("order", ["CB at the end", "by atom name"])
def test_atoms_listed_apart_from_their_residue(order):
    """CB atoms behind the chain were a second copy of its sequence."""
    atoms = peptide("AKLV")
    rank = {"CB at the end": "CB", "by atom name": ""}[order]
    names = ("N", "CA", "C", "CB")
    key = (lambda a: a.name == rank) if rank else (lambda a: names.index(a.name))
    chain, expected = only(to_pdb(sorted(atoms, key=key))), only(to_pdb(atoms))
    assert chain.sequence == "AKLV"
    np.testing.assert_array_equal(chain.coordinates, expected.coordinates)
    assert only(to_mmcif(sorted(atoms, key=key))).sequence == "AKLV"


@pytest.mark.parametrize("alternative", ["", "A"])
def test_neighbours_of_one_name_and_number_are_two_residues(alternative):
    """52 and 52A, both serine, with the insertion code lost: the second was swallowed."""
    atoms = [replace(a, number=a.number - (a.number > 3)) for a in peptide("ACSSGH")]
    atoms = change(atoms, lambda a: a.number == 3, alternative=alternative)
    chain = only(to_pdb(atoms))
    assert chain.sequence == "ACSSGH"
    assert chain.numbering == ("1", "2", "3", "3", "4", "5")
    assert chain.resolved.all()


def test_the_same_atom_twice_is_not_another_residue():
    """Conformers without a letter, atom by atom: the first counts."""
    atoms = []
    for atom in peptide("AKLV"):
        x, y, z = atom.xyz
        atoms += [replace(atom, occupancy=0.5), replace(atom, occupancy=0.5, xyz=(x, y, z + 0.8))]
    chain = only(to_pdb(atoms))
    assert chain.sequence == "AKLV"
    np.testing.assert_array_equal(chain.coordinates, only(to_pdb(peptide("AKLV"))).coordinates)
