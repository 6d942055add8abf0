import numpy as np

from protcontact.data.synthetic.geometry import CA, CB
from protcontact.data.synthetic.rods import Element, placed, rotation, settled, strand_pairs


def strand(x=0.0, rank=0, up=True, low=-3, length=6):
    return Element("E", length, x=x, y=0.0, low=low, sheet=0, rank=rank, up=up)


def test_rotation_turns_counterclockwise_about_each_axis():
    for axis, (start, stop) in enumerate([((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0))]):
        np.testing.assert_allclose(np.array(start) @ rotation(axis, 90.0).T, stop, atol=1e-12)


def test_placing_moves_atoms_rigidly():
    flat, moved = placed(strand()), placed(strand(x=9.6, up=False))
    for atoms in (flat, moved):
        assert atoms.shape == (8, 5, 3)

    def distances(atoms):
        points = atoms.reshape(-1, 3)
        return np.linalg.norm(points[:, None] - points, axis=-1)

    np.testing.assert_allclose(distances(flat), distances(moved), atol=1e-9)
    assert np.linalg.det(rotation(1, 180.0)) > 0  # down is a rotation, never a mirror


def test_up_runs_along_z_and_down_against_it():
    assert placed(strand())[-1, CA, 2] > placed(strand())[0, CA, 2]
    assert placed(strand(up=False))[-1, CA, 2] < placed(strand(up=False))[0, CA, 2]


def test_side_chains_of_a_strand_point_up_on_even_and_down_on_odd_places():
    for up in (True, False):
        for low in (-3, -2):
            element = strand(up=up, low=low)
            atoms = placed(element)[1:-1]  # without the caps
            facing = (atoms[:, CB] - atoms[:, CA])[:, 1]
            even = element.lattice() % 2 == 0
            assert (facing[even] > 0.7).all() and (facing[~even] < -0.7).all()


def test_neighbours_with_the_same_place_stand_side_by_side():
    """Antiparallel and parallel: CB of one place of neighbouring strands are about 5 A apart."""
    for up in (True, False):
        a, b = strand(), strand(x=4.8, rank=1, up=up, low=-2)
        first = dict(zip(a.lattice().tolist(), placed(a)[1:-1, CB], strict=True))
        second = dict(zip(b.lattice().tolist(), placed(b)[1:-1, CB], strict=True))
        shared = sorted(set(first) & set(second))
        assert len(shared) == 5
        gaps = np.array([np.linalg.norm(first[k] - second[k]) for k in shared])
        assert (np.abs(gaps - 5.0) < 1.2).all()
        farther = [np.linalg.norm(first[k] - second[k + 2]) for k in shared[:-2]]
        assert min(farther) > gaps.max()


def test_lattice_of_a_strand_that_runs_down_falls():
    assert strand(up=False).lattice().tolist() == [2, 1, 0, -1, -2, -3]


def test_strand_pairs_are_neighbours_of_one_sheet_only():
    elements = [strand(rank=2), strand(rank=0), Element("H", 10, 0, 10, 0), strand(rank=1)]
    elements.append(Element("E", 6, 0, 0, -3, sheet=1, rank=1))
    assert strand_pairs(elements) == [(0, 3), (1, 3)]


def least_gap(a, b):
    """Smallest distance of two atoms, and of two CB."""
    first, second = placed(a), placed(b)
    every = np.linalg.norm(first.reshape(-1, 1, 3) - second.reshape(-1, 3), axis=-1)
    return every.min(), np.linalg.norm(first[:, None, CB] - second[:, CB], axis=-1).min()


def test_settled_turns_helices_out_of_clashes():
    rng = np.random.default_rng(0)
    clashed = 0
    for _ in range(20):
        pair = [Element("H", 14, x, 0, 0, spin=rng.uniform(0, 360)) for x in (0.0, 9.6)]
        before = least_gap(*pair)
        clashed += before[0] < 2.6 or before[1] < 3.4
        assert settled(rng, pair)
        after = least_gap(*pair)
        assert after[0] >= 2.6 and after[1] >= 3.4
    assert clashed > 2


def test_settled_gives_up_where_no_turn_helps():
    assert not settled(np.random.default_rng(0), [strand(), strand(x=1.0, rank=1)])
