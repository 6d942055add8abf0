"""Are the numbers of a diagnosis right for this very model? On one of its chains, in float64."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from protcontact.batch import ContactBatch
from protcontact.gradflow.experiment import Check
from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.lyapunov import exponents, mean_log_det
from protcontact.gradflow.ranges import gradient_by_range, trained
from protcontact.gradflow.recurrence import adjoint_scan, run_layer
from protcontact.gradflow.spectrum import (
    Call,
    block_jacobian,
    calls_of,
    recurrences,
    residual_blocks,
)
from protcontact.gradflow.systems import follow, recurrent
from protcontact.gradflow.taps import first_tensor
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.loss import masked_contact_loss
from protcontact.metrics.precision import score_batch
from protcontact.metrics.ranges import MEDIUM, SHORT, SeparationRange
from protcontact.metrics.separation_bins import doubling_bins, score_bins
from protcontact.models.contract import ContactModel

STEP = 1e-7  # of central differences: few ReLUs are switched by it
LYAPUNOV_STEPS = 12


def checks(model: ContactModel, batch: ContactBatch) -> list[Check]:
    """All that apply.

    Args:
        model: Of any precision; left as it was.
        batch: One chain of more than `SHORT.low` residues.

    Returns:
        Two of any model; for recurrences, LSTMs and residual blocks one more each.
    """
    wide = copy.deepcopy(model).double()
    found = [sum_of_bins(wide, batch, doubling_bins(batch.tokens.shape[1]))]
    found.append(near_bins(wide, batch))
    modules = {**recurrences(wide.encoder), **residual_blocks(wide.encoder)}
    L = batch.tokens.shape[1]
    with (
        untouched(wide),
        input_of(wide.encoder, (1, L)) as added,  # from there on all has a gradient
        calls_of(modules) as calls,
    ):
        loss = masked_contact_loss(wide(batch), batch, min_separation=SHORT.low)
        asked = [added[0], *(call.output for call in calls.values())]
        _, *sent = torch.autograd.grad(loss, asked, retain_graph=True, materialize_grads=True)
        layers = zip(calls.items(), sent, strict=True)
        found += _checks_of_layers({n: (modules[n], call, s) for (n, call), s in layers})
    return found


def _checks_of_layers(layers: Mapping[str, tuple[nn.Module, Call, Tensor]]) -> list[Check]:
    found = []
    scans = [
        scan_error(module, call, sent)
        for module, call, sent in layers.values()
        if isinstance(module, nn.LSTM)
    ]
    steps = [  # a unit that a ReLU switches off makes a determinant of 0
        lyapunov_error(module, call)
        for module, call, _ in layers.values()
        if isinstance(module, nn.RNNBase) and module.mode != "RNN_RELU"
    ]
    blocks = [
        block_error(m, call) for m, call, _ in layers.values() if not isinstance(m, nn.RNNBase)
    ]
    if scans:
        found.append(Check("costates of each LSTM by scan = by backpropagation", max(scans), 1e-11))
    if steps:
        claim = "sum of all Lyapunov exponents = mean log |det D_t|, each recurrence"
        found.append(Check(claim, max(steps), 1e-9))
    if blocks:
        found.append(Check("Jacobian of each block = its finite differences", max(blocks), 1e-6))
    return found


def sum_of_bins(model: ContactModel, batch: ContactBatch, bins: Sequence[SeparationRange]) -> Check:
    """``n g = sum_b n_b g_b`` for all weights together."""
    known, separation = batch.known().triu(diagonal=1), batch.separation()
    counts = [int((known & span.contains(separation)).sum()) for span in bins]
    parts = gradient_by_range(model, batch, bins).values()
    with untouched(model):
        loss = masked_contact_loss(model(batch), batch, min_separation=SHORT.low)
        whole = torch.autograd.grad(loss, trained(model).tensors, materialize_grads=True)
    joined = [count * _flat(part) for count, part in zip(counts, parts, strict=True)]
    error = _apart(torch.stack(joined).sum(dim=0), sum(counts) * _flat(whole))
    return Check("gradients of the bins add up to that of the whole loss", error, 1e-12)


def near_bins(model: ContactModel, batch: ContactBatch) -> Check:
    """P@L of the first two bins is what every table of this package calls short and medium."""
    with untouched(model), torch.no_grad():
        logits = model(batch)
    spans = [SHORT, MEDIUM]
    bins = score_bins(logits[0], batch.contact()[0], batch.known()[0], spans)
    ranges = score_batch(logits, batch)[0].ranges
    found, true = (
        torch.tensor([scores[span.name].precision_l for span in spans]).nan_to_num(-1.0)
        for scores in (bins, ranges)
    )
    error = float((found - true).abs().max())
    return Check("P@L of 6-11 and 12-23 = that of short and medium range", error, 0.0)


def scan_error(module: nn.LSTM, call: Call, sent: Tensor) -> float:
    """The scan of `recurrence` against torch's gradients.

    Its costates of h, against backpropagation through single steps of the module, and what it
    sends to the module's inputs, against that through the fused module.
    """
    x, direct = (t if module.batch_first else t.transpose(0, 1) for t in (call.args[0], sent))
    x, H = x.detach(), module.hidden_size
    zero = x.new_zeros(len(x), H)
    layer = run_layer(x, zero, zero, [w.detach() for w in module.all_weights[0]])
    found = adjoint_scan(layer, torch.cat([direct, torch.zeros_like(direct)], dim=2))
    leaf = x.clone().requires_grad_()
    output = module(leaf if module.batch_first else leaf.transpose(0, 1))[0]
    [at_input] = torch.autograd.grad(output, leaf, sent)
    maps = recurrent(module, x[0])
    states = [torch.cat([zero, zero], dim=1)[0].requires_grad_()]
    for step in maps:
        states.append(step(states[-1]))
    total = sum((state[:H] * part).sum() for state, part in zip(states[1:], direct[0], strict=True))
    assert isinstance(total, Tensor)
    truth = torch.stack(torch.autograd.grad(total, states[1:]))[:, :H]
    return max(_apart(found.a @ layer.weight_ih, at_input), _apart(found.h[0], truth))


@torch.no_grad()
def lyapunov_error(module: nn.RNNBase, call: Call) -> float:
    """Exponents by QR along the first steps, against determinants."""
    x = call.args[0][0] if module.batch_first else call.args[0][:, 0]
    maps = recurrent(module, x[:LYAPUNOV_STEPS].detach())
    states = follow(maps, x.new_zeros(module.hidden_size * (1 + isinstance(module, nn.LSTM))))
    true = mean_log_det(maps, states)
    return abs(float(exponents(maps, states).sum()) - true) / abs(true)


def block_error(block: nn.Module, call: Call) -> float:
    """The Jacobian of the middle residue, along a random direction."""
    x = call.args[0].detach()
    middle = x.shape[1] // 2
    generator = torch.Generator().manual_seed(0)
    way = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    ends = []
    with torch.no_grad():
        for moved in (x + STEP * way, x - STEP * way):
            output = first_tensor(block(moved, *call.args[1:], **call.kwargs))
            assert output is not None
            ends.append(output[0, middle])
    found = torch.einsum("clk,lk->c", block_jacobian(block, call, middle), way[0])
    return _apart(found, (ends[0] - ends[1]) / (2 * STEP))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _apart(found: Tensor, true: Tensor) -> float:
    """``|found - true| / |true|``; 0 if both are 0."""
    return float((found - true).norm() / true.norm().clamp(min=1e-300))
