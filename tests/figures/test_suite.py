"""Rankings and named points, as drawn."""

import math

import pytest

from protcontact.figures.panels import draw_panels, panels_png
from protcontact.figures.suite import Points, Ranking

NAN = math.nan


@pytest.fixture
def ranking():
    runs = [[0.3, 0.32], [0.2]]
    return Ranking(
        ["a", "b"], [0.31, 0.2], [0.29, NAN], [0.33, NAN], runs, {"null": 0.1, "copy": 0.2}, "P@L"
    )


def test_the_first_is_above_and_every_run_is_seen(ranking):
    axes = draw_panels([ranking]).axes[0]
    low, high = axes.get_ylim()
    assert low > high  # row 0 above
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert [list(line.get_xdata()) for line in dots] == [[0.3, 0.32], [0.2]]
    (bars,) = axes.collections
    assert list(bars.get_segments()[0][:, 0]) == [0.29, 0.33]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["null", "copy", "mean, 95 %", "one run"]


def test_every_point_has_its_name():
    names = [f"m{n}" for n in range(9)]
    points = Points(names, list(range(9)), [0.1 * n for n in range(9)], "reach", "P@L")
    axes = draw_panels([points]).axes[0]
    assert sorted((t.get_text(), t.xy[0]) for t in axes.texts) == [(f"m{n}", n) for n in range(9)]
    marks = {(line.get_color(), line.get_marker()) for line in axes.lines}
    assert len(marks) == 9  # also where colours are used twice


def test_names_do_not_meet():
    names = [f"m{n}" for n in range(12)]
    reach = [10.0] * 6 + [500.0] * 6
    points = Points(
        names, reach, [0.1 + 0.001 * n for n in range(6)] * 2, "reach", "P@L", xlog=True
    )
    figure = draw_panels([points])
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 12
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        assert axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1
    assert axes.get_xscale() == "log"


def test_png(ranking):
    assert panels_png([ranking]).startswith(b"\x89PNG")
