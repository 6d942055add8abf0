"""What can be measured while a training step runs?

A `StepProbe` looks at one step at up to three moments: it may put hooks on the model before the
forward pass, read the gradients before they are clipped, and look again once the weights have
moved. What it finds stays on the device: it hands out `Pending` numbers, and all numbers of all
probes reach the host in one copy, after which `Pending.read` says what they mean. So a device never
waits for a measurement.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from protcontact.gradflow.layers import GradientSummary, Parameters


@dataclass(frozen=True)
class Findings:
    """What a probe found at one step, on the host.

    Attributes:
        scalars: Name below ``gradflow/`` -> value.
        curves: Name below ``gradflow/`` -> values by place: distance, time step or bin.
        summary: The gradients of all parameters, where that is what was measured.
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    summary: GradientSummary | None = None


@dataclass(frozen=True, eq=False)
class Pending:
    """Numbers on their way to the host.

    Attributes:
        values: ``(n,)`` or any shape, on the device; read flat.
        read: ``(ranks, n) -> Findings``, float64 on the host. Ranks is 1, unless `joined`.
        joined: Whether `read` needs the numbers of all ranks. Their n must then agree.
    """

    values: Tensor
    read: Callable[[Tensor], Findings]
    joined: bool = False


@dataclass(frozen=True, eq=False)
class Step:
    """A training step as a probe sees it.

    Attributes:
        model: What is trained, without the wrappers of compilation and parallelism.
        batch: What the last forward pass has read.
        parameters: Those with a gradient.
        loss_scale: What the loss was multiplied by before the backward pass (fp16).
        scale: The same, if the gradients still carry it: a fused optimizer unscales them itself.
        ranks: Number of processes that train together.
    """

    model: nn.Module
    batch: object
    parameters: Parameters
    loss_scale: Tensor | float = 1.0
    scale: Tensor | float = 1.0
    ranks: int = 1


class StepProbe:
    """Something to measure at a training step. All methods do nothing unless overridden.

    A probe leaves the model as it found it: its mode, its gradients, its hooks and the state of the
    random numbers.

    Attributes:
        runs_model: Whether it runs the model once more, which a rank that holds only a part of the
            weights cannot do on its own.
    """

    runs_model: ClassVar[bool] = False

    def connect(self, wrapped: nn.Module) -> None:
        """See the model as it is wrapped for many processes, once, before the first step."""

    def attach(self, model: nn.Module) -> AbstractContextManager[object]:
        """Watch the forward and backward passes of a step; hooks are gone when this is left."""
        return nullcontext()

    def before_update(self, step: Step) -> list[Pending]:
        """Look at the gradients: accumulated, averaged over ranks, not yet clipped."""
        return []

    def after_update(self, step: Step) -> list[Pending]:
        """Look at the gradients after clipping, and at the weights after the update.

        Not called where the gradients are gone by then.
        """
        return []

    def forget(self) -> None:
        """Drop what was kept of a step that is over, or will never be."""
