"""How are the elements of a fold joined?

Loops are laid as random arcs, relaxed (`trace`), given their atoms (`backbone`) and looked at
(`check`). A loop with a flaw is laid again, with all else in place, until none is left.
"""

import numpy as np

from protcontact.data.synthetic.backbone import rebuild
from protcontact.data.synthetic.check import flaws
from protcontact.data.synthetic.geometry import CA, CA_C, CB, N_CA, C, N, O, peptide_plane, unit
from protcontact.data.synthetic.rods import Element, placed
from protcontact.data.synthetic.spans import exchanged, least_spans, set_starts
from protcontact.data.synthetic.trace import BOND, Joints, Relaxation, arc, joint_range, outward

IDLE_MAX = 15  # rounds without progress before the fold is given up
BESIDE = 9.0  # Angstrom
PATIENCE = 3  # rounds without progress before lengths change and neighbours are laid anew
SWEEPS = 60
TETHER = 2.0  # Angstrom that the first free CA may stray from where a strand would go on


def joints(length: int, elements: list[Element], rods: list[np.ndarray]) -> list[Joints]:
    """Where the free residues next to the elements may be.

    Args:
        length: Number of residues of the chain.
        elements: Its elements.
        rods: Their atoms with caps, `placed`.

    Returns:
        Distances from N or C of the caps, and from where strands would go on.
    """
    plane = peptide_plane()
    tilt_c = float(np.degrees(np.arctan2(plane[0, 1], plane[0, 0])))
    tilt_n = float(np.degrees(np.arctan2(-plane[2, 1], BOND - plane[2, 0])))
    angles, tethers = [], []
    for element, rod in zip(elements, rods, strict=True):
        after, before = element.stop + 1, element.start - 2
        angles.append((after, rod[-1, N], *joint_range(N_CA, tilt_c)))
        angles.append((before, rod[0, C], *joint_range(CA_C, tilt_n)))
        if element.kind == "E":  # in step with the neighbours in the sheet
            tethers.append((after, rod[-1, CA] + rod[-2, CA] - rod[-3, CA], 0.0, TETHER))
            tethers.append((before, rod[0, CA] + rod[1, CA] - rod[2, CA], 0.0, TETHER))
    return [Joints.of(rows, length) for rows in (angles, tethers)]


class Joiner:
    """Joins placed elements by loops, and loops that fail by other loops.

    Args:
        rng: Source of randomness.
        elements: The k elements; their `Element.start` is kept in step with the spans.
        spans: ``(k + 1,)``, residues of each tail and loop.
    """

    def __init__(
        self, rng: np.random.Generator, elements: list[Element], spans: np.ndarray
    ) -> None:
        self.rng, self.elements = rng, elements
        self.rods = [placed(element) for element in elements]
        self.least = least_spans(elements)
        self._lay_out(spans)

    def _lay_out(self, spans: np.ndarray) -> None:
        """Give every element its place in the chain."""
        self.spans = spans
        set_starts(self.elements, spans)
        self.length = int(spans.sum()) + sum(element.length for element in self.elements)
        self.fixed = np.zeros(self.length, dtype=bool)
        self.atoms = np.full((self.length, 5, 3), np.nan)
        for element, rod in zip(self.elements, self.rods, strict=True):
            self.fixed[element.start - 1 : element.stop + 1] = True
            self.atoms[element.start - 1 : element.stop + 1] = rod
        # each element is divided in the middle between the loops at its two ends
        middles = [element.start + element.length // 2 for element in self.elements]
        self.loop_of = np.searchsorted(middles, np.arange(self.length), side="right")
        self.joints = joints(self.length, self.elements, self.rods)

    def _exchange(self, atoms: np.ndarray, loop: int) -> tuple[np.ndarray, int]:
        """Make a loop longer or shorter: the chain without it, and the loop that pays."""
        spans, other = exchanged(self.rng, self.spans, self.least, loop)
        old, old_loop, old_fixed = atoms, self.loop_of, self.fixed
        self._lay_out(spans)
        moved = self.atoms.copy()
        for k in set(range(len(spans))) - {loop, other}:
            moved[self.loop_of == k] = old[old_loop == k]
        for k in {loop, other}:
            kept = (self.loop_of == k) & self.fixed
            moved[kept] = old[(old_loop == k) & old_fixed]
        return moved, other

    def _guess(self, ca: np.ndarray, loop: int) -> None:
        """Lay a loop as a random arc out of the fold ``(L, 3)``, in place."""
        if loop in (0, len(self.elements)):
            self._guess_tail(ca, loop)
            return
        before, behind = self.elements[loop - 1].stop, self.elements[loop].start - 1
        away = outward(self.rng, ca[self.fixed], 0.5 * (ca[before] + ca[behind]))
        ca[before + 1 : behind] = arc(ca[before], ca[behind], away, behind - before - 1)

    def _guess_tail(self, ca: np.ndarray, loop: int) -> None:
        """Lay the first or the last tail: two residues outwards, then across the fold."""
        if loop == 0:
            anchor = self.elements[0].start - 1
            residues = np.arange(anchor)[::-1]
        else:
            anchor = self.elements[-1].stop
            residues = np.arange(anchor + 1, self.length)
        away = outward(self.rng, ca[self.fixed], ca[anchor])
        side = unit(np.cross(away, self.rng.normal(size=3)))
        steps = 1 + np.arange(len(residues))[:, None]
        up, across = np.minimum(steps, 2), np.maximum(steps - 2, 0)
        ca[residues] = ca[anchor] + 3.0 * up * away + 3.4 * across * side

    def join(self, atoms: np.ndarray, loops: np.ndarray) -> np.ndarray:
        """Lay `loops` anew in a chain ``(L, 5, 3)``, all else stays where it is."""
        free = np.isin(self.loop_of, loops) & ~self.fixed
        known = atoms.copy()
        known[free] = np.nan
        ca = known[:, CA].copy()
        for loop in loops:
            self._guess(ca, loop)
        ca += free[:, None] * self.rng.normal(scale=0.3, size=ca.shape)
        obstacles = known[:, 3:].reshape(-1, 3)
        obstacles = obstacles[np.isfinite(obstacles[:, 0])]
        ca = Relaxation(ca, free, obstacles, self.joints).run(SWEEPS)
        # peptides with a free end are built; their atoms decide where the CB beside them is
        given = ~(free[:-1] | free[1:])
        known[1:][~given, N], known[:-1][~given, C], known[:-1][~given, O] = np.nan, np.nan, np.nan
        known[1:][~given, CB], known[:-1][~given, CB] = np.nan, np.nan
        return rebuild(ca, given, known)

    def _at_fault(self, atoms: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """The loops with flaws, and which rules are broken."""
        found = flaws(atoms)
        residues = np.concatenate([np.empty(0, dtype=int), *found.values()])
        return np.unique(self.loop_of[residues]), list(found)

    def _some(self, loops: np.ndarray) -> np.ndarray:
        """About half of some loops, at least one."""
        chosen = loops[self.rng.random(len(loops)) < 0.5]
        return chosen if len(chosen) else self.rng.choice(loops, size=1)

    def _beside(self, atoms: np.ndarray, loops: np.ndarray) -> np.ndarray:
        """A random half of the loops that come near to `loops`, to make room for them."""
        own = np.isin(self.loop_of, loops)
        others = np.flatnonzero(~own & ~self.fixed)
        gap = atoms[others, None, CA] - atoms[own & ~self.fixed, CA]
        near = np.unique(self.loop_of[others[(gap**2).sum(axis=-1).min(axis=1) < BESIDE**2]])
        return self._some(near) if len(near) else near

    def run(self) -> np.ndarray | list[str]:
        """Join everything: atoms ``(L, 5, 3)``, or the rules that no try could keep.

        A round lays the loops with flaws anew, and is undone if more loops have flaws after it.
        """
        atoms = self.join(self.atoms, np.arange(len(self.spans)))
        bad, rules = self._at_fault(atoms)
        idle = 0
        while rules and "not compact" not in rules and idle < IDLE_MAX:
            spans, trial = self.spans, atoms
            worst = loops = bad if idle == 0 else self._some(bad)
            if idle >= PATIENCE:
                loops = np.union1d(loops, self._beside(atoms, loops))
            if idle % PATIENCE == PATIENCE - 1:
                for loop in worst:
                    trial, other = self._exchange(trial, loop)
                    loops = np.union1d(loops, [other])
            trial = self.join(trial, loops)
            now, rules_now = self._at_fault(trial)
            idle = 0 if len(now) < len(bad) else idle + 1
            if len(now) <= len(bad):
                atoms, bad, rules = trial, now, rules_now
            else:
                self._lay_out(spans)
        return rules or atoms
