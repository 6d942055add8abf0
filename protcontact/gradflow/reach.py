"""Which cells of a pair map can a logit depend on, and on which does it depend?

A convolution of kernel 3 and dilation d reads the places i - d, i and i + d along each axis. So
what the logit of a pair reads is a product of two sets of places, one for each axis, which are
followed from the output to the input:

    block      S -> S + {-d, 0, d} + {-1, 0, 1}
    doubling   a fine place i reads the coarse place i // 2
    halving    a coarse place i reads the fine places 2 i and 2 i + 1

Identities and skips add nothing to it: a convolution also reads the place itself. That is the
prediction, and the gradient of one logit is the measurement. A norm over the map has no part in the
prediction: hold its statistics (`map_norm.held_statistics`) to measure what convolutions reach.
"""

import torch
from torch import Tensor, nn

from protcontact.models.heads.resnet import ResNet
from protcontact.models.heads.unet import UNet


def pair_reach(head: ResNet | UNet, i: int, j: int, length: int) -> Tensor:
    """Cells of the map in front of the convolutions that the logit of residues i and j may read.

    Args:
        head: Its norms are taken for constants.
        i: Residue.
        j: Residue.
        length: L, residues of the chain.

    Returns:
        ``(M, M)`` bool: M = L, or for a `ResNet` L / patch rounded up. Symmetric, as heads are.

    Raises:
        ValueError: If a residue is not in ``0 ... length - 1``.
    """
    if not (0 <= i < length and 0 <= j < length):
        raise ValueError(f"residues are 0 ... {length - 1}, not {i} and {j}")
    patch = head.patch if isinstance(head, ResNet) else 1
    cells = -(-length // patch)
    rows, columns = (_places(head, place // patch, cells) for place in (i, j))
    square = rows[:, None] & columns[None, :]
    return square | square.T


def support(gradient: Tensor) -> Tensor:
    """``(1, M, M, C) -> (M, M)`` bool: where a gradient has an element that is not exactly 0."""
    return (gradient[0] != 0).any(dim=-1)


def _places(head: ResNet | UNet, place: int, size: int) -> Tensor:
    """``(size,)`` bool: along an axis, what the logits of a cell read."""
    places = torch.arange(size) == place
    if isinstance(head, ResNet):
        return _blocks(head.blocks, places)
    sizes = []
    for up in head.up[::-1]:  # the finest level is the last on the way up
        places = _blocks(up, places)
        sizes.append(len(places))
        places = _coarse(places)
    places = _blocks(head.bottom, places)
    for down in head.down[::-1]:
        places = _blocks(down, _fine(places, sizes.pop()))
    return places


def _blocks(blocks: nn.Module, places: Tensor) -> Tensor:
    for block in reversed(list(blocks.children())):
        for convolution in (block.second, block.first):
            assert isinstance(convolution, nn.Conv2d)
            places = _spread(places, convolution.dilation[0])
    return places


def _spread(places: Tensor, dilation: int) -> Tensor:
    spread = places.clone()
    spread[dilation:] |= places[:-dilation]
    spread[:-dilation] |= places[dilation:]
    return spread


def _coarse(places: Tensor) -> Tensor:
    found = torch.zeros((len(places) + 1) // 2, dtype=torch.bool)
    found[torch.nonzero(places)[:, 0] // 2] = True
    return found


def _fine(places: Tensor, size: int) -> Tensor:
    return places.repeat_interleave(2)[:size]
