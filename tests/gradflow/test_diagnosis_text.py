"""Two sentences that are true of whatever numbers they are given."""

import math

import pytest

from protcontact.figures.panels import draw_panels
from protcontact.gradflow.diagnosis_layers import COSTATE, DEPENDENCE, GATES, LYAPUNOV, SINGULAR
from protcontact.gradflow.diagnosis_text import GAIN, SKILL, conclusion, panels
from protcontact.gradflow.experiment import curve
from protcontact.metrics.separation_bins import doubling_bins

BINS = doubling_bins(60)
LOWS = [6, 12, 24, 48]


def readings(counts=(9, 8, 5, 2), skill=(0.0, -0.1, -0.5, math.nan)):
    by_bin = {
        ("P@L", "logits"): [0.20, 0.15, 0.09, 0.01],
        ("P@L", "separation null"): [0.1, 0.1, 0.05, 0.02],
        ("P@L", "chance"): [0.10, 0.05, 0.03, 0.02],
        ("P@L", "ceiling"): [0.5, 0.5, 0.4, 0.1],
        ("chains", "with a contact in the bin"): counts,
        (SKILL, "logits"): skill,
        ("log10_first_block", "encoder.embedding"): [0.0, -0.2, -1.0, -2.0],
        ("log10_relative_gain", GAIN): [0.0, 0.0, 0.01, 0.2],
        ("log10_relative_dependence", "encoder"): [0.0, -1.0, -3.24, -6.0],
    }
    found = []
    for (probe, where), values in by_bin.items():
        found += curve(probe, where, values, LOWS)
    return found + curve(DEPENDENCE, "encoder", [-0.1 * d for d in range(60)])


def test_the_farthest_bin_of_enough_chains_is_compared_with_the_nearest():
    text = conclusion(readings(), BINS)
    assert "P@L is 0.200 at separations of 6-11 (2.0 times chance, 9 chains)" in text
    assert "and 0.090 at 24-47 (3.0 times chance, 5 chains)." in text
    assert "P@L above chance of the far ones is 0.32," in text
    assert "first block, encoder.embedding, 0.10," in text
    assert "gain of the encoder on the way there 1.02" in text
    assert text.endswith("so far away 10^-3.2.")


def test_few_chains_are_better_than_none():
    assert "at 48-95 (0.5 times chance, 1 chains)" in conclusion(readings((1, 1, 1, 1)), BINS)


def test_what_is_lost_altogether():
    text = conclusion(readings((9, 9, 9, 9)), BINS)
    assert "P@L above chance of the far ones is nothing, the gradient" in text


def test_only_the_nearest_bin():
    text = conclusion(readings((5, 0, 0, 0)), BINS)
    assert text.count("6-11") == 2


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (0, 3, 2, 0)])
def test_no_contact_to_compare_with(counts):
    text = conclusion(readings(counts), BINS)
    assert text.startswith("No chain has a contact at a separation of 6-11 residues")
    assert "At 59 residues the dependence of the encoder's output is 10^-5.9 of" in text


def test_panels_are_those_that_have_something_to_show():
    few = panels(readings())
    assert [panel.title for panel in few] == [
        "what is found",
        "what is lost with separation",
        "dependence of y_i on x_j, and in the layers",
    ]
    [ceiling] = [line for line in few[0].lines if line.theory]
    assert ceiling.label == "ceiling"
    more = [
        *readings(),
        *curve(COSTATE, "lstm", [0, -1, -2]),
        *curve(SINGULAR, "lstm", [1.2, 0.4]),
        *curve(LYAPUNOV, "lstm", [-0.1, -0.2]),
        *curve(GATES["f"], "lstm", [0.1, 0.9]),
    ]
    full = panels(more)
    assert len(full) == 6
    assert [line.label for line in full[2].lines] == ["encoder", "lstm"]
    draw_panels(full)
