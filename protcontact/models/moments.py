"""What are the mean and the mean square of a map's real cells, and what does their gradient cost?

Written with torch's own sums the forward pass is cheap, but on the way back each of them makes
float32 maps of the size of its input: in a residual block on a processor, half as much time as
both convolutions together. The derivative is known, and is one product and sum in the map's own
precision:

    m = sum z / n,  s = sum z^2 / n,    dz = dm / n + 2 z ds / n
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def moments(z: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean square of each channel, summed in float32 or wider.

    Differentiable as often as one likes, forward and backward, and by `torch.func`.

    Args:
        z: ``(B, M, M, C)``, zero where there is no real cell.
        count: ``(B, 1)``, number n of real cells of each map.

    Returns:
        ``(B, C)`` and ``(B, C)``, float32 (float64 for float64 maps).
    """
    if torch.compiler.is_compiling():  # which fuses the plain sums, and cannot trace a `jvp`
        return _plain(z, count)
    return _Moments.apply(z, count)


def _plain(z: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    wide = z.to(torch.promote_types(z.dtype, torch.float32))
    return wide.sum(dim=(1, 2)) / count, wide.square().sum(dim=(1, 2)) / count


class _Moments(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        return _plain(z, count)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: object) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, mean: Tensor, square: Tensor) -> tuple[Tensor, None]:
        z, count = ctx.saved_tensors
        offset = (mean / count)[:, None, None].to(z.dtype)
        return torch.addcmul(offset, z, (2 * square / count)[:, None, None].to(z.dtype)), None

    @staticmethod
    def jvp(ctx: Any, dz: Tensor, _: object) -> tuple[Tensor, Tensor]:
        z, count = ctx.saved_tensors
        wide = torch.promote_types(z.dtype, torch.float32)
        across = 2 * (z.to(wide) * dz).sum(dim=(1, 2)) / count
        return dz.sum(dim=(1, 2), dtype=wide) / count, across
