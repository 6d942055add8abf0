"""Predicted contacts in the CASP RR format.

A line ``i j 0 8 p`` says: with probability p the CB atoms (CA for glycine) of residues i and j are
closer than 8 Angstrom. In mode 2 (``RMODE 2``, of CASP14) a line ``i j p p1 ... p10`` adds the
probabilities of ten bins of distance, up to 4, 6, 8, ... 20 Angstrom and beyond; p is that of the
first three. Residues count from 1 in the file and from 0 everywhere else. `rr_read` reads it.

Reference: https://predictioncenter.org/casp14/index.cgi?page=format (PFRMAT RR).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from protcontact.structure.contacts import CUTOFF

SEQUENCE_WIDTH = 50
PROBABILITY_DECIMALS = 6
BIN_DECIMALS = 4
PAIRS_AT_ONCE = 2**18  # that exist as Python numbers, some 30 MB

# Between the ten bins of mode 2, Angstrom.
BIN_EDGES = (4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0)
BINS = len(BIN_EDGES) + 1


@dataclass(frozen=True, eq=False)
class Contacts:
    """Predicted contacts of one sequence of length L.

    Attributes:
        target: Name of the target.
        sequence: The sequence; ``""`` if the file has none.
        pairs: ``(P, 2)`` int64, residues from 0, the smaller first.
        probabilities: ``(P,)`` float64, in ``[0, 1]``.
        notes: What of the file was not used, one sentence each.
        bins: ``(P, 10)`` float64, probabilities of the distance bins; None if the file has none.
    """

    target: str
    sequence: str
    pairs: np.ndarray
    probabilities: np.ndarray
    notes: tuple[str, ...] = field(default=())
    bins: np.ndarray | None = None

    def matrix(self, length: int | None = None) -> np.ndarray:
        """``(L, L)`` float64 symmetric scores, 0 where the file has no line.

        Raises:
            ValueError: If the length is not known: no sequence and no `length`.
        """
        size = length or len(self.sequence)
        if size == 0:
            raise ValueError("the file has no sequence: give length")
        scores = np.zeros((size, size))
        rows, columns = self.pairs.T
        scores[rows, columns] = scores[columns, rows] = self.probabilities
        return scores


def rank_pairs(
    scores: np.ndarray, min_separation: int, top: int | None = None, among: np.ndarray | None = None
) -> np.ndarray:
    """Residue pairs by falling score, equal scores by ``(i, j)``.

    Args:
        scores: ``(L, L)``; the upper triangle counts.
        min_separation: Least ``j - i``.
        top: Number of pairs; None for all.
        among: ``(L, L)`` bool, the pairs to rank; None for all.

    Returns:
        ``(P, 2)`` int64 with ``i < j``.
    """
    if among is None:
        rows, columns = np.triu_indices(len(scores), k=min_separation)
    else:
        rows, columns = np.nonzero(np.triu(among, k=min_separation))
    order = np.argsort(-scores[rows, columns], kind="stable")[:top]
    return np.stack([rows[order], columns[order]], axis=1)


def casp_bins(probabilities: np.ndarray, edges: tuple[float, ...]) -> np.ndarray | None:
    """Add finer bins of distance up to the ten of mode 2.

    Args:
        probabilities: ``(..., N)``.
        edges: Between the N bins, rising, Angstrom.

    Returns:
        ``(..., 10)`` of the same type; None if an edge of the ten bins is none of these.

    Raises:
        ValueError: If there are not N - 1 edges.
    """
    if probabilities.shape[-1] != len(edges) + 1:
        raise ValueError(f"{len(edges)} edges for {probabilities.shape[-1]} bins")
    if not set(BIN_EDGES) <= set(edges):
        return None
    starts = [0, *(edges.index(edge) + 1 for edge in BIN_EDGES)]
    return np.add.reduceat(probabilities, starts, axis=-1)


def write_rr(
    path: str | Path,
    sequence: str,
    scores: np.ndarray,
    *,
    target: str,
    min_separation: int = 6,
    top: int | None = None,
    among: np.ndarray | None = None,
    bins: np.ndarray | None = None,
    author: str = "protcontact",
    method: str = "protcontact",
    remark: str = "",
) -> None:
    """Write probabilities of contact as a CASP RR file.

    Args:
        path: File to write.
        sequence: Sequence of length L.
        scores: ``(L, L)`` symmetric probabilities.
        target: Name of the target, one word.
        min_separation: Least ``j - i``.
        top: Number of pairs to write; None for all.
        among: ``(L, L)`` bool, symmetric, the pairs to write; None for all. Others may be NaN.
        bins: ``(L, L, 10)`` symmetric probabilities of the bins between `BIN_EDGES`, for a file in
            mode 2; None for contacts alone.
        author: AUTHOR record.
        method: METHOD record.
        remark: REMARK record, one line; none if empty.

    Raises:
        ValueError: If the target is not one word, the remark not one line, or the scores or bins do
            not fit the sequence or are no probabilities.
    """
    length = len(sequence)
    _check_scores(scores, length, among)
    if bins is not None:
        _check_bins(bins, length, among)
    if len(target.split()) != 1 or target.strip() != target:
        raise ValueError(f"target must be one word, not {target!r}")
    if "\n" in remark:
        raise ValueError(f"remark must be one line, not {remark!r}")
    lines = ["PFRMAT RR", f"TARGET {target}", f"AUTHOR {author}", f"METHOD {method}"]
    lines += [f"REMARK {remark}"] if remark else []
    lines += ["MODEL  1"] if bins is None else ["RMODE  2", "MODEL  1"]
    lines += [sequence[at : at + SEQUENCE_WIDTH] for at in range(0, length, SEQUENCE_WIDTH)]
    rounded = np.round(scores, PROBABILITY_DECIMALS)
    pairs = rank_pairs(rounded, min_separation, top, among)
    with Path(path).open("w", encoding="ascii") as file:
        file.write("\n".join([*lines, ""]))
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            file.writelines(_lines(pairs[start : start + PAIRS_AT_ONCE], rounded, bins))
        file.write("END\n")


def _lines(pairs: np.ndarray, scores: np.ndarray, bins: np.ndarray | None) -> Iterator[str]:
    rows, columns = pairs.T
    values = scores[rows, columns].tolist()
    middle = f"0 {CUTOFF:g} " if bins is None else ""
    tails = [""] * len(pairs) if bins is None else map(_tail, bins[rows, columns].tolist())
    for (i, j), value, tail in zip(pairs.tolist(), values, tails, strict=True):
        yield f"{i + 1} {j + 1} {middle}{value:.{PROBABILITY_DECIMALS}f}{tail}\n"


def _tail(bins: list[float]) -> str:
    return "".join(f" {value:.{BIN_DECIMALS}f}" for value in bins)


def _check_scores(scores: np.ndarray, length: int, among: np.ndarray | None) -> None:
    for array in (scores,) if among is None else (scores, among):
        if array.shape != (length, length):
            raise ValueError(
                f"scores must be ({length}, {length}) like the sequence, not {array.shape}"
            )
    fine = (scores >= 0) & (scores <= 1)
    if not (fine if among is None else fine | ~among).all():
        raise ValueError("scores must be probabilities in [0, 1], without NaN")


def _check_bins(bins: np.ndarray, length: int, among: np.ndarray | None) -> None:
    if bins.shape != (length, length, BINS):
        raise ValueError(f"bins must be ({length}, {length}, {BINS}), not {bins.shape}")
    fine = (bins >= 0).all(axis=-1) & (np.abs(bins.sum(axis=-1, dtype=np.float64) - 1) < 1e-3)
    if not (fine if among is None else fine | ~among).all():
        raise ValueError("bins must be probabilities that sum to 1, without NaN")
