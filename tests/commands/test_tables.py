"""The printed table says what the summaries say."""

from rich.console import Console

from protcontact.commands.tables import SHOWN, score_table
from protcontact.metrics.ranges import RANGES


def summary(offset):
    values = {"chains": 7.0}
    for place, span in enumerate(RANGES):
        for column, metric in enumerate(SHOWN):
            values[f"{span.name}/{metric}"] = offset + place / 10 + column / 100
        values[f"{span.name}/undefined"] = float(place)
    return values


def test_every_number_stands_in_its_row():
    console = Console(width=100, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(score_table({"model": summary(0.0), "null": summary(0.5)}, "test"))
    lines = capture.get().splitlines()
    assert "test: mean over 7 chains" in lines[0]
    (row,) = [line for line in lines if "medium" in line and "null" in line]
    cells = [cell.strip() for cell in row.strip("│ ").split("│")]
    assert cells == ["medium", "null", "0.600", "0.610", "0.620", "0.630", "0.640", "0.650", "1"]
