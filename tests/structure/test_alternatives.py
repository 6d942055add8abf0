"""`protcontact.structure.alternatives`: one alternative per residue, never a mixture."""

import numpy as np

from protcontact.structure.alternatives import choose_alternatives
from protcontact.structure.observed import Atoms

N, CA, C, CB = range(4)


def choose(rows, components=("ALA",), count=1):
    """Rows of (residue, name, alternative, component, occupancy); x counts the rows."""
    columns = list(zip(*rows, strict=True))
    atoms = Atoms(
        residue=np.array(columns[0]),
        name=np.array(columns[1]),
        alternative=np.array(columns[2]),
        component=np.array(columns[3]),
        components=components,
        occupancy=np.array(columns[4], dtype=np.float32),
        xyz=np.array([[index, 0, 0] for index in range(len(rows))], dtype=np.float32),
    )
    return choose_alternatives(atoms, count)


def test_highest_occupancy_wins():
    residues = choose([(0, CA, 1, 0, 0.4), (0, CA, 2, 0, 0.6)])
    assert residues.xyz[0, CA, 0] == 1
    assert residues.altloc.tolist() == [True]


def test_the_first_of_equals_wins():
    residues = choose([(0, CA, 2, 0, 0.5), (0, CA, 1, 0, 0.5)])
    assert residues.xyz[0, CA, 0] == 0


def test_equal_occupancies_stay_equal_whatever_the_number_of_atoms():
    """Means of 0.35 over three and over four atoms differ in the last bit of a float."""
    rows = [(0, name, 1, 0, 0.35) for name in (N, CA, C)]
    rows += [(0, name, 2, 0, 0.35) for name in (N, CA, C, CB)]
    assert choose(rows).xyz[0, CA, 0] == 1


def test_atoms_of_two_alternatives_are_never_mixed():
    """B has the best CB, A is better over the residue: CB must be that of A."""
    rows = [(0, CA, 1, 0, 0.7), (0, CB, 1, 0, 0.5), (0, CA, 2, 0, 0.3), (0, CB, 2, 0, 0.6)]
    residues = choose(rows)
    assert residues.xyz[0, [CA, CB], 0].tolist() == [0, 1]


def test_an_alternative_without_cb_does_not_borrow_it():
    rows = [(0, CA, 1, 0, 0.7), (0, CA, 2, 0, 0.3), (0, CB, 2, 0, 0.3)]
    assert np.isnan(choose(rows).xyz[0, CB]).all()


def test_atoms_without_alternative_belong_to_all():
    rows = [(0, N, 0, 0, 1.0), (0, CA, 1, 0, 0.3), (0, CA, 2, 0, 0.7), (0, C, 0, 0, 1.0)]
    assert choose(rows).xyz[0, [N, CA, C], 0].tolist() == [0, 2, 3]


def test_residues_choose_for_themselves():
    rows = [(0, CA, 1, 0, 0.9), (0, CA, 2, 0, 0.1), (1, CA, 1, 0, 0.1), (1, CA, 2, 0, 0.9)]
    assert choose(rows, count=2).xyz[:, CA, 0].tolist() == [0, 3]


def test_microheterogeneity_chooses_the_component():
    rows = [(0, CA, 1, 0, 0.4), (0, CB, 1, 0, 0.4), (0, CA, 2, 1, 0.6), (0, CB, 2, 1, 0.6)]
    residues = choose(rows, components=("SER", "PRO"))
    assert residues.component == ("PRO",)
    assert residues.offered == {0: ("SER", "PRO")}
    assert residues.xyz[0, [CA, CB], 0].tolist() == [2, 3]


def test_two_components_without_alternate_locations():
    rows = [(0, CA, 0, 0, 0.6), (0, CA, 0, 1, 0.4), (0, CB, 0, 1, 0.4)]
    residues = choose(rows, components=("GLY", "ALA"))
    assert residues.component == ("GLY",)
    assert np.isnan(residues.xyz[0, CB]).all()


def test_three_alternatives_and_a_component_shared_by_two():
    """1CBN, residue 22: serine A and B at 0.2 each, proline C at 0.6."""
    rows = [(0, CA, 1, 0, 0.2), (0, CA, 2, 0, 0.2), (0, CA, 3, 1, 0.6)]
    assert choose(rows, components=("SER", "PRO")).component == ("PRO",)


def test_of_repeated_atoms_the_first_counts():
    residues = choose([(0, CA, 0, 0, 1.0), (0, CA, 0, 0, 1.0)])
    assert residues.xyz[0, CA, 0] == 0
    assert residues.altloc.tolist() == [False]


def test_zero_occupancy_is_told_and_absent_atoms_are_nan():
    residues = choose([(0, CA, 0, 0, 0.0), (1, CA, 0, 0, 1.0)], count=2)
    assert residues.zero_occupancy.tolist() == [True, False]
    assert np.isnan(residues.xyz[:, [N, C, CB]]).all()
