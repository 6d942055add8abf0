"""How many residues has each loop?

A chain of k elements has k + 1 spans: the tail in front, the loops, the tail behind. Each loop has
at least what its gap needs; what the length of the chain leaves over is dealt out at random, so
the same topology has different separations in every chain.
"""

import numpy as np

from protcontact.data.synthetic.geometry import CA
from protcontact.data.synthetic.rods import Element, placed
from protcontact.data.synthetic.route import set_directions

LOOP_MIN, TAIL_MIN = 4, 2  # with the caps of the elements
LOOP_EXTRA, TAIL_EXTRA = 4, 8
DETOUR, DETOUR_MAX = 1, 2  # residues more to get around a rod that stands in the way
IN_THE_WAY = 4.0  # Angstrom from the straight way to the axis of the rod
LOOP_RISE = 2.7  # Angstrom that a residue of a loop bridges with ease


def least_spans(elements: list[Element]) -> np.ndarray:
    """Smallest number of residues of each span ``(k + 1,)`` between elements."""
    rods = [placed(element) for element in elements]
    axes = np.array([(element.x, element.y) for element in elements])
    loops = []
    for k in range(len(rods) - 1):
        gap = float(np.linalg.norm(rods[k + 1][0, CA] - rods[k][-1, CA]))
        direct = max(LOOP_MIN, int(np.ceil(gap / LOOP_RISE)) + 3)
        loops.append(direct + min(DETOUR * _between(axes, k), DETOUR_MAX))
    return np.array([TAIL_MIN, *loops, TAIL_MIN])


def _between(axes: np.ndarray, k: int) -> int:
    """How many rods at ``(k, 2)`` stand in the straight way from rod k to rod k + 1?"""
    start, way = axes[k], axes[k + 1] - axes[k]
    others = np.delete(axes, [k, k + 1], axis=0) - start
    along = np.clip(others @ way / max(float(way @ way), 1e-9), 0.0, 1.0)
    return int((np.linalg.norm(others - along[:, None] * way, axis=1) < IN_THE_WAY).sum())


def dealt(rng: np.random.Generator, least: np.ndarray, residues: int) -> np.ndarray | None:
    """Deal `residues` out to spans that need `least` each; None if they are too few or too many."""
    room = np.full(len(least), LOOP_EXTRA)
    room[[0, -1]] = TAIL_EXTRA
    spare = residues - int(least.sum())
    if not 0 <= spare <= room.sum():
        return None
    places = rng.permutation(np.repeat(np.arange(len(least)), room))[:spare]
    return least + np.bincount(places, minlength=len(least))


def exchanged(
    rng: np.random.Generator, spans: np.ndarray, least: np.ndarray, span: int
) -> tuple[np.ndarray, int]:
    """Give a residue to a span, or take one from it.

    Args:
        rng: Source of randomness.
        spans: ``(k + 1,)``, present number of residues.
        least: ``(k + 1,)``, smallest numbers.
        span: Which one is to change.

    Returns:
        The new spans, and the other span that changed (`span` itself if none could).
    """
    change = 1 if rng.random() < 0.7 else -1
    if spans[span] + change < least[span]:
        change = 1
    able = spans - change >= least
    able[span] = False
    if not able.any():
        return spans, span
    other = int(rng.choice(np.flatnonzero(able)))
    spans = spans.copy()
    spans[span] += change
    spans[other] -= change
    return spans, other


def set_starts(elements: list[Element], spans: np.ndarray) -> None:
    """Write into each element where in the chain it starts."""
    start = int(spans[0])
    for element, span in zip(elements, spans[1:], strict=True):
        element.start = start
        start += element.length + int(span)


def fitted(
    rng: np.random.Generator, length: int, elements: list[Element], keep_ends: bool
) -> tuple[list[Element], np.ndarray] | None:
    """Leave out elements until what is left can be joined within the length of the chain.

    Args:
        rng: Source of randomness.
        length: Number of residues of the chain.
        elements: In the order of the chain.
        keep_ends: Leave out elements of group 0 anywhere, rather than the first or the last.

    Returns:
        The elements that stay, and their spans; None if nothing fits.
    """
    while len(elements) > 1:
        residues = length - sum(element.length for element in elements)
        spans = dealt(rng, least_spans(elements), residues)
        if spans is not None:
            set_starts(elements, spans)
            return elements, spans
        free = [k for k, e in enumerate(elements) if e.group == 0]
        if not free:
            return None
        gone = int(rng.choice(free)) if keep_ends else int(rng.choice([0, len(elements) - 1]))
        elements = elements[:gone] + elements[gone + 1 :]
        set_directions(elements, elements[0].up)
    return None
