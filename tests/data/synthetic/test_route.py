import itertools
import math
from collections import Counter

import numpy as np

from protcontact.data.synthetic.rods import Element
from protcontact.data.synthetic.route import hop_costs, sampled_order, set_directions, threaded


def helices(*places):
    return [Element("H", 10, x, y, 0.0) for x, y in places]


def test_near_hops_are_cheap_and_hops_within_a_sheet_are_not():
    elements = [Element("E", 6, 4.8 * k, 0, -3, sheet=0, rank=k) for k in range(3)]
    elements += helices((0.0, 10.0), (0.0, 30.0))
    costs = hop_costs(elements)
    assert np.allclose(costs, np.transpose(costs))
    assert costs[0][1] > costs[0][2] > costs[0][3]
    assert costs[0][4] > costs[0][3]


def test_orders_are_drawn_with_the_probability_that_is_promised():
    """All 24 orders of four rods: frequencies against exp(-cost) / Z, computed one by one."""
    elements = helices((0, 0), (9, 0), (9, 9), (0, 20))
    costs = hop_costs(elements)
    orders = list(itertools.permutations(range(4)))
    weights = np.array(
        [math.exp(-sum(costs[a][b] for a, b in itertools.pairwise(order))) for order in orders]
    )
    rng = np.random.default_rng(0)
    draws = 4000
    found = Counter(
        tuple(sampled_order(rng, costs, [0, 1, 2, 3], (False, False))) for _ in range(draws)
    )
    expected = weights / weights.sum()
    frequency = np.array([found[order] / draws for order in orders])
    assert np.abs(frequency - expected).max() < 4 * np.sqrt(0.25 / draws)


def test_fixed_ends_stay():
    costs = hop_costs(helices(*[(9.0 * k, 0.0) for k in range(6)]))
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(50):
        order = sampled_order(rng, costs, [3, 0, 1, 2, 4, 5], (True, True))
        assert order[0] == 3 and order[-1] == 5
        assert sorted(order) == list(range(6))
        seen.add(tuple(order))
    assert len(seen) > 1


def test_every_element_is_visited_once_and_the_chain_runs_up_and_down_in_turns():
    elements = helices(*[(9.0 * (k % 4), 10.0 * (k // 4)) for k in range(12)])
    order = threaded(np.random.default_rng(2), elements)
    assert sorted(map(id, order)) == sorted(map(id, elements))
    assert all(a.up != b.up for a, b in itertools.pairwise(order))


def test_partners_of_the_two_ends_come_in_the_same_order():
    elements = [
        Element("E", 6, 4.8 * k, 0, -3, sheet=0, rank=k, group=1 + k % 2) for k in range(6)
    ] + helices((0, 10), (9, 10))
    for seed in range(10):
        order = threaded(np.random.default_rng(seed), elements)
        assert [e.group for e in order] == [1, 1, 1, 0, 0, 2, 2, 2]
        early, late = [e.rank // 2 for e in order[:3]], [e.rank // 2 for e in order[-3:]]
        assert early == late


def test_directions_begin_as_asked():
    elements = helices((0, 0), (9, 0), (18, 0))
    set_directions(elements, False)
    assert [element.up for element in elements] == [False, True, False]
