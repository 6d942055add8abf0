"""The printed table says what the summaries say."""

import importlib.util
import re

import pytest

from protcontact.commands.tables import SHOWN, print_scores
from protcontact.metrics.ranges import RANGES


def summary(offset):
    values = {"chains": 7.0}
    for place, span in enumerate(RANGES):
        for column, metric in enumerate(SHOWN):
            values[f"{span.name}/{metric}"] = offset + place / 10 + column / 100
        values[f"{span.name}/undefined"] = float(place)
    return values


@pytest.mark.parametrize("rich", [True, False])
def test_every_number_stands_in_its_row(rich, monkeypatch, capsys):
    if not rich:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    print_scores({"model": summary(0.0), "null": summary(0.5)}, "test")
    lines = capsys.readouterr().out.splitlines()
    assert "test: mean over 7 chains" in lines[0]
    assert ("│" in lines[4]) == rich
    (row,) = [line for line in lines if "medium" in line and "null" in line]
    cells = re.findall(r"[^│\s]+", row)
    assert cells == ["medium", "null", "0.600", "0.610", "0.620", "0.630", "0.640", "0.650", "1"]
