"""Sequences with known relations: families, fragments, and strangers."""

import numpy as np

from tests.data.files import NAMES, random_sequence

LETTERS = list(NAMES)


def mutated(sequence: str, fraction: float, seed: int) -> str:
    """Replace a fraction of the residues by others."""
    source = np.random.default_rng(seed)
    letters = list(sequence)
    places = source.permutation(len(letters))[: round(fraction * len(letters))]
    for place in places:
        others = [letter for letter in LETTERS if letter != letters[place]]
        letters[place] = str(source.choice(others))
    return "".join(letters)


def families(count: int = 6, length: int = 120) -> dict[str, str]:
    """Each family: its first member, relatives at 50 % identity, a fragment, a duplicate."""
    chains = {}
    for family in range(count):
        first = random_sequence(length + 3 * family, 100 + family)
        chains[f"f{family}_first"] = first
        chains[f"f{family}_half1"] = mutated(first, 0.5, 1000 + family)
        chains[f"f{family}_half2"] = mutated(first, 0.5, 2000 + family)
        chains[f"f{family}_fragment"] = first[20:70]
        chains[f"f{family}_twin"] = first
    for stranger in range(12):
        chains[f"s{stranger}_A"] = random_sequence(90, 500 + stranger)
    return chains
