"""Separation ranges: the intervals, their masks and their sizes."""

import pytest
import torch

from protcontact.metrics.ranges import LONG, MEDIUM, RANGES, SHORT, SeparationRange


def test_limits_are_those_of_the_definition():
    spans = [(span.name, span.low, span.high) for span in RANGES]
    assert spans == [("short", 6, 11), ("medium", 12, 23), ("long", 24, None)]
    assert RANGES == (SHORT, MEDIUM, LONG)


def test_every_separation_from_six_is_in_exactly_one_range():
    separation = torch.arange(2000)
    times = sum(span.contains(separation).int() for span in RANGES)
    assert torch.equal(times, (separation >= 6).int())


@pytest.mark.parametrize("length", [1, 2, 6, 7, 12, 13, 24, 25, 30, 101])
@pytest.mark.parametrize("span", [*RANGES, SeparationRange("narrow", 3, 3)])
def test_number_of_pairs_agrees_with_counting(span, length):
    counted = sum(
        1
        for i in range(length)
        for j in range(i + 1, length)
        if j - i >= span.low and (span.high is None or j - i <= span.high)
    )
    index = torch.arange(length)
    mask = span.contains((index[:, None] - index[None, :]).abs())
    assert span.pairs(length) == counted
    assert int(mask.sum()) == 2 * counted


@pytest.mark.parametrize(("low", "high"), [(0, 5), (-1, None), (6, 5)])
def test_refuses_an_interval_that_is_none(low, high):
    with pytest.raises(ValueError, match="'odd'"):
        SeparationRange("odd", low, high)
