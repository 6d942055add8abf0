"""Does a contact come true as often as its probability says, and which temperature mends it?

A ranking says nothing of it: P@L is the same for any rising function of the scores. Here the known
pairs i < j of a data set are counted by logit, by separation range and by whether they are in
contact, and everything else follows from the counts:

* reliability curve: in each bin of logits, mean predicted probability against the observed share
  of contacts. Contacts are 2 to 4 % of the pairs, so bins of equal width in probability would hold
  nearly all of them in the first; these have equal width in log odds, one unit each
* ECE, expected calibration error (Naeini et al. 2015, Guo et al. 2017): over 15 bins of equal width
  in probability ``sum_b n_b / N |observed_b - predicted_b|``, over all pairs; small even for a
  useless model, as most pairs are surely no contact, so the curve stands beside it
* Brier score: mean of ``(p - y)^2``; log loss: mean of ``-y log p - (1 - y) log(1 - p)``, in nats
* temperature (Guo et al. 2017): the one T > 0 for which logits / T have the smallest log loss

These are means over pairs and not over chains: a probability is a promise about pairs.

Bins of logits are 1/32 wide, and of each the mean logit is known to 2^-20, so a mean over pairs of
a smooth h errs by about ``h'' var / 2``, var = (1/32)^2 / 12: by at most 1e-5 for a probability,
its square or a log loss. Counts and sums are integers, and a repeated chain counts once: any order,
any number of processes, the same digits.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.metrics.ranges import RANGES
from protcontact.metrics.running import of_all

ALL = "all"  # the ranges together: separations of 6 and more
BARS = 15  # bins of the expected calibration error, as in Guo et al. 2017
# Curves end in open bins: beyond, one pair in 20,000 would be in contact, or not.
FARTHEST = 10
LIMIT = 64  # logits farther from 0 are counted as this far
PARTS = 32  # bins per unit of logit
UNITS = 2**20  # a bin's offsets are summed in these parts of a logit, rounded down
_WALLS = np.arange(1, BARS) / BARS
# Lower ends. Walls of the ECE are among them, so that no bin lies in two of its bars.
EDGES = np.union1d(np.arange(-LIMIT, LIMIT, 1 / PARTS), np.log(_WALLS / (1 - _WALLS)))
BINS = len(EDGES)
CELLS = len(RANGES) * 2 * BINS
COOLEST, HOTTEST = 0.01, 100.0  # what a temperature may be


class Bin(NamedTuple):
    """Pairs whose predicted log odds lie between two numbers.

    Attributes:
        low: Lower end, log odds; included.
        high: Upper end.
        pairs: Their number.
        predicted: Their mean predicted probability.
        observed: The share of them that is in contact.
    """

    low: float
    high: float
    pairs: int
    predicted: float
    observed: float


@dataclass(frozen=True, eq=False)
class LogitCounts:
    """Pairs by logit: all that calibration has to know of predictions.

    Attributes:
        counts: ``(2, N)`` int64: pairs without and with contact, by bin.
        logits: ``(2, N)`` float64: their mean logit; anything where there is none.
    """

    counts: np.ndarray
    logits: np.ndarray

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return int(self.counts.sum())

    @property
    def contacts(self) -> int:
        """Number of pairs in contact."""
        return int(self.counts[1].sum())

    def scaled(self, temperature: float) -> "LogitCounts":
        """The same pairs after their logits were divided by a temperature.

        Raises:
            ValueError: If it is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"a temperature must be above 0, not {temperature}")
        return LogitCounts(self.counts, self.logits / temperature)

    def curve(self) -> list[Bin]:
        """Bins that hold a pair, one unit of log odds each, the first and the last open."""
        walls = np.arange(-FARTHEST, FARTHEST + 1, dtype=np.float64)
        counts, predicted, contacts = self._by(walls)
        ends = np.concatenate([[-np.inf], walls, [np.inf]])
        return [
            Bin(float(ends[k]), float(ends[k + 1]), int(n), float(p / n), float(c / n))
            for k, (n, p, c) in enumerate(zip(counts, predicted, contacts, strict=True))
            if n
        ]

    def calibration_error(self) -> float:
        """ECE over `BARS` bins of equal width; NaN without a pair.

        After a temperature the walls of the bars no longer lie between bins of logits; a bin is
        then counted whole, where its mean is.
        """
        _, predicted, contacts = self._by(np.log(_WALLS / (1 - _WALLS)))
        return _ratio(np.abs(predicted - contacts).sum(), self.pairs)

    def brier(self) -> float:
        """Brier score; NaN without a pair."""
        sure = _sigmoid(self.logits * [[1], [-1]])  # how far from the truth
        return _ratio((self.counts * sure**2).sum(), self.pairs)

    def log_loss(self) -> float:
        """Mean cross-entropy, nats per pair; NaN without a pair."""
        terms = np.logaddexp(0, self.logits * [[1], [-1]])
        return _ratio((self.counts * terms).sum(), self.pairs)

    def slope(self, inverse: float) -> float:
        """Derivative of the log loss by 1/T, at T = 1 / `inverse`; rises with `inverse`."""
        away = self.logits * [[1], [-1]]
        return _ratio((self.counts * away * _sigmoid(inverse * away)).sum(), self.pairs)

    def _by(self, walls: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs, sum of probabilities and contacts between walls, which are logits."""
        place, size = np.searchsorted(walls, self.logits, side="right"), len(walls) + 1
        predicted = self.counts * _sigmoid(self.logits)
        return (
            np.bincount(place.ravel(), self.counts.ravel(), size),
            np.bincount(place.ravel(), predicted.ravel(), size),
            np.bincount(place[1], self.counts[1], size),
        )


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by so that their probabilities come true.

    Attributes:
        value: T > 0; above 1 where the model is too sure.
        before: Log loss at T = 1, nats per pair.
        after: Log loss at T; not above `before`.
        pairs: Number of pairs that it was fitted on.
        contacts: How many of them are in contact.
        bounded: Whether it stands at the end of what is allowed, `COOLEST` or `HOTTEST`: every
            contact has a higher logit than 0 and every other pair a lower one, and the colder the
            better; or the logits point the wrong way, and the hotter the better.
    """

    value: float
    before: float
    after: float
    pairs: int
    contacts: int
    bounded: bool

    def apply(self, logits: Tensor) -> Tensor:
        """Return ``logits / T`` in float64, in the same order as before.

        In float32 a division may round two neighbours to one number, and a tie is ranked by place;
        in float64 it never does so to logits of float32 or less.
        """
        return logits.double() / self.value


def fit_temperature(held: LogitCounts) -> Temperature:
    """Find the temperature of the smallest log loss, to 12 digits of the counted logits.

    The log loss is convex in 1/T, so the sign of its slope tells on which side the minimum lies.
    Of the logits themselves it is exact to some 1e-5 / T^2 of T, as bins are 1/32 wide. Where all
    logits are 0 each T is as good, and it is 1.

    Args:
        held: Of pairs that were not trained on, such as ``reliability.counts("all")`` on the
            validation chains.

    Raises:
        ValueError: If there is no pair in contact, or none that is not.
    """
    sizes = held.counts.sum(axis=1)
    missing = [what for what, n in zip(("without", "in"), sizes, strict=True) if n == 0]
    if missing:
        raise ValueError(
            f"a temperature needs pairs in contact and others, and no known pair is {missing[0]} "
            "contact; fit it on more chains"
        )
    low, high = COOLEST, HOTTEST
    if not (held.counts * held.logits).any():
        low = high = 1.0
    elif held.slope(1 / low) <= 0:
        high = low
    elif held.slope(1 / high) >= 0:
        low = high
    while high > low * (1 + 1e-12):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if held.slope(1 / middle) <= 0 else (middle, high)
    after = held.scaled(high).log_loss()
    bounded = high in (COOLEST, HOTTEST)
    return Temperature(high, held.log_loss(), after, held.pairs, held.contacts, bounded)


class _Row(NamedTuple):
    """One chain: the cells that hold a pair, ``(n,)`` each."""

    cells: np.ndarray
    counts: np.ndarray
    offsets: np.ndarray

    def truth(self) -> list[int]:
        """Pairs by range and contact, which cannot depend on the model."""
        return np.bincount(self.cells // BINS, self.counts, CELLS // BINS).astype(int).tolist()


class Reliability:
    """Counts of pairs by logit, chain by chain.

    Holds 18 bytes for each bin that a chain fills, some 10 to 20 KB per chain and at most 0.5 MB,
    on the host: a distributed sampler repeats chains, and what has been added up cannot be told
    apart. Under several processes each one holds its own chains until `gather`.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def update(self, logits: Tensor, batch: ContactBatch) -> None:
        """Count the known pairs i < j of a batch, each once.

        Args:
            logits: ``(B, L, L)``, before the sigmoid; only pairs i < j are read.
            batch: The chains.

        Raises:
            ValueError: If shapes disagree or a known pair's logit is NaN. Refuses what `add` does.
        """
        B, L = batch.tokens.shape
        if logits.shape != (B, L, L):
            raise ValueError(f"logits must be {(B, L, L)} as the batch, not {tuple(logits.shape)}")
        separation = batch.separation()
        span = torch.full_like(separation, -1)
        for number, each in enumerate(RANGES):
            span[each.contains(separation)] = number
        b, i, j = ((span >= 0) & batch.known()).triu(diagonal=1).nonzero(as_tuple=True)
        x = logits.detach()[b, i, j].double()
        if x.isnan().any():
            name = batch.ids[int(b[x.isnan()][0])]
            raise ValueError(f"logits of chain {name!r} are NaN at a known pair; nothing to count")
        x = x.clamp(-LIMIT, LIMIT)
        edges = torch.from_numpy(EDGES).to(x.device)
        place = torch.bucketize(x, edges, right=True) - 1
        block = (b * len(RANGES) + span[b, i, j]) * 2 + batch.contact()[b, i, j]
        key = block * BINS + place
        offset = ((x - edges[place]) * UNITS).floor().long()
        counts = torch.bincount(key, minlength=B * CELLS)
        offsets = torch.zeros_like(counts).scatter_add_(0, key, offset)
        rows = zip(*(t.view(B, CELLS).cpu().numpy() for t in (counts, offsets)), strict=True)
        for name, (row, shift) in zip(batch.ids, rows, strict=True):
            (cells,) = row.nonzero()
            self.add(name, _Row(cells.astype(np.uint16), row[cells], shift[cells]))

    def add(self, name: str, row: _Row) -> None:
        """Keep what was counted of one chain. A repeated chain counts once; the first one stays.

        Raises:
            ValueError: If the chain of that id has other pairs: two chains share an id.
        """
        first = self._rows.setdefault(name, row)
        if first is not row and first.truth() != row.truth():
            raise ValueError(
                f"two different chains are called {name!r}; ids must be unique within a data set"
            )

    def merge(self, other: Self) -> None:
        """Count the chains of another one here as well. Refuses what `add` refuses."""
        for name, row in other._rows.items():
            self.add(name, row)

    def gather(self) -> "Reliability":
        """Return the counts of all processes, on every process; a collective call.

        Without a process group these are the counts held here. Refuses what `add` refuses.
        """
        joined = Reliability()
        for rows in of_all(self._rows):
            for name, row in rows.items():
                joined.add(name, row)
        return joined

    def reset(self) -> None:
        """Forget all chains."""
        self._rows.clear()

    def counts(self, span: str = ALL) -> LogitCounts:
        """Add up the chains held here.

        Args:
            span: Name of a separation range, or `ALL`.

        Raises:
            ValueError: If there is no such range.
        """
        names = [each.name for each in RANGES]
        if span not in (*names, ALL):
            raise ValueError(f"span must be one of {[*names, ALL]}, not {span!r}")
        total = np.zeros((2, CELLS), dtype=np.int64)
        for row in self._rows.values():
            total[0, row.cells] += row.counts
            total[1, row.cells] += row.offsets
        chosen = total.reshape(2, len(RANGES), 2, BINS)
        places = range(len(names)) if span == ALL else [names.index(span)]
        counts, offsets = chosen[:, list(places)].sum(axis=1)
        return LogitCounts(counts, EDGES + offsets / (np.maximum(counts, 1) * UNITS))

    def summary(self, temperature: float = 1.0) -> dict[str, float]:
        """Return the numbers of each range and of all of them.

        Args:
            temperature: What the logits are divided by first.

        Returns:
            ``long/ECE``, ``long/Brier``, ``long/log-loss``, ``long/pairs``, ``long/contacts``, ...,
            ``all/contacts``; NaN where there is no pair. A temperature of 0 or less is refused.
        """
        found: dict[str, float] = {}
        for span in (*(each.name for each in RANGES), ALL):
            held = self.counts(span).scaled(temperature)
            found[f"{span}/ECE"] = held.calibration_error()
            found[f"{span}/Brier"] = held.brier()
            found[f"{span}/log-loss"] = held.log_loss()
            found[f"{span}/pairs"] = held.pairs
            found[f"{span}/contacts"] = held.contacts
        return found


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function, to the last digit even where it is near 0."""
    return np.exp(-np.logaddexp(0, -x))


def _ratio(total: float, pairs: int) -> float:
    return float(total) / pairs if pairs else float("nan")
