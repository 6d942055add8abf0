"""Does attention use its short path: does the gradient jump over the chain in one step?

In a Transformer a residue reaches any other in one step, if attention looks there. A head's output
is ``y_i = sum_j A_ij v_j``, so of the costate ``lambda_y`` of its outputs residue i hands
``A_ij lambda_y_i`` to the value of residue j. The share of it that goes far is

    direct_share = sum_{far i,j} A_ij |lambda_y_i| / sum_{i,j} A_ij |lambda_y_i|

with sums over heads and chains as well. Far means long range: at least 24 residues along the chain.
Attention that is the same everywhere has, for each residue, the share of residues that are far.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from protcontact.batch import ContactBatch
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe
from protcontact.gradflow.untouched import subject, untouched
from protcontact.metrics.loss import masked_contact_loss
from protcontact.metrics.ranges import LONG, SeparationRange
from protcontact.models.contract import PairHead
from protcontact.models.encoders.hybrid import RecurrentAttention
from protcontact.models.encoders.transformer import Transformer, TransformerBlock

Attentive = Transformer | RecurrentAttention  # encoders of `TransformerBlock`s that show their maps


def direct_costate(
    encoder: Attentive,
    head: PairHead,
    batch: ContactBatch,
    far: SeparationRange = LONG,
    min_separation: int = 6,
    positive_weight: float = 1.0,
) -> Tensor:
    """Numerator and denominator of the share of each layer.

    Args:
        encoder: Run in eval mode and left as it was, with its maps shown.
        head: Makes logits of its output; run likewise.
        batch: The chains.
        far: Separations along the full sequence that count as far.
        min_separation: Smallest ``|i - j|`` that enters the loss.
        positive_weight: Factor on the loss of contacts.

    Returns:
        ``(2, layers)`` float64: ``sum A_ij |lambda_y_i|`` over far i and j, and over all.
    """
    is_far = far.contains(batch.separation())
    shares: list[Tensor] = []

    def visit(layer: int, maps: Tensor) -> None:
        shares.append(_row_sums(maps.detach(), is_far))

    outputs = [part.out for part in encoder.modules() if isinstance(part, TransformerBlock)]
    with untouched(encoder), untouched(head), _inputs_of(outputs) as y:
        x = encoder(batch.tokens, batch.mask, batch.index, visit)
        loss = masked_contact_loss(
            head(x, batch.mask, batch.index),
            batch,
            min_separation=min_separation,
            positive_weight=positive_weight,
        )
        costates = torch.autograd.grad(loss, y, materialize_grads=True)
    sums = [
        (share * _norms_of_heads(costate, share.shape[2])).sum(dim=(1, 2, 3))
        for share, costate in zip(shares, costates, strict=True)
    ]
    return torch.stack(sums, dim=1)


def _row_sums(maps: Tensor, is_far: Tensor) -> Tensor:
    """``(B, K, L, L), (B, L, L) -> (2, B, K, L)``: of each row of a map what is far, and all."""
    return torch.stack([(maps * is_far[:, None]).sum(dim=-1), maps.sum(dim=-1)])


def _norms_of_heads(costate: Tensor, heads: int) -> Tensor:
    """``(B, L, K * D) -> (B, K, L)`` float64: norm of each head's part."""
    parts = costate.unflatten(-1, (heads, -1))
    return torch.linalg.vector_norm(parts, dim=-1, dtype=torch.float64).transpose(1, 2)


@contextmanager
def _inputs_of(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Note what modules are called with.

    Yields:
        The first input of each call, in the order of the calls, with a gradient to ask for.
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0].requires_grad_())  # also behind weights that are frozen

    handles = [module.register_forward_pre_hook(keep) for module in modules]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class DirectAttention(StepProbe):
    """Share of the costate that each layer's attention hands to residues far away in one step.

    Logs ``attn/<layer>/direct_share``; a layer that no gradient comes to is left out. Applies to
    the `Transformer` and `RecurrentAttention`; for another encoder nothing is logged. Looks at the
    batch of this rank, with the weights after the update, without dropout and autocast.

    Args:
        min_separation: Smallest ``|i - j|`` that enters the loss, as in training.
        positive_weight: Factor on the loss of contacts, as in training.
    """

    runs_model = True

    def __init__(self, min_separation: int = 6, positive_weight: float = 1.0) -> None:
        self.min_separation = min_separation
        self.positive_weight = positive_weight

    def after_update(self, step: Step) -> list[Pending]:
        """One forward pass with shown maps, and one backward pass."""
        found = subject(step, self)
        if not isinstance(found.encoder, Attentive):
            return []
        sums = direct_costate(
            found.encoder,
            found.model.head,
            found.batch,
            min_separation=self.min_separation,
            positive_weight=self.positive_weight,
        )
        return [Pending(sums, _read)]


def _read(rows: Tensor) -> Findings:
    """Divide what goes far by what goes anywhere."""
    far, everywhere = rows[0].view(2, -1).tolist()
    return Findings(
        {
            f"attn/{layer}/direct_share": part / whole
            for layer, (part, whole) in enumerate(zip(far, everywhere, strict=True))
            if 0 < whole < math.inf
        }
    )
