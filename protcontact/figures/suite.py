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

# Of names, as shares of the frame.
LETTER = 0.016
HEIGHT = 0.045
GAP = 0.025  # from mark to name


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
        axes.legend(fontsize=7, framealpha=0.85, loc="lower right")  # the last are the lowest


@dataclass(frozen=True)
class Points:
    """Models in a plane, each with its name beside its mark, or above where names would meet.

    Attributes:
        names: N models.
        x: Of each.
        y: Of each.
        xlabel: What the horizontal axis shows, with its unit.
        ylabel: What the vertical axis shows.
        title: Printed above.
        xlog: Whether the horizontal axis is logarithmic.
    """

    names: Sequence[str]
    x: Sequence[float]
    y: Sequence[float]
    xlabel: str
    ylabel: str
    title: str = ""
    xlog: bool = False

    def draw(self, axes: "Axes") -> None:
        """Draw into a frame."""
        for place, (x, y) in enumerate(zip(self.x, self.y, strict=True)):
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(x, y, MARKERS[place // len(COLOURS) % len(MARKERS)], color=colour)
        if self.xlog:
            axes.set_xscale("log")
        axes.margins(x=0.15, y=0.1)
        self._name(axes)

    def _name(self, axes: "Axes") -> None:
        """Write the names from the lowest mark upwards, in the frame's own coordinates."""
        axes.autoscale_view()  # else the frame is that of the marks before
        frame = axes.transData + axes.transAxes.inverted()
        marks = frame.transform(np.column_stack([self.x, self.y]).reshape(-1, 2))
        taken: list[tuple[float, float, float]] = []
        for model in np.lexsort((marks[:, 0], marks[:, 1])):
            mark, height = marks[model]
            if not np.isfinite(marks[model]).all():
                continue
            left = mark > 0.6  # of the mark, so that the name stays inside
            place = mark - GAP if left else mark + GAP
            width = LETTER * len(self.names[model])
            start = place - width if left else place
            while any(
                start < end and begin < start + width and abs(height - y) < HEIGHT
                for begin, end, y in taken
            ):
                height += HEIGHT / 4
            taken.append((start, start + width, height))
            axes.annotate(
                self.names[model],
                (self.x[model], self.y[model]),
                xytext=(place, height),
                textcoords="axes fraction",
                ha="right" if left else "left",
                va="center",
                fontsize=6,
                color="0.2",
                arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.5},
            )
