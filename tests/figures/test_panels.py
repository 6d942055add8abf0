"""Panels: what is drawn is what was asked for."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from protcontact.figures.contact_map import to_array
from protcontact.figures.panels import Line, Panel, Picture, Regions, draw_panels


def test_lines_differ_without_colour_and_theory_is_dotted():
    panel = Panel(
        [Line(str(k), [0, 1, 2], [k, k, k]) for k in range(7)]
        + [Line("theory", [0, 1], [1, 1], theory=True)],
        "x (m)",
        "y (s)",
        "title",
        level=0.5,
    )
    [axes] = draw_panels([panel]).axes
    level, *measured, theory = axes.get_lines()
    looks = {
        (line.get_linestyle(), line._unscaled_dash_pattern, line.get_marker()) for line in measured
    }
    assert len(measured) == len(looks) == 7
    assert (theory.get_linestyle(), theory.get_color(), theory.get_marker()) == (
        ":",
        "black",
        "None",
    )
    assert list(level.get_ydata()) == [0.5, 0.5]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("x (m)", "y (s)", "title")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [*"0123456", "theory"]


def test_what_is_not_finite_leaves_a_gap():
    line = Line("", range(4), [1.0, -math.inf, math.nan, 2.0])
    [axes] = draw_panels([Panel([line], "x", "y", xlog=True, ylog=True)]).axes
    np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), [1.0, np.nan, np.nan, 2.0])
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_legend()) == ("log", "log", None)


def test_a_region_is_bounded_where_values_reach_the_level():
    x = y = np.linspace(-2, 2, 201)
    values = np.hypot(x[None, :], y[:, None])
    [axes] = draw_panels([Regions(x, y, {"disc": values, "half": 2 * values}, "Re", "Im")]).axes
    radii = [np.hypot(*c.get_paths()[0].vertices.T) for c in axes.collections]
    np.testing.assert_allclose(radii[0], 1, atol=0.01)
    np.testing.assert_allclose(radii[1], 0.5, atol=0.01)
    assert axes.collections[0].get_edgecolor()[0] == pytest.approx(to_rgba("#0072B2"))


def test_a_picture_has_a_bar_with_its_unit():
    values = np.array([[0.0, 1.0], [np.inf, 2.0]])
    axes, bar = draw_panels([Picture(values, "j", "i", "map", "decades")]).axes
    assert bar.get_ylabel() == "decades"
    np.testing.assert_array_equal(axes.images[0].get_array().filled(np.nan), [[0, 1], [np.nan, 2]])
    assert axes.images[0].origin == "upper"


def test_a_line_on_a_picture():
    picture = Picture(np.zeros((3, 3)), "j", "i", lines=[Line("", [0, 1], [1, 2])])
    [line] = draw_panels([picture]).axes[0].get_lines()
    assert (line.get_color(), list(line.get_xdata())) == ("white", [0, 1])


def test_whole_numbers_have_no_ticks_between_them():
    panels = [Panel([Line("", x, [0, 1, 2])], "x", "y") for x in ([1, 2, 3], [1, 2.5, 3])]
    figure = draw_panels(panels)
    figure.canvas.draw()
    whole = [all(t.is_integer() for t in axes.get_xticks()) for axes in figure.axes]
    assert whole == [True, False]


def test_panels_stand_in_rows_and_empty_places_are_blank():
    panel = Panel([Line("a", [0, 1], [0, 1])], "x", "y")
    figure = draw_panels([panel] * 3, columns=2)
    assert [axes.get_visible() for axes in figure.axes] == [True, True, True, False]
    assert to_array(figure).shape[2] == 3
    with pytest.raises(ValueError, match="no panel"):
        draw_panels([])
