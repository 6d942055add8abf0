"""How do rows of a data set become one batch: crops for training, full chains for scoring?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from protcontact.batch import ContactBatch
from protcontact.data.sampling import PlannedBatch, crop
from protcontact.data.store import ChainStore
from protcontact.data.templates import Aligned, Templates, aligned_template, padded_templates
from protcontact.structure.alphabet import PADDING


@dataclass(frozen=True, eq=False)
class Piece:
    """The residues of one chain that a batch shows.

    Attributes:
        id: Chain id.
        length: Residues of the full sequence.
        codes: ``(L,)`` letters as integers.
        coordinates: ``(L, 3)`` float32, Angstrom, NaN where unresolved.
        index: ``(L,)`` places in the full sequence.
        templates: E-value and ``(L, 3)`` float32 aligned coordinates of each template.
    """

    id: str
    length: int
    codes: np.ndarray
    coordinates: np.ndarray
    index: np.ndarray
    templates: tuple[Aligned, ...] = ()


def collate(pieces: list[Piece], multiple: int = 1, templates: int = 0) -> ContactBatch:
    """Pad pieces to the longest of them, and on to the next multiple of `multiple` residues.

    Args:
        pieces: The chains.
        multiple: Of residues.
        templates: T, how many of each chain; with 0 the batch has none.
    """
    B, L = len(pieces), max(len(piece.codes) for piece in pieces)
    L += -L % multiple
    tokens = torch.full((B, L), PADDING, dtype=torch.int64)
    coordinates = torch.full((B, L, 3), float("nan"))
    index = torch.zeros((B, L), dtype=torch.int64)
    for row, piece in enumerate(pieces):
        shown = len(piece.codes)
        tokens[row, :shown] = torch.from_numpy(piece.codes.astype(np.int64))
        coordinates[row, :shown] = torch.from_numpy(piece.coordinates)
        index[row, :shown] = torch.from_numpy(piece.index)
    lengths = torch.tensor([piece.length for piece in pieces])
    ids = tuple(piece.id for piece in pieces)
    shown_templates = [piece.templates for piece in pieces]
    aligned = padded_templates(shown_templates, L, templates) if templates else None
    return ContactBatch(tokens, tokens != PADDING, coordinates, index, lengths, ids, aligned)


class ContactDataset(Dataset):
    """Builds a `ContactBatch` from a `PlannedBatch`.

    Args:
        store: The chains.
        crop_size: Longest crop in training.
        far_crops: Probability that a crop consists of two windows.
        multiple: Padded lengths are multiples of it.
        templates: The templates of each row, and how many of them a batch shows; None for none.
    """

    def __init__(
        self,
        store: ChainStore,
        crop_size: int,
        far_crops: float,
        multiple: int = 1,
        templates: tuple[Templates, int] | None = None,
    ) -> None:
        self.store = store
        self.crop_size = crop_size
        self.far_crops = far_crops
        self.multiple = multiple
        self.templates = templates

    def __getitem__(self, planned: PlannedBatch) -> ContactBatch:
        """Read, crop and pad the planned rows."""
        pieces = [self._piece(row, planned.seed) for row in planned.rows]
        return collate(pieces, self.multiple, self.templates[1] if self.templates else 0)

    def _piece(self, row: int, seed: tuple[int, int] | None) -> Piece:
        codes, coordinates = self.store.arrays(row)
        length = len(codes)
        index = np.arange(length)
        if seed is not None:
            random = np.random.default_rng((*seed, row))
            index = crop(length, self.crop_size, self.far_crops, random)
        found = self._aligned(row, length, index)
        return Piece(self.store.ids[row], length, codes[index], coordinates[index], index, found)

    def _aligned(self, row: int, length: int, index: np.ndarray) -> tuple[Aligned, ...]:
        if self.templates is None:
            return ()
        templates, count = self.templates
        whole = (aligned_template(one, self.store, length) for one in templates[row][:count])
        return tuple((evalue, places[index]) for evalue, places in whole)


class WholeChains(Sequence[ContactBatch]):
    """Batches of full chains by number, without a loader.

    Args:
        dataset: Builds the batches.
        planned: Which rows each batch holds.
    """

    def __init__(self, dataset: ContactDataset, planned: list[PlannedBatch]) -> None:
        self.dataset = dataset
        self.planned = planned

    def __len__(self) -> int:
        return len(self.planned)

    def __getitem__(self, number: int) -> ContactBatch:  # type: ignore[override]
        """Build one batch."""
        return self.dataset[self.planned[number]]
