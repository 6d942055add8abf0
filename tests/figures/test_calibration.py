"""Reliability diagrams: every bin is where it belongs, without colour as well."""

import numpy as np
import pytest

from protcontact.figures.calibration import LOWEST, ReliabilityCurve, draw_reliability
from protcontact.figures.contact_map import to_array


def three():
    x = [0.001, 0.01, 0.1, 0.5]
    return [
        ReliabilityCurve(
            name, x, [0.0, 0.02 * k, 0.1 * k, 0.3 * k], [k * 10**p for p in (5, 4, 3, 2)]
        )
        for k, name in enumerate(("short", "medium", "long"), start=1)
    ]


def test_bins_lie_on_logarithmic_axes_with_their_pairs_beneath():
    above, below = draw_reliability(three(), title="test").axes
    assert {above.get_xscale(), above.get_yscale(), below.get_xscale(), below.get_yscale()} == {
        "log"
    }
    diagonal, *lines = above.get_lines()
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [LOWEST, 1]
    assert [text.get_text() for text in above.get_legend().get_texts()] == [
        "short",
        "medium",
        "long",
        "no contact seen: bound",
    ]
    for k, (curve, shares, pairs) in enumerate(
        zip(three(), lines[:6:2], below.get_lines(), strict=True), start=1
    ):
        assert list(shares.get_xdata()) == list(curve.predicted) == list(pairs.get_xdata())
        np.testing.assert_array_equal(shares.get_ydata(), [np.nan, 0.02 * k, 0.1 * k, 0.3 * k])
        assert list(pairs.get_ydata()) == list(curve.pairs)
        assert pairs.get_drawstyle() == "steps-mid"
    assert above.get_title() == "test" and above.get_xlim() == below.get_xlim()
    assert "predicted" in below.get_xlabel() and "observed" in above.get_ylabel()


def test_a_bin_without_contact_is_a_hollow_mark_at_its_bound():
    """Of 10^5 pairs: 3.0 of 10^5 in contact would give none with a probability of 0.05."""
    above, _ = draw_reliability(three()[:1]).axes
    hollow = above.get_lines()[2]
    assert list(hollow.get_xdata()) == [0.001]
    [bound] = hollow.get_ydata()
    assert (1 - bound) ** 1e5 == pytest.approx(0.05)
    assert bound == pytest.approx(3.0e-5, rel=0.01)
    assert (hollow.get_markerfacecolor(), hollow.get_linestyle()) == ("none", "None")


def test_curves_differ_without_colour():
    above, below = draw_reliability(three()).axes
    lines = above.get_lines()[1:7:2]
    assert len({(x.get_marker(), x._unscaled_dash_pattern) for x in lines}) == 3
    assert len({x._unscaled_dash_pattern for x in below.get_lines()}) == 3
    assert len({x.get_color() for x in lines}) == 3


def test_a_range_without_pairs_is_named_and_the_picture_is_drawn():
    seen = ReliabilityCurve("seen", [0.1, 0.2], [0.1, 0.2], [90, 9])
    figure = draw_reliability([seen, ReliabilityCurve("nothing", [], [], [])])
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert shown == ["seen", "nothing"]
    assert to_array(figure).std() > 0


def test_refuses_what_is_no_curve():
    with pytest.raises(ValueError, match="no reliability curve"):
        draw_reliability([])
    with pytest.raises(ValueError, match=r"'long' must have one of each per bin, not \(1, 2, 1\)"):
        ReliabilityCurve("long", [0.1], [0.1, 0.2], [1])
    with pytest.raises(ValueError, match="'long' has a bin without a pair"):
        ReliabilityCurve("long", [0.1], [0.1], [0])
