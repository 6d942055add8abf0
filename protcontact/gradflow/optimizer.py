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

from protcontact.gradflow.layers import block_of, local, norms
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe


class UpdateSize(StepProbe):
    """How far each block moved, and whether it moved along its gradient.

    Holds a copy of the weights while the step is made.
    """

    def __init__(self) -> None:
        self._weights: list[Tensor] = []

    def before_update(self, step: Step) -> list[Pending]:
        """Copy the weights."""
        self._weights = copies(step.parameters.tensors)
        return []

    def after_update(self, step: Step) -> list[Pending]:
        """``update/<block>/{ratio, cos_grad}``."""
        weights, self._weights = self._weights, []
        if not weights:
            return []
        table = update_table(step.parameters.tensors, weights)
        names, holders = step.parameters.names, step.parameters.holders(step.ranks)

        def read(tables: Tensor) -> Findings:
            tables = tables.view(-1, 4, len(names))
            whole = tables[0] if len(tables) == 1 else join_updates(tables, holders)
            return Findings(
                {
                    f"update/{block}/{what}": value
                    for block, values in updates(whole, names).items()
                    for what, value in values.items()
                }
            )

        return [Pending(table, read, joined=step.parameters.sharded)]

    def forget(self) -> None:
        """Drop the copy of the weights."""
        self._weights = []


def copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The weights as they are now, this rank's part of them, for `update_table` after the step."""
    return [part.clone() for part in local(parameter.detach() for parameter in parameters)]


def update_table(parameters: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """Compare the weights with what they were before the optimizer's step, on the device.

    Args:
        parameters: P tensors, after the step, with the ``.grad`` that the step has used.
        before: The same before the step, from `copies`.

    Returns:
        ``(4, P)`` float64: norms of the updates, of the weights before, of the gradients, and the
        inner product of update and descent, ``(w_before - w_after) . gradient``.
    """
    now = local(p.detach() for p in parameters)
    steps = torch._foreach_sub(list(before), now)
    gradients = local([p.grad for p in parameters if p.grad is not None])
    moved, weight, slope = norms(steps), norms(before), norms(gradients)
    # |a / |a| - b / |b||^2 = 2 - 2 cos: no cancelling of large numbers where the angle is small
    away = torch._foreach_div(_wide(steps), _split(moved))
    torch._foreach_sub_(away, torch._foreach_div(_wide(gradients), _split(slope)))
    cosine = 1 - norms(away) ** 2 / 2
    return torch.stack([moved, weight, slope, moved * slope * cosine])


def join_updates(tables: Tensor, holders: Sequence[float]) -> Tensor:
    """``(ranks, 4, P) -> (4, P)``: tables of sharded parameters as one process would have them."""
    held = tables.new_tensor(holders)
    lengths = ((tables[:, :3] ** 2).sum(dim=0) / held).sqrt()
    return torch.cat([lengths, tables[:, 3:].sum(dim=0) / held])


def updates(table: Tensor, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read a table that has been copied to the host: block -> ``ratio`` and ``cos_grad``.

    A ratio is NaN where the weights were 0 before; a cosine is 0 where nothing moved.

    Args:
        table: ``(4, P)``, from `update_table`.
        names: P parameter names.
    """
    members: dict[str, list[list[float]]] = {}
    for name, *row in zip(names, *table.double().tolist(), strict=True):
        members.setdefault(block_of(name), []).append(row)
    found = {}
    for block, rows in members.items():
        *columns, products = zip(*rows, strict=True)
        moved, weight, slope = (math.hypot(*column) for column in columns)
        length = moved * slope
        found[block] = {
            "ratio": moved / weight if weight > 0 else math.nan,
            "cos_grad": sum(products) / length if length > 0 else 0.0,
        }
    return found


def _wide(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def _split(values: Tensor) -> list[Tensor]:
    """One scalar for each parameter; never 0, so that nothing becomes NaN."""
    return list(torch.where(values > 0, values, 1.0).unbind())
