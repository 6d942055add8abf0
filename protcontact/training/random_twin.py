"""What does the architecture of a model score before it has learnt anything?

A head with a bias for near pairs, an average-product correction or the templates it is shown can
rank contacts without one step of training. So beside a score stands that of a twin: the same
classes with the same arguments, and weights drawn anew.

A twin is what the constructors make, with one exception. A matrix that they fill with zeros, such
as the weights of `AttentionMaps` or the B of a low-rank adaptation, makes the part behind it
silent: a first step of training would start from there, but a map that is the same everywhere is
ranked by place, and shows nothing of the architecture. Such a matrix is drawn from a normal
distribution of variance 1 / columns instead. Biases stay as they are made, and those by separation
are made equal: a twin does not know that near pairs are in contact more often.
"""

from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from protcontact.models.contract import ContactModel, Described


def random_twin(model: ContactModel, seed: int) -> ContactModel:
    """Make a model of the same architecture that was never trained.

    Pretrained parts are random as well: a language model within comes without its weights. Neither
    the model nor anybody's random numbers are touched; weights are drawn on the CPU, so a seed
    gives the same twin on each machine. Takes the memory of the model once more.

    Args:
        model: Of whatever mode, device and precision.
        seed: Of the weights.

    Returns:
        The twin in evaluation mode, on the model's device and in its precision; not compiled, not
        sharded. A model with a part that cannot be made anew is refused.
    """
    like = next(model.parameters())
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # not `torch.manual_seed`, which seeds every GPU too
        torch.default_generator.manual_seed(seed)
        twin = ContactModel(_again(model.encoder), _again(model.head))
        _draw_zeros(twin)
    return twin.to(device=like.device, dtype=like.dtype).eval()


def _again(value: Any) -> Any:
    """Make a described module anew, and those among its arguments; leave the rest as it is.

    Raises:
        ValueError: If a module does not say what it was made of: it would be shared.
    """
    value = getattr(value, "_orig_mod", value)  # of the wrapper that `torch.compile` makes
    if isinstance(value, Described):
        kind = next(each for each in type(value).__mro__ if not issubclass(each, FSDPModule))
        return kind(**{name: _again(given) for name, given in value.init_args.items()})
    if isinstance(value, nn.Module):
        raise ValueError(
            f"a {type(value).__name__} does not remember what it was made of, so the model has no "
            "twin; derive it from Described"
        )
    return [_again(item) for item in value] if isinstance(value, list | tuple) else value


@torch.no_grad()
def _draw_zeros(twin: nn.Module) -> None:
    for parameter in twin.parameters():
        if parameter.ndim > 1 and not parameter.any():
            parameter.normal_(std=parameter[0].numel() ** -0.5)
