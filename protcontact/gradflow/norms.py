"""How large is the gradient in each block, before and after clipping?"""

import torch
from torch import Tensor

from protcontact.gradflow.layers import gradient_table, join, readings, summarize
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe


class GradientNorms(StepProbe):
    """Norms of all blocks and of the whole, non-finite gradients, clipping and the loss scale.

    Logs ``global/{norm_preclip, norm_postclip, clip_coef, nonfinite}``,
    ``layer/<block>/{norm, norm_postclip, rms, max}``, ``depth/slope_log10`` and, with a loss scale,
    ``amp/{scale, skipped}``. No collective under DDP, where the gradients of all ranks are the
    same; one for all probes together where they are sharded.
    """

    def __init__(self) -> None:
        self._before: Tensor | None = None

    def before_update(self, step: Step) -> list[Pending]:
        """Read the gradients, not yet clipped."""
        self._before = gradient_table(step.parameters.tensors, step.scale)
        return []

    def after_update(self, step: Step) -> list[Pending]:
        """Read them again, clipped."""
        before, self._before = self._before, None
        if before is None:
            return []
        after = gradient_table(step.parameters.tensors, step.scale)
        names, sizes = step.parameters.names, step.parameters.sizes
        holders = step.parameters.holders(step.ranks)

        def read(rows: Tensor) -> Findings:
            tables = rows[:, : 4 * len(names)].reshape(-1, 2, 2, len(names))
            first, second = (
                tables[0, part] if len(rows) == 1 else join(tables[:, part], holders)
                for part in (0, 1)
            )
            summary = summarize(first, names, sizes)
            scalars = dict(readings(summary, summarize(second, names, sizes)))
            if rows.shape[1] > 4 * len(names):
                scalars |= {
                    "amp/scale": float(rows[0, -1]),
                    "amp/skipped": float(summary.nonfinite > 0),
                }
            return Findings(scalars, summary=summary)

        parts = [before.flatten(), after.flatten()]
        if isinstance(step.loss_scale, Tensor):
            parts.append(step.loss_scale.double().view(1))
        return [Pending(torch.cat(parts), read, joined=step.parameters.sharded)]
