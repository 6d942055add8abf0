"""What would copying the nearest training chain score on the chains of a batch?

Joins what `protcontact templates` found with the coordinates of the training chains, for
`copied_scores`, which takes arrays.
"""

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.data.store import ChainStore
from protcontact.data.templates import Templates
from protcontact.metrics.nulls import Copy, SeparationPrior, copied_scores

NEAREST = 1  # training chains that the null copies


class CopiedChains:
    """Looks up and copies.

    Args:
        store: The data set.
        templates: Its training chains that resemble a chain.
        most: How many of them are copied: the nearest alone, or more that vote.
    """

    def __init__(self, store: ChainStore, templates: Templates, most: int = NEAREST) -> None:
        self.store, self.templates, self.most = store, templates, most
        self._rows = {name: row for row, name in enumerate(store.ids)}

    def copies(self, chain: str) -> list[Copy]:
        """Return what can be copied for a chain of the data set, the nearest first."""
        found = []
        for template in self.templates[self._rows[chain]][: self.most]:
            _, coordinates = self.store.arrays(template.row)
            points = torch.from_numpy(coordinates[template.target_index])
            found.append(Copy(template.evalue, torch.from_numpy(template.query_index), points))
        return found

    def scores(self, batch: ContactBatch, prior: SeparationPrior) -> Tensor:
        """Score the pairs of a batch.

        Args:
            batch: Whole chains of the data set or crops.
            prior: Ranks what is not copied.

        Returns:
            ``(B, L, L)`` float32 on the batch's device; 0 where there is padding.
        """
        scores = torch.zeros(*batch.tokens.shape, batch.tokens.shape[1], device=batch.tokens.device)
        for b, chain in enumerate(batch.ids):
            index = batch.index[b][batch.mask[b]]
            whole = torch.arange(int(batch.lengths[b]), device=index.device)
            full = copied_scores(self.copies(chain), prior.scores(whole))
            scores[b, : len(index), : len(index)] = full[index[:, None], index[None, :]]
        return scores
