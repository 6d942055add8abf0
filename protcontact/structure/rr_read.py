"""What does an RR file of anybody say?

Programs write the format of `rr` in many dialects. Read are: pairs in any order, either residue
first; lines ``i j p`` (mode 1 of CASP14), ``i j 0 8 p`` and those with ten bins of distance (mode
2); a sequence broken over lines, or none; comments (from ``#`` on, and lines that begin with ``;``
or ``>``); gzip; of several models the first. A line that says again what an earlier one said is
noted and counts once. Whatever could mean two things is refused, for a score would not show it:
two numbers for one pair, another range of distance, residues that the sequence does not have,
several chains, scores that are no probabilities.
"""

import re
from pathlib import Path

import numpy as np

from protcontact.errors import InputError
from protcontact.structure.alphabet import AMBIGUOUS, LETTERS
from protcontact.structure.contacts import CUTOFF
from protcontact.structure.formats import decompress
from protcontact.structure.rr import BINS, Contacts

# Bins are often written with two or three digits each.
BIN_SUM_TOLERANCE = 0.05

_HEADINGS = ("PFRMAT", "AUTHOR", "METHOD", "REMARK", "PARENT", "SCORE", "STOICH")
_SEQUENCE_LETTERS = frozenset(LETTERS + AMBIGUOUS + "-")
_OF_A_CHAIN = re.compile(r"[A-Za-z]+\d+")
_WORDS = (3, 5, 3 + BINS)  # of a line of a pair


def read_rr(path: str | Path) -> Contacts:
    """Read a CASP RR file, of any order, with or without the columns of the distance range.

    Of several models the first counts. Lines ``i j p`` are taken as contacts at 8 Angstrom.

    Raises:
        InputError: If it cannot be read, a line is no contact (residues out of range or equal, a
            probability that is no number in ``[0, 1]``, another distance range) or contradicts
            another, or there is none.
    """
    try:
        content = decompress(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give an RR file") from error
    if b"\0" in content:
        raise InputError(f"{path}: cannot be read (it is no text); give an RR file")
    # names of authors come in any encoding; what is broken in a pair is refused there
    return _Reader(path).read(content.decode("utf-8-sig", errors="replace").splitlines())


class _Reader:
    """State while reading: what was found so far, and where we are for messages."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.target = ""
        self.sequence = ""
        self.mode = ""
        self.in_model = False
        self.values: dict[tuple[int, int], tuple[float, ...]] = {}
        self.lines: dict[tuple[int, int], int] = {}
        self.repeated: list[int] = []
        self.unequal: list[int] = []
        self.notes: list[str] = []

    def read(self, lines: list[str]) -> Contacts:
        for number, line in enumerate(lines, 1):
            words = line.split("#", 1)[0].split()
            if not words or words[0] in _HEADINGS or words[0][0] in ";>":
                continue
            if words[0] == "END" and self._is_sequence(lines[number:]):
                self._content(number, words)
            elif words[0] in ("MODEL", "END"):
                if self.values:
                    self._note_other_models(lines, number)
                    break
                if words[0] == "MODEL" and self.in_model:  # one without contacts came before
                    self.sequence = ""
                self.in_model |= words[0] == "MODEL"
            elif words[0] == "TARGET":
                self.target = words[1] if len(words) > 1 else ""
            elif words[0] == "RMODE":
                self._set_mode(number, words)
            else:
                self._content(number, words)
        if not self.values:
            raise InputError(f"{self.path}: has no contact; lines must read 'i j 0 8 p'")
        self._check_range()
        return self._contacts()

    def _is_sequence(self, following: list[str]) -> bool:
        """Whether an `END` before all contacts is glutamate, asparagine, aspartate."""
        words = (line.split("#", 1)[0].split() for line in following)
        after = next((each[0] for each in words if each), "MODEL")
        return not self.values and after != "MODEL"

    def _contacts(self) -> Contacts:
        self._note_lines("repeats of an earlier line count once", self.repeated)
        self._note_lines("bins of distance do not sum to 1", self.unequal)
        pairs = np.array(list(self.values), dtype=np.int64)
        numbers = np.array(list(self.values.values()))
        bins = numbers[:, 1:] if numbers.shape[1] > 1 else None
        return Contacts(self.target, self.sequence, pairs, numbers[:, 0], tuple(self.notes), bins)

    def _note_lines(self, text: str, numbers: list[int]) -> None:
        if numbers:
            self.notes.append(f"{text}: {len(numbers)}, the first in line {numbers[0]}")

    def _note_other_models(self, lines: list[str], number: int) -> None:
        """Say that a model begins in or behind line `number`, if one does."""
        for other, line in enumerate(lines[number - 1 :], number):
            if line.split()[:1] == ["MODEL"]:
                self.notes.append(f"only the first model is read; line {other} begins another")
                return

    def _set_mode(self, number: int, words: list[str]) -> None:
        self.mode = words[1] if len(words) > 1 else ""
        if self.mode not in ("1", "2"):
            self._refuse(
                number, f"mode {self.mode!r}; read are 1 (contacts) and 2 (bins of distance)"
            )

    def _content(self, number: int, words: list[str]) -> None:
        """A line of the sequence or of a contact."""
        if words[0].lstrip("+-").isdigit() or len(words) in _WORDS:
            self._contact(number, words)
        elif len(words) == 1 and _SEQUENCE_LETTERS.issuperset(words[0].upper()) and not self.values:
            self.sequence += words[0].upper().replace("-", "X")
        else:
            self._refuse(number, f"{' '.join(words)!r} is neither a sequence nor a contact")

    def _contact(self, number: int, words: list[str]) -> None:
        expected = _WORDS[2:] if self.mode == "2" else _WORDS
        if len(words) not in expected:
            wanted = "13 (i j p and 10 bins)" if self.mode == "2" else "5 (i j 0 8 p) or 3 (i j p)"
            self._refuse(number, f"{len(words)} words; a contact has {wanted}")
        if all(map(_OF_A_CHAIN.fullmatch, words[:2])):
            self._refuse(number, "residues of named chains; a file of one chain is needed")
        try:
            i, j = int(words[0]), int(words[1])
            numbers = [float(word) for word in words[2:]]
        except ValueError:
            self._refuse(number, f"{' '.join(words)!r} has a word that is no number")
        if len(numbers) == 3:
            if numbers[:2] != [0.0, CUTOFF]:
                reason = f"distance range {words[2]} to {words[3]}, not 0 to {CUTOFF:g}"
                self._refuse(number, reason)
            numbers = numbers[2:]
        self._check_numbers(number, numbers)
        if min(i, j) < 1 or i == j:
            self._refuse(number, f"residues {i} and {j}; they count from 1 and must differ")
        self._keep(number, (min(i, j) - 1, max(i, j) - 1), tuple(numbers))

    def _check_numbers(self, number: int, numbers: list[float]) -> None:
        for value in numbers:
            if not 0 <= value <= 1:
                self._refuse(number, f"probability {value:g} is not in [0, 1]")
        if len(numbers) > 1 and abs(sum(numbers[1:]) - 1) > BIN_SUM_TOLERANCE:
            self.unequal.append(number)

    def _keep(self, number: int, pair: tuple[int, int], numbers: tuple[float, ...]) -> None:
        first = next(iter(self.values), None)
        if first is not None and len(self.values[first]) != len(numbers):
            self._refuse(number, f"has bins of distance, or line {self.lines[first]} has, not both")
        if pair not in self.values:
            self.values[pair] = numbers
            self.lines[pair] = number
        elif self.values[pair] == numbers:
            self.repeated.append(number)
        else:
            self._refuse(
                number,
                f"residues {pair[0] + 1} and {pair[1] + 1} stand in line {self.lines[pair]} "
                "already, with other numbers",
            )

    def _check_range(self) -> None:
        """The sequence may stand behind contacts' headings only, so its length is known last."""
        for (_, last), number in self.lines.items():
            if self.sequence and last >= len(self.sequence):
                self._refuse(number, f"residue {last + 1} of a sequence of {len(self.sequence)}")

    def _refuse(self, number: int, reason: str) -> None:
        raise InputError(f"{self.path}: line {number}: {reason}; correct or remove the line")
