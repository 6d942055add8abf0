"""What the figures of a page hold."""

import numpy as np
from bokeh.models import GlyphRenderer, Line

from protcontact.metrics.calibration import Bin
from protcontact.report.page_figures import (
    CURSOR,
    GREY,
    IMAGE,
    MAP,
    calibration_figure,
    curve_figure,
    distance_figure,
    gradient_figure,
    map_figure,
    separation_figure,
)
from protcontact.report.page_runs import COPY, RANDOM, SEPARATION, RunPage
from protcontact.report.runs import make_run
from tests.report.stored_runs import settings


def sources(plot):
    return [one.data_source.data for one in plot.select({"type": GlyphRenderer})]


def named(plot):
    return {
        item["name"][0]: list(zip(item["x"], item["y"], strict=True))
        for item in sources(plot)
        if "name" in item
    }


def test_the_script_finds_the_map():
    plot = map_figure()
    assert plot.name == MAP
    assert {one.data_source.name for one in plot.renderers} == {IMAGE, CURSOR}


def test_runs_and_one_null_by_separation():
    shown = [
        RunPage(
            make_run(name, name, settings(), {}, {}),
            "val",
            separation={"model": [(6, value), (12, 0.2)], SEPARATION: [(6, 0.05)]},
        )
        for name, value in (("a", 0.1), ("b", 0.3))
    ]
    assert named(separation_figure(shown)) == {
        "a": [(6, 0.1), (12, 0.2)],
        "b": [(6, 0.3), (12, 0.2)],
        SEPARATION: [(6, 0.05)],
    }


def test_random_twins_are_those_of_their_runs():
    shown = [
        RunPage(
            make_run(name, name, settings(), {}, {}),
            "val",
            separation={"model": [(6, 0.2)], SEPARATION: [(6, 0.05)], RANDOM: [(6, value)]},
        )
        for name, value in (("a", 0.01), ("b", 0.02))
    ]
    drawn = named(separation_figure(shown))
    assert drawn[f"{RANDOM} a"] == [(6, 0.01)] and drawn[f"{RANDOM} b"] == [(6, 0.02)]
    assert len(drawn) == 5 and RANDOM in named(separation_figure(shown[:1]))


def test_nulls_are_grey_and_told_apart():
    names = ["model", SEPARATION, COPY, RANDOM]
    run = make_run("a", "a", settings(), {}, {})
    lines = {name: [(6, 0.1), (12, 0.2)] for name in names}
    plot = separation_figure([RunPage(run, "val", separation=lines)])
    strokes = [one.glyph for one in plot.renderers if isinstance(one.glyph, Line)]
    assert [one.line_color == GREY for one in strokes] == [False, True, True, True]
    assert len({str(one.line_dash) for one in strokes[1:]}) == 3


def test_calibration_has_no_point_at_zero():
    bins = [Bin(-3, -2, 10, 0.1, 0.2), Bin(-2, -1, 5, 0.2, 0.0), Bin(-1, 0, 0, np.nan, np.nan)]
    found = named(calibration_figure({"long": bins, "short": bins[1:]}))
    assert found == {"long": [(0.1, 0.2)]}


def test_gradient_by_block_and_step():
    history = {
        "gradflow/layer/a/rms": [(0, 1e-3), (50, 0.0)],
        "gradflow/layer/b/rms": [(0, 1e-1), (50, 1e-2)],
        "gradflow/layer/b/max": [(0, 5.0)],
        "train/loss": [(0, 1.0)],
    }
    (cells,) = sources(gradient_figure(history))
    found = set(zip(cells["step"], cells["block"], cells["value"], strict=True))
    assert found == {("0", "a", -3.0), ("0", "b", -1.0), ("50", "b", -2.0)}
    assert gradient_figure({"train/loss": [(0, 1.0)]}) is None
    (norms,) = sources(gradient_figure({"gradflow/layer/b/norm": [(0, 10.0)]}))
    assert (norms["block"], norms["value"]) == (("b",), (1.0,))


def test_the_gradient_by_distance():
    curves = {"step 0": [(0, 0.0), (1, -0.5)], "step 50": [(0, 0.0), (1, -0.1)]}
    assert named(distance_figure(curves)) == curves


def test_a_curve():
    assert named(curve_figure("loss", [(1, 0.5), (2, 0.25)])) == {"loss": [(1, 0.5), (2, 0.25)]}
