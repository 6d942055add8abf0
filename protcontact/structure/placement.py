"""Where on the full sequence do the observed residues stand, if only names and numbers tell?

PDB files give SEQRES and, apart from it, the residues with coordinates. The two are joined without
a score that could prefer a wrong answer over "unknown":

1. Residues that are bonded are neighbours on the sequence; every residue must fit the name of its
   place. Both are absolute.
2. If REMARK 465 lists the missing residues, merging them with the observed ones by author number
   must spell SEQRES; then that is the answer.
3. Else, if the gaps that author numbers leave at chain breaks give exactly one placement, that is
   it.
4. Else, of all placements that obey 1 and in which missing residues can bridge the CA-CA distance,
   those count whose gaps disagree least often with author numbers. A stretch of bonded residues
   that has the same place in all of them is placed; one that has not stays unplaced: its place is
   unknown.

Numbers that put no residue between two that stand more than 6 Angstrom apart (CA-CA, not bonded)
contradict the coordinates: in 3 such a placement does not count, in 4 it is a disagreement like
others. It remains possible, for some models are torn between true neighbours; the layout notes it.

If no placement exists, SEQRES and coordinates contradict each other and SEQRES is not used.
"""

import re
from dataclasses import dataclass

import numpy as np

from protcontact.structure.components import UNKNOWN_LETTER, letter
from protcontact.structure.geometry import CA_CA_PER_RESIDUE
from protcontact.structure.observed import Monomer

UNPLACED = -1
_NO_COST = np.iinfo(np.int64).max // 4

# CA atoms of true neighbours are nearer, Angstrom; only poor models reach it.
_TORN = 6.0


@dataclass(frozen=True, eq=False)
class Trace:
    """What is known of R observed residues in their order.

    Attributes:
        offered: R tuples of components (several if heterogeneous).
        numbers: R author numbers with insertion code.
        bonded: ``(R-1,)`` int8 of `geometry.bonded_to_next`.
        ca_distance: ``(R-1,)`` Angstrom between neighbouring CA; NaN where unknown.
    """

    offered: tuple[tuple[str, ...], ...]
    numbers: tuple[str, ...]
    bonded: np.ndarray
    ca_distance: np.ndarray

    def __len__(self) -> int:
        return len(self.offered)


@dataclass(frozen=True, eq=False)
class Placement:
    """Places of observed residues on the full sequence.

    Attributes:
        positions: ``(R,)`` int, `UNPLACED` where not known.
        numbers: ``{position: author number}`` of residues that REMARK 465 lists.
    """

    positions: np.ndarray
    numbers: dict[int, str]


def split_number(number: str) -> tuple[int, str]:
    """``"-3"`` -> (-3, ""), ``"52A"`` -> (52, "A").

    Raises:
        ValueError: If it is no number with at most one insertion code.
    """
    match = re.fullmatch(r"(-?\d+)(\D?)", number)
    if match is None:
        raise ValueError(f"{number!r} is not a residue number")
    return int(match[1]), match[2]


def place(
    trace: Trace, sequence: tuple[Monomer, ...], missing: tuple[Monomer, ...]
) -> Placement | None:
    """Place the residues of `trace` on `sequence`; None if they contradict each other."""
    if len(trace) > len(sequence) or not len(trace):
        return None
    fits = _fits(trace.offered, sequence)
    placement = _merge(trace, sequence, missing, fits)
    if placement is not None:
        return placement
    positions = _by_numbers(trace, fits)
    if positions is None:
        positions = _by_segments(trace, fits)
    return None if positions is None else Placement(positions, {})


def is_torn(trace: Trace) -> np.ndarray:
    """``(R-1,)`` bool: not bonded, and too far apart for neighbours on the sequence."""
    return (trace.bonded == 0) & (trace.ca_distance > _TORN)


def _fits(offered: tuple[tuple[str, ...], ...], sequence: tuple[Monomer, ...]) -> np.ndarray:
    """``(R, L)`` bool: residue may stand at position: same name, or same parent letter."""
    places = [monomer.components for monomer in sequence]
    row = {names: index for index, names in enumerate(dict.fromkeys(offered))}
    column = {names: index for index, names in enumerate(dict.fromkeys(places))}
    same = np.array([[fits_place(names, other) for other in column] for names in row], dtype=bool)
    rows = np.array([row[names] for names in offered], dtype=np.int64)
    columns = np.array([column[names] for names in places], dtype=np.int64)
    return same.reshape(len(row), len(column))[rows[:, None], columns]


def fits_place(names: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether two tuples of components share a name or a parent letter (MSE and MET do)."""
    if names == others or not set(names).isdisjoint(others):
        return True
    letters = {letter(name) for name in names} - {UNKNOWN_LETTER}
    return not letters.isdisjoint(letter(other) for other in others)


def _merge(
    trace: Trace, sequence: tuple[Monomer, ...], missing: tuple[Monomer, ...], fits: np.ndarray
) -> Placement | None:
    """Merge observed and missing residues by author number; None unless that spells SEQRES."""
    if len(trace) + len(missing) != len(sequence):
        return None
    expected = _fits(tuple(monomer.components for monomer in missing), sequence)
    keys = [split_number(number) for number in trace.numbers]
    absent = [split_number(monomer.number) for monomer in missing]
    positions = np.empty(len(trace), dtype=np.int64)
    numbers: dict[int, str] = {}
    residue = gap = 0
    for position in range(len(sequence)):
        held = residue > 0 and residue < len(trace) and trace.bonded[residue - 1] == 1
        observed = residue < len(trace) and (gap == len(missing) or keys[residue] < absent[gap])
        if held or observed:
            if not fits[residue, position]:
                return None
            positions[residue] = position
            residue += 1
        else:
            if gap == len(missing) or not expected[gap, position]:
                return None
            numbers[position] = missing[gap].number
            gap += 1
    return Placement(positions, numbers)


def expected_gaps(trace: Trace) -> np.ndarray:
    """``(R-1,)`` int: residues between neighbours by author number; -1 where it does not tell."""
    numbers = [split_number(number) for number in trace.numbers]
    gaps = np.full(max(len(trace) - 1, 0), -1, dtype=np.int64)
    for index, ((first, _), (second, insertion)) in enumerate(
        zip(numbers, numbers[1:], strict=False)
    ):
        if second > first and insertion in ("", "A"):  # 40A stands behind 40
            gaps[index] = second - first - 1 + len(insertion)
        elif second == first and insertion:
            gaps[index] = 0
    return gaps


def _by_numbers(trace: Trace, fits: np.ndarray) -> np.ndarray | None:
    """The one placement whose gaps are all as author numbers say; None if none or several."""
    gaps = np.where(trace.bonded == 1, 0, expected_gaps(trace))
    if (gaps < 0).any() or (is_torn(trace) & (gaps == 0)).any():
        return None
    relative = np.concatenate([[0], np.cumsum(gaps + 1)])
    length = fits.shape[1]
    offsets = [
        offset
        for offset in range(length - int(relative[-1]))
        if fits[np.arange(len(trace)), relative + offset].all()
    ]
    return relative + offsets[0] if len(offsets) == 1 else None


def _segments(trace: Trace) -> list[tuple[int, int]]:
    """``(first, stop)`` of each stretch of bonded residues."""
    breaks = (np.flatnonzero(trace.bonded != 1) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, len(trace)], strict=True))


def _starts(fits: np.ndarray, first: int, stop: int) -> np.ndarray:
    """Positions at which a stretch of bonded residues fits as a whole."""
    length = fits.shape[1] - (stop - first) + 1
    if length <= 0:
        return np.empty(0, dtype=np.int64)
    ok = np.ones(length, dtype=bool)
    for offset, residue in enumerate(range(first, stop)):
        ok &= fits[residue, offset : offset + length]
    return np.flatnonzero(ok)


def _by_segments(trace: Trace, fits: np.ndarray) -> np.ndarray | None:
    """Point 4 of the module's rule, by dynamic programming over stretches from both ends."""
    segments = _segments(trace)
    starts = [_starts(fits, first, stop) for first, stop in segments]
    if any(len(options) == 0 for options in starts):
        return None
    expected, torn = expected_gaps(trace), is_torn(trace)
    steps = []
    for index, (first, stop) in enumerate(segments[:-1]):
        gap = starts[index + 1][None, :] - (starts[index] + stop - first)[:, None]
        disagrees = (gap != expected[stop - 1]) | ((gap == 0) & torn[stop - 1])
        reach = CA_CA_PER_RESIDUE * (gap + 1)
        too_far = reach < np.nan_to_num(trace.ca_distance[stop - 1])
        steps.append(np.where((gap < 0) | (too_far & (gap > 0)), _NO_COST, disagrees))
    forward = [np.zeros(len(starts[0]), dtype=np.int64)]
    for step in steps:
        forward.append(np.minimum((forward[-1][:, None] + step).min(axis=0), _NO_COST))
    backward = [np.zeros(len(starts[-1]), dtype=np.int64)]
    for step in reversed(steps):
        backward.insert(0, np.minimum((step + backward[0][None, :]).min(axis=1), _NO_COST))
    best = int(forward[-1].min())
    if best >= _NO_COST:
        return None
    positions = np.full(len(trace), UNPLACED, dtype=np.int64)
    for (first, stop), options, before, after in zip(
        segments, starts, forward, backward, strict=True
    ):
        possible = options[before + after == best]
        if len(possible) == 1:
            positions[first:stop] = possible[0] + np.arange(stop - first)
    return positions if (positions != UNPLACED).any() else None
