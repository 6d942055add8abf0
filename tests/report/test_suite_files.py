"""The files that a suite leaves."""

import csv
import dataclasses

from protcontact.figures.panels import Panel
from protcontact.figures.suite import Points, Ranking
from protcontact.report.suite_files import HEADER, markdown, panels, write_tables
from protcontact.report.suite_tables import COPY, NULL, separation_lines, summary_lines
from tests.report.test_suite_tables import note, scores, tables


def cells(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_table_and_the_conditions_under_which_it_holds():
    found = tables()
    text = markdown(found, summary_lines(found))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert cells(rows[0]) == list(HEADER) and all(len(cells(r)) == len(HEADER) for r in rows)
    assert cells(rows[3])[:5] == [
        "x",
        "1,000",
        "20",
        "0.300 ± 0.141 [0.200, 0.400]",
        "-0.300 [-0.300, -0.300]",
    ]
    assert cells(rows[3])[5:] == ["0.300"] * 3 + ["0.500"] * 2 + ["10", "2.00 GB", "5"]
    assert cells(rows[2])[3] == "0.600 [0.500, 0.700]"  # one seed has no spread
    assert cells(rows[4])[0] == NULL and cells(rows[4])[-3:] == ["", "", ""]
    for words in ("3 runs, seeds 0, 1", "3 whole chains of the test split", "chip (2 cores"):
        assert words in text
    assert "Budget: 10 processor seconds" in text and "no choice of checkpoint" in text


def test_on_a_gpu_its_clock_and_its_memory_are_told():
    found = tables()
    on_gpu = note(device="cuda", device_memory=3e9)
    runs = [run._replace(note=on_gpu) for run in found.finished]
    found = dataclasses.replace(found, finished=runs)
    text = markdown(found, summary_lines(found))
    assert "seconds on the device's clock" in text and "3.00 GB" in text


def test_the_figure_shows_every_group_beside_the_null():
    found = tables()
    ranking, first, second, points = panels(found, summary_lines(found), separation_lines(found))
    assert isinstance(ranking, Ranking) and list(ranking.names) == ["y", "x"]
    assert list(ranking.levels) == [NULL] and abs(ranking.levels[NULL] - 0.05) < 1e-12
    assert len(ranking.runs[1]) == 2
    assert isinstance(first, Panel) and isinstance(second, Panel)
    assert [line.label for line in first.lines] == ["y", "x", NULL]
    assert [line.label for line in second.lines] == ["x", NULL]
    assert list(first.lines[0].x) == [24]
    assert isinstance(points, Points) and list(points.x) == [5.0, 5.0]


def test_what_can_be_copied_stands_beside_the_null():
    found = dataclasses.replace(tables(), copy=scores([0.4, 0.2], 0.3))
    text = markdown(found, summary_lines(found))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [cells(row)[0] for row in rows[4:]] == [NULL, COPY]
    assert cells(rows[5])[-3:] == ["", "", ""] and cells(rows[5])[3].startswith("0.300 [")
    assert f"{COPY}: its contacts, copied" in text
    ranking, first, *_ = panels(found, summary_lines(found), separation_lines(found))
    assert list(ranking.names) == ["y", "x"] and list(ranking.levels) == [NULL, COPY]
    assert [line.label for line in first.lines] == ["y", "x", NULL, COPY]
    assert [line.theory for line in first.lines] == [False, False, True, False]


def test_all_files_are_written(tmp_path):
    found = tables()
    text = write_tables(found, tmp_path)
    assert (tmp_path / "table.md").read_text() == text
    assert (tmp_path / "suite.png").read_bytes().startswith(b"\x89PNG")
    sizes = {"runs": 5, "summary": 3, "by_separation": 3, "by_length": 6, "chains": 12}
    for name, size in sizes.items():
        with (tmp_path / f"{name}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == size, name


def test_a_length_without_a_long_range_contact_is_no_line():
    assert scores([0.1, 0.2], 0.3)["c"]["length"] == 70
