"""One way to ask for a column, whether the file is mmCIF or BinaryCIF.

Atom tables have tens of thousands of rows and few distinct words, so a text column is handed out
factorised: the distinct values and an index per row. ``.`` and ``?`` (inapplicable, unknown) are
the empty string in a text column, NaN in a float column, `NO_INTEGER` in an integer column.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NO_INTEGER = np.iinfo(np.int64).min
NULLS = (".", "?")


class TextColumn(NamedTuple):
    """A factorised column: row ``i`` reads ``values[codes[i]]``."""

    codes: np.ndarray
    values: list[str]

    def tolist(self) -> list[str]:
        """Return the rows as strings."""
        return [self.values[code] for code in self.codes.tolist()]


def factorise(rows: Sequence[str]) -> TextColumn:
    """Number the distinct strings in order of first mention."""
    code = {value: index for index, value in enumerate(dict.fromkeys(rows))}
    codes = np.fromiter(map(code.__getitem__, rows), dtype=np.int64, count=len(rows))
    return TextColumn(codes, ["" if value in NULLS else value for value in code])


class Category(ABC):
    """One table of a file. `rows` selects rows, in their order; None means all."""

    @abstractmethod
    def __contains__(self, name: str) -> bool:
        """Whether the table has this column."""

    @abstractmethod
    def text(self, name: str, rows: np.ndarray | None = None) -> TextColumn:
        """Column as factorised text."""

    @abstractmethod
    def floats(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Column as float64, NaN where it has no number."""

    @abstractmethod
    def integers(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Column as int64, `NO_INTEGER` where it has no whole number."""

    def strings(self, name: str, rows: np.ndarray | None = None) -> list[str]:
        """Column as a list of strings."""
        return self.text(name, rows).tolist()


class Block(ABC):
    """One data block: a set of categories."""

    @abstractmethod
    def category(self, name: str) -> Category | None:
        """Category by name without leading underscore; None if absent or without rows."""


def to_float(value: str) -> float:
    """Number that a string spells, NaN if none."""
    try:
        return float(value)
    except ValueError:
        return float("nan")


def number_text(value: float) -> str:
    """Number as mmCIF writes it."""
    return str(int(value)) if value == value and int(value) == value else repr(value)


def to_integers(values: np.ndarray) -> np.ndarray:
    """Whole numbers as int64, `NO_INTEGER` for all others."""
    whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**31)
    return np.where(whole, np.where(whole, values, 0).astype(np.int64), NO_INTEGER)
