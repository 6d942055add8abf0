"""What does the optimizer make of the gradient?

SGD moves each weight by its gradient, so a block whose gradient vanishes stands still. Adam divides
by the gradient's own size and moves it as far as any other. Two numbers tell which of them happens:

    ratio    = |w_after - w_before| / |w_before|         about 1e-3 is healthy
    cos_grad = cos(w_before - w_after, gradient)         1 for plain SGD
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from protcontact.gradflow.layers import block_of, norms


def copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The weights as they are now, for `update_table` after the step."""
    return [parameter.detach().clone() for parameter in parameters]


def update_table(parameters: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """Compare the weights with what they were before the optimizer's step, on the device.

    Args:
        parameters: P tensors, after the step, with the ``.grad`` that the step has used.
        before: The same before the step.

    Returns:
        ``(4, P)`` float32 or wider: norms of the updates, of the weights before, of the gradients,
        and the cosine of the angle between gradient and step; 0 where one of them is 0.
    """
    steps = torch._foreach_sub(list(before), [p.detach() for p in parameters])
    gradients = [p.grad for p in parameters if p.grad is not None]
    moved, weight, slope = norms(steps), norms(before), norms(gradients)
    # |a / |a| - b / |b||^2 = 2 - 2 cos: no product of a parameter's size is kept, and no cancelling
    # of large numbers
    away = torch._foreach_div(_wide(steps), _split(moved))
    torch._foreach_sub_(away, torch._foreach_div(_wide(gradients), _split(slope)))
    cosine = 1 - norms(away) ** 2 / 2
    defined = (moved > 0) & (slope > 0)
    return torch.stack([moved, weight, slope, torch.where(defined, cosine, 0.0)])


def updates(table: Tensor, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read a table that has been copied to the host: block -> ``ratio`` and ``cos_grad``.

    A ratio is NaN where the weights were 0 before.

    Args:
        table: ``(4, P)``, from `update_table`.
        names: P parameter names.
    """
    sums: dict[str, list[float]] = {}
    for name, moved, weight, slope, cosine in zip(names, *table.double().tolist(), strict=True):
        total = sums.setdefault(block_of(name), [0.0, 0.0, 0.0, 0.0])
        terms = (moved**2, weight**2, slope**2, moved * slope * cosine)
        total[:] = [value + term for value, term in zip(total, terms, strict=True)]
    found = {}
    for block, (moved, weight, slope, product) in sums.items():
        length = math.sqrt(moved * slope)
        found[block] = {
            "ratio": math.sqrt(moved / weight) if weight > 0 else math.nan,
            "cos_grad": product / length if length > 0 else 0.0,
        }
    return found


def _wide(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def _split(values: Tensor) -> list[Tensor]:
    """One scalar for each parameter; never 0, so that nothing becomes NaN."""
    return list(torch.where(values > 0, values, 1.0).unbind())
