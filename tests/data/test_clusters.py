"""Groups stay together, fractions are met, and only the seed and the chains decide."""

import itertools
import random
from collections import Counter

import pytest

from protcontact.data.clusters import assign, components, name_clusters
from protcontact.errors import InputError

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


def closure(count: int, edges: set[tuple[int, int]]) -> list[set[int]]:
    """Slow twin: merge sets until nothing changes."""
    groups = [{node} for node in range(count)]
    for one, other in edges:
        first = next(group for group in groups if one in group)
        second = next(group for group in groups if other in group)
        if first is not second:
            groups.remove(second)
            first |= second
    return groups


@pytest.mark.parametrize("seed", range(5))
def test_components_are_the_transitive_closure(seed):
    source = random.Random(seed)
    edges = {(source.randrange(40), source.randrange(40)) for _ in range(25)}
    labels = components([str(node) for node in range(40)], edges)
    for group in closure(40, edges):
        assert {labels[node] for node in group} == {min(group)}


def test_a_cluster_is_named_by_its_longest_chain():
    lengths = {"c": 5, "a": 9, "b": 9, "d": 1}
    assert name_clusters([0, 0, 0, 3], lengths) == {"a": ["a", "b", "c"], "d": ["d"]}


def test_fractions_are_met():
    clusters = {f"c{n}": [f"c{n}_{m}" for m in range(1 + n % 7)] for n in range(300)}
    given = assign(clusters, FRACTIONS, seed=0)
    total = sum(map(len, clusters.values()))
    chains = Counter({split: 0 for split in FRACTIONS})
    for name, ids in clusters.items():
        chains[given[name]] += len(ids)
    for split, fraction in FRACTIONS.items():
        assert abs(chains[split] / total - fraction) < 0.005


def test_the_order_does_not_matter_and_the_seed_does():
    names = [f"c{n}" for n in range(50)]
    shuffled = random.Random(0).sample(names, 50)
    one = assign({name: [name] for name in names}, FRACTIONS, 0)
    assert one == assign({name: [name] for name in shuffled}, FRACTIONS, 0)
    assert one != assign({name: [name] for name in names}, FRACTIONS, 1)


@pytest.mark.parametrize("sizes", itertools.product([1, 2, 9], repeat=3))
@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.05, 0.9, 0.05), (0.4, 0.3, 0.3)])
def test_three_clusters_fill_three_splits(sizes, fractions):
    clusters = {f"c{n}": ["x"] * size for n, size in enumerate(sizes)}
    given = assign(clusters, dict(zip(FRACTIONS, fractions, strict=True)), 0)
    assert sorted(given.values()) == ["test", "train", "val"]


def test_a_large_cluster_goes_to_training():
    clusters = {"big": ["x"] * 50, **{f"c{n}": ["x"] for n in range(50)}}
    for seed in range(5):
        assert assign(clusters, FRACTIONS, seed)["big"] == "train"


def test_a_split_without_fraction_stays_empty():
    clusters = {f"c{n}": ["x"] for n in range(10)}
    given = assign(clusters, {"train": 0.5, "val": 0.5, "test": 0.0}, 0)
    assert Counter(given.values()) == {"train": 5, "val": 5}


def test_refuses_too_few_clusters():
    with pytest.raises(InputError, match=r"2 homology cluster\(s\) cannot fill 3 splits"):
        assign({"a": ["a"], "b": ["b"]}, FRACTIONS, 0)
