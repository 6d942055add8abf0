"""What is an experiment on the flow of gradients?

One claim, measured on real modules and checked against a closed form or a slow dense truth. An
experiment is a dataclass: its fields are what a person may change (they become options of
``protcontact gradflow NAME``), its `run` measures. It draws nothing: it says what there is to draw.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import torch

from protcontact.figures.panels import Drawable, Line


@dataclass(frozen=True)
class Reading:
    """One measured number: a row of ``readings.csv``.

    Attributes:
        probe: What was measured, as ``log10_gradient``.
        where: On what, as ``LSTM, trained``.
        index: The place on the horizontal axis: a distance, a depth, a step.
        value: The number.
    """

    probe: str
    where: str
    index: float
    value: float


class Check(NamedTuple):
    """A measured number beside what it must equal.

    Attributes:
        claim: In words and symbols, as ``|dh_T/dh_t| = rho^(T-t), orthogonal W``.
        error: How far apart they are, relative where they have a size.
        bound: What is allowed.
    """

    claim: str
    error: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the error is within the bound; NaN is not."""
        return self.error <= self.bound


@dataclass(frozen=True)
class Result:
    """What an experiment found.

    Attributes:
        readings: All numbers, also those behind the pictures.
        checks: Against closed forms; not empty.
        panels: To draw, side by side.
        conclusion: Two sentences with the numbers of this run.
    """

    readings: Sequence[Reading]
    checks: Sequence[Check]
    panels: Sequence[Drawable]
    conclusion: str

    @property
    def holds(self) -> bool:
        """Whether all checks hold."""
        return all(check.holds for check in self.checks)


class Limits(NamedTuple):
    """Of a size of an experiment, or of each of several.

    Attributes:
        least: Smallest value.
        most: Largest value.
        multiple: Of what it must be a multiple; 0 for any number.
        why: What goes wrong beyond.
    """

    least: float = 1
    most: float = math.inf
    multiple: int = 0
    why: str = ""

    def __str__(self) -> str:
        """What is allowed."""
        if self.multiple:
            return f"a multiple of {self.multiple}"
        if self.most < math.inf:
            return f"{self.least:g} ... {self.most:g}"
        return "finite" if self.least == -math.inf else f">= {self.least:g}"

    def check(self, name: str, value: Any) -> None:
        """Refuse what is outside.

        Raises:
            ValueError: If a value is, or there is none.
        """
        several = isinstance(value, tuple)
        for one in value if several else (value,):
            inside = math.isfinite(one) and self.least <= one <= self.most
            if not inside or (self.multiple and one % self.multiple):
                why = f" ({self.why})" if self.why else ""
                raise ValueError(f"{name} must be {self}, not {one}{why}")
        if several and not value:
            raise ValueError(f"{name} must be one number or more")


def size(default: Any, help: str, **limits: Any) -> Any:
    """A field of an experiment: its default, what it is, and the fields of its `Limits`."""
    return field(default=default, metadata={"help": help, "limits": Limits(**limits)})


@dataclass(frozen=True)
class Experiment(ABC):
    """A claim that can be run. Fields are its sizes, all with defaults.

    Attributes:
        title: Of its section on the page: the claim in a line.
        formula: What holds, in plain text and symbols, at most a few lines.
        explanation: What a reader who has not heard of it needs to know: two to five sentences.
        source: Paper or equation.
        seed: Of all random numbers.
    """

    title: ClassVar[str]
    formula: ClassVar[str]
    explanation: ClassVar[str]
    source: ClassVar[str]

    seed: int = field(default=0, kw_only=True, metadata={"help": "of all random numbers"})

    def __post_init__(self) -> None:
        """Refuse values outside the limits of their `size`: a ValueError says what is allowed."""
        for entry in fields(self):
            if "limits" in entry.metadata:
                entry.metadata["limits"].check(entry.name, getattr(self, entry.name))

    @abstractmethod
    def measure(self) -> Result:
        """Measure, on the CPU, with torch's random numbers seeded by `seed`."""

    def run(self) -> Result:
        """Measure on one thread, and leave the random numbers and the threads as they were.

        An experiment is many small products, for which threads only wait for each other.
        """
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                return self.measure()
        finally:
            torch.set_num_threads(threads)


def curve(
    probe: str, where: str, values: Iterable[float], indices: Iterable[float] | None = None
) -> list[Reading]:
    """Readings of a curve; indices are 0, 1, ... unless given."""
    numbers = list(values)
    places = range(len(numbers)) if indices is None else indices
    return [Reading(probe, where, float(i), float(v)) for i, v in zip(places, numbers, strict=True)]


def lines(readings: Iterable[Reading], probe: str) -> list[Line]:
    """What a probe measured, to be drawn: a line for each `where`, in the order of the readings."""
    points: dict[str, list[Reading]] = {}
    for reading in readings:
        if reading.probe == probe:
            points.setdefault(reading.where, []).append(reading)
    return [
        Line(where, [r.index for r in found], [r.value for r in found])
        for where, found in points.items()
    ]


def relative_error(found: torch.Tensor, true: torch.Tensor) -> float:
    """Largest ``|found - true| / |true|``, element by element; where true is 0, ``|found|``.

    NaN if shapes agree and one of them has a NaN.

    Raises:
        ValueError: If the shapes differ.
    """
    if found.shape != true.shape:
        raise ValueError(f"shapes differ: {tuple(found.shape)} and {tuple(true.shape)}")
    found, true = found.detach().double(), true.detach().double()
    apart = torch.where(found == true, 0.0, (found - true).abs())  # also where both are infinite
    size = torch.where(true == 0, 1.0, true.abs())
    return float((apart / size).max()) if apart.numel() else math.nan


def ratio_error(found: torch.Tensor, true: torch.Tensor) -> float:
    """`relative_error` of numbers given as log10, whatever their size: ``|10^(a - b) - 1|``.

    Raises:
        ValueError: If the shapes differ.
    """
    if found.shape != true.shape:
        raise ValueError(f"shapes differ: {tuple(found.shape)} and {tuple(true.shape)}")
    found, true = found.detach(), true.detach()
    both = (found == -math.inf) & (true == -math.inf)
    return float(torch.where(both, 0.0, 10.0 ** (found - true) - 1).abs().max())


def apart(found: torch.Tensor, true: torch.Tensor) -> float:
    """Largest ``|found - true|`` by the largest ``|true|``; 0 if both are 0 all over."""
    gap, size = (found - true).detach().abs().max(), true.detach().abs().max()
    return 0.0 if gap == 0 else float(gap / size)


def largest(gaps: Iterable[float]) -> float:
    """Of absolute values; NaN if one is, which Python's max would pass over, or there is none."""
    values = torch.tensor(list(gaps), dtype=torch.float64)
    return float(values.abs().max()) if len(values) else math.nan


def theory(found: Sequence[Line], label: str) -> list[Line]:
    """What lines are compared with, drawn as such and named once in the legend."""
    return [Line("" if place else label, r.x, r.y, theory=True) for place, r in enumerate(found)]
