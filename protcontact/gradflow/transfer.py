"""How do the numbers of all probes reach the host without making the device wait?

One flat tensor, one copy, read a step later. Where a probe needs what the other ranks have found,
all such numbers of all probes go through one gather.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, distributed

from protcontact.gradflow.layers import widest
from protcontact.gradflow.probe import Findings, Pending


@dataclass(frozen=True, eq=False)
class Shipment:
    """Numbers of one step on their way.

    Attributes:
        pending: What they are, those that were gathered first.
        numbers: Float64, on the host once `arrived`: ``ranks`` rows of what was gathered, flat, and
            then this rank's other numbers.
        gathered: How many numbers of each rank were gathered.
        ranks: Rows.
        arrived: Passed by the device when the numbers are there; None where nothing travels.
    """

    pending: tuple[Pending, ...]
    numbers: Tensor
    gathered: int
    ranks: int
    arrived: torch.cuda.Event | None

    @property
    def copies(self) -> int:
        """Copies from a device to the host: 1, or 0 where there is no device."""
        return int(self.arrived is not None)

    @property
    def collectives(self) -> int:
        """Messages between ranks that this took: 1, or 0 where no probe needs the other ranks."""
        return int(self.ranks > 1)

    def read(self) -> list[Findings]:
        """What the numbers say. Waits for the copy, which a step later is long done."""
        if self.arrived is not None:
            self.arrived.synchronize()
        numbers = self.numbers.cpu().double()
        table = numbers[: self.ranks * self.gathered].view(self.ranks, self.gathered)
        alone = numbers[self.ranks * self.gathered :].view(1, -1)
        return [
            *_read([p for p in self.pending if p.joined], table),
            *_read([p for p in self.pending if not p.joined], alone),
        ]


def ship(pending: Sequence[Pending], ranks: int = 1) -> Shipment:
    """Send the numbers of a step to the host.

    Args:
        pending: From all probes. With several ranks, all ranks must ask for the same joined ones.
        ranks: Processes that train together.
    """
    joined = [p for p in pending if p.joined]
    alone = [p for p in pending if not p.joined]
    own, rows, gathered = _flat(joined), 1, 0
    if own is not None:
        gathered = own.numel()
        if ranks > 1:
            own, rows = _gather(own, ranks), ranks
    parts = [part for part in (own, _flat(alone)) if part is not None]
    numbers, arrived = _to_host(torch.cat(parts) if parts else torch.empty(0))
    return Shipment((*joined, *alone), numbers, gathered, rows, arrived)


def _flat(pending: Sequence[Pending]) -> Tensor | None:
    if not pending:
        return None
    wide = widest(pending[0].values.device)
    return torch.cat([p.values.detach().flatten().to(wide) for p in pending])


def _gather(own: Tensor, ranks: int) -> Tensor:
    rows = [torch.empty_like(own) for _ in range(ranks)]
    distributed.all_gather(rows, own)
    return torch.cat(rows)


def _to_host(numbers: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """The numbers on the host, and when: nothing waits here."""
    if not numbers.is_cuda:
        return numbers, None
    host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    host.copy_(numbers, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()
    return host, arrived


def _read(pending: Sequence[Pending], rows: Tensor) -> list[Findings]:
    ends = [0]
    for p in pending:
        ends.append(ends[-1] + p.values.numel())
    pieces = pairwise(ends)
    return [p.read(rows[:, a:b]) for p, (a, b) in zip(pending, pieces, strict=True)]
