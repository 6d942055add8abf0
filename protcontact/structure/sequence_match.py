"""Is this the same protein, and which of its residues stands where in the other sequence?

A prediction and a structure seldom have the very same sequence: one has a tag, the other lacks its
termini, a residue was mutated. They are aligned from the first to the last stretch in which they
are alike (Smith and Waterman 1981, Gotoh 1982; BLOSUM62, a gap costs 11 and 1 more for each further
residue): an alignment of the whole would lay a tag on the terminus that the other one lacks. They
are the same protein if at least 80 % of the aligned residues are identical, and half of the shorter
sequence is aligned. Of unrelated proteins, a sixth of the shorter sequence is aligned.
"""

from dataclasses import dataclass

import numpy as np
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal

from protcontact.structure.alphabet import UNKNOWN, decode, encode

LEAST_IDENTITY = 0.8
LEAST_COVERAGE = 0.5
GAP = (-11, -1)


@dataclass(frozen=True, eq=False)
class SequenceMatch:
    """Two sequences, residue by residue.

    Attributes:
        places: ``(Q,)`` int64: where each residue of the first sequence stands in the second; -1
            if nowhere.
        aligned: Residues of the first that stand somewhere.
        identical: Those that are identical; X is identical to nothing.
        compared: Those of which neither is X.
        shorter: Length of the shorter sequence.
    """

    places: np.ndarray
    aligned: int
    identical: int
    compared: int
    shorter: int

    @property
    def identity(self) -> float:
        """Identical residues / aligned residues that are known; 0 without any."""
        return self.identical / self.compared if self.compared else 0.0

    @property
    def coverage(self) -> float:
        """Aligned residues / length of the shorter sequence."""
        return self.aligned / self.shorter

    @property
    def is_same_protein(self) -> bool:
        """Whether it is one protein, with what differs between constructs."""
        return self.identity >= LEAST_IDENTITY and self.coverage >= LEAST_COVERAGE


def match_sequences(query: str, target: str) -> SequenceMatch:
    """Align two sequences of at least one letter each.

    Args:
        query: Letters of `alphabet`, length Q.
        target: The same.
    """
    one, other = encode(query), encode(target)
    if np.array_equal(one, other):
        places = np.arange(len(one))
    else:
        sequences = [ProteinSequence(decode(codes)) for codes in (one, other)]
        matrix = SubstitutionMatrix.std_protein_matrix()
        (best,) = align_optimal(*sequences, matrix, GAP, local=True, max_number=1)
        there = best.trace[(best.trace >= 0).all(axis=1)]
        places = np.full(len(one), -1)
        places[there[:, 0]] = there[:, 1]
    aligned = np.flatnonzero(places >= 0)
    first, second = one[aligned], other[places[aligned]]
    known = (first != UNKNOWN) & (second != UNKNOWN)
    return SequenceMatch(
        places=places.astype(np.int64),
        aligned=len(aligned),
        identical=int(((first == second) & known).sum()),
        compared=int(known.sum()),
        shorter=min(len(one), len(other)),
    )
