"""How many residues are missing between observed ones, where the file has no full sequence?

The numbers of two neighbours in the file say how many residues lie between them; the coordinates
say whether there is a break at all. Missing residues (X, without coordinates) are put in only where
both agree: the neighbours are not bonded, and the distance between their CA atoms can be bridged by
that many residues (3.9 Angstrom each). Where the numbers jump but the residues are bonded, the jump
is a convention of the numbering; where the chain breaks but the numbers do not tell how many
residues are missing, the sequence is joined there and the report says so.
"""

from dataclasses import dataclass

import numpy as np

from protcontact.structure.geometry import CA_CA_PER_RESIDUE
from protcontact.structure.placement import Trace, expected_gaps

# A longer jump is taken for a convention (a fused domain numbered from 1001).
LONGEST_GAP = 500


@dataclass(frozen=True, eq=False)
class Gaps:
    """Places of observed residues on a sequence with inferred gaps.

    Attributes:
        positions: ``(R,)`` int, from 0.
        joined: Observed residues after which a break of unknown length was joined.
    """

    positions: np.ndarray
    joined: tuple[int, ...]


def infer_gaps(trace: Trace) -> Gaps:
    """Put missing residues where both numbers and coordinates say so."""
    if len(trace) == 0:
        return Gaps(np.empty(0, dtype=np.int64), ())
    expected = expected_gaps(trace)
    reach = CA_CA_PER_RESIDUE * (expected + 1)
    bridged = ~(trace.ca_distance > reach)  # an unknown distance contradicts nothing
    filled = (trace.bonded != 1) & (expected > 0) & (expected <= LONGEST_GAP) & bridged
    gaps = np.where(filled, expected, 0)
    joined = np.flatnonzero((trace.bonded == 0) & ~filled)
    positions = np.concatenate([[0], np.cumsum(gaps + 1)])
    return Gaps(positions, tuple(joined.tolist()))
