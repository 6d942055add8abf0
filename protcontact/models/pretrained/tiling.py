"""How is a long sequence predicted in windows, and how well do the windows agree?

Windows of W residues cover the sequence, neighbours overlapping by O or more. Where windows share a
pair, its probability is their average with weights that fall towards the cuts, for a residue near a
cut does not see its neighbours. Pairs that no window holds stay NaN: not predicted, not improbable.
The seam check is how far two windows are apart at the pairs that both hold.

    weight of residue i in a window = min(residues to a cut on the left, on the right), counting i
    weight of a pair = product of its residues'

The sequence's own ends are no cuts. A pair that one window holds keeps its numbers to the bit.
"""

import math
from dataclasses import dataclass

import numpy as np

# What ESM-1b and ESM-1v can read and the length of the crops on which ESM-2 was trained, so that a
# window is nothing new to the models.
TILE = 1022
# Nearer pairs are in no RR file, and nearly always in contact: they would flatter the seams.
MIN_SEPARATION = 6


@dataclass(frozen=True)
class Window:
    """Residues ``start ... stop - 1``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def windows(length: int, width: int, overlap: int | None = None) -> list[Window]:
    """Cover a sequence, the windows spread evenly.

    Args:
        length: L, residues of the sequence.
        width: W, residues of each window; L if that is less.
        overlap: O, the least that neighbours share. By default W // 2: then every pair closer than
            W / 2 is in a common window, and no residue is near a cut in all of its windows; twice
            the cost.

    Returns:
        As few as possible; one if L is not above W.

    Raises:
        ValueError: If a size is below 1, or the overlap is not within ``[0, W)``.
    """
    overlap = width // 2 if overlap is None else overlap
    if length < 1 or width < 1 or not 0 <= overlap < width:
        raise ValueError(
            f"length and width must be >= 1 and the overlap within [0, width), "
            f"not {length}, {width} and {overlap}"
        )
    if length <= width:
        return [Window(0, length)]
    steps = math.ceil((length - width) / (width - overlap))
    starts = [number * (length - width) // steps for number in range(steps + 1)]
    return [Window(start, start + width) for start in starts]


@dataclass(frozen=True)
class Seam:
    """How far windows are apart where two of them hold a pair ``j - i >= 6``.

    Attributes:
        pairs: How often two windows hold the same pair.
        mean: Mean ``|difference|`` of probabilities; NaN without pairs.
        largest: Largest ``|difference|``; NaN without pairs.
    """

    pairs: int = 0
    mean: float = math.nan
    largest: float = math.nan


class Mosaic:
    """The windows' maps, joined one by one.

    Args:
        length: L of the whole sequence.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._map = np.zeros((length, length), dtype=np.float32)
        self._weight = np.zeros((length, length), dtype=np.float32)
        self._before: list[tuple[Window, np.ndarray]] = []
        self._pairs = 0
        self._sum = 0.0
        self._largest = 0.0

    def add(self, window: Window, probabilities: np.ndarray) -> None:
        """Take in one window; windows come with rising starts.

        Args:
            window: Where it lies.
            probabilities: ``(W, W)``, symmetric.

        Raises:
            ValueError: If the map does not fit the window, or the window the sequence.
        """
        inside = 0 <= window.start < window.stop <= self.length
        if not inside or probabilities.shape != (len(window), len(window)):
            raise ValueError(
                f"a map of {probabilities.shape} does not fit into {window} of {self.length}"
            )
        self._compare(window, probabilities)
        weight = _weights(window, self.length)
        where = slice(window.start, window.stop)
        total, joined = self._weight[where, where], self._map[where, where]
        added = np.outer(weight, weight)
        total += added
        # A mean that goes along: exact for the first window of a pair, where added equals total.
        joined += (probabilities - joined) * (added / total)

    def _compare(self, window: Window, probabilities: np.ndarray) -> None:
        self._before = [(old, held) for old, held in self._before if old.stop > window.start]
        for old, held in self._before:
            shared = min(old.stop, window.stop) - window.start
            start = window.start - old.start
            other = held[start : start + shared, start : start + shared]
            rows, columns = np.triu_indices(shared, MIN_SEPARATION)
            apart = np.abs(other[rows, columns] - probabilities[rows, columns])
            self._pairs += len(apart)
            self._sum += float(apart.sum(dtype=np.float64))
            self._largest = max(self._largest, float(apart.max(initial=0.0)))
        self._before.append((window, probabilities))

    def joined(self) -> np.ndarray:
        """``(L, L)`` float32, NaN where no window held the pair; ends the joining."""
        self._map[self._weight == 0] = np.nan
        return self._map

    def seam(self) -> Seam:
        """The check, over all windows so far."""
        if not self._pairs:
            return Seam()
        return Seam(self._pairs, self._sum / self._pairs, self._largest)


def _weights(window: Window, length: int) -> np.ndarray:
    """``(W,)`` float32: residues to the nearest cut; 1 where there is none."""
    place = np.arange(1, len(window) + 1, dtype=np.float32)
    if window == Window(0, length):
        return np.ones_like(place)
    left = place if window.start > 0 else np.full_like(place, np.inf)
    right = place[::-1] if window.stop < length else np.full_like(place, np.inf)
    return np.minimum(left, right)
