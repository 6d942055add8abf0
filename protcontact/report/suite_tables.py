"""What do the runs of a suite say together?

Mean and standard deviation over seeds speak of training; the 95 % interval is a bootstrap over
chains of the mean over seeds, and speaks of the test split. Two configs are compared on the same
chains (`paired_difference`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from protcontact.metrics.bootstrap import (
    Interval,
    mean_spread,
    paired_difference,
    seed_mean_interval,
)
from protcontact.metrics.ranges import RANGES, SeparationRange
from protcontact.report.suite import Plan, Suite
from protcontact.report.suite_scores import Scores

METRICS = ("P@L", "P@L/2", "P@L/5", "R-precision", "AUPRC")
COLUMNS = tuple(f"{span.name}/{metric}" for span in RANGES for metric in METRICS)
FIRST = "long/P@L"  # what models are ranked by
NULL = "separation null"
COPY = "nearest training chain"
# chains by length: each bin begins where the one before it ends
LENGTHS = (0, 64, 128, 256, 512, 1_000_000)


class Finished(NamedTuple):
    """A run with its scores.

    Attributes:
        name: Of the config.
        seed: Of the training.
        note: Its ``run.json``.
        scores: Its ``chains.csv``.
    """

    name: str
    seed: int
    note: Mapping[str, Any]
    scores: Scores


@dataclass(frozen=True)
class Tables:
    """All that is tabulated.

    Attributes:
        suite: What was compared.
        plan: With how many steps.
        bins: Of separations.
        notes: Of every run, finished or not.
        finished: Runs with scores.
        null: Scores of the separation null on the same chains.
        copy: Scores of the copy of the nearest training chain; None where the data has no
            templates.
    """

    suite: Suite
    plan: Plan
    bins: Sequence[SeparationRange]
    notes: Sequence[Mapping[str, Any]]
    finished: Sequence[Finished]
    null: Scores
    copy: Scores | None = None

    @property
    def nulls(self) -> dict[str, Scores]:
        """Scores of models that have learnt nothing, by name."""
        return {NULL: self.null} | ({} if self.copy is None else {COPY: self.copy})

    @property
    def names(self) -> list[str]:
        """Configs that have a finished run, the best one first."""
        names = dict.fromkeys(run.name for run in self.finished)
        means = {name: self.seeds(name, FIRST)[0] for name in names}
        return sorted(names, key=lambda name: (math.isnan(means[name]), -means[name]))

    def runs(self, name: str) -> list[Finished]:
        """Finished runs of a config."""
        return [run for run in self.finished if run.name == name]

    def scores(
        self, name: str, column: str, low: int = 0, high: int = LENGTHS[-1]
    ) -> list[dict[str, float]]:
        """For each run of a config (or of a null), chain id -> score.

        Args:
            name: Of the config.
            column: Of ``chains.csv``.
            low: Residues of the shortest chain.
            high: Residues of the first chain that is too long.
        """
        nulls = self.nulls
        tables = [nulls[name]] if name in nulls else [run.scores for run in self.runs(name)]
        return [
            {chain: row[column] for chain, row in table.items() if low <= row["length"] < high}
            for table in tables
        ]

    def seeds(self, name: str, column: str, **lengths: int) -> tuple[float, float]:
        """Mean and standard deviation over seeds of the means over chains."""
        return mean_spread([mean_of(run) for run in self.scores(name, column, **lengths)])

    def interval(self, name: str, column: str, **lengths: int) -> Interval:
        """Bootstrap over chains of the mean over seeds."""
        return seed_mean_interval(self.scores(name, column, **lengths))

    def cost(self, name: str, key: str) -> tuple[float, float]:
        """Mean and standard deviation over seeds of a number in ``run.json``."""
        return mean_spread([float(run.note[key]) for run in self.runs(name)])


def mean_of(run: Mapping[str, float]) -> float:
    """Mean over the chains where a score is defined; NaN if nowhere."""
    return mean_spread([*run.values()])[0]


def run_lines(tables: Tables) -> list[dict[str, object]]:
    """``runs.csv``: one line per run, whether it finished or not."""
    means = {
        (run.name, run.seed): {
            f"{span.name}/{metric}": mean_of(
                {chain: row[f"{span.name}/{metric}"] for chain, row in run.scores.items()}
            )
            for span in RANGES
            for metric in METRICS
        }
        for run in tables.finished
    }
    lines = []
    for note in tables.notes:
        flat = {key: value for key, value in note.items() if not isinstance(value, Mapping)}
        line: dict[str, object] = {"status": "not made", **flat, **note.get("machine", {})}
        lines.append(line | means.get((note["config"], note["seed"]), {}))
    return lines


def summary_lines(tables: Tables) -> list[dict[str, object]]:
    """``summary.csv``: one line per config, the best first, and one of each null."""
    best = tables.names[0]
    lines = []
    for name in [*tables.names, *tables.nulls]:
        line: dict[str, object] = {"config": name}
        if name not in tables.nulls:
            groups = [
                key
                for key, files in tables.suite.groups.items()
                if name in (Path(file).stem for file in files)
            ]
            entry = tables.plan.entries[name]
            line |= {
                "groups": " ".join(groups),
                "seeds": len(tables.runs(name)),
                "parameters": entry.parameters,
                "steps": entry.steps,
                "planned_seconds_per_step": entry.seconds_per_step,
            }
            for key in ("step_seconds", "cpu_seconds", "wall_seconds", "peak_memory"):
                line[key] = tables.cost(name, key)[0]
            line["device_memory"] = tables.cost(name, "device_memory")[0]
            line["reach"], line["reach_sd"] = tables.cost(name, "reach")
        behind = paired_difference(tables.scores(name, FIRST), tables.scores(best, FIRST))
        line |= _ends(f"{FIRST} less the best", behind)
        for span in RANGES:
            for metric in METRICS:
                line |= _cells(tables, name, f"{span.name}/{metric}", f"{span.name}/{metric}")
        lines.append(line)
    return lines


def _ends(title: str, interval: Interval) -> dict[str, object]:
    return {title: interval.mean, f"{title} low": interval.low, f"{title} high": interval.high}


def _cells(tables: Tables, name: str, column: str, title: str, **lengths: int) -> dict[str, object]:
    """Mean, standard deviation over seeds, and interval of one score."""
    mean, spread = tables.seeds(name, column, **lengths)
    ends = _ends(title, tables.interval(name, column, **lengths))
    return ends | {title: mean, f"{title} sd": spread}


def separation_lines(tables: Tables) -> list[dict[str, object]]:
    """``by_separation.csv``: P@L in each bin of separations, between chance and the ceiling."""
    lines = []
    for span in tables.bins:
        defined = [row for row in tables.null.values() if row[f"{span.name}/positives"] > 0]
        chance = [row[f"{span.name}/positives"] / row[f"{span.name}/candidates"] for row in defined]
        facts: dict[str, object] = {
            "separation": span.name,
            "chains": len(defined),
            "chance": mean_spread(chance)[0],
            "ceiling": mean_spread([row[f"{span.name}/ceiling"] for row in defined])[0],
        }
        for name in [*tables.names, *tables.nulls]:
            column = f"{span.name}/P@L"
            lines.append({"config": name, **facts, **_cells(tables, name, column, "P@L")})
    return lines


def length_lines(tables: Tables) -> list[dict[str, object]]:
    """``by_length.csv``: long-range P@L by the length of chains."""
    lines: list[dict[str, object]] = []
    for low, high in zip(LENGTHS, LENGTHS[1:], strict=False):
        inside = [r for r in tables.null.values() if low <= r["length"] < high]
        chains = sum(not math.isnan(row[FIRST]) for row in inside)
        if chains == 0:
            continue
        title = f"{low}-{high - 1}" if high < LENGTHS[-1] else f"{low} and more"
        for name in [*tables.names, *tables.nulls]:
            cells = _cells(tables, name, FIRST, FIRST, low=low, high=high)
            lines.append({"config": name, "length": title, "chains": chains, **cells})
    return lines


def chain_lines(tables: Tables) -> list[dict[str, object]]:
    """``chains.csv``: scores of every run on every chain, in the three ranges; six digits."""
    every: list[tuple[str, int | str, Scores]] = [
        *((run.name, run.seed, run.scores) for run in tables.finished),
        *((name, "", scores) for name, scores in tables.nulls.items()),
    ]
    lines: list[dict[str, object]] = []
    for name, seed, scores in every:
        for chain, row in scores.items():
            line: dict[str, object] = {"config": name, "seed": seed, "id": chain}
            line["length"] = int(row["length"])
            lines.append(line | {column: f"{row[column]:.6g}" for column in COLUMNS})
    return lines
