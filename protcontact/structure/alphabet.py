"""Which integer stands for which residue?

The 20 standard amino acids in alphabetical order of their one-letter codes, then ``X`` for
everything else. Padding has no letter: it is the integer after ``X``.
"""

import numpy as np

LETTERS = "ACDEFGHIKLMNPQRSTVWYX"
UNKNOWN = LETTERS.index("X")
PADDING = len(LETTERS)
SIZE = len(LETTERS) + 1

# The IUPAC letters that are legal in a FASTA file but are not one of the 20: B (D or N),
# J (I or L), O (pyrrolysine), U (selenocysteine), Z (E or Q). They are encoded as X.
AMBIGUOUS = "BJOUZ"

_TABLE = np.full(256, 255, dtype=np.uint8)
for _index, _letter in enumerate(LETTERS):
    _TABLE[ord(_letter)] = _index
for _letter in AMBIGUOUS:
    _TABLE[ord(_letter)] = UNKNOWN


def encode(sequence: str) -> np.ndarray:
    """Turn one-letter codes into integers.

    Args:
        sequence: Upper-case letters of ``LETTERS`` or ``AMBIGUOUS``, length L.

    Returns:
        ``(L,)`` array of uint8 in ``[0, 20]``.

    Raises:
        ValueError: If a character is not an amino-acid letter.
    """
    codes = _TABLE[np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)]
    if (codes == 255).any():
        position = int(np.argmax(codes == 255))
        raise ValueError(
            f"illegal letter {sequence[position]!r} at position {position + 1}; "
            f"allowed are {LETTERS} and {AMBIGUOUS} (read as X)"
        )
    return codes


def decode(codes: np.ndarray) -> str:
    """Turn integers in ``[0, 20]`` back into one-letter codes."""
    return "".join(LETTERS[code] for code in codes)
