"""Which interactive figures does a page have? Drawn by Bokeh, in colours for the colour-blind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.model import Model
from bokeh.models.annotations import ColorBar
from bokeh.models.mappers import LinearColorMapper
from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.palettes import Cividis256
from bokeh.plotting import figure

from protcontact.figures.gradient_flow import COLOURS
from protcontact.metrics.calibration import Bin
from protcontact.report.page_runs import NULL, RANDOM, RunPage

MAP, IMAGE, CURSOR = "map", "map-image", "map-cursor"  # names by which the script finds them
DASHES = ("solid", "dashed", "dotdash", "dotted")
GREY = "#666666"  # of nulls and of what is promised
NULL_DASHES = ("dotted", "dashdot", "dashed")
BLOCK = "gradflow/layer/"


def map_figure() -> Model:
    """An empty map, which the script of the page fills."""
    plot = figure(
        name=MAP,
        x_range=Range1d(start=0.5, end=100.5),
        y_range=Range1d(start=100.5, end=0.5),
        x_axis_label="residue j, place in the sequence",
        y_axis_label="residue i",
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll=None,
        sizing_mode="scale_width",
        aspect_ratio=1.0,
        max_width=720,
    )
    plot.grid.visible = False
    image = ColumnDataSource({"url": [], "x": [], "y": [], "w": [], "h": []}, name=IMAGE)
    plot.image_url(url="url", x="x", y="y", w="w", h="h", anchor="top_left", source=image)
    cursor = ColumnDataSource({"x": [], "y": [], "w": []}, name=CURSOR)
    plot.rect(
        x="x",
        y="y",
        width="w",
        height="w",
        source=cursor,
        fill_alpha=0,
        line_color=COLOURS[3],
        line_width=3,
    )
    return plot


def _plot(title: str, x: str, y: str, **options: Any) -> figure:
    return figure(
        title=title,
        x_axis_label=x,
        y_axis_label=y,
        tools="pan,box_zoom,reset,save",
        sizing_mode="stretch_width",
        height=360,
        **options,
    )


def _lines(plot: figure, lines: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Draw named lines with marks; hovering tells the numbers, the legend hides a line."""
    nulls = 0
    for place, (name, points) in enumerate(lines.items()):
        x, y = ([float(point[axis]) for point in points] for axis in (0, 1))
        source = ColumnDataSource({"x": x, "y": y, "name": [name] * len(x)})
        null = name.startswith(NULL)
        nulls += null
        colour = GREY if null else COLOURS[place % len(COLOURS)]
        dash = NULL_DASHES[nulls % 3] if null else DASHES[place // len(COLOURS) % len(DASHES)]
        plot.line(
            "x", "y", source=source, color=colour, line_width=2, line_dash=dash, legend_label=name
        )
        plot.scatter("x", "y", source=source, color=colour, size=7, legend_label=name)
    plot.add_tools(HoverTool(tooltips=[("", "@name"), ("x", "@x{0.[000]}"), ("y", "@y{0.[0000]}")]))
    if lines:
        plot.legend.click_policy = "hide"
        plot.legend.location = "top_right"


def separation_figure(runs: Sequence[RunPage]) -> Model:
    """P@L by separation: each run with its random twin, and the nulls that are the data's."""
    lines: dict[str, Sequence[tuple[float, float]]] = {}
    for shown in runs:
        for name, points in shown.separation.items():
            own = shown.run.name if name == "model" else name
            if name == RANDOM and len(runs) > 1:  # which depends on the architecture
                own = f"{name} {shown.run.name}"
            lines.setdefault(own, points)
    plot = _plot("", "separation |i - j|, from here to twice as far", "P@L", x_axis_type="log")
    _lines(plot, lines)
    return plot


def calibration_figure(curves: Mapping[str, Sequence[Bin]]) -> Model:
    """Share of contacts against predicted probability, by range; both axes in powers of ten."""
    lines = {
        name: [(one.predicted, one.observed) for one in bins if one.pairs and one.observed > 0]
        for name, bins in curves.items()
    }
    shown = {name: points for name, points in lines.items() if points}
    plot = _plot(
        "", "predicted probability", "share in contact", x_axis_type="log", y_axis_type="log"
    )
    _lines(plot, shown)
    values = [value for points in shown.values() for point in points for value in point]
    ends = [min(values, default=1e-2), 1.0]
    plot.line(ends, ends, color=GREY, line_dash="dashed", legend_label="as promised")
    plot.legend.location = "top_left"
    return plot


def gradient_figure(history: Mapping[str, Sequence[tuple[int, float]]]) -> Model | None:
    """Gradient of each block over the training, as a heat map; None if it was not measured.

    The rms where the run has it, which does not grow with the size of a block, else the norm.
    """
    what = (
        "rms"
        if any(name.startswith(BLOCK) and name.endswith("/rms") for name in history)
        else "norm"
    )
    blocks = [
        name.removeprefix(BLOCK).removesuffix(f"/{what}")
        for name in history
        if name.startswith(BLOCK) and name.endswith(f"/{what}")
    ]
    cells = [
        (str(step), block, float(np.log10(value)))
        for block in blocks
        for step, value in history[f"{BLOCK}{block}/{what}"]
        if value > 0 and np.isfinite(value)
    ]
    if not cells:
        return None
    steps = sorted({int(step) for step, _, _ in cells})
    values = [value for _, _, value in cells]
    mapper = LinearColorMapper(palette=Cividis256, low=min(values), high=max(values))
    plot = _plot("", "optimizer step", "", x_range=[str(step) for step in steps], y_range=blocks)
    plot.height = 120 + 24 * len(blocks)
    step, block, value = zip(*cells, strict=True)
    source = ColumnDataSource({"step": step, "block": block, "value": value})
    plot.rect(
        "step",
        "block",
        width=1,
        height=1,
        source=source,
        line_color=None,
        fill_color={"field": "value", "transform": mapper},
    )
    plot.add_layout(ColorBar(color_mapper=mapper, title=f"log10 {what}"), "right")
    plot.add_tools(HoverTool(tooltips="@block, step @step: @value{0.00}"))
    plot.xaxis.major_label_orientation = 1.2
    return plot


def curve_figure(name: str, points: Sequence[tuple[int, float]]) -> Model:
    """A logged number over the training."""
    plot = _plot("", "optimizer step", name)
    _lines(plot, {name: points})
    return plot


def distance_figure(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Model:
    """How much of the encoder's gradient is left at a distance along the chain, by step."""
    plot = _plot("", "distance |i - j|, residues", "log10 gradient")
    _lines(plot, curves)
    return plot
