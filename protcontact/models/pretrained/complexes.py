"""How does a model of single chains read several of them?

As one sequence, ``SEQ1:SEQ2``. Either a linker stands between the chains, glycines that are cut
from the map; or nothing does, and the residue index jumps, as if residues were missing.

The default is a linker of 25 glycines, as ESMFold has it (Lin et al. 2023): it suits every model of
the family and is a sequence as they know it, flexible and without contacts of its own. A jump of
the index costs no residues, but needs rotary positions, and leaves the last letter of one chain
beside the first of the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protcontact.errors import InputError

SEPARATOR = ":"
LINKER = 25
LINKER_LETTER = "G"
NO_CHAIN = -1  # what `chain_of` says of a linker


@dataclass(frozen=True, eq=False)
class Joint:
    """Chains as the model reads them: T letters, linkers included.

    Attributes:
        sequence: T letters.
        index: ``(T,)`` int64, place of each letter; rises.
        chain_of: ``(T,)`` int64, number of the chain, from 0; -1 in a linker.
    """

    sequence: str
    index: np.ndarray
    chain_of: np.ndarray

    def __len__(self) -> int:
        return len(self.sequence)

    def cut(self, whole: np.ndarray) -> np.ndarray:
        """``(T, T) -> (L, L)``: what concerns residues, without the linkers.

        Raises:
            ValueError: If the map is not of T letters.
        """
        if whole.shape != (len(self), len(self)):
            raise ValueError(f"the map must be {(len(self), len(self))}, not {whole.shape}")
        real = self.chain_of != NO_CHAIN
        if real.all():
            return whole
        return whole[np.ix_(real, real)]


def join_chains(chains: Sequence[str], linker: int = LINKER, gap: int = 0) -> Joint:
    """Make one input of several chains; of one chain, that chain.

    Args:
        chains: Their letters.
        linker: Glycines between neighbours; 0: none.
        gap: How many places the index skips between neighbours.

    Returns:
        The input, and which letter is whose.

    Raises:
        ValueError: If there is no chain, one is empty, or a size is negative.
    """
    if not chains or not all(chains) or min(linker, gap) < 0:
        raise ValueError("needs chains of at least one letter, and sizes of at least 0")
    letters, index, owners = [], [], []
    place = 0
    for number, chain in enumerate(chains):
        if number and linker:
            letters.append(LINKER_LETTER * linker)
            index.append(np.arange(place, place + linker))
            owners.append(np.full(linker, NO_CHAIN))
            place += linker
        if number:
            place += gap
        letters.append(chain)
        index.append(np.arange(place, place + len(chain)))
        owners.append(np.full(len(chain), number))
        place += len(chain)
    return Joint("".join(letters), np.concatenate(index), np.concatenate(owners))


def check_gap(gap: int, longest: int | None) -> None:
    """Refuse a jump of the index that positions cannot express.

    Args:
        gap: Places that the index skips.
        longest: `ESM2.longest` of the model; None means rotary positions.

    Raises:
        InputError: If the model has learned positions.
    """
    if gap and longest is not None:
        raise InputError(
            f"--gap {gap} needs rotary positions (ESM-2): this model has a learned vector for each "
            f"of {longest} places and saw them without jumps; use --linker instead"
        )
