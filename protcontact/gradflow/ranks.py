"""Do the ranks of a data-parallel training pull in the same direction?

Each rank has the gradient of its own batches before they are averaged. Where its squared length is
that of the mean, all agree; where the mean is shorter, the rest is noise, and its size says how
many batches are worth averaging (McCandlish et al. 2018, appendix A.1). With N ranks, ``m`` the
mean of the squared norms of their gradients and ``M`` the squared norm of the mean gradient:

    |G|^2      = (N M - m) / (N - 1)             the true gradient's, without bias
    agreement  = |G|^2 / m                       1: the same gradient on all ranks; 0: only noise
    noise_scale = (m - M) N / (N - 1) / |G|^2    in batches of one rank
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.distributed import GradBucket, ProcessGroup
from torch.nn.parallel import DistributedDataParallel

from protcontact.gradflow.layers import local, norms
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe


class RankAgreement(StepProbe):
    """Agreement of ranks and gradient noise scale, from inside DDP's own reduction.

    Logs ``rank/{agreement, noise_scale, max_rel_diff}``; the last is the largest relative
    difference between the ranks' norms of the averaged gradient, 0 where all is well. Two numbers
    of each rank are gathered at measured steps. Nothing is logged on one process, where another
    communication hook is in place, or where a step is made of several reductions.
    """

    def __init__(self) -> None:
        self._watching = False
        self._squares: list[Tensor] = []
        self._passes = 0

    def connect(self, wrapped: nn.Module) -> None:
        """Look into the reduction; warns if another hook is there already."""
        if not isinstance(wrapped, DistributedDataParallel):
            return
        try:
            wrapped.register_comm_hook(wrapped.process_group, self._reduce)
        except RuntimeError as error:
            warnings.warn(
                "RankAgreement measures nothing: it needs DDP's communication hook, and this model "
                f"has one already ({error})",
                stacklevel=2,
            )

    def _reduce(self, group: ProcessGroup, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        """The mean over ranks, to the last bit as DDP's own."""
        buffer = bucket.buffer()
        if self._watching:
            self._squares.append(norms([buffer]) ** 2)
            self._passes += bucket.is_last()
        buffer.mul_(1 / group.size())
        sent = distributed.all_reduce(buffer, group=group, async_op=True)
        return sent.get_future().then(lambda future: future.value()[0])

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[None]:
        """Measure what is reduced in here."""
        self._watching, self._squares, self._passes = True, [], 0
        try:
            yield
        finally:
            self._watching, self._squares, self._passes = False, [], 0

    def before_update(self, step: Step) -> list[Pending]:
        """Squared norms of this rank's own gradient and of the mean over ranks."""
        if self._passes != 1 or step.ranks == 1:
            return []  # of several reductions for one step, none is that of the whole gradient
        own = torch.cat(self._squares).sum() / step.loss_scale**2
        gradients = local(p.grad for p in step.parameters.tensors if p.grad is not None)
        mean = (norms(gradients) ** 2).sum() / step.scale**2
        return [Pending(torch.stack([own, mean]), _read, joined=True)]


def _read(rows: Tensor) -> Findings:
    own, mean = rows.t().tolist()
    found = noise(own, mean[0])
    lengths = [math.sqrt(square) for square in mean]
    apart = max(abs(length - lengths[0]) for length in lengths)
    found["max_rel_diff"] = apart / lengths[0] if lengths[0] > 0 else math.nan
    return Findings({f"rank/{name}": value for name, value in found.items()})


def noise(own: list[float], mean: float) -> dict[str, float]:
    """``agreement`` and ``noise_scale``, NaN where the estimate of the true gradient is not > 0.

    Args:
        own: Squared norms of the gradients of N > 1 ranks.
        mean: Squared norm of their mean.
    """
    N, average = len(own), math.fsum(own) / len(own)
    true = (N * mean - average) / (N - 1)
    return {
        "agreement": true / average if average > 0 else math.nan,
        "noise_scale": (average - mean) * N / (N - 1) / true if true > 0 else math.nan,
    }
