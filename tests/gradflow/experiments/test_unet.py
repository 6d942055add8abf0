"""The U-Net: path lengths counted by hand, and what the picture must show."""

import pytest

from protcontact.gradflow.experiments.unet import VARIANTS, UNetExperiment

SMALL = {"levels": 2, "channels": 8, "length": 24, "networks": 1}


@pytest.fixture(scope="module")
def result():
    return UNetExperiment(levels=3, channels=8, length=32, networks=2).run()


def values(result, probe, where):
    return [r.value for r in result.readings if (r.probe, r.where) == (probe, where)]


@pytest.mark.parametrize(
    ("where", "layers"),
    [
        ("skips", [1, 1, 1]),  # the logit
        ("no skips", [1, 3, 5]),  # and a linear layer to each level and back
        ("skips, plain blocks", [3, 5, 5]),  # and two blocks of two, or one if there is one level
        ("no skips, plain blocks", [3, 9, 15]),
    ],
)
def test_shortest_paths(result, where, layers):
    assert values(result, "shortest_path", where) == pytest.approx(layers, abs=1e-9)
    [variant] = [v for v in VARIANTS if v.where == where]
    assert [variant.shortest(levels) for levels in (1, 2, 3)] == layers


def test_without_skips_and_identities_every_path_is_the_longest(result):
    mean = values(result, "mean_path", "no skips, plain blocks")
    assert mean == pytest.approx([3, 9, 15], abs=1e-9)
    assert values(result, "mean_path", "skips")[-1] < values(result, "mean_path", "no skips")[-1]


def test_the_gradient_vanishes_with_levels_only_without_skips(result):
    lost = {
        v.where: values(result, "log10_gradient", v.where)[0]
        - values(result, "log10_gradient", v.where)[-1]
        for v in VARIANTS
    }
    assert lost["no skips, plain blocks"] > 3
    assert lost["skips, plain blocks"] < 1.5


def test_the_profile_is_zero_outside_only_where_statistics_are_held(result):
    predicted = values(result, "predicted", "statistics held")
    held = values(result, "log10_pair_gradient", "statistics held")
    assert all(value == -float("inf") for value, p in zip(held, predicted, strict=True) if not p)
    assert min(values(result, "log10_pair_gradient", "as it is")) > -20


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"levels": 0}, "levels must be 1 ... 8"),
        ({"levels": 9, "length": 2000}, "levels must be 1 ... 8"),
        ({"channels": 7}, "channels must be >= 8"),
        ({"networks": 0}, "networks must be >= 1"),
        ({"levels": 5, "length": 32}, "more than 32 residues"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        UNetExperiment(**sizes)


def test_one_level():
    result = UNetExperiment(levels=1, channels=8, length=16, networks=1).run()
    assert result.holds
