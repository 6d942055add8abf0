"""How can a probe run the model once more without leaving a trace of it?

`untouched` is the one place where that is done: within it the model is deterministic, and after it
everything is as it was. `subject` finds what there is to run in a training step.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import nn

from protcontact.batch import ContactBatch
from protcontact.gradflow.eager import eagerly
from protcontact.gradflow.probe import Step, StepProbe
from protcontact.models.contract import ContactModel, Encoder


class Subject(NamedTuple):
    """What a probe runs once more.

    Attributes:
        model: The contact model within what is trained.
        batch: What the last forward pass has read.
    """

    model: ContactModel
    batch: ContactBatch

    @property
    def encoder(self) -> Encoder:
        """The encoder without the wrapper that `torch.compile` puts around it."""
        return getattr(self.model.encoder, "_orig_mod", self.model.encoder)


def subject(step: Step, probe: StepProbe) -> Subject:
    """Find the contact model and the batch of a step.

    Args:
        step: As the probe got it.
        probe: Who asks; the error names it.

    Raises:
        ValueError: If there is no `ContactModel` in the model, or the batch is no `ContactBatch`.
    """
    models = (module for module in step.model.modules() if isinstance(module, ContactModel))
    model, name = next(models, None), type(probe).__name__
    if model is None:
        raise ValueError(
            f"{name} needs a model that holds a ContactModel, which {type(step.model).__name__} "
            "does not; leave this probe out"
        )
    if not isinstance(step.batch, ContactBatch):
        raise ValueError(
            f"{name} needs batches that are a ContactBatch, not a {type(step.batch).__name__}; "
            "leave this probe out"
        )
    return Subject(model, step.batch)


@contextmanager
def untouched(model: nn.Module, autocast: torch.dtype | None = None) -> Iterator[None]:
    """Run a model as an experiment: in eval mode, eagerly, with gradients, in its own precision.

    When this is left, also by an exception, the mode of each submodule, the ``.grad`` of each
    parameter (even after a ``backward()`` in here) and the state of torch's random numbers are what
    they were before. Buffers that a module writes in eval mode are not looked after, and hooks that
    others have put on the model fire in here, too.

    Args:
        model: All that runs in here.
        autocast: The precision to compute in under autocast; by default without autocast.
    """
    devices = {parameter.device for parameter in model.parameters()}
    with ExitStack() as stack:
        stack.enter_context(eagerly(model))
        stack.enter_context(_eval_mode(model))
        stack.enter_context(_gradients_aside(model))
        stack.enter_context(_without_cudnn(model))
        stack.enter_context(_same_random_numbers(devices))
        for kind in {device.type for device in devices}:
            # weights that an outer autocast has cast before the update must not be taken again
            context = torch.autocast(
                kind, autocast, enabled=autocast is not None, cache_enabled=False
            )
            stack.enter_context(context)
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Flags and not ``eval()``: a model may keep a part of itself in eval mode all the time."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _gradients_aside(model: nn.Module) -> Iterator[None]:
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    try:
        for parameter, _ in gradients:
            parameter.grad = None
        yield
    finally:
        for parameter, gradient in gradients:
            parameter.grad = gradient


@contextmanager
def _without_cudnn(model: nn.Module) -> Iterator[None]:
    """Recurrences of cuDNN refuse the backward pass in eval mode; convolutions are slow without it.

    One flag and not ``cudnn.flags``, which fails where convolutions and recurrences were given
    different precisions, and would set them all.
    """
    enabled = torch.backends.cudnn.enabled
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    try:
        torch.backends.cudnn.enabled = enabled and not recurrent
        yield
    finally:
        torch.backends.cudnn.enabled = enabled


def _same_random_numbers(devices: set[torch.device]) -> AbstractContextManager[None]:
    """Leave the state of the CPU and of these devices as it is."""
    gpus = [device for device in devices if device.type == "cuda"]
    return torch.random.fork_rng(devices=gpus, device_type="cuda")
