"""`protcontact.structure.observed`."""

import numpy as np

from protcontact.structure.observed import ATOM_NAMES, CA, CB, C, N, is_position


def test_atom_indices_name_the_atoms():
    assert [ATOM_NAMES[index] for index in (N, CA, C, CB)] == ["N", "CA", "C", "CB"]


def test_positions():
    xyz = np.array([[0, -1, 2], [np.nan, 0, 0], [np.inf, 0, 0], [0, 99999, 0], [0, 0, -1e30]])
    assert is_position(xyz).tolist() == [True, False, False, False, False]
