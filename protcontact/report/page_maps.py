"""How does a predicted contact map travel into a page that has to stay small?

A page shows 100 chains and must stay below 5 MB, so of each map only the pairs i < j travel, one
byte each, compressed. A probability is kept as round(255 sqrt(p)): contacts are rare, and on this
scale 0.001 and 0.002 are still told apart.
"""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from protcontact.structure.chain import Chain
from protcontact.structure.contacts import contact_map

STEPS = 255
NEAREST = 3  # pairs closer along the chain are not shown: they are always in contact
UNKNOWN = 2  # how a page writes "unknown"; contact is 1


@dataclass(frozen=True, eq=False)
class ShownMap:
    """A map on a page.

    Attributes:
        chain: Of L residues, with its coordinates.
        probabilities: ``(L, L)`` symmetric.
        scores: What the page says of it, name -> number.
    """

    chain: Chain
    probabilities: np.ndarray
    scores: Mapping[str, float]


def packed(shown: ShownMap) -> dict[str, Any]:
    """Make a map plain and small.

    Returns:
        ``id``, ``length``, ``sequence``, ``chain`` (author), ``numbers`` (author, ``""`` where
        there is none), ``scores``; ``predicted`` and ``truth``: base64 of zlib of one byte per pair
        i < j, row by row.
    """
    chain = shown.chain
    rows, columns = np.triu_indices(len(chain), k=1)
    near = columns - rows < NEAREST
    levels = np.rint(STEPS * np.sqrt(shown.probabilities[rows, columns])).astype(np.uint8)
    levels[near] = 0
    labels = contact_map(chain)[rows, columns]
    truth = np.where(labels < 0, UNKNOWN, labels).astype(np.uint8)
    truth[near] = UNKNOWN
    return {
        "id": chain.id,
        "length": len(chain),
        "sequence": chain.sequence,
        "chain": chain.chain_id,
        "numbers": list(chain.numbering),
        "scores": {name: _number(value) for name, value in shown.scores.items()},
        "predicted": _text(levels),
        "truth": _text(truth),
    }


def unpacked(packed_map: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truth, ``(L, L)`` upper triangles; what the script of the page does."""
    size = packed_map["length"]
    found = []
    for name in ("predicted", "truth"):
        raw = zlib.decompress(base64.b64decode(packed_map[name]))
        square = np.zeros((size, size))
        square[np.triu_indices(size, k=1)] = np.frombuffer(raw, dtype=np.uint8)
        found.append(square)
    return (found[0] / STEPS) ** 2, found[1]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _text(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode("ascii")
