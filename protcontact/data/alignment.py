"""Which residue of one chain stands where which residue of another one does?

An alignment is kept as its runs without a gap: three numbers each, however long they are.
"""

from typing import NamedTuple

import numpy as np

GAP = ord("-")


class Alignment(NamedTuple):
    """A sequence that resembles a query, residue by residue.

    Attributes:
        target: Place among the targets.
        evalue: Hits as good as this one that chance would find among these targets.
        bits: Score of the alignment.
        identity: Identical residues / aligned columns.
        coverage: Aligned part of the chain that is covered more.
        query_index: ``(n,)`` int64, places in the query that are aligned with a residue, rising.
        target_index: ``(n,)`` int64, the places in the target, rising.
    """

    target: int
    evalue: float
    bits: float
    identity: float
    coverage: float
    query_index: np.ndarray
    target_index: np.ndarray

    def rank(self) -> tuple[float, float, int]:
        """Smaller is nearer."""
        return (self.evalue, -self.bits, self.target)


def aligned_pairs(
    query: str, target: str, query_start: int = 0, target_start: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Read two rows of an alignment.

    Args:
        query: The aligned part of the query, ``-`` for a gap.
        target: That of the target, of the same length.
        query_start: Place of the first residue of `query` in its full sequence, from 0.
        target_start: The same of `target`.

    Returns:
        ``(n,)`` and ``(n,)`` int64: the places of the residues that stand in one column.

    Raises:
        ValueError: If the rows are not of one length.
    """
    if len(query) != len(target):
        raise ValueError(f"rows of one alignment have {len(query)} and {len(target)} columns")
    there = [np.frombuffer(row.encode("ascii"), dtype=np.uint8) != GAP for row in (query, target)]
    both = there[0] & there[1]
    one, other = (np.cumsum(row, dtype=np.int64)[both] - 1 for row in there)
    return one + query_start, other + target_start


def runs_of(query_index: np.ndarray, target_index: np.ndarray) -> np.ndarray:
    """Pack an alignment.

    Args:
        query_index: ``(n,)`` integers, rising.
        target_index: ``(n,)`` integers, rising.

    Returns:
        ``(r, 3)`` int32: the first places of each run without a gap, and its length.
    """
    if len(query_index) == 0:
        return np.empty((0, 3), dtype=np.int32)
    broken = (np.diff(query_index) != 1) | (np.diff(target_index) != 1)
    starts = np.concatenate([[0], np.flatnonzero(broken) + 1])
    lengths = np.diff([*starts, len(query_index)])
    return np.stack([query_index[starts], target_index[starts], lengths], axis=1).astype(np.int32)


def pairs_of(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unpack what `runs_of` packed, to ``(n,)`` and ``(n,)`` int64."""
    lengths = runs[:, 2].astype(np.int64)
    ends = np.cumsum(lengths)
    inside = np.arange(lengths.sum()) - np.repeat(ends - lengths, lengths)
    one, other = (np.repeat(runs[:, side].astype(np.int64), lengths) + inside for side in (0, 1))
    return one, other
