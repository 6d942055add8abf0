"""What is the full sequence of a chain, and where on it is each observed residue?

The answer comes, in this order, from places that the file states (``label_seq_id``), from placing
the observed residues on the full sequence (`placement`), or from the observed residues alone with
the gaps that numbers and distances prove (`gaps`). A residue fits a place of the full sequence if
it has its name or its parent letter (MSE on MET), whoever states the place. Neighbours on the full
sequence that stand too far apart for it are noted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from protcontact.structure.alternatives import Residues
from protcontact.structure.gaps import infer_gaps
from protcontact.structure.geometry import bonded_to_next
from protcontact.structure.observed import CA, C, Monomer, N, ObservedChain
from protcontact.structure.placement import UNPLACED, Trace, fits_place, is_torn, place

UNKNOWN_COMPONENT = "UNK"


@dataclass(frozen=True, eq=False)
class Layout:
    """The full sequence of length L with the R observed residues on it.

    Attributes:
        positions: ``(R,)`` int in ``[0, L)``, or `UNPLACED`.
        components: L names of components; UNK where nothing is known.
        numbers: L author numbers; ``""`` where nothing is known.
        notes: What was decided.
    """

    positions: np.ndarray
    components: list[str]
    numbers: list[str]
    notes: tuple[str, ...] = ()


def lay_out(observed: ObservedChain, residues: Residues) -> Layout:
    """Find the full sequence and the place of each observed residue on it."""
    trace = _trace(observed, residues)
    if observed.sequence is None:
        return _inferred(observed, residues, trace)
    if observed.positions is not None:
        positions = _stated(trace, observed.sequence, observed.positions)
        return _on_sequence(observed, residues, trace, observed.sequence, positions)
    placement = place(trace, observed.sequence, observed.missing)
    if placement is None:
        note = "the full sequence in the file contradicts the observed residues and was not used"
        return _inferred(observed, residues, trace, note)
    layout = _on_sequence(observed, residues, trace, observed.sequence, placement.positions)
    for position, number in placement.numbers.items():
        layout.numbers[position] = number
    return layout


def _offered(residues: Residues) -> tuple[tuple[str, ...], ...]:
    return tuple(
        residues.offered.get(index, (name,)) for index, name in enumerate(residues.component)
    )


def _trace(observed: ObservedChain, residues: Residues) -> Trace:
    xyz = residues.xyz
    return Trace(
        offered=_offered(residues),
        numbers=observed.numbers,
        bonded=bonded_to_next(xyz[:, N], xyz[:, CA], xyz[:, C]),
        ca_distance=np.linalg.norm(xyz[1:, CA] - xyz[:-1, CA], axis=1),
    )


def _stated(trace: Trace, sequence: tuple[Monomer, ...], positions: np.ndarray) -> np.ndarray:
    """Places stated by the file; a residue whose atoms name another component is not placed."""
    agree = [
        fits_place(offered, sequence[position].components)
        for offered, position in zip(trace.offered, positions.tolist(), strict=True)
    ]
    return np.where(np.array(agree, dtype=bool), positions, UNPLACED)


def _on_sequence(
    observed: ObservedChain,
    residues: Residues,
    trace: Trace,
    sequence: tuple[Monomer, ...],
    positions: np.ndarray,
) -> Layout:
    components = [monomer.components[0] for monomer in sequence]
    numbers = [monomer.number for monomer in sequence]
    for index, position in enumerate(positions.tolist()):
        if position != UNPLACED:
            components[position] = residues.component[index]
            numbers[position] = observed.numbers[index]
    unplaced = [observed.numbers[index] for index in np.flatnonzero(positions == UNPLACED)]
    notes = list_residues(
        "place on the full sequence not certain, left unresolved: author", unplaced
    )
    placed = (positions[:-1] != UNPLACED) & (np.diff(positions) == 1)
    torn = [observed.numbers[index] for index in np.flatnonzero(placed & is_torn(trace))]
    far = list_residues("far from their next neighbour on the full sequence: author", torn)
    return Layout(positions, components, numbers, (*notes, *far))


def _observed_only(
    observed: ObservedChain, residues: Residues, positions: np.ndarray, notes: Iterable[str]
) -> Layout:
    length = int(positions.max()) + 1
    components = [UNKNOWN_COMPONENT] * length
    numbers = [""] * length
    for index, position in enumerate(positions.tolist()):
        components[position] = residues.component[index]
        numbers[position] = observed.numbers[index]
    return Layout(positions, components, numbers, tuple(notes))


def _inferred(observed: ObservedChain, residues: Residues, trace: Trace, *notes: str) -> Layout:
    """Observed residues with the gaps that numbers and distances prove."""
    gaps = infer_gaps(trace)
    missing = int(gaps.positions[-1]) + 1 - len(gaps.positions)
    inserted = [f"{missing} missing residues inferred from numbering and breaks"] if missing else []
    joined = [observed.numbers[index] for index in gaps.joined]
    breaks = list_residues("chain break of unknown length joined after author residues", joined)
    return _observed_only(observed, residues, gaps.positions, [*notes, *inserted, *breaks])


def list_residues(text: str, numbers: list[str]) -> tuple[str, ...]:
    """A sentence that ends with the author numbers it is about; none if there are none."""
    return (f"{text} {', '.join(numbers)}",) if numbers else ()
