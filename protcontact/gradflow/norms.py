"""How large is the gradient in each block, before and after clipping?"""

import torch
from torch import Tensor

from protcontact.gradflow.layers import (
    clipping,
    gradient_table,
    join,
    join_norms,
    local,
    norms,
    readings,
    summarize,
)
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe


class GradientNorms(StepProbe):
    """Norms of all blocks and of the whole, non-finite gradients, clipping and the loss scale.

    Logs ``global/{norm_preclip, norm_postclip, clip_coef, nonfinite}``, ``layer/<block>/{norm,
    rms}``, ``depth/slope_log10`` and, with a loss scale, ``amp/{scale, skipped}``. No collective
    under DDP, where the gradients of all ranks are the same; one for all probes together where they
    are sharded.

    Args:
        detail: Also ``layer/<block>/{max, norm_postclip}``, which takes twice the time.
    """

    def __init__(self, detail: bool = False) -> None:
        self.detail = detail
        self._before: Tensor | None = None

    def before_update(self, step: Step) -> list[Pending]:
        """Read the gradients, not yet clipped."""
        table = gradient_table(step.parameters.tensors, step.scale, largest=self.detail)
        self._before, shape, count = table[0], table.shape, table.numel()
        names, sizes = step.parameters.names, step.parameters.sizes
        holders = step.parameters.holders(step.ranks)

        def read(rows: Tensor) -> Findings:
            tables = rows[:, :count].reshape(-1, *shape)
            whole = tables[0] if len(rows) == 1 else join(tables, holders)
            summary = summarize(whole, names, sizes)
            scalars = readings(summary)
            if rows.shape[1] > count:
                scalars |= {
                    "amp/scale": float(rows[0, -1]),
                    "amp/skipped": float(summary.nonfinite > 0),
                }
            return Findings(scalars, summary=summary)

        values = table.flatten()
        if isinstance(step.loss_scale, Tensor):
            values = torch.cat([values, step.loss_scale.to(values.dtype).view(1)])
        return [Pending(values, read, joined=step.parameters.sharded)]

    def after_update(self, step: Step) -> list[Pending]:
        """Read their norms again, clipped."""
        before, self._before = self._before, None
        if before is None:
            return []
        gradients = local(p.grad for p in step.parameters.tensors if p.grad is not None)
        after = norms(gradients) / step.scale
        names, holders = step.parameters.names, step.parameters.holders(step.ranks)

        def read(rows: Tensor) -> Findings:
            pairs = rows.view(-1, 2, len(names))
            first, second = (
                pairs[0, part] if len(rows) == 1 else join_norms(pairs[:, part], holders)
                for part in (0, 1)
            )
            found = clipping(first.tolist(), second.tolist(), names)
            if not self.detail:
                found = {name: value for name, value in found.items() if "global/" in name}
            return Findings(found)

        return [Pending(torch.stack([before, after]), read, joined=step.parameters.sharded)]

    def forget(self) -> None:
        """Drop what was read."""
        self._before = None
