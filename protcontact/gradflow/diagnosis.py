"""Where along the chain does precision end, and does the gradient end there, too?

On real chains, beside each other and by the separation |i - j| of pairs:

    P@L by bin            what the model finds, between chance and the best possible
    gradient by bin       what the loss of these pairs sends to the first block, and what the
                          encoder does to it on its way from its outputs to its inputs
    dependence            how much the encoder's output at i depends on the input at j

and what each layer of the encoder does (`diagnosis_layers`). The loss of a pair reaches the letters
of i and j themselves without a step along the chain; what must come along the chain is what i and j
have to know of each other, and of the rest, before the head compares them. So the last two may part
company: the gradient arrives, and says nothing of residues far away.

Each chain is compared with itself: gradients and dependence are relative to its nearest bin, or to
distance 0, before means are taken (`diagnosis_bins`).
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.gradflow.diagnosis_bins import BinReadings, random_signs
from protcontact.gradflow.diagnosis_checks import checks
from protcontact.gradflow.diagnosis_layers import DEPENDENCE, LayerReadings, joined
from protcontact.gradflow.diagnosis_text import conclusion, panels
from protcontact.gradflow.experiment import Reading, Result, curve
from protcontact.gradflow.jacobian_map import nearest_first
from protcontact.gradflow.trained import one_by_one, refuse_broken
from protcontact.metrics.ranges import SHORT
from protcontact.metrics.separation_bins import doubling_bins
from protcontact.models.contract import ContactModel


def measure_diagnosis(
    model: ContactModel,
    chains: Iterable[ContactBatch],
    null: Callable[[Tensor], Tensor] = nearest_first,
    min_separation: int = SHORT.low,
    positive_weight: float = 1.0,
    seed: int = 0,
    advance: Callable[[int, str], None] = lambda items, note: None,
) -> Result:
    """Look for what precision and gradient lose with separation, and in which layer.

    Args:
        model: A trained model with any encoder and head, on the CPU; left as it was.
        chains: Whole chains; those without a known pair at a separation of 6 or more are left out.
        null: Scores from places, such as `SeparationPrior.scores` of the training chains.
        min_separation: Smallest ``|i - j|`` in the loss that costates come from, as in training.
        positive_weight: Factor on the loss of contacts, as in training.
        seed: Of the random signs behind the dependence.
        advance: Told after each chain: 1 and its id.

    Returns:
        Readings by separation, distance, time or rank; panels; two sentences.

    Raises:
        InputError: If a weight or a logit is not a number, all weights are frozen, the encoder has
            no input vectors, or no chain can be used.
    """
    refuse_broken(model)
    given = one_by_one(chains)
    batches = [batch for batch in given if _has_pairs(batch)]
    advance(len(given) - len(batches), "")
    if not batches:
        raise InputError(
            f"none of the {len(given)} chains has a known pair at a separation of {SHORT.low} or "
            "more; give longer chains, with coordinates"
        )
    bins = doubling_bins(max(batch.tokens.shape[1] for batch in batches))
    generator = torch.Generator().manual_seed(seed)
    by_bin, layers = BinReadings(bins), LayerReadings(model, min_separation, positive_weight)
    dependence = []
    for batch in batches:
        signs = random_signs(model.encoder, generator)
        found = by_bin.add(model, batch, null, positive_weight, signs)
        dependence.append((found / found[0]).log10())
        layers.add(batch)
        advance(1, batch.ids[0])
    readings = [Reading("length", b.ids[0], k, b.tokens.shape[1]) for k, b in enumerate(batches)]
    readings += by_bin.readings()
    readings += curve(DEPENDENCE, "encoder", joined(dependence).tolist())
    readings += layers.readings()
    shortest = min(batches, key=lambda batch: batch.tokens.shape[1])
    verified = checks(model, shortest, min_separation, positive_weight)
    return Result(readings, verified, panels(readings), conclusion(readings, bins))


def _has_pairs(batch: ContactBatch) -> bool:
    return bool((batch.known() & (batch.separation() >= SHORT.low)).any())
