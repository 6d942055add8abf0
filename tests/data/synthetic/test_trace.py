import numpy as np
import pytest

from protcontact.data.synthetic.geometry import C_N, CA_C, N_CA_C
from protcontact.data.synthetic.trace import (
    BOND,
    CONTACT_MIN,
    SECOND_MAX,
    SECOND_MIN,
    Joints,
    Relaxation,
    arc,
    joint_range,
    outward,
)

NO_JOINTS = [Joints.of([], 0)]


def steps(ca, apart=1):
    return np.linalg.norm(ca[apart:] - ca[:-apart], axis=1)


def test_bond_is_that_of_a_trans_peptide():
    assert pytest.approx(3.80, abs=0.01) == BOND
    assert BOND < CA_C + C_N + 1.458


def test_arc_joins_its_ends_on_the_side_that_was_asked_for():
    start, stop, away = np.zeros(3), np.array([10.0, 0, 0]), np.array([0, 0, 1.0])
    points = arc(start, stop, away, 6)
    assert points.shape == (6, 3)
    assert (points[:, 2] > 1).all()
    np.testing.assert_allclose(points[:, 0], 10 * np.arange(1, 7) / 7)


def test_relaxation_restores_bonds_and_angles_and_leaves_fixed_residues_alone():
    rng = np.random.default_rng(0)
    ca = np.cumsum(rng.normal(scale=2.2, size=(30, 3)), axis=0)
    ca[0], ca[-1] = (0, 0, 0), (25.0, 0, 0)
    movable = np.ones(30, dtype=bool)
    movable[[0, -1]] = False
    relaxed = Relaxation(ca, movable, np.empty((0, 3)), NO_JOINTS).run(400)
    np.testing.assert_allclose(steps(relaxed), BOND, atol=0.05)
    assert steps(relaxed, 2).min() > SECOND_MIN - 0.3
    assert steps(relaxed, 2).max() < SECOND_MAX + 0.3
    assert (relaxed[[0, -1]] == ca[[0, -1]]).all()


def test_relaxation_pushes_loops_off_each_other_and_off_obstacles():
    """Two straight chains 2 Angstrom apart, and an atom in the way of one of them."""
    line = np.arange(12)[:, None] * np.array([3.6, 0, 0])
    bend = np.array([[40.0, -4, 3], [42.0, 0, 4], [40.0, 4, 3]])
    ca = np.concatenate([line, bend, line[::-1] + [0, 2.0, 0.1]])
    obstacle = np.array([[18.0, -1.0, 0.5]])
    movable = np.ones(len(ca), dtype=bool)
    relaxed = Relaxation(ca, movable, obstacle, NO_JOINTS).run(300)
    gaps = np.linalg.norm(relaxed[:12, None] - relaxed[15:], axis=-1)
    assert gaps.min() > CONTACT_MIN - 1.0
    assert np.linalg.norm(relaxed - obstacle[0], axis=1).min() > 4.0


def test_joints_hold_a_residue_within_its_range():
    ca = np.arange(6)[:, None] * np.array([3.8, 0, 0])
    movable = np.array([False, True, True, True, True, True])
    joints = [Joints.of([(5, np.array([0.0, 0, 0]), 0.0, 12.0), (9, np.zeros(3), 0, 1)], 6)]
    relaxed = Relaxation(ca, movable, np.empty((0, 3)), joints).run(300)
    assert len(joints[0].residue) == 1  # residue 9 does not exist
    assert np.linalg.norm(relaxed[5]) < 12.5


def test_joint_range_is_what_the_law_of_cosines_says():
    low, high = joint_range(1.5, 0.0)
    expected = np.sqrt(1.5**2 + BOND**2 - 2 * 1.5 * BOND * np.cos(np.radians(N_CA_C)))
    assert low == pytest.approx(expected) == high
    low, high = joint_range(1.5, 20.0)
    assert low < expected < high


def test_outward_leads_out_through_the_nearer_end():
    rng = np.random.default_rng(0)
    fold = rng.normal(scale=8, size=(50, 3))
    assert np.mean([outward(rng, fold, np.array([0, 0, 20.0]))[2] for _ in range(50)]) > 0.5
    assert np.mean([outward(rng, fold, np.array([0, 0, -20.0]))[2] for _ in range(50)]) < -0.5
