"""May the scores of two runs be compared?

They may where the chains, their labels and the definition of the scores are the same.
"""

import hashlib

from protcontact.data.datamodule import ContactDataModule
from protcontact.metrics.precision import DEFINITION


def scored_on(data: ContactDataModule, split: str) -> str:
    """Fingerprint of what a split is scored on.

    sha256 over the definition of the scores and, by chain id, sequence and coordinates, which the
    labels follow from; the chains of other splits do not matter. Refuses what `rows` refuses.
    """
    digest = hashlib.sha256(DEFINITION.encode())
    store = data.store
    for row in sorted(data.rows(split), key=lambda row: str(store.ids[row])):
        codes, coordinates = store.arrays(row)
        digest.update(f"\n{store.ids[row]} {len(codes)} ".encode())
        digest.update(codes.tobytes() + coordinates.astype("<f4").tobytes())
    return digest.hexdigest()
