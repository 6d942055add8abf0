"""What must be true of a trained model and of its chains before they are looked into?

Weights that are finite, and whole chains, one at a time: a crop has no scores, and a batch of one
has no padding that a measurement could mistake for residues.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.gradflow.untouched import untouched
from protcontact.models.contract import ContactModel


def refuse_broken(model: nn.Module) -> None:
    """Refuse weights that are not numbers. A buffer may be infinite, as masks of attention are.

    Raises:
        InputError: If a parameter has an element that is NaN or infinite, or a buffer one that is
            NaN: names it.
    """
    bad = [(name, ~tensor.isfinite()) for name, tensor in model.named_parameters()]
    bad += [(name, tensor.isnan()) for name, tensor in model.named_buffers()]
    for name, places in bad:
        broken = int(places.sum())
        if broken:
            raise InputError(
                f"{name} has {broken} of {places.numel()} elements that are NaN or infinite, so "
                "nothing can be measured; take an earlier checkpoint of the run"
            )


def logits_of(model: ContactModel, batch: ContactBatch) -> Tensor:
    """What a model says of one chain, in eval mode.

    Args:
        model: Left as it was.
        batch: The chain.

    Returns:
        ``(L, L)``, without a graph.

    Raises:
        InputError: If it says NaN of a pair, as weights that are finite may be too large.
    """
    with untouched(model), torch.no_grad():
        logits: Tensor = model(batch)[0]
    if broken := int(logits.isnan().sum()):
        raise InputError(
            f"the model says NaN of {broken} pairs of chain {batch.ids[0]!r}, so nothing can be "
            "measured; take an earlier checkpoint of the run"
        )
    return logits


def one_by_one(batches: Iterable[ContactBatch]) -> list[ContactBatch]:
    """Each chain as a batch of one, without padding.

    Args:
        batches: Whole chains.

    Returns:
        As many batches as there are chains, in their order.

    Raises:
        InputError: If there is no chain, or one is a crop.
    """
    found = []
    for batch in batches:
        counts = batch.mask.sum(dim=1).tolist()
        for row, (name, count) in enumerate(zip(batch.ids, counts, strict=True)):
            length = int(batch.lengths[row])
            if length != count:
                raise InputError(
                    f"chain {name!r} is a crop, {count} of {length} residues; give whole chains"
                )
            rows = slice(row, row + 1)
            found.append(
                ContactBatch(
                    batch.tokens[rows, :count],
                    batch.mask[rows, :count],
                    batch.coordinates[rows, :count],
                    batch.index[rows, :count],
                    batch.lengths[rows],
                    (name,),
                )
            )
    if not found:
        raise InputError("there is no chain to look at; give a split that has some")
    return found


def spread_over_lengths(
    lengths: Sequence[int], count: int, shortest: int = 1, longest: int | None = None
) -> list[int]:
    """Choose chains of all lengths: from the shortest to the longest in equal steps of rank.

    Args:
        lengths: Of N chains.
        count: How many at most.
        shortest: Shorter chains are left out.
        longest: Longer ones, too; None for no limit.

    Returns:
        Places among the N, by rising length; all that are left if there are no more than `count`.

    Raises:
        InputError: If `count` is below 1 or no chain is left.
    """
    if count < 1:
        raise InputError(f"the number of chains must be at least 1, not {count}")
    allowed = [
        place
        for place, length in enumerate(lengths)
        if shortest <= length and (longest is None or length <= longest)
    ]
    if not allowed:
        limit = "" if longest is None else f" and at most {longest}"
        raise InputError(
            f"none of {len(lengths)} chains has at least {shortest}{limit} residues; "
            "allow others or give another split"
        )
    ranked = sorted(allowed, key=lambda place: (lengths[place], place))
    count = min(count, len(ranked))
    steps = [round(k * (len(ranked) - 1) / max(count - 1, 1)) for k in range(count)]
    return [ranked[step] for step in steps]
