"""Two sentences that are true of whatever numbers they are given."""

import math

import pytest

from protcontact.figures.panels import draw_panels
from protcontact.gradflow.diagnosis_bins import (
    CEILING,
    CHAINS,
    CHANCE,
    COMPARED,
    FIRST_BLOCK,
    GAIN_OF,
    LOGITS,
    NULL,
    PRECISION,
    RELATIVE_DEPENDENCE,
    RELATIVE_GAIN,
    SCORED,
    SKILL,
)
from protcontact.gradflow.diagnosis_layers import COSTATE, DEPENDENCE, GATES, LYAPUNOV, SINGULAR
from protcontact.gradflow.diagnosis_text import conclusion, panels
from protcontact.gradflow.experiment import curve
from protcontact.metrics.separation_bins import doubling_bins

BINS = doubling_bins(60)
LOWS = [6, 12, 24, 48]
NAN = math.nan


def readings(scored=(9, 8, 6, 2), compared=(9, 8, 5, 2), skill=(0.0, -0.1, -0.5, NAN), **other):
    by_bin = {
        (PRECISION, LOGITS): [0.20, 0.15, 0.09, 0.01],
        (PRECISION, NULL): [0.1, 0.1, 0.05, 0.02],
        (PRECISION, CHANCE): [0.10, 0.05, 0.03, 0.02],
        (PRECISION, CEILING): [0.5, 0.5, 0.4, 0.1],
        (CHAINS, SCORED): scored,
        (CHAINS, COMPARED): compared,
        (SKILL, LOGITS): skill,
        (FIRST_BLOCK, "encoder.embedding"): other.get("first", [0.0, -0.2, -1.0, -2.0]),
        (RELATIVE_GAIN, GAIN_OF): [0.0, 0.0, 0.01, 0.2],
        (RELATIVE_DEPENDENCE, "encoder"): [0.0, -1.0, -3.24, -6.0],
    }
    found = []
    for (probe, where), values in by_bin.items():
        found += curve(probe, where, values, LOWS)
    return found + curve(DEPENDENCE, "encoder", [-0.1 * d for d in range(60)])


def test_the_farthest_bin_of_enough_chains_is_compared_with_the_nearest():
    text = conclusion(readings(), BINS)
    assert "P@L is 0.200 at separations of 6-11 (2.0 times chance, chains: 9)" in text
    assert "and 0.090 at 24-47 (3.0 times chance, chains: 6)." in text
    assert "In the chains with contacts at both (5), this is left at 24-47" in text
    assert "of P@L above chance: 0.32;" in text
    assert "first block, encoder.embedding: 0.10;" in text
    assert "gain of the encoder on the way there: 1.02;" in text
    assert text.endswith("so far away: 10^-3.2.")


def test_enough_are_those_that_have_contacts_in_both_bins():
    """Many chains with a contact far away and none near say nothing of what is lost between."""
    text = conclusion(readings(scored=(9, 8, 9, 9), compared=(9, 8, 2, 2)), BINS)
    assert "this is left at 12-23 of what there is at 6-11" in text


def test_few_chains_are_better_than_none():
    few = readings((1, 1, 1, 1), (1, 1, 1, 1))
    assert "at 48-95 (0.5 times chance, chains: 1)" in conclusion(few, BINS)


def test_what_is_lost_altogether_and_what_has_no_ratio():
    text = conclusion(readings(skill=(0.0, 0.0, -math.inf, NAN)), BINS)
    assert "of P@L above chance: nothing; of the gradient" in text
    text = conclusion(readings(skill=(NAN, NAN, NAN, NAN)), BINS)
    assert "of P@L above chance: cannot be compared; of the gradient" in text
    text = conclusion(readings(first=[NAN, NAN, math.inf, NAN]), BINS)
    assert "encoder.embedding: cannot be compared; of the gain" in text


def test_only_the_nearest_bin():
    text = conclusion(readings((5, 0, 0, 0), (5, 0, 0, 0)), BINS)
    assert text.count("6-11") == 4 and "12-23" not in text


@pytest.mark.parametrize("scored", [(0, 0, 0, 0), (0, 3, 2, 0)])
def test_no_contact_to_compare_with(scored):
    text = conclusion(readings(scored, (0, 0, 0, 0)), BINS)
    assert text.startswith("No chain has a contact at a separation of 6-11 residues")
    assert text.endswith("this is left at 59 residues: 10^-5.9.")


def test_panels_are_those_that_have_something_to_show():
    few = panels(readings())
    assert [panel.title for panel in few] == [
        "what is found",
        "what is lost with separation",
        "dependence of y_i on x_j, and in the layers",
    ]
    [ceiling] = [line for line in few[0].lines if line.theory]
    assert ceiling.label == CEILING
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
