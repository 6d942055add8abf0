"""Predicted contacts in the CASP RR format.

A line ``i j 0 8 p`` says: with probability p the CB atoms (CA for glycine) of residues i and j are
closer than 8 Angstrom. Residues count from 1 in the file and from 0 everywhere else; this module is
the only place that knows about it.

Reference: https://predictioncenter.org/casp14/index.cgi?page=format (PFRMAT RR).
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from protcontact.errors import InputError
from protcontact.structure.alphabet import AMBIGUOUS, LETTERS
from protcontact.structure.contacts import CUTOFF

SEQUENCE_WIDTH = 50
PROBABILITY_DECIMALS = 6
PAIRS_AT_ONCE = 2**18  # that exist as Python numbers, some 30 MB

_HEADINGS = ("PFRMAT", "AUTHOR", "METHOD", "REMARK", "RMODE", "PARENT", "SCORE", "STOICH")
_SEQUENCE_LETTERS = frozenset(LETTERS + AMBIGUOUS + "-")


@dataclass(frozen=True, eq=False)
class Contacts:
    """Predicted contacts of one sequence of length L.

    Attributes:
        target: Name of the target.
        sequence: The sequence; ``""`` if the file has none.
        pairs: ``(P, 2)`` int64, residues from 0, the smaller first.
        probabilities: ``(P,)`` float64, in ``[0, 1]``.
        notes: What of the file was not used.
    """

    target: str
    sequence: str
    pairs: np.ndarray
    probabilities: np.ndarray
    notes: tuple[str, ...] = field(default=())

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


def write_rr(
    path: str | Path,
    sequence: str,
    scores: np.ndarray,
    *,
    target: str,
    min_separation: int = 6,
    top: int | None = None,
    among: np.ndarray | None = None,
    author: str = "protcontact",
    method: str = "protcontact",
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
        author: AUTHOR record.
        method: METHOD record.

    Raises:
        ValueError: If the target is not one word, or the scores do not fit the sequence or are no
            probabilities.
    """
    length = len(sequence)
    _check_scores(scores, length, among)
    if len(target.split()) != 1 or target.strip() != target:
        raise ValueError(f"target must be one word, not {target!r}")
    lines = ["PFRMAT RR", f"TARGET {target}", f"AUTHOR {author}", f"METHOD {method}", "MODEL  1"]
    lines += [sequence[at : at + SEQUENCE_WIDTH] for at in range(0, length, SEQUENCE_WIDTH)]
    rounded = np.round(scores, PROBABILITY_DECIMALS)
    pairs = rank_pairs(rounded, min_separation, top, among)
    with Path(path).open("w", encoding="ascii") as file:
        file.write("\n".join([*lines, ""]))
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            rows, columns = pairs[start : start + PAIRS_AT_ONCE].T
            values = rounded[rows, columns].tolist()
            triples = zip(rows.tolist(), columns.tolist(), values, strict=True)
            file.writelines(
                f"{i + 1} {j + 1} 0 {CUTOFF:g} {probability:.{PROBABILITY_DECIMALS}f}\n"
                for i, j, probability in triples
            )
        file.write("END\n")


def _check_scores(scores: np.ndarray, length: int, among: np.ndarray | None) -> None:
    for array in (scores,) if among is None else (scores, among):
        if array.shape != (length, length):
            raise ValueError(
                f"scores must be ({length}, {length}) like the sequence, not {array.shape}"
            )
    fine = (scores >= 0) & (scores <= 1)
    if not (fine if among is None else fine | ~among).all():
        raise ValueError("scores must be probabilities in [0, 1], without NaN")


def read_rr(path: str | Path) -> Contacts:
    """Read a CASP RR file, of any order, with or without the columns of the distance range.

    Of several models the first counts. Lines ``i j p`` are taken as contacts at 8 Angstrom.

    Raises:
        InputError: If a line is no contact (residues out of range or equal, a probability that is
            no number in ``[0, 1]``, another distance range), or repeats a pair, or there is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give an RR file") from error
    return _Reader(path).read(text.splitlines())


class _Reader:
    """State while reading: what was found so far, and where we are for messages."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.target = ""
        self.sequence = ""
        self.pairs: dict[tuple[int, int], float] = {}
        self.lines: dict[tuple[int, int], int] = {}
        self.notes: list[str] = []

    def read(self, lines: list[str]) -> Contacts:
        for number, line in enumerate(lines, 1):
            words = line.split("#", 1)[0].split()
            if not words or words[0] in _HEADINGS:
                continue
            if words[0] in ("MODEL", "END"):
                if self.pairs:
                    self._note_other_models(lines, number)
                    break
            elif words[0] == "TARGET":
                self.target = words[1] if len(words) > 1 else ""
            else:
                self._content(number, words)
        if not self.pairs:
            raise InputError(f"{self.path}: has no contact; lines must read 'i j 0 8 p'")
        self._check_range()
        pairs = np.array(list(self.pairs), dtype=np.int64)
        probabilities = np.array(list(self.pairs.values()))
        return Contacts(self.target, self.sequence, pairs, probabilities, tuple(self.notes))

    def _note_other_models(self, lines: list[str], number: int) -> None:
        """Say that a model begins in or behind line `number`, if one does."""
        for other, line in enumerate(lines[number - 1 :], number):
            if line.split()[:1] == ["MODEL"]:
                self.notes.append(f"only the first model is read; line {other} begins another")
                return

    def _content(self, number: int, words: list[str]) -> None:
        """A line of the sequence or of a contact."""
        if words[0].lstrip("+-").isdigit() or len(words) in (3, 5):
            self._contact(number, words)
        elif len(words) == 1 and _SEQUENCE_LETTERS.issuperset(words[0].upper()) and not self.pairs:
            self.sequence += words[0].upper().replace("-", "X")
        else:
            self._refuse(number, f"{' '.join(words)!r} is neither a sequence nor a contact")

    def _contact(self, number: int, words: list[str]) -> None:
        if len(words) not in (3, 5):
            self._refuse(number, f"{len(words)} words; a contact has 5 (i j 0 8 p) or 3 (i j p)")
        try:
            i, j = int(words[0]), int(words[1])
            numbers = [float(word) for word in words[2:]]
        except ValueError:
            self._refuse(number, f"{' '.join(words)!r} has a word that is no number")
        if len(numbers) == 3 and numbers[:2] != [0.0, CUTOFF]:
            self._refuse(number, f"distance range {words[2]} to {words[3]}, not 0 to {CUTOFF:g}")
        probability = numbers[-1]
        if not 0 <= probability <= 1:
            self._refuse(number, f"probability {words[-1]} is not in [0, 1]")
        if min(i, j) < 1 or i == j:
            self._refuse(number, f"residues {i} and {j}; they count from 1 and must differ")
        pair = (min(i, j) - 1, max(i, j) - 1)
        if pair in self.pairs:
            self._refuse(number, f"residues {i} and {j} stand in line {self.lines[pair]} already")
        self.pairs[pair] = probability
        self.lines[pair] = number

    def _check_range(self) -> None:
        """The sequence may stand behind contacts' headings only, so its length is known last."""
        for (_, last), number in self.lines.items():
            if self.sequence and last >= len(self.sequence):
                self._refuse(number, f"residue {last + 1} of a sequence of {len(self.sequence)}")

    def _refuse(self, number: int, reason: str) -> None:
        raise InputError(f"{self.path}: line {number}: {reason}; correct or remove the line")
