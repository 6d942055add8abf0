"""Does what is learnt from contacts far apart in the sequence reach the first layer?

The contact loss is a mean over pairs, and most pairs with a contact are near ones: the gradient of
the whole loss says little about the pairs that matter. Here each range of sequence separations has
a loss of its own, and a gradient of its own.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.gradflow.layers import Parameters, norms, plain_name, summarize
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe
from protcontact.gradflow.untouched import subject, untouched
from protcontact.metrics.ranges import RANGES, SeparationRange
from protcontact.models.contract import ContactModel


def trained(model: nn.Module) -> Parameters:
    """Parameters that are not frozen, in the order of ``named_parameters()``."""
    found = [(plain_name(name), p) for name, p in model.named_parameters() if p.requires_grad]
    return Parameters(tuple(name for name, _ in found), tuple(p for _, p in found))


def range_losses(
    logits: Tensor,
    batch: ContactBatch,
    ranges: Sequence[SeparationRange] = RANGES,
    positive_weight: float = 1.0,
) -> list[Tensor]:
    """The contact loss of each range: a mean over a chain's known pairs in it, then over chains.

    As `protcontact.metrics.loss.masked_contact_loss`, to which it is equal for a range without an
    end. Chains without a pair in a range have no part in its loss; a batch without any gives 0.

    Args:
        logits: ``(B, L, L)``; only pairs i < j are read.
        batch: The chains, whole or cropped.
        ranges: R ranges of sequence separations.
        positive_weight: Factor on the terms of contacts.

    Returns:
        R scalars with a graph.
    """
    known, separation = batch.known().triu(diagonal=1), batch.separation()
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32)).masked_fill(~known, 0.0)
    contact = batch.contact().to(wide.dtype)
    terms = binary_cross_entropy_with_logits(wide, contact, reduction="none")
    # no tensor is made of the factor: the device would have to wait for it
    terms = terms * (1 + (positive_weight - 1) * contact)
    losses = []
    for span in ranges:
        pairs = known & span.contains(separation)
        count = pairs.sum(dim=(1, 2))
        means = terms.masked_fill(~pairs, 0.0).sum(dim=(1, 2)) / count.clamp(min=1)
        losses.append(means.sum() / (count > 0).sum().clamp(min=1))
    return losses


def gradient_by_range(
    model: ContactModel,
    batch: ContactBatch,
    ranges: Sequence[SeparationRange] = RANGES,
    positive_weight: float = 1.0,
) -> dict[str, tuple[Tensor, ...]]:
    """The gradient of each range's loss, by one forward pass and one backward pass for each range.

    Args:
        model: Run in eval mode and left as it was.
        batch: The chains.
        ranges: R ranges of sequence separations.
        positive_weight: Factor on the terms of contacts.

    Returns:
        Name of a range -> P gradients in the order of `trained`; 0 where a loss does not depend on
        a parameter.
    """
    with untouched(model):
        found = _gradients(model, batch, ranges, positive_weight)
        return {span.name: gradient for span, gradient in zip(ranges, found, strict=True)}


def range_norms(
    model: ContactModel,
    batch: ContactBatch,
    ranges: Sequence[SeparationRange] = RANGES,
    positive_weight: float = 1.0,
) -> Tensor:
    """``(R, P)`` float64: norms of what `gradient_by_range` gives, one range in memory at a time.

    Args:
        model: Run in eval mode and left as it was.
        batch: The chains.
        ranges: R ranges of sequence separations.
        positive_weight: Factor on the terms of contacts.
    """
    with untouched(model):
        found = _gradients(model, batch, ranges, positive_weight)
        return torch.stack([norms(gradient) for gradient in found])


def _gradients(
    model: ContactModel,
    batch: ContactBatch,
    ranges: Sequence[SeparationRange],
    positive_weight: float,
) -> Iterator[tuple[Tensor, ...]]:
    weights = trained(model).tensors
    if not weights:
        raise InputError("all weights are frozen, so there is no gradient of any to measure")
    losses = range_losses(model(batch), batch, ranges, positive_weight)
    for place, loss in enumerate(losses, start=1):
        more = place < len(losses)
        yield torch.autograd.grad(loss, weights, retain_graph=more, materialize_grads=True)


class RangeGradient(StepProbe):
    """Size and depth of the gradient of each range of sequence separations.

    Logs ``range/<name>/norm`` of all parameters, ``range/<name>/first`` of the first block,
    ``range/<name>/slope_log10``, the decades of the rms per block from the first block to the last,
    and the curve ``range/<name>/depth``, the rms of each block. The slope is left out where fewer
    than two blocks have a gradient. Looks at the batch of this rank, with the weights after the
    update, without dropout and autocast.

    Args:
        ranges: Ranges of sequence separations.
        positive_weight: Factor on the loss of contacts, as in training.

    Raises:
        ValueError: If there are no ranges or `positive_weight` is not positive.
    """

    runs_model = True

    def __init__(
        self, ranges: Sequence[SeparationRange] = RANGES, positive_weight: float = 1.0
    ) -> None:
        if not ranges or not positive_weight > 0:
            raise ValueError(
                "ranges must not be empty and positive_weight must be positive, "
                f"not {ranges} and {positive_weight}"
            )
        self.ranges = tuple(ranges)
        self.positive_weight = positive_weight

    def after_update(self, step: Step) -> list[Pending]:
        """One forward pass, and one backward pass for each range."""
        model, batch = subject(step, self)
        weights = trained(model)
        table = range_norms(model, batch, self.ranges, self.positive_weight)

        def read(rows: Tensor) -> Findings:
            scalars: dict[str, float] = {}
            curves: dict[str, list[float]] = {}
            for span, row in zip(self.ranges, rows[0].view(len(self.ranges), -1), strict=True):
                # largest elements are not asked for: norms stand in their place
                found = summarize(torch.stack([row, row]), weights.names, weights.sizes)
                blocks = list(found.blocks.values())
                scalars[f"range/{span.name}/norm"] = found.norm
                scalars[f"range/{span.name}/first"] = blocks[0]["norm"]
                if math.isfinite(found.slope):
                    scalars[f"range/{span.name}/slope_log10"] = found.slope
                curves[f"range/{span.name}/depth"] = [block["rms"] for block in blocks]
            return Findings(scalars, curves)

        return [Pending(table, read)]
