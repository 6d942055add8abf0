"""What remains of an experiment: its numbers, its picture and what they say."""

import csv
from collections.abc import Sequence
from pathlib import Path

from protcontact.atomic import replacing, write_bytes, write_text
from protcontact.figures.panels import panels_png
from protcontact.gradflow.experiment import Result

READINGS, CHECKS, FIGURE, CONCLUSION = "readings.csv", "checks.csv", "figure.png", "conclusion.txt"


def write_result(result: Result, folder: Path) -> bytes:
    """Write ``readings.csv``, ``checks.csv``, ``figure.png`` and ``conclusion.txt``.

    Args:
        result: What was found.
        folder: Made if it is missing.

    Returns:
        The picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(r.probe, r.where, f"{r.index:.10g}", repr(r.value)) for r in result.readings]
    _write_table(folder / READINGS, ("probe", "where", "index", "value"), rows)
    checks = [(c.claim, repr(c.error), repr(c.bound), str(c.holds)) for c in result.checks]
    _write_table(folder / CHECKS, ("claim", "error", "bound", "holds"), checks)
    picture = panels_png(result.panels)
    write_bytes(folder / FIGURE, picture)
    write_text(folder / CONCLUSION, result.conclusion + "\n")
    return picture


def _write_table(path: Path, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
