"""How does a gradient change from layer to layer of a stack, on its way back to the input?

    lambda_{k-1} = (d layer_k / d x_{k-1})^T lambda_k

The costate is scaled at each layer, so that depth 1,000 is measured as exactly as depth 1.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from protcontact.gradflow.linear import log_norms, scan_scaled, vjp


@torch.no_grad()
def depth_curve(
    layers: Sequence[Callable[[Tensor], Tensor]], x: Tensor, cotangent: Tensor
) -> Tensor:
    """log10 of the norm of the costate behind each layer, from the output to the input.

    Args:
        layers: D functions, applied one after the other, each ``(..., n) -> (..., n)``.
        x: ``(...)``, the input; all of it is one vector.
        cotangent: Of the output, of the same shape.

    Returns:
        ``(D + 1,)`` float64: at the output, behind the last layer, ..., at the input.

    Raises:
        ValueError: If a layer changes the shape.
    """
    inputs = [x]
    for layer in layers:
        inputs.append(layer(inputs[-1]))
        if inputs[-1].shape != x.shape:
            raise ValueError(
                f"a layer made {tuple(inputs[-1].shape)} of {tuple(x.shape)}; only layers that "
                "keep the shape form a stack"
            )
    maps = (
        _flat(layer, at) for layer, at in zip(reversed(layers), reversed(inputs[:-1]), strict=True)
    )
    return log_norms(*scan_scaled(cotangent.flatten(), maps))


def _flat(layer: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[Tensor], Tensor]:
    back = vjp(layer, x)
    return lambda v: back(v.view_as(x)).flatten()
