"""Which units learn nothing?

A unit is a row of a weight matrix: all weights that make one output. Where its gradient is exactly
zero over a whole batch, as behind a ReLU that is never positive, the unit cannot come back.
"""

import torch
from torch import Tensor, nn

from protcontact.gradflow.layers import block_of, local, plain_name, widest
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe


class DeadUnits(StepProbe):
    """Share of each block's units without a gradient: ``dead/<block>/share``.

    Embeddings, and matrices that are not called a weight, such as tables of positions, are left
    out: the vector of a residue that a batch lacks has no gradient.
    """

    def before_update(self, step: Step) -> list[Pending]:
        """Count them."""
        skipped = embeddings(step.model)
        parameters = step.parameters
        places = [
            place
            for place, (name, tensor) in enumerate(
                zip(parameters.names, parameters.tensors, strict=True)
            )
            if tensor.ndim >= 2 and name not in skipped and _is_weight(name)
        ]
        if not places:
            return []
        chosen = [parameters.tensors[place] for place in places]
        blocks = [block_of(parameters.names[place]) for place in places]
        holders = [parameters.holders(step.ranks)[place] for place in places]
        rows = [tensor.shape[0] for tensor in chosen]

        def read(counts: Tensor) -> Findings:
            dead = counts.sum(dim=0) if len(counts) > 1 else counts[0]
            held = holders if len(counts) > 1 else [1.0] * len(rows)
            sums: dict[str, list[float]] = {}
            for block, count, size, by in zip(blocks, dead.tolist(), rows, held, strict=True):
                total = sums.setdefault(block, [0.0, 0.0])
                total[0] += count / by
                total[1] += size
            return Findings({f"dead/{b}/share": count / size for b, (count, size) in sums.items()})

        return [Pending(dead_rows(chosen), read, joined=parameters.sharded)]


def dead_rows(parameters: list[Tensor]) -> Tensor:
    """``(P,)`` float64: rows of each gradient, this rank's part, that are exactly zero."""
    parts = local(p.grad for p in parameters if p.grad is not None)
    return torch.stack(
        [
            (~part.flatten(1).any(dim=1)).sum().to(widest(part.device))
            if part.ndim > 1
            else part.new_zeros((), dtype=widest(part.device))
            for part in parts
        ]
    )


def _is_weight(name: str) -> bool:
    """Whether a parameter is the matrix of a layer: ``weight``, ``weight_hh_l0``."""
    return name.rpartition(".")[2].startswith("weight")


def embeddings(model: nn.Module) -> set[str]:
    """Names of the parameters of the embeddings of a model."""
    return {
        f"{plain_name(name)}.{leaf}"
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
        for leaf, _ in module.named_parameters(recurse=False)
    }
