"""Pictures of the gradient: every number stands where it belongs."""

import numpy as np
import pytest

from protcontact.figures.contact_map import to_array
from protcontact.figures.gradient_flow import draw_curves, draw_depth_profile, draw_gates


def test_depth_profile_puts_each_reading_at_its_step():
    rms = np.array([[1e-3, 1e-2, 0.0], [1.0, 10.0, np.nan]])
    figure = draw_depth_profile([0, 50, 200], ["first", "last"], rms, "title")
    axes, colours = figure.axes
    mesh = axes.collections[0]
    values = mesh.get_array()
    np.testing.assert_allclose(values.reshape(2, 3).filled(9.0), [[-3, -2, 9], [0, 1, 9]])
    edges = mesh.get_coordinates()[0, :, 0]
    np.testing.assert_allclose(edges, [-25, 25, 125, 275])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "last"]
    assert "log10" in colours.get_ylabel()
    assert to_array(figure).std() > 0


def test_depth_profile_of_one_reading():
    figure = draw_depth_profile([7], ["only"], np.array([[1.0]]))
    assert figure.axes[0].get_xlim() == (6.5, 7.5)


@pytest.mark.parametrize("steps", [[], [1, 2]])
def test_depth_profile_refuses_other_shapes(steps):
    with pytest.raises(ValueError, match="rms must be"):
        draw_depth_profile(steps, ["a"], np.ones((1, len(steps) + (len(steps) > 0))))


def test_curves_are_drawn_as_they_are():
    figure = draw_curves({"a": [0.0, -1.0, -4.0], "b": [0.0]}, "distance", "log10")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["a"].get_ydata(), [0, -1, -4])
    np.testing.assert_allclose(lines["a"].get_xdata(), [0, 1, 2])
    assert -3.0 in figure.axes[0].lines[0].get_ydata()
    assert figure.axes[0].get_xlabel() == "distance"
    assert len(draw_curves({"a": [0.0]}, "", "", threshold=None).axes[0].lines) == 1


def test_many_curves_are_told_apart():
    figure = draw_curves({str(n): [0.0, -n] for n in range(12)}, "", "", threshold=None)
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 12


def test_gates_fill_their_bins():
    shares = {"f": [0.25, 0.75], "i": [1.0, 0.0], "o": [0.5, 0.5]}
    figure = draw_gates({"layer 0": shares, "layer 1": shares}, "title")
    assert len(figure.axes) == 6
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes[:3]]
    assert heights == [list(shares[gate]) for gate in "fio"]
    assert figure.axes[0].get_title() == "forget gate"


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="no curve"):
        draw_curves({}, "", "")
    with pytest.raises(ValueError, match="no layer"):
        draw_gates({})
