"""Which path do the CA atoms of the loops take between the fixed elements?

Each loop starts as an arc above the ends it joins and is relaxed by position-based dynamics
(Mueller et al. 2007, J. Vis. Commun. Image R. 18, 109-118): consecutive CA atoms at the distance of
a trans peptide, virtual bond angles between 88 and 134 degrees, and no two residues too close.
Elements do not move.
"""

from typing import NamedTuple

import numpy as np

from protcontact.data.synthetic.geometry import N_CA_C, peptide_plane, unit

BOND = float(peptide_plane()[3, 0])  # 3.80
SECOND_MIN, SECOND_MAX = 5.3, 7.0  # CA(i) - CA(i+2): virtual bond angle 88 to 134 degrees
CONTACT_MIN = 6.0  # CA - CA of residues more than three apart
TURN_MIN = 4.8  # CA(i) - CA(i+3)
OBSTACLE_MIN = 5.2  # CA of a loop from O and CB of an element
JOINT_SHARE = 0.8  # of what a free peptide could reach
SETTLING, BONDS_ONLY = 25, 5  # sweeps
PUSH = 0.4  # share of an overlap that a sweep takes away
GATHER = 0.08  # Angstrom per sweep
LISTED_EVERY = 12  # sweeps between two neighbour searches
LISTED_WITHIN = 7.5


def arc(start: np.ndarray, stop: np.ndarray, away: np.ndarray, count: int) -> np.ndarray:
    """Points of an arc that joins two CA atoms.

    Args:
        start: ``(3,)``, CA in front of the loop.
        stop: ``(3,)``, CA behind it.
        away: ``(3,)``, unit vector out of the fold.
        count: Number of loop residues n.

    Returns:
        ``(n, 3)``.
    """
    t = np.linspace(0.0, 1.0, count + 2)[1:-1, None]
    chord = float(np.linalg.norm(stop - start))
    path = BOND * (count + 1)
    # flat arcs of height h over a chord c are about c + 8 h^2 / 3 c long, steep ones about 2 h
    height = max(2.0, min(0.45 * path, np.sqrt(max(path**2 - chord**2, 0.0)) * 0.55))
    return start + t * (stop - start) + 4 * t * (1 - t) * height * away


class Joints(NamedTuple):
    """Residues of loops that are held at a distance from a fixed atom, J of them.

    The first free CA must leave the N or C of the last fixed peptide so that some rotation of the
    next peptide gives a good angle N-CA-C.
    """

    residue: np.ndarray  # (J,)
    anchor: np.ndarray  # (J, 3)
    low: np.ndarray  # (J,)
    high: np.ndarray  # (J,)

    @classmethod
    def of(cls, rows: list[tuple], length: int) -> "Joints":
        """Collect rows (residue, anchor, low, high) of residues that exist."""
        rows = [row for row in rows if 0 <= row[0] < length]
        residue, anchor, low, high = zip(*rows, strict=True) if rows else ((), (), (), ())
        anchors = np.reshape(np.array(anchor, dtype=float), (-1, 3))
        return cls(np.array(residue, dtype=int), anchors, np.array(low), np.array(high))


class Sticks(NamedTuple):
    """Pairs of residues whose distance is held, and the share of a move that the first takes."""

    first: np.ndarray
    second: np.ndarray
    share: np.ndarray


class Relaxation:
    """Position-based dynamics of a CA trace.

    Args:
        ca: ``(L, 3)`` first guess, Angstrom.
        movable: ``(L,)`` bool, residues of loops.
        obstacles: ``(M, 3)`` other atoms that the loops must not touch.
        joints: The peptides at which loops begin or end.
    """

    def __init__(
        self, ca: np.ndarray, movable: np.ndarray, obstacles: np.ndarray, joints: list[Joints]
    ) -> None:
        self.joints = joints
        self.middle = ca.mean(axis=0)
        self.points = np.concatenate([ca, obstacles])
        self.length = len(ca)
        self.loop = np.flatnonzero(movable)
        weight = movable.astype(float)
        self.bonds = [self._sticks(weight, 1, phase) for phase in range(2)]
        self.angles = [self._sticks(weight, 2, phase) for phase in range(2)]

    def _sticks(self, weight: np.ndarray, step: int, phase: int) -> Sticks:
        """Every second group of pairs (i, i + step): no atom is in two pairs of one phase."""
        first = np.arange(self.length - step)
        first = first[first // step % 2 == phase]
        second = first + step
        total = weight[first] + weight[second]
        first, second, total = first[total > 0], second[total > 0], total[total > 0]
        return Sticks(first, second, (weight[first] / total)[:, None])

    def _pull(self, sticks: Sticks, low: float, high: float) -> None:
        first, second, share = sticks
        delta = self.points.take(second, axis=0) - self.points.take(first, axis=0)
        distance = np.sqrt(np.einsum("ij,ij->i", delta, delta))
        wished = np.minimum(np.maximum(distance, low), high)
        delta *= (1.0 - wished / np.maximum(distance, 1e-6))[:, None]
        moved = share * delta
        self.points[first] += moved
        self.points[second] += moved - delta

    def _hold_joints(self) -> None:
        for residue, anchor, low, high in self.joints:
            delta = self.points[residue] - anchor
            distance = np.sqrt(np.einsum("ij,ij->i", delta, delta))
            scale = np.minimum(np.maximum(distance, low), high) / np.maximum(distance, 1e-6)
            self.points[residue] = anchor + delta * scale[:, None]

    def _neighbours(self) -> None:
        """List pairs (loop residue, any point) that may come too close in the next sweeps."""
        loop = self.points[self.loop]
        square = (
            (loop**2).sum(axis=1)[:, None] + (self.points**2).sum(axis=1) - 2 * loop @ self.points.T
        )
        row, column = np.nonzero(square < LISTED_WITHIN**2)
        first = self.loop[row]
        apart = np.abs(first - column)
        outside = column >= self.length
        keep = outside | (apart >= 3)
        self.first, self.second = first[keep], column[keep]
        least = np.where(apart == 3, TURN_MIN, CONTACT_MIN)
        self.least = np.where(outside, OBSTACLE_MIN, least)[keep]

    def _push(self) -> None:
        delta = self.points.take(self.first, axis=0) - self.points.take(self.second, axis=0)
        distance = np.sqrt(np.einsum("ij,ij->i", delta, delta))
        close = distance < self.least
        if not close.any():
            return
        first, delta, distance = self.first[close], delta[close], distance[close]
        # pairs of two loop residues are listed from both sides: each moves its own first atom
        delta *= (PUSH * (self.least[close] - distance) / np.maximum(distance, 1e-6))[:, None]
        for axis in range(3):
            self.points[:, axis] += np.bincount(
                first, weights=delta[:, axis], minlength=len(self.points)
            )

    def _gather(self) -> None:
        """Draw the loops a little to the middle, so that they lie on the fold."""
        loop = self.points.take(self.loop, axis=0)
        self.points[self.loop] = loop - GATHER * unit(loop - self.middle)

    def run(self, sweeps: int) -> np.ndarray:
        """Relax, and return the CA atoms ``(L, 3)``."""
        for sweep in range(sweeps):
            if sweep % LISTED_EVERY == 0:
                self._neighbours()
            left = sweeps - sweep
            if left > SETTLING:  # the last sweeps only restore angles, and then bonds
                self._push()
                self._gather()
            if left > BONDS_ONLY:
                for angle in self.angles:
                    self._pull(angle, SECOND_MIN, SECOND_MAX)
                self._hold_joints()
            for bond in self.bonds:
                self._pull(bond, BOND, BOND)
        return self.points[: self.length]


def joint_range(bond: float, tilt: float) -> tuple[float, float]:
    """Distances a free CA may have from the N or C that the fixed peptide gives its neighbour.

    Args:
        bond: Length from that N or C to its CA.
        tilt: Angle between CA-CA and CA-C (or CA-N) inside the free peptide, degrees: its rotation
            moves the angle N-CA-C by so much to either side.
    """
    low, high = N_CA_C - JOINT_SHARE * tilt, N_CA_C + JOINT_SHARE * tilt
    cosine = np.cos(np.radians([low, high]))
    near, far = np.sqrt(bond**2 + BOND**2 - 2 * bond * BOND * cosine)
    return float(near), float(far)


def outward(rng: np.random.Generator, fold: np.ndarray, at: np.ndarray) -> np.ndarray:
    """A random unit vector ``(3,)`` out of the fold ``(M, 3)`` through its nearest end along z."""
    middle = fold.mean(axis=0)
    direction = 0.3 * unit(at - middle) + rng.normal(scale=0.35, size=3)
    direction[2] += np.sign(at[2] - middle[2])
    return unit(direction)
