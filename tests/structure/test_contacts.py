"""`protcontact.structure.contacts` against a slow twin, and at the cutoff."""

import math

import numpy as np
import pytest

from protcontact.structure.chain import Chain
from protcontact.structure.contacts import contact_map, distance_map, separation


def chain_of(coordinates):
    coordinates = np.asarray(coordinates, dtype=np.float32)
    length = len(coordinates)
    return Chain("x_A", "A" * length, coordinates, coordinates.copy(), ("",) * length)


def slow_contact_map(coordinates, cutoff):
    length = len(coordinates)
    labels = np.zeros((length, length), dtype=np.int8)
    for i in range(length):
        for j in range(length):
            a, b = coordinates[i].tolist(), coordinates[j].tolist()
            if any(map(math.isnan, a + b)):
                labels[i, j] = -1
            else:
                labels[i, j] = math.dist(a, b) < cutoff
    return labels


@pytest.mark.parametrize("cutoff", [6.0, 8.0])
def test_contact_map_is_that_of_the_slow_twin(cutoff):
    coordinates = np.random.default_rng(0).normal(scale=6.0, size=(40, 3)).astype(np.float32)
    coordinates[[3, 17]] = np.nan
    coordinates[20, 1] = np.nan  # one missing number is enough
    labels = contact_map(chain_of(coordinates), cutoff)
    np.testing.assert_array_equal(labels, slow_contact_map(coordinates, cutoff))
    np.testing.assert_array_equal(labels, labels.T)


def test_a_contact_is_closer_than_the_cutoff_not_as_close():
    below = np.nextafter(np.float32(8.0), np.float32(0.0))
    labels = contact_map(chain_of([[0, 0, 0], [8, 0, 0], [0, below, 0]]))
    assert labels[0, 1] == 0
    assert labels[0, 2] == 1


def test_distances():
    distances = distance_map(np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [np.nan, 0.0, 0.0]]))
    assert distances[0, 1] == 5.0
    assert np.isnan(distances[2]).all()


def test_separation():
    np.testing.assert_array_equal(separation(3), [[0, 1, 2], [1, 0, 1], [2, 1, 0]])
