"""Readings by bin: what is compared is compared within the same chains; dependence by hand."""

import math
from dataclasses import replace

import pytest
import torch

from protcontact.errors import InputError
from protcontact.gradflow.diagnosis_bins import (
    CHAINS,
    COMPARED,
    FIRST_BLOCK,
    GRADIENT,
    NULL,
    RELATIVE_DEPENDENCE,
    RELATIVE_GAIN,
    SCORED,
    SOURCES,
    BinReadings,
    dependence_by_distance,
    random_signs,
    same_chains,
)
from protcontact.gradflow.distance import distance_curve, spread_evenly
from protcontact.gradflow.jacobian_map import nearest_first
from protcontact.metrics.precision import score_chain
from protcontact.metrics.separation_bins import doubling_bins
from tests.gradflow.test_untouched import contact_model, random_batch

NAN = math.nan
BATCH = random_batch([40], seed=1)


def signs_of(model, seed=0):
    return random_signs(model.encoder, torch.Generator().manual_seed(seed))


def added(model, *batches, null=nearest_first, longest=40):
    readings = BinReadings(doubling_bins(longest))
    for batch in batches:
        readings.add(model, batch, null, 1.0, signs_of(model))
    found = {}
    for r in readings.readings():
        found.setdefault((r.probe, r.where), {})[r.index] = r.value
    return found


def test_the_null_is_the_one_that_is_given():
    at = added(contact_model(), BATCH, null=lambda index: -nearest_first(index))
    far_first = BATCH.separation()[0].double()
    found = score_chain(
        far_first, BATCH.contact()[0], BATCH.known()[0], ranges=doubling_bins(40)[:1]
    )
    assert at["P@L", NULL][6] == found["6-11"].precision_l


def test_precision_is_compared_within_the_same_chains():
    above = torch.tensor(
        [[0.2, 0.1, NAN], [0.4, NAN, 0.1], [NAN, 0.3, 0.3], [-0.1, -0.1, -0.6]],
        dtype=torch.float64,
    )
    # 0.5 above chance in all; 0.1 near and 0.0 far; 0.3 near and -0.5 far
    assert same_chains(above).tolist() == [0.0, -math.inf, -math.inf]
    assert same_chains(above[:3]).tolist() == pytest.approx(
        [0.0, math.log10(0.5), math.log10(0.25)]
    )
    assert all(map(math.isnan, same_chains(above[3:]).tolist()))  # nothing near to lose
    assert all(map(math.isnan, same_chains(above[2:3]).tolist()))  # no chain has both


def test_a_chain_without_a_contact_nearby_has_no_part_in_what_is_compared():
    """A hairpin of two straight strands: its only contacts are far apart in sequence."""
    L = 40
    place = torch.zeros(L, 3)
    place[: L // 2, 0] = 10.0 * torch.arange(L // 2)
    place[L // 2 :, 0] = 10.0 * torch.arange(L // 2).flip(0)
    place[L // 2 :, 1] = 7.0
    place[12:28, 2] = 100.0 * torch.arange(1, 17)  # the turn is a stretched loop
    hairpin = replace(BATCH, coordinates=place[None])
    near = hairpin.contact() & (hairpin.separation() >= 6) & (hairpin.separation() < 12)
    assert not bool(near.any())
    model = contact_model()
    alone, both = added(model, BATCH), added(model, BATCH, hairpin)
    for probe in (FIRST_BLOCK, RELATIVE_GAIN, RELATIVE_DEPENDENCE):
        [one], [two] = ([v for (p, _), v in at.items() if p == probe] for at in (alone, both))
        assert one == pytest.approx(two, nan_ok=True)
        assert one[6] == 0
    assert both[CHAINS, SCORED][24] == alone[CHAINS, SCORED][24] + 1
    assert both[CHAINS, COMPARED] == alone[CHAINS, COMPARED]
    name = next(where for probe, where in alone if probe == GRADIENT)
    assert both[GRADIENT, name][24] != alone[GRADIENT, name][24]  # what is not compared: all


def test_dependence_is_the_distance_curve_of_those_signs():
    model, L = contact_model(), 40
    found = dependence_by_distance(model.encoder, BATCH, signs_of(model, 3))
    expected = distance_curve(
        model.encoder,
        BATCH.tokens[0],
        BATCH.index[0],
        spread_evenly(torch.tensor(L), SOURCES),
        torch.Generator().manual_seed(3),
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert set(signs_of(model).unique().tolist()) == {-1, 1}


def test_refuses_a_model_that_says_nan():
    model = contact_model()
    with torch.no_grad():
        model.head.right.weight.mul_(1e200)
        model.head.left.weight.mul_(1e200)
    with pytest.raises(InputError, match="the model says NaN of .* pairs of chain 'chain0'"):
        added(model, BATCH)
