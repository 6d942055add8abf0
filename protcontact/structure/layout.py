"""What is the full sequence of a chain, and where on it is each observed residue?

The answer comes, in this order, from places that the file states (``label_seq_id``), from placing
the observed residues on the full sequence (`placement`), or from the observed residues alone with
the gaps that numbers and distances prove (`gaps`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from protcontact.structure.alternatives import Residues
from protcontact.structure.gaps import infer_gaps
from protcontact.structure.geometry import bonded_to_next
from protcontact.structure.observed import CA, C, Monomer, N, ObservedChain
from protcontact.structure.placement import UNPLACED, Trace, place

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
    if observed.positions is not None:
        return _stated(observed, residues, observed.positions)
    trace = _trace(observed, residues)
    if observed.sequence is None:
        return _inferred(observed, residues, trace)
    placement = place(trace, observed.sequence, observed.missing)
    if placement is None:
        note = "the full sequence in the file contradicts the observed residues and was not used"
        return _inferred(observed, residues, trace, note)
    layout = _on_sequence(observed, residues, observed.sequence, placement.positions)
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


def _stated(observed: ObservedChain, residues: Residues, positions: np.ndarray) -> Layout:
    """Places stated by the file; a residue whose atoms name another component is not placed."""
    if observed.sequence is None:
        note = "no full sequence in the file: residues between the observed ones are X"
        return _observed_only(observed, residues, positions, [note])
    agree = np.array(
        [
            any(name in observed.sequence[position].components for name in offered)
            for offered, position in zip(_offered(residues), positions.tolist(), strict=True)
        ],
        dtype=bool,
    )
    return _on_sequence(observed, residues, observed.sequence, np.where(agree, positions, UNPLACED))


def _on_sequence(
    observed: ObservedChain,
    residues: Residues,
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
    notes = _note("place on the full sequence not certain, left unresolved: author", unplaced)
    return Layout(positions, components, numbers, notes)


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
    breaks = _note("chain break of unknown length joined after author residues", joined)
    return _observed_only(observed, residues, gaps.positions, [*notes, *inserted, *breaks])


def _note(text: str, numbers: list[str]) -> tuple[str, ...]:
    return (f"{text} {', '.join(numbers)}",) if numbers else ()
