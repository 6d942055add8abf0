"""`protcontact.structure.copies`, through PDB and mmCIF files without TER."""

from dataclasses import replace

import numpy as np
import pytest

from protcontact.structure.copies import run_starts
from protcontact.structure.read import read_structure
from tests.structure.builders import change, peptide, seqres, to_mmcif, to_pdb

SEQUENCE = "ACDEFGHIKL"
FAR = (0.0, 60.0, 0.0)


def sequences(content):
    return [chain.sequence for chain in read_structure(content, name="x").chains]


def test_runs_of_equal_values():
    assert run_starts(np.array([3, 3, 1, 3])).tolist() == [0, 2, 3]
    assert run_starts(np.array([], dtype=int)).tolist() == []


@pytest.mark.parametrize("chain", ["A", ""])
@pytest.mark.parametrize("header", [[], seqres({"A": SEQUENCE})])
def test_copies_under_one_chain_id_without_ter(chain, header):
    """Two molecules were one chain of twice the length."""
    atoms = peptide(SEQUENCE) + peptide(SEQUENCE, offset=FAR)
    content = to_pdb(change(atoms, lambda a: True, chain=chain), ter=False, header=header)
    assert sequences(content) == [SEQUENCE, SEQUENCE]


def test_copies_with_alternate_locations_are_not_put_together():
    atoms = change(peptide(SEQUENCE), lambda a: a.number == 5, alternative="A", occupancy=0.5)
    second = [replace(a, xyz=(a.xyz[0], a.xyz[1] + 60, a.xyz[2])) for a in atoms]
    assert sequences(to_pdb(atoms + second, ter=False)) == [SEQUENCE, SEQUENCE]


def test_copies_in_mmcif_without_a_sequence():
    atoms = peptide(SEQUENCE) + peptide(SEQUENCE, offset=FAR)
    assert sequences(to_mmcif(atoms)) == [SEQUENCE, SEQUENCE]


def test_conformers_without_a_letter_are_no_copies():
    """22, 23, 22, 23 with occupancies below 1: the chain is not cut at the second 22."""
    atoms = peptide(SEQUENCE)
    inner = change([a for a in atoms if a.number in (4, 5)], lambda a: True, occupancy=0.5)
    first, last = [a for a in atoms if a.number < 4], [a for a in atoms if a.number > 5]
    content = to_pdb([*first, *inner, *inner, *last], ter=False)
    assert len(sequences(content)) == 1


def test_a_number_that_comes_again_in_a_bonded_chain_is_no_copy():
    atoms = [replace(a, number=a.number - 5 * (a.number > 5)) for a in peptide("AAAAAAAAAA")]
    assert sequences(to_pdb(atoms, ter=False)) == ["AAAAAAAAAA"]
