"""How does the gradient spread over depth, distance and gates? Drawing only."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":")


def draw_depth_profile(
    steps: Sequence[int], blocks: Sequence[str], rms: np.ndarray, title: str = ""
) -> "Figure":
    """Draw the rms of each block's gradient over the training, as a heat map.

    Args:
        steps: S optimizer steps, rising.
        blocks: N names, from the input of the network to its output; drawn from below to above.
        rms: ``(N, S)``; values that are 0, infinite or NaN are left white.
        title: Printed above.

    Raises:
        ValueError: If the shapes disagree, or there is no step.
    """
    if rms.shape != (len(blocks), len(steps)) or not len(steps):
        raise ValueError(f"rms must be {(len(blocks), len(steps))} and not empty, not {rms.shape}")
    figure, axes = _figure(7.0, 1.2 + 0.2 * len(blocks))
    with np.errstate(all="ignore"):
        shown = np.log10(rms)
    shown[~np.isfinite(shown)] = np.nan
    # the edges of the cells: half-way between steps, so that uneven steps are drawn as they are
    centres = np.asarray(steps, dtype=float)
    middle = (centres[1:] + centres[:-1]) / 2
    if len(middle):
        ends = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    else:
        ends = centres[0] - 0.5, centres[0] + 0.5
    edges = np.concatenate([ends[:1], middle, ends[1:]])
    mesh = axes.pcolormesh(edges, np.arange(len(blocks) + 1), shown, cmap="viridis")
    axes.set_yticks(np.arange(len(blocks)) + 0.5, blocks, fontsize=7)
    axes.set(xlabel="optimizer step", title=title)
    figure.colorbar(mesh, ax=axes, label="log10 rms of the gradient")
    return figure


def draw_curves(
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    threshold: float | None = -3.0,
) -> "Figure":
    """Draw decades of the gradient against a distance.

    Args:
        curves: Name -> log10 of the gradient relative to that at distance 0, by distance.
        xlabel: What the distance is.
        ylabel: What was measured.
        title: Printed above.
        threshold: Decades at which a horizontal line is drawn; None for no line.

    Raises:
        ValueError: If there is no curve.
    """
    if not curves:
        raise ValueError("there is no curve to draw")
    figure, axes = _figure(6.0, 3.6)
    if threshold is not None:
        axes.axhline(threshold, color="0.6", linewidth=0.8, linestyle="--")
    for place, (name, values) in enumerate(curves.items()):
        colour = COLOURS[place % len(COLOURS)]
        style = STYLES[place // len(COLOURS) % len(STYLES)]
        axes.plot(np.asarray(values, dtype=float), label=name, color=colour, linestyle=style)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.legend(fontsize=7, framealpha=0.85)
    return figure


def draw_gates(
    histograms: Mapping[str, Mapping[str, Sequence[float]]], title: str = ""
) -> "Figure":
    """Draw how open the gates of each LSTM are: one row for each layer, one column for each gate.

    Args:
        histograms: Layer -> gate (``f``, ``i``, ``o``) -> shares by bin of ``[0, 1]``.
        title: Printed above.

    Raises:
        ValueError: If there is no layer.
    """
    if not histograms:
        raise ValueError("there is no layer to draw")
    names = {"f": "forget gate", "i": "input gate", "o": "output gate"}
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.8 + 1.3 * len(histograms)), dpi=110, layout="constrained")
    grid = figure.subplots(len(histograms), 3, sharex=True, sharey=True, squeeze=False)
    for place, (row, (layer, gates)) in enumerate(zip(grid, histograms.items(), strict=True)):
        for axes, (gate, name) in zip(row, names.items(), strict=True):
            shares = np.asarray(gates.get(gate, []), dtype=float)
            edges = np.linspace(0, 1, len(shares) + 1)
            axes.bar(edges[:-1], shares, width=np.diff(edges), align="edge", color=COLOURS[0])
            if place == 0:
                axes.set_title(name, fontsize=9)
            if place == len(grid) - 1:
                axes.set_xlabel("closed 0 ... 1 open", fontsize=8)
        row[0].set_ylabel(layer, fontsize=7)
    figure.suptitle(title, fontsize=10)
    return figure


def _figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure, figure.add_subplot()
