"""Which elements has a fold?

Layers of strands or of helices are filled with rods, the narrowest layer first, until the chain is
used up; as many layers as make the fold about as thick as it is wide. `route` says in which order
the chain visits them.

Where a separation S is wished, the strands of some sheets alternate between the beginning and the
end of the chain, with everything else between them, so that every pair of neighbours in those
sheets is at least S residues apart.
"""

import numpy as np

from protcontact.data.synthetic.rods import (
    HELIX_RISE,
    LAYER_SPACING,
    STRAND_RISE,
    STRAND_SPACING,
    Element,
)
from protcontact.data.synthetic.route import threaded

LAYER_SPACING_LARGE = 11.0
HELIX_SPACING = 9.6
HEIGHT, HEIGHT_LARGE = (5, 7), (6, 9)  # residues of a typical strand, without its caps
SHEET_GAP = 10.0  # between the last strand of a sheet and the first rod of the next
SHEET_MIN, SHEET_MAX = 3, 7  # strands; the letters of the code repeat after 8, see `code`
LARGE = 150  # residues; in larger folds rods are longer, and their ends more crowded
SHEETS, SHEETS_LARGE = 0.75, 0.55  # share of layers that are sheets
RESIDUES_PER_LAYER_SQUARED = 20.0  # a layer as wide as n layers are thick holds about 20 n


class _Layers:
    """Rods side by side in layers, added one at a time where a layer is narrowest."""

    def __init__(self, rng: np.random.Generator, length: int) -> None:
        count = int(np.sqrt(length / RESIDUES_PER_LAYER_SQUARED) + rng.uniform(0.2, 1.0))
        count = max(count, 2 if length >= 50 else 1)
        self.rng = rng
        shortest, longest = HEIGHT if length < LARGE else HEIGHT_LARGE
        self.height = int(rng.integers(shortest, longest + 1))
        self.is_sheet = rng.random(count) < (SHEETS_LARGE if length > LARGE else SHEETS)
        if not self.is_sheet.any() or count > 1 and self.is_sheet.all() and rng.random() < 0.7:
            self.is_sheet[rng.integers(count)] ^= True
        spacing = LAYER_SPACING_LARGE if length > 2 * LARGE else LAYER_SPACING
        self.y = spacing * (np.arange(count) - 0.5 * (count - 1))
        self.edge = rng.uniform(0.0, 3.0, size=count)
        self.sheets = 0
        self.rods: list[list[Element]] = [[] for _ in range(count)]

    def narrowest(self, sheet_only: bool = False) -> int:
        """Number of the layer that has least, of all or of the sheets."""
        allowed = self.is_sheet | (not sheet_only)
        return int(np.argmin(np.where(allowed, self.edge, np.inf)))

    def add_helix(self, layer: int) -> list[Element]:
        """Put a helix at the end of a layer."""
        residues = int(self.height * STRAND_RISE / HELIX_RISE) - int(self.rng.integers(0, 5))
        helix = Element(
            "H",
            max(residues, 8),
            x=float(self.edge[layer] + self.rng.uniform(0.0, 0.8)),
            y=float(self.y[layer]),
            low=float(self.rng.uniform(-1.0, 1.0)),
            spin=float(self.rng.uniform(0.0, 360.0)),
        )
        self.edge[layer] += HELIX_SPACING + 0.4
        self.rods[layer].append(helix)
        return [helix]

    def add_sheet(self, layer: int, strands: int, groups: tuple[int, ...] = (0,)) -> list[Element]:
        """Put a sheet at the end of a layer; its strands belong to `groups` in turns."""
        sheet = []
        for rank in range(strands):
            low, high = self.rng.integers(-1, 2, size=2)
            first = -(self.height // 2) + int(low)
            sheet.append(
                Element(
                    "E",
                    max(self.height + int(high) - int(low), 4),
                    x=float(self.edge[layer]) + STRAND_SPACING * rank,
                    y=float(self.y[layer]),
                    low=first,
                    sheet=self.sheets,
                    rank=rank,
                    group=groups[rank % len(groups)],
                )
            )
        self.sheets += 1
        self.edge[layer] += STRAND_SPACING * (strands - 1) + SHEET_GAP
        self.rods[layer].extend(sheet)
        return sheet

    def centred(self) -> list[Element]:
        """All elements, each layer with its middle at x = 0 up to a random shift."""
        for layer in self.rods:
            if layer:
                middle = 0.5 * (layer[0].x + layer[-1].x) + self.rng.uniform(-2.0, 2.0)
                for element in layer:
                    element.x -= middle
        return [element for layer in self.rods for element in layer]


def _loop_expected(length: int) -> float:
    """Mean length of a loop: in larger folds the next element is farther."""
    return 2.0 + 1.2 * float(np.log(length))


def _far_pairs(rng: np.random.Generator, length: int, separation: int, step: float) -> int:
    """How many strands can lie in the first part, so that their partners are far enough."""
    # a strand lies between the partner it was drawn with and the one that comes a step earlier, so
    # what limits is the way from the last strand of the beginning to the first of the end
    room = (length - separation - 12) / step
    most = int(max(1.0, min(room, length / (6 * step))))
    return int(rng.integers(1, most + 1))


def draw_elements(
    rng: np.random.Generator, length: int, separation: int | None = None
) -> list[Element]:
    """Draw the elements of a fold, in the order of the chain.

    Args:
        rng: Source of randomness.
        length: Number of residues of the chain, loops included.
        separation: If given, smallest separation of the planted pairs, residues.

    Returns:
        Elements with all but `Element.start`; about as many as fill the chain.
    """
    layers = _Layers(rng, length)
    loop = _loop_expected(length)
    elements: list[Element] = []
    if separation is not None:
        far = _far_pairs(rng, length, separation, layers.height + loop + 1)
        while far > 0:
            pairs = min(far, SHEET_MAX // 2)
            order = (1, 2) if rng.random() < 0.5 else (2, 1)
            elements += layers.add_sheet(layers.narrowest(sheet_only=True), 2 * pairs, order)
            far -= pairs
    while (left := length - 4 - sum(e.length + loop for e in elements)) > 0:
        layer = layers.narrowest()
        if layers.is_sheet[layer]:
            room = left / (layers.height + loop)
            strands = int(rng.integers(SHEET_MIN, SHEET_MAX + 1))
            elements += layers.add_sheet(layer, max(2, min(strands, round(room))))
        else:
            elements += layers.add_helix(layer)
    return threaded(rng, layers.centred())
