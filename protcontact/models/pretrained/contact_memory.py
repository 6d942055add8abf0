"""How much memory do the contacts of a chain need?

Of a model with C channels and A attention maps in all, for T letters, the largest moment is the end
of the forward pass: the running sum, the map made of it, the product of the correction, its
transpose, and the result: 6 squares, and one to spare.

    bytes = 4 (7 T^2 + 16 T C + 2 A T) + 8 M

16 C: a block's vectors, of which 8 C are in its feed-forward part; 2 A: row sums of all maps; M:
entries of the maps that exist at once, in two buffers. Half precision keeps a second copy of the
weights. What stays on the host while files are written depends on the map alone, see
`writing_bytes`.
"""

from collections.abc import Sequence

import torch

from protcontact.models.attention_sum import CACHED, ON_DEVICE
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.pretrained.tiling import Window

GIGA = 10**9
SQUARES = 7
VECTORS = 16
# Bytes per pair, as measured at 3,000 residues and rounded up.
JOINING = 10  # 9.4: sum and weight in float32, and where there is none
ARRAYS = 16  # 12 for the npz, beside it the rounded scores and masks of the RR file
RANKED = 48  # of pairs in an RR file: residues and score, unsorted and sorted
DRAWN = 56  # 52, if there is a picture


def contact_bytes(model: ESM2, letters: int, dtype: torch.dtype = torch.float32) -> int:
    """What the model needs for one input, beside its weights.

    Args:
        model: Where and what it is.
        letters: T, linkers included.
        dtype: Of the products.
    """
    maps = len(model.layers) * model.heads
    at_once = max(CACHED if _is_on_cpu(model) else ON_DEVICE, letters)
    floats = SQUARES * letters**2 + VECTORS * letters * model.out_channels + 2 * maps * letters
    half = dtype != torch.float32
    copies = 2 * sum(weight.numel() for weight in model.parameters()) if half else 0
    return 4 * floats + 8 * at_once + copies


def _is_on_cpu(model: ESM2) -> bool:
    return next(model.parameters()).device.type == "cpu"


def writing_bytes(letters: int, tiles: Sequence[Window], is_drawn: bool) -> int:
    """What joining the windows and writing the files takes on the host.

    Args:
        letters: T.
        tiles: The windows; one for all of T if the input is not tiled.
        is_drawn: Whether there is a picture of the map.
    """
    every = letters**2
    listed = min(every, sum(len(tile) ** 2 for tile in tiles)) // 2
    files = max(ARRAYS * every + RANKED * listed, DRAWN * every if is_drawn else 0)
    return max(files, JOINING * every if len(tiles) > 1 else 0)
