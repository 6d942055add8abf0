"""What is written of an experiment can be read back, to the last digit."""

import csv
import math

import pytest

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.experiment import Check, Reading, Result
from protcontact.report.experiment_files import write_result


@pytest.fixture
def result():
    return Result(
        [
            Reading("norm", "LSTM, trained", 12.0, 1 / 3),
            Reading("norm", "RNN", 0.5, -math.inf),
            Reading("norm", "RNN", 50_000, math.nan),
        ],
        [Check("a = b", 1e-17, 1e-15), Check('c = "d"', math.nan, 1.0)],
        [Panel([Line("a", [0, 1], [0, 1])], "x", "y")],
        "One. Two.",
    )


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_everything_is_there(tmp_path, result):
    folder = tmp_path / "new" / "folder"
    picture = write_result(result, folder)
    assert (folder / "figure.png").read_bytes() == picture
    assert picture.startswith(b"\x89PNG")
    assert (folder / "conclusion.txt").read_text() == "One. Two.\n"
    read = [
        (r["probe"], r["where"], float(r["index"]), float(r["value"]))
        for r in rows(folder / "readings.csv")
    ]
    assert read[0] == ("norm", "LSTM, trained", 12.0, 1 / 3)
    assert read[1] == ("norm", "RNN", 0.5, -math.inf)
    assert read[2][2] == 50_000 and math.isnan(read[2][3])
    checks = rows(folder / "checks.csv")
    assert [check["claim"] for check in checks] == ["a = b", 'c = "d"']
    assert [check["holds"] for check in checks] == ["True", "False"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "checks.csv", "conclusion.txt", "figure.png", "readings.csv"
    ]  # fmt: skip


def test_what_was_there_is_replaced(tmp_path, result):
    write_result(result, tmp_path)
    write_result(Result(result.readings[:1], result.checks, result.panels, "Three."), tmp_path)
    assert len(rows(tmp_path / "readings.csv")) == 1
    assert (tmp_path / "conclusion.txt").read_text() == "Three.\n"
