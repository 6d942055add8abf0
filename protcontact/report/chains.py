"""Which chains stand for a data set, when looking at all of them would take too long?"""

from pathlib import Path

from protcontact.batch import ContactBatch
from protcontact.data.datamodule import ContactDataModule
from protcontact.gradflow.trained import spread_over_lengths


def chosen_chains(
    data: Path, split: str, count: int, shortest: int, longest: int
) -> list[ContactBatch]:
    """Whole chains of a split, spread evenly over its lengths.

    Args:
        data: Folder written by ``protcontact prepare`` and ``protcontact split``.
        split: ``train``, ``val`` or ``test``.
        count: Number of chains; fewer if there are not as many.
        shortest: Residues of the shortest chain that may be chosen.
        longest: Residues of the longest.

    Returns:
        Batches of one. An `InputError` if the data set cannot be used or no chain is left.
    """
    module = ContactDataModule(str(data))
    module.setup("test")
    rows = module.rows(split)
    lengths = [int(module.store.lengths[row]) for row in rows]
    places = spread_over_lengths(lengths, count, shortest, longest)
    return [module.whole_chain(rows[place]) for place in places]
