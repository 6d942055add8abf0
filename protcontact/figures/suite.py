"""How does a comparison of models look? Names with intervals, and points with names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from protcontact.figures.gradient_flow import COLOURS
from protcontact.figures.panels import MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Ranking:
    """One row per model, the first one above: mean, interval, and each run as a dot.

    Attributes:
        names: N models.
        means: Of each.
        lows: Lower ends of the intervals; NaN for none.
        highs: Upper ends.
        runs: Of each model, the score of each of its runs.
        levels: Name -> where a vertical line is drawn.
        xlabel: What the horizontal axis shows.
        ylabel: What the rows are.
        title: Printed above.
    """

    names: Sequence[str]
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    runs: Sequence[Sequence[float]]
    levels: Mapping[str, float]
    xlabel: str
    ylabel: str = ""
    title: str = ""

    def draw(self, axes: "Axes") -> None:
        """Draw into a frame."""
        rows = np.arange(len(self.names))
        for (name, level), style in zip(self.levels.items(), cycle((":", "-."))):
            axes.axvline(level, color="0.4", linestyle=style, label=name)
        axes.hlines(rows, self.lows, self.highs, color=COLOURS[0], linewidth=2)
        axes.plot(self.means, rows, "D", color=COLOURS[0], markersize=5, label="mean, 95 %")
        for row, scores in zip(rows, self.runs, strict=True):
            label = "one run" if row == 0 else None
            places = np.full(len(scores), row + 0.25)
            axes.plot(scores, places, ".", color=COLOURS[1], markersize=4, label=label)
        axes.set_yticks(rows, self.names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.legend(fontsize=7, framealpha=0.85)


@dataclass(frozen=True)
class Points:
    """Models in a plane, each with its name beside its mark.

    Attributes:
        names: N models.
        x: Of each.
        y: Of each.
        xlabel: What the horizontal axis shows, with its unit.
        ylabel: What the vertical axis shows.
        title: Printed above.
    """

    names: Sequence[str]
    x: Sequence[float]
    y: Sequence[float]
    xlabel: str
    ylabel: str
    title: str = ""

    def draw(self, axes: "Axes") -> None:
        """Draw into a frame."""
        for place, (name, x, y) in enumerate(zip(self.names, self.x, self.y, strict=True)):
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(x, y, MARKERS[place // len(COLOURS) % len(MARKERS)], color=colour)
            axes.annotate(
                name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=6, color="0.2"
            )
        axes.margins(x=0.15, y=0.1)
