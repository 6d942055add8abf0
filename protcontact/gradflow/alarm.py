"""When is a gradient ill, and what should one try?"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from protcontact.gradflow.layers import GradientSummary


class Alarm(NamedTuple):
    """A diagnosis.

    Attributes:
        title: The illness: ``non-finite``, ``vanishing`` or ``exploding gradient``, ``dead units``.
        text: Where, how much, and what to try.
        sure: Whether one reading is enough. A layer that starts at zero lets nothing through at
            first, and a small batch may leave units without a gradient by chance.
    """

    title: str
    text: str
    sure: bool = True


def diagnose(
    summary: GradientSummary, vanishing: float = 1e-4, exploding: float = 1e4
) -> Alarm | None:
    """Name what is wrong with a gradient, the worst first; None if nothing is.

    Args:
        summary: Of all parameters, before clipping.
        vanishing: Largest healthy fall of the rms from the last block to the first is by this.
        exploding: Largest healthy norm of all gradients, and largest rise from last to first.
    """
    if summary.nonfinite:
        return Alarm(
            "non-finite gradient",
            f"{summary.nonfinite} parameters have a gradient that is NaN or infinite, the first is "
            f"{summary.offender}. Look at its layer and at the batch; try a smaller learning rate, "
            "gradient_clip_val, or bfloat16 instead of float16.",
        )
    first, last = _ends(summary)
    ratio = first[1] / last[1] if last[1] > 0 else math.nan
    if summary.norm > exploding or ratio > exploding:
        return Alarm(
            "exploding gradient",
            f"the norm of all gradients is {summary.norm:.2g}, and the rms in {first[0]} is "
            f"{ratio:.2g} of that in {last[0]}. Try gradient_clip_val, a smaller learning rate, or "
            "gates (LSTM) instead of a plain recurrence.",
        )
    if ratio < vanishing:
        return Alarm(
            "vanishing gradient",
            f"the rms in {first[0]} is {ratio:.2g} of that in {last[0]}. Try residual connections, "
            "normalisation before each layer, or ReLU or GELU instead of sigmoid or tanh.",
            sure=ratio > 0,
        )
    return None


def dead_units(shares: Mapping[str, float], most: float = 0.5) -> Alarm | None:
    """Name the block with the largest share of units without a gradient, if that is too large.

    Args:
        shares: Block -> share.
        most: Largest healthy share.
    """
    block, share = max(shares.items(), key=lambda item: item[1], default=("", 0.0))
    if share <= most:
        return None
    return Alarm(
        "dead units",
        f"{share:.0%} of the units in {block} have no gradient at all. Try a smaller learning "
        "rate, a smaller initial bias, normalisation before the layer, or GELU or leaky ReLU "
        "instead of ReLU.",
        sure=False,
    )


def _ends(summary: GradientSummary) -> tuple[tuple[str, float], tuple[str, float]]:
    """Name and rms of the first and of the last block."""
    first, last = summary.depth[0], summary.depth[-1]
    return (first, summary.blocks[first]["rms"]), (last, summary.blocks[last]["rms"])
