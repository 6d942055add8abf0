"""What does a suite leave in its folder? CSV files, a table to read, a figure."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protcontact.atomic import write_bytes, write_text
from protcontact.figures.gradient_flow import COLOURS
from protcontact.figures.panels import Drawable, Line, Panel, panels_png
from protcontact.figures.suite import Points, Ranking
from protcontact.report.suite import Suite
from protcontact.report.suite_scores import LONGEST, write_lines
from protcontact.report.suite_tables import (
    COPY,
    FIRST,
    NULL,
    Tables,
    chain_lines,
    length_lines,
    mean_of,
    run_lines,
    separation_lines,
    summary_lines,
)

HEADER = (
    "config",
    "parameters",
    "steps",
    "long P@L, mean ± sd [95 %]",
    "less the best [95 %]",
    "P@L/5",
    "R-precision",
    "AUPRC",
    "medium P@L",
    "short P@L",
    "seconds",
    "memory",
    "reach",
)
GIGA = 1e9


def write_tables(tables: Tables, out: Path) -> str:
    """Write all files of a suite.

    Args:
        tables: With one finished run at least.
        out: Folder of results.

    Returns:
        The content of ``table.md``.
    """
    summary, separation = summary_lines(tables), separation_lines(tables)
    write_lines(out / "runs.csv", run_lines(tables))
    write_lines(out / "summary.csv", summary)
    write_lines(out / "by_separation.csv", separation)
    write_lines(out / "by_length.csv", length_lines(tables))
    write_lines(out / "chains.csv", chain_lines(tables))
    write_bytes(out / "suite.png", panels_png(panels(tables, summary, separation)))
    text = markdown(tables, summary)
    write_text(out / "table.md", text)
    return text


def markdown(tables: Tables, summary: list[dict[str, object]]) -> str:
    """The table for readers, sorted by long-range P@L, and under what conditions it was made."""
    rows = [HEADER, tuple("---" for _ in HEADER), *(_row(line) for line in summary)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *_conditions(tables)]) + "\n"


def _row(line: Mapping[str, Any]) -> tuple[str, ...]:
    """One model's cells; a null has neither weights nor costs."""
    name, first = line["config"], _number(line[FIRST])
    spread = line[f"{FIRST} sd"]
    if not math.isnan(spread):
        first += f" ± {_number(spread)}"
    scores = [_number(line[key]) for key in ("long/P@L/5", "long/R-precision", "long/AUPRC")]
    scores += [_number(line[key]) for key in ("medium/P@L", "short/P@L")]
    behind = f"{_number(line[f'{FIRST} less the best'])} {_range(line, f'{FIRST} less the best')}"
    cells = (f"{first} {_range(line, FIRST)}", behind, *scores)
    if name in (NULL, COPY):
        return (name, "", "", *cells, "", "", "")
    memory = line["device_memory"] or line["peak_memory"]
    return (
        name,
        f"{line['parameters']:,}",
        f"{line['steps']:,}",
        *cells,
        f"{line['step_seconds']:.0f}",
        f"{memory / GIGA:.2f} GB",
        f"{line['reach']:.0f}",
    )


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _range(line: Mapping[str, Any], key: str) -> str:
    low, high = line[f"{key} low"], line[f"{key} high"]
    return "" if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def _conditions(tables: Tables) -> list[str]:
    """Sentences without which the numbers mean nothing."""
    suite: Suite = tables.suite
    machines = sorted({_machine(run.note) for run in tables.finished})
    seeds = sorted({run.seed for run in tables.finished})
    device = {run.note["device"] for run in tables.finished}
    clock = "seconds on the device's clock" if device == {"cuda"} else "processor seconds"
    steps = "training steps of every run, turned into a number of steps by measuring each config"
    lines = [
        f"{len(tables.finished)} runs, seeds {', '.join(map(str, seeds))}; "
        f"{len(tables.null)} whole chains of the {suite.split} split; "
        f"made on {'; '.join(machines)}.",
        f"Budget: {suite.budget_seconds:g} {clock} of {steps} before; `seconds` is what they took. "
        "The last weights are scored: no validation, no choice of checkpoint.",
        "sd: over seeds. [95 %]: bootstrap over chains of the mean over seeds; `less the best` on "
        "the same chains.",
        f"{NULL}: pairs ranked by the contact frequency of their separation in training. "
        "memory: the most that the training held. reach: residues until a thousandth of the "
        f"encoder's gradient is left, on chains of at most {LONGEST} residues.",
    ]
    if tables.copy is not None:
        lines.append(f"{COPY}: its contacts, copied along the alignment that MMseqs2 finds.")
    return lines


def _machine(note: Mapping[str, Any]) -> str:
    about = note["machine"]
    return f"{about['device_name']} ({about['cores']} cores, torch {about['torch']})"


def panels(
    tables: Tables, summary: list[dict[str, Any]], separation: list[dict[str, Any]]
) -> list[Drawable]:
    """Ranking, P@L by separation for each group, and reach beside precision."""
    models = {line["config"]: line for line in summary if line["config"] not in tables.nulls}
    nulls = {line["config"]: line[FIRST] for line in summary if line["config"] in tables.nulls}
    ranking = Ranking(
        list(models),
        [line[FIRST] for line in models.values()],
        [line[f"{FIRST} low"] for line in models.values()],
        [line[f"{FIRST} high"] for line in models.values()],
        [[mean_of(run) for run in tables.scores(name, FIRST)] for name in models],
        nulls,
        "long-range P@L",
        title=f"{len(tables.null)} chains of the {tables.suite.split} split",
    )
    drawn: list[Drawable] = [ranking]
    lows = {span.name: span.low for span in tables.bins}
    for group, files in tables.suite.groups.items():
        names = [name for name in models if name in {Path(file).stem for file in files}]
        most = len(COLOURS) - (len(nulls) - 1)  # the separation null has no colour
        for start in range(0, len(names), most):
            shown = [*names[start : start + most], *nulls]
            lines = [_by_separation(name, separation, lows) for name in shown]
            drawn.append(
                Panel(lines, "separation |i - j| from here to twice as far", "P@L", group, True)
            )
    reach = [line["reach"] for line in models.values()]
    points = Points(
        list(models),
        reach,
        [line[FIRST] for line in models.values()],
        "reach of the encoder's gradient (residues)",
        "long-range P@L",
        "does what reaches farther find more?",
        xlog=min(reach, default=0) > 0,
    )
    return [*drawn, points]


def _by_separation(name: str, separation: list[dict[str, Any]], lows: Mapping[str, int]) -> Line:
    rows = [line for line in separation if line["config"] == name]
    places = [lows[line["separation"]] for line in rows]
    return Line(name, places, [line["P@L"] for line in rows], theory=name == NULL)
