"""How are the numbers of an experiment drawn? Lines and regions, legible without colour.

Who measures says what there is to draw, as `Panel`; only this file knows how.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from protcontact.figures.gradient_flow import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES: tuple[Any, ...] = (
    "-",
    "--",
    "-.",
    (0, (1, 1)),
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (3, 3)),
    (0, (8, 2)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MARKS = 8  # along a line


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        label: In the legend; "" for none.
        x: Places.
        y: Values; what is not finite leaves a gap.
        theory: A closed form: drawn thin, black and dotted, without marks, above what it predicts.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    theory: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves in one frame.

    Attributes:
        lines: The curves.
        xlabel: What the horizontal axis shows, with its unit.
        ylabel: What the vertical axis shows, with its unit.
        title: Printed above.
        xlog: Whether the horizontal axis is logarithmic.
        ylog: Whether the vertical one is.
        level: Where a horizontal grey line is drawn; NaN for none.
    """

    lines: Sequence[Line]
    xlabel: str
    ylabel: str
    title: str = ""
    xlog: bool = False
    ylog: bool = False
    level: float = math.nan

    def draw(self, axes: "Axes") -> None:
        """Draw into a frame."""
        from matplotlib.ticker import MaxNLocator

        if not math.isnan(self.level):
            axes.axhline(self.level, color="0.6", linewidth=0.8)
        measured = 0
        for line in self.lines:
            x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
            y = np.where(np.isfinite(y), y, np.nan)
            if line.theory:
                axes.plot(
                    x,
                    y,
                    label=line.label or None,
                    color="black",
                    linewidth=0.9,
                    linestyle=":",
                    zorder=5,
                )
                continue
            place = measured % len(COLOURS)
            axes.plot(
                x,
                y,
                label=line.label or None,
                color=COLOURS[place],
                linewidth=1.4,
                linestyle=DASHES[place],
                marker=MARKERS[place],
                markersize=4,
                markevery=max(len(x) // MARKS, 1),
            )
            measured += 1
        if self.xlog:
            axes.set_xscale("log")
        elif all(float(x).is_integer() for line in self.lines for x in line.x):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if self.ylog:
            axes.set_yscale("log")
        if any(line.label for line in self.lines):
            axes.legend(fontsize=7, framealpha=0.85)


@dataclass(frozen=True)
class Regions:
    """Boundaries of regions in a plane: for each, where a function of (x, y) is at most `level`.

    Attributes:
        x: ``(W,)``.
        y: ``(H,)``.
        values: Name of a region -> ``(H, W)``.
        level: The boundary; the region is where values are below.
        xlabel: As in `Panel`.
        ylabel: As in `Panel`.
        title: As in `Panel`.
    """

    x: Sequence[float]
    y: Sequence[float]
    values: dict[str, np.ndarray]
    xlabel: str
    ylabel: str
    title: str = ""
    level: float = 1.0

    def draw(self, axes: "Axes") -> None:
        """Draw into a frame."""
        from matplotlib.lines import Line2D

        shown = []
        for place, (name, values) in enumerate(self.values.items()):
            colour, dash = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
            axes.contour(
                self.x, self.y, values, levels=[self.level], colors=colour, linestyles=[dash]
            )
            shown.append(Line2D([], [], color=colour, linestyle=dash, label=name))
        axes.legend(handles=shown, fontsize=7, framealpha=0.85)
        axes.set_aspect("equal")


@dataclass(frozen=True)
class Picture:
    """A matrix as an image.

    Attributes:
        values: ``(H, W)``; what is not finite stays white.
        xlabel: As in `Panel`.
        ylabel: As in `Panel`.
        title: As in `Panel`.
        label: Of the colour bar, with its unit.
        extent: Left, right, lower and upper edge; places by default. Row 0 is at the top edge
            unless given.
        lines: Drawn on it, white and dotted: what is predicted.
    """

    values: np.ndarray
    xlabel: str
    ylabel: str
    title: str = ""
    label: str = ""
    extent: tuple[float, float, float, float] | None = None
    lines: Sequence[Line] = ()

    def draw(self, axes: "Axes") -> None:
        """Draw into a frame."""
        values = np.where(np.isfinite(self.values), self.values, np.nan)
        image = axes.imshow(
            values,
            cmap="viridis",
            extent=self.extent,
            origin="upper" if self.extent is None else "lower",
            aspect="auto",
            interpolation="nearest",
        )
        for line in self.lines:
            axes.plot(line.x, line.y, color="white", linestyle=":", linewidth=1.5)
        axes.figure.colorbar(image, ax=axes, label=self.label)


class Drawable(Protocol):
    """What has a frame of its own: `Panel`, `Regions`, `Picture` and what other modules add."""

    @property
    def xlabel(self) -> str:
        """What the horizontal axis shows."""

    @property
    def ylabel(self) -> str:
        """What the vertical axis shows."""

    @property
    def title(self) -> str:
        """Printed above."""

    def draw(self, axes: "Axes") -> None:
        """Draw into a frame."""


def draw_panels(panels: Sequence[Drawable], columns: int = 2) -> "Figure":
    """Draw panels in rows from left to right.

    Args:
        panels: What to draw.
        columns: Panels in a row.

    Raises:
        ValueError: If there is no panel.
    """
    if not panels:
        raise ValueError("there is no panel to draw")
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.8 * columns, 3.6 * rows), dpi=110, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        panel.draw(axes)
        axes.set_xlabel(panel.xlabel, fontsize=8)
        axes.set_ylabel(panel.ylabel, fontsize=8)
        axes.set_title(panel.title, fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure


def panels_png(panels: Sequence[Drawable], columns: int = 2) -> bytes:
    """`draw_panels` as the content of a PNG file."""
    content = io.BytesIO()
    draw_panels(panels, columns).savefig(content, format="png")
    return content.getvalue()
