"""`protcontact.structure.observed`."""

import numpy as np

from protcontact.structure.observed import (
    ATOM_NAMES,
    CA,
    CB,
    Atoms,
    C,
    N,
    ObservedChain,
    is_position,
    name_chains,
    unreadable,
)


def test_atom_indices_name_the_atoms():
    assert [ATOM_NAMES[index] for index in (N, CA, C, CB)] == ["N", "CA", "C", "CB"]


def test_positions():
    xyz = np.array([[0, -1, 2], [np.nan, 0, 0], [np.inf, 0, 0], [0, 99999, 0], [0, 0, -1e30]])
    assert is_position(xyz).tolist() == [True, False, False, False, False]


def test_names_of_chains():
    """Blank ids get free letters, repeated ids numbers, never the name of another chain."""
    atoms = Atoms(*(np.empty(0, dtype=int),) * 4, (), np.empty(0), np.empty((0, 3)))
    chains = [ObservedChain(atoms, (), chain_id=name) for name in ("A", "", "A", "A-2", "A", "B")]
    names = [chain.name for chain in name_chains(chains)]
    assert names == ["A", "C", "A-3", "A-2", "A-4", "B"]


def test_unreadable_atoms_in_words():
    assert unreadable(0) == ()
    assert "2 atom lines" in unreadable(2)[0]
