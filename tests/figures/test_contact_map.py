"""Pictures show what they claim to show."""

import numpy as np
import pytest

from protcontact.figures.contact_map import (
    HIT_COLOUR,
    MISS_COLOUR,
    TRUE_COLOUR,
    draw_contact_map,
    to_array,
)


def colours(figure):
    """Number of pixels of each named colour."""
    pixels = to_array(figure).reshape(-1, 3)
    found = {}
    for colour in (HIT_COLOUR, MISS_COLOUR, TRUE_COLOUR):
        wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        found[colour] = int((pixels == wanted).all(axis=1).sum())
    return found


def planted(length=20):
    labels = np.zeros((length, length), dtype=np.int8)
    for i in range(8):
        labels[i, 19 - i] = labels[19 - i, i] = 1
    return labels


def legend(figure):
    return {text.get_text() for text in figure.axes[0].get_legend().get_texts()}


def test_a_perfect_prediction_has_hits():
    labels = planted()
    figure = draw_contact_map(labels.astype(float), labels)
    assert colours(figure)[HIT_COLOUR] > 0
    assert "predicted, correct" in legend(figure)


def test_a_wrong_prediction_has_none():
    labels = planted()
    wrong = np.zeros((20, 20))
    rows, columns = np.triu_indices(20, 6)
    wrong[rows, columns] = labels[rows, columns] == 0
    figure = draw_contact_map(wrong + wrong.T, labels)
    assert colours(figure)[HIT_COLOUR] == 0
    assert colours(figure)[MISS_COLOUR] > 0


def test_unknown_pairs_are_neither_right_nor_wrong():
    labels = np.full((20, 20), -1, dtype=np.int8)
    figure = draw_contact_map(np.random.default_rng(0).random((20, 20)), labels)
    found = colours(figure)
    assert found[HIT_COLOUR] == found[MISS_COLOUR] == 0
    assert "predicted, truth unknown" in legend(figure)


def test_without_truth_only_predictions_are_drawn():
    figure = draw_contact_map(np.random.default_rng(0).random((20, 20)))
    assert legend(figure) == {"best L predicted"}
    assert figure.axes[0].get_ylabel() == "residue"


@pytest.mark.parametrize("length", [1, 2, 7])
def test_tiny_chains_can_be_drawn(length):
    labels = np.zeros((length, length), dtype=np.int8)
    assert to_array(draw_contact_map(np.zeros((length, length)), labels)).ndim == 3


def test_refuses_maps_of_different_sizes():
    with pytest.raises(ValueError, match="must be"):
        draw_contact_map(np.zeros((3, 3)), np.zeros((4, 4), dtype=np.int8))
    with pytest.raises(ValueError, match="must be"):
        draw_contact_map(np.zeros((3, 4)))
