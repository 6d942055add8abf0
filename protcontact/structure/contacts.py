"""Which residue pairs are in contact, which are not, and of which is nothing known?

Definition: two residues are in contact if their CB atoms (CA for glycine) are closer than 8.0
Angstrom. A pair is unknown where either residue is unresolved. Never a guess.
"""

import numpy as np

from protcontact.structure.chain import Chain

CUTOFF = 8.0

CONTACT = 1
NO_CONTACT = 0
UNKNOWN_PAIR = -1


def distance_map(coordinates: np.ndarray) -> np.ndarray:
    """Return all pairwise distances, ``(L, 3) -> (L, L)`` in Angstrom, NaN where unknown.

    Plain differences, axis by axis: a matrix product would lose digits near the cutoff, and an
    ``(L, L, 3)`` array of differences takes three times as long to fill as to use.
    """
    squared = np.zeros((len(coordinates), len(coordinates)), dtype=coordinates.dtype)
    for axis in coordinates.T:
        difference = axis[:, None] - axis[None, :]
        squared += difference * difference
    return np.sqrt(squared, out=squared)


def contact_map(chain: Chain, cutoff: float = CUTOFF) -> np.ndarray:
    """Label every residue pair of a chain.

    Args:
        chain: The chain, length L.
        cutoff: Distance in Angstrom below which a pair is in contact.

    Returns:
        ``(L, L)`` int8, symmetric: 1 contact, 0 no contact, -1 unknown.
    """
    labels = (distance_map(chain.coordinates) < cutoff).astype(np.int8)  # CONTACT, NO_CONTACT
    unknown = ~chain.resolved
    labels[unknown, :] = UNKNOWN_PAIR
    labels[:, unknown] = UNKNOWN_PAIR
    return labels


def separation(length: int) -> np.ndarray:
    """Return ``|i - j|`` for all residue pairs, ``(L, L)``."""
    index = np.arange(length)
    return np.abs(index[:, None] - index[None, :])
