"""On which chains is a contact regression fitted?

On a few whole chains of one split, drawn by a seed or named. A chain that is too long for the
model, or without a pair whose truth is known, is left out, and each chain that was looked at is
accounted for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from protcontact.batch import ContactBatch
from protcontact.data.datamodule import ContactDataModule
from protcontact.errors import InputError
from protcontact.training.attention_features import chosen_pairs


@dataclass(frozen=True)
class Wanted:
    """Which chains can be used.

    Attributes:
        longest: Most residues; None: any number.
        min_separation: A known pair must stand at least so far apart.
    """

    longest: int | None
    min_separation: int


@dataclass(eq=False)
class Drawn:
    """What became of the chains of a split.

    Attributes:
        split: Its name.
        available: Number of its chains.
        batches: Batches of one, in the order in which they were drawn.
        pairs: Pairs that each of them brings.
        too_long: Ids of those that are longer than allowed.
        unknown: Ids of those without a known pair far enough apart.
    """

    split: str
    available: int
    batches: list[ContactBatch] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    too_long: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Of the chains that are used."""
        return [batch.ids[0] for batch in self.batches]

    def account(self, wanted: Wanted) -> str:
        """One line in which each chain of the split is counted."""
        parts = [f"{len(self.batches)} of {self.available} chains of the {self.split} split"]
        if self.too_long:
            parts.append(f"{len(self.too_long)} left out: more than {wanted.longest} residues")
        if self.unknown:
            reason = f"no known pair {wanted.min_separation} or more apart"
            parts.append(f"{len(self.unknown)} left out: {reason}")
        looked_at = len(self.batches) + len(self.too_long) + len(self.unknown)
        if self.available > looked_at:
            parts.append(f"{self.available - looked_at} not asked for")
        return "; ".join(parts)


def draw_chains(
    data: ContactDataModule, split: str, count: int, seed: int, wanted: Wanted
) -> Drawn:
    """Draw chains until there are enough, or none is left.

    Args:
        data: After `setup`.
        split: ``train``, ``val`` or ``test``; an `InputError` if it has no chains.
        count: Number of chains.
        seed: Of the order in which they are drawn.
        wanted: What can be used.
    """
    rows = data.rows(split)
    order = np.random.default_rng(seed).permutation(len(rows))
    return _select(data, split, (rows[place] for place in order), count, wanted)


def named_chains(data: ContactDataModule, split: str, ids: list[str], wanted: Wanted) -> Drawn:
    """The chains with these ids.

    Args:
        data: After `setup`.
        split: Where they must be.
        ids: In the order in which they are wanted.
        wanted: What can be used; the others are left out.

    Raises:
        InputError: If a chain is not in the split, or named twice.
    """
    rows = {data.store.ids[row]: row for row in data.rows(split)}
    absent = [name for name in ids if name not in rows]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(ids)} chains are not in the {split} split of {data.path}, the "
            f"first: {absent[0]!r}; see {data.path / 'splits.tsv'}, or give another --split"
        )
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise InputError(f"chain {twice!r} is named twice; name each chain once")
    return _select(data, split, (rows[name] for name in ids), len(ids), wanted)


def _select(
    data: ContactDataModule, split: str, rows: Iterable[int], count: int, wanted: Wanted
) -> Drawn:
    drawn = Drawn(split, len(data.rows(split)))
    for row in rows:
        if len(drawn.batches) == count:
            break
        if wanted.longest is not None and data.store.lengths[row] > wanted.longest:
            drawn.too_long.append(data.store.ids[row])
            continue
        batch = data.whole_chain(row)
        pairs = len(chosen_pairs(batch, wanted.min_separation))
        if not pairs:
            drawn.unknown.append(data.store.ids[row])
            continue
        drawn.batches.append(batch)
        drawn.pairs.append(pairs)
    return drawn
