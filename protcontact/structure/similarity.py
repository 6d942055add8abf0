"""How alike are two aligned chains near a residue?

An alignment is right in some places and wrong in others. Where the residues around are alike and
no gap is near, it tends to be right: means over windows of the chain of the BLOSUM62 scores of the
aligned residues, and of the share of residues that are aligned at all.
"""

import numpy as np

from protcontact.structure.alphabet import UNKNOWN
from protcontact.structure.substitution import SCORES

WINDOWS = (1, 11, 41)  # residues; and the whole chain
MEASURES = 2 * (len(WINDOWS) + 1)
UNKNOWN_SCORE = -1  # of X with any letter, as BLAST has it

_TABLE = np.full((UNKNOWN + 1, UNKNOWN + 1), UNKNOWN_SCORE, dtype=np.float32)
_TABLE[:UNKNOWN, :UNKNOWN] = SCORES


def local_similarity(
    codes: np.ndarray, other: np.ndarray, index: np.ndarray, other_index: np.ndarray
) -> np.ndarray:
    """Similarity of a chain and one that is aligned with it, at each residue of the chain.

    Args:
        codes: ``(L,)`` letters of the chain as integers.
        other: ``(K,)`` those of the other chain.
        index: ``(n,)`` places of the chain that are aligned, rising.
        other_index: ``(n,)`` the places of the other chain.

    Returns:
        ``(L, 8)`` float32: mean BLOSUM62 score in half bits, 0 where nothing is aligned, over the
        1, 11 and 41 residues around, as many of them as there are, and over the whole chain; then
        the aligned share of the same residues, in ``[0, 1]``.
    """
    found = np.zeros((len(codes), 2))
    found[index, 0] = _TABLE[codes[index], other[other_index]]
    found[index, 1] = 1
    means = np.empty((len(codes), 2, len(WINDOWS) + 1), dtype=np.float32)
    for place, window in enumerate(WINDOWS):
        means[:, :, place] = _moving_mean(found, window // 2)
    means[:, :, -1] = found.mean(axis=0)
    return means.reshape(len(codes), MEASURES)


def _moving_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """``(L, C) -> (L, C)``: mean of the rows at most `reach` away."""
    L = len(values)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    start = np.maximum(np.arange(L) - reach, 0)
    end = np.minimum(np.arange(L) + reach + 1, L)
    return (sums[end] - sums[start]) / (end - start)[:, None]
