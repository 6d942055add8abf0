"""How large is the gradient in each block, before and after clipping?"""

from collections.abc import Sequence

import torch
from torch import Tensor

from protcontact.gradflow.layers import (
    clipping,
    gradient_table,
    is_sharded,
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

    Logs ``global/{norm_preclip, norm_postclip, clip_coef, nonfinite}``, ``layer/<block>/norm``,
    ``depth/slope_log10`` and, with a loss scale, ``amp/{scale, skipped}``. No collective under DDP,
    where the gradients of all ranks are the same; one for all probes together where they are
    sharded. What was written to a gradient behind PyTorch's back, as through ``.data``, counts as
    clipping only with `detail`.

    Args:
        detail: Also ``layer/<block>/{rms, max, norm_postclip}``, which takes twice the time.
    """

    def __init__(self, detail: bool = False) -> None:
        self.detail = detail
        self._before: Tensor | None = None
        self._read: list[tuple[Tensor, int, int]] = []

    def before_update(self, step: Step) -> list[Pending]:
        """Read the gradients, not yet clipped."""
        table = gradient_table(step.parameters.tensors, step.scale, largest=self.detail)
        self._before, shape, count = table[0], table.shape, table.numel()
        self._read = _marks(step.parameters.tensors)
        names, sizes = step.parameters.names, step.parameters.sizes

        def read(rows: Tensor) -> Findings:
            tables = rows[:, :count].reshape(-1, *shape)
            single = len(rows) == 1
            whole = tables[0] if single else join(tables, step.parameters.holders(step.ranks))
            summary = summarize(whole, names, sizes)
            scalars = readings(summary, detail=self.detail)
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
        """Read their norms again, clipped, unless nothing has written to them since."""
        before, then, now = self._before, self._read, _marks(step.parameters.tensors)
        self.forget()
        if before is None:
            return []
        same = all(a[0] is b[0] and a[1:] == b[1:] for a, b in zip(then, now, strict=True))
        if same and not self.detail:
            after = before
        else:
            after = norms(local(gradient for gradient, *_ in now)) / step.scale
        names = step.parameters.names

        def read(rows: Tensor) -> Findings:
            holders = step.parameters.holders(step.ranks)
            pairs = rows.view(-1, 2, len(names))
            first, second = (
                pairs[0, part] if len(rows) == 1 else join_norms(pairs[:, part], holders)
                for part in (0, 1)
            )
            return Findings(clipping(first.tolist(), second.tolist(), names if self.detail else ()))

        return [Pending(torch.stack([before, after]), read, joined=step.parameters.sharded)]

    def forget(self) -> None:
        """Drop what was read."""
        self._before, self._read = None, []


def _marks(parameters: Sequence[Tensor]) -> list[tuple[Tensor, int, int]]:
    """Each gradient, and how often it and this rank's part of it have been written to."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return [(g, g._version, (g.to_local() if is_sharded(g) else g)._version) for g in gradients]  # type: ignore[attr-defined]
