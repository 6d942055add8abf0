import numpy as np

from protcontact.data.synthetic.check import flaws
from protcontact.data.synthetic.geometry import CA, CB
from protcontact.data.synthetic.loops import Joiner, joints
from protcontact.data.synthetic.rods import Element, placed
from protcontact.data.synthetic.spans import least_spans, set_starts


def hairpin():
    elements = [
        Element("E", 6, 0.0, 0.0, -3, sheet=0, rank=0, up=True),
        Element("E", 6, 4.8, 0.0, -3, sheet=0, rank=1, up=False),
    ]
    spans = least_spans(elements) + 1
    set_starts(elements, spans)
    return elements, spans


def local(found):
    return {rule for rule in found if rule != "not compact"}  # two strands are never a globule


def test_a_hairpin_is_closed_without_flaw_and_keeps_its_strands():
    elements, spans = hairpin()
    closed = 0
    for seed in range(10):
        joiner = Joiner(np.random.default_rng(seed), elements, spans)
        atoms = joiner.join(joiner.atoms, np.arange(3))
        assert np.isfinite(atoms).all()
        for element, rod in zip(elements, joiner.rods, strict=True):
            np.testing.assert_allclose(atoms[element.start : element.stop], rod[1:-1], atol=1e-9)
        closed += not local(flaws(atoms))
    assert closed >= 6


def test_laying_one_loop_anew_leaves_the_rest():
    elements, spans = hairpin()
    joiner = Joiner(np.random.default_rng(3), elements, spans)
    atoms = joiner.join(joiner.atoms, np.arange(3))
    again = joiner.join(atoms, np.array([2]))
    np.testing.assert_allclose(again[: elements[1].stop], atoms[: elements[1].stop], atol=1e-9)
    assert np.abs(again[elements[1].stop + 1 :] - atoms[elements[1].stop + 1 :]).max() > 0.1


def test_exchange_keeps_length_elements_and_the_other_loops():
    elements, spans = hairpin()
    joiner = Joiner(np.random.default_rng(4), elements, spans)
    atoms = joiner.join(joiner.atoms, np.arange(3))
    moved, other = joiner._exchange(atoms, 1)
    assert len(moved) == len(atoms)
    assert joiner.spans.sum() == spans.sum() and other in (0, 2)
    for element, rod in zip(elements, joiner.rods, strict=True):
        np.testing.assert_allclose(moved[element.start : element.stop], rod[1:-1], atol=1e-9)
    changed = np.isin(joiner.loop_of, [1, other]) & ~joiner.fixed
    assert np.isnan(moved[changed]).all()
    assert np.isfinite(moved[~changed][:, [CA, CB]]).any()


def test_joints_leave_out_residues_that_do_not_exist():
    elements, spans = hairpin()
    length = int(spans.sum()) + 12
    angles, tethers = joints(length, elements, [placed(element) for element in elements])
    for found in (angles, tethers):
        assert ((found.residue >= 0) & (found.residue < length)).all()
        assert len(found.residue) == 4
    assert (angles.low < angles.high).all() and (tethers.low == 0).all()
