"""Which chains must stay together, and which split does each group go to?

Groups are the connected components of the homology graph (single linkage), so no two chains of
different groups are homologous. What goes where depends on the seed and on the chains, not on
their order.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from protcontact.errors import InputError

Clusters = dict[str, list[str]]


def components(names: Sequence[str], edges: Iterable[tuple[int, int]]) -> list[int]:
    """Find connected components.

    Args:
        names: One for each of N nodes.
        edges: Pairs of nodes.

    Returns:
        For each node the component's node that was named first, N integers.
    """
    parent = list(range(len(names)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in edges:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    return [root(node) for node in range(len(names))]


def name_clusters(labels: Sequence[int], lengths: Mapping[str, int]) -> Clusters:
    """Name each component by its longest chain (the first in the alphabet of equal ones).

    Args:
        labels: Component of each chain.
        lengths: ``{chain id: residues}``, in the order of `labels`.

    Returns:
        ``{name: sorted chain ids}``, sorted by name.
    """
    members: dict[int, list[str]] = {}
    for label, chain in zip(labels, lengths, strict=True):
        members.setdefault(label, []).append(chain)
    named = {
        min(ids, key=lambda one: (-lengths[one], one)): sorted(ids) for ids in members.values()
    }
    return dict(sorted(named.items()))


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode()).digest()


def assign(clusters: Clusters, fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    """Give each cluster to a split.

    Clusters are visited in an order that a hash of seed and name decides. Each goes to the first
    of the splits after the first one (test, val) that still has room for all of its chains, else
    to the first one (train). A split that stays empty gets the smallest cluster of the split with
    the most clusters.

    Args:
        clusters: ``{name: chain ids}``.
        fractions: Of the chains, ``{split: fraction}``; the first split takes what is left.
        seed: Another seed, another assignment.

    Returns:
        ``{cluster name: split}``.

    Raises:
        InputError: If there are fewer clusters than splits.
    """
    wanted = [split for split, fraction in fractions.items() if fraction > 0]
    if len(clusters) < len(wanted):
        raise InputError(
            f"{len(clusters)} homology cluster(s) cannot fill {len(wanted)} splits; add "
            "unrelated structures, raise --min-identity, or set a --fractions value to 0"
        )
    rest, *others = wanted
    total = sum(len(ids) for ids in clusters.values())
    room = {split: max(1, round(fractions[split] * total)) for split in others}
    order = sorted(clusters, key=lambda name: _hash(seed, name))
    given: dict[str, str] = {}
    for name in order:
        size = len(clusters[name])
        given[name] = next((split for split in others if room[split] >= size), rest)
        if given[name] != rest:
            room[given[name]] -= size
    for split in wanted:
        if split not in given.values():
            donor = Counter(given[name] for name in order).most_common(1)[0][0]
            spare = [name for name in order if given[name] == donor]
            given[min(spare, key=lambda name: len(clusters[name]))] = split
    return given
