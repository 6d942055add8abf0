"""In which order does the chain visit the elements?

The order is a sample, not an optimum: orders are drawn with probability ``exp(-sum of hop costs)``
by reversing random stretches (the 2-opt moves of Lin 1965, accepted as by Metropolis et al. 1953).
Near rods follow each other, as loops must join them, but which ones do is left to chance: pairs of
strands, their direction (parallel, antiparallel) and their separation differ in every chain.

Where a separation is wished, strands of group 1 come first and their partners of group 2 last, in
the same order, with everything else between them.
"""

import math

import numpy as np

from protcontact.data.synthetic.rods import Element

HOP = 9.0  # Angstrom; a hop of d costs (d / HOP)^2
HAIRPIN, NEXT_STRAND = 2.5, 6.0  # hairpins are made rare: all their contacts are short
SAME_SHEET = 1.2  # so are hops over a strand: the way is barred
MOVES_PER_ELEMENT = 40
SHEET_ORDERS = 40


def hop_costs(elements: list[Element]) -> list[list[float]]:
    """Cost of a loop between any two of n elements, ``(n, n)``, symmetric."""
    place = np.array([(element.x, element.y) for element in elements])
    sheet = np.array([element.sheet for element in elements])
    distance = np.linalg.norm(place[:, None] - place, axis=-1)
    same = (sheet[:, None] == sheet) & (sheet >= 0)
    barred = np.where(distance < NEXT_STRAND, HAIRPIN, SAME_SHEET)
    return list(((distance / HOP) ** 2 + np.where(same, barred, 0.0)).tolist())


def sampled_order(
    rng: np.random.Generator, costs: list[list[float]], order: list[int], fixed: tuple[bool, bool]
) -> list[int]:
    """Sample an order of elements.

    Args:
        rng: Source of randomness.
        costs: `hop_costs`.
        order: Where to start from.
        fixed: Whether the first and the last of `order` stay where they are.

    Returns:
        The elements of `order` in a new order.
    """
    order = list(order)
    low, high = int(fixed[0]), len(order) - int(fixed[1])
    if high - low < 2:
        return order
    count = MOVES_PER_ELEMENT * len(order)
    ends = np.sort(rng.integers(low, high, size=(count, 2)), axis=1).tolist()
    luck = rng.exponential(size=count).tolist()
    for (i, j), allowance in zip(ends, luck, strict=True):
        if i == j:
            continue
        change = 0.0
        if i > 0:
            change += costs[order[i - 1]][order[j]] - costs[order[i - 1]][order[i]]
        if j + 1 < len(order):
            change += costs[order[i]][order[j + 1]] - costs[order[j]][order[j + 1]]
        if change <= allowance:  # exp(-change) >= a uniform number
            order[i : j + 1] = order[i : j + 1][::-1]
    return order


def _greedy(rng: np.random.Generator, costs: list[list[float]], free: list[int]) -> list[int]:
    """A walk from a random element to the cheapest next one."""
    left = list(free)
    order = [left.pop(int(rng.integers(len(left))))]
    while left:
        here = costs[order[-1]]
        order.append(left.pop(min(range(len(left)), key=lambda k: here[left[k]])))
    return order


def _length(costs: list[list[float]], order: list[int]) -> float:
    return math.fsum(costs[a][b] for a, b in zip(order[:-1], order[1:], strict=True))


def _runs(
    rng: np.random.Generator, elements: list[Element], costs: list[list[float]]
) -> tuple[list[int], list[int]]:
    """Strands of group 1, and their partners of group 2, both in one order with short hops."""
    members: dict[int, tuple[list[int], list[int]]] = {}
    for k in sorted(range(len(elements)), key=lambda k: elements[k].rank):
        element = elements[k]
        if element.group:
            members.setdefault(element.sheet, ([], []))[element.group - 1].append(k)
    sheets = list(members.values())
    best: tuple[float, list[int], list[int]] = (math.inf, [], [])
    for _ in range(SHEET_ORDERS if sheets else 0):
        early: list[int] = []
        late: list[int] = []
        for number in rng.permutation(len(sheets)):
            way = 1 if rng.random() < 0.5 else -1
            early += sheets[number][0][::way]
            late += sheets[number][1][::way]
        length = _length(costs, early) + _length(costs, late)
        if length < best[0]:
            best = (length, early, late)
    return best[1], best[2]


def threaded(rng: np.random.Generator, elements: list[Element]) -> list[Element]:
    """Order elements along the chain, and set `Element.up`: up one rod, down the next."""
    costs = hop_costs(elements)
    early, late = _runs(rng, elements, costs)
    free = [k for k, element in enumerate(elements) if element.group == 0]
    middle = early[-1:] + (_greedy(rng, costs, free) if free else []) + late[:1]
    middle = sampled_order(rng, costs, middle, (bool(early), bool(late)))
    order = [elements[k] for k in early[:-1] + middle + late[1:]]
    set_directions(order, bool(rng.random() < 0.5))
    return order


def set_directions(elements: list[Element], first_up: bool) -> None:
    """Let the chain run up and down in turns."""
    for number, element in enumerate(elements):
        element.up = first_up ^ bool(number % 2)
