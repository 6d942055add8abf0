"""Windows, their joining and their seams against loops over pairs."""

import math

import numpy as np
import pytest

from protcontact.models.pretrained.tiling import TILE, Mosaic, Seam, Window, windows


def symmetric(length, seed):
    found = np.random.default_rng(seed).random((length, length), dtype=np.float32)
    return np.maximum(found, found.T)


@pytest.mark.parametrize(
    ("length", "width", "overlap"),
    [
        (1, 1, 0),
        (5, 9, 3),
        (9, 9, 3),
        (10, 9, 3),
        (50, 10, 0),
        (50, 10, 9),
        (51, 10, 5),
        (97, 7, 2),
    ],
)
def test_windows_cover_and_overlap(length, width, overlap):
    found = windows(length, width, overlap)
    assert {len(window) for window in found} == {min(length, width)}
    assert found[0].start == 0
    assert found[-1].stop == length
    for left, right in zip(found, found[1:], strict=False):
        assert left.stop - right.start >= overlap
        assert right.start > left.start
    if len(found) > 1:  # one fewer could not
        fewer = len(found) - 1
        assert fewer * width - (fewer - 1) * overlap < length


def test_half_a_window_is_the_default_overlap():
    assert windows(100, 20) == windows(100, 20, 10)
    near = np.zeros((100, 100), dtype=bool)
    for window in windows(100, 20):
        near[window.start : window.stop, window.start : window.stop] = True
    apart = np.abs(np.subtract.outer(np.arange(100), np.arange(100)))
    assert near[apart <= 10].all()


@pytest.mark.parametrize("sizes", [(0, 5, 1), (5, 0, 0), (5, 4, 4), (5, 4, -1)])
def test_senseless_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="overlap within"):
        windows(*sizes)


def slow_mosaic(length, tiles, maps):
    """Weighted means, pair by pair, in float64; and all differences of windows at shared pairs."""
    joined = np.full((length, length), np.nan)
    apart = []
    for i in range(length):
        for j in range(length):
            total = weighted = 0.0
            held = []
            for tile, found in zip(tiles, maps, strict=True):
                if not (tile.start <= min(i, j) and max(i, j) < tile.stop):
                    continue
                value = float(found[i - tile.start, j - tile.start])
                weight = 1.0
                for place in (i, j):
                    to_cut = []
                    if tile.start > 0:
                        to_cut.append(place - tile.start + 1)
                    if tile.stop < length:
                        to_cut.append(tile.stop - place)
                    weight *= min(to_cut, default=1)
                total += weight
                weighted += weight * value
                if j - i >= 6:
                    apart += [abs(value - other) for other in held]
                held.append(value)
            if total:
                joined[i, j] = weighted / total
    return joined, apart


@pytest.mark.parametrize(("width", "overlap"), [(12, 0), (12, 5), (12, 6), (12, 9), (30, 15)])
def test_mosaic_as_the_slow_twin(width, overlap):
    length = 41
    tiles = windows(length, width, overlap)
    maps = [symmetric(width, seed) for seed in range(len(tiles))]
    mosaic = Mosaic(length)
    for tile, found in zip(tiles, maps, strict=True):
        mosaic.add(tile, found)
    joined, apart = slow_mosaic(length, tiles, maps)
    seam = mosaic.seam()
    assert seam.pairs == len(apart)
    if apart:
        assert seam.mean == pytest.approx(np.mean(apart), rel=1e-6)
        assert seam.largest == pytest.approx(max(apart), rel=1e-6)
    else:
        assert math.isnan(seam.mean)
        assert math.isnan(seam.largest)
    found = mosaic.joined()
    # NaN where, and only where, NaN is due; two roundings of numbers up to 1.
    np.testing.assert_allclose(found, joined, rtol=0, atol=2.4e-7)
    assert np.isnan(found).any()
    np.testing.assert_array_equal(found, found.T)


def test_seam_by_hand():
    left, right = np.zeros((10, 10), np.float32), np.zeros((10, 10), np.float32)
    left[3, 9] = left[9, 3] = 0.5  # the only shared pair that is 6 apart: 3 and 9
    right[0, 6] = right[6, 0] = 0.25
    mosaic = Mosaic(13)
    mosaic.add(Window(0, 10), left)
    mosaic.add(Window(3, 13), right)
    assert mosaic.seam() == Seam(1, 0.25, 0.25)
    # In each window one of the two is beside the cut (1), the other 7 from it.
    assert mosaic.joined()[3, 9] == pytest.approx((7 * 0.5 + 7 * 0.25) / 14)


def test_a_pair_of_one_window_keeps_its_numbers_to_the_bit():
    mosaic = Mosaic(30)
    first = symmetric(20, 1)
    mosaic.add(Window(0, 20), first)
    mosaic.add(Window(10, 30), symmetric(20, 2))
    np.testing.assert_array_equal(mosaic.joined()[:10, :20], first[:10])
    whole = Mosaic(20)
    whole.add(Window(0, 20), first)
    np.testing.assert_array_equal(whole.joined(), first)
    assert whole.seam().pairs == 0


def test_windows_of_one_function_have_no_seam():
    """Equal numbers stay what they are, whatever the weights."""
    truth = symmetric(40, 3)
    mosaic = Mosaic(40)
    for tile in windows(40, 16):
        mosaic.add(tile, truth[tile.start : tile.stop, tile.start : tile.stop])
    assert mosaic.seam().largest == 0
    found = mosaic.joined()
    np.testing.assert_allclose(found[~np.isnan(found)], truth[~np.isnan(found)], rtol=1e-6)


@pytest.mark.parametrize(
    ("window", "size"), [(Window(0, 10), 9), (Window(5, 15), 10), (Window(-1, 9), 10)]
)
def test_a_map_of_another_size_is_refused(window, size):
    with pytest.raises(ValueError, match="does not fit"):
        Mosaic(12).add(window, symmetric(size, 0))


def test_the_default_window_is_what_learned_positions_reach():
    assert TILE == 1024 - 2
