"""Does a contact come true as often as its probability says? The drawing of it.

Both axes are logarithmic: of contacts, 2 to 4 % of the pairs, most of what there is to see lies
between 0.001 and 0.3, and on linear axes in one corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protcontact.figures.gradient_flow import COLOURS
from protcontact.figures.panels import DASHES, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = 1e-5  # what is drawn of a probability, and of a share


@dataclass(frozen=True)
class ReliabilityCurve:
    """Bins of predicted probability, of one range.

    Attributes:
        label: In the legend.
        predicted: Mean predicted probability of each bin.
        observed: Share of its pairs that is in contact.
        pairs: Number of its pairs.

    Raises:
        ValueError: If there are not as many of each, or a bin has no pair.
    """

    label: str
    predicted: Sequence[float]
    observed: Sequence[float]
    pairs: Sequence[int]

    def __post_init__(self) -> None:
        sizes = len(self.predicted), len(self.observed), len(self.pairs)
        if len(set(sizes)) > 1:
            raise ValueError(f"{self.label!r} must have one of each per bin, not {sizes}")
        if any(n < 1 for n in self.pairs):
            raise ValueError(f"{self.label!r} has a bin without a pair; leave it out")


def draw_reliability(curves: Sequence[ReliabilityCurve], title: str = "") -> "Figure":
    """Draw the curves above the numbers of pairs behind them.

    The grey dotted line is what calibrated probabilities give; below it a model is too sure. A bin
    without any contact has no place on a logarithmic axis: a hollow mark, without a line to it,
    stands at the highest share that would still have given none in one of 20 draws,
    ``1 - 0.05^(1/n)`` of n pairs (pairs of one chain are no independent draws, so it is too low).

    Args:
        curves: One for each range; those without a bin are named in the legend only.
        title: Printed above.

    Raises:
        ValueError: If there is no curve.
    """
    if not curves:
        raise ValueError("there is no reliability curve to draw")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 6.4), dpi=110, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([LOWEST, 1], [LOWEST, 1], color="0.5", linewidth=0.9, linestyle=":", zorder=1)
    for place, curve in enumerate(curves):
        _draw_curve(above, curve, place)
        _draw_pairs(below, curve, place)
    if any(share == 0 for curve in curves for share in curve.observed):
        hollow = {"color": "0.4", "markerfacecolor": "none", "linestyle": "none", "marker": "o"}
        above.plot([], [], label="no contact seen: bound", markersize=5, **hollow)
    above.set(xscale="log", yscale="log", xlim=(LOWEST, 1.15), ylim=(LOWEST, 1.15), title=title)
    above.set_ylabel("observed share of contacts", fontsize=8)
    above.legend(fontsize=7, framealpha=0.85, loc="upper left")
    below.set_yscale("log")
    below.set_ylabel("pairs", fontsize=8)
    below.set_xlabel("predicted probability of a contact", fontsize=8)
    for axes in (above, below):
        axes.tick_params(labelsize=7)
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def _draw_curve(axes: "Axes", curve: ReliabilityCurve, place: int) -> None:
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    x, y = np.array(curve.predicted, dtype=float), np.array(curve.observed, dtype=float)
    n = np.array(curve.pairs, dtype=float)
    none = y == 0
    axes.plot(
        x,
        np.where(none, np.nan, y),
        label=curve.label,
        color=colour,
        linestyle=DASHES[place % len(DASHES)],
        linewidth=1.4,
        marker=marker,
        markersize=4,
    )
    axes.plot(
        x[none],
        1 - 0.05 ** (1 / n[none]),
        color=colour,
        linestyle="none",
        marker=marker,
        markersize=5,
        markerfacecolor="none",
    )


def _draw_pairs(axes: "Axes", curve: ReliabilityCurve, place: int) -> None:
    axes.plot(
        curve.predicted,
        curve.pairs,
        color=COLOURS[place % len(COLOURS)],
        linestyle=DASHES[place % len(DASHES)],
        linewidth=1.2,
        drawstyle="steps-mid",
    )
