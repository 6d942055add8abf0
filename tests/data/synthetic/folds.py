"""Folds that several test modules look at, drawn once."""

from functools import lru_cache

import numpy as np

from protcontact.data.synthetic.code import draw_sequence
from protcontact.data.synthetic.fold import Fold, draw_fold


@lru_cache(maxsize=1)
def many_folds() -> tuple[tuple[Fold, str], ...]:
    """40 folds of 40 to 160 residues with their sequences."""
    drawn = []
    for number in range(40):
        rng = np.random.default_rng([2024, number])
        fold = draw_fold(rng, 40 + 3 * number)
        drawn.append((fold, draw_sequence(rng, fold)))
    return tuple(drawn)


@lru_cache(maxsize=1)
def far_folds() -> tuple[tuple[Fold, str], ...]:
    """Folds whose planted pairs are at least 150 residues apart."""
    drawn = []
    for number in range(4):
        rng = np.random.default_rng([7, number])
        fold = draw_fold(rng, 190 + 20 * number, separation=150)
        drawn.append((fold, draw_sequence(rng, fold)))
    return tuple(drawn)
