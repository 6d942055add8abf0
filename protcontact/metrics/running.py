"""What does a model score on a whole data set, on one process or on many?

A data set's score is the mean over its chains, never over batches, and N processes give the same
digits as one: every chain is one row, rows are joined by chain id (a distributed sampler repeats
chains to fill its last step), and means are exactly rounded (`math.fsum`), whatever the order.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch.distributed
from torch import Tensor

from protcontact.atomic import replacing
from protcontact.batch import ContactBatch
from protcontact.metrics.loss import ChainLosses
from protcontact.metrics.precision import METRIC_NAMES, ChainScores, score_batch
from protcontact.metrics.ranges import RANGES

Held = TypeVar("Held")


def of_all(own: Held) -> list[Held]:
    """Return what each process holds, on every process; a collective call.

    Without a process group that is what this one holds.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [own]
    parts = [own] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, own)
    return parts


class ContactScores:
    """Rows of per-chain scores and their means.

    Holds a few hundred bytes per chain, on the host. Under several processes each one holds its
    own rows until `gather`.
    """

    def __init__(self) -> None:
        self._rows: dict[str, ChainScores] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def update(self, scores: Tensor, batch: ContactBatch) -> None:
        """Score the chains of a batch, ``(B, L, L)`` logits or probabilities, and keep the rows.

        Refuses what `score_batch` and `add` refuse.
        """
        for row in score_batch(scores, batch):
            self.add(row)

    def add(self, row: ChainScores) -> None:
        """Keep one row. A repeated chain counts once; its first row stays.

        Raises:
            ValueError: If the row of that id has another length or other contacts: two different
                chains share an id, and dropping one would be silent.
        """
        first = self._rows.setdefault(row.id, row)
        if _truth(first) != _truth(row):
            raise ValueError(
                f"two different chains are called {row.id!r} (length {first.length} and "
                f"{row.length}); ids must be unique within a data set"
            )

    def reset(self) -> None:
        """Forget all rows."""
        self._rows.clear()

    def rows(self) -> list[ChainScores]:
        """Return the rows, sorted by chain id."""
        return [self._rows[name] for name in sorted(self._rows)]

    def summary(self) -> dict[str, float]:
        """Return the means over the chains held here.

        Returns:
            ``chains``: their number. For each range ``long/P@L``, ``long/P@L/2``, ``long/P@L/5``,
            ``long/R-precision``, ``long/AUPRC``, the ceilings ``long/ceiling`` (of P@L),
            ``long/ceiling/2``, ``long/ceiling/5``: mean over the chains where it is defined, NaN
            if nowhere. ``long/undefined``: number of chains where it is not.
        """
        means: dict[str, float] = {"chains": float(len(self))}
        for span in RANGES:
            scores = [row.ranges[span.name] for row in self._rows.values()]
            defined = [score for score in scores if score.defined]
            for metric, field in METRIC_NAMES.items():
                means[f"{span.name}/{metric}"] = _mean([getattr(s, field) for s in defined])
            means[f"{span.name}/undefined"] = float(len(scores) - len(defined))
        return means

    def gather(self) -> "ContactScores":
        """Return the rows of all processes, on every process; a collective call.

        Without a process group these are the rows held here. Refuses what `add` refuses.
        """
        joined = ContactScores()
        for part in of_all(self.rows()):
            for row in part:
                joined.add(row)
        return joined

    def write_table(
        self, path: str | Path, nulls: Mapping[str, "ContactScores"] | None = None
    ) -> None:
        """Write one line per chain as TSV, atomically; on one process, after `gather`.

        Columns: ``id``, ``length``, ``short/candidates``, ``short/positives``, ``short/P@L``, ...;
        for each null the same scores as ``<null>:long/P@L``. Undefined is ``nan``; numbers keep all
        their digits.

        Args:
            path: The file; its folder must exist.
            nulls: Name -> scores of a null model on the same chains.

        Raises:
            ValueError: If a null was scored on other chains.
        """
        nulls = nulls or {}
        for name, null in nulls.items():
            if null._rows.keys() != self._rows.keys():
                raise ValueError(f"null {name!r} was scored on other chains than the model")
        lines = []
        for row in self.rows():
            line: dict[str, object] = {"id": row.id, "length": row.length, **row.columns()}
            for name, null in nulls.items():
                for column, value in null._rows[row.id].columns().items():
                    if not column.endswith(("/candidates", "/positives")):
                        line[f"{name}:{column}"] = value
            lines.append(line)
        _write_tsv(Path(path), lines)


class RunningLosses:
    """Losses of each chain, by name, and their means.

    As the scores are: a chain counts once, however often a sampler repeats it.
    """

    def __init__(self) -> None:
        self._held: dict[str, dict[str, float]] = {}

    def update(self, batch: ContactBatch, losses: Mapping[str, ChainLosses]) -> None:
        """Keep the loss of each chain of a batch, per known pair; chains without one have none."""
        for name, each in losses.items():
            held = self._held.setdefault(name, {})
            for chain, total, pairs in zip(
                batch.ids, each.total.tolist(), each.pairs.tolist(), strict=True
            ):
                if pairs > 0:
                    held.setdefault(chain, total / pairs)

    def means(self) -> dict[str, float]:
        """Mean over the chains held here, by name; NaN if there are none."""
        return {name: _mean(list(held.values())) for name, held in self._held.items()}

    def gather(self) -> "RunningLosses":
        """Return the losses of all processes, on every process; a collective call."""
        joined = RunningLosses()
        for part in of_all(self._held):
            for name, held in part.items():
                joined._held[name] = held | joined._held.get(name, {})
        return joined

    def reset(self) -> None:
        """Forget all chains."""
        self._held.clear()


def _truth(row: ChainScores) -> tuple[object, ...]:
    """Return what cannot depend on the model."""
    counts = [(name, s.candidates, s.positives) for name, s in row.ranges.items()]
    return (row.length, *counts)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _write_tsv(path: Path, lines: list[dict[str, object]]) -> None:
    columns = list(lines[0]) if lines else ["id", "length"]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, dialect="excel-tab", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
