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
distance 0, before means are taken, as far bins are those of long chains alone.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.gradflow.diagnosis_checks import checks
from protcontact.gradflow.diagnosis_layers import DEPENDENCE, LayerReadings, joined
from protcontact.gradflow.diagnosis_text import GAIN, SKILL, conclusion, panels
from protcontact.gradflow.distance import distance_curve, spread_evenly
from protcontact.gradflow.experiment import Reading, Result, curve
from protcontact.gradflow.jacobian_map import nearest_first
from protcontact.gradflow.separation_gradient import bin_gradients
from protcontact.gradflow.trained import one_by_one, refuse_broken
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.ranges import SHORT, SeparationRange
from protcontact.metrics.separation_bins import chance, doubling_bins, score_bins
from protcontact.models.contract import ContactModel

SOURCES = 8  # residues of each chain whose dependence on others is asked
LOGITS, NULL, CHANCE, CEILING = "logits", "separation null", "chance", "ceiling"


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
        InputError: If a weight is not finite, or no chain can be used.
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
        found = _dependence(model, batch, generator)
        dependence.append((found / found[0]).log10())
        by_bin.add(model, batch, null, positive_weight, found)
        layers.add(batch)
        advance(1, batch.ids[0])
    readings = [Reading("length", b.ids[0], k, b.tokens.shape[1]) for k, b in enumerate(batches)]
    readings += by_bin.readings()
    readings += curve(DEPENDENCE, "encoder", joined(dependence).tolist())
    readings += layers.readings()
    shortest = min(batches, key=lambda batch: batch.tokens.shape[1])
    return Result(readings, checks(model, shortest), panels(readings), conclusion(readings, bins))


def _has_pairs(batch: ContactBatch) -> bool:
    return bool((batch.known() & (batch.separation() >= SHORT.low)).any())


def _dependence(model: ContactModel, batch: ContactBatch, generator: torch.Generator) -> Tensor:
    """``(L,)``: root mean square of ``|d y_i / d x_j|_F`` by distance."""
    sources = spread_evenly(batch.mask.sum(), SOURCES)
    return distance_curve(model.encoder, batch.tokens[0], batch.index[0], sources, generator)


class BinReadings:
    """Precision and gradients by bin of separations, chain after chain.

    Args:
        bins: From near to far.
    """

    def __init__(self, bins: Sequence[SeparationRange]) -> None:
        self.bins = bins
        self._rows: dict[tuple[str, str], list[list[float]]] = {}

    def add(
        self,
        model: ContactModel,
        batch: ContactBatch,
        null: Callable[[Tensor], Tensor],
        positive_weight: float,
        dependence: Tensor,
    ) -> None:
        """Measure one chain; NaN in bins where it has nothing.

        Args:
            model: As for `measure_diagnosis`.
            batch: The chain.
            null: As for `measure_diagnosis`.
            positive_weight: As for `measure_diagnosis`.
            dependence: ``(L,)``, by distance.
        """
        with untouched(model), torch.no_grad():
            logits = model(batch)[0]
        contact, known = batch.contact()[0], batch.known()[0]
        for name, scores in ((LOGITS, logits), (NULL, null(batch.index)[0])):
            found = [*score_bins(scores, contact, known, self.bins).values()]
            self._keep("P@L", name, [score.precision_l for score in found])
        self._keep("P@L", CHANCE, [chance(score) for score in found])
        self._keep("P@L", CEILING, [score.ceiling_l for score in found])
        gradients = bin_gradients(model, batch, self.bins, positive_weight)
        there = gradients.pairs > 0
        first, *_ = gradients.blocks
        for block, norms in gradients.blocks.items():
            self._keep("log10_gradient", block, _logs(norms, there))
        self._keep("log10_first_block", first, _relative(gradients.blocks[first], there))
        gain = gradients.at_input / gradients.at_output
        self._keep("log10_gain", GAIN, _logs(gain, there))
        self._keep("log10_relative_gain", GAIN, _relative(gain, there))
        depends = [dependence[span.low : 2 * span.low].square().mean().sqrt() for span in self.bins]
        self._keep("log10_relative_dependence", "encoder", _relative(torch.stack(depends), there))

    def readings(self) -> list[Reading]:
        """Means over chains by the lower end of the bin, and how many have contacts there."""
        lows = [float(span.low) for span in self.bins]
        found = []
        for (probe, where), rows in self._rows.items():
            table = torch.tensor(rows, dtype=torch.float64)
            found += curve(probe, where, table.nanmean(dim=0).tolist(), lows)
        above = torch.tensor(self._rows["P@L", LOGITS]) - torch.tensor(self._rows["P@L", CHANCE])
        counts = (~above.isnan()).sum(dim=0)
        found += curve("chains", "with a contact in the bin", counts.tolist(), lows)
        return found + curve(SKILL, LOGITS, _same_chains(above).tolist(), lows)

    def _keep(self, probe: str, where: str, row: list[float]) -> None:
        self._rows.setdefault((probe, where), []).append(row)


def _same_chains(above: Tensor) -> Tensor:
    """``(N, R) -> (R,)``: P@L above chance over that of the nearest bin, both of the same chains.

    That is, of those that have contacts in both. log10; NaN where one is not above chance.
    """
    both = ~(above.isnan() | above[:, :1].isnan())
    far, near = (torch.where(both, t, 0.0).sum(dim=0) for t in (above, above[:, :1]))
    return torch.where((far > 0) & (near > 0), (far / near).log10(), math.nan)


def _logs(norms: Tensor, there: Tensor) -> list[float]:
    return torch.where(there, norms.log10(), math.nan).tolist()


def _relative(norms: Tensor, there: Tensor) -> list[float]:
    """log10 of each over the first that is there: that of the nearest pairs of the chain."""
    nearest = norms[int(there.long().argmax())]
    return _logs(norms / nearest, there)
