"""What crosses every boundary between data, models and metrics?

Shapes: B chains, L residues (padded to the longest), C channels. Lengths in Angstrom. Only O(L)
numbers travel; the ``(B, L, L)`` labels are derived on the device that needs them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from protcontact.structure.alphabet import PADDING
from protcontact.structure.contacts import CUTOFF


@dataclass(frozen=True, eq=False)
class AlignedTemplates:
    """Known structures that resemble the chains of a batch, residue by residue.

    Attributes:
        coordinates: ``(B, T, L, 3)`` float32, Angstrom: CB (CA for Gly) of the residue that is
            aligned with each residue of the chain; NaN where none is, or it is unresolved.
        evalues: ``(B, T)`` float32: templates as near as this one that chance would find; infinite
            where there is none.
    """

    coordinates: Tensor
    evalues: Tensor

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "AlignedTemplates":
        """The same after a change of each tensor."""
        return AlignedTemplates(change(self.coordinates), change(self.evalues))


@dataclass(frozen=True, eq=False)
class ContactBatch:
    """Chains padded to one length.

    Attributes:
        tokens: ``(B, L)`` int64, letters as integers, `PADDING` where `mask` is False.
        mask: ``(B, L)`` bool, True where there is a residue.
        coordinates: ``(B, L, 3)`` float32, Angstrom: CB (CA for Gly), NaN where unresolved.
        index: ``(B, L)`` int64, place of each residue in its full sequence, rising along L. Not
            contiguous where a crop took two windows.
        lengths: ``(B,)`` int64, length of each full sequence, before any crop.
        ids: B chain ids.
        templates: Structures that resemble the chains, for models that look at them; else None.

    Raises:
        ValueError: If shapes, types or contents contradict each other.
    """

    tokens: Tensor
    mask: Tensor
    coordinates: Tensor
    index: Tensor
    lengths: Tensor
    ids: tuple[str, ...]
    templates: AlignedTemplates | None = None

    def __post_init__(self) -> None:
        if self.tokens.ndim != 2 or 0 in self.tokens.shape:
            raise ValueError(f"tokens must be (B, L) and not empty, not {tuple(self.tokens.shape)}")
        B, L = self.tokens.shape
        expected = {
            "tokens": ((B, L), torch.int64),
            "mask": ((B, L), torch.bool),
            "coordinates": ((B, L, 3), torch.float32),
            "index": ((B, L), torch.int64),
            "lengths": ((B,), torch.int64),
        }
        for name, (shape, dtype) in expected.items():
            value = getattr(self, name)
            if tuple(value.shape) != shape or value.dtype != dtype:
                raise ValueError(
                    f"{name} must be {dtype} of shape {shape}, "
                    f"not {value.dtype} of shape {tuple(value.shape)}"
                )
        if self.templates is not None:
            self._check_templates(self.templates)
        if len(self.ids) != B:
            raise ValueError(f"ids must name {B} chains, not {len(self.ids)}")
        if self.tokens.device.type == "cpu":  # looking at values would make a GPU wait
            self._check_contents()

    def _check_templates(self, templates: AlignedTemplates) -> None:
        B, L = self.tokens.shape
        places, evalues = templates.coordinates, templates.evalues
        T = evalues.shape[-1]
        if places.shape != (B, T, L, 3) or evalues.shape != (B, T):
            raise ValueError(
                f"templates must be {(B, T, L, 3)} and {(B, T)}, "
                f"not {tuple(places.shape)} and {tuple(evalues.shape)}"
            )
        if places.dtype != torch.float32 or evalues.dtype != torch.float32:
            raise ValueError(f"templates must be float32, not {places.dtype} and {evalues.dtype}")

    def _check_contents(self) -> None:
        if not self.mask.any(dim=1).all():
            raise ValueError("mask has a chain without residues")
        if (self.mask[:, 1:] & ~self.mask[:, :-1]).any():
            raise ValueError("mask must be True first and then False: padding stands at the end")
        if not torch.equal(self.tokens == PADDING, ~self.mask):
            raise ValueError("tokens must be PADDING exactly where mask is False")
        if ((self.tokens < 0) | (self.tokens > PADDING)).any():
            raise ValueError(f"tokens must lie in [0, {PADDING}]")
        if torch.isfinite(self.coordinates[~self.mask]).any():
            raise ValueError("coordinates must be NaN where mask is False")
        rising = (self.index[:, 1:] > self.index[:, :-1]) | ~self.mask[:, 1:]
        if not rising.all():
            raise ValueError("index must rise along each chain")
        last = self.index.masked_fill(~self.mask, -1).max(dim=1).values
        if (self.index.masked_fill(~self.mask, 0) < 0).any() or (last >= self.lengths).any():
            raise ValueError("index must lie in [0, length) of its full sequence")

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def resolved(self) -> Tensor:
        """``(B, L)`` bool: residues with known coordinates."""
        return torch.isfinite(self.coordinates).all(dim=-1)

    def known(self) -> Tensor:
        """``(B, L, L)`` bool: pairs whose truth is available."""
        resolved = self.resolved
        return resolved[:, :, None] & resolved[:, None, :]

    def distances(self) -> Tensor:
        """``(B, L, L)`` float32, Angstrom; NaN where not known.

        Plain differences: ``torch.cdist`` may use a matrix product, which loses digits near 8.0.
        """
        squared = torch.zeros((), device=self.coordinates.device)
        for axis in self.coordinates.unbind(dim=-1):
            squared = squared + (axis[:, :, None] - axis[:, None, :]) ** 2
        return squared.sqrt()

    def contact(self, cutoff: float = CUTOFF) -> Tensor:
        """``(B, L, L)`` bool: known pairs closer than `cutoff` Angstrom."""
        return self.distances() < cutoff

    def separation(self) -> Tensor:
        """``(B, L, L)`` int64: ``|i - j|`` counted along the full sequence."""
        return (self.index[:, :, None] - self.index[:, None, :]).abs()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ContactBatch":
        """Return the batch on another device."""
        moved: dict[str, Any] = {
            name: getattr(self, name).to(device, non_blocking=non_blocking)
            for name in ("tokens", "mask", "coordinates", "index", "lengths")
        }
        moved["templates"] = self.templates and self.templates.mapped(
            lambda tensor: tensor.to(device, non_blocking=non_blocking)
        )
        return replace(self, **moved)

    def pin_memory(self) -> "ContactBatch":
        """Return the batch in page-locked memory, for the DataLoader."""
        pinned: dict[str, Any] = {
            name: getattr(self, name).pin_memory()
            for name in ("tokens", "mask", "coordinates", "index", "lengths")
        }
        pinned["templates"] = self.templates and self.templates.mapped(Tensor.pin_memory)
        return replace(self, **pinned)
