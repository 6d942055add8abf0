"""How is a comparison read? Tables of text: on a terminal, in Markdown, as CSV."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from protcontact.atomic import write_text
from protcontact.metrics.ranges import RANGES
from protcontact.report.compare import Comparison, Model, column_of
from protcontact.report.suite_scores import write_lines
from protcontact.report.suite_tables import COLUMNS, METRICS, mean_of

WIDEST = 48  # characters of a setting's value
GIGA = 1e9


class TextTable(NamedTuple):
    """A table of text.

    Attributes:
        title: What it shows.
        header: Of the columns; the first one names rows.
        rows: As many cells each.
    """

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def text_tables(found: Comparison) -> list[TextTable]:
    """What differs, the verdicts with their costs, and the scores of all ranges."""
    return [
        *([_settings(found)] if len(found.models) > 1 else []),
        _verdicts(found),
        _scores(found),
    ]


def _settings(found: Comparison) -> TextTable:
    header = ("setting", *(model.name for model in found.models))
    rows = [
        (name, *(_short(value) for value in values)) for name, values in found.differences().items()
    ]
    none = ("(none)", *[""] * len(found.models))
    return TextTable("settings that differ", header, rows or [none])


def _short(value: Any) -> str:
    text = str(value)
    if text.startswith("protcontact."):
        text = text.rpartition(".")[2]  # the class
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def _verdicts(found: Comparison) -> TextTable:
    reference = found.reference.name
    header = (
        "model",
        "seeds",
        found.column,
        f"less {reference} [{100 * found.level:.3g} %]",
        "verdict",
        "weights",
        "steps",
        "seconds",
        "memory",
        "reach",
    )
    rows = [_verdict_row(found, model) for model in found.models]
    for name, scores in found.nulls.items():
        value = mean_of(column_of(scores, found.column))
        rows.append((f"null: {name}", "", number(value), *[""] * (len(header) - 3)))
    chains = len(found.reference.runs[0].scored[found.split].chains)
    return TextTable(f"{chains} chains of the {found.split} split", header, rows)


def _verdict_row(found: Comparison, model: Model) -> tuple[str, ...]:
    verdict = found.verdict(model)
    told = ("", "reference")
    if verdict is not None:
        ends = verdict.difference
        told = (f"{ends.mean:+.4f} [{ends.low:+.4f}, {ends.high:+.4f}]", verdict.word)
    memory = model.logged("cost/device_memory") or math.nan
    if math.isnan(memory):
        memory = model.logged("cost/peak_memory")
    weights = model.runs[0].facts.get("parameters")
    return (
        model.name,
        str(len(model.runs)),
        spread(*model.score(found.split, found.column)),
        *told,
        f"{weights:,}" if isinstance(weights, int) else "",
        whole(model.logged("cost/steps")),
        whole(model.logged("cost/step_seconds")),
        "" if math.isnan(memory) else f"{memory / GIGA:.2f} GB",
        whole(model.reach()),
    )


def _scores(found: Comparison) -> TextTable:
    rows = []
    for span in RANGES:
        for model in found.models:
            columns = [f"{span.name}/{metric}" for metric in METRICS]
            cells = [spread(*model.score(found.split, column)) for column in columns]
            rows.append((span.name, model.name, *cells))
        for name, scores in found.nulls.items():
            cells = [number(mean_of(column_of(scores, f"{span.name}/{m}"))) for m in METRICS]
            rows.append((span.name, f"null: {name}", *cells))
    return TextTable(
        "mean over chains ± standard deviation over seeds", ("range", "of", *METRICS), rows
    )


def number(value: float) -> str:
    """Three digits; nothing where a score is undefined."""
    return "" if math.isnan(value) else f"{value:.3f}"


def whole(value: float) -> str:
    """A count; nothing where it is unknown."""
    return "" if math.isnan(value) else f"{value:,.0f}"


def spread(value: float, deviation: float) -> str:
    """Mean and standard deviation, as far as there are any."""
    return number(value) + ("" if math.isnan(deviation) else f" ± {deviation:.3f}")


def markdown(found: Comparison) -> str:
    """The tables and notes as Markdown."""
    parts = []
    for table in text_tables(found):
        rows = [table.header, tuple("---" for _ in table.header), *table.rows]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        parts.append("\n".join([f"**{table.title}**", "", *lines]))
    return "\n\n".join([*parts, *(f"- {note}" for note in sentences(found))]) + "\n"


def sentences(found: Comparison) -> list[str]:
    """What the numbers mean, and what makes the comparison less than plain."""
    others = len(found.models) - 1
    about = []
    if others:
        about.append(
            f"intervals: bootstrap over chains of the paired difference in {found.column}"
            + (f", widened so that all {others} hold together with 95 %" if others > 1 else "")
        )
        if found.spread is None:
            about.append(
                "every model was trained once, so verdicts are about these trainings and not about "
                "the models: another seed may turn them; train more seeds"
            )
        else:
            about.append(
                f"a score differs by {found.spread.deviation:.4f} (standard deviation, "
                f"{found.spread.freedom} degrees of freedom) between seeds of one model, which the "
                "intervals hold as well"
            )
    return [*about, *found.notes]


def write_comparison(found: Comparison, out: Path) -> None:
    """Write ``compare.md``, ``compare.csv`` (one line per model and null) and ``chains.csv``."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "compare.md", markdown(found))
    write_lines(
        out / "compare.csv", [*(_line(found, model) for model in found.models), *_nulls(found)]
    )
    lines = []
    for model in found.models:
        for run in model.runs:
            for chain, row in sorted(run.scored[found.split].chains.items()):
                about = {"model": model.name, "source": run.source, "seed": run.seed, "id": chain}
                lines.append(about | {name: row[name] for name in ("length", *COLUMNS)})
    write_lines(out / "chains.csv", lines)


def _line(found: Comparison, model: Model) -> dict[str, object]:
    line: dict[str, object] = {
        "model": model.name,
        "sources": " ".join(run.source for run in model.runs),
        "seeds": " ".join(str(run.seed) for run in model.runs),
    }
    verdict = found.verdict(model)
    line |= (
        {"verdict": "reference"}
        if verdict is None
        else {
            "verdict": verdict.word,
            "difference": verdict.difference.mean,
            "low": verdict.difference.low,
            "high": verdict.difference.high,
            "level": found.level,
        }
    )
    for column in COLUMNS:
        line[column], line[f"{column} sd"] = model.score(found.split, column)
    for name in ("steps", "step_seconds", "peak_memory", "device_memory"):
        line[name] = model.logged(f"cost/{name}")
    return line | {"reach": model.reach()}


def _nulls(found: Comparison) -> Sequence[dict[str, object]]:
    return [
        {"model": f"null: {name}"}
        | {column: mean_of(column_of(scores, column)) for column in COLUMNS}
        for name, scores in found.nulls.items()
    ]
