import numpy as np
import pytest

from protcontact.data.synthetic.rods import Element
from protcontact.data.synthetic.route import set_directions
from protcontact.data.synthetic.spans import (
    LOOP_EXTRA,
    LOOP_MIN,
    TAIL_EXTRA,
    TAIL_MIN,
    dealt,
    exchanged,
    fitted,
    least_spans,
    set_starts,
)


def row(*places):
    elements = [Element("H", 10, x, 0.0, 0.0) for x in places]
    set_directions(elements, True)
    return elements


def test_farther_elements_need_longer_loops_and_rods_in_the_way_longer_ones_still():
    near, far = least_spans(row(0, 10))[1], least_spans(row(0, 30))[1]
    assert LOOP_MIN <= near < far
    barred = least_spans(row(0, 30, 15))[1]
    assert barred == far + 1


def test_residues_are_dealt_out_completely_and_within_the_limits():
    least = np.array([TAIL_MIN, 5, 9, TAIL_MIN])
    room = np.array([TAIL_EXTRA, LOOP_EXTRA, LOOP_EXTRA, TAIL_EXTRA])
    seen = set()
    for seed in range(30):
        spans = dealt(np.random.default_rng(seed), least, 28)
        assert spans.sum() == 28
        assert ((spans >= least) & (spans <= least + room)).all()
        seen.add(tuple(spans))
    assert len(seen) > 10


@pytest.mark.parametrize("residues", [17, 18 + 2 * TAIL_EXTRA + 2 * LOOP_EXTRA + 1])
def test_too_few_and_too_many_residues_are_refused(residues):
    least = np.array([TAIL_MIN, 5, 9, TAIL_MIN])
    assert dealt(np.random.default_rng(0), least, residues) is None


def test_exchange_keeps_the_sum_and_the_least():
    least = np.array([2, 5, 9, 2])
    spans = np.array([3, 6, 9, 4])
    for seed in range(40):
        new, other = exchanged(np.random.default_rng(seed), spans, least, 1)
        assert new.sum() == spans.sum() and (new >= least).all()
        assert set(np.flatnonzero(new != spans)) == {1, other} and other != 1
    assert spans.tolist() == [3, 6, 9, 4]


def test_exchange_without_partner_changes_nothing():
    least = np.array([2, 5, 2])
    new, other = exchanged(np.random.default_rng(0), least, least, 1)
    assert other == 1 and (new == least).all()


def test_starts_follow_from_spans():
    elements = row(0, 10, 20)
    set_starts(elements, np.array([3, 5, 7, 4]))
    assert [(e.start, e.stop) for e in elements] == [(3, 13), (18, 28), (35, 45)]


def test_fitting_leaves_out_what_has_no_room():
    elements = row(0, 10, 20, 30)
    kept, spans = fitted(np.random.default_rng(0), 60, elements, keep_ends=False)
    assert len(kept) < 4
    assert spans.sum() + sum(e.length for e in kept) == 60
    assert [e.up for e in kept] == [kept[0].up ^ bool(k % 2) for k in range(len(kept))]


def test_fitting_keeps_the_planted_strands():
    elements = row(0, 10, 20, 30)
    elements[0].group, elements[-1].group = 1, 2
    kept, _ = fitted(np.random.default_rng(0), 60, elements, keep_ends=True)
    assert [e.group for e in kept if e.group] == [1, 2]
    assert fitted(np.random.default_rng(0), 15, elements, keep_ends=True) is None
