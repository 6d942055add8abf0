"""What do the readings of a diagnosis say? Panels, and two sentences with their numbers."""

import math
from collections.abc import Sequence

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.diagnosis_bins import (
    CHAINS,
    CHANCE,
    COMPARED,
    FIRST_BLOCK,
    GAIN_OF,
    LOGITS,
    PRECISION,
    RELATIVE_DEPENDENCE,
    RELATIVE_GAIN,
    SCORED,
    SKILL,
)
from protcontact.gradflow.diagnosis_layers import (
    COSTATE,
    DEPENDENCE,
    GATES,
    HANDED,
    LYAPUNOV,
    SINGULAR,
)
from protcontact.gradflow.experiment import Reading, lines
from protcontact.metrics.ranges import SeparationRange

ENOUGH = 3  # chains with a contact in two bins, for a mean that a sentence is built on
THOUSANDTH = -3.0


def panels(readings: Sequence[Reading]) -> list[Panel]:
    """Precision and gradients by separation, then what the layers do."""
    separation = "separation |i - j| of the pairs, lower end of the bin (residues)"
    precision = [
        Line(line.label, line.x, line.y, theory=line.label == "ceiling")
        for line in lines(readings, "P@L")
    ]
    found = [
        Panel(precision, separation, "P@L in the bin", "what is found", xlog=True),
        Panel(
            _compared(readings),
            separation,
            "log10, relative to the nearest bin",
            "what is lost with separation",
            xlog=True,
        ),
        Panel(
            [*lines(readings, DEPENDENCE), *lines(readings, COSTATE), *lines(readings, HANDED)],
            "distance along the chain (residues, time steps)",
            "log10, relative to distance 0",
            "dependence of y_i on x_j, and in the layers",
            level=THOUSANDTH,
        ),
        Panel(
            lines(readings, SINGULAR),
            "rank",
            "singular value",
            "Jacobian of one step (of a block: at one residue)",
            level=1.0,
        ),
    ]
    if spectrum := lines(readings, LYAPUNOV):
        found.append(
            Panel(spectrum, "rank", "decades per residue", "Lyapunov exponents", level=0.0)
        )
    if gates := lines(readings, GATES["f"]):
        found.append(Panel(gates, "forget gate (closed 0, open 1)", "share of units", "gates"))
    return [panel for panel in found if panel.lines]


def _compared(readings: Sequence[Reading]) -> list[Line]:
    """Precision above chance, gradient, gain and dependence on one scale."""
    shown = {
        SKILL: "P@L above chance",
        FIRST_BLOCK: "gradient of their loss, first block",
        RELATIVE_GAIN: GAIN_OF,
        RELATIVE_DEPENDENCE: "dependence of y_i on x_j",
    }
    return [
        Line(label, line.x, line.y)
        for probe, label in shown.items()
        for line in lines(readings, probe)
    ]


def conclusion(readings: Sequence[Reading], bins: Sequence[SeparationRange]) -> str:
    """Two sentences.

    Args:
        readings: Of the diagnosis.
        bins: From near to far.
    """
    at = _table(readings)
    compared = at[CHAINS, COMPARED]
    needed = min(ENOUGH, max(compared.values())) or 1
    near, *others = (span for span in bins if compared[span.low] >= needed or span is bins[0])
    far = others[-1] if others else near
    if compared[near.low] == 0:
        *_, last = lines(readings, DEPENDENCE)[0].x
        depends = at[DEPENDENCE, "encoder"][last]
        return (
            f"No chain has a contact at a separation of {near.name} residues, so nothing can be "
            f"compared with it. Of the dependence of the encoder's output on the residue itself, "
            f"this is left at {last:.0f} residues: {_factor(depends)}."
        )
    (p, c), (q, d) = (
        (at[PRECISION, LOGITS][span.low], at[PRECISION, CHANCE][span.low]) for span in (near, far)
    )
    counts = at[CHAINS, SCORED]
    [first] = [where for probe, where in at if probe == FIRST_BLOCK]
    left = {
        "P@L above chance": at[SKILL, LOGITS],
        f"the gradient of their loss in the first block, {first}": at[FIRST_BLOCK, first],
        "the gain of the encoder on the way there": at[RELATIVE_GAIN, GAIN_OF],
        "the dependence of the encoder's output on a residue so far away": at[
            RELATIVE_DEPENDENCE, "encoder"
        ],
    }
    factors = "; of ".join(f"{what}: {_factor(values[far.low])}" for what, values in left.items())
    return (
        f"P@L is {p:.3f} at separations of {near.name} ({p / c:.1f} times chance, chains: "
        f"{counts[near.low]:.0f}) and {q:.3f} at {far.name} ({q / d:.1f} times chance, chains: "
        f"{counts[far.low]:.0f}). In the chains with contacts at both ({compared[far.low]:.0f}), "
        f"this is left at {far.name} of what there is at {near.name}: of {factors}."
    )


def _table(readings: Sequence[Reading]) -> dict[tuple[str, str], dict[float, float]]:
    found: dict[tuple[str, str], dict[float, float]] = {}
    for r in readings:
        found.setdefault((r.probe, r.where), {})[r.index] = r.value
    return found


def _factor(logarithm: float) -> str:
    """``0.06`` or ``10^-3.4``; nothing is left of what is -inf."""
    if logarithm == -math.inf:
        return "nothing"
    if not math.isfinite(logarithm):  # relative to 0, or to what is not above chance
        return "cannot be compared"
    return f"{10**logarithm:.2f}" if abs(logarithm) < 1.5 else f"10^{logarithm:.1f}"
