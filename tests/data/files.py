"""Small structure files, for tests of what happens to files and not of what is in them."""

from pathlib import Path

import numpy as np

NAMES = {
    "A": "ALA", "C": "CYS", "D": "ASP", "E": "GLU", "F": "PHE", "G": "GLY", "H": "HIS",
    "I": "ILE", "K": "LYS", "L": "LEU", "M": "MET", "N": "ASN", "P": "PRO", "Q": "GLN",
    "R": "ARG", "S": "SER", "T": "THR", "V": "VAL", "W": "TRP", "Y": "TYR",
}  # fmt: skip


def random_sequence(length: int, seed: int) -> str:
    return "".join(np.random.default_rng([seed, length]).choice(list(NAMES), size=length))


def pdb_text(sequence: str, chain: str = "A", seed: int = 0) -> str:
    """A helix of N, CA, C and CB atoms without a header."""
    lines = []
    offsets = {"N": (-1.2, 0.3, -0.8), "CA": (0, 0, 0), "C": (1.1, 0.6, 0.8), "CB": (0.6, -1.4, 0)}
    for number, letter in enumerate(sequence, start=1):
        angle = np.radians(100) * number + seed
        center = np.array([2.3 * np.cos(angle), 2.3 * np.sin(angle), 1.5 * number])
        for name, offset in offsets.items():
            if letter == "G" and name == "CB":
                continue
            x, y, z = center + offset
            lines.append(
                f"ATOM  {len(lines) + 1:5d}  {name:<3} {NAMES[letter]} {chain}{number:4d}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {name[0]}"
            )
    return "\n".join([*lines, "TER", "END", ""])


def dimer_text(first: str, second: str) -> str:
    """Two helices, chains A and B, one on the axis of the other: nearly all of them in contact."""
    one = pdb_text(first, "A").splitlines()[:-2]
    return "\n".join([*one, "TER", pdb_text(second, "B", seed=3)])


def write_structures(folder: Path, count: int, length: int = 30) -> Path:
    """Write ``s000.pdb`` ... with chains that are not homologous."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = pdb_text(random_sequence(length, number), seed=number)
        (folder / f"s{number:03d}.pdb").write_text(text)
    return folder
