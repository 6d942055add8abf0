"""Where are N, C and O, if only the CA atoms are known?

A trans peptide is rigid and flat, so between two CA atoms it has one freedom: its rotation about
the axis CA-CA (Purisima and Scheraga 1984, Biopolymers 23, 1207-1224). Two neighbouring rotations
decide the angle N-CA-C and the dihedrals phi and psi of the residue between them. So the best
rotations of a whole chain, on a grid, are a shortest path (Viterbi), found exactly; a second path
on a fine grid around the first refines it. Peptides inside helices and strands are given.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from protcontact.data.synthetic import geometry
from protcontact.data.synthetic.geometry import CA, CB, N_CA_C, C, N, O, build_cb, cross, unit

COARSE, FINE = 24, 9  # states of a peptide in the first path and in each later one
FINE_STEP = 3.0  # degrees
PASSES = 3
TAU_SPREAD = 1.5  # degrees, scale of deviations of N-CA-C that are accepted
CLASH, CLASH_CB, CLASH_CB_CB = 2.95, 3.2, 4.0  # Angstrom, closer atoms repel
STIFFNESS = 20.0  # per square Angstrom
NEAREST = 40  # atoms around a peptide that are looked at

# (phi, psi, weight, spread): where the residues of loops lie (Lovell et al. 2003, Proteins 50, 437)
BASINS = (
    (-65.0, -40.0, 1.0, 18.0),
    (-90.0, -5.0, 0.4, 22.0),
    (-120.0, 130.0, 1.0, 25.0),
    (-70.0, 145.0, 1.0, 20.0),
    (57.0, 40.0, 0.04, 15.0),  # left-handed: glycine, asparagine
    (85.0, 5.0, 0.03, 18.0),
    (80.0, -170.0, 0.01, 20.0),  # glycine only
)
RAMA_BINS = 72


@lru_cache(maxsize=1)
def ramachandran() -> np.ndarray:
    """Energy ``(72, 72)`` of phi, psi in bins of 5 degrees from -180: -log of the basins."""
    degrees = np.arange(RAMA_BINS) * 360.0 / RAMA_BINS - 180.0
    density = np.full((RAMA_BINS, RAMA_BINS), 1e-4)
    for phi, psi, weight, spread in BASINS:
        sharpness = np.degrees(1.0) ** 2 / spread**2
        a, b = np.cos(np.radians(degrees - phi)) - 1, np.cos(np.radians(degrees - psi)) - 1
        density += weight * np.exp(sharpness * (a[:, None] + b[None, :]))
    return -np.log(density)


@dataclass
class Planes:
    """Atoms of Q peptides in K rotations each; peptide p joins residues p and p + 1.

    Attributes:
        place: ``(Q,)``, the p of each peptide, rising.
        c: ``(Q, K, 3)``, C of residue p.
        o: ``(Q, K, 3)``, O of residue p.
        n: ``(Q, K, 3)``, N of residue p + 1.
    """

    place: np.ndarray
    c: np.ndarray
    o: np.ndarray
    n: np.ndarray

    @classmethod
    def rotated(cls, ca: np.ndarray, place: np.ndarray, angles: np.ndarray) -> "Planes":
        """Build peptides on a CA trace ``(L, 3)`` at angles ``(Q, K)``, radians.

        The zero of the angle is arbitrary, but the same for one trace.
        """
        step = ca[place + 1] - ca[place]
        length = np.linalg.norm(step, axis=1)
        axis = step / length[:, None]
        reference = np.where(np.abs(axis[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
        v = unit(cross(axis, reference))
        w = cross(axis, v)
        across = np.cos(angles)[..., None] * v[:, None] + np.sin(angles)[..., None] * w[:, None]
        plane = geometry.peptide_plane()
        # where CA-CA is not exactly that of the ideal peptide, the error is shared by both ends
        slack = 0.5 * (length - plane[3, 0])
        origin = (ca[place] + slack[:, None] * axis)[:, None]
        c, o, n = (origin + x * axis[:, None] + y * across for x, y in plane[:3])
        return cls(place, c, o, n)

    def chosen(self, state: np.ndarray) -> "Planes":
        """One rotation per peptide, ``(Q,) -> K = 1``."""
        rows = np.arange(len(state))
        return Planes(self.place, *(a[rows, state][:, None] for a in (self.c, self.o, self.n)))

    def taken(self, rows: np.ndarray) -> "Planes":
        """Some of the peptides."""
        return Planes(self.place[rows], self.c[rows], self.o[rows], self.n[rows])

    def fix(self, given: np.ndarray, atoms: np.ndarray) -> None:
        """Take peptides ``(Q,)`` bool from `atoms` ``(L, 5, 3)``, the same in all states."""
        place = self.place[given]
        self.c[given] = atoms[place, C][:, None]
        self.o[given] = atoms[place, O][:, None]
        self.n[given] = atoms[place + 1, N][:, None]


def residue_costs(ca: np.ndarray, before: Planes, behind: Planes) -> np.ndarray:
    """Cost of residues for the states of the peptides before and behind each.

    Args:
        ca: ``(R, 3)`` of the residues.
        before: The R peptides that end at them, in K states.
        behind: The R peptides that start at them.

    Returns:
        ``(R, K, K)``: deviation of N-CA-C, Ramachandran energy, and what the O before comes too
        near to of the peptide behind.
    """
    to_n, to_c = unit(before.n - ca[:, None]), unit(behind.c - ca[:, None])
    tau = np.degrees(np.arccos(np.clip(to_n @ to_c.transpose(0, 2, 1), -1.0, 1.0)))
    # psi is read from its far end, which does not change a dihedral
    phi = _seen_along(-to_n, before.c - before.n, to_c)
    psi = _seen_along(-to_c, behind.n - behind.c, to_n).transpose(0, 2, 1)
    bins = [((a + 180.0) * (RAMA_BINS / 360.0) + 0.5).astype(int) % RAMA_BINS for a in (phi, psi)]
    cost = 0.5 * ((tau - N_CA_C) / TAU_SPREAD) ** 2 + ramachandran()[bins[0], bins[1]]
    for atoms in (behind.n, behind.o):
        cost += _repulsion(_distances(before.o, atoms), CLASH)
    return cost


def _seen_along(axis: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Dihedrals ``(R, K, M)`` about `axis` from `first`, all ``(R, K, 3)``, to `last` (R, M, 3)."""
    across = unit(first - (first * axis).sum(axis=-1, keepdims=True) * axis)
    normal = cross(axis, across)
    flipped = last.transpose(0, 2, 1)
    return np.degrees(np.arctan2(normal @ flipped, across @ flipped))


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances ``(..., K, M)`` between points ``(..., K, 3)`` and ``(..., M, 3)``."""
    square = (a**2).sum(axis=-1)[..., :, None] + (b**2).sum(axis=-1)[..., None, :]
    return np.sqrt(np.maximum(square - 2 * a @ np.swapaxes(b, -1, -2), 0.0))


def _repulsion(distance: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    return STIFFNESS * np.maximum(least - distance, 0.0) ** 2


@dataclass
class Surroundings:
    """The atoms near each of Q places.

    Attributes:
        points: ``(Q, M, 3)``.
        owner: ``(Q, M)``, residue of each point.
        is_cb: ``(Q, M)`` bool.
    """

    points: np.ndarray
    owner: np.ndarray
    is_cb: np.ndarray

    @classmethod
    def around(cls, places: np.ndarray, atoms: np.ndarray) -> "Surroundings":
        """The atoms ``(L, 5, 3)`` (NaN: not there) that are nearest to places ``(Q, 3)``."""
        owner, kind = np.nonzero(np.isfinite(atoms[..., 0]))
        points = atoms[owner, kind]
        distance = _distances(places, points)
        count = min(NEAREST, len(points))
        near = np.argpartition(distance, count - 1, axis=1)[:, :count]
        return cls(points[near], owner[near], kind[near] == CB)

    def cost(
        self, probes: np.ndarray, residue: np.ndarray, least: np.ndarray | float
    ) -> np.ndarray:
        """Repulsion ``(Q, K)`` of probes ``(Q, K, 3)`` of residues ``(Q,)`` from the points."""
        apart = np.abs(self.owner - residue[:, None]) >= 2
        repulsion = _repulsion(_distances(probes, self.points), least)
        return (repulsion * apart[:, None]).sum(axis=-1)


def _peptide_clashes(ca: np.ndarray, planes: Planes, atoms: np.ndarray) -> np.ndarray:
    """Repulsion ``(Q, K)`` of C, O and N of peptides from the `atoms` ``(L, 5, 3)`` around them."""
    place = planes.place
    around = Surroundings.around(0.5 * (ca[place] + ca[place + 1]), atoms)
    return (
        around.cost(planes.c, place, CLASH)
        + around.cost(planes.o, place, CLASH)
        + around.cost(planes.n, place + 1, CLASH)
    )


def _side_clashes(ca: np.ndarray, before: Planes, behind: Planes, atoms: np.ndarray) -> np.ndarray:
    """Repulsion ``(R, K, K)`` of the CB between peptides that follow each other."""
    R, K = before.n.shape[:2]
    residue = behind.place
    cb = build_cb(before.n[:, :, None], ca[residue][:, None, None], behind.c[:, None])
    around = Surroundings.around(ca[residue], atoms)
    least = np.where(around.is_cb, CLASH_CB_CB, CLASH_CB)[:, None]
    return around.cost(cb.reshape(R, K * K, 3), residue, least).reshape(R, K, K)


def shortest_path(unary: np.ndarray, pairwise: np.ndarray) -> np.ndarray:
    """States ``(P,)`` with the least sum of ``unary[p, s_p] + pairwise[p, s_p, s_p+1]``.

    Args:
        unary: ``(P, K)``.
        pairwise: ``(P - 1, K, K)``.
    """
    best, back = unary[0], []
    for cost, own in zip(pairwise, unary[1:], strict=True):
        total = best[:, None] + cost
        back.append(total.argmin(axis=0))
        best = total.min(axis=0) + own
    path = [int(best.argmin())]
    for pointer in reversed(back):
        path.append(int(pointer[path[-1]]))
    return np.array(path[::-1])


def _assemble(ca: np.ndarray, planes: Planes, atoms: np.ndarray) -> np.ndarray:
    """`atoms` ``(L, 5, 3)`` with the peptides `planes` (K = 1) in place, and what they decide."""
    built = atoms.copy()
    built[:, CA] = ca
    place = planes.place
    built[place, C], built[place, O], built[place + 1, N] = (
        planes.c[:, 0],
        planes.o[:, 0],
        planes.n[:, 0],
    )
    g = geometry
    if place[0] == 0:
        built[0, N] = g.place(built[1, N], built[0, C], ca[0], g.N_CA, N_CA_C, 135.0)
    if place[-1] == len(ca) - 2:
        built[-1, C] = g.place(built[-2, C], built[-1, N], ca[-1], g.CA_C, N_CA_C, -70.0)
        built[-1, O] = g.place(built[-1, N], ca[-1], built[-1, C], g.C_O, g.CA_C_O, -35.0)
    beside = np.union1d(place, place + 1)
    built[beside, CB] = build_cb(built[beside, N], ca[beside], built[beside, C])
    return built


def _pairwise(
    ca: np.ndarray, planes: Planes, free: np.ndarray, built: np.ndarray, with_cb: bool
) -> np.ndarray:
    """Costs ``(Q - 1, K, K)`` of neighbouring peptides; 0 where neither is free."""
    K = planes.c.shape[1]
    costs = np.zeros((len(free) - 1, K, K))
    joined = planes.place[1:] == planes.place[:-1] + 1
    rows = np.flatnonzero(joined & (free[:-1] | free[1:]))
    before, behind = planes.taken(rows), planes.taken(rows + 1)
    costs[rows] = residue_costs(ca[behind.place], before, behind)
    if with_cb:
        costs[rows] += _side_clashes(ca, before, behind, built)
    return costs


def rebuild(ca: np.ndarray, given: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Build all backbone atoms on a CA trace.

    Args:
        ca: ``(L, 3)``, Angstrom.
        given: ``(L - 1,)`` bool: peptides whose atoms are known; the others are free.
        atoms: ``(L, 5, 3)``; what belongs to free peptides may be NaN.

    Returns:
        ``(L, 5, 3)``: N, CA, C, O, CB.
    """
    # a free peptide depends on its neighbours, so a stretch ends with a given one or a chain end
    wanted = ~given
    wanted[1:] |= ~given[:-1]
    wanted[:-1] |= ~given[1:]
    place = np.flatnonzero(wanted)
    free = ~given[place]
    angles = np.tile(np.linspace(0, 2 * np.pi, COARSE, endpoint=False), (len(place), 1))
    step = np.radians(FINE_STEP) * (np.arange(FINE) - FINE // 2)
    built = atoms
    for number in range(PASSES):
        planes = Planes.rotated(ca, place, angles)
        planes.fix(~free, atoms)
        unary = np.zeros(angles.shape)
        unary[free] = _peptide_clashes(ca, planes.taken(np.flatnonzero(free)), built)
        # the first path is too coarse to place side chains
        path = shortest_path(unary, _pairwise(ca, planes, free, built, with_cb=number > 0))
        built = _assemble(ca, planes.chosen(path), built)
        angles = angles[np.arange(len(path)), path][:, None] + step
    return built
