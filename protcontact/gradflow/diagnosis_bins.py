"""What is found, what gradient is sent and what is depended on, by the separation of pairs?

For each bin of separations and each chain; means over chains. What is compared between bins is
compared within chains, and over the same ones: those that have a contact in the bin and in the
nearest one, as far bins are those of long chains alone.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.gradflow.distance import dependence, rms_by_distance, spread_evenly
from protcontact.gradflow.experiment import Reading, curve
from protcontact.gradflow.separation_gradient import bin_gradients
from protcontact.gradflow.trained import logits_of
from protcontact.metrics.precision import score_chain
from protcontact.metrics.ranges import SeparationRange
from protcontact.metrics.separation_bins import chance
from protcontact.models.contract import ContactModel, Encoder

SOURCES = 8  # residues of each chain whose dependence on others is asked
PRECISION, LOGITS, NULL, CHANCE, CEILING = "P@L", "logits", "separation null", "chance", "ceiling"
CHAINS = "chains"
SCORED, COMPARED = "with a contact in the bin", "with one in the nearest bin, too"
GRADIENT, GAIN, GAIN_OF = "log10_gradient", "log10_gain", "gain of the encoder"
SKILL, FIRST_BLOCK = "log10_relative_skill", "log10_first_block"
RELATIVE_GAIN, RELATIVE_DEPENDENCE = "log10_relative_gain", "log10_relative_dependence"


def random_signs(encoder: Encoder, generator: torch.Generator) -> Tensor:
    """``(SOURCES, C)``, for `dependence_by_distance`."""
    return torch.randint(0, 2, (SOURCES, encoder.out_channels), generator=generator) * 2 - 1


def dependence_by_distance(encoder: Encoder, batch: ContactBatch, signs: Tensor) -> Tensor:
    """Root mean square of ``|d y_i / d x_j|_F`` by distance.

    Args:
        encoder: Run in eval mode and left as it was.
        batch: One chain, without padding.
        signs: ``(S, C)``, cotangents of S residues i, which are spread evenly over the chain.

    Returns:
        ``(L,)`` float64, for ``|i - j| = 0 ... L-1``.
    """
    tokens, index = batch.tokens[0], batch.index[0]
    sources = spread_evenly(batch.mask.sum(), len(signs))
    norms = dependence(encoder, tokens, index, sources, signs)
    return rms_by_distance(norms, batch.mask[0], index, sources)


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
        signs: Tensor,
    ) -> Tensor:
        """Measure one chain; NaN in bins where it has nothing.

        Args:
            model: Run in eval mode and left as it was.
            batch: The chain, without padding.
            null: Scores from places.
            positive_weight: Factor on the loss of contacts.
            signs: As for `dependence_by_distance`.

        Returns:
            ``(L,)``, what that has found. Refuses what `bin_gradients` and `logits_of` refuse.
        """
        logits, contact, known = logits_of(model, batch), batch.contact()[0], batch.known()[0]
        for name, scores in ((LOGITS, logits), (NULL, null(batch.index)[0])):
            found = [*score_chain(scores, contact, known, ranges=self.bins).values()]
            self._keep(PRECISION, name, [score.precision_l for score in found])
        self._keep(PRECISION, CHANCE, [chance(score) for score in found])
        self._keep(PRECISION, CEILING, [score.ceiling_l for score in found])
        gradients = bin_gradients(model, batch, self.bins, positive_weight)
        gain = gradients.at_input / gradients.at_output
        for block, norms in gradients.blocks.items():
            self._keep(GRADIENT, block, _logs(norms, gradients.pairs > 0))
        self._keep(GAIN, GAIN_OF, _logs(gain, gradients.pairs > 0))
        scored = torch.tensor([score.defined for score in found])
        near = scored & scored[0]
        first, *_ = gradients.blocks
        self._keep(FIRST_BLOCK, first, _logs(_relative(gradients.blocks[first]), near))
        self._keep(RELATIVE_GAIN, GAIN_OF, _logs(_relative(gain), near))
        depends = dependence_by_distance(model.encoder, batch, signs)
        squares = [depends[span.low : 2 * span.low].square().mean() for span in self.bins]
        far = torch.stack(squares).sqrt()
        self._keep(RELATIVE_DEPENDENCE, "encoder", _logs(_relative(far), near))
        return depends

    def readings(self) -> list[Reading]:
        """Means over chains by the lower end of the bin, and how many chains they are of."""
        lows = [float(span.low) for span in self.bins]
        found = []
        for (probe, where), rows in self._rows.items():
            table = torch.tensor(rows, dtype=torch.float64)
            found += curve(probe, where, table.nanmean(dim=0).tolist(), lows)
        skills = (self._rows[PRECISION, name] for name in (LOGITS, CHANCE))
        a, b = (torch.tensor(rows, dtype=torch.float64) for rows in skills)
        scored = ~(a - b).isnan()
        near = scored & scored[:, :1]
        found += curve(CHAINS, SCORED, scored.sum(dim=0).tolist(), lows)
        found += curve(CHAINS, COMPARED, near.sum(dim=0).tolist(), lows)
        return found + curve(SKILL, LOGITS, same_chains(a - b).tolist(), lows)

    def _keep(self, probe: str, where: str, row: list[float]) -> None:
        self._rows.setdefault((probe, where), []).append(row)


def same_chains(above: Tensor) -> Tensor:
    """``(N, R) -> (R,)``: P@L above chance over that of the nearest bin, both of the same chains.

    That is, of those that have contacts in both. log10; -inf where nothing of it is left, and NaN
    where the nearest bin is not above chance.
    """
    both = ~(above.isnan() | above[:, :1].isnan())
    far, near = (torch.where(both, t, 0.0).sum(dim=0) for t in (above, above[:, :1]))
    return torch.where(near > 0, (far.clamp(min=0) / near).log10(), math.nan)


def _logs(values: Tensor, there: Tensor) -> list[float]:
    return torch.where(there, values.log10(), math.nan).tolist()


def _relative(values: Tensor) -> Tensor:
    return values / values[0]
