"""How well does one predict contacts without looking at the sequence?

A score means nothing without the score of a model that knows nothing. Here: the contact frequency
by sequence separation in the training chains, which says "near in sequence first" and nothing else.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from protcontact.batch import ContactBatch

# Pairs that the estimate at separation s - 1 is worth at separation s. Far below what a real
# training set has at the separations that decide P@L (5,000 chains: near a million pairs each),
# far above what it has at separations that only its longest chains reach.
PSEUDO_PAIRS = 200


class SeparationPrior:
    """Contact frequency by separation, counted on training chains.

    With c(s) contacts among n(s) known pairs i < j at separation s, the frequency is

        f(s) = (c(s) + k f(s - 1)) / (n(s) + k),   k = `PSEUDO_PAIRS`,   f(0) = sum c / sum n

    so that a separation with few pairs leans on its predecessor, and one never seen inherits it.
    Only the order of f within a separation range counts in a ranking; pairs of one separation are
    tied and follow (i, j).

    Attributes:
        contacts: ``(S,)`` int64 on the host, c(s) for s = 0 ... S-1.
        pairs: ``(S,)`` int64 on the host, n(s).
    """

    def __init__(self) -> None:
        self.contacts = torch.zeros(1, dtype=torch.int64)
        self.pairs = torch.zeros(1, dtype=torch.int64)
        self._frequencies: Tensor | None = None

    @classmethod
    def fit(cls, batches: Iterable[ContactBatch]) -> "SeparationPrior":
        """Count all `batches`, crops or full-length chains."""
        prior = cls()
        for batch in batches:
            prior.update(batch)
        return prior

    def update(self, batch: ContactBatch) -> None:
        """Count the known pairs i < j of a batch and their contacts, by separation."""
        upper = batch.known().triu(diagonal=1)
        separation = batch.separation()
        self.pairs = _sum(self.pairs, separation[upper])
        self.contacts = _sum(self.contacts, separation[upper & batch.contact()])
        size = len(self.pairs)
        self.contacts = torch.nn.functional.pad(self.contacts, (0, size - len(self.contacts)))
        self._frequencies = None

    def frequencies(self) -> Tensor:
        """Return f(s), ``(S,)`` float64 on the host; the last one holds for all s >= S - 1.

        Raises:
            ValueError: If no known pair was counted.
        """
        if self._frequencies is None:
            total = int(self.pairs.sum())
            if total == 0:
                raise ValueError("the separation prior has no known pair; update it with chains")
            values = [int(self.contacts.sum()) / total]
            for contacts, pairs in zip(
                self.contacts[1:].tolist(), self.pairs[1:].tolist(), strict=True
            ):
                values.append((contacts + PSEUDO_PAIRS * values[-1]) / (pairs + PSEUDO_PAIRS))
            self._frequencies = torch.tensor(values, dtype=torch.float64)
        return self._frequencies

    def scores(self, index: Tensor) -> Tensor:
        """Return f(|i - j|) of all pairs, ``(..., L) -> (..., L, L)`` float32, on `index`'s device.

        Args:
            index: Integer place of each residue in its full sequence, such as ``batch.index``.
        """
        table = self.frequencies().to(torch.float32).to(index.device)
        separation = (index[..., :, None] - index[..., None, :]).abs()
        return table[separation.clamp(max=len(table) - 1)]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the counts, for a checkpoint."""
        return {"contacts": self.contacts, "pairs": self.pairs}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> "SeparationPrior":
        """Return the prior with these counts.

        Raises:
            ValueError: If the two are not integer vectors of one length with
                ``0 <= contacts <= pairs``.
        """
        contacts, pairs = state["contacts"], state["pairs"]
        if contacts.ndim != 1 or contacts.shape != pairs.shape or len(pairs) == 0:
            raise ValueError(
                "contacts and pairs must be vectors of one length, "
                f"not {tuple(contacts.shape)} and {tuple(pairs.shape)}"
            )
        if contacts.dtype != torch.int64 or pairs.dtype != torch.int64:
            raise ValueError(
                f"contacts and pairs must be int64, not {contacts.dtype} and {pairs.dtype}"
            )
        if ((contacts < 0) | (contacts > pairs)).any():
            raise ValueError("contacts must lie between 0 and pairs at every separation")
        prior = cls()
        prior.contacts, prior.pairs = contacts.cpu(), pairs.cpu()
        return prior


def _sum(counts: Tensor, separation: Tensor) -> Tensor:
    """Return ``counts`` with each of the separations counted once more; grows where needed."""
    total = torch.bincount(separation, minlength=len(counts)).cpu()
    total[: len(counts)] += counts
    return total
