"""What does a contact map look like? Drawing only: nothing here measures.

matplotlib is loaded when the first picture is drawn, so that training without pictures does not
need it.
"""

from typing import TYPE_CHECKING

import numpy as np

from protcontact.structure.contacts import CONTACT, UNKNOWN_PAIR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers as well.
TRUE_COLOUR = "#0072B2"
HIT_COLOUR = "#009E73"
MISS_COLOUR = "#D55E00"


def draw_contact_map(
    scores: np.ndarray, labels: np.ndarray | None = None, title: str = "", min_separation: int = 6
) -> "Figure":
    """Draw predicted contacts above the diagonal and, where known, the true ones below it.

    Above the diagonal the scores are shown in grey, the best L pairs of at least `min_separation`
    as points: correct, wrong, or of unknown truth. Below it true contacts are points and pairs of
    unknown truth are hatched in grey.

    Args:
        scores: ``(L, L)`` symmetric probabilities in ``[0, 1]``.
        labels: ``(L, L)`` int8, 1 contact, 0 no contact, -1 unknown; None if nothing is known.
        title: Printed above the map.
        min_separation: Smallest ``|i - j|`` of the marked pairs.

    Returns:
        A figure that belongs to nobody: save it or turn it into an array.

    Raises:
        ValueError: If the shapes disagree.
    """
    from matplotlib.figure import Figure

    L = len(scores)
    if scores.shape != (L, L) or (labels is not None and labels.shape != (L, L)):
        raise ValueError(f"scores and labels must be (L, L), not {scores.shape}")
    figure = Figure(figsize=(5.2, 5.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    shown = np.triu(scores, 1)
    axes.imshow(shown, cmap="Greys", vmin=0, vmax=max(0.3, float(shown.max())), origin="upper")
    size = max(1.0, min(12.0, 900.0 / L))
    rows, columns = np.triu_indices(L, min_separation)
    order = np.argsort(-scores[rows, columns], kind="stable")[:L]
    best = rows[order], columns[order]
    if labels is None:
        axes.scatter(best[1], best[0], s=size, c=TRUE_COLOUR, label="best L predicted")
    else:
        _mark(axes, best, labels, size)
    axes.plot([-0.5, L - 0.5], [-0.5, L - 0.5], color="0.6", linewidth=0.6)
    axes.set(
        xlim=(-0.5, L - 0.5),
        ylim=(L - 0.5, -0.5),
        xlabel="residue (above the diagonal: predicted)",
        ylabel="residue" if labels is None else "residue (below: true)",
        title=title,
    )
    axes.legend(loc="lower left", fontsize=7, framealpha=0.85)
    return figure


def _mark(
    axes: object, best: tuple[np.ndarray, np.ndarray], labels: np.ndarray, size: float
) -> None:
    """Points of the true contacts (below) and of the best predictions by their truth (above)."""
    L = len(labels)
    rows, columns = np.nonzero(np.tril(labels == CONTACT, -1))
    axes.scatter(columns, rows, s=size, c=TRUE_COLOUR, label="true contact")  # type: ignore[attr-defined]
    lower_unknown = np.tril(labels == UNKNOWN_PAIR, -1)
    if lower_unknown.any():
        veil = np.zeros((L, L, 4))
        veil[lower_unknown] = (0.9, 0.8, 0.5, 0.6)
        axes.imshow(veil, origin="upper")  # type: ignore[attr-defined]
    truth = labels[best]
    for value, colour, name in (
        (1, HIT_COLOUR, "predicted, correct"),
        (0, MISS_COLOUR, "predicted, wrong"),
        (-1, "#E69F00", "predicted, truth unknown"),
    ):
        chosen = truth == value
        if chosen.any():
            points = best[1][chosen], best[0][chosen]
            axes.scatter(*points, s=size, c=colour, label=name)  # type: ignore[attr-defined]


def to_array(figure: "Figure") -> np.ndarray:
    """Render a figure to ``(height, width, 3)`` uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
