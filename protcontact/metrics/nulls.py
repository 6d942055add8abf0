"""How well does one predict contacts without having learnt anything about them?

A score means nothing without the score of a model that knows nothing. Here: the contact frequency
by sequence separation in the training chains, which says "near in sequence first" and nothing else;
and the contacts of the training chain that resembles a chain most, which anybody could copy.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.structure.contacts import CUTOFF

# Pairs that the estimate at separation s - 1 is worth at separation s. Far below what a real
# training set has at the separations that decide P@L (5,000 chains: near a million pairs each),
# far above what it has at separations that only its longest chains reach.
PSEUDO_PAIRS = 200
# Angstrom in which a copied contact turns from likely to unlikely: as far as homologous residues
# are from each other after superposition, at least.
SOFTNESS = 1.0
# A hit that chance finds once in ten searches is worth half of a certain one.
DOUBT = 10.0


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


class Copy(NamedTuple):
    """What can be copied from one training chain.

    Attributes:
        evalue: Training chains as near as this one that chance would find.
        places: ``(n,)`` int64, residues of the chain that are aligned with a residue of it.
        coordinates: ``(n, 3)`` float32, Angstrom: CB (CA for Gly) of those residues, NaN where
            unresolved.
    """

    evalue: float
    places: Tensor
    coordinates: Tensor


def copied_scores(copies: Sequence[Copy], prior: Tensor) -> Tensor:
    """Score the pairs of a chain with the contacts of training chains that resemble it.

    Chain t votes ``p_t(i, j) = 1 / (1 + exp((d_t - 8) / 1 Angstrom))`` for the pairs that it has
    aligned and resolved, d_t their distance in it, with the weight ``w_t = 1 / (1 + 10 E_t)``:

        W = sum_t w_t,    s(i, j) = (sum_t w_t p_t(i, j) + max(1 - W, 0) f(i, j)) / max(W, 1)

    The sums run over the chains that know the pair. What is left to a weight of 1 is the vote of
    the separation prior f: it alone ranks the pairs that no chain knows, and they stand before
    those that a chain calls far. One chain, the nearest, is the null; several are what a little
    more work would copy.

    Args:
        copies: Training chains, such as the nearest one; may be empty.
        prior: ``(L, L)`` f(|i - j|) in [0, 1], the score of `SeparationPrior`.

    Returns:
        ``(L, L)`` float32, symmetric, on `prior`'s device.
    """
    votes, weights = torch.zeros_like(prior), torch.zeros_like(prior)
    for copy in copies:
        places, points = copy.places.to(prior.device), copy.coordinates.to(prior.device)
        squared = torch.zeros((), device=prior.device)
        for axis in points.unbind(dim=-1):  # plain differences, as in `ContactBatch.distances`
            squared = squared + (axis[:, None] - axis[None, :]) ** 2
        distances = squared.sqrt()
        known = torch.isfinite(distances)
        near = torch.sigmoid((CUTOFF - distances) / SOFTNESS).where(known, 0.0)
        weight = 1 / (1 + DOUBT * copy.evalue)
        pair = (places[:, None], places[None, :])
        votes[pair] += weight * near
        weights[pair] += weight * known
    return (votes + (1 - weights).clamp(min=0) * prior) / weights.clamp(min=1)
