"""`protcontact.structure.placement` against the enumeration of every placement."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protcontact.structure.observed import Monomer
from protcontact.structure.placement import (
    UNPLACED,
    Trace,
    expected_gaps,
    fits_place,
    is_torn,
    place,
    split_number,
)


def trace_of(names, numbers, breaks=(), distance=None):
    """Residues bonded except after the indices in `breaks`."""
    bonded = np.ones(len(names) - 1, dtype=np.int8)
    bonded[list(breaks)] = 0
    ca_distance = np.full(len(names) - 1, 3.8)
    ca_distance[list(breaks)] = np.nan if distance is None else distance
    return Trace(tuple((name,) for name in names), tuple(numbers), bonded, ca_distance)


def monomers(names):
    return tuple(Monomer((name,)) for name in names)


def enumerate_placements(trace, names):
    """Every placement that obeys bonds and names, with its number of disagreements."""
    gaps = expected_gaps(trace).tolist()
    for positions in itertools.combinations(range(len(names)), len(trace)):
        pairs = list(zip(positions, positions[1:], strict=False))
        steps = [second - first for first, second in pairs]
        if any(step != 1 for step, bond in zip(steps, trace.bonded, strict=True) if bond == 1):
            continue
        if any(names[p] not in trace.offered[r] for r, p in enumerate(positions)):
            continue
        breaks = [i for i, bond in enumerate(trace.bonded) if bond != 1]
        yield positions, sum(steps[i] - 1 != gaps[i] for i in breaks)


def slow_place(trace, names):
    """Places that all best placements share; None if there is none."""
    found = list(enumerate_placements(trace, names))
    if not found:
        return None
    best = min(cost for _, cost in found)
    options = [set(column) for column in zip(*(p for p, c in found if c == best), strict=True)]
    shared = [option.pop() if len(option) == 1 else UNPLACED for option in options]
    return shared if any(place != UNPLACED for place in shared) else None


@st.composite
def problems(draw):
    names = draw(st.lists(st.sampled_from(["ALA", "GLY", "LYS"]), min_size=1, max_size=9))
    size = draw(st.integers(1, len(names)))
    kept = sorted(draw(st.permutations(range(len(names))))[:size])
    numbers = [place + 5 for place in kept]
    if draw(st.booleans()):  # numbers that mean little
        numbers = draw(st.lists(st.integers(-3, 20), min_size=size, max_size=size))
    breaks = {i for i in range(size - 1) if kept[i + 1] - kept[i] > 1 or draw(st.booleans())}
    observed = [names[place] for place in kept]
    if draw(st.booleans()) and draw(st.booleans()):
        observed[0] = "TRP"  # contradicts the sequence
    return trace_of(observed, [str(n) for n in numbers], sorted(breaks)), names, kept


@given(problems())
@settings(max_examples=400, deadline=None)
def test_placement_is_what_enumeration_finds(problem):
    trace, names, _ = problem
    placement = place(trace, monomers(names), ())
    found = None if placement is None else placement.positions.tolist()
    assert found == slow_place(trace, names)


@given(problems())
@settings(max_examples=200, deadline=None)
def test_missing_residues_that_are_listed_settle_the_placement(problem):
    trace, names, kept = problem
    if "TRP" in itertools.chain(*trace.offered) or trace.numbers != tuple(str(k + 5) for k in kept):
        return
    missing = tuple(
        Monomer((name,), str(index + 5)) for index, name in enumerate(names) if index not in kept
    )
    placement = place(trace, monomers(names), missing)
    assert placement.positions.tolist() == kept
    assert placement.numbers == {i: str(i + 5) for i in range(len(names)) if i not in kept}


def test_numbers_decide_where_names_do_not():
    """AAGAAA with A(1) and A(5) observed: only the numbers tell which A."""
    trace = trace_of(["ALA", "GLY", "ALA"], ["1", "3", "5"], breaks=[0, 1])
    assert place(
        trace, monomers(["ALA", "ALA", "GLY", "ALA", "ALA", "ALA"]), ()
    ).positions.tolist() == [0, 2, 4]


def test_a_stretch_with_several_places_stays_unplaced_and_others_are_placed():
    names = ["TRP", "TRP", "ALA", "ALA", "ALA", "ALA", "LYS", "LYS"]
    trace = trace_of(["TRP", "TRP", "ALA", "LYS", "LYS"], ["1", "2", "90", "7", "8"], breaks=[1, 2])
    assert place(trace, monomers(names), ()).positions.tolist() == [0, 1, UNPLACED, 6, 7]


def test_bonded_residues_are_neighbours_whatever_their_numbers():
    """A jump of the numbering inside a bonded stretch is a convention."""
    trace = trace_of(["ALA", "LYS", "GLY"], ["1", "100", "101"])
    assert place(trace, monomers(["ALA", "LYS", "GLY"]), ()).positions.tolist() == [0, 1, 2]
    assert place(trace, monomers(["ALA", "TRP", "LYS", "GLY"]), ()) is None


def test_a_gap_too_short_for_its_distance_is_no_placement():
    names = ["ALA", "GLY", "LYS", "LYS", "LYS", "GLY", "LYS", "TRP"]
    near = trace_of(["ALA", "GLY", "TRP"], ["1", "50", "90"], breaks=[0, 1], distance=[3.8, 20.0])
    assert place(near, monomers(names), ()).positions.tolist() == [0, 1, 7]


def test_parents_match_and_unknown_residues_match_by_name_only():
    trace = trace_of(["MET", "UNK"], ["1", "2"])
    assert place(trace, monomers(["MSE", "UNK"]), ()).positions.tolist() == [0, 1]
    assert place(trace, monomers(["MSE", "ZZZ"]), ()) is None


def test_one_of_several_components_is_enough():
    trace = Trace((("PRO", "SER"),), ("22",), np.empty(0, np.int8), np.empty(0))
    assert place(trace, monomers(["SER"]), ()).positions.tolist() == [0]


def test_nothing_can_be_placed_on_less():
    assert place(trace_of(["ALA", "ALA"], ["1", "2"]), monomers(["ALA"]), ()) is None


def test_numbers_that_restart_and_insertions():
    trace = trace_of(["ALA"] * 6, ["4X", "2", "3", "3A", "3", "9"], breaks=range(5))
    assert expected_gaps(trace).tolist() == [-1, 0, 0, -1, 5]
    assert expected_gaps(trace_of(["ALA"] * 2, ["34", "40A"], breaks=[0])).tolist() == [6]
    assert expected_gaps(trace_of(["ALA"] * 2, ["34", "40C"], breaks=[0])).tolist() == [-1]


@pytest.mark.parametrize(("text", "parts"), [("-3", (-3, "")), ("52A", (52, "A")), ("0", (0, ""))])
def test_numbers_are_split(text, parts):
    assert split_number(text) == parts


@pytest.mark.parametrize("text", ["", "A", "1.5", "12AB", "--3"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="no residue number|not a residue number"):
        split_number(text)


def test_numbers_that_count_across_a_break_do_not_settle_a_place():
    """Renumbered without a gap, but 10 A apart: the tail may be at three places of AAAA."""
    names = ["GLY", "LYS", "ALA", "ALA", "ALA", "ALA"]
    torn = trace_of(["GLY", "LYS", "ALA", "ALA"], "1234", breaks=[1], distance=10.0)
    assert place(torn, monomers(names), ()).positions.tolist() == [0, 1, UNPLACED, UNPLACED]
    near = trace_of(["GLY", "LYS", "ALA", "ALA"], "1234", breaks=[1], distance=5.0)
    assert place(near, monomers(names), ()).positions.tolist() == [0, 1, 2, 3]


def test_a_break_between_true_neighbours_remains_possible():
    torn = trace_of(["GLY", "LYS", "ALA"], "123", breaks=[1], distance=10.0)
    assert place(torn, monomers(["GLY", "LYS", "ALA"]), ()).positions.tolist() == [0, 1, 2]
    assert is_torn(torn).tolist() == [False, True]


@pytest.mark.parametrize(
    ("names", "others", "fits"),
    [(("MSE",), ("MET",), True), (("UNK",), ("ZZZ",), False), (("PRO", "SER"), ("SER",), True)],
)
def test_names_fit_by_parent(names, others, fits):
    assert fits_place(names, others) == fits
