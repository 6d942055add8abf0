"""Are the numbers of a diagnosis right for this very model? On one of its chains, in float64.

What is told is measured again, by the functions that tell it, and compared with torch's gradients:
of losses that are put together in another way, of residues one by one, of unrolled recurrences.
"""

import copy
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from protcontact.batch import ContactBatch
from protcontact.gradflow.diagnosis_bins import (
    GAIN,
    GAIN_OF,
    GRADIENT,
    BinReadings,
    dependence_by_distance,
    random_signs,
)
from protcontact.gradflow.diagnosis_layers import COSTATE, LayerReadings
from protcontact.gradflow.distance import spread_evenly
from protcontact.gradflow.experiment import (
    Check,
    apart,
    largest,
    lines,
    ratio_error,
    relative_error,
)
from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.jacobian import encoder_outputs, pull_back
from protcontact.gradflow.jacobian_map import nearest_first
from protcontact.gradflow.layers import places_of_blocks
from protcontact.gradflow.linear import log_norms, scaled
from protcontact.gradflow.lyapunov import exponents, first_directions
from protcontact.gradflow.ode import amplification
from protcontact.gradflow.ranges import trained
from protcontact.gradflow.recurrence import last_step
from protcontact.gradflow.spectrum import (
    Call,
    block_jacobian,
    calls_of,
    of_one,
    refusal,
    sequence_of,
)
from protcontact.gradflow.systems import follow, recurrent
from protcontact.gradflow.taps import first_tensor
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.loss import chain_losses, masked_contact_loss
from protcontact.metrics.ranges import SHORT, SeparationRange
from protcontact.metrics.separation_bins import doubling_bins
from protcontact.models.contract import ContactModel

COSTATES = "costates of each recurrence = backpropagation through its single steps"
EXPONENTS = "T mu_1 = log |D_T ... D_1 e_1|, the largest Lyapunov exponent of each recurrence"
BLOCKS = "Jacobian of each block = its finite differences"
BOUNDS = {COSTATES: 1e-11, EXPONENTS: 1e-12, BLOCKS: 1e-8}
STEP = 1e-6  # of central differences: few ReLUs are switched by it
LYAPUNOV_STEPS = 12
DEEPEST = -290.0  # log10 of what float64 tells without losing digits


def checks(
    model: ContactModel,
    batch: ContactBatch,
    min_separation: int = SHORT.low,
    positive_weight: float = 1.0,
) -> list[Check]:
    """All that apply.

    Args:
        model: Of any precision; left as it was.
        batch: One chain of more than `SHORT.low` residues.
        min_separation: Smallest ``|i - j|`` in the loss that costates come from.
        positive_weight: Factor on the loss of contacts.

    Returns:
        Two of any model; two for recurrences and one for residual blocks.
    """
    wide = copy.deepcopy(model).double()
    bins = doubling_bins(batch.tokens.shape[1])
    return [
        gradients_of_bins(wide, batch, bins, positive_weight),
        dependence_of_residues(wide, batch),
        *layers_of(LayerReadings(wide, min_separation, positive_weight), batch),
    ]


def gradients_of_bins(
    model: ContactModel,
    batch: ContactBatch,
    bins: Sequence[SeparationRange],
    positive_weight: float,
) -> Check:
    """What is told of bins, against the loss of training of all pairs less that of farther ones."""
    told, found = BinReadings(bins), {}
    signs = random_signs(model.encoder, torch.Generator().manual_seed(0))
    told.add(model, batch, nearest_first, positive_weight, signs)
    for r in told.readings():
        value = -math.inf if math.isnan(r.value) else r.value  # of a bin without pairs
        found[r.probe, r.where, r.index] = torch.tensor(value, dtype=torch.float64)
    gaps = [
        ratio_error(found[probe, where, span.low], norm.log10())
        for span in bins
        for (probe, where), norm in _gradients(model, batch, span, positive_weight).items()
    ]
    return Check("gradients of each bin = those of the loss of its pairs", largest(gaps), 1e-11)


def _gradients(
    model: ContactModel, batch: ContactBatch, span: SeparationRange, positive_weight: float
) -> dict[tuple[str, str], Tensor]:
    """Probe and place -> the number whose log10 is told; 0 for NaN, of a bin without pairs."""
    weights, shape = trained(model), (1, batch.tokens.shape[1])
    with untouched(model), input_of(model.encoder, shape) as added:
        y = model.encoder(batch.tokens, batch.mask, batch.index)
        logits = model.head(y, batch.mask, batch.index)
        near, far = (
            chain_losses(logits, batch, min_separation=low, positive_weight=positive_weight)
            for low in (span.low, 2 * span.low)
        )
        loss = (near.total - far.total).sum() / (near.pairs - far.pairs).clamp(min=1)
        asked = [added[0], y, *weights.tensors]
        at_input, at_output, *rest = torch.autograd.grad(loss, asked, materialize_grads=True)
    found = {(GAIN, GAIN_OF): (at_input.norm() / at_output.norm()).nan_to_num(0.0)}
    for block, places in places_of_blocks(weights.names).items():
        flat = torch.cat([rest[place].flatten() for place in places])
        found[GRADIENT, block] = flat.norm()
    return found


def dependence_of_residues(model: ContactModel, batch: ContactBatch) -> Check:
    """What is told by distance, against one residue after the other."""
    encoder, tokens, index = model.encoder, batch.tokens[0], batch.index[0]
    signs = random_signs(encoder, torch.Generator().manual_seed(0))
    found = dependence_by_distance(encoder, batch, signs)
    sources = spread_evenly(batch.mask.sum(), len(signs))
    sent = found.new_zeros(len(signs), len(tokens), encoder.out_channels)
    sent[range(len(signs)), sources] = signs.to(sent)
    norms = pull_back(encoder_outputs(encoder, index), tokens, sent).norm(dim=2)
    away = (index - index[sources][:, None]).abs()
    true = torch.stack([norms[away == d].square().mean().sqrt() for d in range(len(tokens))])
    claim = "dependence of y_i on x_j by distance = that of each y_i alone"
    return Check(claim, relative_error(found, true), 1e-11)


def layers_of(layers: LayerReadings, batch: ContactBatch) -> list[Check]:
    """Costates and exponents of each recurrence of one layer and direction; Jacobians of blocks.

    Args:
        layers: Of a model in float64, new.
        batch: One chain.
    """
    layers.add(batch)
    told = {
        line.label: torch.tensor(line.y, dtype=torch.float64)
        for line in lines(layers.readings(), COSTATE)
    }
    model, modules = layers.model, {**layers.recurrences, **layers.blocks}
    gaps: dict[str, list[float]] = {}
    with (
        untouched(model),
        input_of(model.encoder, (1, batch.tokens.shape[1])) as added,
        calls_of(modules) as calls,
    ):
        loss = masked_contact_loss(
            model(batch),
            batch,
            min_separation=layers.min_separation,
            positive_weight=layers.positive_weight,
        )
        for name, call in calls.items():
            module = modules[name]
            if not isinstance(module, nn.RNNBase):
                gaps.setdefault(BLOCKS, []).append(block_error(module, call))
            elif not refusal(module, call):
                asked = [added[0], *_tensors(call.returned)]
                _, *sent = torch.autograd.grad(
                    loss, asked, retain_graph=True, materialize_grads=True
                )
                gaps.setdefault(COSTATES, []).append(costate_error(module, call, sent, told[name]))
                gaps.setdefault(EXPONENTS, []).append(exponent_error(module, call))
    return [Check(claim, largest(found), BOUNDS[claim]) for claim, found in gaps.items()]


def _tensors(returned: Any) -> list[Tensor]:
    """``output, h_n`` and, of an LSTM, ``c_n``."""
    output, last = returned
    return [output, last] if isinstance(last, Tensor) else [output, *last]


def costate_error(module: nn.RNNBase, call: Call, sent: Sequence[Tensor], told: Tensor) -> float:
    """The costates that are told against backpropagation through single steps.

    Args:
        module: Of one layer and direction.
        call: Its call.
        sent: Gradients of what it returned.
        told: ``(T',)``, log10 relative to the first.
    """
    x, start = sequence_of(module, call)
    output, *ends = sent
    direct = pad(of_one(module, output), (0, len(start) - module.hidden_size))
    direct[-1] += torch.cat([end.flatten() for end in ends])
    last = int(last_step(direct[None]))
    if last < 0:  # nothing was sent
        return 0.0 if told.isnan().all() else math.nan
    states = _unrolled(module, x[: last + 1], start.requires_grad_())
    judged = (torch.cat(states[-1]) * direct[last]).sum()
    parts = torch.autograd.grad(judged, [part for state in states for part in state])
    units, sizes = scaled(torch.stack(parts).view(last + 1, -1))
    logs = log_norms(units, sizes.log10()).flip(0)
    known = logs > DEEPEST
    return ratio_error(told[: last + 1][known], (logs - logs[0])[known])


def _unrolled(module: nn.RNNBase, x: Tensor, start: Tensor) -> Sequence[tuple[Tensor, ...]]:
    """The states after each step: (h,), or (h, c) with h made of c."""
    if not isinstance(module, nn.LSTM):
        steps = accumulate(recurrent(module, x), lambda state, step: step(state), initial=start)
        return [(state,) for state in steps][1:]
    ih, hh, *biases = module.all_weights[0]
    h, c = start.chunk(2)
    states = []
    for now in x:
        i, f, g, o = (ih @ now + hh @ h + sum(biases)).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append((h, c))
    return states


@torch.no_grad()
def exponent_error(module: nn.RNNBase, call: Call) -> float:
    """``T mu_1`` of the first T steps against ``log |D_T ... D_1 e_1|``, by dense matrices."""
    x, start = sequence_of(module, call)
    maps = recurrent(module, x[:LYAPUNOV_STEPS])
    states = follow(maps, start)
    told = exponents(maps, states, count=1) * len(maps) / math.log(10)
    v = first_directions(states)[0]
    for step, state in zip(maps, states[:-1], strict=True):
        v = amplification(step, state) @ v
    return ratio_error(told[0], v.norm().log10())


@torch.no_grad()
def block_error(block: nn.Module, call: Call) -> float:
    """The Jacobian of the middle residue, along a random direction."""
    x = call.args[0].detach()
    middle = x.shape[1] // 2
    generator = torch.Generator().manual_seed(0)
    way = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    ends = []
    for moved in (x + STEP * way, x - STEP * way):
        output = first_tensor(block(moved, *call.args[1:], **call.kwargs))
        assert output is not None
        ends.append(output[0, middle])
    found = torch.einsum("clk,lk->c", block_jacobian(block, call, middle), way[0])
    return apart(found, (ends[0] - ends[1]) / (2 * STEP))
