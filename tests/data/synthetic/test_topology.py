import numpy as np
import pytest

from protcontact.data.synthetic.topology import SHEET_MAX, draw_elements


@pytest.mark.parametrize("length", [40, 60, 100, 300, 1000])
def test_elements_about_fill_the_chain(length):
    for seed in range(5):
        elements = draw_elements(np.random.default_rng(seed), length)
        residues = sum(element.length for element in elements)
        assert 0.3 * length < residues < 0.9 * length


def test_strands_stand_at_their_spacing_and_sheets_are_narrow_enough_for_the_code():
    for seed in range(20):
        elements = draw_elements(np.random.default_rng(seed), 400)
        sheets: dict[int, list] = {}
        for element in elements:
            if element.kind == "E":
                sheets.setdefault(element.sheet, []).append(element)
        assert sheets
        for strands in sheets.values():
            strands.sort(key=lambda e: e.rank)
            assert len(strands) <= SHEET_MAX
            assert len({e.y for e in strands}) == 1
            np.testing.assert_allclose(np.diff([e.x for e in strands]), 4.8)


def test_rods_of_a_layer_keep_their_distance():
    for seed in range(10):
        elements = draw_elements(np.random.default_rng(seed), 300)
        for a in elements:
            for b in elements:
                if a is not b and a.y == b.y:
                    assert abs(a.x - b.x) > 4.7
                    if "H" in a.kind + b.kind or a.sheet != b.sheet:
                        assert abs(a.x - b.x) > 8.5


def test_with_a_separation_strands_of_the_two_ends_alternate():
    for seed in range(10):
        elements = draw_elements(np.random.default_rng(seed), 300, separation=200)
        groups = [element.group for element in elements]
        assert groups.count(1) == groups.count(2) > 0
        assert groups == [1] * groups.count(1) + [0] * groups.count(0) + [2] * groups.count(2)
        for element in elements:
            if element.group:
                beside = [
                    e.group
                    for e in elements
                    if e.sheet == element.sheet and abs(e.rank - element.rank) == 1
                ]
                assert beside and set(beside) == {3 - element.group}
