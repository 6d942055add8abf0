"""What the runs of a suite say together, on numbers that can be added up by hand."""

import dataclasses
import math
from pathlib import Path

import pytest

from protcontact.metrics.ranges import SeparationRange
from protcontact.report.suite import Entry, Plan, Suite
from protcontact.report.suite_tables import (
    COPY,
    NULL,
    Finished,
    Tables,
    chain_lines,
    length_lines,
    run_lines,
    separation_lines,
    summary_lines,
)

BINS = (SeparationRange("24-47", 24, 47),)
NAN = math.nan


def scores(long, far, lengths=(50, 300, 70)):
    """Three chains; the last has no long-range contact."""
    rows = {}
    for chain, value, length in zip("abc", [*long, NAN], lengths, strict=True):
        row = {"length": float(length), "24-47/P@L": far, "24-47/ceiling": 0.9}
        row |= {"24-47/positives": 2.0, "24-47/candidates": 8.0}
        for span in ("short", "medium", "long"):
            for metric in ("P@L", "P@L/2", "P@L/5", "R-precision", "AUPRC"):
                row[f"{span}/{metric}"] = value if span == "long" else 0.5
        rows[chain] = row
    return rows


def note(**more):
    about = {"status": "finished", "reason": "", "step_seconds": 10.0, "cpu_seconds": 11.0}
    about |= {"wall_seconds": 12.0, "peak_memory": 2e9, "device_memory": 0, "device": "cpu"}
    machine = {"device_name": "chip", "cores": 2, "torch": "9"}
    return about | {"reach": 5.0, "machine": machine} | more


def tables():
    suite = Suite(Path("."), {"g": ("x.yaml", "y.yaml"), "h": ("x.yaml",)}, (0, 1), 10.0)
    plan = Plan({}, {name: Entry("d", 1000, 0.5, 20) for name in "xy"})
    finished = [
        Finished("x", 0, note(reach=4.0), scores([0.1, 0.3], 0.2)),
        Finished("x", 1, note(reach=6.0), scores([0.3, 0.5], 0.4)),
        Finished("y", 0, note(), scores([0.5, 0.7], 0.6)),
    ]
    notes = [{"config": run.name, "seed": run.seed, **run.note} for run in finished]
    notes.append({"config": "y", "seed": 1, "status": "failed", "reason": "why"})
    notes.append({"config": "y", "seed": 2})
    return Tables(suite, plan, BINS, notes, finished, scores([0.0, 0.1], 0.1))


def test_the_best_comes_first_and_the_null_last():
    first, second, null = summary_lines(tables())
    assert [line["config"] for line in (first, second, null)] == ["y", "x", NULL]
    assert second["long/P@L"] == pytest.approx(0.3)  # of the seeds' 0.2 and 0.4
    assert second["long/P@L sd"] == pytest.approx(math.sqrt(0.02))
    # of the chains' means over seeds, 0.2 and 0.4: two chains are drawn
    assert (second["long/P@L low"], second["long/P@L high"]) == pytest.approx((0.2, 0.4))
    assert math.isnan(first["long/P@L sd"]) and first["long/P@L"] == pytest.approx(0.6)
    assert null["long/P@L"] == pytest.approx(0.05) and "parameters" not in null


def test_what_can_be_copied_is_a_null_like_the_other():
    found = dataclasses.replace(tables(), copy=scores([0.2, 0.2], 0.3))
    assert [line["config"] for line in summary_lines(found)][2:] == [NULL, COPY]
    line = summary_lines(found)[3]
    assert line["long/P@L"] == pytest.approx(0.2) and "parameters" not in line
    assert [line["config"] for line in separation_lines(found)][2:] == [NULL, COPY]
    assert separation_lines(found)[3]["P@L"] == pytest.approx(0.3)
    assert [line["config"] for line in length_lines(found)][2:4] == [NULL, COPY]
    assert sum(line["config"] == COPY for line in chain_lines(found)) == 3


def test_differences_are_taken_chain_by_chain():
    first, second, null = summary_lines(tables())
    key = "long/P@L less the best"
    assert first[key] == 0.0
    assert [second[key], second[f"{key} low"], second[f"{key} high"]] == pytest.approx([-0.3] * 3)
    assert null[key] == pytest.approx(-0.55)


def test_costs_are_means_over_seeds():
    _, line, _ = summary_lines(tables())
    assert (line["reach"], line["reach_sd"]) == pytest.approx((5.0, math.sqrt(2)))
    assert (line["groups"], line["seeds"], line["parameters"], line["steps"]) == (
        "g h",
        2,
        1000,
        20,
    )
    assert (line["step_seconds"], line["peak_memory"]) == (10.0, 2e9)


def test_every_run_has_a_line_whatever_became_of_it():
    lines = run_lines(tables())
    assert [line["status"] for line in lines] == ["finished"] * 3 + ["failed", "not made"]
    assert lines[0]["long/P@L"] == pytest.approx(0.2) and lines[0]["device_name"] == "chip"
    assert "machine" not in lines[0] and "long/P@L" not in lines[3]


def test_by_separation_and_by_length():
    first, second, null = separation_lines(tables())
    assert [line["config"] for line in (first, second, null)] == ["y", "x", NULL]
    assert second["P@L"] == pytest.approx(0.3) and second["P@L sd"] == pytest.approx(
        math.sqrt(0.02)
    )
    assert (null["chance"], null["ceiling"], null["chains"]) == (0.25, pytest.approx(0.9), 3)
    lengths = length_lines(tables())
    assert [line["length"] for line in lengths] == ["0-63"] * 3 + ["256-511"] * 3
    assert [line["long/P@L"] for line in lengths[1::3]] == pytest.approx([0.2, 0.4])
    assert [line["chains"] for line in lengths] == [1] * 6


def test_every_chain_of_every_run():
    lines = chain_lines(tables())
    assert len(lines) == 12
    assert lines[0] == lines[0] | {"config": "x", "seed": 0, "id": "a", "length": 50}
    assert lines[0]["long/P@L"] == "0.1" and lines[2]["long/P@L"] == "nan"
    assert lines[-1]["config"] == NULL
