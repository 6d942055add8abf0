"""Which chains form the next batch, and which part of a long chain is shown?

The cost of a batch is its padded number of residue pairs, so batches are filled up to a budget of
pairs with chains of similar length. Every rank gets the same number of batches, of similar cost,
and everything follows from ``(seed, epoch)``: the n-th batch can be named without making the
others, which is what lets a killed run go on in the middle of an epoch.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import DistributedSampler

# Batches sorted by length together: large enough for little padding, small enough that an epoch
# still mixes; 64 batches pad about 3 % of the pairs on natural protein lengths.
POOL_BATCHES = 64


class PlannedBatch(NamedTuple):
    """What a worker needs to build a batch.

    Attributes:
        rows: Rows of the store.
        seed: ``(seed, epoch)`` of the crops, to which each row adds itself; None for full length.
    """

    rows: tuple[int, ...]
    seed: tuple[int, int] | None


def crop(length: int, size: int, far: float, random: np.random.Generator) -> np.ndarray:
    """Choose which residues of a chain a training step sees.

    A chain of at most `size` residues is shown whole. Of a longer one, either a contiguous window,
    or (with probability `far`) two windows of half the size that do not overlap, so that contacts
    farther apart than `size` are trained too.

    Args:
        length: L, residues of the chain.
        size: Most residues to show.
        far: Probability of two windows, in ``[0, 1]``.
        random: Source of randomness.

    Returns:
        ``(min(L, size),)`` int64, rising residue indices.
    """
    if length <= size:
        return np.arange(length)
    half = size // 2
    if half == 0 or random.random() >= far:
        start = random.integers(length - size + 1)
        return np.arange(start, start + size)
    # two starts with a gap between the windows: uniform over all such pairs
    free = length - 2 * half
    first, second = np.sort(random.choice(free + 2, size=2, replace=False))
    second = second - 1
    return np.concatenate(
        [np.arange(first, first + half), np.arange(second + half, second + 2 * half)]
    )


def bucket(lengths: Sequence[int], rows: Sequence[int], budget: int) -> list[tuple[int, ...]]:
    """Fill batches with rows of rising length, each within ``B * max(L)**2 <= budget``.

    A chain that exceeds the budget alone is a batch of its own.

    Args:
        lengths: Length of each row as it will be shown.
        rows: Rows to distribute.
        budget: Most padded residue pairs of a batch.

    Returns:
        Batches of rows, from short to long.
    """
    batches: list[tuple[int, ...]] = []
    current: list[int] = []
    for row in sorted(rows, key=lambda row: (lengths[row], row)):
        if current and (len(current) + 1) * lengths[row] ** 2 > budget:
            batches.append(tuple(current))
            current = []
        current.append(row)
    return [*batches, tuple(current)] if current else batches


class PairBudgetSampler(DistributedSampler):
    """Batches of one rank, epoch after epoch.

    It is a `DistributedSampler`, so Lightning leaves it alone and tells it the epoch; it yields a
    `PlannedBatch` and belongs into ``DataLoader(sampler=..., batch_size=None)``.

    What an optimizer step sees is planned, and then dealt out: the b-th batch of rank r is batch
    ``b * world + r`` of the epoch. So two processes and one process that accumulates over two
    batches make the same steps.

    Args:
        lengths: Length of each row of the store.
        rows: Rows of this split.
        budget: Most padded residue pairs of a batch.
        crop_size: Longest crop; None shows full chains.
        shuffle: New order and new crops each epoch.
        seed: Of order and crops.
        rank: This process, counting from 0.
        world: Number of processes.
        accumulate: Batches of each process in an optimizer step.

    Raises:
        ValueError: If `budget`, `crop_size` or `accumulate` is not positive, or there are no rows.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        rows: Sequence[int],
        budget: int,
        crop_size: int | None,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"accumulate must be positive, not {accumulate}")
        if budget < 1 or (crop_size is not None and crop_size < 1):
            raise ValueError(f"budget and crop size must be positive, not {budget} and {crop_size}")
        if not rows:
            raise ValueError("a split without chains cannot be sampled")
        self.rows = list(rows)
        self.shown = np.minimum(lengths, crop_size or np.iinfo(np.int64).max).astype(int)
        self.budget = budget
        self.crop_size = crop_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world = world
        self.accumulate = accumulate
        self.epoch = 0
        # Batches at the beginning to leave out: they were done before a restart. Whoever sets it
        # takes it back; a loader with workers asks for an iterator more than once an epoch.
        self.start = 0
        self._steps = 0
        self._planned: tuple[int, list[tuple[int, ...]]] = (-1, [])

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[PlannedBatch]:
        seed = None if self.crop_size is None else (self.seed, self.epoch)
        return iter([PlannedBatch(rows, seed) for rows in self._batches()[self.start :]])

    def _batches(self) -> list[tuple[int, ...]]:
        """All batches of this rank in this epoch, planned once."""
        if self._planned[0] != self.epoch:
            batches = self._plan(self.epoch)
            # Trainers count the batches of an epoch once. Shuffling changes that count by a step or
            # two, so the last ones are left out or the first ones come twice.
            self._steps = self._steps or len(self._plan(0))
            ours = range(self.rank, self._steps, self.world)
            self._planned = (self.epoch, [batches[n % len(batches)] for n in ours])
        return self._planned[1]

    def _plan(self, epoch: int) -> list[tuple[int, ...]]:
        """Plan an epoch for all ranks.

        Neighbours in length form a group, the batches of an optimizer step. So what the ranks do at
        the same time costs the same, and no rank waits for another's longer chains.
        """
        size = self.world * self.accumulate
        random = np.random.default_rng((self.seed, epoch))
        rows = np.array(self.rows)
        if self.shuffle:
            rows = random.permutation(rows)
        mean_pairs = float((self.shown[rows] ** 2).mean())
        pool = max(1, int(POOL_BATCHES * size * self.budget / mean_pairs))
        if not self.shuffle:  # the same batches whatever the number of ranks: the same digits
            pool = len(rows)
        groups: list[list[tuple[int, ...]]] = []
        for start in range(0, len(rows), pool):
            batches = bucket(self.shown, rows[start : start + pool].tolist(), self.budget)
            for first in range(0, len(batches), size):
                group = batches[first : first + size]
                # fill the last group by repetition: every rank must take every step
                groups.append([group[n % len(group)] for n in range(size)])
        if self.shuffle:
            groups = [groups[place] for place in random.permutation(len(groups))]
        return [batch for group in groups for batch in group]
