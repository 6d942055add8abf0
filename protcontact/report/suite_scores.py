"""What does one run of a suite score, chain by chain, and how far does its gradient reach?

Whole chains in batches, in float32, with the weights after the last step. One ranking of all pairs
of a chain gives its scores in the three ranges and in bins of separations that double.
"""

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from protcontact.atomic import replacing
from protcontact.batch import ContactBatch
from protcontact.data.datamodule import ContactDataModule
from protcontact.gradflow.distance import distance_curve, read_curve, spread_evenly
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.precision import ChainScores, score_chain
from protcontact.metrics.ranges import RANGES, SHORT, SeparationRange
from protcontact.metrics.separation_bins import doubling_bins
from protcontact.models.contract import ContactModel
from protcontact.report.chains import chosen_chains
from protcontact.training.copied_chains import CopiedChains

# chain id -> column -> value, as in chains.csv
Scores = dict[str, dict[str, float]]
SOURCES = 8  # residues of each chain whose dependence on others is asked
LONGEST = 512  # residues of a chain on which the reach is measured
SEED = 0  # of the random signs: the same for all runs


def bins_of(data: ContactDataModule, split: str) -> tuple[SeparationRange, ...]:
    """Bins of separations up to the longest chain of a split; none if it has no pair to score."""
    longest = max(int(data.store.lengths[row]) for row in data.rows(split))
    return doubling_bins(longest) if longest > SHORT.low else ()


def score_model(
    model: ContactModel, batches: Iterable[ContactBatch], bins: Sequence[SeparationRange]
) -> list[ChainScores]:
    """Score whole chains with a model, on a GPU where there is one.

    Args:
        model: In evaluation mode.
        batches: Whole chains.
        bins: Ranges of separations beside the three.

    Returns:
        One row per chain. Refuses what `score_chain` refuses.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)

    def logits(batch: ContactBatch) -> Tensor:
        with untouched(model), torch.no_grad():
            scores: Tensor = model(batch)
            return scores

    rows = score_batches(logits, (batch.to(device) for batch in batches), bins)
    model.to("cpu")
    return rows


def score_null(
    prior: SeparationPrior, batches: Iterable[ContactBatch], bins: Sequence[SeparationRange]
) -> list[ChainScores]:
    """Score the separation prior on the same chains."""
    return score_batches(lambda batch: prior.scores(batch.index), batches, bins)


def score_copy(
    copied: CopiedChains,
    prior: SeparationPrior,
    batches: Iterable[ContactBatch],
    bins: Sequence[SeparationRange],
) -> list[ChainScores]:
    """Score the copy of the nearest training chain on the same chains."""
    return score_batches(lambda batch: copied.scores(batch, prior), batches, bins)


def score_batches(
    scores: Callable[[ContactBatch], Tensor],
    batches: Iterable[ContactBatch],
    bins: Sequence[SeparationRange],
) -> list[ChainScores]:
    """Score batches of whole chains with what gives ``(B, L, L)`` for each of them."""
    rows = []
    for batch in batches:
        given, contact, known = scores(batch), batch.contact(), batch.known()
        for b, (name, n) in enumerate(zip(batch.ids, batch.lengths.tolist(), strict=True)):
            ranges = score_chain(
                given[b, :n, :n],
                contact[b, :n, :n],
                known[b, :n, :n],
                chain=name,
                ranges=(*RANGES, *bins),
            )
            rows.append(ChainScores(name, n, ranges))
    return rows


def write_scores(path: Path, rows: Sequence[ChainScores]) -> None:
    """Write one line per chain, sorted by id; numbers keep all their digits, undefined is nan."""
    lines = [
        {"id": row.id, "length": row.length, **row.columns()}
        for row in sorted(rows, key=lambda row: row.id)
    ]
    write_lines(path, lines)


def read_scores(path: Path) -> Scores:
    """Read what `write_scores` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return {
            row.pop("id"): {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        }


def write_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Write a CSV file atomically; its columns are those of the first line and then of others."""
    columns = list(dict.fromkeys(name for line in lines for name in line))
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def longest_chains(data: ContactDataModule, split: str, count: int) -> list[ContactBatch]:
    """The longest chains of a split that have at most 512 residues, for `encoder_reach`.

    Args:
        data: Set up.
        split: Of the data.
        count: Number of chains; fewer if there are not as many.

    Returns:
        Batches of one. An `InputError` if no chain is short enough.
    """
    lengths = sorted(int(data.store.lengths[row]) for row in data.rows(split))
    allowed = [length for length in lengths if length <= LONGEST]
    shortest = allowed[-count:][0] if allowed else 1
    return chosen_chains(data.path, split, count, shortest, LONGEST)


def encoder_reach(model: ContactModel, chains: Sequence[ContactBatch]) -> float:
    """First distance in residues at which the gradient of the encoder is below a thousandth.

    Of ``|d y_i / d x_j|_F`` by ``|i - j|``, as a share of that at distance 0: the root mean square
    over the residues of a chain (`distance_curve`), then the geometric mean over chains, as far as
    the shortest of them reaches. Where it is never below, that length: the reach is then no less.

    Args:
        model: In evaluation mode, on the CPU; left as it was.
        chains: Batches of one.

    Returns:
        Residues; NaN if the gradient at distance 0 is not a number. Refuses what `dependence`
        refuses.
    """
    size = min(batch.tokens.shape[1] for batch in chains)
    total = torch.zeros(size, dtype=torch.float64)
    for batch in chains:
        generator = torch.Generator().manual_seed(SEED)
        sources = spread_evenly(batch.mask.sum(), SOURCES)
        curve = distance_curve(model.encoder, batch.tokens[0], batch.index[0], sources, generator)[
            :size
        ]
        total += (curve / curve[0]).log()
    found = read_curve((total / len(chains)).exp()).scalars
    return found.get("dist/reach_1e-3", math.nan)
