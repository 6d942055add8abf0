"""What does a known structure that resembles a chain say of its pairs of residues?

Distances between the aligned residues of each template, softened, and weighted by how far the
resemblance is to be trusted: ``w = 1 / (1 + 10 E)``, E the number of templates as near as this one
that chance would find. Templates are taken one after the other, so memory is that of one map, and
their order among the rest does not matter but for the nearest, which also has maps of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.batch import AlignedTemplates
from protcontact.structure.contacts import CUTOFF

DOUBT = 10.0  # of one expected chance hit: a weight of 1/11
DECAY = 10.0  # Angstrom in which the map of nearness falls to 1/e
MAPS = 5


def template_maps(templates: AlignedTemplates) -> Tensor:
    """``(B, T, L, 3), (B, T) -> (B, L, L, 5)`` float32, symmetric; 0 where no template knows.

    Contact and nearness, ``exp(-d / 10 A)``, as the weighted mean of all templates (divided by at
    least 1, so that what is doubtful stays small); the sum of the weights, at most 2; contact and
    nearness in the nearest template, with its weight. Contact is ``sigmoid(8 A - d)``: a template
    is remote, and its distances are off by Angstroms.
    """
    B, T, L, _ = templates.coordinates.shape
    contact, nearness, weight = templates.coordinates.new_zeros(3, B, L, L)
    first = [contact, nearness]
    for place in range(T):
        known, distances = _distances(templates.coordinates[:, place])
        trust = known / (1 + DOUBT * templates.evalues[:, place, None, None])
        parts = [
            torch.sigmoid(CUTOFF - distances) * trust,
            torch.exp(-distances / DECAY) * trust,
        ]
        first = parts if place == 0 else first
        contact, nearness, weight = contact + parts[0], nearness + parts[1], weight + trust
    share = weight.clamp(min=1.0)
    maps = [contact / share, nearness / share, weight.clamp(max=2.0), *first]
    return torch.stack(maps, dim=-1)


def _distances(places: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, L, 3) -> (B, L, L)`` where both residues are known, and distances, 0 elsewhere."""
    resolved = torch.isfinite(places).all(dim=-1)
    places = places.masked_fill(~resolved[..., None], 0.0)
    squared = torch.zeros((), device=places.device)
    for axis in places.unbind(dim=-1):
        squared = squared + (axis[:, :, None] - axis[:, None, :]) ** 2
    return (resolved[:, :, None] & resolved[:, None, :]).float(), squared.sqrt()


class TemplateCells(nn.Module):
    """Maps of templates to vectors of cells, for a network on cells of ``patch x patch`` pairs.

    Args:
        channels: C of the cells.
        patch: Residues along the edge of a cell.
    """

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.linear = nn.Linear(MAPS * patch * patch, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, L, L, 5) -> (B, M, M, C)``, M = L / patch, rounded up."""
        B, L, _, F = maps.shape
        p, missing = self.patch, -L % self.patch
        maps = functional.pad(maps, (0, 0, 0, missing, 0, missing))
        M = maps.shape[1] // p
        cells = maps.view(B, M, p, M, p, F).transpose(2, 3)
        return self.linear(cells.reshape(B, M, M, p * p * F))
