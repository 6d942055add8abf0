"""What gradient does the loss of pairs at each separation send, and how far down does it come?

For each bin of separations the contact loss of its pairs alone, a mean, and its gradient: at the
output of the encoder, at its input, and in each block of weights. A bin's loss is small where
contacts are rare, and so is its gradient; so what the encoder does to it is the ratio

    gain = |d loss / d x| / |d loss / d y|,    x the input vectors and y the outputs of the encoder

With n_b pairs in bin b, the gradients g_b make up that of the whole loss: ``n g = sum_b n_b g_b``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.layers import norms, places_of_blocks
from protcontact.gradflow.ranges import range_losses, trained
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.ranges import SeparationRange
from protcontact.models.contract import ContactModel


class BinGradients(NamedTuple):
    """Of one chain and R bins. A bin without known pairs has a gradient of 0.

    Attributes:
        pairs: ``(R,)``, known pairs of each bin.
        at_input: ``(R,)`` float64, norm of the gradient at the input vectors of the encoder.
        at_output: ``(R,)`` float64, at its outputs.
        blocks: Name -> ``(R,)`` float64, of its weights, from the input to the output.
    """

    pairs: Tensor
    at_input: Tensor
    at_output: Tensor
    blocks: dict[str, Tensor]


def bin_gradients(
    model: ContactModel,
    batch: ContactBatch,
    bins: Sequence[SeparationRange],
    positive_weight: float = 1.0,
) -> BinGradients:
    """One forward pass, and a backward pass for each bin.

    Args:
        model: Run in eval mode and left as it was.
        batch: One chain.
        bins: R of them.
        positive_weight: Factor on the loss of contacts.

    Returns:
        Norms.

    Raises:
        InputError: If the output of the encoder depends on no input vectors, or no weight is
            trained.
    """
    weights = trained(model)
    if not weights.tensors:
        raise InputError("all weights are frozen, so there is no gradient of any to measure")
    rows = []
    B, L = batch.tokens.shape
    with untouched(model), input_of(model.encoder, (B, L)) as found:
        y = model.encoder(batch.tokens, batch.mask, batch.index)
        if not found or not y.requires_grad:
            raise InputError(
                f"no submodule of {type(model.encoder).__name__} returns vectors (B, L, channels) "
                "that the output depends on, so there is no gradient to follow"
            )
        logits = model.head(y, batch.mask, batch.index)
        for loss in range_losses(logits, batch, bins, positive_weight):
            asked = (found[0], y, *weights.tensors)
            gradients = torch.autograd.grad(loss, asked, retain_graph=True, materialize_grads=True)
            rows.append(norms(gradients))
    table = torch.stack(rows)
    known, separation = batch.known().triu(diagonal=1), batch.separation()
    pairs = torch.stack([(known & span.contains(separation)).sum() for span in bins])
    blocks = {
        block: table[:, [2 + place for place in places]].norm(dim=1)
        for block, places in places_of_blocks(weights.names).items()
    }
    return BinGradients(pairs, table[:, 0], table[:, 1], blocks)
