"""Which residue pairs are short, medium and long range?

A pair's range follows from its sequence separation ``|i - j|``: short 6-11, medium 12-23, long 24
and more, as in the contact assessments of CASP. Pairs closer than 6 belong to no range: their
contacts are those of the chain itself and of helices. Defined here and nowhere else.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SeparationRange:
    """An interval of sequence separations, both ends included.

    Attributes:
        name: What tables and logs call it.
        low: Smallest separation, at least 1.
        high: Largest separation; None where there is no end.

    Raises:
        ValueError: If `low` is below 1 or `high` below `low`.
    """

    name: str
    low: int
    high: int | None = None

    def __post_init__(self) -> None:
        if self.low < 1:
            raise ValueError(f"low of range {self.name!r} must be at least 1, not {self.low}")
        if self.high is not None and self.high < self.low:
            raise ValueError(
                f"high of range {self.name!r} must be at least low = {self.low}, not {self.high}"
            )

    def contains(self, separation: Tensor) -> Tensor:
        """Return a bool mask in the shape of `separation` (``|i - j|``, integers)."""
        inside = separation >= self.low
        return inside if self.high is None else inside & (separation <= self.high)

    def pairs(self, length: int) -> int:
        """Return how many pairs i < j of this range a chain of `length` residues has.

        A separation s occurs ``length - s`` times; the sum runs from `low` to the largest
        separation that the chain and the range allow.
        """
        top = length - 1 if self.high is None else min(self.high, length - 1)
        if top < self.low:
            return 0
        terms = top - self.low + 1
        return terms * (2 * length - self.low - top) // 2


SHORT = SeparationRange("short", 6, 11)
MEDIUM = SeparationRange("medium", 12, 23)
LONG = SeparationRange("long", 24)

RANGES = (SHORT, MEDIUM, LONG)
