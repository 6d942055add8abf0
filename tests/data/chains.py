"""Chains made from a seed, for tests of what works on chains and not on files."""

import numpy as np

from protcontact.structure.alphabet import LETTERS
from protcontact.structure.chain import Chain, ChainReport


def random_chain(name: str, length: int, seed: int = 0, unresolved: int = 0) -> Chain:
    """A random walk with steps of 3.8 Angstrom; the first `unresolved` residues are NaN."""
    random = np.random.default_rng([seed, length])
    steps = random.normal(size=(length, 3))
    ca = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    coordinates = ca + random.normal(scale=0.5, size=(length, 3))
    ca[:unresolved] = coordinates[:unresolved] = np.nan
    return Chain(
        id=name,
        sequence="".join(random.choice(list(LETTERS[:20]), size=length)),
        coordinates=coordinates.astype(np.float32),
        ca=ca.astype(np.float32),
        numbering=tuple(str(number) for number in range(-2, length - 2)),
        chain_id="A",
        label_chain_id="B",
        entity_id="1",
        source=f"{name}.cif",
        method="X-RAY DIFFRACTION",
        resolution=1.75,
        release_date="2001-02-03",
        report=ChainReport(
            imputed_cb=(3,), modified=((4, "MSE", "M"),), notes=("a note; with a \t tab",)
        ),
    )
