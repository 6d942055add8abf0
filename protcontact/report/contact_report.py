"""What does a job tell of each map? Windows and seams, pairs between chains, and scores.

``report.tsv`` has a line for every input, with the reason where there is no prediction. Of a
complex the scores by separation are means over its chains; pairs between chains have their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from protcontact.atomic import write_text
from protcontact.metrics.interchain import score_interchain
from protcontact.metrics.precision import ChainScores, score_chain
from protcontact.models.pretrained.tiling import Seam
from protcontact.report.contact_files import Numbers
from protcontact.report.contact_inputs import Wanted
from protcontact.report.prediction import as_batch
from protcontact.report.targets import Unreadable

COLUMNS = ("tiles", "seam_pairs", "seam_mean", "seam_largest", "unpredicted", "inter_top_l")
INTER = {  # column -> of `InterScore`
    "inter/candidates": "candidates",
    "inter/positives": "positives",
    "inter/P@10": "precision_10",
    "inter/P@L/10": "precision_l10",
    "inter/P@L/5": "precision_l5",
    "inter/P@L": "precision_l",
    "inter/ceiling_P@L": "ceiling_l",
    "inter/AUPRC": "auprc",
}
LAST = -1.0  # a pair that no window held ranks below every probability


@dataclass(frozen=True)
class Row:
    """What became of one input.

    Attributes:
        name: Stem of the files, or the input's name.
        source: Where it came from.
        length: Residues; 0 if nothing could be read.
        chains: Number of chains.
        problem: Why there is no prediction; empty if there is one.
        numbers: Of the prediction; None if there is none.
        was_there: Whether an earlier run did it.
    """

    name: str
    source: str
    length: int = 0
    chains: int = 0
    problem: str = ""
    numbers: Numbers | None = None
    was_there: bool = False


def numbers_of(wanted: Wanted, probabilities: np.ndarray, tiles: int, seam: Seam) -> Numbers:
    """Everything that the report tells of a map.

    Args:
        wanted: The input.
        probabilities: ``(L, L)``, NaN where not predicted.
        tiles: Number of windows.
        seam: How they agree.
    """
    upper = np.triu(np.isnan(probabilities), 1).sum()
    L = len(probabilities)
    return Numbers(
        tiles,
        seam.pairs,
        seam.mean if seam.pairs else None,
        seam.largest if seam.pairs else None,
        float(upper / max(1, L * (L - 1) // 2)),
        inter_top_l(probabilities, wanted.chain_of),
        _scores(wanted, probabilities),
    )


def inter_top_l(probabilities: np.ndarray, chain_of: np.ndarray) -> float | None:
    """Mean probability of the L best pairs between chains, L of the shortest chain.

    Args:
        probabilities: ``(L, L)``, NaN where not predicted.
        chain_of: ``(L,)`` number of each residue's chain.

    Returns:
        None if no pair between chains is predicted.
    """
    apart = np.triu(chain_of[:, None] != chain_of[None, :])
    found = probabilities[apart & ~np.isnan(probabilities)]
    if not len(found):
        return None
    shortest = min(int(np.bincount(chain_of).min()), len(found))
    return float(np.sort(found)[-shortest:].mean(dtype=np.float64))


def _scores(wanted: Wanted, probabilities: np.ndarray) -> dict[str, float]:
    if not wanted.target.has_truth:
        return {}
    batch, name = as_batch(wanted.target), wanted.target.name
    ranked = torch.from_numpy(np.nan_to_num(probabilities, nan=LAST))
    known, contact = batch.known()[0], batch.contact()[0]
    if not wanted.is_complex:
        ranges = score_chain(ranked, contact, known, chain=name)
        return ChainScores(name, len(probabilities), ranges).columns()
    found = score_interchain(ranked, contact, known, torch.from_numpy(wanted.chain_of))
    rows = [
        ChainScores(name, len(chain), ranges).columns()
        for chain, ranges in zip(wanted.chains, found.intra, strict=True)
    ]
    table = torch.tensor([[*row.values()] for row in rows], dtype=torch.float64)
    within = dict(zip(rows[0], table.nanmean(dim=0).tolist(), strict=True))
    return within | {label: float(getattr(found.inter, key)) for label, key in INTER.items()}


def write_contact_report(path: Path, rows: Sequence[Row], failed: Sequence[Unreadable]) -> None:
    """Write one line per input.

    Args:
        path: The TSV file.
        rows: Of `predict_contacts`.
        failed: Inputs of which nothing could be predicted.
    """
    rows = [*rows, *(Row(bad.name, bad.source, problem=bad.reason) for bad in failed)]
    scored = [row.numbers.scores for row in rows if row.numbers and row.numbers.scores]
    metrics = list(dict.fromkeys(metric for row in scored for metric in row))
    lines = ["\t".join(["name", "source", "length", "chains", *COLUMNS, "problem", *metrics])]
    for row in rows:
        told = [row.name, row.source, str(row.length), str(row.chains)]
        scores = row.numbers.scores if row.numbers else {}
        held = row.numbers
        told += [_cell(getattr(held, column) if held else None) for column in COLUMNS]
        told += [row.problem, *(_cell(scores.get(metric)) for metric in metrics)]
        lines.append("\t".join(" ".join(cell.split()) for cell in told))
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
